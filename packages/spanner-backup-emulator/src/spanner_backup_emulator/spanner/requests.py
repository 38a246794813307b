"""The calls that the emulator understands; each class has the name of its RPC and knows its answer's type."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from spanner_backup_emulator.spanner.records import Backup, Database, Operation, Page

if TYPE_CHECKING:
    from datetime import datetime

R_co = TypeVar("R_co", covariant=True)


class Request(ABC, Generic[R_co]):
    """A call that is answered with an `R_co`."""

    __slots__ = ()

    @property
    @abstractmethod
    def resource(self) -> str:
        """The full name of what the call is about."""


@dataclass(frozen=True, slots=True)
class _Named(Request[R_co]):
    name: str

    @property
    def resource(self) -> str:
        """The name itself."""
        return self.name


@dataclass(frozen=True, slots=True)
class _Listing(Request[R_co]):
    """A call for one page of a list.

    Attributes:
        page_size: Items at most; 0 or less for as many as the server gives.
        page_token: Where the page before ended; empty for the first one.
    """

    parent: str
    filter: str = ""
    page_size: int = 0
    page_token: str = ""

    @property
    def resource(self) -> str:
        """The instance, or for `ListOperations` the backup."""
        return self.parent


@dataclass(frozen=True, slots=True)
class CreateBackup(Request[Operation]):
    """Starts a backup; a missing `version_time` means the time at which the call is received."""

    parent: str
    backup_id: str
    database: str
    expire_time: datetime | None
    version_time: datetime | None = None
    kms_key_names: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The name that the backup will have."""
        return f"{self.parent}/backups/{self.backup_id}"


@dataclass(frozen=True, slots=True)
class CopyBackup(Request[Operation]):
    """Starts a copy of a backup."""

    parent: str
    backup_id: str
    source_backup: str
    expire_time: datetime | None
    kms_key_names: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The name that the copy will have."""
        return f"{self.parent}/backups/{self.backup_id}"


@dataclass(frozen=True, slots=True)
class RestoreDatabase(Request[Operation]):
    """Starts to make a new database out of a backup."""

    parent: str
    database_id: str
    backup: str
    kms_key_names: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """The name that the database will have."""
        return f"{self.parent}/databases/{self.database_id}"


@dataclass(frozen=True, slots=True)
class UpdateBackup(Request[Backup]):
    """Changes the fields of a backup that the mask names."""

    name: str
    expire_time: datetime | None
    mask: tuple[str, ...]

    @property
    def resource(self) -> str:
        """The backup's name."""
        return self.name


class GetBackup(_Named[Backup]):
    """Reads one backup."""

    __slots__ = ()


class DeleteBackup(_Named[None]):
    """Deletes a backup, finished or not; there may be none."""

    __slots__ = ()


class GetDatabase(_Named[Database]):
    """Reads one database."""

    __slots__ = ()


class GetOperation(_Named[Operation]):
    """Reads one operation."""

    __slots__ = ()


class CancelOperation(_Named[None]):
    """Asks for an operation to be cancelled, which may come too late."""

    __slots__ = ()


class ListBackups(_Listing[Page[Backup]]):
    """Lists an instance's backups, newest first."""

    __slots__ = ()


class ListDatabases(_Listing[Page[Database]]):
    """Lists an instance's databases; it takes no filter."""

    __slots__ = ()


class ListBackupOperations(_Listing[Page[Operation]]):
    """Lists the operations that make an instance's backups, newest first."""

    __slots__ = ()


class ListDatabaseOperations(_Listing[Page[Operation]]):
    """Lists the operations that restore an instance's databases, newest first."""

    __slots__ = ()


class ListOperations(_Listing[Page[Operation]]):
    """Lists the operations under one backup's or database's name, newest first."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CreateBackupSchedule(Request[Any]):
    """Adds a schedule to a database; it is Google's own message, and so is the answer."""

    parent: str
    schedule_id: str
    schedule: Any

    @property
    def resource(self) -> str:
        """The name that the schedule will have."""
        return f"{self.parent}/backupSchedules/{self.schedule_id}"


@dataclass(frozen=True, slots=True)
class UpdateBackupSchedule(Request[Any]):
    """Changes the fields of a schedule that the mask names."""

    schedule: Any
    mask: tuple[str, ...]

    @property
    def resource(self) -> str:
        """The schedule's name."""
        return str(self.schedule.name)


class GetBackupSchedule(_Named[Any]):
    """Reads one schedule."""

    __slots__ = ()


class DeleteBackupSchedule(_Named[None]):
    """Takes a schedule away."""

    __slots__ = ()


class ListBackupSchedules(_Listing[Page[Any]]):
    """Lists a database's schedules, newest first; it takes no filter."""

    __slots__ = ()
