"""The machine of `spanner_machine.py` against two subjects: the state, and the server by way of Google's client."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from google.api_core import exceptions
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_admin_database_v1.services.database_admin.transports import DatabaseAdminGrpcTransport
from google.longrunning import operations_pb2
from google.rpc import code_pb2
from hypothesis import settings
from spanner_machine import SeenBackup, SeenOperation, SpannerMachine, Subject
from spanner_world import INSTANCE, ORDERS, SCHEDULE, START, USERS, Clock

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.spanner.records import Backup
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanner_backup_emulator.spanner.history import Event
    from spanner_backup_emulator.spanner.plans import Plan

WIRE_EXAMPLE_SHARE = 4
"""A step over gRPC takes some twenty times as long, and adds the wire only, so it gets fewer examples."""


def _time(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def _minutes(when: object) -> int:
    assert isinstance(when, datetime)  # the client library types it as a Timestamp, and makes a datetime of it
    return (when - START) // timedelta(minutes=1)


class PureSubject:
    """The state, called without a wire."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._state = State(databases=[ORDERS, USERS])

    def create(self, backup_id: str, database: str, expires: int) -> tuple[str, str]:
        """Starts a backup."""
        try:
            request = rpc.CreateBackup(INSTANCE, backup_id, database, _time(expires))
            return "OK", self._state.apply(self._clock.now, request).name
        except ApiError as error:
            return error.code.name, ""

    def update(self, backup: str, expires: int) -> str:
        """Changes when a backup expires."""
        return self._code(rpc.UpdateBackup(backup, _time(expires), ("expire_time",)))

    def delete(self, backup: str) -> str:
        """Deletes a backup."""
        return self._code(rpc.DeleteBackup(backup))

    def cancel(self, operation: str) -> str:
        """Cancels an operation."""
        return self._code(rpc.CancelOperation(operation))

    def backups(self) -> list[SeenBackup]:
        """Lists all backups."""
        return [
            SeenBackup(
                backup.name,
                backup.database,
                backup.state.name,
                _minutes(backup.create_time),
                _minutes(backup.expire_time),
                bool(backup.referencing_databases),
                bool(backup.backup_schedules),
            )
            for backup in self._state.apply(self._clock.now, rpc.ListBackups(INSTANCE)).items
        ]

    def operations(self) -> list[SeenOperation]:
        """Lists all operations that make backups."""
        return [
            SeenOperation(
                operation.name,
                operation.database,
                (operation.error.code.name if operation.error else "OK") if operation.done else None,
                None if operation.cancel_time is None else _minutes(operation.cancel_time),
                _minutes(operation.progress.start_time) if operation.progress else -1,
                operation.response.name if isinstance(operation.response, Backup) else None,
            )
            for operation in self._state.apply(self._clock.now, rpc.ListBackupOperations(INSTANCE)).items
        ]

    def plan(self, database: str, plan: Plan) -> None:
        """Sets a database's plan."""
        self._state.set_plan(database, plan)

    def schedule(self, backup_id: str, database: str) -> str:
        """Starts a scheduled backup."""
        return self._state.start_scheduled_backup(self._clock.now, database, SCHEDULE, backup_id).name

    def restore(self, backup: str, database: str, minutes: int) -> None:
        """Starts a restore."""
        until = self._clock.now + timedelta(minutes=minutes)
        self._state.begin_restore(self._clock.now, backup, database, until)

    def history(self) -> list[Event]:
        """The record until now."""
        self._state.advance(self._clock.now)
        return list(self._state.history)

    def close(self) -> None:
        """Nothing to end."""

    def _code(self, request: rpc.Request[object]) -> str:
        try:
            self._state.apply(self._clock.now, request)
        except ApiError as error:
            return error.code.name
        return "OK"


class WireSubject:
    """The server, called through Google's client."""

    def __init__(self, clock: Clock) -> None:
        self._emulator = SpannerEmulator(clock=clock, state=State(databases=[ORDERS, USERS])).start()
        self._channel = grpc.insecure_channel(self._emulator.address)
        self._client = DatabaseAdminClient(transport=DatabaseAdminGrpcTransport(channel=self._channel))

    def create(self, backup_id: str, database: str, expires: int) -> tuple[str, str]:
        """Starts a backup."""
        backup = pb.Backup(database=database, expire_time=_time(expires))
        try:
            started = self._client.create_backup(parent=INSTANCE, backup_id=backup_id, backup=backup)
        except exceptions.GoogleAPICallError as error:
            return _name(error), ""
        return "OK", started.operation.name

    def update(self, backup: str, expires: int) -> str:
        """Changes when a backup expires."""
        changed = pb.Backup(name=backup, expire_time=_time(expires))
        request = pb.UpdateBackupRequest(backup=changed, update_mask={"paths": ["expire_time"]})
        return _code(lambda: self._client.update_backup(request))

    def delete(self, backup: str) -> str:
        """Deletes a backup."""
        return _code(lambda: self._client.delete_backup(name=backup))

    def cancel(self, operation: str) -> str:
        """Cancels an operation."""
        request = operations_pb2.CancelOperationRequest(name=operation)
        return _code(lambda: self._client.cancel_operation(request))

    def backups(self) -> list[SeenBackup]:
        """Lists all backups."""
        return [
            SeenBackup(
                backup.name,
                backup.database,
                backup.state.name,
                _minutes(backup.create_time),
                _minutes(backup.expire_time),
                bool(backup.referencing_databases),
                bool(backup.backup_schedules),
            )
            for backup in self._client.list_backups(parent=INSTANCE)
        ]

    def operations(self) -> list[SeenOperation]:
        """Lists all operations that make backups."""
        return [_seen(operation) for operation in self._client.list_backup_operations(parent=INSTANCE)]

    def plan(self, database: str, plan: Plan) -> None:
        """Sets a database's plan."""
        self._emulator.set_plan(database, plan)

    def schedule(self, backup_id: str, database: str) -> str:
        """Starts a scheduled backup."""
        return self._emulator.start_scheduled_backup(database, SCHEDULE, backup_id).name

    def restore(self, backup: str, database: str, minutes: int) -> None:
        """Starts a restore."""
        self._emulator.begin_restore(backup, database, timedelta(minutes=minutes))

    def history(self) -> list[Event]:
        """The record until now."""
        return list(self._emulator.history())

    def close(self) -> None:
        """Ends the connection and the server."""
        self._channel.close()
        self._emulator.close()


def _name(error: exceptions.GoogleAPICallError) -> str:
    assert error.grpc_status_code is not None
    return str(error.grpc_status_code.name)


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except exceptions.GoogleAPICallError as error:
        return _name(error)
    return "OK"


def _seen(operation: operations_pb2.Operation) -> SeenOperation:
    metadata = pb.CreateBackupMetadata.deserialize(operation.metadata.value)
    code = code_pb2.Code.Name(operation.error.code) if operation.done else None
    made = pb.Backup.deserialize(operation.response.value).name if operation.HasField("response") else None
    return SeenOperation(
        operation.name,
        metadata.database,
        code,
        None if metadata.cancel_time is None else _minutes(metadata.cancel_time),
        _minutes(metadata.progress.start_time),
        made,
    )


class PureMachine(SpannerMachine):
    """Reaches the state's corners, because it is fast."""

    def make_subject(self) -> Subject:
        """The pure state."""
        return PureSubject(self.clock)


class WireMachine(SpannerMachine):
    """Reaches the conversion of every field and code, and the server's lock."""

    def make_subject(self) -> Subject:
        """The server."""
        return WireSubject(self.clock)


TestPure = PureMachine.TestCase
TestWire = WireMachine.TestCase
TestWire.settings = settings(max_examples=settings().max_examples // WIRE_EXAMPLE_SHARE)
