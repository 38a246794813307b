"""What Spanner says: operations that make backups, the backups, and why something failed."""

from dataclasses import dataclass
from datetime import datetime

from backstop.names import BackupName, DatabaseName, OperationName


@dataclass(frozen=True, slots=True)
class Failure:
    """Why Google refused or failed something."""

    code: str  # The canonical code's name, such as `NOT_FOUND`.
    message: str  # Google's own text.


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, as Spanner describes it now. All sizes are 0 until it is complete.

    https://cloud.google.com/spanner/docs/backup (documented)
    """

    name: BackupName  # Another backup may have had it before.
    database: DatabaseName  # The database whose data it holds.
    create_time: datetime  # When Spanner received the request that made it; with the name, its identity.
    expire_time: datetime  # When Spanner deletes it by itself.
    size_bytes: int = 0  # What a restore reads; in a chain of incremental backups it counts shared parts, too.
    exclusive_size_bytes: int = 0  # What is billed.
    freeable_size_bytes: int = 0  # What its deletion frees.
    schedules: tuple[str, ...] = ()  # The native backup schedules that made it; none: it was made on demand.
    referenced_by: tuple[str, ...] = ()  # The databases and backups that are being made from it: it can't be deleted.


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation that makes a backup, as Spanner describes it now: one attempt.

    https://cloud.google.com/spanner/docs/reference/rest/v1/CreateBackupMetadata (documented)
    """

    name: OperationName
    backup: BackupName  # The backup that it makes.
    database: DatabaseName  # The database whose data that backup holds.
    start_time: datetime  # When Spanner received the request.
    end_time: datetime | None = None  # When it ended, however it ended; None while it runs.
    percent: int = 0  # Progress, 0 to 100; it may be missing (0), stick, jump or go back.
    cancel_time: datetime | None = None  # When Spanner received a cancel, which says nothing of its success.
    error: Failure | None = None  # How it failed; with the code `CANCELLED` if a cancel won.
    response: Backup | None = None  # The backup that it made; None unless it succeeded.
    unexplained: bool = False  # Whether it has ended, and Spanner gives neither an error nor a backup.

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.error is not None or self.response is not None or self.unexplained


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An operation that Backstop leaves alone: a copy, or one whose description can't be read."""

    name: str
    backup: str  # The backup that it makes; empty if that can't be read.
    database: str  # The database; empty for a copy, or if that can't be read.
    is_copy: bool
    done: bool
    why: str  # What it is, to complete a sentence: "it is a copy of …", "it has no start time".


@dataclass(frozen=True, slots=True)
class Listing:
    """Spanner's list of operations: those that Backstop handles, the newest start first, and those it leaves alone."""

    operations: tuple[Operation, ...] = ()
    unhandled: tuple[Unhandled, ...] = ()
