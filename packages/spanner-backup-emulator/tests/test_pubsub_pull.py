"""The pure state lends messages to whoever pulls, and takes them back in time."""

from __future__ import annotations

from datetime import datetime

from pubsub_world import ENDPOINT, LETTERS, PULL, PULLING, T0, after, having, publishing, state_with

from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.settings import RETENTION_DEFAULT_S

PUSH_FROM_NOW_ON = pb.ModifyPushConfigRequest(subscription=PULL, push_config={"push_endpoint": ENDPOINT})


def test_a_pulled_message_comes_again_after_its_ack_deadline() -> None:
    """The deadline is the subscription's, or the pull's own; it can be moved, and 0 gives the message back."""
    state = state_with(having(PULLING, dead_letter_policy=LETTERS))
    state.publish_one(T0)
    (first,) = state.take(T0)
    assert state.take(after(9)) == []
    state.defer(after(9), first, 20)
    assert state.take(after(28)) == []

    (second,) = state.take(after(29), deadline_s=60)
    assert second.delivery_attempt == 2
    assert state.next_event_at() == after(89)
    state.defer(after(30), second, 0)
    (third,) = state.take(after(30))
    assert third.delivery_attempt == 3


def test_a_pulled_message_that_is_refused_waits_for_its_retry_policy() -> None:
    """Retry policies hold for pull too, on a missed deadline as on a refusal."""
    state = state_with(having(PULLING, retry_policy={}))
    state.publish_one(T0)
    state.take(T0)
    assert state.advance(after(10)) == []
    assert state.next_event_at() == after(20)

    assert state.take(after(19.9)) == []
    (second,) = state.take(after(20))
    state.defer(after(20), second, 0)
    assert state.take(after(39.9)) == []
    assert len(state.take(after(40))) == 1


def test_a_late_acknowledgement_counts_until_the_message_is_sent_again() -> None:
    """After that the earlier attempt's id means nothing, and is no error."""
    state = state_with(PULLING)
    state.publish_one(T0)
    state.publish_one(T0)
    first, second = state.take(T0)
    state.advance(after(10))
    state.defer(after(10), first, 60)
    state.settle(after(11), first, first)

    (again,) = state.take(after(12))
    assert again.message == second.message
    state.settle(after(12), second)
    assert state.undelivered_count(PULL) == 1
    state.settle(after(12), again)
    assert state.undelivered_count(PULL) == 0


def test_what_is_acknowledged_while_it_waits_or_is_ready_is_not_pushed() -> None:
    """A change of mind in between leaves no ghost: not in the queue, and not as an event."""
    state = state_with(having(PULLING, retry_policy={}))
    state.publish_one(T0)
    state.publish_one(T0)
    waiting, ready = state.take(T0)
    state.defer(T0, waiting, 0)
    state.defer(T0, ready, 0)
    state.settle(T0, waiting)
    assert state.next_event_at() == after(10)
    assert state.advance(after(10)) == []
    state.settle(after(10), ready)
    assert state.next_event_at() is None

    state.modify_push_config(after(10), PUSH_FROM_NOW_ON)
    assert state.next_event_at() is None
    assert state.advance(after(11)) == []


def test_what_is_acknowledged_while_it_waits_is_not_made_ready() -> None:
    """Whoever drives the state need not ask for the next event first."""
    state = state_with(having(PULLING, retry_policy={}))
    state.publish_one(T0)
    (delivery,) = state.take(T0)
    state.defer(T0, delivery, 0)
    state.settle(T0, delivery)

    assert state.take(after(10)) == []


def test_an_acknowledged_copy_that_is_ready_is_skipped_by_a_pull() -> None:
    """The queue of ready copies may hold one that is gone."""
    state = state_with(PULLING)
    state.publish_one(T0)
    state.publish_one(T0)
    first, second = state.take(T0)
    assert state.advance(after(10)) == []
    assert state.advance(after(11)) == []
    state.settle(after(11), first)

    (again,) = state.take(after(11))
    assert again.message == second.message


def test_a_pull_subscription_becomes_a_push_subscription() -> None:
    """What waited is pushed once there is somewhere to push to."""
    state = state_with(PULLING)
    state.publish_one(T0)
    assert state.advance(T0) == []
    assert state.undelivered_count() == 0
    state.modify_push_config(T0, PUSH_FROM_NOW_ON)

    assert state.next_event_at() == T0
    (delivery,) = state.advance(T0)
    assert delivery.subscription.push_config.push_endpoint == ENDPOINT


def test_a_seek_goes_back_to_the_subscription_s_beginning_and_no_further() -> None:
    """What is still there comes once, in order; what came before it, or is past the retention, not at all."""
    state = state_with()
    state.publish_one(T0)
    kept = having(PULLING, enable_message_ordering=True, retain_acked_messages=True, filter="attributes:kind")
    state.create_subscription(after(1), kept)
    for number in (1, 2, 3):
        wanted = {"data": b"%d" % number, "attributes": {"kind": "test"}, "ordering_key": "key"}
        state.publish(after(number), publishing(wanted, {"data": b"other"}))

    def take(second: float) -> list[bytes]:
        pulled = state.take(after(second))
        for one in pulled:
            state.settle(after(second), one)
        return [one.message.data for one in pulled]

    def seek(second: float, to: datetime) -> None:
        state.seek(after(second), pb.SeekRequest(subscription=PULL, time=to))

    assert take(4) == [b"1"]
    seek(5, after(2.5))
    assert [take(5), take(5)] == [[b"3"], []]
    seek(6, T0)
    assert [take(6) for _ in range(4)] == [[b"1"], [b"2"], [b"3"], []]
    seek(late := RETENTION_DEFAULT_S + 2.5, T0)
    assert take(late) == [b"3"]
