"""What Spanner says: operations that make backups, the backups, and why something failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from backstop.names import BackupName, DatabaseName, OperationName


@dataclass(frozen=True, slots=True)
class Failure:
    """Why Google refused or failed something: the canonical code's name, and Google's own text."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, as Spanner describes it now. https://cloud.google.com/spanner/docs/backup (documented).

    Attributes:
        name: Its name; another backup may have had it before.
        database: The database whose data it holds.
        create_time: When Spanner received the request that made it; with the name, its identity.
        expire_time: When Spanner deletes it by itself.
        size_bytes: What a restore reads; in a chain of incremental backups it counts shared parts, too.
        exclusive_size_bytes: What is billed.
        freeable_size_bytes: What its deletion frees. All three sizes are 0 until it is complete.
        schedules: The native backup schedules that made it; empty for one made on demand.
        referenced_by: The databases and backups that are being made from it and so block its deletion.
    """

    name: BackupName
    database: DatabaseName
    create_time: datetime
    expire_time: datetime
    size_bytes: int = 0
    exclusive_size_bytes: int = 0
    freeable_size_bytes: int = 0
    schedules: tuple[str, ...] = ()
    referenced_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that makes a backup, as Spanner describes it now: the identity of one attempt.

    https://cloud.google.com/spanner/docs/reference/rest/v1/CreateBackupMetadata (documented)

    Attributes:
        name: Its name.
        backup: The backup that it makes.
        database: The database whose data that backup holds.
        start_time: When Spanner received the request.
        end_time: When it ended, however it ended; None while it runs.
        percent: Progress, 0 to 100; it may be missing (0), stick, jump or go back.
        cancel_time: When Spanner received a cancel, which says nothing of its success; None if it received none.
        error: How it failed; the code is `CANCELLED` if a cancel won. None unless it did.
        response: The backup that it made; None unless it succeeded.
        unexplained: Whether it has ended, and Spanner gives neither an error nor a backup.
    """

    name: OperationName
    backup: BackupName
    database: DatabaseName
    start_time: datetime
    end_time: datetime | None = None
    percent: int = 0
    cancel_time: datetime | None = None
    error: Failure | None = None
    response: Backup | None = None
    unexplained: bool = False

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.error is not None or self.response is not None or self.unexplained


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An operation that Backstop leaves alone: a copy, or one whose description can't be read.

    Attributes:
        name: Its name, as Spanner gives it.
        backup: The backup that it makes; empty if that can't be read.
        database: The database; empty for a copy, or if that can't be read.
        is_copy: Whether it copies another backup.
        done: Whether it has ended.
        why: What it is, to complete a sentence: "it is a copy of …", "it has no start time".
    """

    name: str
    backup: str
    database: str
    is_copy: bool
    done: bool
    why: str


@dataclass(frozen=True, slots=True)
class Listing:
    """Spanner's list of operations: those that Backstop handles, the newest start first, and those it leaves alone."""

    operations: tuple[Operation, ...] = ()
    unhandled: tuple[Unhandled, ...] = ()
