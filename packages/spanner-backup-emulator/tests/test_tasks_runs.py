"""Cloud Tasks' pure state: tasks that are run by hand, sent twice, or answered too late."""

from __future__ import annotations

from datetime import timedelta

from tasks_world import DAY, NAME, NOW, QUEUE, SECOND, create, make_state, only, refusal

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.tasks.messages import pb
from spanner_backup_emulator.tasks.state import Settings


def test_run_task_needs_neither_a_time_nor_a_running_queue_nor_a_token() -> None:
    """It goes at once, costs no token, and is not sent again when its time comes."""
    limits = {"max_dispatches_per_second": 1, "max_concurrent_dispatches": 1}
    state = make_state(Settings(max_burst_size=1), rate_limits=limits)
    create(state, name=f"{QUEUE}/tasks/b")
    state.advance(NOW)
    state.apply(NOW, pb.PauseQueueRequest(name=QUEUE))
    create(state, due=NOW + 10 * SECOND)

    assert state.apply(NOW, pb.RunTaskRequest(name=NAME)).name == NAME
    assert state.next_event_at() == NOW
    dispatch = only(state.advance(NOW))
    state.apply(NOW, pb.ResumeQueueRequest(name=QUEUE))
    assert state.advance(NOW + 10 * SECOND) == []
    state.dispatched(NOW + 10 * SECOND, dispatch, 200)
    assert refusal(state, NOW + 10 * SECOND, pb.RunTaskRequest(name=NAME)) is Code.NOT_FOUND


def test_a_task_that_is_run_early_is_not_sent_again_when_its_time_comes() -> None:
    """While it is on its way the old time passes without a second attempt; after a failure only the new one counts."""
    state = make_state(retry_config={"min_backoff": 10 * SECOND})
    create(state, name="", due=NOW + SECOND / 2)
    create(state, due=NOW + SECOND)
    create(state, name=f"{QUEUE}/tasks/b", due=NOW + 2 * SECOND)
    for name in (NAME, f"{QUEUE}/tasks/b"):
        state.apply(NOW, pb.RunTaskRequest(name=name))
    first, _ = state.advance(NOW)
    state.dispatched(NOW, first, 500)
    assert only(state.advance(NOW + SECOND / 2)).task.name not in {NAME, f"{QUEUE}/tasks/b"}

    assert state.next_event_at() == NOW + 10 * SECOND
    assert state.advance(NOW + 10 * SECOND - timedelta(microseconds=1)) == []
    assert only(state.advance(NOW + 10 * SECOND)).task.name == NAME


def test_a_failed_run_is_retried_counting_from_the_call() -> None:
    """The next attempt is due at the call's time plus the backoff, however late the answer was."""
    state = make_state(retry_config={"min_backoff": 10 * SECOND})
    create(state, due=NOW + DAY)
    state.apply(NOW, pb.RunTaskRequest(name=NAME))
    dispatch = only(state.advance(NOW))
    state.dispatched(NOW + 4 * SECOND, dispatch, 500)

    assert state.next_event_at() == NOW + 10 * SECOND


def test_a_task_that_is_run_while_on_its_way_is_retried_once() -> None:
    """Two attempts at once, both failed: only the later one schedules a third."""
    state = make_state()
    create(state)
    first = only(state.advance(NOW))
    state.apply(NOW, pb.RunTaskRequest(name=NAME))
    second = only(state.advance(NOW))
    assert "X-CloudTasks-TaskPreviousResponse" not in second.headers

    state.dispatched(NOW, first, 500)
    assert state.next_event_at() is None
    state.dispatched(NOW, second, 500)
    assert state.next_event_at() == NOW + timedelta(milliseconds=200)
    assert state.apply(NOW, pb.GetTaskRequest(name=NAME)).response_count == 2


def test_a_run_of_a_task_that_is_deleted_meanwhile_does_nothing() -> None:
    """The deletion wins, even if the name is in use again."""
    state = make_state()
    create(state, due=NOW + DAY)
    state.apply(NOW, pb.RunTaskRequest(name=NAME))
    state.apply(NOW, pb.DeleteTaskRequest(name=NAME))
    state.forget_name(NAME)
    create(state, due=NOW + DAY)

    assert state.advance(NOW) == []


def test_a_task_sent_twice_is_one_attempt_and_ends_once() -> None:
    """Both have the same headers; the first success ends the task, the other answer changes nothing."""
    state = make_state()
    state.dispatch_twice_next()
    create(state)
    first, second = state.advance(NOW)
    assert first.headers == second.headers
    assert first.number != second.number

    state.dispatched(NOW, first, 200)
    state.dispatched(NOW, second, 500)
    assert state.pending() == ()
    assert [outcome.status for outcome in state.history] == [200, 500]
    create(state, name="")
    assert only(state.advance(NOW)).attempt == 1


def test_a_task_sent_twice_and_failed_twice_is_retried_once() -> None:
    """The second failure finds the retry scheduled already, and doesn't put it off."""
    state = make_state()
    state.dispatch_twice_next()
    create(state)
    first, second = state.advance(NOW)
    state.dispatched(NOW, first, 500)
    state.dispatched(NOW + timedelta(milliseconds=50), second, 500)

    assert state.next_event_at() == NOW + timedelta(milliseconds=100)
    assert only(state.advance(NOW + SECOND)).attempt == 2


def test_a_late_answer_does_not_touch_a_new_task_of_the_same_name() -> None:
    """Which task an answer belongs to is not told by its name."""
    state = make_state()
    create(state)
    old = only(state.advance(NOW))
    state.apply(NOW, pb.DeleteTaskRequest(name=NAME))
    state.forget_name(NAME)
    create(state, due=NOW + DAY)

    state.dispatched(NOW, old, 200)
    assert len(state.pending()) == 1


def test_an_answer_after_the_queue_was_deleted_is_only_history() -> None:
    """Nothing is left to be changed."""
    state = make_state()
    create(state)
    dispatch = only(state.advance(NOW))
    state.apply(NOW, pb.DeleteQueueRequest(name=QUEUE))
    state.dispatched(NOW, dispatch, 500)

    assert [outcome.status for outcome in state.history] == [500]
    assert state.next_event_at() is None
