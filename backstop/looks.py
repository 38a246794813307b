"""One look at one operation: carries out the rule that `lifecycle` gives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from backstop.chain import give_up, next_wait, schedule_look
from backstop.context import At, Report, tell
from backstop.deletion import delete_if_earned
from backstop.lifecycle import TABLE, Action, Intent, Outcome, State, intent_now, state_of
from backstop.results import Result, of_operation

if TYPE_CHECKING:
    from backstop.follow_ups import Look
    from backstop.names import DatabaseName, OperationName
    from backstop.ports import Operation


def act(at: At, look: Look, operation: Operation | None) -> Report:
    """Does what the table says for an operation as it is now.

    Args:
        at: The delivery.
        look: On whose behalf, and what is known from earlier looks; its step is the number of this look.
        operation: The operation; None if Spanner doesn't know it.
    """
    if operation is None:
        return gone(at, look.operation, look.database, look.step)
    report = Report(operation=look.operation, database=look.database, state=state_of(operation), step=look.step)
    intent = intent_now(look.intent, look.cancel_at, operation, at.now)
    rule = TABLE[state_of(operation)][intent]
    match rule.action:
        case Action.WAIT | Action.WAIT_SOON:
            # An earlier delivery of the command may have asked for the cancel and died before it could say so.
            cancelled = operation.cancel_time
            asked = look.step == 0 and intent is Intent.CANCEL and cancelled and cancelled > at.trigger.publish_time
            return _look_again(at, look, operation, report, *([_requested(at, look, operation)] if asked else []))
        case Action.CANCEL:
            at.ports.spanner.cancel_operation(operation.name)
            return _look_again(at, look, operation, report, _requested(at, look, operation))
        case Action.DELETE:
            return delete_if_earned(at, look, operation, report)
        case Action.REPORT:
            return replace(report, results=tell(at, _end(at, look, operation)))
        case _:
            assert_never(rule.action)


def gone(at: At, name: OperationName, database: DatabaseName | None = None, step: int = 0) -> Report:
    """Tells that Spanner doesn't know an operation, which is the end of every chain about it."""
    result = Result(
        outcome=Outcome.GONE,
        detail=f"Spanner does not know {name}; it forgets operations 7 days after their end.",
        trigger=at.trigger,
        subject=name.backup,
        operation=name,
        backup=name.backup,
        database=database,
        steps=step,
    )
    return Report(results=tell(at, result), operation=name, database=database, state=State.GONE, step=step)


def _look_again(at: At, look: Look, operation: Operation, report: Report, *told: Result) -> Report:
    if at.now >= look.give_up_at:
        ending = give_up(at, look, "it has not ended", operation)
        return replace(report, results=tell(at, *told, ending))
    wait = schedule_look(at, look, operation, next_wait(at, look, operation))
    return replace(report, results=tell(at, *told), next_look=wait)


def _requested(at: At, look: Look, operation: Operation) -> Result:
    detail = f"Asked Spanner to stop {operation.name}; it may complete all the same and is followed to its end."
    return of_operation(Outcome.CANCEL_REQUESTED, detail, at.trigger, operation, steps=look.step)


def _end(at: At, look: Look, operation: Operation) -> Result:
    """The outcome of an operation that ended and that nothing is to be done about."""
    outcome = TABLE[state_of(operation)][Intent.KEEP].outcomes[0]
    if outcome is Outcome.COMPLETED and operation.cancel_time is not None:
        outcome = Outcome.COMPLETED_DESPITE_CANCEL
    made = operation.response
    if made is not None:
        ending = f"is complete and is kept until {made.expire_time:%Y-%m-%d %H:%M} UTC"
        if outcome is Outcome.COMPLETED_DESPITE_CANCEL:
            ending = "is complete, although a cancel was asked for; whoever asked decides about deleting it"
    elif outcome is Outcome.CANCELLED:
        ending = "was cancelled; there is no backup, and nothing is billed"
    else:
        assert operation.error is not None  # noqa: S101 an operation that is done has one or the other
        ending = f"failed with {operation.error.code}: {operation.error.message}"
    return of_operation(outcome, f"{operation.backup} {ending.rstrip('.')}.", at.trigger, operation, steps=look.step)
