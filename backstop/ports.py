"""What the function needs of the outside world, and what its operator chose. `backstop/gcp/` implements it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from backstop.commands import Start
from backstop.events import Event
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup, Listing, Operation


class Spanner(Protocol):
    """Spanner's backup API. Every method raises the three kinds of `CallError` and nothing else."""

    def create_backup(self, database: DatabaseName, name: BackupName, expire_time: datetime, asked: Start) -> Operation:
        """Starts a backup, with the version time and the encryption that were asked for; returns its operation."""

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation; raises `UnhandledOperationError` if it is one that Backstop leaves alone."""

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the backup operations of the last 7 days, of one database or one backup where given.

        An unhandled operation of which Spanner says neither stays in every list.
        """

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped."""

    def list_backups(self, instance: InstanceName, since: datetime) -> Mapping[str, bool]:
        """Reads the names of an instance's backups, at least of those made since then; True: a schedule made it."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""

    def delete_backup(self, name: BackupName) -> None:
        """Deletes a backup; where there is none, nothing happens."""

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when Spanner deletes a backup by itself."""

    def list_databases(self, instance: InstanceName) -> Sequence[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order."""


class Queue(Protocol):
    """Where follow-ups wait until they are due. Both ports below raise `TransientError` alone: nobody knows then."""

    def schedule(self, identity: str, data: bytes, due: datetime) -> None:
        """Has a follow-up published at `due`, once for each identity; an identity already taken is success."""


class Events(Protocol):
    """Where people learn what happens."""

    def publish(self, event: Event) -> None:
        """Writes an event to the log, then publishes it."""

    def announce_deletion(self, event: Event) -> None:
        """Writes to the log what is about to be deleted and why, so that no crash can hide a deletion."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, for one delivery."""

    spanner: Spanner
    queue: Queue
    events: Events


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose."""

    follow_ups_topic: str  # The only topic from which follow-ups are believed.
    retention: timedelta = timedelta(days=14)  # How long a backup is kept when its command doesn't say.
    poll_min: timedelta = timedelta(seconds=10)  # The shortest time between two polls.
    poll_max: timedelta = timedelta(hours=1)  # The longest.
    give_up_after: timedelta = timedelta(days=3)  # From the later of the operation's start and its command.
    allow_delete: bool = True  # Whether backups may be deleted at all.
    allow_scheduled: bool = True  # Whether what native backup schedules made may be stopped and deleted.
    # Whether a start may ask for Google's default encryption. Nobody's key is weaker, and what key the database has
    # isn't ours to read; a start that says nothing takes that one.
    allow_weaker_key: bool = True
    cancel_after_min: timedelta = timedelta(0)  # The shortest that a sweep may ask for: it stops everybody's backups.
    instances: tuple[str, ...] = ()  # Patterns for the full names of the instances that may be commanded; empty: all.
