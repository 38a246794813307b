"""The RPCs of Pub/Sub's two services, as functions from Google's request types to Google's response types."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from google.pubsub_v1 import types

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub import convert, model
from spanner_backup_emulator.tokens import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    import proto  # type: ignore[import-untyped]  # proto-plus ships no types

    from spanner_backup_emulator.pubsub.state import State
    from spanner_backup_emulator.serving import Endpoint

T = TypeVar("T")

PULL_WAIT_S = 10.0
"""A pull that finds nothing waits this long; the service only says that it is bounded (documented).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
"""

STREAM_BATCH_COUNT_MAX = 100
"""Messages in one response of a stream, so that a response of full messages stays a fraction of a publish."""

PAGE_SIZE_DEFAULT = 100
"""Of the lists, where a client asks for none; the service's own is not documented."""

PAGE_SIZE_MAX = 1_000
"""Of the lists."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of a service.

    Attributes:
        service: The service's short name.
        name: The method's.
        request: The request's type.
        response: The response's type, None for an empty one.
        resource: The request's field that names what it is about.
        work: Answers a request; called with the endpoint's lock held.
    """

    service: str
    name: str
    request: type[proto.Message]
    response: type[proto.Message] | None
    resource: str
    work: Callable[..., proto.Message | None]


class Service:
    """Answers RPCs from the state.

    Attributes:
        endpoint: The lock, the clock and the faults.
        state: Read and changed under the endpoint's lock only.
        changed: Notified, under the same lock, whenever the state may have changed.
        closing: Set, under the lock, when nothing is to wait any more.
        signer: Makes the tokens that pushes carry.
        streams: The threads that receive what clients send on their streams; each ends with its call.
    """

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        self.endpoint = endpoint
        self.state = state
        self.changed = threading.Condition(endpoint.lock)
        self.closing = False
        self.streams: set[threading.Thread] = set()
        self.signer = Signer()

    def call(self, rpc: Rpc, request: proto.Message, alive: Callable[[], bool] = lambda: True) -> proto.Message | None:
        """Answers one RPC.

        Args:
            rpc: Which.
            request: An instance of its request type.
            alive: Whether the client still waits for the answer; a pull on behalf of nobody would lose its messages
                until their ack deadline.

        Returns:
            The response, None for an empty one.

        Raises:
            ApiError: The refusal.
        """

        def work(_now: datetime) -> proto.Message | None:
            if isinstance(request, types.PullRequest):
                return self.pull(request, alive)
            return rpc.work(self, request)

        try:
            return self.endpoint.run(rpc.name, work, str(getattr(request, rpc.resource, "")))
        finally:
            self.notify()

    def notify(self) -> None:
        """Wakes everybody who waits for a change."""
        with self.changed:
            self.changed.notify_all()

    def stream(
        self, first: types.StreamingPullRequest, alive: Callable[[], bool]
    ) -> Iterator[types.StreamingPullResponse]:
        """Yields responses with messages until the client has gone or the server is closing.

        Raises:
            ApiError: The refusal; also when the subscription ceases to exist.
        """
        with self.changed:
            self.endpoint.faults.check("StreamingPull", "before", first.subscription)
            self.state.subscription(first.subscription)  # A client that has already ended its side is refused too.
        ack_deadline = timedelta(seconds=first.stream_ack_deadline_seconds) or None
        ask = model.Pull(first.subscription, STREAM_BATCH_COUNT_MAX, ack_deadline)
        while alive() and not self.closing:
            with self.changed:
                deliveries = self._wait_for(ask, None, alive)
            if deliveries:
                yield types.StreamingPullResponse(received_messages=list(map(convert.received, deliveries)))

    def take(self, subscription: str, request: types.StreamingPullRequest) -> None:
        """Does what a later request of a stream asks: acknowledgements and new deadlines.

        Raises:
            ApiError: The refusal, which ends the stream.
        """
        ids, seconds = request.modify_deadline_ack_ids, request.modify_deadline_seconds
        if len(ids) != len(seconds):
            raise ApiError(Code.INVALID_ARGUMENT, "There must be one modify_deadline_seconds for each ack id.")
        with self.changed:
            now = self.endpoint.clock()
            if request.ack_ids:
                self.state.apply(now, model.Acknowledge(subscription, tuple(request.ack_ids)))
            for ack_id, deadline_s in zip(ids, seconds, strict=True):
                self.state.apply(now, model.ModifyAckDeadline(subscription, (ack_id,), timedelta(seconds=deadline_s)))
            self.changed.notify_all()

    def apply(self, request: model.Request) -> None:
        """Applies a request that has no result, now; call with the lock held."""
        self.state.apply(self.endpoint.clock(), request)

    def pull(self, request: types.PullRequest, alive: Callable[[], bool]) -> types.PullResponse:
        """Hands over what is due, after a wait if nothing is; call with the lock held."""
        ask = model.Pull(request.subscription, request.max_messages)
        deliveries = self._wait_for(ask, 0.0 if request.return_immediately else PULL_WAIT_S, alive)
        return types.PullResponse(received_messages=list(map(convert.received, deliveries)))

    def _wait_for(self, ask: model.Pull, wait_s: float | None, alive: Callable[[], bool]) -> tuple[model.Delivery, ...]:
        """Pulls until there is something, the time is up, or nobody waits; gives the lock away meanwhile."""
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        while alive() and not self.closing:
            if deliveries := self.state.apply(self.endpoint.clock(), ask):
                self.changed.notify_all()
                return deliveries
            left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                break
            self.changed.wait(left_s)
        return ()


def _create_topic(service: Service, request: types.Topic) -> types.Topic:
    topic = convert.topic(request)
    service.apply(model.CreateTopic(topic))
    return convert.shown_topic(topic)


def _update_topic(service: Service, request: types.UpdateTopicRequest) -> types.Topic:
    topic = convert.updated_topic(service.state.topic(request.topic.name), request)
    service.apply(model.UpdateTopic(topic))
    return convert.shown_topic(topic)


def _get_topic(service: Service, request: types.GetTopicRequest) -> types.Topic:
    return convert.shown_topic(service.state.topic(request.topic))


def _list_topics(service: Service, request: types.ListTopicsRequest) -> types.ListTopicsResponse:
    page, token = _page(service.state.topics(request.project), request.page_size, request.page_token)
    return types.ListTopicsResponse(topics=list(map(convert.shown_topic, page)), next_page_token=token)


def _list_topic_subscriptions(
    service: Service, request: types.ListTopicSubscriptionsRequest
) -> types.ListTopicSubscriptionsResponse:
    page, token = _page(service.state.subscriptions_of(request.topic), request.page_size, request.page_token)
    return types.ListTopicSubscriptionsResponse(subscriptions=page, next_page_token=token)


def _delete_topic(service: Service, request: types.DeleteTopicRequest) -> None:
    service.apply(model.DeleteTopic(request.topic))


def _publish(service: Service, request: types.PublishRequest) -> types.PublishResponse:
    publish = model.Publish(request.topic, convert.drafts(request))
    return types.PublishResponse(message_ids=service.state.apply(service.endpoint.clock(), publish))


def _create_subscription(service: Service, request: types.Subscription) -> types.Subscription:
    subscription = convert.subscription(request)
    service.apply(model.CreateSubscription(subscription))
    return convert.shown_subscription(subscription)


def _get_subscription(service: Service, request: types.GetSubscriptionRequest) -> types.Subscription:
    return convert.shown_subscription(service.state.subscription(request.subscription))


def _list_subscriptions(service: Service, request: types.ListSubscriptionsRequest) -> types.ListSubscriptionsResponse:
    page, token = _page(service.state.subscriptions(request.project), request.page_size, request.page_token)
    shown = list(map(convert.shown_subscription, page))
    return types.ListSubscriptionsResponse(subscriptions=shown, next_page_token=token)


def _update_subscription(service: Service, request: types.UpdateSubscriptionRequest) -> types.Subscription:
    subscription = convert.updated(service.state.subscription(request.subscription.name), request)
    service.apply(model.UpdateSubscription(subscription))
    return convert.shown_subscription(subscription)


def _modify_push_config(service: Service, request: types.ModifyPushConfigRequest) -> None:
    current = service.state.subscription(request.subscription)
    endpoint, token = convert.push_endpoint(request.push_config), convert.oidc_token(request.push_config)
    service.apply(model.UpdateSubscription(replace(current, push_endpoint=endpoint, oidc_token=token)))


def _delete_subscription(service: Service, request: types.DeleteSubscriptionRequest) -> None:
    service.apply(model.DeleteSubscription(request.subscription))


def _acknowledge(service: Service, request: types.AcknowledgeRequest) -> None:
    service.apply(model.Acknowledge(request.subscription, tuple(request.ack_ids)))


def _modify_ack_deadline(service: Service, request: types.ModifyAckDeadlineRequest) -> None:
    deadline = timedelta(seconds=request.ack_deadline_seconds)
    service.apply(model.ModifyAckDeadline(request.subscription, tuple(request.ack_ids), deadline))


def _seek(service: Service, request: types.SeekRequest) -> types.SeekResponse:
    service.apply(convert.seek(request))
    return types.SeekResponse()


def _page(items: Sequence[T], size: int, token: str) -> tuple[Sequence[T], str]:
    """One page of a list, and the token of the next: how many items come before it."""
    if size < 0 or not (token == "" or token.isdecimal()):
        raise ApiError(Code.INVALID_ARGUMENT, f"Invalid page_size {size} or page_token {token!r}.")
    start = int(token or 0)
    end = start + min(size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    return items[start:end], str(end) if end < len(items) else ""


_PUBLISHER, _SUBSCRIBER = "Publisher", "Subscriber"


def _rpc(
    service: str,
    name: str,
    resource: str,
    work: Callable[..., proto.Message | None],
    request: type[proto.Message] | None = None,
    response: type[proto.Message] | None = None,
) -> tuple[str, Rpc]:
    """A row; the types that aren't given have the method's name, and an empty response has none."""
    request = request or getattr(types, f"{name}Request")
    return name, Rpc(service, name, request, response or getattr(types, f"{name}Response", None), resource, work)


_TOPIC, _SUBSCRIPTION = types.Topic, types.Subscription

RPCS = dict(
    (
        _rpc(_PUBLISHER, "CreateTopic", "name", _create_topic, _TOPIC, _TOPIC),
        _rpc(_PUBLISHER, "UpdateTopic", "topic", _update_topic, response=_TOPIC),
        _rpc(_PUBLISHER, "GetTopic", "topic", _get_topic, response=_TOPIC),
        _rpc(_PUBLISHER, "ListTopics", "project", _list_topics),
        _rpc(_PUBLISHER, "ListTopicSubscriptions", "topic", _list_topic_subscriptions),
        _rpc(_PUBLISHER, "DeleteTopic", "topic", _delete_topic),
        _rpc(_PUBLISHER, "Publish", "topic", _publish),
        _rpc(_SUBSCRIBER, "CreateSubscription", "name", _create_subscription, _SUBSCRIPTION, _SUBSCRIPTION),
        _rpc(_SUBSCRIBER, "GetSubscription", "subscription", _get_subscription, response=_SUBSCRIPTION),
        _rpc(_SUBSCRIBER, "ListSubscriptions", "project", _list_subscriptions),
        _rpc(_SUBSCRIBER, "UpdateSubscription", "subscription", _update_subscription, response=_SUBSCRIPTION),
        _rpc(_SUBSCRIBER, "ModifyPushConfig", "subscription", _modify_push_config),
        _rpc(_SUBSCRIBER, "DeleteSubscription", "subscription", _delete_subscription),
        _rpc(_SUBSCRIBER, "Acknowledge", "subscription", _acknowledge),
        _rpc(_SUBSCRIBER, "ModifyAckDeadline", "subscription", _modify_ack_deadline),
        _rpc(_SUBSCRIBER, "Seek", "subscription", _seek),
        _rpc(_SUBSCRIBER, "Pull", "subscription", Service.pull),
    )
)
"""The methods with one answer, by name; StreamingPull is the only other one."""
