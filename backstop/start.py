"""What a `start` does: for one database, and for many.

A start of many databases is a chain of follow-ups: the first lists them, each of the next starts the backup of one,
and the last tells what was started and what was not. So each delivery makes as few calls as a start of one does, and
the queue's rate paces the whole. The command itself makes none: hundreds of them may come in the same second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_report
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from backstop import polling, selection
from backstop.commands import RETENTION_MAX, RETENTION_MIN, Start
from backstop.durations import duration_text
from backstop.errors import RefusedError, TransientError
from backstop.events import Databases, Outcome, of_command, of_operation
from backstop.execute import Context, Report
from backstop.followups import FanOut, Intent, Poll
from backstop.handlers import give_up_at, limit
from backstop.lifecycle import CLOCK_MARGIN, EXPIRY_MARGIN, GRACE, Action, Case, Decision, Rule, state_of
from backstop.names import BackupName, DatabaseName
from backstop.operations import Backup, Failure, Operation
from backstop.polling import Expectation

# What a chain of starts may carry along of its databases, in bytes of JSON: their ids, and why some were not started.
# It leaves room for the command in `FOLLOW_UP_BYTES_MAX`; 3,000 databases fit, and Spanner's default limit is 100.
# https://cloud.google.com/spanner/quotas (documented)
FAN_OUT_BYTES_MAX = 200_000

# How much of each reason is carried: Google's words and who holds the slot; or, for very many, Google's code alone.
REASON_BYTES_MAX, REASON_BYTES_MIN = 600, 30


@dataclass(eq=False)
class NotStartedError(Exception):
    """A backup that was not started, now or by an earlier delivery; whoever asked for it may ask again."""

    why: str = ""
    said: Failure | None = None  # What Google said; None if the function itself turned the start down.
    twin: Operation | None = None  # The operation of an equal command, or of this one, if that is why.
    field: str | None = None  # The field of the request that Google objects to.

    def __str__(self) -> str:
        """Why, to complete a sentence."""
        return f"{self.said.code}: {self.said.message}" if self.said else self.why


def start(command: Start, context: Context) -> Report:
    """Starts a backup and follows it, or attaches to the one that this message has already started.

    For a whole instance it only has the chain begin that does so for each database.
    """
    if command.database is None:
        wait = context.schedule(FanOut(trigger=context.trigger, step=1, command=command), timedelta(0))
        return Report(step=0, next_poll=wait, note=f"The databases of {command.instance} are listed next.")
    database = command.database
    backup = _backup_name(command, database, context)
    if command.dry_run:
        return _rehearse(command, database, backup, context)
    try:
        operation, expected = _attempt(command, database, backup, context)
    except NotStartedError as error:
        said, why = error.said, error.why
        why = f"Did not start {backup}: {why}." if why or said is None else f"Google refused: {said.message}"
        more = {"error": said, "field": error.field}
        if error.twin is not None:
            more |= {"operation": error.twin.name, "severity": "WARNING"}
        context.publish(of_command(Outcome.REJECTED, why, context.trigger, command, **more))
        return Report(database=database, error=said)
    return _follow(command, operation, expected, context)


def _backup_name(command: Start, database: DatabaseName, context: Context) -> BackupName:
    """The name of the backup that this command makes of this database."""
    return database.instance.backup(command.backup_id or selection.derived_backup_id(database, context.trigger))


def _attempt(
    command: Start, database: DatabaseName, backup: BackupName, context: Context
) -> tuple[Operation, Expectation | None]:
    """The operation that this message started, started now if no earlier delivery did it, and how long it should take.

    Raises:
        NotStartedError: The message came too late, or Google refuses the backup: somebody else holds the name or the
            database's one slot, say.
        RefusedError: Google doesn't let us see whether an earlier delivery started it.
    """
    spanner = context.ports.spanner
    operations = spanner.list_operations(database.instance, database=database).operations
    expected = polling.expectation(operations, database)
    mine = _own(command, operations, database, backup, context)
    if mine is not None:
        return mine, expected
    if late := _too_late(command, context):
        raise NotStartedError(late)
    try:
        operation = spanner.create_backup(database, backup, _expire_time(command, context), command)
    except RefusedError as error:
        if error.code not in {"ALREADY_EXISTS", "FAILED_PRECONDITION"}:
            said = Failure(error.code, error.explained)
            raise NotStartedError(said=said, field=error.field) from error
        # A delivery of the same message may have been faster than this one.
        operations = spanner.list_operations(database.instance, database=database).operations
        mine = _own(command, operations, database, backup, context)
        if mine is None:
            raise _refused(command, error, operations, backup, context) from error
        operation = mine
    return operation, expected


def _refused(
    command: Start, error: RefusedError, operations: Sequence[Operation], backup: BackupName, context: Context
) -> Exception:
    """What it means that Spanner's one slot or the name is taken, and no operation in the list is ours."""
    found = context.find_backup(backup)
    if found is not None and (command.backup_id is None or selection.is_marked(found, context.trigger)):
        return TransientError("UNAVAILABLE", f"{backup} is ours, and its operation is not listed yet")
    held = error.failure.message + _holder(operations, found, error.code)
    twin = _twin(command, operations, found, context)
    why = f"another start began {twin.name} at about the same time, with its own settings" if twin else ""
    return NotStartedError(why, Failure(error.code, held), twin)


def _too_late(command: Start, context: Context) -> str:
    """Why a start is not to begin any more; empty if it may."""
    late = context.now - context.trigger.publish_time
    if command.start_within is None or late <= command.start_within:
        return ""
    return f"the message came {duration_text(late)} after it was published, more than {command.start_within}"


def _own(
    command: Start, operations: Sequence[Operation], database: DatabaseName, backup: BackupName, context: Context
) -> Operation | None:
    """The operation that an earlier delivery of this message started; None if none did.

    A derived name is proof. Under a name that the command gives, others may have begun a backup as well, so it takes
    the mark in the backup's expiry. An operation that has come to nothing, by its end or because a later one has its
    name, has no backup that could say so; as there is nothing to lose in it, it is taken for ours if it can be, lest a
    start that somebody has cancelled begin anew.
    """
    if command.backup_id is None:
        return selection.derived_attempt(operations, database, context.trigger)
    same_name = [one for one in operations if one.backup == backup]
    latest, found = next(iter(same_name), None), None
    if latest is not None and latest.error is None and latest.response is None:
        found = context.find_backup(backup)
        if found is None and not latest.done and latest.cancel_time is None:
            raise TransientError("NOT_FOUND", f"{latest.name} runs, and its backup can't be found")
    published, mine, nothing = context.trigger.publish_time, None, None
    for one in same_name:
        made = one.response or (found if one is latest and found and found.database == database else None)
        if made is not None and selection.is_marked(made, context.trigger):
            mine = one  # The oldest: whoever makes a backup anew may give it the same expiry.
        if made is None and one.start_time >= published - CLOCK_MARGIN:
            nothing = one
    if mine is not None:
        return mine
    if nothing is not None and not (nothing.done and nothing.start_time >= published):
        why = f"{nothing.name} came to nothing, and it can't be told whether this message began it; publish it again"
        raise NotStartedError(why, twin=nothing)
    return nothing


def _twin(command: Start, operations: Sequence[Operation], found: Backup | None, context: Context) -> Operation | None:
    """The operation of an equal command that came just before: a publisher may have published twice.

    Under a name that both give, the backup's expiry tells it from one that a person began.
    """
    published = context.trigger.publish_time
    running = (one for one in operations if not one.done and one.cancel_time is None)
    near = (one for one in running if abs(one.start_time - published) <= GRACE)
    if command.backup_id is None:
        return next((one for one in near if selection.is_derived(one)), None)
    name = found.name if found is not None and found.expire_time.microsecond % 1000 else None
    return next((one for one in near if one.backup == name), None)


def _follow(command: Start, operation: Operation, expected: Expectation | None, context: Context) -> Report:
    """Schedules the first poll of an operation that a start made, and publishes that it has started."""
    poll = Poll(
        trigger=context.trigger,
        step=0,
        operation=operation.name,
        database=operation.database,
        intent=Intent.KEEP,
        unwanted_from=limit(command.cancel_after, operation, context.trigger.publish_time),
        if_created=command.if_created,
        give_up_at=give_up_at(operation, context),
        expected_seconds=int(expected.length.total_seconds()) if expected else None,
        expected_spread=round(expected.spread, 3) if expected else 0.0,
    )
    case = Case(poll, context.now, operation)
    later, wait = polling.after(case, Decision(state_of(case), Rule(Action.POLL, Outcome.STARTED)), context.settings)
    wait = context.schedule(later, timedelta(0) if operation.done else wait)
    detail = f"Started {operation.backup} of {operation.database}."
    context.publish(of_operation(Outcome.STARTED, detail, context.trigger, operation))
    return Report(operation=operation.name, database=operation.database, state=state_of(case), step=0, next_poll=wait)


def fan_out(message: FanOut, context: Context) -> Report:
    """Lists the databases, starts the backup of the next one, or tells what became of them all."""
    if message.left is None:
        return _list(message, context)
    if not message.left:
        return _sum_up(message, context)
    database_id = message.left[0]
    database = message.database(database_id)
    backup = _backup_name(message.command, database, context)
    later = replace(message, step=message.step + 1, left=message.left[1:], failures=0)
    try:
        operation, expected = _attempt(message.command, database, backup, context)
    except NotStartedError as error:
        refused = {**message.refused, database_id: reason(message, str(error))}
        wait = context.schedule(replace(later, refused=refused), timedelta(0))
        return Report(database=database, step=message.step, next_poll=wait, note=f"Did not start {backup}: {error}.")
    context.schedule(replace(later, started=(*message.started, database_id)), timedelta(0))
    return replace_report(_follow(message.command, operation, expected, context), step=message.step)


def _list(message: FanOut, context: Context) -> Report:
    command = message.command
    found, idle = selection.matching(context.ports.spanner.list_databases(message.instance), command.databases)
    refused = dict.fromkeys(idle, "no database of the instance matches")
    later = replace(message, step=message.step + 1, left=tuple(found), refused=refused, failures=0)
    why = "" if found else f"no database of {message.instance} matches"
    if found and _reason_bytes(later) < REASON_BYTES_MIN:
        why, refused = f"{len(found)} databases are more than one start can keep account of; name fewer of them", {}
    if why:
        why, account = f"Started nothing, as {why}.", Databases((), refused)
        context.publish(of_command(Outcome.REJECTED, why, context.trigger, command, databases=account))
        return Report(step=message.step)
    if command.dry_run:
        would = f"Would start a backup of each of {len(found)} databases: {', '.join(found)}."
        would += f" No database matches {', '.join(idle)}." if idle else ""
        context.publish(of_command(Outcome.DRY_RUN, would, context.trigger, command))
        return Report(step=message.step)
    wait = context.schedule(later, timedelta(0))
    return Report(step=message.step, next_poll=wait, note=f"Starting the backups of {len(found)} databases.")


def _reason_bytes(message: FanOut) -> int:
    """How many bytes each reason may have, so that the follow-up stays within its bound; the same at every step."""
    ids = [*(message.left or ()), *message.started, *message.refused]
    quoted = len(msgspec.json.encode(ids)) + 2 * len(ids)
    return min((FAN_OUT_BYTES_MAX - quoted) // max(len(ids), 1), REASON_BYTES_MAX)


def reason(message: FanOut, why: str) -> str:
    """As much of why a backup was not started as the account of them all has room for, counted as JSON."""
    bytes_max = _reason_bytes(message)
    while (over := len(msgspec.json.encode(why)) - bytes_max) > 0:
        # A character has at most 6 bytes in JSON.
        why = why[: -max(over // 6, 1)]
    return why


def _sum_up(message: FanOut, context: Context) -> Report:
    outcome = Outcome.STARTED if message.started else Outcome.REJECTED
    refused = ", ".join(message.refused)
    detail = f"Started {len(message.started)} backups." + f" Not started: {refused}." * bool(refused)
    account = Databases(message.started, message.refused)
    context.publish(of_command(outcome, detail, context.trigger, message.command, databases=account))
    return Report(step=message.step)


def _rehearse(command: Start, database: DatabaseName, backup: BackupName, context: Context) -> Report:
    operations = context.ports.spanner.list_operations(database.instance, database=database).operations
    expire_time = _expire_time(command, context)
    detail = f"Would start {backup} of {database}, to expire at {expire_time:%Y-%m-%d %H:%M} UTC"
    if late := _too_late(command, context):
        detail = f"Would not start {backup}, as {late}"
    elif (found := context.find_backup(backup)) is not None:
        detail = f"Would not start {backup}, as a backup of that name is there{_holder(operations, found)}"
    elif database not in context.ports.spanner.list_databases(database.instance):
        detail = f"Would not start {backup}, as there is no {database}"
    elif holder := _holder(operations, None, "FAILED_PRECONDITION"):
        detail += f"{holder}, so Spanner may refuse"
    context.publish(of_command(Outcome.DRY_RUN, f"{detail}.", context.trigger, command, backup=backup))
    return Report(database=database)


def _expire_time(command: Start, context: Context) -> datetime:
    """When the backup is to expire: its retention from now, kept off the edges of what Spanner accepts, and marked."""
    retention = command.retention or context.settings.retention
    expire_time = context.now + min(max(retention, RETENTION_MIN + EXPIRY_MARGIN), RETENTION_MAX - EXPIRY_MARGIN)
    return expire_time.replace(microsecond=selection.fingerprint(context.trigger))


def _holder(operations: Sequence[Operation], found: Backup | None, code: str = "ALREADY_EXISTS") -> str:
    """Who has the name, by the backup that was found under it, or the database's one slot for pending backups."""
    running = [f"{one.name}, started at {one.start_time.isoformat()}" for one in operations if not one.done]
    if code != "ALREADY_EXISTS":
        return f"; the database is being backed up by {', and by '.join(running)}" if running else ""
    if found is None:
        return ""
    named = [one.name for one in operations if one.backup == found.name and one.start_time >= found.create_time]
    return f"; the name is held by {f'the backup of {named[0]}' if named else f'a backup of {found.database}'}"
