"""What each command does to an operation that is already there, and what a follow-up does.

Everything is done in one order: read the state, act, schedule what comes next, publish the outcome. Dying anywhere
on the way means that the message comes again, and that doing it again is harmless.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from backstop import find
from backstop.chain import bounded, give_up_at, limit
from backstop.context import At, Report
from backstop.deletion import judge
from backstop.errors import RefusedError, TransientError
from backstop.follow_ups import Look, target
from backstop.lifecycle import CLOCK_MARGIN, GRACE, TABLE, Action, Intent, Outcome, intent_now, state_of
from backstop.looks import act, gone
from backstop.results import of_command, of_operation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from backstop.commands import Cancel, Follow
    from backstop.names import OperationName
    from backstop.ports import Listing, Operation, Unhandled

CANDIDATES_MAX = 5
"""How many running operations of one database are looked at for the one that a cancel means.

One on-demand backup can be pending at a time, and a database has at most 4 schedules.
https://cloud.google.com/spanner/quotas (documented)
"""


def cancel(command: Cancel, at: At) -> Report:
    """Stops the operation that the command means, or deals with the backup if the stop comes too late."""
    if command.operation is not None:
        return _cancel_operation(command, command.operation, at)
    listing = _list(command, at)
    published = at.trigger.publish_time
    kept = _scheduled(command, listing.operations, at)
    choice = find.choose([one for one in listing.operations if one not in kept], published)
    meant = _meant(command, listing, choice, at)
    if isinstance(meant, str):
        return _reject(command, meant, at)
    if meant is not None:
        return _carry_out(command, meant, at)
    if kept:
        why = f"Did not cancel {kept[0].name}, as a backup schedule made it and include_scheduled is not set."
        return _reject(command, why, at)
    return _nothing(command, find.choose(listing.operations, published).last, at)


def _meant(command: Cancel, listing: Listing, choice: find.Choice, at: At) -> Operation | str | None:
    """The operation that a cancel by database or backup means, or why none is to be touched; None if none is there.

    Whatever is turned down here is turned down whenever the message comes again: it is decided by what ran when it was
    published, and never by what has become of it since. An operation that has come to nothing since is left out only
    where it can't have been one of several that ran.
    """
    # A copy is nobody's backup of a database. What can't be read may be anything.
    unhandled = [one for one in listing.unhandled if command.backup is not None or not one.is_copy]
    published = at.trigger.publish_time
    alive = [one for one in choice.pool if not find.is_over(one)]
    stopped = [one for one in choice.pool if one.cancel_time is not None and one.cancel_time >= published]
    meant = choice.pool if command.include_scheduled else (alive or stopped or choice.pool)[: max(len(alive), 1)]
    doubtful = [*(one.name for one in choice.rivals), *(one.name for one in unhandled)]
    if len(meant) == 1 and (not meant[0].done or (find.is_over(meant[0]) and meant[0] in stopped) or not doubtful):
        return meant[0]
    if meant:
        names = ", ".join([*(one.name for one in meant), *doubtful])
        return f"Cancelled nothing, as any of these may be meant: {names}. Name the operation."
    if any(not one.done or one.backup == command.backup for one in unhandled):
        return f"Cancelled nothing. {_left_alone(unhandled)}"
    late = choice.late if command.backup is not None else None
    doubtful = [*(one.name for one in choice.younger), *(one.name for one in unhandled)]
    if late is None or not doubtful:
        return late
    return (
        f"Deleted nothing, as it is in doubt which operation is meant: {late.name} ended at {_when(late.end_time)}, and"
        f" there is {', '.join(doubtful)}. Name the operation."
    )


def _cancel_operation(command: Cancel, name: OperationName, at: At) -> Report:
    """Cancels an operation that is named, so that no clock can put in doubt which one is meant."""
    operation = _get(name, at)
    if operation is None:
        return gone(at, name)
    if not operation.done and not command.include_scheduled and is_scheduled(operation, at):
        why = f"Did not cancel {name}, as a backup schedule made it and include_scheduled is not set."
        return _reject(command, why, at)
    if operation.end_time is not None and operation.end_time < at.trigger.publish_time - GRACE:
        return _nothing(command, operation, at)
    return _carry_out(command, operation, at)


def _carry_out(command: Cancel, meant: Operation, at: At) -> Report:
    published = at.trigger.publish_time
    unwanted_from: datetime | None = published + CLOCK_MARGIN if command.database is not None else published - GRACE
    if command.operation is None and meant.start_time > published:
        unwanted_from = None  # No end is proof that it is meant, as any comes after the command.
    look = Look(
        trigger=at.trigger,
        step=0,
        operation=meant.name,
        database=meant.database,
        intent=Intent.CANCEL,
        cancel_at=unwanted_from,
        if_created=command.if_created,
        include_scheduled=command.include_scheduled,
        give_up_at=give_up_at(meant, at),
    )
    return _act_or_say(command, look, meant, at)


def _nothing(command: Cancel, last: Operation | None, at: At) -> Report:
    """Says that nothing was there to be cancelled, and what comes closest to it; a target that isn't there is wrong."""
    name = target(command)
    if last is None:
        if not _exists(command, at):
            return _reject(command, f"Cancelled nothing, as there is no {name}.", at)
        detail = f"Nothing to cancel: Spanner knows no operation for {name} in the last 7 days."
    else:
        detail = f"Nothing to cancel for {name}: {last.name} ended last, at {_when(last.end_time)}"
        detail += f" with {last.error.code}." if last.error else f". {_how_to_delete(last, at)}"
    at.tell(of_command(Outcome.NOTHING_TO_CANCEL, detail, at.trigger, command, severity="WARNING"))
    return Report()


def _how_to_delete(operation: Operation, at: At) -> str:
    """The command that deletes a backup which a cancel leaves alone."""
    if operation.end_time is not None and operation.end_time + GRACE > at.now:
        included = {"include_scheduled": True} if find.is_scheduled(operation) else {}
        publish = json.dumps({"action": "cancel", "backup": operation.backup, **included})
        return f"If its backup is to go, publish {publish} by {_when(operation.end_time + GRACE)}."
    instance = operation.backup.instance.rpartition("/")[2]
    return f"If its backup is to go: gcloud spanner backups delete {operation.backup.backup_id} --instance={instance}"


def follow(command: Follow, at: At) -> Report:
    """Follows an operation that somebody else started."""
    if command.operation is not None:
        operation = _get(command.operation, at)
        if operation is None:
            return gone(at, command.operation)
    else:
        listing = _list(command, at)
        newest = find.newest(listing.operations, at.trigger.publish_time)
        if newest is None:
            why = f"Found no operation of {target(command)} to follow; Spanner keeps them for 7 days after their end."
            if not listing.unhandled and not _exists(command, at):
                why = f"Followed nothing, as there is no {target(command)}."
            return _reject(command, f"{why} {_left_alone(listing.unhandled)}".strip(), at)
        operation = newest
    # So much later than the command that no two clocks can disagree: what was complete before stays.
    unwanted_from = limit(command.cancel_after, operation, at.trigger.publish_time + CLOCK_MARGIN)
    is_limited = unwanted_from is not None and not operation.done and not command.include_scheduled
    if is_limited and is_scheduled(operation, at):
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
    operation = _get(look.operation, at)
    if operation is None and look.missing != "operation" and at.now < look.give_up_at:
        # Spanner may say so by mistake, so an operation is gone only when two polls in a row don't find it.
        later = replace(look, step=look.step + 1, missing="operation")
        wait = at.schedule(later, bounded(at, look, timedelta(0)))
        return Report(operation=look.operation, database=look.database, step=look.step, next_look=wait)
    return act(at, look, operation)


def _get(name: OperationName, at: At) -> Operation | None:
    try:
        return at.ports.spanner.get_operation(name)
    except RefusedError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def _list(command: Cancel | Follow, at: At) -> Listing:
    named = command.database or command.backup
    assert named is not None  # noqa: S101 a command has exactly one target, and this one is no operation
    return at.ports.spanner.list_operations(named.instance, database=command.database, backup=command.backup)


def _exists(command: Cancel | Follow, at: At) -> bool:
    """Whether there is what a command names."""
    if command.backup is not None:
        return at.find_backup(command.backup) is not None
    return command.database is None or command.database in at.ports.spanner.list_databases(command.database.instance)


def _scheduled(command: Cancel, operations: Iterable[Operation], at: At) -> list[Operation]:
    """The operations near a command's publishing that it may not stop, as a backup schedule made them."""
    if command.include_scheduled:
        return []
    published = at.trigger.publish_time
    since = published if command.backup is None else published - GRACE
    near = [one for one in operations if one.start_time <= published + CLOCK_MARGIN and not find.is_over(one)]
    near = [one for one in near if one.end_time is None or one.end_time > since]
    return [one for one in near[:CANDIDATES_MAX] if is_scheduled(one, at)]


def is_scheduled(operation: Operation, at: At) -> bool:
    """Whether a native schedule makes the backup; only the backup itself says so while it is being made.

    If somebody has deleted it, a schedule may have taken over its name. That takes proof: a later operation of that
    name. Without it a backup that says it is a schedule's is taken at its word, and left alone.

    Raises:
        TransientError: The operation runs, and its backup can't be found: an answer that passes. If it is being
            cancelled, somebody has deleted the backup.
    """
    if operation.done:
        return find.is_scheduled(operation)
    found = at.find_backup(operation.backup)
    if found is None and operation.cancel_time is not None:
        return False
    if found is None:
        raise TransientError("NOT_FOUND", f"{operation.name} runs, and its backup can't be found")
    if not found.schedules:
        return False
    same_name = at.ports.spanner.list_operations(operation.backup.instance, backup=operation.backup).operations
    return all(other.start_time <= operation.start_time for other in same_name)


def _act_or_say(command: Cancel | Follow, look: Look, operation: Operation, at: At) -> Report:
    if not command.dry_run:
        return act(at, look, operation)
    state = state_of(operation)
    intent = intent_now(look.intent, look.cancel_at, operation, at.now)
    match TABLE[state][intent].action:
        case Action.DELETE:
            verdict = judge(at, look, operation)
            would = verdict.what if verdict.outcome else "would be deleted"
            detail = f"{operation.backup} was complete before it could be stopped, and {would}."
        case action:
            detail = f"Would {action.value}: {operation.name} is {state}."
    at.tell(of_operation(Outcome.DRY_RUN, detail, at.trigger, operation))
    return Report(operation=operation.name, database=operation.database, state=state)


def _reject(command: Cancel | Follow, why: str, at: At) -> Report:
    at.tell(of_command(Outcome.REJECTED, why, at.trigger, command))
    return Report()


def _left_alone(unhandled: Iterable[Unhandled]) -> str:
    return " ".join(f"{one.name} is left alone: {one.why}." for one in unhandled)


def _when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"
