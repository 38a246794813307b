"""Cloud Tasks' pure state: whose name is taken, how queues are changed, what lists show."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tasks_world import DAY, LOCATION, NAME, NOW, QUEUE, SECOND, create, creation, finish, make_state, refusal

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.tasks.messages import pb
from spanner_backup_emulator.tasks.state import Settings, State


def update(on: State, *paths: str, name: str = QUEUE, **queue: Any) -> Message:  # noqa: ANN401 - fields of a message
    """The queue after an update."""
    return on.apply(NOW, pb.UpdateQueueRequest(queue={"name": name, **queue}, update_mask=pb.FieldMask(paths=paths)))


def limits(rate: int, concurrent: int, burst: int = 0) -> Message:
    """Rate limits."""
    return pb.RateLimits(max_dispatches_per_second=rate, max_concurrent_dispatches=concurrent, max_burst_size=burst)


def listed(state: State, **page: Any) -> Message:  # noqa: ANN401 - fields of a message
    """A page of the queue's tasks."""
    return state.apply(NOW, pb.ListTasksRequest(parent=QUEUE, **page))


def test_an_unnamed_task_gets_a_name_of_its_own() -> None:
    """Names are generated where none is given, and differ."""
    state = make_state()
    first, second = create(state, name=""), create(state, name="")

    assert first.name != second.name
    assert first.name.startswith(f"{QUEUE}/tasks/")
    assert state.apply(NOW, pb.GetTaskRequest(name=second.name)) == second


def test_the_name_of_a_living_task_is_taken() -> None:
    """A task that waits or is on its way holds its name."""
    state = make_state()
    create(state)
    assert refusal(state, NOW, creation()) is Code.ALREADY_EXISTS

    state.advance(NOW)

    with pytest.raises(ApiError, match="Requested entity already exists"):
        create(state)
    assert len(state.pending()) == 1


@pytest.mark.parametrize("end", ["done", "deleted", "purged", "gave up"])
def test_the_name_of_an_ended_task_is_taken_until_its_tombstone_falls(end: str) -> None:
    """However a task ends, its name is taken for the period, and free to the microsecond afterwards."""
    state = make_state(retry_config={"max_attempts": 1})
    create(state)
    match end:
        case "done":
            finish(state, NOW)
        case "deleted":
            state.apply(NOW, pb.DeleteTaskRequest(name=NAME))
        case "purged":
            state.apply(NOW, pb.PurgeQueueRequest(name=QUEUE))
        case _:
            finish(state, NOW, 500)
    assert state.pending() == ()

    almost = NOW + DAY - timedelta(microseconds=1)
    with pytest.raises(ApiError, match="existed too recently"):
        create(state, almost)
    with pytest.raises(ApiError, match="no longer exists, though a task with this name existed recently"):
        state.apply(almost, pb.GetTaskRequest(name=NAME))
    with pytest.raises(ApiError, match=r"Requested entity was not found\."):
        state.apply(NOW + DAY, pb.GetTaskRequest(name=NAME))
    assert create(state, NOW + DAY).name == NAME


def test_a_deleted_queue_keeps_its_tasks_names_and_its_own() -> None:
    """DeleteQueue buries the tasks for a day and the queue for three."""
    state = make_state()
    create(state)
    state.apply(NOW, pb.DeleteQueueRequest(name=QUEUE))

    again = pb.CreateQueueRequest(parent=LOCATION, queue={"name": QUEUE})
    assert refusal(state, NOW + 3 * DAY - SECOND, again) is Code.FAILED_PRECONDITION
    with pytest.raises(ApiError, match="Queue does not exist"):
        create(state, NOW + SECOND)
    state.apply(NOW + 3 * DAY, again)
    assert create(state, NOW + 3 * DAY).name == NAME


def test_a_forgotten_name_is_free_at_once() -> None:
    """A test can take a tombstone away, once, and only of a task that has ended."""
    state = make_state()
    create(state)
    assert not state.forget_name(NAME)
    finish(state, NOW)

    assert state.forget_name(NAME)
    assert not state.forget_name(NAME)
    assert create(state).name == NAME


def test_the_tombstone_period_can_be_chosen() -> None:
    """A shorter period frees the name earlier."""
    state = make_state(settings=Settings(tombstone_period=SECOND))
    create(state)
    finish(state, NOW)

    assert refusal(state, NOW, creation()) is Code.ALREADY_EXISTS
    assert create(state, NOW + SECOND).name == NAME


def test_a_queue_is_made_on_demand_only_if_so_chosen() -> None:
    """The real service refuses; the option makes the queue, once."""
    assert refusal(State(), NOW, creation()) is Code.NOT_FOUND
    state = State(Settings(auto_create_queues=True))
    create(state, name="")
    create(state, name="")

    assert len(listed(state).tasks) == 2


def test_an_update_takes_what_its_mask_names_and_nothing_else() -> None:
    """A group, a single field, or everything; what the service decides is ignored."""
    state = make_state(rate_limits=limits(5, 6), retry_config={"max_attempts": 7})
    new: dict[str, Any] = {"rate_limits": limits(50, 60), "retry_config": {"max_attempts": 70}, "state": "PAUSED"}

    one = update(state, "rate_limits.max_concurrent_dispatches", "state", **new)
    assert (one.rate_limits, one.retry_config.max_attempts) == (limits(5, 60, 10), 7)
    group = update(state, "retry_config", **new)
    assert (group.rate_limits, group.retry_config.max_attempts) == (limits(5, 60, 10), 70)
    everything = update(state, **new)
    assert (everything.rate_limits, everything.state) == (limits(50, 60, 50), pb.Queue.RUNNING)
    with pytest.raises(ApiError, match=r"rate_limits\.speed"):
        update(state, "rate_limits.speed", **new)


def test_an_update_makes_the_queue_where_there_is_none() -> None:
    """UpdateQueue creates."""
    state = State()

    assert update(state, rate_limits={"max_dispatches_per_second": 5}).rate_limits.max_dispatches_per_second == 5
    assert state.apply(NOW, pb.GetQueueRequest(name=QUEUE)).name == QUEUE


def test_only_a_new_rate_refills_the_bucket() -> None:
    """Changing the retries gives no tokens; changing the rate starts afresh."""
    slow = {"max_dispatches_per_second": 0.001}
    state = make_state(Settings(max_burst_size=1), rate_limits=slow)
    for _ in range(3):
        create(state, name="")
    assert len(state.advance(NOW)) == 1

    update(state, rate_limits=slow, retry_config={"max_attempts": 2})
    assert state.advance(NOW) == []
    update(state, rate_limits={"max_dispatches_per_second": 0.002})
    assert len(state.advance(NOW)) == 1


def test_tasks_are_listed_in_pages() -> None:
    """Each task comes once, in the order of creation; the last page has no token."""
    state = make_state()
    expected = [create(state, name="", due=NOW + DAY).name for _ in range(5)]
    pages = [listed(state, page_size=2)]
    while token := pages[-1].next_page_token:
        pages.append(listed(state, page_size=2, page_token=token))

    assert [task.name for page in pages for task in page.tasks] == expected
    assert [len(page.tasks) for page in pages] == [2, 2, 1]
    for bad in ({"page_token": "x"}, {"page_size": -1}):
        with pytest.raises(ApiError, match=r"[Pp]age"):
            listed(state, **bad)


def test_a_page_has_a_thousand_tasks_at_most() -> None:
    """A larger size, and none, mean the maximum."""
    state = make_state()
    for _ in range(1001):
        create(state, name="", due=NOW + DAY)

    assert len(listed(state, page_size=5000).tasks) == 1000
    assert len(listed(state).tasks) == 1000


def test_queues_are_listed_by_location_in_pages() -> None:
    """Queues of other locations are not in the list."""
    state = make_state()
    for name in (f"{LOCATION}/queues/b", "projects/p/locations/l2/queues/c"):
        update(state, name=name)

    request = pb.ListQueuesRequest(parent=LOCATION, page_size=1)
    first = state.apply(NOW, request)
    request.page_token = first.next_page_token
    second = state.apply(NOW, request)
    assert [queue.name[-1] for queue in (*first.queues, *second.queues)] == ["b", "q"]
    assert second.next_page_token == ""


def test_the_history_keeps_what_was_created() -> None:
    """Tasks stay in the record as they were made, after their attempts and their end."""
    state = make_state()
    create(state)
    finish(state, NOW, 500)

    assert [(task.name, task.dispatch_count) for task in state.created] == [(NAME, 0)]
