"""What filters may name in backups and operations.

Backups: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list, documented.
Operations: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list,
documented, where "any field" of the metadata and of the response is meant to be usable; these are the fields that
the emulator fills in. What can be named of an error beyond its presence is inferred.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.filters import Field, FilterError, Kind, compile_filter
from spanner_backup_emulator.spanner.records import Backup, Operation, OperationKind, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

TYPE_PREFIX = "type.googleapis.com/google.spanner.admin.database.v1."

FILTER_COUNT_MAX = 1024
"""How many compiled filters are kept: a program sends few different ones, and a test run not many more."""

_BACKUP_FIELDS: dict[str, Field[Backup]] = {
    "name": Field(Kind.TEXT, lambda backup: backup.name),
    "database": Field(Kind.TEXT, lambda backup: backup.database),
    "state": Field(Kind.TEXT, lambda backup: backup.state),
    "create_time": Field(Kind.TIME, lambda backup: backup.create_time),
    "expire_time": Field(Kind.TIME, lambda backup: backup.expire_time),
    "version_time": Field(Kind.TIME, lambda backup: backup.version_time),
    "size_bytes": Field(Kind.NUMBER, lambda backup: backup.size_bytes),
    "backup_schedules": Field(Kind.TEXT, lambda backup: backup.backup_schedules),
}


def _of_progress(read: Callable[[Progress], object]) -> Callable[[Operation], object]:
    return lambda operation: None if operation.progress is None else read(operation.progress)


def _of_backup(read: Callable[[Backup], object]) -> Callable[[Operation], object]:
    return lambda operation: read(operation.response) if isinstance(operation.response, Backup) else None


def _made_database(operation: Operation) -> str | None:
    return operation.database if operation.kind is OperationKind.CREATE_BACKUP else None


def _copied_backup(operation: Operation) -> str | None:
    return operation.source_backup if operation.kind is OperationKind.COPY_BACKUP else None


def _error_text(operation: Operation) -> str | None:
    return None if operation.error is None else f"{operation.error.code.name}: {operation.error.message}"


def _response_type(operation: Operation) -> str | None:
    return None if operation.response is None else TYPE_PREFIX + type(operation.response).__name__


_OPERATION_FIELDS: dict[str, Field[Operation]] = {
    "name": Field(Kind.TEXT, lambda operation: operation.name),
    "done": Field(Kind.TRUTH, lambda operation: operation.done),
    "metadata.@type": Field(Kind.TEXT, lambda operation: f"{TYPE_PREFIX}{operation.kind}Metadata"),
    "metadata.name": Field(Kind.TEXT, lambda operation: operation.target),
    "metadata.database": Field(Kind.TEXT, _made_database),
    "metadata.source_backup": Field(Kind.TEXT, _copied_backup),
    "metadata.cancel_time": Field(Kind.TIME, lambda operation: operation.cancel_time),
    "metadata.progress.progress_percent": Field(Kind.NUMBER, _of_progress(lambda progress: progress.percent)),
    "metadata.progress.start_time": Field(Kind.TIME, _of_progress(lambda progress: progress.start_time)),
    "metadata.progress.end_time": Field(Kind.TIME, _of_progress(lambda progress: progress.end_time)),
    "error": Field(Kind.TEXT, _error_text),
    "error.code": Field(Kind.NUMBER, lambda operation: operation.error and int(operation.error.code)),
    "error.message": Field(Kind.TEXT, lambda operation: operation.error and operation.error.message),
    "response.@type": Field(Kind.TEXT, _response_type),
    **{f"response.{path}": Field(field.kind, _of_backup(field.read)) for path, field in _BACKUP_FIELDS.items()},
}


@lru_cache(maxsize=FILTER_COUNT_MAX)
def backup_filter(text: str) -> Callable[[Backup], bool]:
    """Whether a backup matches the filter.

    Raises:
        ApiError: INVALID_ARGUMENT for a filter that can't be understood.
    """
    try:
        return compile_filter(text, _BACKUP_FIELDS)
    except FilterError as error:
        raise refusals.bad_filter(text, str(error)) from None


@lru_cache(maxsize=FILTER_COUNT_MAX)
def operation_filter(text: str) -> Callable[[Operation], bool]:
    """Whether an operation matches the filter.

    Raises:
        ApiError: INVALID_ARGUMENT for a filter that can't be understood.
    """
    try:
        return compile_filter(text, _OPERATION_FIELDS)
    except FilterError as error:
        raise refusals.bad_filter(text, str(error)) from None
