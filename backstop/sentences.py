"""What a decision says to people: one sentence on what happened to which backup, why, and what they can do."""

from dataclasses import replace
from datetime import datetime

from backstop.events import Event, Outcome, of_operation
from backstop.followups import Poll
from backstop.lifecycle import GUARDS, Action, Case, Decision, State
from backstop.operations import Failure

BY_LIMIT = "a cancel was asked for: by Spanner's clock it was complete before this command's limit"
BY_SOMEBODY = "somebody, or a sweep, asked for a cancel"


def event_of(case: Case, decision: Decision, outcome: Outcome) -> Event:
    """The event that publishes an outcome of a case."""
    poll, operation, detail, found = case.poll, case.operation, sentence(case, decision), case.found
    if operation is None:
        return of_poll(outcome, detail, poll)
    kept = decision.guard is GUARDS[0]  # The command itself keeps it.
    if found is not None and operation.response is not None and (kept or outcome is not Outcome.COMPLETED_KEPT):
        found = found if found.create_time == operation.response.create_time else None
    if decision.rule.action is Action.SHORTEN and found is not None:
        found = replace(found, expire_time=case.earliest_expiry)
    refused = case.refused.get(Action.DELETE)
    severity = "WARNING" if outcome is Outcome.COMPLETED and found is None else "INFO" if kept and found else None
    said = {"steps": poll.step, "error": refused, "severity": severity}
    return of_operation(outcome, detail, poll.trigger, operation, found, **said)


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
    """What happened: a sentence for each outcome that a case can have."""
    name, backup, operation = case.poll.operation, case.poll.operation.backup, case.operation
    error = operation.error if operation else None
    said = "is not there: its operation has ended, and Spanner gives neither an error nor a backup"
    if error is not None:
        said = f"failed with {error.code}: {error.message.rstrip('.')}"
    match decision.state, decision.rule.outcome:
        case _, Outcome.GAVE_UP:
            return gave_up(case.poll, operation.percent if operation else None, _why_not_ended(case, decision))
        case _, Outcome.CANCEL_REQUESTED:
            return f"Spanner has been asked to stop {name}; the backup may complete all the same."
        case _, Outcome.GONE:
            return f"Spanner does not know {name}; it forgets operations 7 days after their end."
        case _, Outcome.CANCELLED:
            what = "was cancelled: this attempt left no backup, and nothing is billed for it"
        case _, Outcome.FAILED:
            what = said
        case _, Outcome.DELETE_BLOCKED:
            then = "a sweep with if_created: delete" if case.poll.trigger.action == "sweep" else "the next poll"
            what = f"can't be deleted yet, as {_users_of(case)} still needs it; {then} tries again"
        case _, Outcome.COMPLETED:
            what = _complete(case)
        case _, Outcome.COMPLETED_DESPITE_CANCEL:
            who = BY_LIMIT if Outcome.CANCEL_REQUESTED in case.poll.told else BY_SOMEBODY
            what = f"{_complete(case)}, although {who}"
        case _:
            why = decision.guard.why(case) if decision.guard else "has been deleted"
            what = f"was complete before it could be stopped, and {why}"
    return f"{backup} {what}."


def gave_up(poll: Poll, percent: int | None, why: str) -> str:
    """The last word of a chain whose time is up."""
    seen = f"; progress was {percent} % when last seen" if percent else ""
    return f"Stopped following {poll.operation} after {poll.step} polls: {why}{seen}. It needs a person now."


def earned(case: Case) -> str:
    """Why a backup may be deleted."""
    end, unwanted_from = case.end_time, case.poll.unwanted_from
    asked = f"{case.poll.operation.backup} of {case.poll.database} was to be stopped and completed all the same"
    why = "on behalf of the command it had been seen to run"
    if end is not None and unwanted_from is not None and end >= unwanted_from:
        why = f"the command doesn't want what ended from {when(unwanted_from)} on"
    return f"Tries to delete it: {asked}, at {when(end)}; {why}."


def would(case: Case, decision: Decision) -> str:
    """What a dry run says."""
    if decision.guard is not None and decision.rule.action is Action.POLL:
        why = f"{case.poll.operation.backup} was complete before it could be stopped, and {decision.guard.why(case)}"
        return f"Would poll again, to be sure: {why}."
    if decision.rule.action is Action.DELETE:
        first = f" as soon as {_users_of(case)} no longer needs it" * bool(case.found and case.found.referenced_by)
        return f"{case.poll.operation.backup} was complete before it could be stopped, and would be deleted{first}."
    if decision.rule.action is Action.REPORT:
        return f"Would publish {decision.rule.outcome}: {sentence(case, decision)}"
    return f"Would {decision.rule.action.value}: {case.poll.operation} is {decision.state}."


def when(moment: datetime | None) -> str:
    """A time for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"


def _complete(case: Case) -> str:
    if case.operation is not None and case.operation.response is None:
        return "is there and stays; Spanner does not say what its operation made"
    ended = f"was complete at {when(case.end_time)}, and"
    if case.found is None:
        return f"{ended} was not found just now"
    if case.found.create_time != case.made.create_time:
        return f"{ended} another backup has its name now"
    return f"{ended} is kept until {case.found.expire_time:%Y-%m-%d %H:%M} UTC"


def _why_not_ended(case: Case, decision: Decision) -> str:
    if decision.guard is not None:
        return "its operation is complete, and its backup could not be found just now"
    if decision.state is State.OVERDUE:
        refused = case.refused.get(Action.CANCEL)
        sent = ", and Spanner has just been asked to stop it" * (decision.rule.action is Action.CANCEL)
        running = f"it has not ended{sent}" if case.operation else "Spanner could not find it just now"
        return f"Spanner refuses to cancel it: {refused.message}" if refused else running
    blocked = f"its backup can't be deleted, as {_users_of(case)} still needs it"
    refused = case.refused.get(Action.SHORTEN)
    if decision.state is State.UNDELETABLE:
        return f"{blocked}; its expiry was brought forward to {when(case.earliest_expiry)}"
    because = f", as Spanner refused an earlier expiry: {refused.code}: {refused.message}" if refused else ""
    return f"{blocked}; it expires at {when(case.there.expire_time)}{because}"


def _users_of(case: Case) -> str:
    """Who keeps a backup from being deleted."""
    return ", ".join(case.there.referenced_by) or "a restore or a copy"
