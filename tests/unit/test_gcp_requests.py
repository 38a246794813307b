"""What the adapters ask of Google, beside what Google's own clients would."""

from __future__ import annotations

import base64
import json

import grpc
import pytest
from google.cloud.spanner_admin_database_v1 import types
from google.cloud.tasks_v2.types import CreateTaskRequest
from google.longrunning import operations_pb2
from google.pubsub_v1.types import PublishRequest, PublishResponse

from backstop.commands import Encryption, EncryptionType, Start
from backstop.dispatch import deliver
from backstop.errors import TransientError
from backstop.events import Databases, Event, Outcome, Trigger
from backstop.followups import Intent, Poll
from backstop.gcp.calls import Budget
from backstop.gcp.pubsub import PubSubEvents
from backstop.gcp.spanner import SpannerBackups
from backstop.gcp.tasks import TasksQueue
from backstop.ports import Ports, Settings
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, encode_follow_up
from tests.unit.google_services import BACKUP, OPERATION, Services, at, operation
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, RESULTS, START

TOPIC = "projects/example.com:demo-project/topics/follow%2Dups"


def test_every_request_holds_what_google_s_client_would_send(google: Services, port: SpannerBackups) -> None:
    """The bytes, read by Google's own types; and the name for Google's front end."""
    google.answers["CreateBackup"] = operation()
    keys = ("projects/p/locations/l/keyRings/r/cryptoKeys/k",)
    encryption = Encryption(EncryptionType.CUSTOMER_MANAGED_ENCRYPTION, keys)
    port.create_backup(ORDERS, NIGHTLY, at(7), Start(database=ORDERS, version_time=at(8), encryption=encryption))
    port.set_expire_time(NIGHTLY, at(9))
    port.cancel_operation(OPERATION)
    port.delete_backup(NIGHTLY)

    (_, created), (_, updated), (_, cancelled), (_, deleted) = google.asked
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
    assert google.routes == [f"parent={INSTANCE}", f"backup.name={NIGHTLY}", f"name={OPERATION}", f"name={NIGHTLY}"]


def test_a_follow_up_s_task_publishes_to_its_topic_whatever_that_is_called(
    google: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that holds `%2D` is quoted in an address, or the task would publish to another topic for ever."""
    TasksQueue("projects/p/locations/l/queues/q", TOPIC, "a@b.c", Budget()).schedule("abc", b"{}", at(1))

    ((_, asked),) = google.asked
    task = CreateTaskRequest.deserialize(asked).task
    post = task.http_request
    assert post.url == f"http://{google.address}/v1/projects/example.com%3Ademo-project/topics/follow%252Dups:publish"
    assert (task.name, task.schedule_time) == ("projects/p/locations/l/queues/q/tasks/abc", at(1))
    assert (post.oauth_token.service_account_email, post.http_method.name) == ("a@b.c", "POST")
    (message,) = json.loads(post.body)["messages"]
    assert base64.b64decode(message["data"]) == b"{}"
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    assert TasksQueue("q", "t", "a", Budget())._url == "https://pubsub.googleapis.com/v1/t:publish"  # noqa: SLF001


def test_a_follow_up_whose_name_is_taken_is_scheduled_and_every_other_refusal_passes(google: Services) -> None:
    """The queue has it, or had it lately; where it can't be asked, nobody knows."""
    queue = TasksQueue("projects/p/locations/l/queues/q", TOPIC, "a@b.c", Budget())
    google.answers["CreateTask"] = [grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.PERMISSION_DENIED]

    queue.schedule("abc", b"{}", at(1))

    with pytest.raises(TransientError, match="PERMISSION_DENIED: could not schedule the follow-up: no"):
        queue.schedule("abc", b"{}", at(1))


def test_what_must_be_decided_anew_is_asked_for_once(google: Services, port: SpannerBackups) -> None:
    """A start, a cancel and a deletion are not made again without a poll right before them."""
    methods = ["CreateBackup", "CancelOperation", "DeleteBackup"]
    google.answers = dict.fromkeys(methods, grpc.StatusCode.UNAVAILABLE)

    for ask in (
        lambda: port.create_backup(ORDERS, NIGHTLY, at(7), Start(database=ORDERS)),
        lambda: port.cancel_operation(OPERATION),
        lambda: port.delete_backup(NIGHTLY),
    ):
        with pytest.raises(TransientError, match="UNAVAILABLE"):
            ask()

    assert [method for method, _ in google.asked] == methods


LONG = "ü" * 10_000
HUGE = Event(
    outcome=Outcome.REJECTED,
    detail=LONG,
    trigger=Trigger("17", START, "projects/p/topics/commands", requested_by="ann"),
    subject=LONG,
    backup=NIGHTLY,
    databases=Databases(("orders",), {"users": LONG}),
)
REFUSED, ACCEPTED = grpc.StatusCode.INVALID_ARGUMENT, PublishResponse(message_ids=["1"])


@pytest.mark.parametrize(
    ("answers", "logged"),
    [
        ([ACCEPTED], [("ERROR", LONG)]),
        ([REFUSED, ACCEPTED], [("ERROR", LONG)]),
        ([REFUSED, REFUSED], [("ERROR", LONG), ("ERROR", "Pub/Sub refuses this outcome, even shortened: no")]),
    ],
)
def test_an_event_that_pub_sub_refuses_for_its_size_is_published_once_more_and_shortened(
    answers: list[object], logged: list[tuple[str, str]], google: Services, capfd: pytest.CaptureFixture[str]
) -> None:
    """And no more often: it would be refused for ever. The log has it whole, and first."""
    google.answers["Publish"] = [*answers]

    PubSubEvents(RESULTS, "", Budget()).publish(HUGE)

    assert [method for method, _ in google.asked] == ["Publish" for _ in answers]
    (message,) = PublishRequest.deserialize(google.asked[-1][1]).messages
    detail = json.loads(message.data)["detail"]
    why = json.loads(message.data)["databases"]["not_started"]["users"]
    lengths = (len(detail.encode()), len(why.encode()))
    assert lengths == ((4095, 1023) if len(answers) > 1 else (20_000, 20_000))
    assert max(len(one.encode()) for one in message.attributes.values()) <= 1024
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(line["severity"], line["message"]) for line in lines] == logged


def test_an_event_that_is_refused_for_another_reason_is_published_when_the_message_comes_again(
    google: Services,
) -> None:
    """A topic or a role may come back."""
    google.answers["Publish"] = grpc.StatusCode.NOT_FOUND

    with pytest.raises(TransientError, match="could not publish the outcome: no"):
        PubSubEvents(RESULTS, "", Budget()).publish(HUGE)

    assert len(google.asked) == 1


def test_a_deletion_is_logged_before_it_is_asked_for(
    google: Services, port: SpannerBackups, capfd: pytest.CaptureFixture[str]
) -> None:
    """No crash and no refusal can hide it; its outcome is not told before it is one."""
    google.answers["GetOperation"] = operation(done=True, response=BACKUP)
    google.answers["GetBackup"] = BACKUP
    google.answers["DeleteBackup"] = grpc.StatusCode.UNAVAILABLE
    ports = Ports(port, TasksQueue("q", TOPIC, "", Budget()), PubSubEvents(RESULTS, "", Budget()))
    poll = Poll(
        trigger=Trigger("17", START, requested_by="ann"),
        step=1,
        operation=OPERATION,
        intent=Intent.CANCEL,
        give_up_at=at(99),
        unwanted_from=START,
        include_scheduled=True,
    )
    delivery = Delivery(encode_follow_up(poll), {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "18", at(7), FOLLOW_UPS)

    report = deliver(delivery, at(7), ports, Settings(FOLLOW_UPS))

    assert report.retry
    assert google.asked[-1][0] == "DeleteBackup"
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["severity"], line["backup"], line["requested_by"]) == ("NOTICE", NIGHTLY, "ann")
    assert line["message"].startswith(f"Tries to delete it: {NIGHTLY} of ")
    assert "outcome" not in line
