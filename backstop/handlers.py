"""What each command does to an operation that is already there, and what a poll does: find it, and have it decided."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta

from backstop import selection
from backstop.commands import Cancel, Follow, IfCreated, Sweep
from backstop.errors import RefusedError, TransientError
from backstop.events import Outcome, of_command
from backstop.execute import Context, Report, case_of, execute, rehearse
from backstop.followups import Intent, Poll
from backstop.lifecycle import CLOCK_MARGIN, GRACE, Case
from backstop.names import OperationName
from backstop.operations import Listing, Operation
from backstop.sentences import when

# How many running operations of one database are looked at for the one that a cancel means. One on-demand backup can be
# pending at a time, and a database has at most 4 schedules. https://cloud.google.com/spanner/quotas (documented)
CANDIDATES_MAX = 5

# Followed 4 hours after its time, a schedule's backup has begun, and the one before it began 12 hours ago or earlier.
DUE_WITHIN = timedelta(hours=12)  # https://cloud.google.com/spanner/docs/backup (documented)

# How many operations one sweep acts on, at 2 calls each: a few seconds of Spanner's quota of 5 calls a second.
# https://cloud.google.com/spanner/quotas (documented). The next sweep goes on, in an order of its own.
SWEPT_MAX = 12

NAMED_MAX = 5  # How many operations that run and that it leaves alone a sweep names, of each kind.

IN_DOUBT = "Does nothing more: by these clocks {} began after the command, which came late or again. If meant, name it."
SCHEDULED = "a backup schedule made it and include_scheduled is not set"


def cancel(command: Cancel, context: Context) -> Report:
    """Stops the operation that the command means, or deals with the backup if the stop comes too late."""
    published = context.trigger.publish_time
    if command.operation is not None:
        return _of_operation(command, command.operation, context)
    listing = _list(command, context)
    kept = _scheduled(command, listing.operations, context)
    choice = selection.choose([one for one in listing.operations if one not in kept], published)
    ran, late = [one for one in kept if selection.ran(one, published)], _comes_late(context)
    meant = selection.meant(command, listing, choice, published, ran, late=late)
    if isinstance(meant, str):
        return _reject(command, meant, context)
    if meant is not None and late and selection.is_in_doubt(meant, published):
        return _reject(command, IN_DOUBT.format(meant.name), context, operation=meant.name)
    if meant is not None:
        # A list may be behind, and what it has running may have ended before the command.
        now = meant if meant.done else _get_surely(meant.name, context)
        if now is None:
            raise TransientError("NOT_FOUND", f"{meant.name} is listed, and can't be found")
        return _handle(command, meant.name, now, context)
    if kept:
        return _reject(command, f"Did not cancel {kept[0].name}, as {SCHEDULED}.", context)
    return _nothing(command, listing, selection.choose(listing.operations, published).last, context)


def follow(command: Follow, context: Context) -> Report:
    """Follows an operation that somebody else started."""
    if command.operation is not None:
        return _of_operation(command, command.operation, context)
    listing, published = _list(command, context), context.trigger.publish_time
    since = published - DUE_WITHIN if command.database is not None else None
    operation = selection.newest(listing.operations, published, since)
    if operation is None:
        why = f"Found no operation of {command.target} to follow; Spanner keeps them for 7 days after their end."
        if (last := selection.choose(listing.operations, published).last) is not None:
            why = f"Followed nothing: none began within {DUE_WITHIN // timedelta(hours=1)} hours, or it was cancelled."
            why += f" {last.name} ended last, at {when(last.end_time)}. Name it to be told how."
        elif not listing.unhandled and not _exists(command, listing, context):
            why = f"Followed nothing, as there is no {command.target}."
        return _reject(command, f"{why} {selection.left_alone(listing.unhandled)}".strip(), context)
    if _is_forbidden(command, operation, context):
        return _reject(command, f"Did not follow {operation.name}, as {SCHEDULED}.", context)
    if command.cancel_after is not None and _comes_late(context) and selection.is_in_doubt(operation, published):
        return _reject(command, IN_DOUBT.format(operation.name), context, operation=operation.name)
    return _handle(command, operation.name, operation, context)


def poll(message: Poll, context: Context) -> Report:
    """Polls an operation: the follow-up's handler."""
    return execute(context, case_of(context, message, _get(message.operation, context)))


def sweep(command: Sweep, context: Context) -> Report:
    """Stops what has run too long, and deals with what completed although it was cancelled; starts no chains.

    An operation that Google won't let us touch doesn't keep the others from being looked after; it is told last.
    """
    trigger, listing = context.trigger, context.ports.spanner.list_operations(command.instance)
    due = [operation for operation in listing.operations if _is_due(command, operation, context)]
    left = any(operation.done for operation in due)
    there = context.ports.spanner.list_backups(command.instance, due[-1].start_time - CLOCK_MARGIN) if left else {}
    kept = [one for one in due if not one.done and not command.include_scheduled and there.get(one.backup)]
    due = [one for one in due if one not in kept and (not one.done or one.backup in there)]
    # Which come first differs from sweep to sweep, so that what can't be dealt with doesn't starve the rest.
    due.sort(key=lambda one: (one.done, hashlib.sha256(f"{trigger.message_id}{one.name}".encode()).digest()))
    refused: RefusedError | None = None
    notes = [f"{len(due) - SWEPT_MAX} operations are left for the next sweep."] * (len(due) > SWEPT_MAX)
    notes += [f"{one.name} still runs, as {SCHEDULED}." for one in kept[-NAMED_MAX:]]
    notes += [f"So do {len(kept) - NAMED_MAX} more."] * bool(kept[NAMED_MAX:])
    for operation in due[:SWEPT_MAX]:
        try:
            notes += _look_after(command, operation, context)
        except RefusedError as error:
            refused = error
            notes.append(f"Google refused what {operation.name} needs: {error.explained.removesuffix('.')}.")
    since = trigger.publish_time - GRACE
    stuck = [one for one in listing.operations if not one.done and one.cancel_time and one.cancel_time < since]
    notes += [f"{one.name} still runs, cancelled at {when(one.cancel_time)}." for one in stuck[-NAMED_MAX:]]
    copies = [one for one in listing.unhandled if not one.done][:NAMED_MAX]
    note = " ".join([*notes, selection.left_alone(copies)]).strip()
    if refused is not None:
        said = {"error": refused.failure, "field": refused.field}
        context.publish(of_command(Outcome.REJECTED, note, trigger, command, **said))
    if not context.published:
        what = "Did nothing" if notes else "Nothing to stop and nothing left behind"
        detail = f"{what} in {command.instance}. {note}".strip()
        context.publish(of_command(Outcome.NOTHING_TO_CANCEL, detail, trigger, command))
    return Report(note=note, error=refused.failure if refused else None)


def _is_due(command: Sweep, operation: Operation, context: Context) -> bool:
    """Whether the operation is one to deal with, as things stood when the sweep was published."""
    published, cancelled = context.trigger.publish_time, operation.cancel_time
    if operation.start_time > published:
        return False
    if operation.response is not None:
        return cancelled is not None and operation.end_time is not None and cancelled <= operation.end_time
    if operation.done or command.cancel_after is None or published - operation.start_time < command.cancel_after:
        return False
    # A cancel since then is most likely ours: an earlier delivery may have died before it could say so.
    return cancelled is None or cancelled >= published - CLOCK_MARGIN


def _look_after(command: Sweep, operation: Operation, context: Context) -> list[str]:
    """Deals with an operation, and returns why not, if it is to be told."""
    found = context.find_backup(operation.backup)
    if found is None or (operation.response is not None and found.create_time != operation.response.create_time):
        return []
    if found.schedules and not operation.done and not command.include_scheduled:
        return [f"{operation.name} still runs, as {SCHEDULED}."]
    keeps = operation.done and command.if_created is IfCreated.KEEP
    poll = Poll(
        trigger=context.trigger,
        step=0,
        operation=operation.name,
        database=operation.database,
        intent=Intent.KEEP if keeps else Intent.CANCEL,
        unwanted_from=None if keeps else operation.cancel_time,
        include_scheduled=command.include_scheduled,
        give_up_at=context.now + context.settings.give_up_after,
    )
    case = Case(poll, context.now, operation, found, context.settings.allow_delete, context.settings.allow_scheduled)
    rehearse(context, case) if command.dry_run else execute(context, case, follows=False)
    return []


def _of_operation(command: Cancel | Follow, name: OperationName, context: Context) -> Report:
    """Carries out a command that names its operation, so that no clock can put in doubt which one is meant."""
    operation = _get_surely(name, context)
    if operation is not None and _is_forbidden(command, operation, context):
        return _reject(command, f"Did not {command.action} {name}, as {SCHEDULED}.", context)
    end = operation.end_time if operation else None
    if isinstance(command, Cancel) and end is not None and end < context.trigger.publish_time - GRACE:
        return _nothing(command, Listing(), operation, context)
    return _handle(command, name, operation, context)


def _handle(command: Cancel | Follow, name: OperationName, operation: Operation | None, context: Context) -> Report:
    """Begins the chain of a command about an operation, which Spanner may not know."""
    published = context.trigger.publish_time
    poll = Poll(
        trigger=context.trigger,
        step=0,
        operation=name,
        database=operation.database if operation else None,
        intent=Intent.CANCEL if isinstance(command, Cancel) else Intent.KEEP,
        unwanted_from=_unwanted_from(command, operation, published) if operation else None,
        if_created=command.if_created,
        include_scheduled=command.include_scheduled,
        give_up_at=give_up_at(operation, context),
    )
    case = case_of(context, poll, operation)
    return rehearse(context, case) if command.dry_run else execute(context, case)


def _unwanted_from(command: Cancel | Follow, operation: Operation, published: datetime) -> datetime | None:
    """From when on an end is one of an unwanted backup."""
    if isinstance(command, Follow):
        # So much later than the command that no two clocks can disagree: what was complete before stays.
        return limit(command.cancel_after, operation, published + CLOCK_MARGIN)
    if command.operation is None and operation.start_time > published:
        return None  # No end is proof that it is meant, as any comes after the command.
    return published + CLOCK_MARGIN if command.database is not None else published - GRACE


def limit(cancel_after: timedelta | None, operation: Operation, asked: datetime) -> datetime | None:
    """From when on an operation is unwanted if it still runs: never before the command was there to say so."""
    return None if cancel_after is None else max(operation.start_time + cancel_after, asked)


def give_up_at(operation: Operation | None, context: Context) -> datetime:
    """When a chain ends: counted from the later of the operation's start and the command."""
    asked = context.trigger.publish_time
    return (max(operation.start_time, asked) if operation else asked) + context.settings.give_up_after


def _nothing(command: Cancel, listing: Listing, last: Operation | None, context: Context) -> Report:
    """Says that nothing was there to be cancelled, and what comes closest to it; a target that isn't there is wrong."""
    if last is None:
        if not _exists(command, listing, context):
            return _reject(command, f"Cancelled nothing, as there is no {command.target}.", context)
        why = f"Nothing to cancel: Spanner knows no operation for {command.target} from the 7 days before the command."
    else:
        why = f"Nothing to cancel for {command.target}: {last.name} ended last, at {when(last.end_time)}"
        why += f" with {last.error.code}." if last.error else f". {_how_to_delete(last, context)}"
    context.publish(of_command(Outcome.NOTHING_TO_CANCEL, why, context.trigger, command, severity="WARNING"))
    return Report()


def _how_to_delete(operation: Operation, context: Context) -> str:
    """The command that deletes a backup which a cancel leaves alone."""
    backup, made = operation.backup, operation.response
    try:
        found = context.find_backup(backup)
    except RefusedError as error:
        return f"Google doesn't let Backstop see its backup: {error}."
    if found is None or (made is not None and found.create_time != made.create_time):
        return "Its backup was not found just now."
    may = context.settings.allow_delete and (context.settings.allow_scheduled or not found.schedules)
    if may and operation.end_time is not None and operation.end_time + GRACE > context.now:
        included = {"include_scheduled": True} if found.schedules else {}
        publish = json.dumps({"action": "cancel", "operation": operation.name, **included})
        return f"If its backup is to go, publish {publish} by {when(operation.end_time + GRACE)}."
    _, project, _, instance, *_ = operation.name.split("/")
    delete = f"gcloud spanner backups delete {backup.id} --instance={instance} --project={project}"
    return f"If its backup is to go: {delete}"


def _get_surely(name: OperationName, context: Context) -> Operation | None:
    """Reads an operation; Spanner may say by mistake once that there is none."""
    return _get(name, context) or _get(name, context)


def _get(name: OperationName, context: Context) -> Operation | None:
    try:
        return context.ports.spanner.get_operation(name)
    except RefusedError as error:
        if error.code == "NOT_FOUND":
            return None
        raise


def _list(command: Cancel | Follow, context: Context) -> Listing:
    named = command.database or command.backup
    assert named is not None  # noqa: S101 a command has exactly one target, and this one is no operation
    return context.ports.spanner.list_operations(named.instance, database=command.database, backup=command.backup)


def _comes_late(context: Context) -> bool:
    """Whether the delivery isn't the first, or not within the clocks' margin."""
    return context.comes_again or context.now > context.trigger.publish_time + CLOCK_MARGIN


def _exists(command: Cancel | Follow, listing: Listing, context: Context) -> bool:
    """Whether there is what a command names."""
    if command.backup is not None:
        found, published = context.find_backup(command.backup), context.trigger.publish_time
        unread = {one.backup for one in listing.unhandled}
        listed = command.backup in unread | {one.backup for one in listing.operations}
        if found is not None and not listed and published - GRACE <= found.create_time <= published + CLOCK_MARGIN:
            raise TransientError("UNAVAILABLE", f"{command.backup} is there, and its operation is not listed yet")
        return found is not None
    database = command.database
    return database is None or database in context.ports.spanner.list_databases(database.instance)


def _is_forbidden(command: Cancel | Follow, operation: Operation, context: Context) -> bool:
    """Whether a command would stop a running operation that it may not, as a backup schedule made it."""
    stops = isinstance(command, Cancel) or command.cancel_after is not None
    return stops and not operation.done and not command.include_scheduled and is_scheduled(operation, context)


def _scheduled(command: Cancel, operations: Iterable[Operation], context: Context) -> list[Operation]:
    """The operations near a command's publishing that it may not stop, as a backup schedule made them."""
    if command.include_scheduled:
        return []
    published = context.trigger.publish_time
    since = published if command.backup is None else published - GRACE
    near = [one for one in operations if one.start_time <= published + CLOCK_MARGIN and one.error is None]
    near = [one for one in near if one.end_time is None or one.end_time > since]
    # More than can be of one database are not all looked at, and what nobody has looked at is left alone.
    return [one for number, one in enumerate(near) if number >= CANDIDATES_MAX or is_scheduled(one, context)]


def is_scheduled(operation: Operation, context: Context) -> bool:
    """Whether a native schedule makes the backup; only the backup itself says so while it is being made.

    If somebody has deleted it, a schedule may have taken over its name. That takes proof: a later operation of that
    name. Without it a backup that says it is a schedule's is taken at its word, and left alone. A running operation
    whose backup can't be found is an answer that passes; if it is being cancelled, somebody has deleted the backup.
    """
    if operation.done:
        return operation.response is not None and bool(operation.response.schedules)
    found = context.find_backup(operation.backup)
    if found is None and operation.cancel_time is None:
        raise TransientError("NOT_FOUND", f"{operation.name} runs, and its backup can't be found")
    if found is None or not found.schedules:
        return False
    same_name = context.ports.spanner.list_operations(operation.backup.instance, backup=operation.backup).operations
    return all(other.start_time <= operation.start_time for other in same_name)


def _reject(command: Cancel | Follow, why: str, context: Context, **said: OperationName) -> Report:
    context.publish(of_command(Outcome.REJECTED, why, context.trigger, command, **said))
    return Report()
