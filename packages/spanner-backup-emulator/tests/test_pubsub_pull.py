"""The pure state lends messages to whoever pulls, and takes them back in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pubsub_world import ENDPOINT, PULL, PULLING, T0, TOPIC, after, publish, state_with

from spanner_backup_emulator.pubsub.model import (
    Acknowledge,
    CreateSubscription,
    Draft,
    ModifyAckDeadline,
    Publish,
    Pull,
    RetryPolicy,
    Seek,
    UpdateSubscription,
)


def test_a_pulled_message_comes_again_after_its_ack_deadline() -> None:
    """The deadline is the subscription's, or the pull's own; it can be moved, and 0 gives the message back."""
    state = state_with(PULLING)
    publish(state, T0)
    (first,) = state.apply(T0, Pull(PULL, 1))
    assert state.apply(after(9), Pull(PULL, 1)) == ()
    state.apply(after(9), ModifyAckDeadline(PULL, (first.ack_id,), timedelta(seconds=20)))
    assert state.apply(after(28), Pull(PULL, 1)) == ()

    (second,) = state.apply(after(29), Pull(PULL, 1, timedelta(seconds=60)))
    assert second.attempt == 2
    assert state.next_event_at() == after(89)
    state.apply(after(30), ModifyAckDeadline(PULL, (second.ack_id,), timedelta(0)))
    (third,) = state.apply(after(30), Pull(PULL, 1))
    assert third.attempt == 3


def test_a_pulled_message_that_is_refused_waits_for_its_retry_policy() -> None:
    """Retry policies hold for pull too, on a missed deadline as on a refusal."""
    state = state_with(replace(PULLING, retry_policy=RetryPolicy()))
    publish(state, T0)
    state.apply(T0, Pull(PULL, 1))
    assert state.advance(after(10)) == []
    assert state.next_event_at() == after(20)

    assert state.apply(after(19.9), Pull(PULL, 1)) == ()
    (second,) = state.apply(after(20), Pull(PULL, 1))
    state.apply(after(20), ModifyAckDeadline(PULL, (second.ack_id,), timedelta(0)))
    assert state.apply(after(39.9), Pull(PULL, 1)) == ()
    assert len(state.apply(after(40), Pull(PULL, 1))) == 1


def test_a_late_acknowledgement_counts_until_the_message_is_sent_again() -> None:
    """After that the earlier attempt's id means nothing, and is no error."""
    state = state_with(PULLING)
    publish(state, T0)
    publish(state, T0)
    first, second = state.apply(T0, Pull(PULL, 2))
    state.advance(after(10))
    state.apply(after(10), ModifyAckDeadline(PULL, (first.ack_id,), timedelta(seconds=60)))
    state.apply(after(11), Acknowledge(PULL, (first.ack_id, first.ack_id)))

    (again,) = state.apply(after(12), Pull(PULL, 9))
    assert again.message == second.message
    state.apply(after(12), Acknowledge(PULL, (second.ack_id,)))
    assert state.undelivered_count(PULL) == 1
    state.apply(after(12), Acknowledge(PULL, (again.ack_id,)))
    assert state.undelivered_count(PULL) == 0


def test_what_is_acknowledged_while_it_waits_or_is_ready_is_not_pushed() -> None:
    """A change of mind in between leaves no ghost: not in the queue, and not as an event."""
    state = state_with(replace(PULLING, retry_policy=RetryPolicy()))
    publish(state, T0)
    publish(state, T0)
    waiting, ready = state.apply(T0, Pull(PULL, 2))
    state.apply(T0, ModifyAckDeadline(PULL, (waiting.ack_id,), timedelta(0)))
    state.apply(T0, ModifyAckDeadline(PULL, (ready.ack_id,), timedelta(0)))
    state.apply(T0, Acknowledge(PULL, (waiting.ack_id,)))
    assert state.next_event_at() == after(10)
    assert state.advance(after(10)) == []
    state.apply(after(10), Acknowledge(PULL, (ready.ack_id,)))
    assert state.next_event_at() is None

    state.apply(after(10), UpdateSubscription(replace(PULLING, push_endpoint=ENDPOINT)))
    assert state.next_event_at() is None
    assert state.advance(after(11)) == []


def test_what_is_acknowledged_while_it_waits_is_not_made_ready() -> None:
    """Whoever drives the state need not ask for the next event first."""
    state = state_with(replace(PULLING, retry_policy=RetryPolicy()))
    publish(state, T0)
    (delivery,) = state.apply(T0, Pull(PULL, 1))
    state.apply(T0, ModifyAckDeadline(PULL, (delivery.ack_id,), timedelta(0)))
    state.apply(T0, Acknowledge(PULL, (delivery.ack_id,)))

    assert state.apply(after(10), Pull(PULL, 1)) == ()


def test_an_acknowledged_copy_that_is_ready_is_skipped_by_a_pull() -> None:
    """The queue of ready copies may hold one that is gone."""
    state = state_with(PULLING)
    publish(state, T0)
    publish(state, T0)
    first, second = state.apply(T0, Pull(PULL, 2))
    assert state.advance(after(10)) == []
    assert state.advance(after(11)) == []
    state.apply(after(11), Acknowledge(PULL, (first.ack_id,)))

    (again,) = state.apply(after(11), Pull(PULL, 2))
    assert again.message == second.message


def test_a_pull_subscription_becomes_a_push_subscription() -> None:
    """What waited is pushed once there is somewhere to push to."""
    state = state_with(PULLING)
    publish(state, T0)
    assert state.advance(T0) == []
    assert state.undelivered_count() == 0
    state.apply(T0, UpdateSubscription(replace(PULLING, push_endpoint=ENDPOINT)))

    assert state.next_event_at() == T0
    (delivery,) = state.advance(T0)
    assert delivery.push_endpoint == ENDPOINT


def test_a_seek_goes_back_to_the_subscription_s_beginning_and_no_further() -> None:
    """What is still there comes once, in order; what came before it, or is past the retention, not at all."""
    publish(state := state_with(), T0)
    kept = replace(PULLING, ordered=True, retains_acked=True, filter='attributes.kind = "test"')
    state.apply(after(1), CreateSubscription(kept))
    for number in (1, 2, 3):
        state.apply(after(number), Publish(TOPIC, (Draft(b"%d" % number, {"kind": "test"}, "key"), Draft(b"other"))))

    def pull(second: float) -> list[bytes]:  # And acknowledge.
        pulled = state.apply(after(second), Pull(PULL, 9))
        state.apply(after(second), Acknowledge(PULL, tuple(one.ack_id for one in pulled) or ("0-0",)))
        return [one.message.data for one in pulled]

    assert pull(4) == [b"1"]
    state.apply(after(5), Seek(PULL, after(2.5)))
    assert [pull(5), pull(5)] == [[b"3"], []]
    state.apply(after(6), Seek(PULL, T0))
    assert [pull(6) for _ in range(4)] == [[b"1"], [b"2"], [b"3"], []]
    state.apply(after(late := kept.retention.total_seconds() + 2.5), Seek(PULL, T0))
    assert pull(late) == [b"3"]
