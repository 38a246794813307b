"""How Spanner's descriptions of backups and operations are read, and what becomes of one that can't be.

The descriptions are messages of Google's, taken out of their envelopes by whoever received them. Times are cut to
microseconds, which is what Python holds. Two backups of one name can't be taken for one another by that: one is deleted
before the next is created, and that takes longer than a microsecond.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from backstop.errors import UnhandledOperationError
from backstop.names import BackupName, DatabaseName, Name, OperationName
from backstop.operations import Backup, Failure, Listing, Operation, Unhandled

# No backup has a time outside of these, and a sum with one could be more than Python can hold.
TIME_MIN, TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)

N = TypeVar("N", bound=Name)
Described = Any  # Google's types are made at run time


def read_operation(
    described: Described, *, made: Described, copied: Described, response: Described, failed: str
) -> Operation:
    """Reads an operation.

    Beside it comes what was taken out of it: its metadata, if it creates a backup or if it copies one, the backup that
    it answers with, and the canonical code's name of its error; None, or empty, is what it doesn't have.

    Raises:
        UnhandledOperationError: It makes something else, or says too little of itself to be told from others.
    """
    try:
        if made is None:
            raise ValueError(f"is a copy of {copied.source_backup}" if copied else "doesn't say what it is")  # noqa: TRY301 all that is wrong with it is told in one place
        name, backup = _name(OperationName, described.name), _backup_or_none(response)
        return Operation(
            name=name,
            backup=name.backup,
            database=_name(DatabaseName, made.database),
            start_time=_time(made.progress, "start_time"),
            end_time=_time_or_none(made.progress, "end_time"),
            percent=made.progress.progress_percent,
            cancel_time=_time_or_none(made, "cancel_time"),
            error=Failure(failed, described.error.message) if failed else None,
            response=backup,
            unexplained=described.done and not failed and backup is None,
        )
    except ValueError as why:
        target, database = (made or copied).name if made or copied else "", made.database if made else ""
        unhandled = Unhandled(described.name, target, database, bool(copied), described.done, f"it {why}")
        raise UnhandledOperationError(unhandled) from why


def read_list(
    found: Iterable[Described],
    read: Callable[[Described], Operation],
    database: DatabaseName | None,
    backup: BackupName | None,
) -> Listing:
    """Reads a list of operations, narrowed as far as they say what they are about; a copy is of no database."""
    operations, unhandled = list[Operation](), list[Unhandled]()
    for described in found:
        try:
            operation = read(described)
        except UnhandledOperationError as error:
            one = error.unhandled
            of_database = database is None or (one.database in {"", database} and not one.is_copy)
            if of_database and (backup is None or one.backup in {"", backup}):
                unhandled.append(one)
        else:
            if database in {None, operation.database} and backup in {None, operation.backup}:
                operations.append(operation)
    operations.sort(key=lambda operation: operation.start_time, reverse=True)
    return Listing(tuple(operations), tuple(unhandled))


def read_backup(described: Described) -> Backup:
    """Reads a backup.

    Raises:
        ValueError: Its name, or its database's, has an unknown form, or it says nothing plausible of its times.
    """
    return Backup(
        name=_name(BackupName, described.name),
        database=_name(DatabaseName, described.database),
        create_time=_time(described, "create_time"),
        expire_time=_time(described, "expire_time"),
        size_bytes=described.size_bytes,
        exclusive_size_bytes=described.exclusive_size_bytes,
        freeable_size_bytes=described.freeable_size_bytes,
        schedules=tuple(described.backup_schedules),
        referenced_by=(*described.referencing_databases, *described.referencing_backups),
    )


def _backup_or_none(described: Described) -> Backup | None:
    try:
        return None if described is None else read_backup(described)
    except ValueError:
        return None


def _name(kind: type[N], text: str) -> N:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"names {text!r}, which {error}") from error


def _time(described: Described, field: str) -> datetime:
    time = _time_or_none(described, field)
    if time is None:
        raise ValueError(f"has no {field}")
    return time


def _time_or_none(described: Described, field: str) -> datetime | None:
    stamp = getattr(described, field)
    if not stamp.seconds and not stamp.nanos:
        return None
    if not TIME_MIN.timestamp() <= stamp.seconds < TIME_MAX.timestamp() or not 0 <= stamp.nanos < 10**9:
        raise ValueError(f"has an implausible {field}: {stamp.seconds} s after 1970")
    return TIME_MIN + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)
