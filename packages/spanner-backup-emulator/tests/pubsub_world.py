"""What the tests of the emulated Pub/Sub share: names, shortcuts, a receiver of pushes, and a REST client."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, copied
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.pubsub.service import RPCS, WORKS
from spanner_backup_emulator.pubsub.state import State

SOON_S = 60.0
"""A bound on waits for what happens at once; reaching it is a failure."""

T0 = datetime(2026, 11, 22, 12, 0, 0, 123_456, tzinfo=UTC)
TOPIC = "projects/p/topics/commands"
DEAD = "projects/p/topics/dead-letters"
PUSH = "projects/p/subscriptions/push"
PULL = "projects/p/subscriptions/pull"
ENDPOINT = "http://127.0.0.1:1/"


def after(seconds: float) -> datetime:
    """The moment so many seconds after the beginning."""
    return T0 + timedelta(seconds=seconds)


PUSHING = pb.Subscription(name=PUSH, topic=TOPIC, push_config={"push_endpoint": ENDPOINT})
PULLING = pb.Subscription(name=PULL, topic=TOPIC)
LETTERS = pb.DeadLetterPolicy(dead_letter_topic=DEAD)


def having(subscription: pb.Subscription, **settings: object) -> pb.Subscription:
    """The subscription with more settings."""
    made = copied(subscription)
    made.MergeFrom(pb.Subscription(**settings))
    return made


def retrying(least_s: float, most_s: float) -> pb.RetryPolicy:
    """A retry policy."""
    least, most = timedelta(seconds=least_s), timedelta(seconds=most_s)
    return pb.RetryPolicy(minimum_backoff=least, maximum_backoff=most)


def publishing(*messages: Mapping[str, object], topic: str = TOPIC) -> pb.PublishRequest:
    """A publish."""
    return pb.PublishRequest(topic=topic, messages=messages)


def acknowledging(*ids: str) -> pb.AcknowledgeRequest:
    """An acknowledgement."""
    return pb.AcknowledgeRequest(subscription=PULL, ack_ids=ids)


class Briefly(State):
    """A state that can be asked in few words."""

    def publish_one(self, now: datetime, data: bytes = b"x", topic: str = TOPIC) -> str:
        """Publishes a message and returns its id."""
        request = publishing({"data": data, "attributes": {"kind": "test"}}, topic=topic)
        return self.publish(now, request).message_ids[0]

    def take(self, now: datetime, name: str = PULL, deadline_s: int = 0) -> list[pb.ReceivedMessage]:
        """Pulls everything that is due."""
        asked = pb.PullRequest(subscription=name, max_messages=99)
        return list(self.pull(now, asked, deadline_s).received_messages)

    def settle(self, now: datetime, *pulled: pb.ReceivedMessage) -> None:
        """Acknowledges what was pulled."""
        self.acknowledge(now, acknowledging(*(one.ack_id for one in pulled)))

    def defer(self, now: datetime, pulled: pb.ReceivedMessage, by_s: int) -> None:
        """Gives what was pulled another deadline; 0 refuses it."""
        asked = pb.ModifyAckDeadlineRequest(subscription=PULL, ack_ids=[pulled.ack_id], ack_deadline_seconds=by_s)
        self.modify_ack_deadline(now, asked)

    def end(self, now: datetime, status: int) -> None:
        """Makes the one push attempt that is due and ends it at once."""
        (delivery,) = self.advance(now)
        self.delivered(now, delivery, status)

    def refusal(self, request: Message) -> tuple[Code, str]:
        """How a request is refused."""
        (rpc,) = (rpc for rpc in RPCS if isinstance(request, rpc.request))
        with pytest.raises(ApiError) as caught:
            WORKS[rpc.name](self, T0, request)
        return caught.value.code, caught.value.message


def state_with(*subscriptions: pb.Subscription, state: Briefly | None = None) -> Briefly:
    """A state with the two topics and these subscriptions."""
    state = state or Briefly()
    for topic in (TOPIC, DEAD):
        state.create_topic(T0, pb.Topic(name=topic))
    for subscription in subscriptions:
        state.create_subscription(T0, subscription)
    return state


def rest(
    pubsub: PubSubEmulator, verb: str, path: str, body: object = None, **headers: str
) -> tuple[int, dict[str, object]]:
    """Makes one REST call; bytes are sent as they are, everything else as JSON."""
    host, port = pubsub.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SOON_S)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(verb, path, data, headers)
    answer = connection.getresponse()
    shown = json.loads(answer.read())
    connection.close()
    return answer.status, shown
