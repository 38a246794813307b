"""When to look again: bounds that always hold, and what each kind of knowledge changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop import polling
from backstop.names import OperationName
from backstop.operations import Backup, Failure, Operation
from backstop.polling import Expectation, Sighting
from tests.unit.handlers_world import DAY, HOUR, MINUTE, NIGHTLY, ORDERS, SECOND, START, USERS

LOW, HIGH = 10 * SECOND, HOUR
NOTHING = timedelta(0)

spans = st.timedeltas(NOTHING, 40 * DAY)
sightings = st.builds(Sighting, st.integers(0, 100), spans)
earlier = st.builds(Sighting, st.integers(0, 100), st.timedeltas(SECOND, 40 * DAY))
expectations = st.builds(Expectation, st.timedeltas(SECOND, 40 * DAY), st.floats(0.01, 3.0))


def wait(
    percent: int,
    elapsed: timedelta,
    before: Sighting | None = None,
    expected: timedelta | None = None,
    since_cancel: timedelta | None = None,
) -> timedelta:
    """How long to wait with this progress."""
    guess = None if expected is None else Expectation(expected, polling.HISTORY_SPREAD)
    return polling.wait_running(Sighting(percent, elapsed), before, guess, since_cancel)


@given(sightings, st.none() | earlier, st.none() | expectations, st.none() | spans)
def test_whatever_is_known_there_is_a_wait(
    seen: Sighting, before: Sighting | None, expected: Expectation | None, since_cancel: timedelta | None
) -> None:
    """No progress, however odd, makes the pacing fail or look back in time."""
    assert polling.wait_running(seen, before, expected, since_cancel) >= NOTHING


@given(spans, st.text(max_size=50))
def test_a_wait_stays_within_its_bounds_and_within_a_tenth_of_what_was_asked(span: timedelta, name: str) -> None:
    """Jitter spreads a wait but never over the operator's bounds."""
    bounded = polling.bounded(span, name, low=LOW, high=HIGH)

    assert LOW <= bounded <= HIGH
    if LOW * 1.2 <= span <= HIGH / 1.2:
        assert abs(bounded - span) <= span * (polling.JITTER + 0.001)


def test_operations_that_were_started_together_are_not_looked_at_together() -> None:
    """The jitter depends on the name, and on nothing else."""
    waits = {polling.bounded(10 * MINUTE, f"operation {number}", low=LOW, high=HIGH) for number in range(50)}

    assert len(waits) == 50
    assert max(waits) - min(waits) > MINUTE
    assert polling.bounded(MINUTE, "a", low=LOW, high=HIGH) == polling.bounded(MINUTE, "a", low=LOW, high=HIGH)


@given(sightings, st.none() | earlier, st.none() | expectations, spans)
def test_a_cancel_never_makes_the_next_look_later(
    seen: Sighting, before: Sighting | None, expected: Expectation | None, since_cancel: timedelta
) -> None:
    """Somebody waits for what a cancel comes to."""
    without = polling.wait_running(seen, before, expected, None)

    assert polling.wait_running(seen, before, expected, since_cancel) <= without


def test_looks_after_a_cancel_come_at_growing_times() -> None:
    """At once at first, then less and less often, in proportion to the time since the cancel."""
    assert wait(0, MINUTE, since_cancel=NOTHING) == NOTHING
    assert wait(0, MINUTE, since_cancel=20 * SECOND) == 10 * SECOND
    assert wait(0, MINUTE, since_cancel=10 * MINUTE) == 5 * MINUTE


def test_looks_stay_close_for_the_first_minutes_after_a_cancel() -> None:
    """Somebody waits for what becomes of it, and most cancels take effect within minutes."""
    assert wait(0, MINUTE, since_cancel=2 * MINUTE) == 40 * SECOND
    assert wait(0, MINUTE, since_cancel=10 * MINUTE - SECOND) == 40 * SECOND


def test_a_look_that_is_due_at_once_is_not_put_off_by_a_cancel() -> None:
    """What is about to end is looked at as if nobody had asked to stop it."""
    sure = Expectation(MINUTE, 0.01)
    without = polling.wait_running(Sighting(0, MINUTE), None, sure, None)

    assert without < 10 * SECOND
    assert polling.wait_running(Sighting(0, MINUTE), None, sure, 9 * MINUTE) == without


def test_earlier_lengths_let_the_function_sleep_until_shortly_before_the_end() -> None:
    """With a history of two hours there is little to see in the first, and much around the end."""
    early, late = wait(0, NOTHING, expected=2 * HOUR), wait(0, 2 * HOUR, expected=2 * HOUR)

    assert early > 45 * MINUTE
    assert late < 10 * MINUTE
    assert early + NOTHING < 2 * HOUR


def test_without_history_the_looks_are_spread_over_the_usual_hours() -> None:
    """Most backups take one to four hours, so the first looks are minutes apart, not seconds and not hours."""
    assert 5 * MINUTE < wait(0, NOTHING) < HOUR
    assert MINUTE < wait(0, 2 * HOUR) < 40 * MINUTE


def test_steady_progress_is_believed_over_history() -> None:
    """At half the way after three hours the end is three hours off, whatever earlier ones took."""
    steady = Sighting(25, 90 * MINUTE)

    assert wait(50, 3 * HOUR, steady, HOUR) > 2 * wait(0, 3 * HOUR, None, HOUR)


def test_a_small_operation_that_has_nearly_ended_is_looked_at_soon() -> None:
    """At 99 % the next look is near."""
    assert wait(99, 99 * MINUTE, Sighting(50, 50 * MINUTE)) < 3 * MINUTE


@pytest.mark.parametrize(
    ("percent", "before"),
    [
        (50, Sighting(50, 90 * MINUTE)),  # stuck
        (40, Sighting(50, 90 * MINUTE)),  # going back
        (0, Sighting(25, 90 * MINUTE)),  # lost
        (100, Sighting(50, 90 * MINUTE)),  # done, it says, yet it runs
        (90, Sighting(25, 90 * MINUTE)),  # jumping
        (26, Sighting(25, 90 * MINUTE)),  # slowing down
    ],
)
def test_progress_that_is_not_steady_is_not_believed(percent: int, before: Sighting | None) -> None:
    """A progress that sticks, jumps or goes back changes nothing; history does."""
    assert wait(percent, 3 * HOUR, before, 2 * HOUR) == wait(0, 3 * HOUR, None, 2 * HOUR)


def test_progress_that_has_just_stuck_was_believed_and_slept_on() -> None:
    """A progress that has stood still since the last look, near as that was, is no line to the end."""
    stuck, before = 162 * MINUTE, Sighting(50, 150 * MINUTE)

    assert wait(50, stuck, before) == wait(0, stuck)
    assert wait(49, 150 * MINUTE, before) > wait(0, 150 * MINUTE)


def test_what_should_long_have_ended_is_looked_at_less_and_less_often() -> None:
    """Far beyond every guess the waits grow with the time that has passed, and stay finite."""
    overdue = [wait(0, elapsed, expected=MINUTE) for elapsed in (10 * MINUTE, HOUR, DAY, 7 * DAY)]

    assert overdue == sorted(overdue)
    assert NOTHING < overdue[-1] < HOUR


def test_a_database_that_takes_a_second_is_looked_at_within_seconds() -> None:
    """Where even the end of the guess isn't worth a look of its own, the wait is a few times the guess."""
    vague = Expectation(SECOND, 3.0)

    assert 4 * SECOND <= polling.wait_running(Sighting(0, NOTHING), None, vague, None) < 5 * SECOND


def test_an_end_that_is_all_but_certain_is_not_slept_past() -> None:
    """A guess that is very sure makes the next look fall right behind the end, and not far beyond it."""
    sure = Expectation(timedelta(seconds=1.07), 0.01)

    assert SECOND < polling.wait_running(Sighting(0, NOTHING), None, sure, None) < 1.5 * SECOND


def test_refusals_in_a_row_double_the_wait_up_to_where_the_bounds_take_over() -> None:
    """A minute, two, four; and no number of failures overflows."""
    assert [polling.wait_refused(failures) for failures in (1, 2, 3)] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
    assert polling.wait_refused(21) == polling.wait_refused(10_000) == 2**20 * MINUTE


MADE = Operation(
    OperationName(f"{NIGHTLY}/operations/a"),
    NIGHTLY,
    ORDERS,
    start_time=START,
    end_time=START + HOUR,
    response=Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + DAY),
)


def test_the_expected_length_is_the_median_of_the_same_database_s_successes() -> None:
    """Failures, cancels, other databases and what still runs say nothing."""
    longer = replace(MADE, end_time=START + 3 * HOUR)
    longest = replace(MADE, end_time=START + 30 * HOUR)
    failed = replace(MADE, end_time=START + SECOND, response=None, error=Failure("INTERNAL", "broken"))
    elsewhere = replace(MADE, database=USERS, end_time=START + SECOND)
    running = replace(MADE, end_time=None, response=None)

    operations = [MADE, longer, longest, failed, elsewhere, running]
    expected = polling.expectation(operations, ORDERS)
    assert expected is not None
    assert expected.length == 3 * HOUR
    assert polling.expectation([failed, elsewhere, running], ORDERS) is None


def test_a_following_of_two_hours_takes_few_looks() -> None:
    """From start to end, with nothing known but the clock, the whole chain is some dozen calls."""
    elapsed, looks = NOTHING, 0
    while elapsed < 2 * HOUR:
        elapsed += polling.bounded(wait(0, elapsed), str(looks), low=LOW, high=HIGH)
        looks += 1

    assert looks < 40
    assert elapsed - 2 * HOUR < 20 * MINUTE
