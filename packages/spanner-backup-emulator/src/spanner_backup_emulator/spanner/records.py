"""What the emulator answers with, in Google's words and without protobuf."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from spanner_backup_emulator.errors import Code

T = TypeVar("T")

STANDARD_SQL = "GOOGLE_STANDARD_SQL"
"""The dialect of a database whose own nobody named."""


class BackupState(enum.StrEnum):
    """Whether a backup can be restored yet."""

    CREATING = "CREATING"
    READY = "READY"


class DatabaseState(enum.StrEnum):
    """Whether a database can be used yet; one being optimized still needs the backup it was restored from."""

    CREATING = "CREATING"
    READY = "READY"
    READY_OPTIMIZING = "READY_OPTIMIZING"


class OperationKind(enum.StrEnum):
    """What an operation makes; the value is the metadata type's name without `Metadata`."""

    CREATE_BACKUP = "CreateBackup"
    COPY_BACKUP = "CopyBackup"
    RESTORE_DATABASE = "RestoreDatabase"
    OPTIMIZE_RESTORED_DATABASE = "OptimizeRestoredDatabase"


@dataclass(frozen=True, slots=True)
class Status:
    """How an operation ended badly."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as it is at one moment.

    Attributes:
        uid: Tells two backups apart that had the same name one after the other. Not part of Google's API.
        size_bytes: 0 while it is being created.
        backup_schedules: The schedules that made it; empty when somebody asked for it.
    """

    uid: int
    name: str
    database: str
    state: BackupState
    create_time: datetime
    version_time: datetime
    expire_time: datetime
    max_expire_time: datetime
    size_bytes: int = 0
    referencing_databases: tuple[str, ...] = ()
    referencing_backups: tuple[str, ...] = ()
    backup_schedules: tuple[str, ...] = ()
    kms_key_names: tuple[str, ...] = ()
    dialect: str = STANDARD_SQL


@dataclass(frozen=True, slots=True)
class RestoreInfo:
    """Which backup a database was restored from."""

    backup: str
    create_time: datetime
    version_time: datetime
    source_database: str


@dataclass(frozen=True, slots=True)
class Database:
    """A database as it is at one moment.

    Attributes:
        uid: The place in the order in which databases became known. Not part of Google's API.
        create_time: None where the test did not say, which also means that any version time is late enough.
        version_retention: How far back a backup's version time may lie.
    """

    uid: int
    name: str
    state: DatabaseState
    create_time: datetime | None
    version_retention: timedelta
    restore_info: RestoreInfo | None = None
    kms_key_names: tuple[str, ...] = ()
    dialect: str = STANDARD_SQL


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an operation is.

    Attributes:
        percent: 0 to 100. Google promises neither steps nor that it never falls.
    """

    percent: int
    start_time: datetime
    end_time: datetime | None


@dataclass(frozen=True, slots=True)
class Operation:
    """A long-running operation as it is at one moment.

    Attributes:
        uid: The place in the order in which operations started. Not part of Google's API.
        target: The name of the backup or database that it makes.
        database: The source database; empty for a copy, whose metadata don't name it.
        source_backup: The backup that is copied or restored; empty for CreateBackup.
        progress: None where the plan leaves it out.
        cancel_time: When a cancel was received, which says nothing about its success.
        error: How it failed; with `response`, None until it is done.
        response: What it made, as it was when the operation ended.
        restore_info: What is restored; None where nothing is.
        optimization: The operation that optimizes what was restored; empty until it has begun.
    """

    uid: int
    name: str
    kind: OperationKind
    target: str
    database: str
    source_backup: str
    progress: Progress | None
    cancel_time: datetime | None
    done: bool
    error: Status | None
    response: Backup | Database | None
    restore_info: RestoreInfo | None = None
    optimization: str = ""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; an empty token means that there is no next one."""

    items: tuple[T, ...]
    next_page_token: str
