"""What a decision says to people: one sentence on what happened to which backup, why, and what they can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstop.events import Event, Outcome, of_operation
from backstop.lifecycle import Action, State

if TYPE_CHECKING:
    from datetime import datetime

    from backstop.followups import Poll
    from backstop.lifecycle import Case, Decision
    from backstop.operations import Backup, Failure


def event_of(case: Case, decision: Decision, outcome: Outcome) -> Event:
    """The event that publishes an outcome of a case."""
    poll, operation = case.poll, case.operation
    detail, found, error = sentence(case, decision), case.found, case.refused.get(Action.DELETE)
    if operation is not None:
        if found is not None and operation.response is not None:
            is_it = found.create_time == operation.response.create_time or outcome is Outcome.COMPLETED_KEPT
            found = found if is_it else None
        return of_operation(outcome, detail, poll.trigger, operation, found=found, steps=poll.step, error=error)
    return of_poll(outcome, detail, poll)


def of_poll(outcome: Outcome, detail: str, poll: Poll, error: Failure | None = None) -> Event:
    """An outcome of an operation that Spanner doesn't know, or that could not be read."""
    return Event(
        outcome=outcome,
        detail=detail,
        trigger=poll.trigger,
        subject=poll.operation.backup,
        operation=poll.operation,
        backup=poll.operation.backup,
        database=poll.database,
        error=error,
        steps=poll.step,
    )


def sentence(case: Case, decision: Decision) -> str:
    """What happened, for each outcome that a case can have."""
    name, backup, operation = case.poll.operation, case.poll.operation.backup, case.operation
    if decision.outcome is Outcome.GAVE_UP:
        return gave_up(case.poll, operation.percent if operation else None, _why_not_ended(case, decision))
    if decision.guard is not None:
        return f"{backup} was complete before it could be stopped, and {decision.guard.why(case)}."
    match decision.state:
        case State.RUNNING | State.CANCELLING | State.ENDING | State.MISSING | State.OVERDUE:
            return f"Spanner has been asked to stop {name}; the backup may complete all the same."
        case State.COMPLETE | State.COMPLETE_DESPITE_CANCEL if decision.action is Action.DELETE:
            return f"{backup} was complete before it could be stopped, and has been deleted."
        case State.COMPLETE:
            return f"{backup} {_complete(case)}."
        case State.COMPLETE_DESPITE_CANCEL:
            return (
                f"{backup} {_complete(case)}, although somebody asked for a cancel; whoever asked decides about"
                " deleting it."
            )
        case State.BLOCKED | State.UNDELETABLE | State.LEFT_TO_EXPIRE:
            return f"{backup} can't be deleted yet, as {_users_of(case.found)} still needs it; Backstop will try again."
        case State.CANCELLED:
            return f"{backup} was cancelled; there is no backup, and nothing is billed."
        case State.FAILED:
            assert operation is not None and operation.error is not None  # noqa: PT018, S101 that is what the state means
            return f"{backup} failed with {operation.error.code}: {operation.error.message.rstrip('.')}."
        case State.UNEXPLAINED:
            return f"{backup} is there and stays, as Spanner does not say what its operation made."
        case State.EMPTY:
            return f"{backup} is not there: its operation has ended, and Spanner gives neither an error nor a backup."
        case State.GONE:
            return f"Spanner does not know {name}; it forgets operations 7 days after their end."


def gave_up(poll: Poll, percent: int | None, why: str) -> str:
    """The last word of a chain whose time is up."""
    seen = f"; progress was {percent} % when last seen" if percent else ""
    return f"Stopped following {poll.operation} after {poll.step} polls: {why}{seen}. It needs a person now."


def earned(case: Case) -> str:
    """Why a backup may be deleted."""
    end, unwanted_from = case.end_time, case.poll.unwanted_from
    asked = f"{case.poll.operation.backup} of {case.poll.database} was to be stopped and completed all the same"
    if end is not None and unwanted_from is not None and end >= unwanted_from:
        return (
            f"Deletes it: {asked}, at {when(end)}; the command doesn't want what ended from {when(unwanted_from)} on."
        )
    return f"Deletes it: {asked}, at {when(end)}; on behalf of the command it had been seen to run."


def would(case: Case, decision: Decision) -> str:
    """What a dry run says."""
    if decision.action is Action.DELETE:
        return f"{case.poll.operation.backup} was complete before it could be stopped, and would be deleted."
    if decision.guard is not None:
        return sentence(case, decision)
    return f"Would {decision.action.value}: {case.poll.operation} is {decision.state}."


def when(moment: datetime | None) -> str:
    """A time for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def _complete(case: Case) -> str:
    if case.found is None:
        return f"was complete at {when(case.end_time)}, and was not found just now"
    if case.found.create_time != case.made.create_time:
        return f"was complete at {when(case.end_time)}, and another backup has its name now"
    return f"is complete and is kept until {case.found.expire_time:%Y-%m-%d %H:%M} UTC"


def _why_not_ended(case: Case, decision: Decision) -> str:
    blocked = f"its backup can't be deleted, as {_users_of(case.found)} still needs it"
    if decision.action is Action.SHORTEN:
        return f"{blocked}; its expiry was brought forward to {when(case.earliest_expiry)}"
    if decision.state is State.LEFT_TO_EXPIRE:
        assert case.found is not None  # noqa: S101 that is what the state means
        refused = case.refused.get(Action.SHORTEN)
        because = f", as Spanner refused an earlier expiry: {refused.code}: {refused.message}" if refused else ""
        return f"{blocked}; it expires at {when(case.found.expire_time)}{because}"
    if refused := case.refused.get(Action.CANCEL):
        return f"Spanner refuses to cancel it: {refused.message}"
    return "it has not ended"


def _users_of(backup: Backup | None) -> str:
    """Who keeps a backup from being deleted."""
    return ", ".join(backup.referenced_by if backup else ()) or "a restore or a copy"
