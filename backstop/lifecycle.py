"""What an operation can look like, and what is done about it. This file is the whole of it.

Rules about this file
    Everything that decides between waiting, cancelling, deleting and reporting is here, as one table and the
    conditions above it. It calls nobody, knows no message format, and has no clock.

Theory of operation
    A look reads the operation from Spanner and finds it in exactly one *state*. The command on whose behalf the look
    is made gives the *intent*: KEEP, the backup is wanted, or CANCEL, it is not. State and intent select one *rule*:
    what to do now, and which outcome that is. Nothing else is remembered from one look to the next, so a look that
    comes late, twice, or out of order does what is right for what it finds.

    The intent of a command with a time limit is KEEP until its limit and CANCEL from then on. An operation that
    ended before the limit was never unwanted: its end, by Spanner's clock, is compared with the limit, and not the
    time of the look, so that a late look doesn't turn a good backup into a bad one.

    A rule that waits makes the next look. One look ends in GAVE_UP instead of a next one: the first that still wants
    to wait after its give-up time. A state that ends the chain always wins over giving up.

    Deleting is a second decision, made only under SUCCEEDED and CANCEL: `reason_to_keep` names what speaks against
    it, and only a backup that nothing speaks for is deleted. Deleting must be earned:
      - the operation ended no earlier than the backup was first unwanted, by Spanner's clock;
      - the backup found under the name is the one that this operation made: the same create_time;
      - no native backup schedule made it, unless those were included;
      - nobody asked to keep it.

Where two rules could apply
    A cancel that somebody else asked for does not change the intent: under KEEP its end is reported and the backup
    stays, and whoever asked for the cancel decides about deleting.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from backstop.ports import Backup, Operation

GRACE = timedelta(minutes=10)
"""How long before a cancel was published the operation may have ended and still count as a lost race.

People decide to cancel by looking at a list that is minutes old. Longer, and "cancel" would come to mean "delete".
"""


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


def reason_to_keep(
    operation: Operation, found: Backup | None, *, unwanted_from: datetime | None, include_scheduled: bool
) -> str | None:
    """What speaks against deleting a backup whose operation succeeded; None if nothing does.

    Args:
        operation: The operation, which has a response.
        found: The backup that has the name now; None judges by the operation alone, before anybody looks.
        unwanted_from: The earliest end for which the backup is unwanted, by Spanner's clock.
        include_scheduled: Whether backups made by native schedules may be deleted.

    Returns:
        A clause that completes "the backup stays: …".
    """
    made = operation.response
    if made is None or operation.end_time is None:
        return "Spanner does not say when its operation ended"
    if unwanted_from is None or operation.end_time < unwanted_from:
        return f"it was complete at {operation.end_time.isoformat()}, before anybody asked to stop it"
    if found is not None and (found.name, found.create_time) != (made.name, made.create_time):
        return f"another backup has its name now, created at {found.create_time.isoformat()}"
    schedules = made.schedules or (found.schedules if found is not None else ())
    if schedules and not include_scheduled:
        return f"it was made by {', '.join(schedules)}, and include_scheduled is not set"
    return None
