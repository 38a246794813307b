"""A real HTTP endpoint gets what is due, and the emulator ends cleanly whatever is in hand."""

from __future__ import annotations

import base64
import json
import queue
import socket
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1 import types
from pubsub_world import PULL, PUSH, SOON_S, TOPIC, rest
from receiver import receiving

from spanner_backup_emulator.pubsub.model import published_at, push_body
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.pubsub.state import PUSH_CONCURRENCY, State
from spanner_backup_emulator.tokens import KEYS_PATH


def test_a_push_arrives_with_the_services_body(pubsub: PubSubEmulator) -> None:
    """A POST to the endpoint's own path, as JSON, and a 2xx ends it."""
    with receiving() as receiver:
        pubsub.create_push_subscription(PUSH, TOPIC, receiver.url)
        message_id = pubsub.publish(TOPIC, b"hello", a="b")
        assert pubsub.wait_until_idle(SOON_S)
    (outcome,) = pubsub.outcomes(PUSH)
    ((_, path, headers, body),) = receiver.got
    assert (path, headers["Content-Type"]) == ("/v1/projects/p/topics/t:publish?x=1", "application/json")
    assert json.loads(body) == json.loads(push_body(outcome.delivery))
    assert outcome.delivery.message.message_id == message_id
    assert (outcome.status, outcome.delivery.attempt) == (200, 1)
    assert pubsub.outcomes("projects/p/subscriptions/other") == []


@pytest.mark.parametrize(("audience", "shown"), [("", None), ("https://orders.example", "https://orders.example")])
def test_a_push_with_an_oidc_token_proves_who_sends(
    pubsub: PubSubEmulator, subscriber: SubscriberClient, audience: str, shown: str | None
) -> None:
    """Such a push came without a token; its keys are where REST is, its audience is by default the endpoint."""
    with receiving() as receiver:
        token = {"service_account_email": "push@p.iam", "audience": audience}
        config = {"push_endpoint": receiver.url, "oidc_token": token}
        made = subscriber.create_subscription(name=PUSH, topic=TOPIC, push_config=config)
        pubsub.publish(TOPIC, b"hello")
        assert pubsub.wait_until_idle(SOON_S)
    header, claims, _ = receiver.got[0].headers["Authorization"].removeprefix("Bearer ").split(".")
    _, keys = rest(pubsub, "GET", KEYS_PATH)

    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (said["aud"], said["email"]) == (shown or receiver.url, "push@p.iam")
    assert json.loads(base64.urlsafe_b64decode(header + "=="))["kid"] in str(keys)
    assert made.push_config.oidc_token.audience == audience


def test_sixteen_pushes_are_in_flight_at_once(pubsub: PubSubEmulator) -> None:
    """A slow endpoint does not make the messages queue one behind the other, nor is it flooded."""
    with receiving() as receiver:
        receiver.hold.clear()
        pubsub.create_push_subscription(PUSH, TOPIC, receiver.url)
        for _ in range(PUSH_CONCURRENCY + 4):
            pubsub.publish(TOPIC, b"x")
        receiver.wait_for(PUSH_CONCURRENCY)

        assert len(receiver.got) == PUSH_CONCURRENCY
        assert pubsub.undelivered_count() == PUSH_CONCURRENCY + 4
        assert not pubsub.wait_until_idle(0.05)
        receiver.hold.set()
        assert pubsub.wait_until_idle(SOON_S)


def test_a_doubled_delayed_or_repeated_message_reaches_the_endpoint(pubsub: PubSubEmulator) -> None:
    """Tests can have every disorder that Pub/Sub permits."""
    with receiving() as receiver:
        pubsub.create_push_subscription(PUSH, TOPIC, receiver.url)
        pubsub.duplicate_next(TOPIC, 1, after=timedelta(milliseconds=30))
        doubled = pubsub.publish(TOPIC, b"doubled")
        pubsub.delay_next(TOPIC, after=timedelta(milliseconds=15))
        delayed = pubsub.publish(TOPIC, b"delayed")
        assert pubsub.wait_until_idle(SOON_S)
        pubsub.redeliver(doubled)
        assert pubsub.wait_until_idle(SOON_S)

    sent = [(outcome.delivery.message.message_id, outcome.delivery.sent_at) for outcome in pubsub.outcomes()]
    assert Counter(message_id for message_id, _ in sent) == {doubled: 3, delayed: 1}
    (late,) = [sent_at for message_id, sent_at in sent if message_id == delayed]
    assert late - published_at(pubsub.published(TOPIC)[1]) >= timedelta(milliseconds=15)


def test_what_is_due_after_the_push_before_it_is_pushed_in_time() -> None:
    """Where only one may be in flight; nothing else happens that would make the emulator look at its clock."""
    with receiving() as receiver, PubSubEmulator(state=State(push_concurrency=1)) as pubsub:
        receiver.hold.clear()
        pubsub.create_topic(TOPIC)
        pubsub.create_push_subscription(PUSH, TOPIC, receiver.url)
        pubsub.publish(TOPIC, b"first")
        receiver.wait_for(1)
        pubsub.delay_next(TOPIC, after=timedelta(seconds=0.3))
        pubsub.publish(TOPIC, b"second")
        receiver.hold.set()

        assert pubsub.wait_until_idle(SOON_S)
    first, second = pubsub.outcomes()
    assert second.delivery.sent_at - first.ended_at < timedelta(seconds=5)


def test_a_clock_of_ones_own_decides_when_a_push_is_due() -> None:
    """Ten seconds of backoff pass when the test says so."""
    now = [datetime(2026, 11, 22, tzinfo=UTC)]
    with receiving() as receiver, PubSubEmulator(clock=lambda: now[0]) as pubsub:
        receiver.statuses.append(503)
        pubsub.create_topic(TOPIC)
        pubsub.create_push_subscription(PUSH, TOPIC, receiver.url, retry_policy={})
        pubsub.publish(TOPIC, b"x")
        for _ in range(int(SOON_S / 0.01)):
            if pubsub.outcomes():
                break
            threading.Event().wait(0.01)
        assert not pubsub.wait_until_idle(0.05)
        now[0] += timedelta(seconds=10)
        pubsub.wake()

        assert pubsub.wait_until_idle(SOON_S)
    (refused, taken) = pubsub.outcomes()
    assert taken.delivery.sent_at - refused.ended_at == timedelta(seconds=10)


def test_a_shutdown_cuts_off_pushes_streams_and_pulls() -> None:
    """It takes no longer for having work in hand, and leaves no thread."""
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with PubSubEmulator() as pubsub:
            pubsub.create_topic(TOPIC)
            pubsub.create_pull_subscription(PULL, TOPIC)
            pubsub.create_push_subscription(PUSH, TOPIC, f"http://127.0.0.1:{silent.getsockname()[1]}/")
            pubsub.publish(TOPIC, b"x")
            peer, _ = silent.accept()
            asked: queue.Queue[bytes] = queue.Queue()
            asked.put(types.StreamingPullRequest.serialize(types.StreamingPullRequest(subscription=PULL)))
            channel = grpc.insecure_channel(pubsub.address)
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
    assert not [one.name for one in set(threading.enumerate()) - before if one.name.startswith("pubsub")]


def test_a_port_that_is_taken_is_refused_and_leaves_nothing_behind(pubsub: PubSubEmulator) -> None:
    """The error is the system's own, before anything has started."""
    count = threading.active_count()

    with pytest.raises(OSError, match="in use"), PubSubEmulator(int(pubsub.address.split(":")[1])):
        pytest.fail("two servers on one port")
    assert threading.active_count() == count
