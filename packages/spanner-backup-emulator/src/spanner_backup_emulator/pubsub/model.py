"""What a Pub/Sub state is made of: Google's own messages, and a record of each attempt to push one."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec
from google.pubsub_v1 import types  # noqa: TID251 the state keeps Google's messages

if TYPE_CHECKING:
    pb = types
else:
    # Their wrappers take some twenty times as long. For mypy both are the same: the fields are as they are declared.
    pb = SimpleNamespace(**{name: kind.pb() for name in types.__all__ if hasattr(kind := getattr(types, name), "pb")})

Message: TypeAlias = Any
"""One of Google's, whichever."""

T = TypeVar("T")

# An answer with one of these acknowledges a pushed message, any other refuses it (documented).
# https://cloud.google.com/pubsub/docs/push#receive_push
PUSH_SUCCESS = frozenset({102, 200, 201, 202, 204})

AT_ONCE = timedelta(0)
"""No delay."""

NO_ANSWER = 0
"""The status of an attempt that ended without an HTTP status: no connection, or the ack deadline passed."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to push a message.

    Attributes:
        subscription: Its settings when the attempt began.
        message: The message.
        attempt: The how-manieth it is, from 1.
        ack_id: Names this attempt, for the outcome.
        sent_at: When it began.
    """

    subscription: pb.Subscription
    message: pb.PubsubMessage
    attempt: int
    ack_id: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a push attempt ended: an HTTP status, or `NO_ANSWER`."""

    delivery: Delivery
    status: int
    ended_at: datetime

    @property
    def acknowledged(self) -> bool:
        """Whether the message is done with."""
        return self.status in PUSH_SUCCESS


def copied(message: T) -> T:
    """One of Google's messages that can be changed: the state never changes one that it has shown to somebody."""
    made: Message = type(message)()
    made.CopyFrom(message)
    return made  # type: ignore[no-any-return] # it is as `message`


def stamp(message: pb.PubsubMessage, moment: datetime) -> None:
    """Sets a message's publish time, which the service keeps in milliseconds."""
    published = message.publish_time
    published.seconds, published.nanos = int(moment.timestamp()), moment.microsecond // 1_000 * 1_000_000


def published_at(message: pb.PubsubMessage) -> datetime:
    """A message's publish time."""
    published = message.publish_time
    return datetime.fromtimestamp(published.seconds + published.nanos / 1e9, UTC)


def timestamp(message: pb.PubsubMessage) -> str:
    """A message's publish time in RFC 3339, to the millisecond, which is its precision."""
    return published_at(message).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def push_body(delivery: Delivery) -> bytes:
    """The JSON that is pushed for a delivery, field by field as the service sends it (documented).

    https://cloud.google.com/pubsub/docs/push#receive_push
    """
    message = delivery.message
    published = timestamp(message)
    shown: dict[str, object] = {}
    if message.attributes:
        shown["attributes"] = dict(message.attributes)
    if message.data:
        shown["data"] = base64.b64encode(message.data).decode()
    shown |= {"messageId": message.message_id, "message_id": message.message_id}
    if message.ordering_key:
        shown["orderingKey"] = message.ordering_key
    shown |= {"publishTime": published, "publish_time": published}
    body: dict[str, object] = {"message": shown, "subscription": delivery.subscription.name}
    # Only then: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts (documented)
    if delivery.subscription.HasField("dead_letter_policy"):
        body["deliveryAttempt"] = delivery.attempt
    return msgspec.json.encode(body)
