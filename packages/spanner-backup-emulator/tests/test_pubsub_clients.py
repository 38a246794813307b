"""Unmodified official clients meet the emulator as they would meet the service."""

from __future__ import annotations

import queue
import threading
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.subscriber.message import Message
from google.pubsub_v1 import PublisherClient as LowLevelPublisher
from google.pubsub_v1 import types
from pubsub_world import PULL, SOON_S, TOPIC, rest

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.pubsub.model import pb, published_at
from spanner_backup_emulator.pubsub.server import PubSubEmulator


def test_the_official_publisher_and_a_unary_pull_carry_a_message(
    publisher: PublisherClient, subscriber: SubscriberClient, pubsub: PubSubEmulator
) -> None:
    """Data, attributes, id and time arrive as they were, and an acknowledgement ends it."""
    message_id = publisher.publish(TOPIC, b"\x00data", a="b").result(SOON_S)
    (received,) = subscriber.pull(subscription=PULL, max_messages=5).received_messages
    subscriber.acknowledge(subscription=PULL, ack_ids=[received.ack_id])

    assert received.message.message_id == message_id
    assert received.message.data == b"\x00data"
    assert dict(received.message.attributes) == {"a": "b"}
    assert received.message.publish_time == published_at(pubsub.published(TOPIC)[0])
    assert received.delivery_attempt == 0
    assert pubsub.undelivered_count(PULL) == 0


def test_streaming_pull_receives_and_acknowledges(
    publisher: PublisherClient, subscriber: SubscriberClient, pubsub: PubSubEmulator
) -> None:
    """The official client's subscribe works in both orders: published before it begins and while it runs."""
    received: queue.Queue[bytes] = queue.Queue()

    def take(message: Message) -> None:
        message.ack()
        received.put(message.data)

    publisher.publish(TOPIC, b"before").result(SOON_S)
    stream = subscriber.subscribe(PULL, take)
    first = received.get(timeout=SOON_S)
    publisher.publish(TOPIC, b"while").result(SOON_S)
    second = received.get(timeout=SOON_S)
    stream.cancel()
    stream.result(SOON_S)

    assert (first, second) == (b"before", b"while")
    with pubsub._changed:  # noqa: SLF001  # the acknowledgement is sent when the client likes
        assert pubsub._changed.wait_for(lambda: pubsub.undelivered_count(PULL) == 0, SOON_S)  # noqa: SLF001  # see above


def test_a_refused_message_comes_again_on_the_stream(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """A nack from the official client brings the next attempt."""
    received: queue.Queue[str] = queue.Queue()
    refused: list[str] = []

    def take(message: Message) -> None:
        received.put(message.message_id)
        if refused:
            message.ack()
        else:
            refused.append(message.message_id)
            message.nack()

    stream = subscriber.subscribe(PULL, take)
    message_id = publisher.publish(TOPIC, b"x").result(SOON_S)

    assert [received.get(timeout=SOON_S), received.get(timeout=SOON_S)] == [message_id, message_id]
    stream.cancel()
    stream.result(SOON_S)


def test_acknowledgements_and_deadlines_can_be_sent_on_the_stream(
    publisher: PublisherClient, subscriber: SubscriberClient, pubsub: PubSubEmulator
) -> None:
    """Other languages' clients acknowledge there; a malformed id ends the stream with its refusal."""
    publisher.publish(TOPIC, b"x").result(SOON_S)
    sent: queue.Queue[types.StreamingPullRequest | None] = queue.Queue()
    sent.put(types.StreamingPullRequest(subscription=PULL, stream_ack_deadline_seconds=60))
    stream = subscriber.streaming_pull(iter(sent.get, None))
    first = next(stream).received_messages[0]
    sent.put(types.StreamingPullRequest(modify_deadline_ack_ids=[first.ack_id], modify_deadline_seconds=[0]))
    second = next(stream).received_messages[0]
    sent.put(types.StreamingPullRequest(ack_ids=[second.ack_id]))
    sent.put(types.StreamingPullRequest(ack_ids=["nonsense"]))

    with pytest.raises(exceptions.InvalidArgument, match="nonsense"):
        next(stream)
    assert first.message.message_id == second.message.message_id
    assert pubsub.undelivered_count(PULL) == 0


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (types.StreamingPullRequest(subscription="projects/p/subscriptions/none"), exceptions.NotFound),
        (types.StreamingPullRequest(subscription=PULL, modify_deadline_ack_ids=["1-1"]), exceptions.InvalidArgument),
    ],
)
def test_a_stream_is_refused(
    subscriber: SubscriberClient, request_: types.StreamingPullRequest, refusal: type[exceptions.GoogleAPICallError]
) -> None:
    """A missing subscription at once, ids without deadlines as soon as they are read."""
    first = types.StreamingPullRequest(subscription=request_.subscription)

    with pytest.raises(refusal):
        next(subscriber.streaming_pull(iter([first, request_])))


def test_a_stream_without_a_request_just_ends(subscriber: SubscriberClient) -> None:
    """Nobody asked for anything."""
    assert list(subscriber.streaming_pull(iter([]))) == []


def test_a_stream_ends_when_the_client_ends_its_side(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """At once, not at the next message."""
    publisher.publish(TOPIC, b"x").result(SOON_S)
    sent: queue.Queue[types.StreamingPullRequest | None] = queue.Queue()
    sent.put(types.StreamingPullRequest(subscription=PULL))
    stream = subscriber.streaming_pull(iter(sent.get, None), timeout=SOON_S)
    assert next(stream).received_messages
    sent.put(None)

    assert list(stream) == []


def test_a_pull_waits_for_a_message(pubsub: PubSubEmulator, subscriber: SubscriberClient) -> None:
    """A unary pull that finds nothing gets what is published meanwhile; one that won't wait gets nothing."""
    now = rest(pubsub, "POST", f"/v1/{PULL}:pull", {"maxMessages": 1, "returnImmediately": True})
    timer = threading.Timer(0.05, lambda: pubsub.publish(TOPIC, b"late"))
    timer.start()
    response = subscriber.pull(subscription=PULL, max_messages=1, timeout=SOON_S)
    timer.join()

    assert now == (200, {})
    assert response.received_messages[0].message.data == b"late"


def test_a_pull_that_nobody_waits_for_takes_nothing(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """A message is not leased to a client that has gone."""
    with pytest.raises(exceptions.DeadlineExceeded):
        subscriber.pull(subscription=PULL, max_messages=1, timeout=0.05, retry=None)
    publisher.publish(TOPIC, b"x").result(SOON_S)

    (received,) = subscriber.pull(subscription=PULL, max_messages=1, timeout=SOON_S).received_messages
    assert received.message.data == b"x"


def test_settings_round_trip_through_the_official_client(subscriber: SubscriberClient) -> None:
    """What is set is shown, what is updated is changed, what is left out is kept."""
    name = "projects/p/subscriptions/settings"
    created = subscriber.create_subscription(
        request={
            "name": name,
            "topic": TOPIC,
            "push_config": {"push_endpoint": "http://127.0.0.1:1/x", "oidc_token": {"service_account_email": "a@b"}},
            "retry_policy": {"minimum_backoff": timedelta(seconds=1)},
            "dead_letter_policy": {"dead_letter_topic": TOPIC},
            "labels": {"k": "v"},
            "expiration_policy": {"ttl": timedelta(days=2)},
            "message_retention_duration": timedelta(days=1),
        }
    )
    assert subscriber.get_subscription(subscription=name) == created
    assert created.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert created.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert created.dead_letter_policy.max_delivery_attempts == 5
    assert created.ack_deadline_seconds == 10
    assert created.expiration_policy.ttl == timedelta(days=2)

    updated = subscriber.update_subscription(
        request={
            "subscription": {"name": name, "ack_deadline_seconds": 60},
            "update_mask": {"paths": ["ack_deadline_seconds", "dead_letter_policy"]},
        }
    )
    subscriber.modify_push_config(subscription=name, push_config={})
    shown = subscriber.get_subscription(subscription=name)

    assert updated.ack_deadline_seconds == 60
    assert "dead_letter_policy" not in updated
    assert updated.push_config.push_endpoint == "http://127.0.0.1:1/x"
    assert shown.push_config.push_endpoint == ""
    assert shown.labels == {"k": "v"}


def test_the_labels_of_a_topic_can_be_changed(publisher: PublisherClient) -> None:
    """UpdateTopic was not there; a field that is not emulated is refused there as at the creation."""
    topic = {"name": TOPIC, "labels": {"k": "v"}}
    updated = publisher.update_topic(request={"topic": topic, "update_mask": {"paths": ["labels"]}})
    unsupported = {"topic": {"name": TOPIC, "kms_key_name": "k"}, "update_mask": {"paths": ["kms_key_name"]}}
    missing = {"topic": {"name": TOPIC + "2"}, "update_mask": {"paths": ["labels"]}}

    assert publisher.get_topic(topic=TOPIC) == updated
    assert updated.labels == {"k": "v"}
    with pytest.raises(exceptions.MethodNotImplemented, match="does not support"):
        publisher.update_topic(request=unsupported)
    with pytest.raises(exceptions.NotFound):
        publisher.update_topic(request=missing)


@pytest.mark.parametrize("paths", [[], ["topic"], ["nonsense"]])
def test_an_update_needs_a_good_mask(subscriber: SubscriberClient, paths: list[str]) -> None:
    """Nothing is changed by guessing."""
    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        subscriber.update_subscription(request={"subscription": {"name": PULL}, "update_mask": {"paths": paths}})


@pytest.mark.parametrize(
    "setting",
    [
        {"enable_exactly_once_delivery": True},
        {"bigquery_config": {"table": "t"}},
        {"push_config": {"push_endpoint": "http://127.0.0.1:1/", "no_wrapper": {"write_metadata": True}}},
    ],
)
def test_a_setting_that_is_not_emulated_is_refused(subscriber: SubscriberClient, setting: dict[str, object]) -> None:
    """A test never believes in a setting that does nothing."""
    with pytest.raises(exceptions.MethodNotImplemented, match="does not support"):
        subscriber.create_subscription(request={"name": PULL + "2", "topic": TOPIC, **setting})


@pytest.mark.parametrize("endpoint", ["https://run.app/", "nonsense"])
def test_only_http_can_be_pushed_to(subscriber: SubscriberClient, endpoint: str) -> None:
    """The emulator never calls anything outside."""
    with pytest.raises(exceptions.InvalidArgument, match="Invalid push endpoint"):
        subscriber.modify_push_config(subscription=PULL, push_config={"push_endpoint": endpoint})


def test_lists_come_in_pages(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """The official pagers see every item once."""
    for number in range(4):
        publisher.create_topic(name=f"projects/p/topics/more-{number}")

    topics = [topic.name for topic in publisher.list_topics(request={"project": "projects/p", "page_size": 2})]
    assert topics == [TOPIC, *(f"projects/p/topics/more-{number}" for number in range(4))]
    assert list(publisher.list_topic_subscriptions(topic=TOPIC)) == [PULL]
    assert [kept.name for kept in subscriber.list_subscriptions(project="projects/p")] == [PULL]
    with pytest.raises(exceptions.InvalidArgument):
        publisher.list_topics(request={"project": "projects/p", "page_token": "nonsense"})


def test_what_is_deleted_is_gone(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """A publish to a topic that is gone is NOT_FOUND with the service's text."""
    assert publisher.get_topic(topic=TOPIC).name == TOPIC
    publisher.delete_topic(topic=TOPIC)
    assert subscriber.get_subscription(subscription=PULL).topic == "_deleted-topic_"
    subscriber.delete_subscription(subscription=PULL)

    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=commands\)\."):
        publisher.publish(TOPIC, b"x").result(SOON_S)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=pull\)\."):
        subscriber.modify_ack_deadline(subscription=PULL, ack_ids=["1-1"], ack_deadline_seconds=10)


def test_a_method_that_is_not_emulated_is_unimplemented(
    publisher: PublisherClient, subscriber: SubscriberClient
) -> None:
    """It is not answered with a guess."""
    with pytest.raises(exceptions.MethodNotImplemented):
        publisher.detach_subscription(request={"subscription": PULL})
    with pytest.raises(exceptions.MethodNotImplemented):
        subscriber.seek(request={"subscription": PULL, "snapshot": "projects/p/snapshots/s"})
    with pytest.raises(exceptions.MethodNotImplemented, match="kms_key_name"):
        publisher.create_topic(request={"name": TOPIC + "2", "kms_key_name": "k"})


def test_a_seek_brings_back_what_was_acknowledged_and_drops_what_waits(
    publisher: PublisherClient, subscriber: SubscriberClient, pubsub: PubSubEmulator
) -> None:
    """Back only where the subscription retains it; forward over everything."""
    name = f"{PULL}-kept"
    kept = subscriber.create_subscription(request={"name": name, "topic": TOPIC, "retain_acked_messages": True})
    before = datetime.now(UTC) - timedelta(minutes=1)
    publisher.publish(TOPIC, b"x").result(SOON_S)
    for subscription in (PULL, name):
        (pulled,) = subscriber.pull(subscription=subscription, max_messages=9).received_messages
        subscriber.acknowledge(subscription=subscription, ack_ids=[pulled.ack_id])
        subscriber.seek(request={"subscription": subscription, "time": before})

    assert kept.retain_acked_messages
    assert (pubsub.undelivered_count(PULL), pubsub.undelivered_count(name)) == (0, 1)
    subscriber.seek(request={"subscription": name, "time": datetime.now(UTC) + timedelta(minutes=1)})
    assert pubsub.undelivered_count(name) == 0
    with pytest.raises(exceptions.InvalidArgument, match="Must specify either a time"):
        subscriber.seek(request={"subscription": name})


def test_a_message_of_the_largest_size_passes_and_a_larger_one_is_refused_in_words(
    publisher: PublisherClient, pubsub: PubSubEmulator
) -> None:
    """The state refuses it, not a limit of the transport."""
    low_level = LowLevelPublisher(transport=publisher.transport)
    frame = pb.PublishRequest(topic=TOPIC, messages=[{"data": bytes(9_000_000)}]).ByteSize() - 9_000_000
    largest = 10_000_000 - frame
    low_level.publish(topic=TOPIC, messages=[types.PubsubMessage(data=bytes(largest))])
    with pytest.raises(exceptions.InvalidArgument, match="The value for request_size is too large"):
        low_level.publish(topic=TOPIC, messages=[types.PubsubMessage(data=bytes(largest + 1))])

    assert [len(message.data) for message in pubsub.published(TOPIC)] == [largest]


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_a_fault_hits_a_publish_before_or_after_its_effect(
    pubsub: PubSubEmulator, publisher: PublisherClient, when: str, count: int
) -> None:
    """The client sees the code either way, and the fault is counted, by gRPC as by REST."""
    for _ in range(2):
        pubsub.faults.plan(Fault("Publish", Code.PERMISSION_DENIED, when=when))  # type: ignore[arg-type] # literals

    with pytest.raises(exceptions.PermissionDenied):
        publisher.publish(TOPIC, b"x").result(SOON_S)
    assert rest(pubsub, "POST", f"/v1/{TOPIC}:publish", {"messages": [{"data": "eA=="}]})[0] == 403
    assert len(pubsub.published(TOPIC)) == 2 * count
    assert pubsub.faults.injected["Publish", Code.PERMISSION_DENIED, when] == 2  # type: ignore[index] # as above
    assert pubsub.faults.calls["Publish"] == 2


def test_a_fault_hits_a_stream_as_it_begins(pubsub: PubSubEmulator, subscriber: SubscriberClient) -> None:
    """The official client would try again; this one looks at the first refusal."""
    pubsub.faults.plan(Fault("StreamingPull", Code.PERMISSION_DENIED))

    with pytest.raises(exceptions.PermissionDenied):
        next(subscriber.streaming_pull(iter([types.StreamingPullRequest(subscription=PULL)])))
