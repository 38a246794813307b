"""Unmodified official clients, a real HTTP receiver and plain REST all meet the same emulator."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import queue
import socket
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1  # type: ignore[import-untyped]  # it ships no types
from google.pubsub_v1 import PublisherClient, types

from emulators.errors import Code
from emulators.faults import Fault
from emulators.pubsub.model import DeadLetterPolicy, RetryPolicy
from emulators.pubsub.server import PubSubEmulator
from emulators.pubsub.state import PUSH_CONCURRENCY, State

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "projects/p/topics/commands"
DEAD = "projects/p/topics/dead-letters"
PULL = "projects/p/subscriptions/pull"
PUSH = "projects/p/subscriptions/push"
SOON_S = 10.0
"""A bound on waits for what happens at once; reaching it is a failure."""


@pytest.fixture
def emulator() -> Iterator[PubSubEmulator]:
    """A running emulator with a topic and a subscription to pull from; it leaves no thread behind."""
    before = set(threading.enumerate())
    with PubSubEmulator(state=State(push_backoff_max=timedelta(milliseconds=20))) as emulator:
        emulator.create_topic(TOPIC)
        emulator.create_pull_subscription(PULL, TOPIC)
        yield emulator
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("pubsub")]
    assert set(ours) <= before


@pytest.fixture
def publisher(emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[pubsub_v1.PublisherClient]:
    """The official publisher, which finds the emulator as it would find Google's."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    client = pubsub_v1.PublisherClient()
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture
def subscriber(emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[pubsub_v1.SubscriberClient]:
    """The official subscriber."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    with pubsub_v1.SubscriberClient() as client:
        yield client


class Receiver:
    """Takes pushes; answers with the statuses it is told to, in their order, and 204 after that.

    Attributes:
        url: Where it listens.
        bodies: What came, in its order.
        statuses: The next answers; a None waits for `go_on`, and then answers 204.
        go_on: Lets the waiting answers go.
    """

    def __init__(self, server: http.server.HTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}/projects/p/topics/commands"
        self.bodies: queue.Queue[tuple[str, str | None, dict[str, object]]] = queue.Queue()
        self.statuses: queue.Queue[int | None] = queue.Queue()
        self.go_on = threading.Event()

    def answer(self, path: str, content_type: str | None, body: bytes) -> int:
        """Notes a push and chooses the answer."""
        self.bodies.put((path, content_type, json.loads(body)))
        try:
            status = self.statuses.get_nowait()
        except queue.Empty:
            return 204
        if status is None:
            assert self.go_on.wait(SOON_S)
            return 204
        return status


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Runs a receiver."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.answer(self.path, self.headers["Content-Type"], body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield receiver
        receiver.go_on.set()
        server.shutdown()
        thread.join()


def rest(
    emulator: PubSubEmulator, verb: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, object]]:
    """Makes one REST call; bytes are sent as they are, everything else as JSON."""
    host, port = emulator.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SOON_S)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(verb, path, data, headers)
    answer = connection.getresponse()
    shown = json.loads(answer.read())
    connection.close()
    return answer.status, shown


def test_the_official_publisher_and_a_unary_pull_carry_a_message(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient, emulator: PubSubEmulator
) -> None:
    """Data, attributes, id and time arrive as they were, and an acknowledgement ends it."""
    message_id = publisher.publish(TOPIC, b"\x00data", a="b").result(SOON_S)
    (received,) = subscriber.pull(subscription=PULL, max_messages=5).received_messages
    subscriber.acknowledge(subscription=PULL, ack_ids=[received.ack_id])

    assert received.message.message_id == message_id
    assert received.message.data == b"\x00data"
    assert dict(received.message.attributes) == {"a": "b"}
    assert received.message.publish_time == emulator.published(TOPIC)[0].publish_time
    assert received.delivery_attempt == 0
    assert emulator.undelivered_count(PULL) == 0


def test_streaming_pull_receives_and_acknowledges(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient, emulator: PubSubEmulator
) -> None:
    """The official client's subscribe works in both orders: published before it begins and while it runs."""
    received: queue.Queue[bytes] = queue.Queue()

    def take(message: pubsub_v1.subscriber.message.Message) -> None:
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
    with emulator._service.changed:  # noqa: SLF001  # the acknowledgement is sent when the client likes
        assert emulator._service.changed.wait_for(lambda: emulator.undelivered_count(PULL) == 0, SOON_S)  # noqa: SLF001  # see above


def test_a_refused_message_comes_again_on_the_stream(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    """A nack from the official client brings the next attempt."""
    received: queue.Queue[str] = queue.Queue()
    refused: list[str] = []

    def take(message: pubsub_v1.subscriber.message.Message) -> None:
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
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient, emulator: PubSubEmulator
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
    assert emulator.undelivered_count(PULL) == 0


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (types.StreamingPullRequest(subscription="projects/p/subscriptions/none"), exceptions.NotFound),
        (
            types.StreamingPullRequest(subscription=PULL, modify_deadline_ack_ids=["1-1"]),
            exceptions.InvalidArgument,
        ),
    ],
)
def test_a_stream_is_refused(
    subscriber: pubsub_v1.SubscriberClient,
    request_: types.StreamingPullRequest,
    refusal: type[exceptions.GoogleAPICallError],
) -> None:
    """A missing subscription at once, ids without deadlines as soon as they are read."""
    first = types.StreamingPullRequest(subscription=request_.subscription)

    with pytest.raises(refusal):
        next(subscriber.streaming_pull(iter([first, request_])))


def test_a_stream_without_a_request_just_ends(subscriber: pubsub_v1.SubscriberClient) -> None:
    """Nobody asked for anything."""
    assert list(subscriber.streaming_pull(iter([]))) == []


def test_a_pull_waits_for_a_message(emulator: PubSubEmulator, subscriber: pubsub_v1.SubscriberClient) -> None:
    """A unary pull that finds nothing gets what is published meanwhile; one that won't wait gets nothing."""
    now = rest(emulator, "POST", f"/v1/{PULL}:pull", {"maxMessages": 1, "returnImmediately": True})
    timer = threading.Timer(0.05, lambda: emulator.publish(TOPIC, b"late"))
    timer.start()
    response = subscriber.pull(subscription=PULL, max_messages=1, timeout=SOON_S)
    timer.join()

    assert now == (200, {})
    assert response.received_messages[0].message.data == b"late"


def test_a_pull_that_nobody_waits_for_takes_nothing(
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    """A message is not leased to a client that has gone."""
    with pytest.raises(exceptions.DeadlineExceeded):
        subscriber.pull(subscription=PULL, max_messages=1, timeout=0.05, retry=None)
    publisher.publish(TOPIC, b"x").result(SOON_S)

    (received,) = subscriber.pull(subscription=PULL, max_messages=1, timeout=SOON_S).received_messages
    assert received.message.data == b"x"


def test_settings_round_trip_through_the_official_client(subscriber: pubsub_v1.SubscriberClient) -> None:
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
            "message_retention_duration": timedelta(days=1),
        }
    )
    assert subscriber.get_subscription(subscription=name) == created
    assert created.retry_policy.minimum_backoff == timedelta(seconds=1)
    assert created.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert created.dead_letter_policy.max_delivery_attempts == 5
    assert created.ack_deadline_seconds == 10

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


@pytest.mark.parametrize("paths", [[], ["topic"], ["nonsense"]])
def test_an_update_needs_a_good_mask(subscriber: pubsub_v1.SubscriberClient, paths: list[str]) -> None:
    """Nothing is changed by guessing."""
    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        subscriber.update_subscription(request={"subscription": {"name": PULL}, "update_mask": {"paths": paths}})


@pytest.mark.parametrize(
    "setting",
    [
        {"filter": 'attributes.a="b"'},
        {"enable_message_ordering": True},
        {"enable_exactly_once_delivery": True},
        {"retain_acked_messages": True},
        {"bigquery_config": {"table": "t"}},
        {"push_config": {"push_endpoint": "http://127.0.0.1:1/", "no_wrapper": {"write_metadata": True}}},
    ],
)
def test_a_setting_that_is_not_emulated_is_refused(
    subscriber: pubsub_v1.SubscriberClient, setting: dict[str, object]
) -> None:
    """A test never believes in a setting that does nothing."""
    with pytest.raises(exceptions.MethodNotImplemented, match="does not support"):
        subscriber.create_subscription(request={"name": PULL + "2", "topic": TOPIC, **setting})


@pytest.mark.parametrize("endpoint", ["https://run.app/", "nonsense"])
def test_only_http_can_be_pushed_to(subscriber: pubsub_v1.SubscriberClient, endpoint: str) -> None:
    """The emulator never calls anything outside."""
    with pytest.raises(exceptions.InvalidArgument, match="Invalid push endpoint"):
        subscriber.modify_push_config(subscription=PULL, push_config={"push_endpoint": endpoint})


def test_lists_come_in_pages(publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient) -> None:
    """The official pagers see every item once."""
    for number in range(4):
        publisher.create_topic(name=f"projects/p/topics/more-{number}")

    topics = [topic.name for topic in publisher.list_topics(request={"project": "projects/p", "page_size": 2})]
    assert topics == [TOPIC, *(f"projects/p/topics/more-{number}" for number in range(4))]
    assert list(publisher.list_topic_subscriptions(topic=TOPIC)) == [PULL]
    assert [kept.name for kept in subscriber.list_subscriptions(project="projects/p")] == [PULL]
    with pytest.raises(exceptions.InvalidArgument):
        publisher.list_topics(request={"project": "projects/p", "page_token": "nonsense"})


def test_what_is_deleted_is_gone(publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient) -> None:
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
    publisher: pubsub_v1.PublisherClient, subscriber: pubsub_v1.SubscriberClient
) -> None:
    """It is not answered with a guess."""
    with pytest.raises(exceptions.MethodNotImplemented):
        publisher.detach_subscription(request={"subscription": PULL})
    with pytest.raises(exceptions.MethodNotImplemented):
        subscriber.seek(request={"subscription": PULL})
    with pytest.raises(exceptions.MethodNotImplemented, match="kms_key_name"):
        publisher.create_topic(request={"name": TOPIC + "2", "kms_key_name": "k"})


def test_a_message_of_the_largest_size_passes_and_a_larger_one_is_refused_in_words(
    publisher: pubsub_v1.PublisherClient, emulator: PubSubEmulator
) -> None:
    """The state refuses it, not a limit of the transport."""
    low_level = PublisherClient(transport=publisher.transport)
    low_level.publish(topic=TOPIC, messages=[types.PubsubMessage(data=bytes(10_000_000))])
    with pytest.raises(exceptions.InvalidArgument, match="The value for request_size is too large"):
        low_level.publish(topic=TOPIC, messages=[types.PubsubMessage(data=bytes(10_000_001))])

    assert [len(message.data) for message in emulator.published(TOPIC)] == [10_000_000]


def test_a_push_arrives_with_the_services_body(emulator: PubSubEmulator) -> None:
    """A POST to the endpoint's own path, as JSON, and a 2xx ends it."""
    with receiving() as receiver:
        emulator.create_push_subscription(PUSH, TOPIC, receiver.url)
        message_id = emulator.publish(TOPIC, b"hello", a="b")
        path, content_type, body = receiver.bodies.get(timeout=SOON_S)

        assert emulator.wait_until_idle(SOON_S)
    (message,) = emulator.published(TOPIC)
    published = message.publish_time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (path, content_type) == ("/projects/p/topics/commands", "application/json")
    assert body == {
        "message": {
            "attributes": {"a": "b"},
            "data": base64.b64encode(b"hello").decode(),
            "messageId": message_id,
            "message_id": message_id,
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": PUSH,
    }
    (outcome,) = emulator.outcomes(PUSH)
    assert (outcome.status, outcome.delivery.attempt) == (204, 1)
    assert emulator.outcomes("projects/p/subscriptions/other") == []


def test_a_refused_push_is_tried_again_and_then_dead_lettered(
    emulator: PubSubEmulator, subscriber: pubsub_v1.SubscriberClient
) -> None:
    """Five refusals with a growing deliveryAttempt, then the dead letter topic has it."""
    emulator.create_topic(DEAD)
    emulator.create_pull_subscription("projects/p/subscriptions/dead", DEAD)
    with receiving() as receiver:
        for status in (500, 404, 302, 429, 503):
            receiver.statuses.put(status)
        emulator.create_push_subscription(
            PUSH,
            TOPIC,
            receiver.url,
            retry_policy=RetryPolicy(timedelta(milliseconds=1), timedelta(milliseconds=4)),
            dead_letter_policy=DeadLetterPolicy(DEAD, 5),
        )
        emulator.publish(TOPIC, b"poison")

        assert emulator.wait_until_idle(SOON_S)
        attempts = [receiver.bodies.get(timeout=SOON_S)[2]["deliveryAttempt"] for _ in range(5)]
    (dead,) = subscriber.pull(subscription="projects/p/subscriptions/dead", max_messages=9).received_messages
    assert attempts == [1, 2, 3, 4, 5]
    assert [outcome.status for outcome in emulator.outcomes()] == [500, 404, 302, 429, 503]
    assert dead.message.attributes["CloudPubSubDeadLetterSourceSubscription"] == "push"


def test_sixteen_pushes_are_in_flight_at_once(emulator: PubSubEmulator) -> None:
    """A slow endpoint does not make the messages queue one behind the other, nor is it flooded."""
    with receiving() as receiver:
        for _ in range(PUSH_CONCURRENCY):
            receiver.statuses.put(None)
        emulator.create_push_subscription(PUSH, TOPIC, receiver.url)
        for _ in range(PUSH_CONCURRENCY + 4):
            emulator.publish(TOPIC, b"x")
        for _ in range(PUSH_CONCURRENCY):
            receiver.bodies.get(timeout=SOON_S)

        assert receiver.bodies.empty()
        assert emulator.undelivered_count() == PUSH_CONCURRENCY + 4
        assert not emulator.wait_until_idle(0.05)
        receiver.go_on.set()
        assert emulator.wait_until_idle(SOON_S)


def test_a_doubled_delayed_or_repeated_message_reaches_the_endpoint(emulator: PubSubEmulator) -> None:
    """Tests can have every disorder that Pub/Sub permits."""
    with receiving() as receiver:
        emulator.create_push_subscription(PUSH, TOPIC, receiver.url)
        emulator.duplicate_next(TOPIC, 1, after=timedelta(milliseconds=30))
        doubled = emulator.publish(TOPIC, b"doubled")
        emulator.delay_next(TOPIC, after=timedelta(milliseconds=15))
        delayed = emulator.publish(TOPIC, b"delayed")
        assert emulator.wait_until_idle(SOON_S)
        emulator.redeliver(doubled)
        assert emulator.wait_until_idle(SOON_S)

    delivered = [outcome.delivery.message.message_id for outcome in emulator.outcomes()]
    assert delivered == [doubled, delayed, doubled, doubled]


def test_a_clock_of_ones_own_decides_when_a_push_is_due() -> None:
    """Ten seconds of backoff pass when the test says so."""
    now = [datetime(2026, 11, 22, tzinfo=UTC)]
    with receiving() as receiver, PubSubEmulator(clock=lambda: now[0]) as emulator:
        receiver.statuses.put(503)
        emulator.create_topic(TOPIC)
        emulator.create_push_subscription(PUSH, TOPIC, receiver.url, retry_policy=RetryPolicy())
        emulator.publish(TOPIC, b"x")
        receiver.bodies.get(timeout=SOON_S)
        assert not emulator.wait_until_idle(0.1)
        now[0] += timedelta(seconds=10)
        emulator.wake()

        assert emulator.wait_until_idle(SOON_S)
    (refused, taken) = emulator.outcomes()
    assert taken.delivery.sent_at - refused.ended_at == timedelta(seconds=10)


def test_a_shutdown_cuts_off_pushes_streams_and_pulls() -> None:
    """It takes no longer for having work in hand, and leaves no thread."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with PubSubEmulator() as emulator:
            emulator.create_topic(TOPIC)
            emulator.create_pull_subscription(PULL, TOPIC)
            emulator.create_push_subscription(PUSH, TOPIC, f"http://127.0.0.1:{silent.getsockname()[1]}/")
            emulator.publish(TOPIC, b"x")
            peer, _ = silent.accept()
            asked: queue.Queue[bytes] = queue.Queue()
            asked.put(types.StreamingPullRequest.serialize(types.StreamingPullRequest(subscription=PULL)))
            channel = grpc.insecure_channel(emulator.address)
            streaming_pull: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(
                "/google.pubsub.v1.Subscriber/StreamingPull"
            )
            stream = streaming_pull(iter(asked.get, b""))
            assert next(stream)
            pull: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/google.pubsub.v1.Subscriber/Pull")
            waiting = pull.future(types.PullRequest.serialize(types.PullRequest(subscription=PULL, max_messages=1)))
            began = datetime.now(UTC)
        assert datetime.now(UTC) - began < timedelta(seconds=5)
        peer.close()
    assert waiting.code() == grpc.StatusCode.UNAVAILABLE
    asked.put(b"")
    channel.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pubsub")]


def test_a_port_that_is_taken_is_refused_and_leaves_nothing_behind(emulator: PubSubEmulator) -> None:
    """The error is the system's own, before anything has started."""
    count = threading.active_count()

    with pytest.raises(OSError, match="in use"), PubSubEmulator(int(emulator.address.split(":")[1])):
        pytest.fail("two servers on one port")
    assert threading.active_count() == count


def test_rest_and_grpc_share_one_port_and_one_state(
    emulator: PubSubEmulator, subscriber: pubsub_v1.SubscriberClient
) -> None:
    """What a Cloud Task publishes by REST, a client pulls by gRPC."""
    status, body = rest(
        emulator,
        "POST",
        "/v1/projects/p/topics/commands:publish",
        {"messages": [{"data": base64.b64encode(b"by rest").decode(), "attributes": {"backstop-kind": "follow-up"}}]},
    )

    (received,) = subscriber.pull(subscription=PULL, max_messages=5).received_messages
    assert (status, body) == (200, {"messageIds": [received.message.message_id]})
    assert received.message.data == b"by rest"
    assert dict(received.message.attributes) == {"backstop-kind": "follow-up"}


def test_everything_a_command_line_needs_is_there_by_rest(emulator: PubSubEmulator) -> None:
    """Create, show, list, change, pull, acknowledge and delete, with the paths and fields of the REST reference."""
    topic, subscription = "projects/p/topics/by-rest", "projects/p/subscriptions/by-rest"
    settings = {"topic": topic, "ackDeadlineSeconds": 30}
    assert rest(emulator, "PUT", f"/v1/{topic}", {}) == (200, {"name": topic})
    assert rest(emulator, "PUT", f"/v1/{subscription}?alt=json", settings)[1]["ackDeadlineSeconds"] == 30
    patch = {"subscription": {"ackDeadlineSeconds": 40}, "updateMask": "ackDeadlineSeconds"}
    assert rest(emulator, "PATCH", f"/v1/{subscription}", patch)[1]["ackDeadlineSeconds"] == 40
    assert rest(emulator, "GET", f"/v1/{subscription}")[1]["name"] == subscription
    assert rest(emulator, "GET", f"/v1/{topic}/subscriptions")[1] == {"subscriptions": [subscription]}
    assert rest(emulator, "GET", "/v1/projects/p/topics?pageSize=1&alt=json")[1] == {
        "topics": [{"name": topic}],
        "nextPageToken": "1",
    }
    rest(emulator, "POST", f"/v1/{topic}:publish", {"messages": [{"data": "eA=="}]})
    pulled = rest(emulator, "POST", f"/v1/{subscription}:pull", {"maxMessages": 1, "returnImmediately": True})[1]
    received = json.loads(json.dumps(pulled["receivedMessages"]))[0]
    assert received["message"]["data"] == "eA=="
    ids = {"ackIds": [received["ackId"]]}
    extended = rest(emulator, "POST", f"/v1/{subscription}:modifyAckDeadline", {**ids, "ackDeadlineSeconds": 60})
    assert extended == (200, {})
    assert rest(emulator, "POST", f"/v1/{subscription}:acknowledge", ids) == (200, {})
    assert rest(emulator, "POST", f"/v1/{subscription}:modifyPushConfig", {"pushConfig": {}}) == (200, {})
    assert rest(emulator, "DELETE", f"/v1/{subscription}") == (200, {})
    assert rest(emulator, "DELETE", f"/v1/{topic}") == (200, {})
    assert rest(emulator, "GET", f"/v1/{topic}")[0] == 404


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "name", "text"),
    [
        ("POST", "/v1/projects/p/topics/none:publish", {}, 404, "NOT_FOUND", "Resource not found (resource=none)."),
        ("PUT", "/v1/projects/p/topics/commands", {}, 409, "ALREADY_EXISTS", "Resource already exists"),
        ("POST", "/v1/projects/p/topics/commands:publish", b"{", 400, "INVALID_ARGUMENT", "Invalid JSON payload"),
        ("POST", "/v1/projects/p/topics/commands:publish", b"[]", 400, "INVALID_ARGUMENT", "must be an object"),
        ("POST", "/v1/projects/p/topics/commands:publish", {"x": 1}, 400, "INVALID_ARGUMENT", 'no field named "x"'),
        (
            "POST",
            "/v1/projects/p/topics/commands:publish",
            {"messages": [{"data": "%%%"}]},
            400,
            "INVALID_ARGUMENT",
            "Base64 decoding failed",
        ),
        ("POST", "/v1/projects/p/topics/commands:publish", {"messages": [1]}, 400, "INVALID_ARGUMENT", "Invalid JSON"),
        ("PATCH", "/v1/projects/p/subscriptions/pull", {}, 400, "INVALID_ARGUMENT", "update_mask"),
        ("POST", "/v1/projects/p/subscriptions/pull:seek", {}, 404, "NOT_FOUND", "was not found on this server"),
        ("GET", "/v2/projects/p/topics", None, 404, "NOT_FOUND", "was not found on this server"),
    ],
)
def test_rest_refuses_in_googles_form(
    emulator: PubSubEmulator, verb: str, path: str, body: object, status: int, name: str, text: str
) -> None:
    """The HTTP status, and an error object with code, message and status."""
    found, shown = rest(emulator, verb, path, body)

    error = shown["error"]
    assert isinstance(error, dict)
    assert (found, error["code"], error["status"]) == (status, status, name)
    assert text in error["message"]


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"Content-Length": "10485761"}, "Request payload size exceeds the limit: 10485760 bytes."),
        ({"Content-Length": "x"}, "A body needs a Content-Length."),
        ({"Transfer-Encoding": "chunked"}, "A body needs a Content-Length."),
    ],
)
def test_a_body_must_say_that_it_is_small_enough(emulator: PubSubEmulator, headers: dict[str, str], text: str) -> None:
    """An endless body is not read."""
    status, shown = rest(emulator, "POST", "/v1/projects/p/topics/commands:publish", b"", **headers)

    assert status == 400
    assert text in json.dumps(shown)


def test_a_health_check_is_answered(emulator: PubSubEmulator) -> None:
    """Scripts that wait for an emulator ask for its root."""
    host, port = emulator.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SOON_S)
    connection.request("GET", "/")

    assert connection.getresponse().read() == b"Ok\n"
    connection.close()


def test_a_connection_that_says_nothing_or_too_little_is_harmless(emulator: PubSubEmulator) -> None:
    """The others go on."""
    host, port = emulator.address.split(":")
    with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as short:
        short.sendall(b"GE")
        short.shutdown(socket.SHUT_WR)
        assert short.recv(1) == b""
        assert rest(emulator, "GET", "/v1/projects/p/topics")[0] == 200
        assert silent.fileno() > 0


@pytest.mark.parametrize(("when", "count"), [("before", 0), ("after", 1)])
def test_a_fault_hits_a_publish_before_or_after_its_effect(
    emulator: PubSubEmulator, publisher: pubsub_v1.PublisherClient, when: str, count: int
) -> None:
    """The client sees the code either way, and the fault is counted, by gRPC as by REST."""
    for _ in range(2):
        emulator.faults.plan(Fault("Publish", Code.PERMISSION_DENIED, when=when))  # type: ignore[arg-type] # literals

    with pytest.raises(exceptions.PermissionDenied):
        publisher.publish(TOPIC, b"x").result(SOON_S)
    assert rest(emulator, "POST", f"/v1/{TOPIC}:publish", {"messages": [{"data": "eA=="}]})[0] == 403
    assert len(emulator.published(TOPIC)) == 2 * count
    assert emulator.faults.injected["Publish", Code.PERMISSION_DENIED, when] == 2  # type: ignore[index] # as above
    assert emulator.faults.calls["Publish"] == 2


def test_a_fault_hits_a_stream_as_it_begins(emulator: PubSubEmulator, subscriber: pubsub_v1.SubscriberClient) -> None:
    """The official client would try again; this one looks at the first refusal."""
    emulator.faults.plan(Fault("StreamingPull", Code.PERMISSION_DENIED))

    with pytest.raises(exceptions.PermissionDenied):
        next(subscriber.streaming_pull(iter([types.StreamingPullRequest(subscription=PULL)])))
