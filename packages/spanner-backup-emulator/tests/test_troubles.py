"""What can come in the place of an answer: nothing, a broken connection, bytes that mean nothing, or too little."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection, RemoteDisconnected

import grpc
import pytest
from google.api_core import exceptions
from google.api_core import retry as retries
from google.cloud import tasks_v2
from google.cloud.spanner_admin_database_v1.services.database_admin import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1.services.database_admin.transports import DatabaseAdminGrpcTransport
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.types import PubsubMessage
from pubsub_world import TOPIC

from spanner_backup_emulator.faults import Fault, Trouble
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator

INSTANCE = "projects/p/instances/i"
DATABASE = f"{INSTANCE}/databases/orders"

PATIENTLY = retries.Retry(predicate=retries.if_exception_type(exceptions.ServiceUnavailable), initial=0.02, timeout=60)
"""After a connection has broken, the client may send one more call on it before it notices."""


@pytest.fixture
def emulator() -> Iterator[SpannerEmulator]:
    """A running emulator with one database."""
    with SpannerEmulator() as running:
        running.add_database(DATABASE)
        yield running


def _plan(emulator: SpannerEmulator, trouble: Trouble, method: str = "ListDatabases") -> None:
    with emulator.lock:
        emulator.faults.plan(Fault(method, trouble, "after"))


def _list(client: DatabaseAdminClient, timeout_s: float = 5.0, retry: retries.Retry | None = None) -> list[str]:
    return [database.name for database in client.list_databases(parent=INSTANCE, timeout=timeout_s, retry=retry)]


@pytest.mark.parametrize(
    ("trouble", "theirs"),
    [
        (Trouble.HANG, exceptions.DeadlineExceeded),
        (Trouble.CUT, exceptions.ServiceUnavailable),
        (Trouble.GARBLED, exceptions.InternalServerError),
    ],
)
def test_a_trouble_is_seen_by_the_client_and_passes(
    client: DatabaseAdminClient, emulator: SpannerEmulator, trouble: Trouble, theirs: type[Exception]
) -> None:
    """It meets one call, is counted, and the next call of the same client gets its answer."""
    assert _list(client) == [DATABASE]
    _plan(emulator, trouble)
    with pytest.raises(theirs):
        _list(client, timeout_s=0.2 if trouble is Trouble.HANG else 60.0)

    assert emulator.faults.injected == {("ListDatabases", trouble, "after"): 1}
    assert _list(client, retry=PATIENTLY) == [DATABASE]


def test_a_bare_answer_lacks_all_its_fields(client: DatabaseAdminClient, emulator: SpannerEmulator) -> None:
    """The client takes it for an answer: an instance without databases."""
    _plan(emulator, Trouble.BARE)

    assert _list(client) == []
    assert _list(client) == [DATABASE]


def test_a_broken_connection_takes_all_its_calls_along_and_no_other_connection(
    client: DatabaseAdminClient, emulator: SpannerEmulator
) -> None:
    """What waits on the same connection fails with it; what another client waits for doesn't."""
    _plan(emulator, Trouble.HANG)
    failed = threading.Event()

    def wait_in_vain() -> None:
        with pytest.raises(exceptions.ServiceUnavailable):
            _list(client, timeout_s=60.0)
        failed.set()

    waiting = threading.Thread(target=wait_in_vain)
    waiting.start()
    while not emulator.faults.injected:
        assert not failed.wait(0.01)
    with grpc.insecure_channel(emulator.address, (("grpc.use_local_subchannel_pool", 1),)) as channel:
        other = DatabaseAdminClient(transport=DatabaseAdminGrpcTransport(channel=channel))
        _plan(emulator, Trouble.CUT)
        with pytest.raises(exceptions.ServiceUnavailable):
            _list(other)
        assert not failed.wait(0.2)
        assert _list(other, retry=PATIENTLY) == [DATABASE]
    _plan(emulator, Trouble.CUT)
    with pytest.raises(exceptions.ServiceUnavailable):
        _list(client)

    waiting.join(timeout=60.0)
    assert failed.is_set()


def test_what_is_skipped_passes(client: DatabaseAdminClient, emulator: SpannerEmulator) -> None:
    """A fault may let some calls pass first."""
    with emulator.lock:
        emulator.faults.plan(Fault("ListDatabases", Trouble.BARE, "after", times=2, skip=2))

    assert [len(_list(client)) for _ in range(5)] == [1, 1, 0, 0, 1]


def test_cloud_tasks_has_troubles_too() -> None:
    """The task is there, though the connection broke."""
    queue = "projects/p/locations/l/queues/q"
    with TasksEmulator(queues=[queue]) as emulator, grpc.insecure_channel(emulator.address) as channel:
        client = tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))
        emulator.faults.plan(Fault("CreateTask", Trouble.CUT, "after"))
        request = tasks_v2.HttpRequest(url="https://example.com")
        task = tasks_v2.Task(name=f"{queue}/tasks/a", http_request=request)
        with pytest.raises(exceptions.ServiceUnavailable):
            client.create_task(parent=queue, task=task, retry=None, timeout=60.0)

        assert [made.name for made in emulator.created()] == [task.name]


def test_pubsub_has_troubles_too(pubsub: PubSubEmulator) -> None:
    """Over gRPC the client can't read the answer; over REST there is none."""
    pubsub.faults.plan(Fault("Publish", Trouble.GARBLED, "after"), Fault("Publish", Trouble.CUT, skip=1))
    with grpc.insecure_channel(pubsub.address) as channel:
        publisher = PublisherClient(transport=PublisherClient.get_transport_class("grpc")(channel=channel))
        with pytest.raises(exceptions.InternalServerError):
            publisher.publish(topic=TOPIC, messages=[PubsubMessage(data=b"one")], retry=None, timeout=60.0)
    connection = HTTPConnection(pubsub.address)
    connection.request("POST", f"/v1/{TOPIC}:publish", b'{"messages": [{"data": "dHdv"}]}')
    with pytest.raises(RemoteDisconnected):
        connection.getresponse()
    connection.close()

    assert [message.data for message in pubsub.published(TOPIC)] == [b"one"]
