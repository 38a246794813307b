"""What an operation can look like, and what is done about it. This file is the whole of it.

Rules about this file
    Everything that decides between waiting, cancelling, deleting and reporting is here, as two tables: what to do in
    each state, and the guards against a deletion. It calls nobody, knows no message format, and has no clock.

Theory of operation
    A poll reads the operation from Spanner and finds it in exactly one *state*. The command on whose behalf it polls
    gives the *intent*: KEEP, the backup is wanted, or CANCEL, it is not. State and intent select one *rule*: what to
    do now, and which outcome that is. A poll that comes late, twice, or out of order does what is right for what it
    finds.

    The intent of a command with a time limit is KEEP until its limit and CANCEL from then on. An operation that
    ended before the limit was never unwanted: its end, by Spanner's clock, is compared with the limit, and not the
    time of the poll, so that a late poll doesn't turn a good backup into a bad one.

    A rule that waits schedules the next poll. A chain ends in GAVE_UP instead, at the first poll after its give-up
    time that would still wait. A state that ends the chain always wins over giving up.

    Deleting is a second decision, made only under SUCCEEDED and CANCEL. Each guard is one reason not to delete; the
    first that applies keeps the backup, and its sentence says why. Nothing is deleted but what passes them all.

Doubt protects
    A command that names the operation or the backup knows which attempt it means, and may come up to `GRACE` too
    late. One that names a database doesn't: a backup that was complete when it was published may be last night's good
    one. So it must be certain that the operation still ran then. Two things are proof: a delivery of this very command
    saw it run, or it ended so much later that no two clocks could disagree about it. What began after the command may
    be meant as well, if only clocks say that it was after; only having been seen running is proof of that.

Where two rules could apply
    A cancel that somebody else asked for does not change the intent: under KEEP its end is reported and the backup
    stays, and whoever asked for the cancel decides about deleting.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from backstop.commands import IfCreated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from backstop.follow_ups import Look
    from backstop.ports import Backup, Operation

GRACE = timedelta(minutes=10)
"""How long before a cancel that names it an operation may have ended and still count as a lost race.

People decide to cancel by looking at a list that is minutes old. Longer, and "cancel" would come to mean "delete".
"""

CLOCK_MARGIN = timedelta(seconds=10)
"""How far Pub/Sub's clock and Spanner's may disagree about which of two events came first (inferred: Google's services
agree to well within this)."""


class State(enum.StrEnum):
    """What an operation looks like."""

    RUNNING = "RUNNING"
    """Not done, and nobody has asked for a cancel."""
    CANCELLING = "CANCELLING"
    """Not done, and Spanner has received a cancel."""
    SUCCEEDED = "SUCCEEDED"
    """Done, with a backup."""
    CANCELLED = "CANCELLED"
    """Done, with code CANCELLED: the cancel won and there is no backup."""
    FAILED = "FAILED"
    """Done, with any other code."""
    UNEXPLAINED = "UNEXPLAINED"
    """Done, and Spanner says neither with what error nor with what backup."""
    GONE = "GONE"
    """Spanner doesn't know the operation; it forgets them 7 days after their end."""


class Intent(enum.StrEnum):
    """Whether the backup is wanted."""

    KEEP = "KEEP"
    CANCEL = "CANCEL"


class Action(enum.Enum):
    """What a look does. The value is the phrase for the diagram."""

    WAIT = "look again later"
    WAIT_SOON = "look again soon"
    CANCEL = "cancel, look again soon"
    DELETE = "delete if earned"
    REPORT = "report"


class Outcome(enum.StrEnum):
    """How a command or an operation ended, or a step on the way that somebody may be waiting for."""

    STARTED = "STARTED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    COMPLETED = "COMPLETED"
    COMPLETED_DESPITE_CANCEL = "COMPLETED_DESPITE_CANCEL"
    CANCELLED = "CANCELLED"
    COMPLETED_THEN_DELETED = "COMPLETED_THEN_DELETED"
    COMPLETED_KEPT = "COMPLETED_KEPT"
    FAILED = "FAILED"
    GONE = "GONE"
    DELETE_BLOCKED = "DELETE_BLOCKED"
    GAVE_UP = "GAVE_UP"
    NOTHING_TO_CANCEL = "NOTHING_TO_CANCEL"
    REJECTED = "REJECTED"
    DRY_RUN = "DRY_RUN"


ON_THE_WAY = frozenset({Outcome.STARTED, Outcome.CANCEL_REQUESTED, Outcome.DELETE_BLOCKED})
"""The outcomes after which another one follows; every other one is the last word on its command."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One cell of the table.

    Attributes:
        action: What the look does.
        outcomes: What may be reported, the usual one first; empty for a look that says nothing.
    """

    action: Action
    outcomes: tuple[Outcome, ...] = ()

    @property
    def may_wait(self) -> bool:
        """Whether another look may follow; one that would come after the give-up time is `GAVE_UP` instead."""
        return self.action is not Action.REPORT


TABLE: Mapping[State, Mapping[Intent, Rule]] = {
    State.RUNNING: {
        Intent.KEEP: Rule(Action.WAIT),
        Intent.CANCEL: Rule(Action.CANCEL, (Outcome.CANCEL_REQUESTED,)),
    },
    State.CANCELLING: {
        Intent.KEEP: Rule(Action.WAIT_SOON),
        Intent.CANCEL: Rule(Action.WAIT_SOON),
    },
    State.SUCCEEDED: {
        Intent.KEEP: Rule(Action.REPORT, (Outcome.COMPLETED, Outcome.COMPLETED_DESPITE_CANCEL)),
        Intent.CANCEL: Rule(
            Action.DELETE, (Outcome.COMPLETED_THEN_DELETED, Outcome.COMPLETED_KEPT, Outcome.DELETE_BLOCKED)
        ),
    },
    State.CANCELLED: {
        Intent.KEEP: Rule(Action.REPORT, (Outcome.CANCELLED,)),
        Intent.CANCEL: Rule(Action.REPORT, (Outcome.CANCELLED,)),
    },
    State.FAILED: {
        Intent.KEEP: Rule(Action.REPORT, (Outcome.FAILED,)),
        Intent.CANCEL: Rule(Action.REPORT, (Outcome.FAILED,)),
    },
    State.UNEXPLAINED: {
        Intent.KEEP: Rule(Action.REPORT, (Outcome.COMPLETED, Outcome.FAILED)),
        Intent.CANCEL: Rule(Action.REPORT, (Outcome.COMPLETED_KEPT, Outcome.FAILED)),
    },
    State.GONE: {
        Intent.KEEP: Rule(Action.REPORT, (Outcome.GONE,)),
        Intent.CANCEL: Rule(Action.REPORT, (Outcome.GONE,)),
    },
}


def state_of(operation: Operation | None) -> State:
    """The one state that an operation is in; None stands for one that Spanner doesn't know."""
    if operation is None:
        return State.GONE
    if operation.response is not None:
        return State.SUCCEEDED
    if operation.error is not None:
        return State.CANCELLED if operation.error.code == "CANCELLED" else State.FAILED
    if operation.done:
        return State.UNEXPLAINED
    return State.RUNNING if operation.cancel_time is None else State.CANCELLING


def intent_now(intent: Intent, cancel_at: datetime | None, operation: Operation, now: datetime) -> Intent:
    """Whether the backup is wanted, now that the operation looks like this.

    Args:
        intent: What the command said.
        cancel_at: From when on the backup is unwanted if it still runs then; None: the command set no limit.
        operation: The operation as it is now.
        now: The time of the look; it decides only while the operation runs.
    """
    if intent is Intent.CANCEL or cancel_at is None:
        return intent
    reached = operation.end_time if operation.done else now
    return Intent.CANCEL if reached is not None and reached >= cancel_at else Intent.KEEP


@dataclass(frozen=True, slots=True)
class Case:
    """A backup that was to be stopped and is complete: all that speaks for deleting it or against.

    Attributes:
        look: On whose behalf.
        operation: The operation that made it, and succeeded.
        allow_delete: Whether the deployment may delete at all.
        found: The backup that has the name now; None before anybody has read it.
    """

    look: Look
    operation: Operation
    allow_delete: bool
    found: Backup | None = None

    @property
    def made(self) -> Backup:
        """The backup that the operation made, as its answer says."""
        assert self.operation.response is not None  # noqa: S101 that is what SUCCEEDED means
        return self.operation.response

    @property
    def schedules(self) -> tuple[str, ...]:
        """The native schedules that made the backup."""
        return self.made.schedules or (self.found.schedules if self.found is not None else ())


def was_asked_in_time(case: Case) -> bool:
    """Whether the command asked for the stop before the operation ended, or within what it may be late by."""
    end, unwanted_from = case.operation.end_time, case.look.cancel_at
    if end is None:
        return False
    if unwanted_from is not None and end >= unwanted_from:
        return True
    return case.look.intent is Intent.CANCEL and case.look.seen_running


def _when_complete(case: Case) -> str:
    end, published = case.operation.end_time, case.look.trigger.publish_time
    if end is None:
        return "Spanner does not say when its operation ended"
    complete = f"it was complete at {end.isoformat()}"
    if case.look.cancel_at is None:
        return f"its operation began within {CLOCK_MARGIN.seconds} s after the command, which may not have meant it"
    if case.look.intent is Intent.CANCEL and end > published:
        margin = int(CLOCK_MARGIN.total_seconds())
        return (
            f"{complete}, within {margin} s of the command, which is too close to tell which came first; a cancel that"
            " names the backup deletes it"
        )
    return f"{complete}, before anybody asked to stop it"


class Guard(NamedTuple):
    """One reason not to delete a backup.

    Attributes:
        name: What it guards against.
        applies: Whether it speaks against deleting.
        why: A clause that completes "the backup is left alone: …".
    """

    name: str
    applies: Callable[[Case], bool]
    why: Callable[[Case], str]


GUARDS = (
    Guard(
        "the command keeps it",
        lambda case: case.look.if_created is IfCreated.KEEP,
        lambda _: "the command says if_created: keep",
    ),
    Guard(
        "the deployment keeps everything",
        lambda case: not case.allow_delete,
        lambda _: "this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)",
    ),
    Guard("it was complete before anybody asked", lambda case: not was_asked_in_time(case), _when_complete),
    Guard(
        "another backup has its name",
        lambda case: (
            case.found is not None
            and (case.found.name, case.found.create_time) != (case.made.name, case.made.create_time)
        ),
        lambda case: (
            f"the backup that has its name now was created at {case.found and case.found.create_time.isoformat()}, and"
            f" the one that was to be stopped at {case.made.create_time.isoformat()}"
        ),
    ),
    Guard(
        "a backup schedule made it",
        lambda case: bool(case.schedules) and not case.look.include_scheduled,
        lambda case: f"it was made by {', '.join(case.schedules)}, and include_scheduled is not set",
    ),
)
"""Everything that speaks against a deletion, in the order in which it is told. Deleting takes that none applies."""


def reason_to_keep(case: Case) -> str | None:
    """Why a backup stays, as a clause that completes "the backup is left alone: …"; None if it is to be deleted."""
    return next((guard.why(case) for guard in GUARDS if guard.applies(case)), None)
