"""One server that speaks for all three services, and says what it was asked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import grpc
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient, types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

from backstop.names import OperationName
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, START

OPERATION = OperationName(f"{NIGHTLY}/operations/o1")


class Services(grpc.GenericRpcHandler):
    """All three services at one address: they note what they are asked, and answer what they are told to.

    Attributes:
        answers: By method: an answer, several in turn, or a refusal.
        asked: Each method with its request, as bytes.
        routes: What each request told Google's front end.
    """

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.routes: list[object] = []
        self._server = grpc.server(ThreadPoolExecutor(1), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Takes any call."""
        method = handler_call_details.method.rpartition("/")[2]
        self.routes.append(dict(handler_call_details.invocation_metadata).get("x-goog-request-params"))

        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            self.asked.append((method, request))
            found = self.answers.get(method, empty_pb2.Empty())
            found = found.pop(0) if isinstance(found, list) else found
            if isinstance(found, grpc.StatusCode):
                context.abort(found, "no")
            if isinstance(found, status_pb2.Status):
                context.abort_with_status(rpc_status.to_status(found))
            kind = type(found)
            return bytes(kind.serialize(found) if hasattr(kind, "serialize") else found.SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop(None)


def at(minutes: float) -> datetime:
    """A time that differs from every other, down to the microsecond."""
    return START + timedelta(minutes=minutes, microseconds=123456 + int(minutes))


BACKUP = types.Backup(
    name=NIGHTLY,
    database=ORDERS,
    create_time=at(1),
    expire_time=at(2),
    version_time=at(3),
    size_bytes=11,
    exclusive_size_bytes=12,
    freeable_size_bytes=13,
    backup_schedules=[f"{ORDERS}/backupSchedules/s1"],
    referencing_databases=[f"{INSTANCE}/databases/restored"],
    referencing_backups=[f"{INSTANCE}/backups/copied"],
)
METADATA = types.CreateBackupMetadata(
    name=NIGHTLY,
    database=ORDERS,
    progress={"progress_percent": 42, "start_time": at(4), "end_time": at(5)},
    cancel_time=at(6),
)


def operation(
    metadata: Any = METADATA,  # noqa: ANN401 any message of Google's
    response: types.Backup | None = None,
    **fields: Any,  # noqa: ANN401 as above
) -> operations_pb2.Operation:
    """An operation as Spanner describes it."""
    made = operations_pb2.Operation(**{"name": OPERATION, **fields})
    if metadata is not None:
        made.metadata.Pack(type(metadata).pb(metadata))
    if response is not None:
        made.response.Pack(types.Backup.pb(response))
    return made


def listed(*operations: Any, more: str = "") -> types.ListBackupOperationsResponse:  # noqa: ANN401 as above
    """One page of a list."""
    return types.ListBackupOperationsResponse(operations=operations, next_page_token=more)


def official(services: Services) -> DatabaseAdminClient:
    """Google's client, unmodified."""
    transport = DatabaseAdminClient.get_transport_class("grpc")
    return DatabaseAdminClient(transport=transport(channel=grpc.insecure_channel(services.address)))
