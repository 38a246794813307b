"""Cloud Tasks' pure state under a virtual clock: when tasks go out, and when again."""

from __future__ import annotations

from datetime import UTC, timedelta
from itertools import pairwise
from typing import Any

from tasks_world import DAY, NAME, NOW, QUEUE, SECOND, create, creation, finish, finish_all, make_state, send_next

from spanner_backup_emulator.dispatch import NO_ANSWER


def test_a_task_goes_out_when_it_is_due_and_not_before() -> None:
    """The next event is the schedule time, and nothing is handed out until then."""
    state = make_state()
    due = NOW + 90 * SECOND
    create(state, due=due)

    assert state.next_event_at() == due
    assert state.advance(due - timedelta(microseconds=1)) == []
    dispatch = send_next(state)
    assert (dispatch.task.name, dispatch.attempt, dispatch.time) == (NAME, 1, due)
    assert state.advance(due) == []
    assert state.next_event_at() is None


def test_a_time_in_the_past_means_now() -> None:
    """A schedule time that has passed is set to the time of the call; the creation shows whole seconds."""
    task = create(make_state(), due=NOW - DAY)

    assert task.schedule_time.ToDatetime(UTC) == NOW
    assert task.create_time.ToDatetime(UTC) == NOW.replace(microsecond=0)


def test_tasks_go_out_in_the_order_they_are_due() -> None:
    """The earlier schedule time goes first; with equal ones, the older task."""
    state = make_state()
    for name, delay_s in (("c", 2), ("a", 1), ("b", 1)):
        create(state, name=f"{QUEUE}/tasks/{name}", due=NOW + delay_s * SECOND)

    sent = [dispatch.task.name[-1] for dispatch in state.advance(NOW + 2 * SECOND)]
    assert sent == ["a", "b", "c"]


def test_a_task_is_deleted_after_31_days() -> None:
    """A task that never succeeds is gone after the retention, whether it waits or is on its way."""
    state = make_state()
    create(state)
    create(state, name=f"{QUEUE}/tasks/b", due=NOW + 30 * DAY)
    dispatch = send_next(state)
    end = NOW.replace(microsecond=0) + 31 * DAY

    assert state.advance(end - SECOND)[0].task.name[-1] == "b"
    assert state.advance(end) == []
    assert state.pending() == ()
    state.dispatched(end, dispatch, 200)
    assert state.in_flight_count() == 1


def retry_delays_s(count: int, **config: Any) -> list[float]:  # noqa: ANN401 - fields of a message
    """How long after each failure a task goes out again."""
    state = make_state(retry_config=config)
    create(state)
    times = []
    for _ in range(count + 1):
        dispatch = send_next(state)
        times.append(dispatch.time)
        state.dispatched(dispatch.time, dispatch, 503)
    return [(later - earlier).total_seconds() for earlier, later in pairwise(times)]


def test_retries_back_off_exactly_as_documented() -> None:
    """The reference's own example: 10 s to 300 s with three doublings."""
    delays_s = retry_delays_s(8, min_backoff=10 * SECOND, max_backoff=300 * SECOND, max_doublings=3)

    assert delays_s == [10, 20, 40, 80, 160, 240, 300, 300]


def test_a_new_queue_retries_from_a_tenth_of_a_second_to_an_hour() -> None:
    """The default settings double sixteen times, up to the hour."""
    delays_s = retry_delays_s(20)

    assert delays_s[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays_s[-1] == 3600


def test_the_backoff_never_overflows() -> None:
    """Even a backoff that no timedelta can hold is cut at its maximum."""
    delays_s = retry_delays_s(100, max_attempts=-1, min_backoff=SECOND, max_backoff=2 * SECOND, max_doublings=1000)

    assert delays_s[-1] == 2


def test_a_task_ends_after_its_attempts() -> None:
    """With three attempts there are two retries, and then the task is gone."""
    state = make_state(retry_config={"max_attempts": 3})
    create(state)
    finish_all(state, 500)

    assert state.pending() == ()
    assert [outcome.attempt for outcome in state.history] == [1, 2, 3]


def test_a_time_limit_and_an_attempt_limit_must_both_be_reached() -> None:
    """Two attempts are made soon, but the task goes on until its 10 s are over too."""
    every_4_s = {"min_backoff": 4 * SECOND, "max_backoff": 4 * SECOND}
    state = make_state(retry_config={"max_attempts": 2, "max_retry_duration": 10 * SECOND, **every_4_s})
    create(state)
    finish_all(state, 500)

    assert [(outcome.dispatch_time - NOW).total_seconds() for outcome in state.history] == [0, 4, 8, 12]


def test_without_an_attempt_limit_only_the_time_counts() -> None:
    """Minus one attempts and a duration end at the duration; without either, never."""
    unlimited = {"max_attempts": -1, "min_backoff": 2 * SECOND, "max_backoff": 2 * SECOND}
    state = make_state(retry_config={"max_retry_duration": 5 * SECOND, **unlimited})
    create(state)
    finish_all(state, 500)

    assert len(state.history) == 4
    assert len(retry_delays_s(500, **unlimited)) == 500


def test_a_tasks_own_retry_settings_win() -> None:
    """A task may bring its own settings."""
    state = make_state()
    config = {"min_backoff": 7 * SECOND, "max_backoff": 7 * SECOND}
    state.apply(NOW, creation(retry_config=config))
    finish(state, NOW, 500)

    assert state.next_event_at() == NOW + 7 * SECOND


def test_attempts_are_counted_and_shown() -> None:
    """An answer counts as a response, none doesn't, and a retry is told about the attempt before."""
    state = make_state()
    create(state)
    headers = []
    for status in (500, 499, NO_ANSWER):
        dispatch = send_next(state)
        headers.append(dispatch.headers)
        state.dispatched(dispatch.time, dispatch, status)
    headers.append(send_next(state).headers)

    task = state.pending()[0]
    assert (task.dispatch_count, task.response_count) == (4, 2)
    assert task.first_attempt.dispatch_time.ToDatetime(UTC) == NOW
    assert [h["X-CloudTasks-TaskRetryCount"] for h in headers] == ["0", "1", "2", "3"]
    assert [h["X-CloudTasks-TaskExecutionCount"] for h in headers] == ["0", "0", "1", "1"]
    assert [h.get("X-CloudTasks-TaskPreviousResponse") for h in headers] == [None, "500", "499", "504"]
