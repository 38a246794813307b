"""Names, times and shorthand that the tests of the Spanner emulator share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.spanner.state import State

if TYPE_CHECKING:
    from spanner_backup_emulator.spanner.records import Backup, Operation

R = TypeVar("R")

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

INSTANCE = "projects/p/instances/i"
ORDERS, USERS = f"{INSTANCE}/databases/orders", f"{INSTANCE}/databases/users"
SCHEDULE = f"{ORDERS}/backupSchedules/daily"
NIGHTLY = f"{INSTANCE}/backups/nightly"


class Clock:
    """A clock that stands still until it is moved.

    Attributes:
        now: The time that it shows.
    """

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time, as a server asks for it."""
        return self.now

    def tick(self, span: timedelta) -> datetime:
        """Moves on and shows the time."""
        self.now += span
        return self.now


class Desk:
    """A state with a clock of its own, and the calls that most tests make."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.clock = Clock()

    def create(self, backup_id: str = "nightly", database: str = ORDERS, retention: timedelta = DAY) -> Operation:
        """Starts a backup."""
        expire_time = self.clock.now + retention
        return self.call(rpc.CreateBackup(INSTANCE, backup_id, database, expire_time))

    def made(self, backup_id: str = "nightly", database: str = ORDERS, retention: timedelta = DAY) -> Backup:
        """Starts a backup and waits for its end."""
        operation = self.create(backup_id, database, retention)
        self.clock.tick(HOUR)
        return self.backup(operation.target)

    def backup(self, name: str = NIGHTLY) -> Backup:
        """Reads a backup."""
        return self.call(rpc.GetBackup(name))

    def operation(self, name: str) -> Operation:
        """Reads an operation."""
        return self.call(rpc.GetOperation(name))

    def cancel(self, name: str) -> None:
        """Cancels an operation."""
        self.call(rpc.CancelOperation(name))

    def delete(self, name: str = NIGHTLY) -> None:
        """Deletes a backup."""
        self.call(rpc.DeleteBackup(name))

    def call(self, request: rpc.Request[R]) -> R:
        """Makes any call, now."""
        return self.state.apply(self.clock.now, request)

    def refusal(self, request: rpc.Request[R]) -> tuple[Code, str]:
        """Makes a call that has to be refused, and gives the code and the text."""
        try:
            answer = self.call(request)
        except ApiError as error:
            return error.code, error.message
        raise AssertionError(f"{request} was answered with {answer}")

    def exists(self, name: str = NIGHTLY) -> bool:
        """Whether a backup can be read."""
        try:
            self.backup(name)
        except ApiError:
            return False
        return True
