"""The gRPC services on top of the state: DatabaseAdmin and google.longrunning.Operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.cloud.spanner_admin_database_v1 import types as pb
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2

from spanner_backup_emulator import rpc as table
from spanner_backup_emulator.rpc import Method
from spanner_backup_emulator.spanner import instances, wire
from spanner_backup_emulator.spanner import requests as rpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import grpc

    from spanner_backup_emulator.serving import Endpoint
    from spanner_backup_emulator.spanner.records import Operation, Page
    from spanner_backup_emulator.spanner.state import State

ADMIN = "google.spanner.admin.database.v1.DatabaseAdmin"
OPERATIONS = "google.longrunning.Operations"


def _named(request: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda message: request(message.name)


def _listing(request: Callable[[str, str, int, str], Any]) -> Callable[[Any], Any]:
    return lambda message: request(
        message.parent, getattr(message, "filter", ""), message.page_size, message.page_token
    )


def _shown(show: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda _, answer: show(answer)


def _operations(response: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def show(_: object, page: Page[Operation]) -> Any:  # noqa: ANN401 - three types
        return response(operations=list(map(wire.operation, page.items)), next_page_token=page.next_page_token)

    return show


def _as_it_is(message: Any) -> Any:  # noqa: ANN401 - Google's message
    return message


def _nothing(_: object, __: None) -> empty_pb2.Empty:
    return empty_pb2.Empty()


def _list_operations(message: operations_pb2.ListOperationsRequest) -> rpc.ListOperations:
    return rpc.ListOperations(message.name, message.filter, message.page_size, message.page_token)


_OPERATION = _shown(lambda made: made if isinstance(made, operations_pb2.Operation) else wire.operation(made))

ADMIN_METHODS = {
    "CreateBackup": Method(pb.CreateBackupRequest, wire.create_backup, _OPERATION),
    "CopyBackup": Method(pb.CopyBackupRequest, wire.copy_backup, _OPERATION),
    "RestoreDatabase": Method(pb.RestoreDatabaseRequest, wire.restore_database, _OPERATION),
    "GetBackup": Method(pb.GetBackupRequest, _named(rpc.GetBackup), _shown(wire.backup)),
    "UpdateBackup": Method(pb.UpdateBackupRequest, wire.update_backup, _shown(wire.backup)),
    "DeleteBackup": Method(pb.DeleteBackupRequest, _named(rpc.DeleteBackup), _nothing),
    "ListBackups": Method(pb.ListBackupsRequest, _listing(rpc.ListBackups), _shown(wire.backups)),
    "ListBackupOperations": Method(
        pb.ListBackupOperationsRequest, _listing(rpc.ListBackupOperations), _operations(pb.ListBackupOperationsResponse)
    ),
    "ListDatabaseOperations": Method(
        pb.ListDatabaseOperationsRequest,
        _listing(rpc.ListDatabaseOperations),
        _operations(pb.ListDatabaseOperationsResponse),
    ),
    "ListDatabases": Method(pb.ListDatabasesRequest, _listing(rpc.ListDatabases), _shown(wire.databases)),
    "GetDatabase": Method(pb.GetDatabaseRequest, _named(rpc.GetDatabase), _shown(wire.database)),
    "CreateBackupSchedule": Method(pb.CreateBackupScheduleRequest, wire.create_backup_schedule, _shown(_as_it_is)),
    "GetBackupSchedule": Method(pb.GetBackupScheduleRequest, _named(rpc.GetBackupSchedule), _shown(_as_it_is)),
    "UpdateBackupSchedule": Method(pb.UpdateBackupScheduleRequest, wire.update_backup_schedule, _shown(_as_it_is)),
    "DeleteBackupSchedule": Method(pb.DeleteBackupScheduleRequest, _named(rpc.DeleteBackupSchedule), _nothing),
    "ListBackupSchedules": Method(
        pb.ListBackupSchedulesRequest, _listing(rpc.ListBackupSchedules), _shown(wire.backup_schedules)
    ),
}

OPERATIONS_METHODS = {
    "GetOperation": Method(operations_pb2.GetOperationRequest, _named(rpc.GetOperation), _OPERATION),
    "CancelOperation": Method(operations_pb2.CancelOperationRequest, _named(rpc.CancelOperation), _nothing),
    "ListOperations": Method(
        operations_pb2.ListOperationsRequest, _list_operations, _operations(operations_pb2.ListOperationsResponse)
    ),
}


def register(server: grpc.Server, endpoint: Endpoint, state: State) -> None:
    """Adds all services to a server."""
    made = instances.Instances(state)

    def apply(now: datetime, request: Any) -> Any:  # noqa: ANN401 - one of many types
        done = made.operations.get(request.resource) if isinstance(request, rpc.GetOperation) else None
        return done or state.apply(now, request)

    for service, methods in ((ADMIN, ADMIN_METHODS), (OPERATIONS, OPERATIONS_METHODS)):
        table.register(server, service, methods, endpoint, apply, _resource)
    instances.register(server, endpoint, made)


def _resource(method: Method, request: Any) -> str:  # noqa: ANN401 - one of many types
    name: str = method.parse(request).resource
    return name
