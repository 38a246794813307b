"""Cloud Tasks' pure state: what a queue's limits and state hold back."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING

import pytest
from tasks_world import DAY, NAME, NOW, POST, QUEUE, SECOND, create, make_state, only, refusal, task_creation

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.tasks import wire
from spanner_backup_emulator.tasks.model import Settings

if TYPE_CHECKING:
    from spanner_backup_emulator.tasks.state import State


def dispatch_times_s(state: State) -> list[float]:
    """When the tasks go out, each answered at once."""
    times_s, now = [], NOW
    while (at := state.next_event_at()) is not None:
        now = max(now, at)
        for dispatch in state.advance(now):
            times_s.append((dispatch.time - NOW).total_seconds())
            state.dispatched(now, dispatch, 200)
    return times_s


@pytest.mark.parametrize(
    ("due_s", "sent_s"),
    [([0] * 7, [0, 0, 0, 0.5, 1, 1.5, 2]), ([0, 0, 0, 100, 100, 100, 100, 100], [0, 0, 0, 100, 100, 100, 100.5, 101])],
)
def test_a_burst_goes_at_once_and_the_rest_at_the_rate(due_s: list[int], sent_s: list[float]) -> None:
    """Three tokens, then one every half second, exactly; after a long rest there are just three again."""
    state = make_state(Settings(max_burst_size=3), rate_limits={"max_dispatches_per_second": 2})
    for delay_s in due_s:
        create(state, name="", due=NOW + delay_s * SECOND)

    assert dispatch_times_s(state) == sent_s


def test_the_service_chooses_the_burst_size() -> None:
    """Slow queues have 10 tokens, the fastest 100, as the service's own queues show."""
    sizes = []
    for rate in (0.25, 1, 50, 500):
        state = make_state(rate_limits={"max_dispatches_per_second": rate, "max_burst_size": 7})
        sizes.append(state.apply(NOW, wire.GetQueueRequest(name=QUEUE)).rate_limits.max_burst_size)

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


def test_a_paused_queue_takes_tasks_and_sends_none() -> None:
    """Tasks wait until the queue is resumed, and go out then."""
    state = make_state()
    assert state.apply(NOW, wire.PauseQueueRequest(name=QUEUE)).state == wire.Queue.PAUSED
    create(state)

    assert state.next_event_at() is None
    assert state.advance(NOW + SECOND) == []
    assert state.apply(NOW + SECOND, wire.ResumeQueueRequest(name=QUEUE)).state == wire.Queue.RUNNING
    assert only(state.advance(NOW + SECOND)).task.name == NAME


def test_a_purge_deletes_all_tasks_and_is_remembered() -> None:
    """Nothing is left to send, what is on its way ends silently, and new tasks are taken."""
    state = make_state()
    create(state)
    dispatch = only(state.advance(NOW))
    create(state, name="", due=NOW + SECOND)

    assert state.apply(NOW + SECOND, wire.PurgeQueueRequest(name=QUEUE)).purge_time.ToDatetime(UTC) == NOW + SECOND
    assert state.advance(NOW + SECOND) == []
    state.dispatched(NOW + SECOND, dispatch, 500)
    assert state.pending() == ()
    assert state.in_flight_count() == 0
    assert create(state, NOW + SECOND, name="").name.startswith(QUEUE)


def test_a_task_is_measured_as_it_is_stored() -> None:
    """The bytes of Google's own message count, but for the view, and one more than the limit is too many."""
    state = make_state()
    state.apply(NOW, task_creation(http_request={**POST, "body": bytes(1_000_000)}))
    size = 1_000_000 + 1_048_569 - (state.pending()[0].ByteSize() - len(wire.Task(view="FULL").SerializeToString()))

    create_b = partial(task_creation, f"{QUEUE}/tasks/b")
    assert refusal(state, NOW, create_b(http_request={**POST, "body": bytes(size + 1)})) is Code.INVALID_ARGUMENT
    assert state.apply(NOW, create_b(http_request={**POST, "body": bytes(size)})).name
