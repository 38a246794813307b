"""One poll of one operation: carries out the rule that `lifecycle` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from backstop.chain import next_wait, poll_again
from backstop.context import At, Report
from backstop.deletion import delete_if_earned
from backstop.errors import RefusedError
from backstop.lifecycle import TABLE, Action, Intent, Outcome, State, intent_now, state_of
from backstop.results import Result, of_operation

if TYPE_CHECKING:
    from datetime import timedelta

    from backstop.follow_ups import Look
    from backstop.names import DatabaseName, OperationName
    from backstop.ports import Operation

TOO_LATE = frozenset({"FAILED_PRECONDITION", "NOT_FOUND"})
"""Refusals of a cancel that say that the operation may have ended: a reason to poll it once more, and no end."""


def act(at: At, look: Look, operation: Operation | None) -> Report:
    """Does what the table says for an operation as it is now.

    Args:
        at: The delivery.
        look: On whose behalf, and what is known from earlier polls; its step is the number of this one.
        operation: The operation; None if Spanner doesn't know it.
    """
    if operation is None:
        return gone(at, look.operation, look.database, look.step)
    wait: timedelta | None = None
    intent = intent_now(look.intent, look.cancel_at, operation, at.now)
    rule = TABLE[state_of(operation)][intent]
    match rule.action:
        case Action.WAIT | Action.WAIT_SOON:
            # An earlier delivery of the command may have asked for the cancel and died before it could say so.
            cancelled = operation.cancel_time
            asked = look.step == 0 and intent is Intent.CANCEL and cancelled and cancelled > at.trigger.publish_time
            wait = _poll_running(at, look, operation, asked=bool(asked))
        case Action.CANCEL:
            wait = _poll_running(at, look, operation, asked=request_cancel(at, operation))
        case Action.DELETE:
            wait = delete_if_earned(at, look, operation)
        case Action.REPORT:
            at.tell(ending(at, look, operation, intent))
        case _:
            assert_never(rule.action)
    return Report(
        operation=look.operation, database=look.database, state=state_of(operation), step=look.step, next_look=wait
    )


def gone(at: At, name: OperationName, database: DatabaseName | None = None, step: int = 0) -> Report:
    """Tells that Spanner doesn't know an operation, which is the end of every chain about it."""
    at.tell(
        Result(
            outcome=Outcome.GONE,
            detail=f"Spanner does not know {name}; it forgets operations 7 days after their end.",
            trigger=at.trigger,
            subject=name.backup,
            operation=name,
            backup=name.backup,
            database=database,
            steps=step,
        )
    )
    return Report(operation=name, database=database, state=State.GONE, step=step)


def request_cancel(at: At, operation: Operation) -> bool:
    """Asks Spanner to cancel an operation; False if it has ended since it was read."""
    try:
        at.ports.spanner.cancel_operation(operation.name)
    except RefusedError as error:
        if error.code not in TOO_LATE:
            raise
        return False
    return True


def ending(at: At, look: Look, operation: Operation, intent: Intent) -> Result:
    """The outcome of an operation that has ended and that nothing is to be done about."""
    state = state_of(operation)
    outcome, *others = TABLE[state][intent].outcomes
    found = None
    match state:
        case State.CANCELLED:
            what = "was cancelled; there is no backup, and nothing is billed"
        case State.FAILED:
            assert operation.error is not None  # noqa: S101 that is what the state means
            what = f"failed with {operation.error.code}: {operation.error.message}"
        case State.UNEXPLAINED:
            found = at.find_backup(operation.backup)
            if found is None:
                (outcome,) = others
                what = "is not there: its operation has ended, and Spanner says neither why nor with what backup"
            else:
                what = "is there and stays, as Spanner does not say what its operation made"
        case _:
            assert operation.response is not None  # noqa: S101 that is what the state means
            try:
                found = at.find_backup(operation.backup)
            except RefusedError:
                found = operation.response
            if found is None:
                what = f"was complete at {operation.end_time}, and was not found just now"
            elif found.create_time != operation.response.create_time:
                found, what = None, f"was complete at {operation.end_time}, and another backup has its name now"
            else:
                what = f"is complete and is kept until {found.expire_time:%Y-%m-%d %H:%M} UTC"
            if operation.cancel_time is not None:
                (outcome,) = others
                what += ", although somebody asked for a cancel; whoever asked decides about deleting it"
    detail = f"{operation.backup} {what.rstrip('.')}."
    return of_operation(outcome, detail, at.trigger, operation, found=found, steps=look.step)


def _poll_running(at: At, look: Look, operation: Operation, *, asked: bool) -> timedelta | None:
    detail = f"Asked Spanner to stop {operation.name}; it may complete all the same and is followed to its end."
    requested = of_operation(Outcome.CANCEL_REQUESTED, detail, at.trigger, operation, steps=look.step)
    told = [requested] if asked else []
    return poll_again(at, look, operation, next_wait(at, look, operation), "it has not ended", *told)
