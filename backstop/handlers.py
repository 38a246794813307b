"""What each command does to an operation that is already there, and what a follow-up does.

Everything is done in one order: read the state, act, schedule what comes next, publish the outcome. Dying anywhere
on the way means that the message comes again, and that doing it again is harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backstop import find
from backstop.chain import give_up_at, limit
from backstop.context import At, Report, tell
from backstop.deletion import judge
from backstop.durations import duration_text
from backstop.errors import RefusedError
from backstop.follow_ups import Look
from backstop.lifecycle import GRACE, TABLE, Action, Intent, Outcome, intent_now, state_of
from backstop.looks import act, gone
from backstop.results import of_command, of_operation

if TYPE_CHECKING:
    from backstop.commands import Cancel, Follow
    from backstop.names import OperationName
    from backstop.ports import Operation

CANDIDATES_MAX = 5
"""How many running operations of one database are looked at for the one that a cancel means.

One on-demand backup can be pending at a time, and a database has at most 4 schedules.
https://cloud.google.com/spanner/quotas (documented)
"""


def cancel(command: Cancel, at: At) -> Report:
    """Stops the operation that the command means, or deals with the backup if the stop comes too late."""
    published = at.trigger.publish_time
    scheduled: list[Operation] = []
    if command.operation is not None:
        operation = _get(command.operation, at)
        if operation is None:
            return gone(at, command.operation)
        # Whoever names an operation knows it, so it is older than the command, whatever two clocks make of that.
        candidates = find.running([operation], max(published, operation.start_time))
        ended = find.lately_ended([operation], max(published, operation.start_time))
    else:
        operations = _list(command, at)
        candidates = find.running(operations, published)[:CANDIDATES_MAX]
        others = [one for one in operations if one not in candidates]
        ended = find.lately_ended(others, published, include_scheduled=command.include_scheduled)
    if not command.include_scheduled:
        scheduled = [operation for operation in candidates if is_scheduled(operation, at)]
        candidates = [operation for operation in candidates if operation not in scheduled]
    if len(candidates) > 1:
        names = ", ".join(operation.name for operation in candidates)
        return _reject(command, f"Cancelled nothing, as several operations ran: {names}. Name the one you mean.", at)
    meant = candidates[0] if candidates else ended
    if meant is None and scheduled:
        made_by = f"Did not cancel {scheduled[0].name}, as a backup schedule made it and include_scheduled is not set."
        return _reject(command, made_by, at)
    if meant is None:
        minutes = duration_text(GRACE)
        nothing = (
            f"Nothing to cancel: no such operation ran when the command was published, or in the {minutes} before."
        )
        return Report(results=tell(at, of_command(Outcome.NOTHING_TO_CANCEL, nothing, at.trigger, command)))
    look = Look(
        trigger=at.trigger,
        step=0,
        operation=meant.name,
        database=meant.database,
        intent=Intent.CANCEL,
        cancel_at=published - GRACE,
        if_created=command.if_created,
        include_scheduled=command.include_scheduled,
        give_up_at=give_up_at(meant, at),
    )
    return _act_or_say(command, look, meant, at)


def follow(command: Follow, at: At) -> Report:
    """Follows an operation that somebody else started."""
    if command.operation is not None:
        operation = _get(command.operation, at)
        if operation is None:
            return gone(at, command.operation)
    else:
        newest = find.newest(_list(command, at), at.trigger.publish_time)
        if newest is None:
            return _reject(command, "Found no operation to follow; Spanner keeps them for 7 days after their end.", at)
        operation = newest
    unwanted_from = limit(command.cancel_after, operation, at)
    if (
        unwanted_from is not None
        and not command.include_scheduled
        and not operation.done
        and is_scheduled(operation, at)
    ):
        why = f"Did not follow {operation.name}, as a backup schedule made it and include_scheduled is not set."
        return _reject(command, why, at)
    look = Look(
        trigger=at.trigger,
        step=0,
        operation=operation.name,
        database=operation.database,
        intent=Intent.KEEP,
        cancel_at=unwanted_from,
        if_created=command.if_created,
        include_scheduled=command.include_scheduled,
        give_up_at=give_up_at(operation, at),
    )
    return _act_or_say(command, look, operation, at)


def look_again(look: Look, at: At) -> Report:
    """The follow-up's handler: reads the operation and does what the table says."""
    return act(at, look, _get(look.operation, at))


def _get(name: OperationName, at: At) -> Operation | None:
    try:
        return at.ports.spanner.get_operation(name)
    except RefusedError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def _list(command: Cancel | Follow, at: At) -> list[Operation]:
    target = command.database or command.backup
    assert target is not None  # noqa: S101 a command has exactly one target, and this one is no operation
    return list(
        at.ports.spanner.list_operations(target.instance, database=command.database, backup=command.backup).operations
    )


def is_scheduled(operation: Operation, at: At) -> bool:
    """Whether a native schedule makes the backup; only the backup itself says so while it is being made.

    If somebody has deleted it, a schedule may have taken over its name. That takes proof: a later operation that makes
    a backup of that name. Without it a backup that says it is a schedule's is taken at its word, and left alone.
    """
    if operation.done:
        return find.is_scheduled(operation)
    try:
        found = at.ports.spanner.get_backup(operation.backup)
    except RefusedError as error:
        if error.code == "NOT_FOUND":
            return False
        raise
    if not found.schedules:
        return False
    same_name = at.ports.spanner.list_operations(operation.backup.instance, backup=operation.backup).operations
    return all(other.start_time <= operation.start_time for other in same_name)


def _act_or_say(command: Cancel | Follow, look: Look, operation: Operation, at: At) -> Report:
    if not command.dry_run:
        return act(at, look, operation)
    state = state_of(operation)
    rule = TABLE[state][intent_now(look.intent, look.cancel_at, operation, at.now)]
    detail = f"Would {rule.action.value}: {operation.name} is {state}."
    if rule.action is Action.DELETE:
        verdict = judge(at, look, operation)
        would = "would be deleted" if verdict.outcome is None else verdict.what
        detail = f"{operation.backup} was complete before it could be stopped, and {would}."
    result = of_operation(Outcome.DRY_RUN, detail, at.trigger, operation)
    return Report(results=tell(at, result), operation=operation.name, database=operation.database, state=state)


def _reject(command: Cancel | Follow, why: str, at: At) -> Report:
    return Report(results=tell(at, of_command(Outcome.REJECTED, why, at.trigger, command)))
