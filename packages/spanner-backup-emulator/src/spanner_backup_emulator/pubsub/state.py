"""The state of an emulated Pub/Sub: it decides what is delivered where and when, and does nothing else.

It has no clock, no randomness and no connection: whoever drives it says what time it is, makes the push attempts that
`advance` returns, and reports how each ended to `delivered`. Time must not go back between two calls. Google's requests
are answered with Google's responses, in full or not at all: a refusal is an ApiError.

Each published message makes one copy per subscription of its topic, and a copy stays until it is acknowledged, past
the retention, or dead-lettered. Tests bend that with `duplicate_next`, `delay_next`, `restamp_next`, `reuse_id` and
`redeliver`, all within what at-least-once delivery without an order allows, or what people have seen.
"""

import itertools
import re
from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from spanner_backup_emulator.dispatch import NO_ANSWER
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import copied, set_time
from spanner_backup_emulator.pubsub import settings
from spanner_backup_emulator.pubsub.backlog import PUSH_BACKOFF_MAX, Backlog, Copy
from spanner_backup_emulator.pubsub.model import AT_ONCE, Delivery, Outcome, milliseconds, pb, published_at, timestamp

MESSAGE_ID_FIRST = 16_312_247_916_552_181  # Ids count up; the service's are as long, and say nothing about the order.
PUSH_CONCURRENCY = 16  # Attempts in flight per subscription: more than one function instance has threads.
HISTORY_COUNT_MAX = 10_000  # Messages per topic, and outcomes in all, that tests can look back on.

_ACK_ID = re.compile(r"\d{1,18}-\d{1,9}")


class State:
    """Topics, subscriptions, and the messages between them."""

    def __init__(
        self,
        message_id_first: int = MESSAGE_ID_FIRST,
        push_concurrency: int = PUSH_CONCURRENCY,
        push_backoff_max: timedelta = PUSH_BACKOFF_MAX,
    ) -> None:
        self._message_ids = itertools.count(message_id_first)
        self._copy_numbers = itertools.count(1)
        self._push_limits = push_concurrency, push_backoff_max
        self._topics: dict[str, pb.Topic] = {}
        self._backlogs: dict[str, Backlog] = {}
        self._published: dict[str, deque[pb.PubsubMessage]] = defaultdict(lambda: deque(maxlen=HISTORY_COUNT_MAX))
        self._plans: defaultdict[str, deque[tuple[timedelta, ...]]] = defaultdict(deque)
        self._restamped: dict[str, timedelta] = {}
        self._reused_ids: dict[str, str] = {}
        # How the latest push attempts ended, the oldest first.
        self.outcomes: deque[Outcome] = deque(maxlen=HISTORY_COUNT_MAX)

    def create_topic(self, _now: datetime, request: pb.Topic) -> pb.Topic:
        """Makes a topic."""
        settings.check_name(request.name, "topics")
        settings.check_supported(request)
        if request.name in self._topics:
            raise settings.taken(request.name)
        self._topics[request.name] = copied(request)
        return copied(request)

    def update_topic(self, _now: datetime, request: pb.UpdateTopicRequest) -> pb.Topic:
        """Changes the settings that the mask names."""
        name = request.topic.name
        changed: pb.Topic = settings.merged(self.topic(name), request.topic, request.update_mask)
        settings.check_supported(changed)
        self._topics[name] = changed
        return copied(changed)

    def delete_topic(self, _now: datetime, request: pb.DeleteTopicRequest) -> None:
        """Forgets a topic; its subscriptions stay."""
        self.topic(request.topic)
        for backlog in self._subscribed(request.topic):
            orphan = copied(backlog.subscription)
            orphan.topic = settings.DELETED_TOPIC
            backlog.settle(orphan)
        del self._topics[request.topic]

    def publish(self, now: datetime, request: pb.PublishRequest) -> pb.PublishResponse:
        """Publishes messages, all or none."""
        self.topic(request.topic)
        settings.check_publish(request)
        ids = [self._enqueue(now, request.topic, copied(message)) for message in request.messages]
        return pb.PublishResponse(message_ids=ids)

    def create_subscription(self, now: datetime, request: pb.Subscription) -> pb.Subscription:
        """Makes a subscription; it sees what is published from now on."""
        settings.check_name(request.name, "subscriptions")
        kept = self._settled(request)
        if request.name in self._backlogs:
            raise settings.taken(request.name)
        self.topic(request.topic)
        self._backlogs[request.name] = Backlog(kept, now, *self._push_limits)
        return copied(kept)

    def update_subscription(self, _now: datetime, request: pb.UpdateSubscriptionRequest) -> pb.Subscription:
        """Changes the settings that the mask names."""
        backlog = self._backlog(request.subscription.name)
        changed = settings.merged(backlog.subscription, request.subscription, request.update_mask)
        backlog.settle(self._settled(changed))
        return copied(backlog.subscription)

    def modify_push_config(self, _now: datetime, request: pb.ModifyPushConfigRequest) -> None:
        """Changes where a subscription pushes to; to nowhere, it is pulled from."""
        backlog = self._backlog(request.subscription)
        changed = copied(backlog.subscription)
        changed.push_config.CopyFrom(request.push_config)
        backlog.settle(self._settled(changed))

    def delete_subscription(self, _now: datetime, request: pb.DeleteSubscriptionRequest) -> None:
        """Forgets a subscription and what waits in it."""
        self._backlog(request.subscription)
        del self._backlogs[request.subscription]

    def pull(self, now: datetime, request: pb.PullRequest, ack_deadline_s: int = 0) -> pb.PullResponse:
        """Leases what is due; another ack deadline than 0 replaces the subscription's own."""
        backlog = self._backlog(request.subscription)
        if backlog.pushes:
            # Seen in https://github.com/GoogleCloudPlatform/php-docs-samples/issues/335.
            text = "This method is not supported for push subscriptions with a defined push configuration."
            raise ApiError(Code.FAILED_PRECONDITION, text)
        if request.max_messages < 1:
            # Observed on 2026-11-22 in Google's own emulator (0.8.20).
            raise settings.invalid("No max_messages specified")
        self._give_up_overdue(now, backlog)
        counts = backlog.subscription.HasField("dead_letter_policy")
        leased = backlog.lease(now, request.max_messages, ack_deadline_s)
        received = (
            {"ack_id": copy.ack_id, "message": copy.message, "delivery_attempt": copy.attempts if counts else 0}
            for copy in leased
        )
        return pb.PullResponse(received_messages=received)

    def acknowledge(self, _now: datetime, request: pb.AcknowledgeRequest) -> None:
        """Removes the copies; one whose deadline has passed too, unless it was sent again (inferred)."""
        backlog = self._backlog(request.subscription)
        for copy in _found(backlog, request.ack_ids):
            backlog.remove(copy)

    def modify_ack_deadline(self, now: datetime, request: pb.ModifyAckDeadlineRequest) -> None:
        """Gives deliveries that long from now on; 0 refuses them."""
        backlog = self._backlog(request.subscription)
        settings.check_seconds("ack_deadline_seconds", request.ack_deadline_seconds, 0, settings.ACK_DEADLINE_MAX_S)
        for copy in _found(backlog, request.ack_ids):
            if not copy.leased:
                continue
            if request.ack_deadline_seconds:
                backlog.extend(copy, now + timedelta(seconds=request.ack_deadline_seconds))
            else:
                self._refuse(now, backlog, copy)

    def seek(self, now: datetime, request: pb.SeekRequest) -> pb.SeekResponse:
        """Moves a subscription to a moment; of what was acknowledged, only a subscription that retains it has any.

        https://cloud.google.com/pubsub/docs/replay-overview (documented)
        """
        settings.check_supported(request)
        if not request.HasField("time"):
            # Observed on 2026-11-27 in Google's own emulator (0.8.20).
            text = "No target was specified in the SeekRequest. Must specify either a time or a snapshot"
            raise settings.invalid(text)
        backlog, moment = self._backlog(request.subscription), request.time.ToDatetime(UTC)
        left = backlog.seek(moment)
        subscription = backlog.subscription
        if subscription.retain_acked_messages:
            since = max(moment, backlog.since, now - backlog.retention)
            for message in self._published[subscription.topic]:
                if message.message_id not in left and published_at(message) >= since:
                    self._copy(message, now, [backlog])
        return pb.SeekResponse()

    def advance(self, now: datetime) -> list[Delivery]:
        """Gives up the deliveries whose ack deadline has passed, and leases what is to be pushed now.

        Each holds a place until `delivered`, or until its ack deadline.
        """
        for backlog in self._backlogs.values():
            self._give_up_overdue(now, backlog)
        return [delivery for backlog in self._backlogs.values() for delivery in backlog.push(now)]

    def delivered(self, now: datetime, delivery: Delivery, status: int) -> None:
        """Takes how a push ended, an HTTP status or `NO_ANSWER`; one that is past its ack deadline changes nothing."""
        backlog = self._backlogs.get(delivery.subscription.name)
        copy = backlog.find(delivery.ack_id) if backlog is not None else None
        if backlog is not None and copy is not None and copy.leased:
            self._end_push(now, backlog, copy, Outcome(delivery, status, now))

    def next_event_at(self) -> datetime | None:
        """When `advance` next has work to do: in the past if now, None if not before another request."""
        return min(filter(None, (backlog.next_event_at() for backlog in self._backlogs.values())), default=None)

    def topic(self, name: str) -> pb.Topic:
        """The topic of that name, not to be changed, or a refusal."""
        settings.check_name(name, "topics")
        if name not in self._topics:
            raise settings.missing(name)
        return self._topics[name]

    def topics(self, project: str) -> list[pb.Topic]:
        """The topics of `projects/P`, by name."""
        settings.check_name(project, None)
        return [topic for name, topic in sorted(self._topics.items()) if name.startswith(f"{project}/")]

    def subscription(self, name: str) -> pb.Subscription:
        """The settings of the subscription of that name, not to be changed, or a refusal."""
        return self._backlog(name).subscription

    def subscriptions(self, project: str) -> list[pb.Subscription]:
        """The subscriptions of `projects/P`, by name."""
        settings.check_name(project, None)
        return [kept.subscription for name, kept in sorted(self._backlogs.items()) if name.startswith(f"{project}/")]

    def subscriptions_of(self, topic: str) -> list[str]:
        """The names of a topic's subscriptions, sorted."""
        self.topic(topic)
        return sorted(backlog.subscription.name for backlog in self._subscribed(topic))

    def published(self, topic: str) -> list[pb.PubsubMessage]:
        """The latest messages of a topic, dead letters included, the oldest first; they are not to be changed."""
        return list(self._published.get(topic, ()))

    def undelivered_count(self, subscription: str | None = None) -> int:
        """How many copies one subscription, or else all that push, have yet to get acknowledged."""
        if subscription is not None:
            return len(self._backlog(subscription))
        return sum(len(backlog) for backlog in self._backlogs.values() if backlog.pushes)

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
        """Sends a message once more to each subscription of its topic; a KeyError if it isn't remembered."""
        for topic, messages in self._published.items():
            for message in messages:
                if message.message_id == message_id:
                    self._copy(message, now + after, self._subscribed(topic))
                    return
        raise KeyError(message_id)

    def _enqueue(self, now: datetime, topic: str, message: pb.PubsubMessage) -> str:
        """Publishes a message that is the state's own."""
        message.message_id = self._reused_ids.pop(topic, "") or str(next(self._message_ids))
        set_time(message.publish_time, milliseconds(now))
        self._published[topic].append(message)
        subscribed = self._subscribed(topic)
        for after in self._plans[topic].popleft() if self._plans[topic] else (AT_ONCE,):
            self._copy(message, now + after, subscribed)
        again_at = now + self._restamped.pop(topic, AT_ONCE)
        if again_at > now:
            again = copied(message)
            set_time(again.publish_time, milliseconds(again_at))
            self._copy(again, again_at, subscribed)
        return message.message_id

    def _subscribed(self, topic: str) -> list[Backlog]:
        return [backlog for backlog in self._backlogs.values() if backlog.subscription.topic == topic]

    def _copy(self, message: pb.PubsubMessage, due_at: datetime, backlogs: list[Backlog]) -> None:
        for backlog in backlogs:
            if backlog.matches(message.attributes):
                backlog.add(Copy(next(self._copy_numbers), message, due_at))

    def _give_up_overdue(self, now: datetime, backlog: Backlog) -> None:
        for copy in backlog.overdue(now):
            if backlog.pushes:
                self._end_push(now, backlog, copy, Outcome(backlog.delivery(copy), NO_ANSWER, now))
            else:
                self._refuse(now, backlog, copy)

    def _end_push(self, now: datetime, backlog: Backlog, copy: Copy, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        backlog.pushed(now, copy, acknowledged=outcome.acknowledged)
        if outcome.acknowledged:
            backlog.remove(copy)
        else:
            self._refuse(now, backlog, copy)

    def _refuse(self, now: datetime, backlog: Backlog, copy: Copy) -> None:
        """Lets a copy be tried again, or dead-letters it; without a dead letter topic it stays (inferred)."""
        subscription = backlog.subscription
        topic = subscription.dead_letter_policy.dead_letter_topic
        if topic in self._topics and copy.attempts >= subscription.dead_letter_policy.max_delivery_attempts:
            backlog.remove(copy)
            self._enqueue(now, topic, _dead_letter(subscription, copy))
        else:
            backlog.retry(now, copy)

    def _settled(self, given: pb.Subscription) -> pb.Subscription:
        kept = settings.subscription(given)
        if kept.HasField("dead_letter_policy"):
            self.topic(kept.dead_letter_policy.dead_letter_topic)
        return kept

    def _backlog(self, name: str) -> Backlog:
        settings.check_name(name, "subscriptions")
        if name not in self._backlogs:
            raise settings.missing(name)
        return self._backlogs[name]


def _found(backlog: Backlog, ack_ids: Iterable[str]) -> list[Copy]:
    """The copies that these ids still name; the texts of the refusals are inferred."""
    if not ack_ids:
        raise settings.invalid("No ack ids specified.")
    for ack_id in ack_ids:
        if _ACK_ID.fullmatch(ack_id) is None:
            raise settings.invalid(f"You have passed an invalid ack ID to the service (ack_id={ack_id}).")
    return [copy for ack_id in dict.fromkeys(ack_ids) if (copy := backlog.find(ack_id)) is not None]


def _dead_letter(subscription: pb.Subscription, copy: Copy) -> pb.PubsubMessage:
    """A message as it is forwarded: as it was, and with four attributes that say where it failed.

    Documented in https://cloud.google.com/pubsub/docs/handling-failures ; the form of the publish time was observed on
    2026-11-22 in Google's own emulator (0.8.20).
    """
    letter, (_, project, _, own) = copied(copy.message), subscription.name.split("/")
    letter.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = str(copy.attempts)
    letter.attributes["CloudPubSubDeadLetterSourceSubscription"] = own
    letter.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
    letter.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = timestamp(copy.message)
    return letter
