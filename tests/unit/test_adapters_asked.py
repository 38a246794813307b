"""What the adapters ask of Google, beside what Google's own clients would."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import grpc
import pytest
from google.cloud.spanner_admin_database_v1 import types
from google.cloud.tasks_v2.types import CreateTaskRequest
from google.longrunning import operations_pb2
from google.pubsub_v1.types import PublishRequest, PublishResponse

from backstop.commands import Encryption, EncryptionType
from backstop.errors import RefusedError, TransientError
from backstop.events import ATTRIBUTE_BYTES_MAX, TEXT_BYTES_MAX, Databases, Event, Outcome, Trigger
from backstop.gcp.calls import Budget
from backstop.gcp.pubsub import PubSubEvents
from backstop.gcp.tasks import TasksQueue
from tests.unit.adapters_wire import OPERATION, TOPIC, Wire, at, operation
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, RESULTS, START

if TYPE_CHECKING:
    from backstop.gcp.spanner import SpannerBackups


def test_every_request_holds_what_google_s_client_would_send(wire: Wire, port: SpannerBackups) -> None:
    """The bytes, read by Google's own types; and the name for Google's front end."""
    wire.answers["CreateBackup"] = operation()
    keys = ("projects/p/locations/l/keyRings/r/cryptoKeys/k",)
    encryption = Encryption(EncryptionType.CUSTOMER_MANAGED_ENCRYPTION, keys)
    port.create_backup(ORDERS, NIGHTLY, expire_time=at(7), version_time=at(8), encryption=encryption)
    port.set_expire_time(NIGHTLY, at(9))
    port.cancel_operation(OPERATION)
    port.delete_backup(NIGHTLY, "nobody wants it")

    (_, created), (_, updated), (_, cancelled), (_, deleted) = wire.asked
    config = types.CreateBackupEncryptionConfig
    assert types.CreateBackupRequest.deserialize(created) == types.CreateBackupRequest(
        parent=INSTANCE,
        backup_id="nightly",
        backup=types.Backup(database=ORDERS, expire_time=at(7), version_time=at(8)),
        encryption_config=config(
            encryption_type=config.EncryptionType.CUSTOMER_MANAGED_ENCRYPTION, kms_key_names=list(keys)
        ),
    )
    assert types.UpdateBackupRequest.deserialize(updated) == types.UpdateBackupRequest(
        backup=types.Backup(name=NIGHTLY, expire_time=at(9)), update_mask={"paths": ["expire_time"]}
    )
    assert operations_pb2.CancelOperationRequest.FromString(cancelled).name == OPERATION
    assert types.DeleteBackupRequest.deserialize(deleted).name == NIGHTLY
    assert wire.routes == [
        f"parent={INSTANCE}",
        f"backup.name={NIGHTLY}",
        f"name={OPERATION}",
        f"name={NIGHTLY}",
    ]


def test_a_deletion_is_logged_before_it_is_asked_for(
    wire: Wire, port: SpannerBackups, capfd: pytest.CaptureFixture[str]
) -> None:
    """No crash and no refusal can hide it."""
    wire.answers["DeleteBackup"] = grpc.StatusCode.PERMISSION_DENIED

    with pytest.raises(RefusedError):
        port.delete_backup(NIGHTLY, "nobody wants it")

    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert line == {
        "severity": "NOTICE",
        "message": f"Deletes {NIGHTLY}: nobody wants it",
        "backup": NIGHTLY,
        "why": "nobody wants it",
    }


def test_a_follow_up_s_task_publishes_to_its_topic_whatever_that_is_called(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that holds `%2D` is quoted in an address, or the task would publish to another topic for ever."""
    TasksQueue("projects/p/locations/l/queues/q", TOPIC, "a@b.c", Budget()).schedule("abc", b"{}", at(1))

    ((_, asked),) = wire.asked
    task = CreateTaskRequest.deserialize(asked).task
    post = task.http_request
    assert post.url == f"http://{wire.address}/v1/projects/example.com%3Ademo-project/topics/follow%252Dups:publish"
    assert (task.name, task.schedule_time) == ("projects/p/locations/l/queues/q/tasks/abc", at(1))
    assert (post.oauth_token.service_account_email, post.http_method.name) == ("a@b.c", "POST")
    (message,) = json.loads(post.body)["messages"]
    assert base64.b64decode(message["data"]) == b"{}"
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    assert TasksQueue("q", "t", "a", Budget())._url == "https://pubsub.googleapis.com/v1/t:publish"  # noqa: SLF001


LONG = "ü" * 10_000
HUGE = Event(
    outcome=Outcome.REJECTED,
    detail=LONG,
    trigger=Trigger("17", START, "projects/p/topics/commands"),
    subject=LONG,
    databases=Databases(("orders",), {"users": LONG}),
)


def publish(result: Event) -> None:
    """Tells an outcome."""
    PubSubEvents(RESULTS, "", Budget()).publish(result)


def test_an_outcome_that_pub_sub_refuses_for_its_size_is_shortened_and_published(
    wire: Wire, capfd: pytest.CaptureFixture[str]
) -> None:
    """Once more and no more often, with every text cut by its bytes; the log has it whole, and first."""
    wire.answers["Publish"] = [grpc.StatusCode.INVALID_ARGUMENT, PublishResponse(message_ids=["1"])]

    publish(HUGE)

    _, (_, second) = wire.asked
    (message,) = PublishRequest.deserialize(second).messages
    told = json.loads(message.data)
    assert len(told["detail"].encode()) <= TEXT_BYTES_MAX
    assert len(told["databases"]["not_started"]["users"].encode()) <= ATTRIBUTE_BYTES_MAX
    assert len(LONG.encode()) > ATTRIBUTE_BYTES_MAX >= max(len(one.encode()) for one in message.attributes.values())
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["message"], line["outcome"], line["message_id"]) == (LONG, "REJECTED", "17")


def test_an_outcome_that_is_refused_again_is_an_error_in_the_log_and_nothing_else(
    wire: Wire, capfd: pytest.CaptureFixture[str]
) -> None:
    """The delivery goes on: the message would be refused as often as it is brought."""
    wire.answers["Publish"] = grpc.StatusCode.INVALID_ARGUMENT

    publish(HUGE)

    assert len(wire.asked) == 2
    _, line = map(json.loads, capfd.readouterr().out.splitlines())
    assert line["severity"] == "ERROR"
    assert line["message"] == "Pub/Sub refuses this outcome, even shortened: no"


def test_an_outcome_that_is_refused_for_another_reason_is_told_when_the_message_comes_again(wire: Wire) -> None:
    """A topic or a role may come back."""
    wire.answers["Publish"] = grpc.StatusCode.NOT_FOUND

    with pytest.raises(TransientError, match="could not publish the outcome: no"):
        publish(HUGE)

    assert len(wire.asked) == 1


def test_an_outcome_is_accepted_before_publishing_returns_and_no_thread_is_left(wire: Wire) -> None:
    """The instance may lose its processor as soon as the delivery is answered."""
    wire.answers["Publish"] = PublishResponse(message_ids=["1"])

    publish(HUGE)

    assert [method for method, _ in wire.asked] == ["Publish"]
