"""What a `start` does: for one database, and for many.

A start of many databases is a chain of follow-ups: the first lists them, each of the next starts the backup of one,
and the last tells what was started and what was not. So each delivery makes as few calls as a start of one does, and
the queue's rate paces the whole. The command itself makes none: hundreds of them may come in the same second.
"""

from __future__ import annotations

from dataclasses import replace as replace_report
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from backstop import find, pacing
from backstop.chain import give_up_at, limit, next_wait, schedule_look
from backstop.commands import RETENTION_MAX, RETENTION_MIN, Start
from backstop.context import At, Report, schedule, tell
from backstop.deletion import EXPIRY_MARGIN
from backstop.durations import duration_text
from backstop.errors import RefusedError, TransientError
from backstop.follow_ups import FanOut, Look
from backstop.handlers import is_scheduled
from backstop.lifecycle import Intent, Outcome, state_of
from backstop.names import DatabaseName
from backstop.results import Databases, ErrorText, of_command, of_operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backstop.names import BackupName
    from backstop.pacing import Expectation
    from backstop.ports import Operation
    from backstop.results import Result

REASON_LENGTH_MAX = 600
"""How much of a reason a chain of starts carries along: Google's words and, behind them, who holds the slot.

100 databases' reasons fit a follow-up all the same.
"""


class NotStartedError(Exception):
    """A backup that was not started, now or by an earlier delivery; whoever asked for it may ask again.

    Attributes:
        said: What Google said; None if the function itself turned the start down.
    """

    def __init__(self, why: str, said: ErrorText | None = None) -> None:
        super().__init__(why)
        self.said = said


def start(command: Start, at: At) -> Report:
    """Starts a backup and follows it, or attaches to the one that this message has already started.

    For a whole instance it only has the chain begin that does so for each database.
    """
    if command.database is None:
        wait = schedule(at, FanOut(trigger=at.trigger, step=1, command=command), timedelta(0))
        return Report(step=0, next_look=wait, note=f"The databases of {command.instance} are listed next.")
    database = command.database
    backup = backup_name(command, database, at)
    if command.dry_run:
        return _dry_start(command, database, backup, at)
    try:
        operation, expected = attempt(command, database, backup, at)
    except NotStartedError as error:
        why = f"Google refused: {error.said.message}" if error.said else f"Did not start {backup}: {error}."
        rejected = of_command(Outcome.REJECTED, why, at.trigger, command, error.said)
        return Report(results=tell(at, rejected), database=database, error=error.said)
    report, started = follow_new(command, operation, expected, at)
    return replace_report(report, results=tell(at, started))


def backup_name(command: Start, database: DatabaseName, at: At) -> BackupName:
    """The name of the backup that this command makes of this database."""
    return database.instance.backup(command.backup_id or find.derived_backup_id(database, at.trigger))


def attempt(command: Start, database: DatabaseName, backup: BackupName, at: At) -> tuple[Operation, Expectation | None]:
    """The operation that this message started, started now if no earlier delivery did it.

    Returns:
        The operation, and how long it should take, judging by the database's earlier ones.

    Raises:
        NotStartedError: The message came too late, or Google refuses the backup: somebody else holds the name or the
            database's one slot, say.
        RefusedError: Google doesn't let us see whether an earlier delivery started it.
    """
    operations = at.ports.spanner.list_operations(database.instance, database=database).operations
    expected = pacing.expectation(operations, database)
    mine = find.own_attempt(operations, backup, database, at.trigger, derived=command.backup_id is None)
    if mine is not None:
        return _not_scheduled(command, mine, at), expected
    if command.start_within is not None and at.now - at.trigger.publish_time > command.start_within:
        late = duration_text(at.now - at.trigger.publish_time)
        raise NotStartedError(f"the message came {late} after it was published, more than {command.start_within}")
    try:
        operation = at.ports.spanner.create_backup(
            database,
            backup,
            expire_time=_expire_time(command, at),
            version_time=command.version_time,
            encryption=command.encryption,
        )
    except RefusedError as error:
        if error.code not in {"ALREADY_EXISTS", "FAILED_PRECONDITION"}:
            raise NotStartedError(str(error), ErrorText(error.code, error.message)) from error
        # A delivery of the same message may have been faster than this one.
        operations = at.ports.spanner.list_operations(database.instance, database=database).operations
        mine = find.own_attempt(operations, backup, database, at.trigger, derived=command.backup_id is None)
        if mine is None and error.code == "ALREADY_EXISTS" and command.backup_id is None:
            # The id is derived from this message, so the backup is ours and the list is behind.
            raise TransientError("UNAVAILABLE", f"{backup} exists, and its operation is not listed yet") from error
        if mine is None:
            held = error.message + _holder(operations, backup)
            raise NotStartedError(f"{error.code}: {held}", ErrorText(error.code, held)) from error
        operation = _not_scheduled(command, mine, at)
    return operation, expected


def _not_scheduled(command: Start, operation: Operation, at: At) -> Operation:
    """The operation, unless a native schedule happens to use the name that the command gives.

    Raises:
        NotStartedError: It does.
    """
    if command.backup_id is not None and is_scheduled(operation, at):
        raise NotStartedError(f"the name is held by {operation.name}, which a backup schedule started")
    return operation


def follow_new(command: Start, operation: Operation, expected: Expectation | None, at: At) -> tuple[Report, Result]:
    """Makes the first look at an operation that a start made.

    Returns:
        What is known of the delivery, and the outcome that is still to be told.
    """
    look = Look(
        trigger=at.trigger,
        step=0,
        operation=operation.name,
        database=operation.database,
        intent=Intent.KEEP,
        cancel_at=limit(command.cancel_after, operation, at),
        if_created=command.if_created,
        give_up_at=give_up_at(operation, at),
        expected_seconds=int(expected.length.total_seconds()) if expected else None,
        expected_spread=round(expected.spread, 3) if expected else pacing.HISTORY_SPREAD,
    )
    wait = timedelta(0) if operation.done else next_wait(at, look, operation)
    wait = schedule_look(at, look, operation, wait)
    detail = f"Started {operation.backup} of {operation.database}."
    started = of_operation(Outcome.STARTED, detail, at.trigger, operation)
    report = Report(
        operation=operation.name, database=operation.database, state=state_of(operation), step=0, next_look=wait
    )
    return report, started


def fan_out_step(fan_out: FanOut, at: At) -> Report:
    """Lists the databases, starts the backup of the next one, or tells what became of them all."""
    if fan_out.left is None:
        return _list(fan_out, at)
    if not fan_out.left:
        return _sum_up(fan_out, at)
    database_id = fan_out.left[0]
    database = DatabaseName(f"{fan_out.instance}/databases/{database_id}")
    backup = backup_name(fan_out.command, database, at)
    following = replace(fan_out, step=fan_out.step + 1, left=fan_out.left[1:], failures=0)
    try:
        operation, expected = attempt(fan_out.command, database, backup, at)
    except NotStartedError as error:
        refused = {**fan_out.refused, database_id: str(error)[:REASON_LENGTH_MAX]}
        wait = schedule(at, replace(following, refused=refused), timedelta(0))
        return Report(database=database, step=fan_out.step, next_look=wait, note=f"Did not start {backup}: {error}.")
    report, started = follow_new(fan_out.command, operation, expected, at)
    schedule(at, replace(following, started=(*fan_out.started, database_id)), timedelta(0))
    return replace_report(report, results=tell(at, started))


def _list(fan_out: FanOut, at: At) -> Report:
    command = fan_out.command
    databases = at.ports.spanner.list_databases(fan_out.instance)
    found, idle = find.matching(databases, command.databases)
    refused = dict.fromkeys(idle, "no database of the instance matches")
    if not found:
        why = f"Started nothing, as no database of {fan_out.instance} matches."
        rejected = replace(of_command(Outcome.REJECTED, why, at.trigger, command), databases=Databases((), refused))
        return Report(results=tell(at, rejected), step=fan_out.step)
    if command.dry_run:
        would = f"Would start a backup of each of {len(found)} databases: {', '.join(found)}."
        return Report(results=tell(at, of_command(Outcome.DRY_RUN, would, at.trigger, command)), step=fan_out.step)
    following = replace(fan_out, step=fan_out.step + 1, left=tuple(found), refused=refused, failures=0)
    wait = schedule(at, following, timedelta(0))
    return Report(step=fan_out.step, next_look=wait, note=f"Starting the backups of {len(found)} databases.")


def _sum_up(fan_out: FanOut, at: At) -> Report:
    outcome = Outcome.STARTED if fan_out.started else Outcome.REJECTED
    detail = f"Started {len(fan_out.started)} backups."
    if fan_out.refused:
        detail += f" Not started: {', '.join(fan_out.refused)}."
    result = of_command(outcome, detail, at.trigger, fan_out.command)
    result = replace(result, databases=Databases(fan_out.started, fan_out.refused))
    return Report(results=tell(at, result), step=fan_out.step)


def _dry_start(command: Start, database: DatabaseName, backup: BackupName, at: At) -> Report:
    operations = at.ports.spanner.list_operations(database.instance, database=database).operations
    expire_time = _expire_time(command, at)
    detail = f"Would start {backup} of {database}, to expire at {expire_time:%Y-%m-%d %H:%M} UTC"
    would = of_command(Outcome.DRY_RUN, f"{detail}{_holder(operations, backup)}.", at.trigger, command)
    return Report(results=tell(at, replace(would, backup=backup)), database=database)


def _expire_time(command: Start, at: At) -> datetime:
    """When the backup is to expire: its retention from now, kept off the edges of what Spanner accepts."""
    retention = command.retention or at.settings.retention
    return at.now + min(max(retention, RETENTION_MIN + EXPIRY_MARGIN), RETENTION_MAX - EXPIRY_MARGIN)


def _holder(operations: Sequence[Operation], backup: BackupName) -> str:
    """Who has the name or the database's one slot for pending backups, as far as the operations tell."""
    for operation in operations:
        if not operation.done:
            return f"; the database's slot is held by {operation.name}, started at {operation.start_time.isoformat()}"
    for operation in operations:
        if operation.backup == backup:
            return f"; the name is held by the backup of {operation.name}"
    return ""
