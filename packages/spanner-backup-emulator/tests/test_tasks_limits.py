"""Cloud Tasks' pure state: what a queue's limits and state hold back."""

from __future__ import annotations

from datetime import UTC

import pytest
from tasks_world import DAY, NAME, NOW, POST, QUEUE, SECOND, create, creation, finish_all, make_state, only, refusal

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.tasks.messages import pb
from spanner_backup_emulator.tasks.state import Settings


@pytest.mark.parametrize(
    ("due_s", "sent_s"),
    [([0] * 7, [0, 0, 0, 0.5, 1, 1.5, 2]), ([0, 0, 0, 100, 100, 100, 100, 100], [0, 0, 0, 100, 100, 100, 100.5, 101])],
)
def test_a_burst_goes_at_once_and_the_rest_at_the_rate(due_s: list[int], sent_s: list[float]) -> None:
    """Three tokens, then one every half second, exactly; after a long rest there are just three again."""
    state = make_state(Settings(max_burst_size=3), rate_limits={"max_dispatches_per_second": 2})
    for delay_s in due_s:
        create(state, name="", due=NOW + delay_s * SECOND)

    finish_all(state, 200)
    assert [(outcome.dispatch_time - NOW).total_seconds() for outcome in state.history] == sent_s


def test_the_service_chooses_the_burst_size() -> None:
    """Slow queues have 10 tokens, the fastest 100, as the service's own queues show."""
    sizes = []
    for rate in (0.25, 1, 50, 500):
        state = make_state(rate_limits={"max_dispatches_per_second": rate, "max_burst_size": 7})
        sizes.append(state.apply(NOW, pb.GetQueueRequest(name=QUEUE)).rate_limits.max_burst_size)

    assert sizes == [10, 10, 50, 100]


def test_a_rate_close_to_zero_is_no_error() -> None:
    """A token that comes in after longer than a task lives doesn't overflow anything."""
    state = make_state(Settings(max_burst_size=1), rate_limits={"max_dispatches_per_second": 1e-300})
    for _ in range(2):
        create(state, name="")

    assert len(state.advance(NOW)) == 1
    assert state.next_event_at() == NOW + 31 * DAY


def test_no_more_tasks_are_on_their_way_than_allowed() -> None:
    """The third task waits for an answer to one of the two before it."""
    state = make_state(rate_limits={"max_concurrent_dispatches": 2})
    for _ in range(3):
        create(state, name="")
    first, _ = state.advance(NOW)

    assert state.next_event_at() is None
    state.dispatched(NOW + SECOND, first, 200)
    assert state.next_event_at() == NOW
    assert len(state.advance(NOW + SECOND)) == 1


def test_a_purge_deletes_all_tasks_and_is_remembered() -> None:
    """Nothing is left to send, what is on its way ends silently, and new tasks are taken."""
    state = make_state()
    create(state)
    dispatch = only(state.advance(NOW))
    create(state, name="", due=NOW + SECOND)

    assert state.apply(NOW + SECOND, pb.PurgeQueueRequest(name=QUEUE)).purge_time.ToDatetime(UTC) == NOW + SECOND
    assert state.advance(NOW + SECOND) == []
    state.dispatched(NOW + SECOND, dispatch, 500)
    assert state.pending() == ()
    assert state.in_flight_count() == 0
    assert create(state, NOW + SECOND, name="").name.startswith(QUEUE)


def test_a_task_is_measured_as_it_is_stored() -> None:
    """The bytes of Google's own message count, of which this one has 167 besides its body; one more is too many."""
    state = make_state()
    post = {**POST, "body": bytes(1_048_569 - 167)}

    assert refusal(state, NOW, creation(http_request={**post, "url": f"{POST['url']}x"})) is Code.INVALID_ARGUMENT
    assert state.apply(NOW, creation(http_request=post)).name == NAME
