"""What is done about an operation, and why.

Everything that decides between polling, cancelling, deleting and reporting is here, as two tables: the transitions, and
the guards against a deletion. `decide` looks them up. It calls nobody and has no clock. A cancel, a poll, a sweep and a
dry run all go through it: a dry run is the decision without its execution. Which operation a command means, and from
when on it is unwanted, the command's handler says.

How it decides
    Somebody reads the operation, and the backup if it made one. That is a *case*, and it is in exactly one *state*. The
    command on whose behalf it was read gives the *intent*: KEEP, the backup is wanted, or CANCEL, it is not. State and
    intent select one *rule*: what to do, and which outcome that is. A poll that comes late, twice, or out of order does
    what is right for what it finds.

    The intent of a command with a time limit is KEEP until its limit and CANCEL from then on. The operation's end, by
    Spanner's clock, is compared with the limit, and not the time of the poll: a late poll doesn't turn a good backup
    into a bad one. A cancel that somebody else asked for changes the intent of nothing but a sweep that deletes.

    Spanner may refuse what a rule asks for, because the operation or the backup has changed since it was read. Then the
    refusal is one more fact, and the case is decided again. No rule is refused twice, so this ends.

    A rule without an outcome, or with one that is on the way, is followed by another poll; every other one ends the
    chain. At the give-up time a state that would go on becomes one that doesn't.

    Deleting takes a second decision: each guard is one reason not to delete. The first that applies keeps the backup,
    and its sentence says why. Nothing is deleted but what passes them all.

Doubt protects
    A command that names the operation or the backup knows which attempt it means, and may come up to `GRACE` too late.
    One that names a database doesn't: a backup that was complete when it was published may be last night's good one. So
    it must be certain that the operation still ran then. Two things are proof: a delivery of this very command saw it
    run, or it ended so much later that no two clocks could disagree about it. If it began after
    the command, only a poll that saw it run is proof.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from backstop.commands import RETENTION_MIN, IfCreated
from backstop.events import ON_THE_WAY, Outcome
from backstop.followups import Intent, Poll
from backstop.operations import Backup, Failure, Operation

# How long before a cancel that names it an operation may have ended and still count as a lost race: whoever cancels may
# be looking at a list that is minutes old. Longer, and "cancel" would come to mean "delete".
GRACE = timedelta(minutes=10)

# How far Pub/Sub's clock and Spanner's may disagree (inferred: Google's services agree to well within this).
CLOCK_MARGIN = timedelta(seconds=10)

# How far from an edge of Spanner's window for the expiry we stay, as the server's clock decides and not ours.
EXPIRY_MARGIN = timedelta(minutes=5)


class State(enum.StrEnum):
    """What a case looks like."""

    RUNNING = "RUNNING"  # Not done, and nobody has asked for a cancel.
    CANCELLING = "CANCELLING"  # Not done, and Spanner has received a cancel.
    ENDING = "ENDING"  # Not done when it was read, and Spanner refuses to cancel it, as it has ended since.
    MISSING = "MISSING"  # Spanner doesn't know the operation, which may be a mistake the first time.
    OVERDUE = "OVERDUE"  # It was to end by the give-up time, and hasn't.
    COMPLETE = "COMPLETE"  # Done, with a backup, or with nothing where the backup is there.
    COMPLETE_DESPITE_CANCEL = "COMPLETE_DESPITE_CANCEL"  # Done, with a backup, although Spanner had received a cancel.
    BLOCKED = "BLOCKED"  # Done, and Spanner refuses to delete the backup, as a restore or a copy needs it.
    UNDELETABLE = "UNDELETABLE"  # The same at the give-up time, and the backup may expire earlier than it will.
    LEFT_TO_EXPIRE = "LEFT_TO_EXPIRE"  # The same, and it expires as early as can be.
    CANCELLED = "CANCELLED"  # Done, with code CANCELLED: the cancel won, and it left no backup.
    FAILED = "FAILED"  # Done, with any other code, or with nothing where no backup is there.
    GONE = "GONE"  # Spanner doesn't know the operation; it forgets them 7 days after their end.


class Action(enum.Enum):
    """What is done. The value is the phrase for people."""

    POLL = "poll again"
    CANCEL = "cancel"
    DELETE = "delete, unless a guard keeps it"
    SHORTEN = "bring the expiry forward"
    REPORT = "report"


class Rule(NamedTuple):
    """What to do in one state under one intent, and which outcome that is; None: there is nothing to publish yet."""

    action: Action
    outcome: Outcome | None = None

    @property
    def polls_again(self) -> bool:
        """Whether the chain goes on."""
        return self.outcome is None or self.outcome in ON_THE_WAY


def _both(rule: Rule) -> dict[Intent, Rule]:
    return {Intent.KEEP: rule, Intent.CANCEL: rule}


KEEP, CANCEL = Intent.KEEP, Intent.CANCEL
DELETES = Rule(Action.DELETE, Outcome.COMPLETED_THEN_DELETED)
# A cell that isn't there can't be reached: Spanner refuses to cancel or to delete only what is to be.
TRANSITIONS: dict[State, dict[Intent, Rule]] = {
    State.RUNNING: {KEEP: Rule(Action.POLL), CANCEL: Rule(Action.CANCEL, Outcome.CANCEL_REQUESTED)},
    State.CANCELLING: {KEEP: Rule(Action.POLL), CANCEL: Rule(Action.POLL, Outcome.CANCEL_REQUESTED)},
    State.ENDING: {CANCEL: Rule(Action.POLL)},
    State.MISSING: _both(Rule(Action.POLL)),
    State.OVERDUE: {KEEP: Rule(Action.REPORT, Outcome.GAVE_UP), CANCEL: Rule(Action.CANCEL, Outcome.GAVE_UP)},
    State.COMPLETE: {KEEP: Rule(Action.REPORT, Outcome.COMPLETED), CANCEL: DELETES},
    State.COMPLETE_DESPITE_CANCEL: {KEEP: Rule(Action.REPORT, Outcome.COMPLETED_DESPITE_CANCEL), CANCEL: DELETES},
    State.BLOCKED: {CANCEL: Rule(Action.POLL, Outcome.DELETE_BLOCKED)},
    State.UNDELETABLE: {CANCEL: Rule(Action.SHORTEN, Outcome.GAVE_UP)},
    State.LEFT_TO_EXPIRE: {CANCEL: Rule(Action.REPORT, Outcome.GAVE_UP)},
    State.CANCELLED: _both(Rule(Action.REPORT, Outcome.CANCELLED)),
    State.FAILED: _both(Rule(Action.REPORT, Outcome.FAILED)),
    State.GONE: _both(Rule(Action.REPORT, Outcome.GONE)),
}


@dataclass(frozen=True, slots=True)
class Case:
    """All that a decision is made of."""

    poll: Poll  # On whose behalf, and what is known from earlier polls.
    now: datetime  # It decides only while the operation runs.
    operation: Operation | None  # As it is now; None if Spanner doesn't know it.
    found: Backup | None = None  # What has the backup's name now; None if nothing has, or nobody needs to know.
    allow_delete: bool = False  # Whether the deployment may delete at all now, whatever held when the command came.
    allow_scheduled: bool = False  # Whether it may delete what native backup schedules made, likewise.
    refused: Mapping[Action, Failure] = field(default_factory=dict)  # What Spanner has refused to do in this case.

    @property
    def is_late(self) -> bool:
        """Whether the chain's time is up."""
        return self.now >= self.poll.give_up_at

    @property
    def end_time(self) -> datetime | None:
        """When the operation ended."""
        return self.operation.end_time if self.operation else None

    @property
    def made(self) -> Backup:
        """The backup that the operation made, as its answer says; only a complete one has any."""
        assert self.operation is not None  # noqa: S101 that is what complete means
        assert self.operation.response is not None  # noqa: S101 as above
        return self.operation.response

    @property
    def there(self) -> Backup:
        """The backup that has the name now, where there is one."""
        assert self.found is not None  # noqa: S101 who asks has looked
        return self.found

    @property
    def schedules(self) -> tuple[str, ...]:
        """The native schedules that made the backup."""
        return self.made.schedules or self.there.schedules

    @property
    def earliest_expiry(self) -> datetime:
        """The earliest expiry that Spanner takes: 6 hours after the creation (documented), not in the past (inferred).

        https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups
        """
        return max(self.made.create_time + RETENTION_MIN, self.now) + EXPIRY_MARGIN


def was_unwanted(case: Case) -> bool:
    """Whether the command asked for the stop before the operation ended, or within what it may be late by."""
    end, poll = case.end_time, case.poll
    if end is not None and poll.unwanted_from is not None and end >= poll.unwanted_from:
        return True
    # An answer may be old: what ended long before the command can't have been seen to run.
    old = end is None or end < poll.trigger.publish_time - CLOCK_MARGIN
    return not old and poll.intent is Intent.CANCEL and poll.seen_running


def _may_be_told_by_a_chain(case: Case) -> bool:
    """Whether an earlier delivery of this command may have seen it run, and have begun a chain that can prove it."""
    end, operation = case.end_time, case.operation
    ran = end is not None and end > case.poll.trigger.publish_time
    return case.poll.step == 0 and (ran or (operation is not None and operation.cancel_time is not None))


def _when_complete(case: Case) -> str:
    end, margin_s = case.end_time, int(CLOCK_MARGIN.total_seconds())
    if end is None:
        return "Spanner does not say when its operation ended"
    if case.poll.unwanted_from is None:
        return f"its operation began within {margin_s} s after the command, which may not have meant it"
    if case.poll.intent is Intent.CANCEL and end > case.poll.trigger.publish_time:
        close = f"it was complete at {end.isoformat()}, within {margin_s} s of the command, which is too close to tell"
        how = f"; a cancel that names the operation deletes it, if published by {(end + GRACE).isoformat()}"
        return f"{close} which came first{how if case.now < end + GRACE and not case.schedules else ''}"
    return f"it was complete at {end.isoformat()}, before this command asked to stop it"


def _forbids_scheduled(case: Case) -> str:
    return "BACKSTOP_ALLOW_SCHEDULED is false" if case.poll.include_scheduled else "include_scheduled is not set"


def _other_than_made(case: Case) -> str:
    there, made = (backup.create_time.isoformat() for backup in (case.there, case.made))
    return f"the backup that has its name now was created at {there}, and the one that was to be stopped at {made}"


class Guard(NamedTuple):
    """One reason not to delete a backup."""

    name: str  # What it guards against.
    applies: Callable[[Case], bool]  # Whether it speaks against deleting.
    why: Callable[[Case], str]  # A clause that completes "the backup was complete before it could be stopped, and …".
    outcome: Outcome = Outcome.COMPLETED_KEPT
    next_poll_may_know: Callable[[Case], bool] = lambda _: False  # Then the chain polls again.
    if_late: Outcome | None = None  # What it comes to where there is no next poll.


# Everything that speaks against a deletion, in the order in which it is told. Deleting takes that none applies.
GUARDS = (
    Guard(
        "the command keeps it",
        lambda case: case.poll.if_created is IfCreated.KEEP,
        lambda _: "is left alone: the command says if_created: keep",
    ),
    Guard(
        "the deployment keeps everything",
        lambda case: not case.allow_delete,
        lambda _: "is left alone: this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)",
    ),
    Guard(
        "it is gone",
        lambda case: case.found is None,
        lambda _: "is gone",
        Outcome.COMPLETED_THEN_DELETED,
        # Spanner may say so by mistake, so a backup is gone only when two polls don't find it.
        lambda case: case.poll.missing != "backup",
        Outcome.GAVE_UP,
    ),
    Guard(
        "it is gone, and its name was used again",
        lambda case: case.end_time is not None and case.there.create_time >= case.end_time,
        lambda case: (
            f"is gone; the backup that has its name now, created at {case.there.create_time.isoformat()}, stays"
        ),
        Outcome.COMPLETED_THEN_DELETED,
    ),
    Guard(
        "nobody knows what its operation made",
        lambda case: case.operation is not None and case.operation.response is None,
        lambda _: "is left alone: Spanner does not say what its operation made",
    ),
    Guard(
        "it was complete before anybody asked",
        lambda case: not was_unwanted(case),
        lambda case: f"is left alone: {_when_complete(case)}",
        next_poll_may_know=_may_be_told_by_a_chain,
    ),
    Guard(
        "another backup has its name",
        lambda case: (case.there.name, case.there.create_time) != (case.made.name, case.made.create_time),
        lambda case: f"is left alone: {_other_than_made(case)}",
    ),
    Guard(
        "a backup schedule made it",
        lambda case: bool(case.schedules) and not (case.poll.include_scheduled and case.allow_scheduled),
        lambda case: f"is left alone: it was made by {', '.join(case.schedules)}, and {_forbids_scheduled(case)}",
    ),
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about a case."""

    state: State
    rule: Rule
    guard: Guard | None = None  # Why a backup that was to be deleted stays, for now or for good, or is gone.


def decide(case: Case) -> Decision:
    """What to do about a case: the rule of its state and intent, unless a guard forbids what it asks for."""
    state = state_of(case)
    rule = TRANSITIONS[state][intent_of(case)]
    if rule.action is not Action.DELETE:
        return Decision(state, rule)
    guard = next((guard for guard in GUARDS if guard.applies(case)), None)
    if guard is not None and not guard.next_poll_may_know(case):
        rule = Rule(Action.REPORT, guard.outcome)
    elif guard is not None:
        # What the next poll may know better is not said by the last one.
        rule = Rule(Action.REPORT, guard.if_late or guard.outcome) if case.is_late else Rule(Action.POLL)
    return Decision(state, rule, guard)


def state_of(case: Case) -> State:
    """The one state that a case is in."""
    operation, poll = case.operation, case.poll
    if operation is None and (poll.missing == "operation" or poll.step == 0):
        # Whoever names one that isn't there is told so at once; a chain makes sure.
        return State.GONE
    if operation is None:
        return State.OVERDUE if case.is_late else State.MISSING
    if operation.error is not None or (operation.unexplained and case.found is None):
        return State.CANCELLED if operation.error and operation.error.code == "CANCELLED" else State.FAILED
    if operation.done:
        return _state_of_complete(case, operation)
    if case.is_late:
        return State.OVERDUE
    running = State.RUNNING if operation.cancel_time is None else State.CANCELLING
    return State.ENDING if Action.CANCEL in case.refused else running


def _state_of_complete(case: Case, operation: Operation) -> State:
    if Action.DELETE not in case.refused:
        return State.COMPLETE if operation.cancel_time is None else State.COMPLETE_DESPITE_CANCEL
    if not case.is_late:
        return State.BLOCKED
    can_expire_earlier = Action.SHORTEN not in case.refused and case.there.expire_time > case.earliest_expiry
    return State.UNDELETABLE if can_expire_earlier else State.LEFT_TO_EXPIRE


def intent_of(case: Case) -> Intent:
    """Whether the backup is wanted, now that the operation looks like this."""
    poll, operation = case.poll, case.operation
    if poll.intent is Intent.CANCEL or poll.unwanted_from is None or operation is None:
        return poll.intent
    reached = operation.end_time if operation.done else case.now
    return Intent.CANCEL if reached is not None and reached >= poll.unwanted_from else Intent.KEEP
