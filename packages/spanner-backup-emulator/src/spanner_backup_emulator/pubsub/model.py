"""What a Pub/Sub state is made of: Google's own messages, and a record of each attempt to push one."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from google.protobuf import empty_pb2  # noqa: TID251 as below
from google.pubsub_v1 import types  # noqa: TID251 the state keeps Google's messages

from spanner_backup_emulator.messages import Classes, time_of

if TYPE_CHECKING:
    pb = types  # For mypy both are the same: the fields are as they are declared.
else:
    pb = Classes(types, empty_pb2)

AT_ONCE = timedelta(0)

# An answer with one of these acknowledges a pushed message, any other refuses it (documented).
# https://cloud.google.com/pubsub/docs/push#receive_push
_PUSH_SUCCESS = frozenset({102, 200, 201, 202, 204})

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to push a message."""

    subscription: pb.Subscription  # Its settings when the attempt began.
    message: pb.PubsubMessage
    attempt: int  # The how-manieth it is, from 1.
    ack_id: str  # Names this attempt, for the outcome.
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
        return self.status in _PUSH_SUCCESS


def milliseconds(moment: datetime) -> datetime:
    """The moment as the service keeps publish times."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def published_at(message: pb.PubsubMessage) -> datetime:
    """A message's publish time."""
    return time_of(message.publish_time)


def timestamp(message: pb.PubsubMessage) -> str:
    """A message's publish time in RFC 3339, to the millisecond, which is its precision."""
    return published_at(message).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def push_body(delivery: Delivery) -> bytes:
    """The JSON that is pushed for a delivery, field by field as the service sends it (documented).

    https://cloud.google.com/pubsub/docs/push#receive_push
    """
    message, published = delivery.message, timestamp(delivery.message)
    fields = {"attributes": dict(message.attributes), "data": base64.b64encode(message.data).decode()}
    fields |= {"messageId": message.message_id, "message_id": message.message_id}
    fields |= {"orderingKey": message.ordering_key, "publishTime": published, "publish_time": published}
    shown = {name: value for name, value in fields.items() if value}
    body: dict[str, object] = {"message": shown, "subscription": delivery.subscription.name}
    # Only then: https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts (documented)
    if delivery.subscription.HasField("dead_letter_policy"):
        body["deliveryAttempt"] = delivery.attempt
    return _encode(body).encode()
