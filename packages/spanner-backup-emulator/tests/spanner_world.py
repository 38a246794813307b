"""Names, times and shorthand that the tests of the Spanner emulator share."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1.services.database_admin.transports import DatabaseAdminGrpcTransport

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, stamp
from spanner_backup_emulator.spanner.messages import pb, unpacked
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

INSTANCE = "projects/p/instances/i"
ORDERS, USERS = f"{INSTANCE}/databases/orders", f"{INSTANCE}/databases/users"
SCHEDULE = f"{ORDERS}/backupSchedules/daily"
NIGHTLY = f"{INSTANCE}/backups/nightly"


def create_request(backup_id: str, database: str, expire_time: datetime) -> Message:
    """What asks for a backup."""
    backup = {"database": database, "expire_time": stamp(expire_time)}
    return pb.CreateBackupRequest(parent=INSTANCE, backup_id=backup_id, backup=backup)


def update_request(backup: str, expire_time: datetime) -> Message:
    """What asks for another expire_time."""
    changed = {"name": backup, "expire_time": stamp(expire_time)}
    return pb.UpdateBackupRequest(backup=changed, update_mask={"paths": ["expire_time"]})


@contextmanager
def connected(address: str) -> Iterator[DatabaseAdminClient]:
    """Google's generated client."""
    with grpc.insecure_channel(address) as channel:
        yield DatabaseAdminClient(transport=DatabaseAdminGrpcTransport(channel=channel))


def ask(emulator: SpannerEmulator, verb: str, path: str, body: object = None) -> Any:  # noqa: ANN401 JSON
    """Makes a call by REST."""
    data = None if body is None else json.dumps(body).encode()
    url = f"http://{emulator.rest_address}/v1/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, data, method=verb), timeout=60) as answer:
        return json.load(answer)


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

    def create(self, backup_id: str = "nightly", database: str = ORDERS, retention: timedelta = DAY) -> Message:
        """Starts a backup."""
        return self.call(create_request(backup_id, database, self.clock.now + retention))

    def made(self, backup_id: str = "nightly", database: str = ORDERS, retention: timedelta = DAY) -> Message:
        """Starts a backup and waits for its end."""
        self.create(backup_id, database, retention)
        self.clock.tick(HOUR)
        return self.backup(f"{INSTANCE}/backups/{backup_id}")

    def backup(self, name: str = NIGHTLY) -> Message:
        """Reads a backup."""
        return self.call(pb.GetBackupRequest(name=name))

    def backups(self, text: str = "") -> list[Message]:
        """Lists the backups that match a filter."""
        return list(self.call(pb.ListBackupsRequest(parent=INSTANCE, filter=text)).backups)

    def operation(self, name: str) -> Message:
        """Reads an operation."""
        return self.call(pb.GetOperationRequest(name=name))

    def metadata(self, name: str) -> Message:
        """Reads an operation's metadata."""
        return unpacked(self.operation(name).metadata)

    def response(self, name: str) -> Message:
        """Reads what an operation has made."""
        return unpacked(self.operation(name).response)

    def cancel(self, name: str) -> None:
        """Cancels an operation."""
        self.call(pb.CancelOperationRequest(name=name))

    def delete(self, name: str = NIGHTLY) -> None:
        """Deletes a backup."""
        self.call(pb.DeleteBackupRequest(name=name))

    def call(self, request: Message) -> Message:
        """Makes any call, now."""
        return self.state.apply(self.clock.now, request)

    def refusal(self, request: Message) -> tuple[Code, str]:
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
