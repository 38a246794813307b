"""The pure state lends messages to whoever pulls, and takes them back in time."""

from __future__ import annotations

from datetime import datetime

from pubsub_world import (
    ENDPOINT,
    LETTERS,
    PULL,
    PULLING,
    T0,
    acknowledge,
    after,
    defer,
    having,
    publish,
    publish_all,
    pull,
    state_with,
)

from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.settings import RETENTION_DEFAULT_S

PUSH_FROM_NOW_ON = pb.ModifyPushConfigRequest(subscription=PULL, push_config={"push_endpoint": ENDPOINT})


def test_a_pulled_message_comes_again_after_its_ack_deadline() -> None:
    """The deadline is the subscription's, or the pull's own; it can be moved, and 0 gives the message back."""
    state = state_with(having(PULLING, dead_letter_policy=LETTERS))
    publish(state, T0)
    (first,) = pull(state, T0)
    assert pull(state, after(9)) == []
    defer(state, after(9), first, 20)
    assert pull(state, after(28)) == []

    (second,) = pull(state, after(29), deadline_s=60)
    assert second.delivery_attempt == 2
    assert state.next_event_at() == after(89)
    defer(state, after(30), second, 0)
    (third,) = pull(state, after(30))
    assert third.delivery_attempt == 3


def test_a_pulled_message_that_is_refused_waits_for_its_retry_policy() -> None:
    """Retry policies hold for pull too, on a missed deadline as on a refusal."""
    state = state_with(having(PULLING, retry_policy={}))
    publish(state, T0)
    pull(state, T0)
    assert state.advance(after(10)) == []
    assert state.next_event_at() == after(20)

    assert pull(state, after(19.9)) == []
    (second,) = pull(state, after(20))
    defer(state, after(20), second, 0)
    assert pull(state, after(39.9)) == []
    assert len(pull(state, after(40))) == 1


def test_a_late_acknowledgement_counts_until_the_message_is_sent_again() -> None:
    """After that the earlier attempt's id means nothing, and is no error."""
    state = state_with(PULLING)
    publish(state, T0)
    publish(state, T0)
    first, second = pull(state, T0)
    state.advance(after(10))
    defer(state, after(10), first, 60)
    acknowledge(state, after(11), first, first)

    (again,) = pull(state, after(12))
    assert again.message == second.message
    acknowledge(state, after(12), second)
    assert state.undelivered_count(PULL) == 1
    acknowledge(state, after(12), again)
    assert state.undelivered_count(PULL) == 0


def test_what_is_acknowledged_while_it_waits_or_is_ready_is_not_pushed() -> None:
    """A change of mind in between leaves no ghost: not in the queue, and not as an event."""
    state = state_with(having(PULLING, retry_policy={}))
    publish(state, T0)
    publish(state, T0)
    waiting, ready = pull(state, T0)
    defer(state, T0, waiting, 0)
    defer(state, T0, ready, 0)
    acknowledge(state, T0, waiting)
    assert state.next_event_at() == after(10)
    assert state.advance(after(10)) == []
    acknowledge(state, after(10), ready)
    assert state.next_event_at() is None

    state.modify_push_config(after(10), PUSH_FROM_NOW_ON)
    assert state.next_event_at() is None
    assert state.advance(after(11)) == []


def test_what_is_acknowledged_while_it_waits_is_not_made_ready() -> None:
    """Whoever drives the state need not ask for the next event first."""
    state = state_with(having(PULLING, retry_policy={}))
    publish(state, T0)
    (delivery,) = pull(state, T0)
    defer(state, T0, delivery, 0)
    acknowledge(state, T0, delivery)

    assert pull(state, after(10)) == []


def test_an_acknowledged_copy_that_is_ready_is_skipped_by_a_pull() -> None:
    """The queue of ready copies may hold one that is gone."""
    state = state_with(PULLING)
    publish(state, T0)
    publish(state, T0)
    first, second = pull(state, T0)
    assert state.advance(after(10)) == []
    assert state.advance(after(11)) == []
    acknowledge(state, after(11), first)

    (again,) = pull(state, after(11))
    assert again.message == second.message


def test_a_pull_subscription_becomes_a_push_subscription() -> None:
    """What waited is pushed once there is somewhere to push to."""
    state = state_with(PULLING)
    publish(state, T0)
    assert state.advance(T0) == []
    assert state.undelivered_count() == 0
    state.modify_push_config(T0, PUSH_FROM_NOW_ON)

    assert state.next_event_at() == T0
    (delivery,) = state.advance(T0)
    assert delivery.subscription.push_config.push_endpoint == ENDPOINT


def test_a_seek_goes_back_to_the_subscription_s_beginning_and_no_further() -> None:
    """What is still there comes once, in order; what came before it, or is past the retention, not at all."""
    publish(state := state_with(), T0)
    kept = having(PULLING, enable_message_ordering=True, retain_acked_messages=True, filter="attributes:kind")
    state.create_subscription(after(1), kept)
    for number in (1, 2, 3):
        wanted = {"data": b"%d" % number, "attributes": {"kind": "test"}, "ordering_key": "key"}
        publish_all(state, after(number), wanted, {"data": b"other"})

    def take(second: float) -> list[bytes]:
        pulled = pull(state, after(second))
        for one in pulled:
            acknowledge(state, after(second), one)
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
