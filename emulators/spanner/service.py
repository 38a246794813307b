# ruff: noqa: N802 - the methods are named as Google names them.
"""The gRPC services on top of the state: DatabaseAdmin and google.longrunning.Operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, TypeVar

import grpc
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_v1.testing import spanner_database_admin_pb2_grpc
from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf import empty_pb2

from emulators.spanner import requests as rpc
from emulators.spanner import wire

if TYPE_CHECKING:
    from emulators.serving import Endpoint
    from emulators.spanner.state import State

R = TypeVar("R")


class Caller:
    """Puts a call to the state under the endpoint's lock, clock and faults."""

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        self._endpoint = endpoint
        self._state = state

    def __call__(self, request: rpc.Request[R], context: grpc.ServicerContext) -> R:
        """Answers the call, or ends the RPC with the refusal."""
        method = type(request).__name__
        return self._endpoint.answer(method, context, lambda now: self._state.apply(now, request), request.resource)


def _unsupported(_self: object, _request: object, context: grpc.ServicerContext) -> NoReturn:
    """Answers what the emulator does not do."""
    context.abort(grpc.StatusCode.UNIMPLEMENTED, "Not supported by this emulator.")


class DatabaseAdmin(spanner_database_admin_pb2_grpc.DatabaseAdminServicer):
    """google.spanner.admin.database.v1.DatabaseAdmin."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    def CreateBackup(self, request: pb.CreateBackupRequest, context: grpc.ServicerContext) -> operations_pb2.Operation:
        """Starts a backup."""
        return wire.operation(self._call(wire.create_backup(request), context))

    def CopyBackup(self, request: pb.CopyBackupRequest, context: grpc.ServicerContext) -> operations_pb2.Operation:
        """Starts a copy of a backup."""
        return wire.operation(self._call(wire.copy_backup(request), context))

    def RestoreDatabase(
        self, request: pb.RestoreDatabaseRequest, context: grpc.ServicerContext
    ) -> operations_pb2.Operation:
        """Starts to restore a database."""
        return wire.operation(self._call(wire.restore_database(request), context))

    def GetBackup(self, request: pb.GetBackupRequest, context: grpc.ServicerContext) -> pb.Backup:
        """Reads a backup."""
        return wire.backup(self._call(rpc.GetBackup(request.name), context))

    def UpdateBackup(self, request: pb.UpdateBackupRequest, context: grpc.ServicerContext) -> pb.Backup:
        """Changes when a backup expires."""
        return wire.backup(self._call(wire.update_backup(request), context))

    def DeleteBackup(self, request: pb.DeleteBackupRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Deletes a backup."""
        self._call(rpc.DeleteBackup(request.name), context)
        return empty_pb2.Empty()

    def ListBackups(self, request: pb.ListBackupsRequest, context: grpc.ServicerContext) -> pb.ListBackupsResponse:
        """Lists backups."""
        listing = rpc.ListBackups(request.parent, request.filter, request.page_size, request.page_token)
        return wire.backups(self._call(listing, context))

    def ListBackupOperations(
        self, request: pb.ListBackupOperationsRequest, context: grpc.ServicerContext
    ) -> pb.ListBackupOperationsResponse:
        """Lists the operations that make backups."""
        page = self._call(
            rpc.ListBackupOperations(request.parent, request.filter, request.page_size, request.page_token), context
        )
        items = [wire.operation(record) for record in page.items]
        return pb.ListBackupOperationsResponse(operations=items, next_page_token=page.next_page_token)

    def ListDatabaseOperations(
        self, request: pb.ListDatabaseOperationsRequest, context: grpc.ServicerContext
    ) -> pb.ListDatabaseOperationsResponse:
        """Lists the operations that restore databases."""
        page = self._call(
            rpc.ListDatabaseOperations(request.parent, request.filter, request.page_size, request.page_token), context
        )
        items = [wire.operation(record) for record in page.items]
        return pb.ListDatabaseOperationsResponse(operations=items, next_page_token=page.next_page_token)

    def ListDatabases(
        self, request: pb.ListDatabasesRequest, context: grpc.ServicerContext
    ) -> pb.ListDatabasesResponse:
        """Lists databases."""
        listing = rpc.ListDatabases(request.parent, "", request.page_size, request.page_token)
        return wire.databases(self._call(listing, context))

    def GetDatabase(self, request: pb.GetDatabaseRequest, context: grpc.ServicerContext) -> pb.Database:
        """Reads a database."""
        return wire.database(self._call(rpc.GetDatabase(request.name), context))

    # Google's base class answers these by an exception, which the server would log as a crash.
    CreateDatabase = UpdateDatabase = UpdateDatabaseDdl = DropDatabase = GetDatabaseDdl = _unsupported
    SetIamPolicy = GetIamPolicy = TestIamPermissions = ListDatabaseRoles = _unsupported
    CreateBackupSchedule = GetBackupSchedule = UpdateBackupSchedule = _unsupported
    DeleteBackupSchedule = ListBackupSchedules = _unsupported


class Operations(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]  # it has no types
    """google.longrunning.Operations."""

    def __init__(self, call: Caller) -> None:
        self._call = call

    def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: grpc.ServicerContext
    ) -> operations_pb2.Operation:
        """Reads an operation."""
        return wire.operation(self._call(rpc.GetOperation(request.name), context))

    def CancelOperation(
        self, request: operations_pb2.CancelOperationRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Asks for an operation to be cancelled."""
        self._call(rpc.CancelOperation(request.name), context)
        return empty_pb2.Empty()

    def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: grpc.ServicerContext
    ) -> operations_pb2.ListOperationsResponse:
        """Lists the operations of one backup or database."""
        listing = rpc.ListOperations(request.name, request.filter, request.page_size, request.page_token)
        page = self._call(listing, context)
        items = [wire.operation(record) for record in page.items]
        return operations_pb2.ListOperationsResponse(operations=items, next_page_token=page.next_page_token)

    DeleteOperation = WaitOperation = _unsupported


def register(server: grpc.Server, call: Caller) -> None:
    """Adds both services to a server."""
    admin = DatabaseAdmin(call)
    spanner_database_admin_pb2_grpc.add_DatabaseAdminServicer_to_server(admin, server)  # type: ignore[no-untyped-call]  # generated without types
    operations_pb2_grpc.add_OperationsServicer_to_server(Operations(call), server)
