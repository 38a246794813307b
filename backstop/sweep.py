"""The safety net: looks after everything in an instance that slipped through, and starts no chains."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from backstop.commands import IfCreated
from backstop.context import At, Report
from backstop.deletion import judge, try_to_delete, users_of
from backstop.errors import RefusedError
from backstop.follow_ups import Look
from backstop.lifecycle import CLOCK_MARGIN, Intent, Outcome, State, state_of
from backstop.looks import request_cancel
from backstop.results import ErrorText, of_command, of_operation

if TYPE_CHECKING:
    from backstop.commands import Sweep
    from backstop.ports import Backup, Operation
    from backstop.results import Result

OPERATIONS_MAX = 12
"""How many operations one sweep acts on, at 2 calls each: a few seconds of Spanner's quota of 5 calls a second.

https://cloud.google.com/spanner/quotas (documented). The next sweep goes on, in an order of its own.
"""

COPIES_MAX = 5
"""How many copies that run are named."""


def sweep(command: Sweep, at: At) -> Report:
    """Stops what has run too long, and deals with what completed although it was cancelled.

    An operation that Google won't let us touch doesn't keep the others from being looked after; it is told last.
    """
    listing = at.ports.spanner.list_operations(command.instance)
    due = [operation for operation in listing.operations if _is_due(command, operation, at)]
    due.sort(key=lambda operation: (operation.done, _order(operation, at)))
    refused: RefusedError | None = None
    for operation in due[:OPERATIONS_MAX]:
        try:
            result = _look_after(command, operation, at)
        except RefusedError as error:
            refused = error
            continue
        if result is not None:
            at.tell(result)
    if refused is not None:
        raise refused
    left = max(len(due) - OPERATIONS_MAX, 0)
    more = [f"{left} operations are left for the next sweep."] if left else []
    running = [one for one in listing.unhandled if not one.done]
    more += [f"{one.name} runs and is left alone: {one.why}." for one in running[:COPIES_MAX]]
    note = " ".join(more)
    if not at.told:
        detail = f"Nothing to stop and nothing left behind in {command.instance}. {note}".strip()
        at.tell(of_command(Outcome.NOTHING_TO_CANCEL, detail, at.trigger, command))
    return Report(note=note)


def _order(operation: Operation, at: At) -> bytes:
    """Which ones come first differs from sweep to sweep, so that what can't be dealt with doesn't starve the rest."""
    return hashlib.sha256(f"{at.trigger.message_id}{operation.name}".encode()).digest()


def _is_due(command: Sweep, operation: Operation, at: At) -> bool:
    """Whether the operation is one to deal with, as things stood when the sweep was published."""
    published, cancelled = at.trigger.publish_time, operation.cancel_time
    match state_of(operation):
        case State.RUNNING | State.CANCELLING:
            if command.cancel_after is None or published - operation.start_time < command.cancel_after:
                return False
            # A cancel since then is most likely ours: an earlier delivery may have died before it could say so.
            return cancelled is None or cancelled >= published - CLOCK_MARGIN
        case State.SUCCEEDED:
            return cancelled is not None and operation.end_time is not None and cancelled <= operation.end_time
        case _:
            return False


def _look_after(command: Sweep, operation: Operation, at: At) -> Result | None:
    """Deals with one operation that is due; None if there turned out to be nothing to do."""
    found = at.find_backup(operation.backup)
    if found is None:
        return None
    if operation.done:
        return _clean_up(command, operation, found, at)
    if found.schedules and not command.include_scheduled:
        return None
    if command.dry_run:
        return of_operation(Outcome.DRY_RUN, f"Would cancel {operation.name}.", at.trigger, operation)
    if not request_cancel(at, operation):
        return None
    detail = f"Asked Spanner to stop {operation.name}, which has run since {operation.start_time.isoformat()}."
    return of_operation(Outcome.CANCEL_REQUESTED, detail, at.trigger, operation)


def _clean_up(command: Sweep, operation: Operation, found: Backup, at: At) -> Result | None:
    """Deals with a backup that completed although its operation was cancelled, if it is still there."""
    if operation.response is None or found.create_time != operation.response.create_time:
        return None

    def result(outcome: Outcome, what: str, error: ErrorText | None = None) -> Result:
        detail = f"{operation.backup} was complete before its cancel took effect, and {what}."
        return of_operation(outcome, detail, at.trigger, operation, found=found, error=error)

    if command.if_created is IfCreated.KEEP:
        return result(Outcome.COMPLETED_DESPITE_CANCEL, "is left alone: the sweep says if_created: keep")
    look = Look(
        trigger=at.trigger,
        step=0,
        operation=operation.name,
        intent=Intent.CANCEL,
        cancel_at=operation.cancel_time,
        include_scheduled=command.include_scheduled,
        give_up_at=at.now,
    )
    verdict = judge(at, look, operation, found)
    if verdict.outcome is not None:
        return result(verdict.outcome, verdict.what)
    if command.dry_run:
        return result(Outcome.DRY_RUN, "would be deleted")
    blocked = try_to_delete(at, found)
    if blocked is not None:
        said = ErrorText(blocked.code, blocked.message)
        return result(Outcome.DELETE_BLOCKED, f"can't be deleted yet, as {users_of(found)} still needs it", said)
    return result(Outcome.COMPLETED_THEN_DELETED, "has been deleted")
