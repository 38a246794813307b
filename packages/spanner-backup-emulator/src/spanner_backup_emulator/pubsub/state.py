"""The state of an emulated Pub/Sub: it decides what is delivered where and when, and does nothing else.

It has no clock, no randomness and no connection: whoever drives it says what time it is, makes the push attempts that
`advance` returns, and reports how each ended to `delivered`. Time must not go back between two calls.

Each published message makes one copy per subscription of its topic, and a copy stays until it is acknowledged, past
the retention, or dead-lettered. Tests bend that with `duplicate_next`, `delay_next`, `restamp_next`, `reuse_id` and
`redeliver`, all within what at-least-once delivery without an order allows, or what people have seen.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never, overload

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub import limits, names
from spanner_backup_emulator.pubsub.backlog import PUSH_BACKOFF_MAX, Backlog, Copy
from spanner_backup_emulator.pubsub.model import (
    AT_ONCE,
    NO_ANSWER,
    PUSH_SUCCESS,
    Acknowledge,
    CreateSubscription,
    CreateTopic,
    DeleteSubscription,
    DeleteTopic,
    Delivery,
    Draft,
    Message,
    ModifyAckDeadline,
    Outcome,
    Publish,
    Pull,
    Request,
    Seek,
    Subscription,
    Topic,
    UpdateSubscription,
    UpdateTopic,
    timestamp,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

MESSAGE_ID_FIRST = 16_312_247_916_552_181
"""Message ids count up from here; the service's are about as long, and say nothing about the order."""

PUSH_CONCURRENCY = 16
"""Push attempts in flight per subscription: more than one function instance has threads."""

HISTORY_COUNT_MAX = 10_000
"""Messages per topic, and outcomes in all, that tests can look back on."""

_ACK_ID = re.compile(r"\d{1,18}-\d{1,9}")


class State:
    """Topics, subscriptions, and the messages between them.

    Attributes:
        outcomes: How the latest push attempts ended, the oldest first.
    """

    def __init__(
        self,
        message_id_first: int = MESSAGE_ID_FIRST,
        push_concurrency: int = PUSH_CONCURRENCY,
        push_backoff_max: timedelta = PUSH_BACKOFF_MAX,
    ) -> None:
        self._message_ids = itertools.count(message_id_first)
        self._copy_numbers = itertools.count(1)
        self._push_concurrency = push_concurrency
        self._push_backoff_max = push_backoff_max
        self._topics: dict[str, Topic] = {}
        self._backlogs: dict[str, Backlog] = {}
        self._published: defaultdict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=HISTORY_COUNT_MAX))
        self._plans: defaultdict[str, deque[tuple[timedelta, ...]]] = defaultdict(deque)
        self._restamped: dict[str, timedelta] = {}
        self._reused_ids: dict[str, str] = {}
        self.outcomes: deque[Outcome] = deque(maxlen=HISTORY_COUNT_MAX)

    @overload
    def apply(self, now: datetime, request: Publish) -> tuple[str, ...]: ...
    @overload
    def apply(self, now: datetime, request: Pull) -> tuple[Delivery, ...]: ...
    @overload
    def apply(self, now: datetime, request: Request) -> tuple[str, ...] | tuple[Delivery, ...] | None: ...
    def apply(  # noqa: C901 one case for each kind of request
        self, now: datetime, request: Request
    ) -> tuple[str, ...] | tuple[Delivery, ...] | None:
        """Does what is asked, in full or not at all.

        Returns:
            The message ids of a publish, the deliveries of a pull, else None.

        Raises:
            ApiError: The refusal.
        """
        match request:
            case Publish():
                return self._publish(now, request)
            case Pull():
                return self._pull(now, request)
            case Acknowledge(subscription, ack_ids):
                self._acknowledge(subscription, ack_ids)
            case ModifyAckDeadline():
                self._modify_ack_deadline(now, request)
            case CreateTopic() | UpdateTopic():
                self._put_topic(request)
            case DeleteTopic(name):
                self._delete_topic(name)
            case CreateSubscription(subscription):
                self._create_subscription(now, subscription)
            case UpdateSubscription(subscription):
                self._update_subscription(subscription)
            case DeleteSubscription(name):
                self._backlog(name)
                del self._backlogs[name]
            case Seek(subscription, moment):
                self._seek(now, self._backlog(subscription), moment)
            case _:
                assert_never(request)
        return None

    def advance(self, now: datetime) -> list[Delivery]:
        """Gives up the deliveries whose ack deadline has passed, and leases what is to be pushed now.

        Returns:
            The push attempts to make; each holds a place until `delivered`, or until its ack deadline.
        """
        for backlog in self._backlogs.values():
            self._give_up_overdue(now, backlog)
        return [delivery for backlog in self._backlogs.values() for delivery in backlog.push(now)]

    def delivered(self, now: datetime, delivery: Delivery, status: int) -> None:
        """Takes the outcome of a push attempt; one that comes after its ack deadline changes nothing.

        Args:
            now: When it ended.
            delivery: The attempt, from `advance`.
            status: The HTTP status, or `NO_ANSWER`.
        """
        backlog = self._backlogs.get(delivery.subscription)
        copy = backlog.find(delivery.ack_id) if backlog is not None else None
        if backlog is None or copy is None or copy.deadline is None:
            return
        acknowledged = status in PUSH_SUCCESS
        self.outcomes.append(Outcome(delivery, status, now))
        backlog.pushed(now, copy, acknowledged=acknowledged)
        if acknowledged:
            backlog.remove(copy)
        else:
            self._refuse(now, backlog, copy)

    def next_event_at(self) -> datetime | None:
        """When `advance` next has work to do: in the past if now, None if not before another request."""
        moments = (backlog.next_event_at() for backlog in self._backlogs.values())
        return min((moment for moment in moments if moment is not None), default=None)

    def topic(self, name: str) -> Topic:
        """The topic of that name, or a refusal."""
        names.check(name, "topics")
        if name not in self._topics:
            raise names.missing(name)
        return self._topics[name]

    def topics(self, project: str) -> list[Topic]:
        """The topics of `projects/P`, by name."""
        names.check_project(project)
        return [topic for name, topic in sorted(self._topics.items()) if name.startswith(f"{project}/")]

    def subscription(self, name: str) -> Subscription:
        """The settings of the subscription of that name, or a refusal."""
        return self._backlog(name).subscription

    def subscriptions(self, project: str) -> list[Subscription]:
        """The subscriptions of `projects/P`, by name."""
        names.check_project(project)
        return [kept.subscription for name, kept in sorted(self._backlogs.items()) if name.startswith(f"{project}/")]

    def subscriptions_of(self, topic: str) -> list[str]:
        """The names of a topic's subscriptions, sorted."""
        self.topic(topic)
        return sorted(name for name, kept in self._backlogs.items() if kept.subscription.topic == topic)

    def published(self, topic: str) -> list[Message]:
        """The latest messages that were published to a topic, dead letters included, the oldest first."""
        return list(self._published.get(topic, ()))

    def undelivered_count(self, subscription: str | None = None) -> int:
        """How many copies one subscription, or else all that push, have yet to get acknowledged."""
        if subscription is not None:
            return len(self._backlog(subscription))
        return sum(len(backlog) for backlog in self._backlogs.values() if backlog.subscription.push_endpoint)

    def duplicate_next(self, topic: str, count: int = 1, after: timedelta = AT_ONCE) -> None:
        """Makes each of the next `count` messages of a topic arrive twice, the second copy due `after` the first."""
        self._plans[topic].extend([(AT_ONCE, after)] * count)

    def delay_next(self, topic: str, count: int = 1, *, after: timedelta) -> None:
        """Makes each of the next `count` messages of a topic arrive late."""
        self._plans[topic].extend([(after,)] * count)

    def restamp_next(self, topic: str, after: timedelta) -> None:
        """Makes the next message of a topic arrive once more `after` the first, with that moment as its publish time.

        Seen in https://github.com/googleapis/google-cloud-go/issues/1174.
        """
        self._restamped[topic] = after

    def reuse_id(self, topic: str, message_id: str) -> None:
        """Gives the next message of a topic an id that a message of another topic has.

        Ids are unique within a topic only (documented).
        https://cloud.google.com/pubsub/docs/reference/rest/v1/PubsubMessage
        """
        self._reused_ids[topic] = message_id

    def redeliver(self, now: datetime, message_id: str, after: timedelta = AT_ONCE) -> None:
        """Sends a message that was published before once more to each subscription of its topic.

        Raises:
            KeyError: No such message is remembered.
        """
        for topic, messages in self._published.items():
            for message in messages:
                if message.message_id == message_id:
                    self._copy(topic, message, now + after)
                    return
        raise KeyError(message_id)

    def _publish(self, now: datetime, request: Publish) -> tuple[str, ...]:
        self.topic(request.topic)
        limits.check_publish(request)
        return tuple(self._enqueue(now, request.topic, draft) for draft in request.messages)

    def _enqueue(self, now: datetime, topic: str, draft: Draft) -> str:
        message_id = self._reused_ids.pop(topic, "") or str(next(self._message_ids))
        message = Message(message_id, _cut(now), draft.data, dict(draft.attributes), draft.ordering_key)
        self._published[topic].append(message)
        for after in self._plans[topic].popleft() if self._plans[topic] else (AT_ONCE,):
            self._copy(topic, message, now + after)
        again_at = now + self._restamped.pop(topic, AT_ONCE)
        if again_at > now:
            self._copy(topic, replace(message, publish_time=_cut(again_at)), again_at)
        return message_id

    def _copy(self, topic: str, message: Message, due_at: datetime) -> None:
        for backlog in self._backlogs.values():
            if backlog.subscription.topic == topic and backlog.matches(message.attributes):
                backlog.add(Copy(next(self._copy_numbers), message, due_at))

    def _pull(self, now: datetime, request: Pull) -> tuple[Delivery, ...]:
        backlog = self._backlog(request.subscription)
        if backlog.subscription.push_endpoint:
            # Seen in https://github.com/GoogleCloudPlatform/php-docs-samples/issues/335.
            raise ApiError(
                Code.FAILED_PRECONDITION,
                "This method is not supported for push subscriptions with a defined push configuration.",
            )
        if request.max_messages < 1:
            # Observed on 2026-11-22 in Google's own emulator (0.8.20).
            raise ApiError(Code.INVALID_ARGUMENT, "No max_messages specified")
        self._give_up_overdue(now, backlog)
        ack_deadline = request.ack_deadline or backlog.subscription.ack_deadline
        return tuple(backlog.lease(now, request.max_messages, ack_deadline))

    def _acknowledge(self, subscription: str, ack_ids: tuple[str, ...]) -> None:
        """Removes the copies; one whose deadline has passed too, unless it was sent again (inferred)."""
        backlog = self._backlog(subscription)
        for copy in self._found(backlog, ack_ids):
            backlog.remove(copy)

    def _modify_ack_deadline(self, now: datetime, request: ModifyAckDeadline) -> None:
        backlog = self._backlog(request.subscription)
        limits.check_lease(request.ack_deadline)
        for copy in self._found(backlog, request.ack_ids):
            if copy.deadline is None:
                continue
            if request.ack_deadline:
                backlog.extend(copy, now + request.ack_deadline)
            else:
                self._refuse(now, backlog, copy)

    def _found(self, backlog: Backlog, ack_ids: tuple[str, ...]) -> list[Copy]:
        """The copies that these ids still name; the texts of the refusals are inferred."""
        if not ack_ids:
            raise ApiError(Code.INVALID_ARGUMENT, "No ack ids specified.")
        for ack_id in ack_ids:
            if _ACK_ID.fullmatch(ack_id) is None:
                raise ApiError(
                    Code.INVALID_ARGUMENT, f"You have passed an invalid ack ID to the service (ack_id={ack_id})."
                )
        return [copy for ack_id in dict.fromkeys(ack_ids) if (copy := backlog.find(ack_id)) is not None]

    def _give_up_overdue(self, now: datetime, backlog: Backlog) -> None:
        for copy in backlog.overdue(now):
            if backlog.subscription.push_endpoint:
                self.outcomes.append(Outcome(backlog.delivery(copy), NO_ANSWER, now))
                backlog.pushed(now, copy, acknowledged=False)
            self._refuse(now, backlog, copy)

    def _refuse(self, now: datetime, backlog: Backlog, copy: Copy) -> None:
        """Lets a copy be tried again, or dead-letters it; without a dead letter topic it stays (inferred)."""
        policy = backlog.subscription.dead_letter_policy
        if policy is None or copy.attempts < policy.max_delivery_attempts or policy.topic not in self._topics:
            backlog.retry(now, copy)
            return
        backlog.remove(copy)
        self._enqueue(now, policy.topic, _dead_letter(backlog.subscription, copy))

    def _seek(self, now: datetime, backlog: Backlog, moment: datetime) -> None:
        """Moves a subscription to a moment; of what was acknowledged, only a subscription that retains it has any.

        https://cloud.google.com/pubsub/docs/replay-overview (documented)
        """
        left = backlog.seek(moment)
        if not backlog.subscription.retains_acked:
            return
        since = max(moment, backlog.since, now - backlog.subscription.retention)
        for message in self._published[backlog.subscription.topic]:
            if message.publish_time >= since and message.message_id not in left and backlog.matches(message.attributes):
                backlog.add(Copy(next(self._copy_numbers), message, now))

    def _put_topic(self, request: CreateTopic | UpdateTopic) -> None:
        topic = request.topic
        if isinstance(request, UpdateTopic):
            self.topic(topic.name)
        names.check(topic.name, "topics")
        if isinstance(request, CreateTopic) and topic.name in self._topics:
            raise names.taken(topic.name)
        self._topics[topic.name] = topic

    def _delete_topic(self, name: str) -> None:
        for subscription in self.subscriptions_of(name):
            backlog = self._backlogs[subscription]
            backlog.subscription = replace(backlog.subscription, topic=names.DELETED_TOPIC)
        del self._topics[name]

    def _create_subscription(self, now: datetime, subscription: Subscription) -> None:
        names.check(subscription.name, "subscriptions")
        self.topic(subscription.topic)
        if subscription.name in self._backlogs:
            raise names.taken(subscription.name)
        self._check_settings(subscription)
        backlog = Backlog(subscription, self._push_concurrency, self._push_backoff_max, _cut(now))
        self._backlogs[subscription.name] = backlog

    def _update_subscription(self, subscription: Subscription) -> None:
        backlog = self._backlog(subscription.name)
        self._check_settings(subscription)
        backlog.subscription = replace(subscription, topic=backlog.subscription.topic)

    def _check_settings(self, subscription: Subscription) -> None:
        limits.check_subscription(subscription)
        if subscription.dead_letter_policy is not None:
            self.topic(subscription.dead_letter_policy.topic)

    def _backlog(self, name: str) -> Backlog:
        names.check(name, "subscriptions")
        if name not in self._backlogs:
            raise names.missing(name)
        return self._backlogs[name]


def _cut(moment: datetime) -> datetime:
    """A publish time as the service keeps it: in milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)


def _dead_letter(subscription: Subscription, copy: Copy) -> Draft:
    """A message as it is forwarded: its own attributes, and four that say where it failed.

    Documented in https://cloud.google.com/pubsub/docs/handling-failures ; the form of the publish time was observed on
    2026-11-22 in Google's own emulator (0.8.20).
    """
    project, own = names.split(subscription.name)
    message = copy.message
    source = {
        "CloudPubSubDeadLetterSourceDeliveryCount": str(copy.attempts),
        "CloudPubSubDeadLetterSourceSubscription": own,
        "CloudPubSubDeadLetterSourceSubscriptionProject": project,
        "CloudPubSubDeadLetterSourceTopicPublishTime": timestamp(message.publish_time),
    }
    return Draft(message.data, {**message.attributes, **source}, message.ordering_key)
