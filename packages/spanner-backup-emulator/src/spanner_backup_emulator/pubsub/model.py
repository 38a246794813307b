"""What a Pub/Sub state is made of and what it is asked: values only."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

ACK_DEADLINE_DEFAULT = timedelta(seconds=10)
"""Of a subscription that names none (documented).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription
"""

RETENTION_DEFAULT = timedelta(days=7)
"""Of unacknowledged messages (documented, same page)."""

# An answer with one of these acknowledges a pushed message, any other refuses it (documented).
# https://cloud.google.com/pubsub/docs/push#receive_push
PUSH_SUCCESS = frozenset({102, 200, 201, 202, 204})

AT_ONCE = timedelta(0)
"""No delay."""

NO_ANSWER = 0
"""The status of an attempt that ended without an HTTP status: no connection, or the ack deadline passed."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as it is handed in; its ordering key orders where the subscription says so."""

    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict)
    ordering_key: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A published message."""

    message_id: str
    publish_time: datetime
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str = ""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a refused message waits: `minimum`, then doubling up to `maximum`, both 0 to 600 s."""

    minimum: timedelta = timedelta(seconds=10)
    maximum: timedelta = timedelta(seconds=600)


@dataclass(frozen=True, slots=True)
class DeadLetterPolicy:
    """Where a message goes that was delivered `max_delivery_attempts` (5 to 100) times in vain."""

    topic: str
    max_delivery_attempts: int = 5


@dataclass(frozen=True, slots=True)
class OidcToken:
    """The identity token that a push carries; without an audience it is made for the endpoint (documented)."""

    service_account_email: str
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription's settings.

    Attributes:
        name: The full name.
        topic: The topic's full name.
        push_endpoint: The URL to push to; empty for a subscription that is pulled.
        ack_deadline: How long a delivery may take, 10 to 600 s; for push, the request's time limit too.
        retention: How long an unacknowledged message is kept, 10 min to 31 days.
        retry_policy: The wait after a refusal; None for none but the push backoff.
        dead_letter_policy: None for deliveries without end.
        labels: Kept and shown.
        filter: Which messages it gets at all; empty for all of them.
        ordered: Whether messages of one ordering key come one after the other, as they were published.
        oidc_token: What a push proves its sender with; None for nothing.
        retains_acked: Whether a seek brings back what was acknowledged.
    """

    name: str
    topic: str
    push_endpoint: str = ""
    ack_deadline: timedelta = ACK_DEADLINE_DEFAULT
    retention: timedelta = RETENTION_DEFAULT
    retry_policy: RetryPolicy | None = None
    dead_letter_policy: DeadLetterPolicy | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    filter: str = ""
    ordered: bool = False
    oidc_token: OidcToken | None = None
    retains_acked: bool = False


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's settings; labels are kept and shown."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to hand a message over, by push or by pull.

    Attributes:
        subscription: The subscription's full name.
        message: The message.
        attempt: The how-manieth it is, from 1.
        ack_id: Names this attempt, for the outcome.
        sent_at: When it began.
        ack_deadline: How long it may take.
        push_endpoint: Where to POST `push_body`; empty when it was pulled.
        shows_attempt: Whether the receiver is told the attempt: only under a dead letter policy (documented,
            https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts).
        oidc_token: What a push proves its sender with.
    """

    subscription: str
    message: Message
    attempt: int
    ack_id: str
    sent_at: datetime
    ack_deadline: timedelta
    push_endpoint: str
    shows_attempt: bool
    oidc_token: OidcToken | None = None


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


@dataclass(frozen=True, slots=True)
class CreateTopic:
    """Asks for a new topic."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class UpdateTopic:
    """Asks for other settings, all given; the name stays."""

    topic: Topic


@dataclass(frozen=True, slots=True)
class DeleteTopic:
    """Asks for the end of a topic; its subscriptions stay."""

    name: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Asks to publish 1 to 1,000 messages, all or none."""

    topic: str
    messages: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class CreateSubscription:
    """Asks for a new subscription; it sees what is published from now on."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class UpdateSubscription:
    """Asks for other settings, all given; name and topic stay."""

    subscription: Subscription


@dataclass(frozen=True, slots=True)
class DeleteSubscription:
    """Asks for the end of a subscription and of what waits in it."""

    name: str


@dataclass(frozen=True, slots=True)
class Pull:
    """Asks for what is due, at most `max_messages`; `ack_deadline` replaces the subscription's own."""

    subscription: str
    max_messages: int
    ack_deadline: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Says that these deliveries did their work."""

    subscription: str
    ack_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModifyAckDeadline:
    """Gives these deliveries that long from now on; 0 refuses them."""

    subscription: str
    ack_ids: tuple[str, ...]
    ack_deadline: timedelta


@dataclass(frozen=True, slots=True)
class Seek:
    """Asks to have what was published before a moment acknowledged, and what came after it not."""

    subscription: str
    moment: datetime


Request = (
    CreateTopic
    | UpdateTopic
    | DeleteTopic
    | Publish
    | CreateSubscription
    | UpdateSubscription
    | DeleteSubscription
    | Pull
    | Acknowledge
    | ModifyAckDeadline
    | Seek
)


def push_body(delivery: Delivery) -> bytes:
    """The JSON that is pushed for a delivery, field by field as the service sends it (documented).

    https://cloud.google.com/pubsub/docs/push#receive_push
    """
    message = delivery.message
    published = timestamp(message.publish_time)
    shown: dict[str, object] = {}
    if message.attributes:
        shown["attributes"] = dict(message.attributes)
    if message.data:
        shown["data"] = base64.b64encode(message.data).decode()
    shown |= {"messageId": message.message_id, "message_id": message.message_id}
    if message.ordering_key:
        shown["orderingKey"] = message.ordering_key
    shown |= {"publishTime": published, "publish_time": published}
    body: dict[str, object] = {"message": shown, "subscription": delivery.subscription}
    if delivery.shows_attempt:
        body["deliveryAttempt"] = delivery.attempt
    return msgspec.json.encode(body)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC to the millisecond, the precision of publish times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
