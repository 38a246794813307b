"""The five lives that the demo shows: what people ask for, what Spanner does, and how it must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from demo.stack import PROJECT
from spanner_backup_emulator.spanner.plans import Plan


def _s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One backup's life. A second here stands for many minutes in production.

    Attributes:
        name: The database. It has an instance of its own, so that each call to Spanner can be put down to it.
        asked: What people ask for, in a few words.
        spanner: What Spanner does, in a few words.
        plan: The same for the emulator: how long it takes, and whether it listens to a cancel.
        expected: Which outcomes each command, the start and then the cancel, must have, in order.
        command: What the start says beside the database.
        cancel_after_s: When somebody publishes a cancel, after the start; None if nobody does.
        restore_s: How long a restore uses the backup from its completion on; 0 for none.
        left_behind: Whether the backup is there at the end.
    """

    name: str
    asked: str
    spanner: str
    plan: Plan
    expected: tuple[tuple[str, ...], ...]
    command: Mapping[str, object] = field(default_factory=dict)
    cancel_after_s: float | None = None
    restore_s: float = 0.0
    left_behind: bool = False

    @property
    def instance(self) -> str:
        """The instance's full name."""
        return f"{PROJECT}/instances/{self.name}"

    @property
    def database(self) -> str:
        """The database's full name."""
        return f"{self.instance}/databases/{self.name}"

    @property
    def backup(self) -> str:
        """The backup's full name."""
        return f"{self.instance}/backups/{self.name}-demo"


NEVER = None

SCENARIOS = (
    Scenario("orders", "start", "finishes", Plan(duration=_s(12)), (("STARTED", "COMPLETED"),), left_behind=True),
    Scenario(
        "search",
        "start, cancel",
        "stops in time",
        Plan(duration=_s(15), cancel_duration=_s(2)),
        (("STARTED", "CANCELLED"), ("CANCEL_REQUESTED", "CANCELLED")),
        cancel_after_s=5,
    ),
    Scenario(
        "ledger",
        "start, cancel",
        "finishes first",
        Plan(duration=_s(8), cancel_duration=NEVER),
        (("STARTED", "COMPLETED_DESPITE_CANCEL"), ("CANCEL_REQUESTED", "COMPLETED_THEN_DELETED")),
        cancel_after_s=6,
    ),
    Scenario(
        "clicks",
        "start for 9 s",
        "stops in time",
        Plan(duration=_s(40), cancel_duration=_s(1)),
        (("STARTED", "CANCEL_REQUESTED", "CANCELLED"),),
        command={"cancel_after": "9s"},
    ),
    Scenario(
        "stock",
        "start, cancel",
        "finishes first",
        Plan(duration=_s(7), cancel_duration=NEVER),
        (("STARTED", "COMPLETED_DESPITE_CANCEL"), ("CANCEL_REQUESTED", "DELETE_BLOCKED", "COMPLETED_THEN_DELETED")),
        cancel_after_s=4,
        restore_s=6,
    ),
)
