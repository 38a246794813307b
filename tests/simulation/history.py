"""A history as it is written down before it happens: what people do and when, and the world that they do it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from spanner_backup_emulator.spanner.plans import Plan
from tests.simulation.chance import Site
from tests.simulation.faults import NONE, Faults

BEGIN = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
"""When every history begins; a Sunday night."""

INSTANCE = "projects/project/instances/main"
DATABASES = ("orders", "orders2", "users")
"""One is a prefix of another: who looks for what *contains* the name finds both."""
GHOST = "ghost"
"""A database that doesn't exist."""

COMMANDS, MORE_COMMANDS, FOLLOW_UPS, RESULTS, DEAD = (
    f"projects/project/topics/{name}" for name in ("commands", "more-commands", "follow-ups", "results", "dead-letters")
)
QUEUE = "projects/project/locations/europe-west1/queues/follow-ups"


@dataclass(frozen=True, slots=True)
class Publish:
    """Somebody publishes a message.

    Attributes:
        at_s: When, in seconds after the beginning.
        body: The message; the text `@n` as a value stands for the name of an operation that exists by then.
        raw: The bytes, where they are no JSON object.
        late_s: How much later it is delivered.
        twin: Whether it is published on the second topic for commands, under the id that the latest on the first has.
        odd: What is wrong with it: one of `faults.ODD`; empty: nothing.
    """

    at_s: float
    body: Mapping[str, object] = field(default_factory=dict)
    raw: bytes = b""
    late_s: float = 0.0
    twin: bool = False
    odd: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, or some other tool, does something behind Backstop's back.

    Attributes:
        at_s: When, in seconds after the beginning.
        verb: What: create, cancel, delete, recreate, restore, copy, schedule; extend, to have a backup kept for longer;
            obscure, to create one whose operation says no start time; muddle, to have what was started end without an
            answer; purge, pause, resume the queue; or deny, to take
            the function's role away.
        database: Of the database, its id.
        name: Of the backup, its id; empty: the one that was started last.
        length_s: How long it lasts, where it does.
    """

    at_s: float
    verb: str
    database: str = DATABASES[0]
    name: str = ""
    length_s: float = 3600.0


Step = Publish | Person


@dataclass(frozen=True, slots=True)
class Deployment:
    """What an operator chose.

    Attributes:
        give_up_after: How long a chain lasts.
        look_min: The shortest time between two looks.
        allow_delete: Whether backups may be deleted at all.
        one_topic: Whether commands and follow-ups share a topic.
        dead_letter_after: Failed deliveries until a message becomes a dead letter; None: never.
        exists_before_pending: Which refusal Spanner prefers when both the name and the slot are taken.
        late_cancel_refused: Whether Spanner refuses to cancel what has ended.
        brief_answers: Whether an operation's answer leaves out which schedules made the backup.
        databases: The ids of the instance's databases.
    """

    give_up_after: timedelta = timedelta(days=3)
    look_min: timedelta = timedelta(seconds=10)
    allow_delete: bool = True
    one_topic: bool = False
    dead_letter_after: int | None = 10
    exists_before_pending: bool = True
    late_cancel_refused: bool = False
    brief_answers: bool = False
    databases: tuple[str, ...] = DATABASES


@dataclass(frozen=True, slots=True)
class History:
    """Everything that decides how a history goes; the same one always goes the same way.

    Attributes:
        seed: For what is random.
        steps: What people do, in the order of time; None where a step was taken out again.
        heal_s: When the faults stop, in seconds after the beginning; not before the last step.
        faults: What goes wrong until then.
        deployment: What the operator chose.
        plans: For each database, how its next backups go.
        only: The faults that happen at messages, tasks and calls, in place of random ones; None: random ones.
    """

    seed: int
    steps: tuple[Step | None, ...]
    heal_s: float = 0.0
    faults: Faults = NONE
    deployment: Deployment = Deployment()
    plans: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    only: Mapping[Site, str] | None = None


def database_name(database: str) -> str:
    """The full name of a database."""
    return f"{INSTANCE}/databases/{database}"


def backup_name(backup: str) -> str:
    """The full name of a backup."""
    return f"{INSTANCE}/backups/{backup}"
