"""What is written down of Google's interfaces is what Google's own clients have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import google.api_core.exceptions
import grpc
import pytest
from google.cloud import tasks_v2
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient, types
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, field_mask_pb2
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.types import PublishRequest, PublishResponse, PubsubMessage
from google.rpc import status_pb2

from backstop.commands import Encryption, EncryptionType
from backstop.errors import CallError
from backstop.gcp import pubsub, spanner, tasks
from backstop.gcp.calls import Budget, Service
from backstop.gcp.protocol import FIELDS, MESSAGES, METHODS
from backstop.gcp.spanner import SpannerBackups
from backstop.gcp.tasks import TasksQueue
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from google.protobuf.descriptor import Descriptor, FieldDescriptor

THEIRS: tuple[Any, ...] = (
    empty_pb2.Empty,
    field_mask_pb2.FieldMask,
    status_pb2.Status,
    operations_pb2.Operation,
    operations_pb2.GetOperationRequest,
    operations_pb2.CancelOperationRequest,
    types.OperationProgress,
    types.CreateBackupMetadata,
    types.Backup,
    types.CreateBackupEncryptionConfig,
    types.CreateBackupRequest,
    types.ListBackupOperationsRequest,
    types.ListBackupOperationsResponse,
    types.GetBackupRequest,
    types.DeleteBackupRequest,
    types.UpdateBackupRequest,
    types.ListDatabasesRequest,
    types.Database,
    types.ListDatabasesResponse,
    tasks_v2.OAuthToken,
    tasks_v2.HttpRequest,
    tasks_v2.Task,
    tasks_v2.CreateTaskRequest,
    PubsubMessage,
    PublishRequest,
    PublishResponse,
)

INSTANCE = InstanceName("projects/demo-project/instances/prod")
ORDERS = DatabaseName(f"{INSTANCE}/databases/orders")
NIGHTLY = BackupName(f"{INSTANCE}/backups/nightly")
OPERATION = OperationName(f"{NIGHTLY}/operations/_auto_op_1")
QUEUE = "projects/demo-project/locations/europe-west1/queues/backstop"
TOPIC = "projects/example.com:demo-project/topics/results"
SOON = datetime(2026, 11, 22, 2, 0, 0, 123456, tzinfo=UTC)
LIST_FILTER = "(metadata.@type:type.googleapis.com/google.spanner.admin.database.v1.CreateBackupMetadata)"
TASK = {
    "name": f"{QUEUE}/tasks/abc",
    "schedule_time": SOON,
    "http_request": {
        "url": "https://pubsub.googleapis.com/v1/projects/demo-project/topics/follow-ups:publish",
        "http_method": "POST",
        "headers": {"Content-Type": "application/json"},
        "body": b'{"messages": [{"data": "e30=", "attributes": {"backstop-kind": "follow-up"}}]}',
        "oauth_token": {"service_account_email": "a@b.c", "scope": "https://www.googleapis.com/auth/pubsub"},
    },
}


def described(message: Any) -> Descriptor:  # noqa: ANN401 the generated classes are of two kinds
    """A generated class's own description."""
    found: Descriptor = message.DESCRIPTOR if hasattr(message, "DESCRIPTOR") else message.pb().DESCRIPTOR
    return found


THEIR_MESSAGES = {described(message).full_name: described(message) for message in THEIRS}


def form(field: FieldDescriptor) -> tuple[object, ...]:
    """All that decides how a field travels; an enum travels as an int32."""
    kind = field.TYPE_INT32 if field.type == field.TYPE_ENUM else field.type
    entry = field.message_type
    pairs = [form(part) for part in entry.fields] if entry and entry.GetOptions().map_entry else []
    name = entry.name if entry and not pairs else ""
    return field.name, field.number, kind, field.is_repeated, name, pairs


@pytest.mark.parametrize("full_name", FIELDS)
def test_each_field_has_google_s_number_and_type(full_name: str) -> None:
    """A wrong one would be read as something else, or as nothing."""
    theirs = THEIR_MESSAGES[full_name].fields_by_name
    ours = described(MESSAGES[full_name.rpartition(".")[2]])

    assert [form(field) for field in ours.fields] == [form(theirs[field.name]) for field in ours.fields]
    assert set(FIELDS[full_name]) == {field.name for field in ours.fields}


def test_the_numbers_of_enums_are_google_s() -> None:
    """They are written down where they are used."""
    ours = {kind.value: number for kind, number in spanner._ENCRYPTION.items()}  # noqa: SLF001

    theirs: Any = types.CreateBackupEncryptionConfig.EncryptionType
    assert ours == {kind.name: kind.value for kind in theirs if kind.value}
    assert tasks_v2.HttpMethod(tasks._POST).name == "POST"  # noqa: SLF001


def test_every_canonical_code_has_its_name() -> None:
    """An operation's error holds a number."""
    assert [spanner._code(code.value[0]) for code in grpc.StatusCode] == [code.name for code in grpc.StatusCode]  # noqa: SLF001
    assert spanner._code(99) == "UNKNOWN"  # noqa: SLF001


class Wiretap(grpc.GenericRpcHandler):
    """A server that answers nothing and notes what it was asked."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes, object]] = []
        self._server = grpc.server(ThreadPoolExecutor(1), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Takes any call."""

        def note(request: bytes, context: grpc.ServicerContext) -> bytes:
            route = dict(context.invocation_metadata()).get("x-goog-request-params")
            self.heard.append((handler_call_details.method, request, route))
            context.abort(grpc.StatusCode.NOT_FOUND, "nobody is here")

        return grpc.unary_unary_rpc_method_handler(note)

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop(None)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiretap]:
    """All three services, and what they were asked."""
    tap = Wiretap()
    monkeypatch.setenv("WIRETAP", tap.address)
    for adapter in (spanner, pubsub, tasks):
        monkeypatch.setattr(adapter, "_service", Service("nowhere", "WIRETAP"))
    yield tap
    tap.stop()


def admin(address: str) -> DatabaseAdminClient:
    """Google's client of Spanner."""
    transport = DatabaseAdminClient.get_transport_class("grpc")
    return DatabaseAdminClient(transport=transport(channel=grpc.insecure_channel(address)))


def publisher(address: str) -> PublisherClient:
    """Google's client of Pub/Sub."""
    transport = PublisherClient.get_transport_class("grpc")
    return PublisherClient(transport=transport(channel=grpc.insecure_channel(address)))


def cloud_tasks(address: str) -> tasks_v2.CloudTasksClient:
    """Google's client of Cloud Tasks."""
    transport = tasks_v2.CloudTasksClient.get_transport_class("grpc")
    return tasks_v2.CloudTasksClient(transport=transport(channel=grpc.insecure_channel(address)))


def _create(port: SpannerBackups) -> object:
    keys = Encryption(EncryptionType.CUSTOMER_MANAGED_ENCRYPTION, ("projects/p/locations/l/keyRings/r/cryptoKeys/k",))
    return port.create_backup(ORDERS, NIGHTLY, expire_time=SOON + timedelta(days=1), version_time=SOON, encryption=keys)


CREATE = {
    "parent": INSTANCE,
    "backup_id": "nightly",
    "backup": {"database": ORDERS, "expire_time": SOON + timedelta(days=1), "version_time": SOON},
    "encryption_config": {
        "encryption_type": "CUSTOMER_MANAGED_ENCRYPTION",
        "kms_key_names": ["projects/p/locations/l/keyRings/r/cryptoKeys/k"],
    },
}
EXPIRE = {"backup": {"name": NIGHTLY, "expire_time": SOON}, "update_mask": {"paths": ["expire_time"]}}
LIST = {"parent": INSTANCE, "filter": LIST_FILTER, "page_size": spanner.PAGE_SIZE}
DATABASES = {"parent": INSTANCE, "page_size": spanner.PAGE_SIZE}
MESSAGE = {"data": b"{}", "attributes": {"ce-id": "1"}}


def _publish(_: SpannerBackups) -> object:
    request = {"topic": TOPIC, "messages": [MESSAGE]}
    return pubsub._service.call("Publish", request, Budget())  # noqa: SLF001 the port would add the time to it


CALLS: dict[str, tuple[Callable[[SpannerBackups], object], Callable[[str], object]]] = {
    "CreateBackup": (_create, lambda address: admin(address).create_backup(request=CREATE)),
    "DeleteBackup": (
        lambda port: port.delete_backup(NIGHTLY),
        lambda address: admin(address).delete_backup(name=NIGHTLY),
    ),
    "GetBackup": (lambda port: port.get_backup(NIGHTLY), lambda address: admin(address).get_backup(name=NIGHTLY)),
    "ListBackupOperations": (
        lambda port: port.list_operations(INSTANCE),
        lambda address: admin(address).list_backup_operations(request=LIST),
    ),
    "ListDatabases": (
        lambda port: port.list_databases(INSTANCE),
        lambda address: admin(address).list_databases(request=DATABASES),
    ),
    "UpdateBackup": (
        lambda port: port.set_expire_time(NIGHTLY, SOON),
        lambda address: admin(address).update_backup(request=EXPIRE),
    ),
    "CancelOperation": (
        lambda port: port.cancel_operation(OPERATION),
        lambda address: admin(address).cancel_operation({"name": OPERATION}),
    ),
    "GetOperation": (
        lambda port: port.get_operation(OPERATION),
        lambda address: admin(address).get_operation({"name": OPERATION}),
    ),
    "Publish": (
        _publish,
        lambda address: publisher(address).publish(request={"topic": TOPIC, "messages": [MESSAGE]}),
    ),
    "CreateTask": (
        lambda _: TasksQueue(QUEUE, "projects/demo-project/topics/follow-ups", "a@b.c", Budget()).schedule(
            "abc", b"{}", SOON
        ),
        lambda address: cloud_tasks(address).create_task(request={"parent": QUEUE, "task": TASK}),
    ),
}


@pytest.mark.parametrize(
    ("adapter", "client"),
    [(spanner, DatabaseAdminClient), (pubsub, PublisherClient), (tasks, tasks_v2.CloudTasksClient)],
)
def test_each_service_is_where_google_s_client_finds_it(
    adapter: ModuleType,
    client: type[DatabaseAdminClient | PublisherClient | tasks_v2.CloudTasksClient],
) -> None:
    """No emulator is there, so that nothing else would notice a wrong address before Google did."""
    assert adapter._service.host == client.DEFAULT_ENDPOINT  # noqa: SLF001 nobody else needs it


@pytest.mark.parametrize("method", METHODS)
def test_each_call_is_the_one_that_google_s_client_makes(method: str, wire: Wiretap) -> None:
    """The same method, the same bytes, and the same words for Google's front end."""
    ours, theirs = CALLS[method]

    with pytest.raises(CallError):
        ours(SpannerBackups(Budget()))
    with pytest.raises(google.api_core.exceptions.NotFound):
        theirs(wire.address)

    mine, official = wire.heard
    assert mine == official
