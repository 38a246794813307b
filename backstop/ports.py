"""What the handlers need of the outside world, and what they see of it. `backstop/gcp/` implements it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from backstop.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backstop.commands import Encryption
    from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
    from backstop.results import Result


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup, as Spanner describes it now.

    Attributes:
        name: Its name; another backup may have had it before.
        database: What it is a backup of.
        create_time: When Spanner received the request that made it; with the name, its identity.
        expire_time: When Spanner removes it by itself.
        size_bytes: What a restore of it reads; in a chain of incremental backups it counts shared parts, too.
        exclusive_size_bytes: What of it is billed.
        freeable_size_bytes: What deleting it frees. All three are 0 until it is complete.
            https://cloud.google.com/spanner/docs/backup (documented)
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
class OperationError:
    """How an operation failed.

    Attributes:
        code: The canonical code's name; `CANCELLED` for a cancel that won.
        message: Google's own text.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A CreateBackup operation, as Spanner describes it now.

    https://cloud.google.com/spanner/docs/reference/rest/v1/CreateBackupMetadata (documented)

    Attributes:
        name: Its name.
        backup: The backup that it makes.
        database: What it backs up.
        start_time: When Spanner received the request.
        end_time: When it ended, however it ended; None while it runs.
        percent: Progress, 0 to 100; it may be missing (0), stick, jump or go back.
        cancel_time: When Spanner received a cancel, which says nothing of its success; None if it received none.
        error: How it failed; None unless it did.
        response: The backup that it made; None unless it succeeded.
        unexplained: Whether it has ended, and Spanner says neither with what error nor with what backup.
    """

    name: OperationName
    backup: BackupName
    database: DatabaseName
    start_time: datetime
    end_time: datetime | None = None
    percent: int = 0
    cancel_time: datetime | None = None
    error: OperationError | None = None
    response: Backup | None = None
    unexplained: bool = False

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.error is not None or self.response is not None or self.unexplained


@dataclass(frozen=True, slots=True)
class Unhandled:
    """An operation that Backstop leaves alone: a copy, or one whose description it can't read.

    Attributes:
        name: Its name, as Spanner gives it.
        backup: The backup that it makes; empty if that can't be read.
        database: What it backs up; empty for a copy, or if that can't be read.
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
    """What Spanner's list of operations holds.

    Attributes:
        operations: Those that make a backup of a database, the newest start first.
        unhandled: Those that Backstop leaves alone.
    """

    operations: tuple[Operation, ...] = ()
    unhandled: tuple[Unhandled, ...] = ()


class Spanner(Protocol):
    """Spanner's backup API. Every method raises the three kinds of `CallError` and nothing else."""

    def create_backup(
        self,
        database: DatabaseName,
        backup: BackupName,
        *,
        expire_time: datetime,
        version_time: datetime | None,
        encryption: Encryption | None,
    ) -> Operation:
        """Starts a backup and returns its operation."""

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation.

        Raises:
            UnhandledOperationError: It is one that Backstop leaves alone.
        """

    def list_operations(
        self,
        instance: InstanceName,
        *,
        database: DatabaseName | None = None,
        backup: BackupName | None = None,
    ) -> Listing:
        """Reads the backup operations of the last 7 days.

        Narrowed to one database or one backup where given, exactly and not as a substring; an unhandled operation of
        which Spanner says neither stays in every list.
        """

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""

    def delete_backup(self, name: BackupName, why: str) -> None:
        """Writes to the log why, then deletes a backup; where there is none, nothing happens."""

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when Spanner removes a backup by itself."""

    def list_databases(self, instance: InstanceName) -> Sequence[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order."""


class Queue(Protocol):
    """Where messages wait until they are due."""

    def schedule(self, identity: str, data: bytes, due: datetime) -> None:
        """Has a follow-up published at `due`, once for each identity; an identity already taken is success.

        Raises:
            TransientError: Nothing was scheduled, or nobody knows; the delivery must be refused.
        """


class Results(Protocol):
    """Where outcomes are published."""

    def publish(self, result: Result) -> None:
        """Writes one outcome to the log, then publishes it.

        Raises:
            TransientError: It may not have been told; the delivery must be refused.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, for one delivery."""

    spanner: Spanner
    queue: Queue
    results: Results


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chose, as far as the handlers care.

    Attributes:
        follow_ups_topic: The only topic from which follow-ups are believed.
        retention: How long a backup is kept when its command doesn't say.
        look_min: The shortest time between two looks.
        look_max: The longest.
        give_up_after: How long a chain lasts, from the later of the operation's start and its command.
        allow_delete: Whether backups may be deleted at all.
        policy: What no command may ask for.
    """

    follow_ups_topic: str
    retention: timedelta = field(default=timedelta(days=14))
    look_min: timedelta = field(default=timedelta(seconds=10))
    look_max: timedelta = field(default=timedelta(hours=1))
    give_up_after: timedelta = field(default=timedelta(days=3))
    allow_delete: bool = True
    policy: Policy = field(default_factory=Policy)
