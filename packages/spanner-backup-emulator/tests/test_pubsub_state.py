"""The pure state pushes at least once, when it should, and says when it next has work to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from pubsub_world import (
    DEAD,
    LETTERS,
    PULL,
    PULLING,
    PUSH,
    PUSHING,
    T0,
    TOPIC,
    Briefly,
    after,
    having,
    publishing,
    retrying,
    state_with,
)

from spanner_backup_emulator.pubsub.backlog import PUSH_BACKOFF_MAX
from spanner_backup_emulator.pubsub.model import Delivery, pb, published_at, push_body
from spanner_backup_emulator.pubsub.state import HISTORY_COUNT_MAX, PUSH_CONCURRENCY


def test_a_published_message_is_pushed_until_a_success_status_ends_it() -> None:
    """One publish, one attempt, one acknowledgement, and nothing left."""
    state = state_with(PUSHING)
    message_id = state.publish_one(T0)
    assert state.next_event_at() == T0

    (delivery,) = state.advance(T0)
    assert state.advance(after(1)) == []
    assert state.next_event_at() == after(10)
    state.delivered(after(1), delivery, 204)

    assert delivery.message.message_id == message_id
    assert published_at(delivery.message) == datetime(2026, 11, 22, 12, 0, 0, 123_000, tzinfo=UTC)
    assert delivery.attempt == 1
    assert state.undelivered_count() == 0
    assert state.next_event_at() is None
    (outcome,) = state.outcomes
    assert outcome.acknowledged
    assert [message.data for message in state.published(TOPIC)] == [b"x"]


@pytest.mark.parametrize("status", [102, 200, 201, 202, 204])
def test_these_statuses_acknowledge(status: int) -> None:
    """Exactly the documented codes end a message."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    state.end(T0, status)

    assert state.undelivered_count(PUSH) == 0


@pytest.mark.parametrize("status", [0, 203, 302, 400, 404, 429, 500, 503])
def test_any_other_status_brings_the_message_again(status: int) -> None:
    """Everything else is a refusal, redirects and client errors included."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    state.end(T0, status)

    assert [delivery.attempt for delivery in state.advance(after(0.1))] == [2]
    assert not state.outcomes[0].acknowledged


def test_the_retry_policy_doubles_from_its_minimum_to_its_maximum() -> None:
    """Refusals at once are followed by 10, 20, 40, 60, 60 s."""
    state = state_with(having(PUSHING, retry_policy=retrying(10, 60)))
    state.publish_one(T0)

    now, waits = T0, []
    for _ in range(5):
        state.end(now, 500)
        due_at = state.next_event_at()
        assert due_at is not None
        assert state.advance(due_at - timedelta(milliseconds=1)) == []
        waits.append((due_at - now).total_seconds())
        now = due_at

    assert waits == [10, 20, 40, 60, 60]


def test_the_push_backoff_holds_back_every_message_of_the_subscription() -> None:
    """One refused message delays all: 100 ms, doubling, at most 60 s, from the start again after a success."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    now, waits = T0, []
    for _ in range(12):
        state.end(now, 503)
        due_at = state.next_event_at()
        assert due_at is not None
        waits.append((due_at - now).total_seconds())
        now = due_at
    state.publish_one(now - timedelta(milliseconds=1), b"another")
    assert state.advance(now - timedelta(milliseconds=1)) == []

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]
    first, second = state.advance(now)
    state.delivered(now, first, 200)
    state.delivered(now, second, 500)
    assert state.next_event_at() == now + timedelta(milliseconds=100)


def test_refusals_of_what_was_in_flight_lengthen_the_push_backoff_once() -> None:
    """A burst that meets a down endpoint is one reason to pause, not sixteen."""
    state = state_with(PUSHING)
    for _ in range(16):
        state.publish_one(T0)
    for delivery in state.advance(T0):
        state.delivered(after(1), delivery, 500)

    assert state.next_event_at() == after(1.1)
    assert state.advance(after(1.099)) == []
    assert len(state.advance(after(1.1))) == 16


def test_a_shorter_push_backoff_can_be_chosen() -> None:
    """Tests need not wait for the service's 60 s."""
    state = state_with(PUSHING, state=Briefly(push_backoff_max=timedelta(milliseconds=150)))
    state.publish_one(T0)
    state.end(T0, 500)
    state.end(after(1), 500)

    assert timedelta(seconds=60) == PUSH_BACKOFF_MAX
    assert state.advance(after(1.149)) == []
    assert len(state.advance(after(1.15))) == 1


def test_the_longer_of_both_delays_wins() -> None:
    """A retry policy of 50 ms does not beat a push backoff of 100 ms."""
    state = state_with(having(PUSHING, retry_policy=retrying(0.05, 60)))
    state.publish_one(T0)
    state.end(T0, 500)

    assert state.advance(after(0.05)) == []
    assert state.next_event_at() == after(0.1)


def test_many_messages_are_in_flight_at_once_and_never_more_than_the_bound() -> None:
    """The seventeenth waits for an outcome."""
    state = state_with(PUSHING)
    for _ in range(PUSH_CONCURRENCY + 1):
        state.publish_one(T0)

    in_flight = state.advance(T0)
    assert len(in_flight) == PUSH_CONCURRENCY
    assert state.next_event_at() == after(10)
    state.delivered(after(1), in_flight[3], 200)
    assert state.next_event_at() == T0
    assert len(state.advance(after(1))) == 1
    assert state.advance(after(1)) == []


def test_a_push_without_an_answer_is_refused_at_its_ack_deadline() -> None:
    """A lost outcome neither loses the message nor its place, and comes too late afterwards."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    (lost,) = state.advance(T0)
    assert state.advance(after(9.999)) == []

    assert state.advance(after(10)) == []
    assert [outcome.status for outcome in state.outcomes] == [0]
    state.delivered(after(10.05), lost, 200)
    assert state.undelivered_count() == 1
    (again,) = state.advance(after(10.1))
    state.delivered(after(10.2), lost, 200)
    assert state.undelivered_count() == 1
    state.delivered(after(10.2), again, 200)
    assert state.undelivered_count() == 0


def test_an_outcome_for_a_deleted_subscription_changes_nothing() -> None:
    """An attempt may outlive what it was for."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    (delivery,) = state.advance(T0)
    state.delete_subscription(T0, pb.DeleteSubscriptionRequest(subscription=PUSH))
    state.delivered(T0, delivery, 500)

    assert list(state.outcomes) == []
    assert state.advance(after(99)) == []


def test_after_its_last_attempt_a_message_moves_to_the_dead_letter_topic() -> None:
    """Five refusals, then one forwarded message that says where it comes from."""
    state = state_with(having(PUSHING, dead_letter_policy=LETTERS), pb.Subscription(name=PULL, topic=DEAD))
    message_id = state.publish_one(T0, b"poison")
    attempts = []
    for minute in range(5):
        (delivery,) = state.advance(after(60 * minute))
        attempts.append(json.loads(push_body(delivery))["deliveryAttempt"])
        state.delivered(after(60 * minute), delivery, 500)

    assert attempts == [1, 2, 3, 4, 5]
    assert state.undelivered_count(PUSH) == 0
    (dead,) = state.take(after(300))
    assert dead.message.message_id != message_id
    assert dead.message.data == b"poison"
    assert published_at(dead.message) == after(240).replace(microsecond=123_000)
    assert dead.message.attributes == {
        "kind": "test",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "push",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": "2026-11-22T12:00:00.123Z",
    }


def test_without_its_dead_letter_topic_a_message_stays() -> None:
    """A message is never dropped for want of a place to put it."""
    state = state_with(having(PUSHING, dead_letter_policy=LETTERS))
    state.publish_one(T0)
    state.delete_topic(T0, pb.DeleteTopicRequest(topic=DEAD))
    for minute in range(6):
        (delivery,) = state.advance(after(60 * minute))
        state.delivered(after(60 * minute), delivery, 500)

    assert delivery.attempt == 6
    assert state.undelivered_count() == 1


def test_the_push_body_has_the_fields_that_the_service_sends() -> None:
    """Both spellings of id and time are there, empty fields are not, and no attempt without a dead letter policy."""
    state = state_with(PUSHING)
    attributes = {"a": "b"}
    most = {"data": b"\x00\xff", "attributes": attributes, "ordering_key": "key"}
    state.publish(T0, publishing(most, {"attributes": attributes}, {"data": b"x"}))
    full, no_data, no_attributes = (json.loads(push_body(delivery)) for delivery in state.advance(T0))

    assert full == {
        "message": {
            "attributes": {"a": "b"},
            "data": "AP8=",
            "messageId": "16312247916552181",
            "message_id": "16312247916552181",
            "orderingKey": "key",
            "publishTime": "2026-11-22T12:00:00.123Z",
            "publish_time": "2026-11-22T12:00:00.123Z",
        },
        "subscription": PUSH,
    }
    assert "data" not in no_data["message"]
    assert "attributes" not in no_attributes["message"]


def test_message_ids_count_up_from_a_chosen_start() -> None:
    """The same run gives the same ids."""
    state = state_with(state=Briefly(message_id_first=7))

    assert [state.publish_one(T0), state.publish_one(T0)] == ["7", "8"]


def test_a_doubled_message_arrives_twice_with_one_id() -> None:
    """The second copy is due when the test says so, and only the chosen number of messages is doubled."""
    state = state_with(PUSHING)
    state.duplicate_next(TOPIC, 1, after=timedelta(seconds=5))
    doubled, single = state.publish_one(T0), state.publish_one(T0)

    first = state.advance(T0)
    assert [delivery.message.message_id for delivery in first] == [doubled, single]
    for delivery in first:
        state.delivered(T0, delivery, 200)
    assert state.next_event_at() == after(5)
    (second,) = state.advance(after(5))
    assert (second.message.message_id, second.attempt) == (doubled, 1)


def test_a_delayed_message_is_overtaken() -> None:
    """Pub/Sub promises no order."""
    state = state_with(PUSHING)
    state.delay_next(TOPIC, after=timedelta(seconds=5))
    late, prompt = state.publish_one(T0), state.publish_one(T0)

    assert [delivery.message.message_id for delivery in state.advance(T0)] == [prompt]
    assert [delivery.message.message_id for delivery in state.advance(after(5))] == [late]


def test_a_message_that_is_stamped_again_has_one_id_and_two_publish_times() -> None:
    """The second copy is due when the test says so, and that is its publish time, cut to milliseconds."""
    state = state_with(PUSHING)
    state.restamp_next(TOPIC, timedelta(seconds=5, microseconds=2900))
    state.publish_one(T0)

    (first,) = state.advance(T0)
    state.delivered(T0, first, 200)
    (second,) = state.advance(after(6))
    assert second.message.message_id == first.message.message_id
    assert published_at(first.message) == T0.replace(microsecond=123_000)
    assert published_at(second.message) == after(5).replace(microsecond=126_000)


def test_an_id_can_be_used_in_a_second_topic() -> None:
    """Ids are unique within a topic only; the next one is the topic's own again."""
    state = state_with(PUSHING)
    first = state.publish_one(T0)
    state.reuse_id(DEAD, first)

    second, third = state.publish_one(T0, topic=DEAD), state.publish_one(T0, topic=DEAD)
    assert (second == first, third == first) == (True, False)


def test_an_acknowledged_message_can_be_delivered_again() -> None:
    """At least once means that an acknowledgement is no promise."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    message_id = state.publish_one(T0)
    for delivery in state.advance(T0):
        state.delivered(T0, delivery, 200)
    state.redeliver(after(1), message_id, timedelta(seconds=2))

    assert state.advance(after(2.9)) == []
    assert [delivery.message.message_id for delivery in state.advance(after(3))] == [message_id]
    with pytest.raises(KeyError):
        state.redeliver(T0, "1")


def test_a_message_past_the_retention_is_dropped() -> None:
    """Nothing waits for ever."""
    state = state_with(having(PULLING, message_retention_duration={"seconds": 600}))
    state.publish_one(T0)
    kept = state.publish_one(after(1))

    assert [delivery.message.message_id for delivery in state.take(after(600))] == [kept]
    assert state.undelivered_count(PULL) == 1


def test_each_subscription_gets_its_own_copy_of_what_comes_after_it() -> None:
    """A subscription sees nothing of what was published before it, nor of other topics."""
    state = state_with(PULLING)
    state.publish_one(T0)
    later, elsewhere = "projects/p/subscriptions/later", "projects/p/subscriptions/elsewhere"
    state.create_subscription(T0, pb.Subscription(name=later, topic=TOPIC))
    state.create_subscription(T0, pb.Subscription(name=elsewhere, topic=DEAD))

    assert len(state.take(T0)) == 1
    assert state.take(T0, later) == []
    assert state.take(T0, elsewhere) == []


def test_every_message_is_delivered_whatever_is_refused_lost_or_doubled() -> None:
    """A thousand messages, every third attempt refused and every seventh lost, end acknowledged in bounded time."""
    pushing = having(PUSHING, retry_policy=retrying(0.01, 1))
    state = state_with(pushing, state=Briefly(push_backoff_max=timedelta(seconds=1)))
    state.duplicate_next(TOPIC, 100)
    ids = {state.publish_one(T0, str(i).encode()) for i in range(1_000)}
    done: set[str] = set()
    count = 0

    while (now := state.next_event_at()) is not None:
        now = max(now, T0)
        assert now < T0 + timedelta(hours=2)
        deliveries: list[Delivery] = state.advance(now)
        assert len(deliveries) <= PUSH_CONCURRENCY
        for delivery in deliveries:
            count += 1
            if count % 7:
                state.delivered(now, delivery, 500 if count % 3 == 0 else 200)
                if count % 3:
                    done.add(delivery.message.message_id)

    assert done == ids
    assert state.undelivered_count() == 0


def test_the_history_is_bounded() -> None:
    """A long run keeps the latest messages, not all."""
    state = state_with()
    for number in range(HISTORY_COUNT_MAX // 1_000 + 1):
        state.publish(after(number), publishing(*[{"data": b"x"}] * 1_000))

    kept = state.published(TOPIC)
    assert len(kept) == HISTORY_COUNT_MAX
    assert published_at(kept[0]) == after(1).replace(microsecond=123_000)
