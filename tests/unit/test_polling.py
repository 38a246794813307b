"""When to poll again: what each kind of knowledge changes, in seconds, and bounds that always hold."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec.structs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop import polling
from backstop.events import Trigger
from backstop.execute import Context
from backstop.followups import Intent, Poll
from backstop.handlers import give_up_at, limit
from backstop.lifecycle import Case, decide
from backstop.names import OperationName
from backstop.operations import Backup, Failure, Operation
from backstop.polling import Expectation, Sighting
from backstop.ports import Settings
from tests.unit.handlers_world import FOLLOW_UPS, NIGHTLY, ORDERS, USERS, World
from tests.unit.times import DAY, HOUR, MINUTE, SECOND, START

ZERO = timedelta(0)
spans = st.timedeltas(ZERO, 40 * DAY)
sightings = st.builds(Sighting, st.integers(0, 100), spans)
earlier = st.builds(Sighting, st.integers(0, 100), st.timedeltas(SECOND, 40 * DAY))
expectations = st.builds(Expectation, st.timedeltas(SECOND, 40 * DAY), st.floats(0.01, 3.0))


@given(sightings, st.none() | earlier, st.none() | expectations, spans)
def test_whatever_is_known_there_is_a_wait_and_a_cancel_never_makes_it_longer(
    seen: Sighting, before: Sighting | None, expected: Expectation | None, since_cancel: timedelta
) -> None:
    """No progress, however odd, makes the polling fail or look back in time; somebody waits for a cancel's end."""
    without = polling.wait_running(seen, before, expected, None)

    assert ZERO <= polling.wait_running(seen, before, expected, since_cancel) <= without


@pytest.mark.parametrize(
    ("elapsed", "expected", "seconds"),
    [
        # Without history: most take one to four hours, so the first polls are minutes apart.
        (ZERO, None, 712),
        (2 * HOUR, None, 203),
        (DAY, None, 407),
        (7 * DAY, None, 1433),
        # With it there is little to see before the end, and much around it.
        (ZERO, Expectation(2 * HOUR, 0.2), 3812),
        (2 * HOUR, Expectation(2 * HOUR, 0.2), 101),
        (3 * HOUR, Expectation(2 * HOUR, 0.2), 76),
        # The surer, the closer behind the end; the vaguer, the sooner.
        (ZERO, Expectation(2 * HOUR, 0.01), 7668),
        (ZERO, Expectation(4 * HOUR, 0.0001), 15422),
        (ZERO, Expectation(2 * HOUR, 3.0), 101),
        # What takes a second, and what should long have ended.
        (ZERO, Expectation(SECOND / 2, 0.2), 1),
        (ZERO, Expectation(SECOND, 3.0), 4),
        (7 * DAY, Expectation(MINUTE, 0.2), 2180),
    ],
    ids=str,
)
def test_the_clock_and_earlier_lengths_say_when_to_poll(
    elapsed: timedelta, expected: Expectation | None, seconds: int
) -> None:
    """A poll is worth 2.5 s of lag, and the end is somewhere around the guess."""
    wait = polling.wait_running(Sighting(0, elapsed), None, expected, None)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)


NOT_BELIEVED = 233
"""The wait after an hour of which nothing is known."""


@pytest.mark.parametrize(
    ("seen", "before", "seconds"),
    [
        # Nobody knows the line, so a progress says little, and below 31 % less than the documentation.
        (Sighting(50, HOUR), None, 1246),
        (Sighting(31, HOUR), None, 2507),
        (Sighting(30, HOUR), None, NOT_BELIEVED),
        (Sighting(99, HOUR), Sighting(0, MINUTE), 38),
        # On the line, and off it by a few percent.
        (Sighting(50, HOUR), Sighting(25, HOUR / 2), 3315),
        (Sighting(10, HOUR), Sighting(5, HOUR / 2), 26974),
        (Sighting(3, HOUR), Sighting(1, HOUR / 3), 47177),
        (Sighting(2, HOUR), Sighting(1, HOUR / 2), NOT_BELIEVED),
        (Sighting(60, HOUR), Sighting(25, HOUR / 2), 407),
        (Sighting(45, HOUR), Sighting(25, HOUR / 2), 1895),
        (Sighting(51, 55 * MINUTE), Sighting(50, 50 * MINUTE), 1648),
        # Nothing, or all that there is, or gone back.
        (Sighting(0, HOUR), Sighting(25, HOUR / 2), NOT_BELIEVED),
        (Sighting(100, HOUR), Sighting(50, HOUR / 2), NOT_BELIEVED),
        (Sighting(24, HOUR), Sighting(25, HOUR / 2), NOT_BELIEVED),
    ],
    ids=str,
)
def test_progress_is_believed_as_far_as_it_is_steady(seen: Sighting, before: Sighting | None, seconds: int) -> None:
    """What it says of the length replaces any other guess that is less sure."""
    wait = polling.wait_running(seen, before, None, None)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)


@pytest.mark.parametrize(("spread", "seconds"), [(0.12, 20396), (0.121, 1246)])
def test_progress_must_be_surer_than_the_history(spread: float, seconds: int) -> None:
    """Half the way after an hour says two hours, give or take a fraction of 0.1204; the history says ten."""
    wait = polling.wait_running(Sighting(50, HOUR), None, Expectation(10 * HOUR, spread), None)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)


@pytest.mark.parametrize(("stands", "seconds"), [(2 * MINUTE, 2180), (2.1 * MINUTE, 233), (10 * MINUTE, 233)])
def test_progress_that_has_just_stuck_was_believed_and_slept_on(stands: timedelta, seconds: int) -> None:
    """Whole percents stand still for a while; longer, and they are no line to the end."""
    wait = polling.wait_running(Sighting(50, 50 * MINUTE + stands), Sighting(50, 50 * MINUTE), None, None)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)


@pytest.mark.parametrize(
    ("since_cancel", "seconds"),
    [(ZERO, 0), (20 * SECOND, 10), (2 * MINUTE, 40), (10 * MINUTE - SECOND, 40), (10 * MINUTE, 300), (DAY, 712)],
)
def test_polls_after_a_cancel_come_at_growing_times(since_cancel: timedelta, seconds: int) -> None:
    """At once at first, close for the first minutes, then in proportion, and never later than without it."""
    wait = polling.wait_running(Sighting(0, MINUTE), None, None, since_cancel)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)
    assert polling.wait_running(Sighting(0, ZERO), None, Expectation(SECOND / 2, 0.2), since_cancel) < 2 * SECOND


def test_refusals_in_a_row_double_the_wait_up_to_where_the_bounds_take_over() -> None:
    """A minute, two, four; and no number of failures overflows."""
    assert [polling.wait_refused(failures) for failures in (1, 2, 3)] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
    assert polling.wait_refused(21) == polling.wait_refused(10_000) == 2**20 * MINUTE


@pytest.mark.parametrize("name", ["a", "b", "operation 7"])
def test_a_wait_is_spread_by_a_tenth_either_way_as_its_name_has_it(name: str) -> None:
    """By the first eight digits of the name's hash, as a fraction; never over the operator's bounds."""
    fraction = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x100000000
    spread = 10 * MINUTE * (0.9 + 0.2 * fraction)

    assert polling.bounded(10 * MINUTE, name, low=ZERO, high=DAY) / SECOND == pytest.approx(spread / SECOND)
    assert polling.bounded(10 * MINUTE, name, low=spread + SECOND, high=DAY) == spread + SECOND
    assert polling.bounded(10 * MINUTE, name, low=ZERO, high=spread - SECOND) == spread - SECOND


RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START, percent=40)
MADE = replace(RUNNING, end_time=START + HOUR, response=Backup(NIGHTLY, ORDERS, START, START + DAY))


def lasted(seconds: float) -> Operation:
    """A backup that took so long."""
    return replace(MADE, end_time=START + timedelta(seconds=seconds))


def test_the_expected_length_is_the_median_of_the_same_database_s_successes() -> None:
    """Failures, cancels, other databases and what still runs say nothing."""
    failed = replace(MADE, end_time=START + SECOND, response=None, error=Failure("INTERNAL", "broken"))
    elsewhere, running = replace(MADE, database=USERS, end_time=START + SECOND), RUNNING

    expected = polling.expectation([MADE, lasted(3 * 3600), lasted(30 * 3600), failed, elsewhere, running], ORDERS)

    assert expected is not None
    assert expected.length == 3 * HOUR
    assert polling.expectation([failed, elsewhere, running], ORDERS) is None


@pytest.mark.parametrize(
    ("lengths", "length", "spread"),
    [
        ([1.5, 3.0, 12.0], 3.0, math.sqrt((math.log(2) ** 2 + math.log(4) ** 2 + 2 * 0.04) / 5 * 4 / 3)),
        ([0.25], 1.0, math.sqrt(2 * 0.04 / 3 * 2)),
        ([0.0], 1.0, math.sqrt(2 * 0.04 / 3 * 2)),
    ],
)
def test_earlier_lengths_say_how_much_they_vary(lengths: list[float], length: float, spread: float) -> None:
    """The usual spread counts as two more lengths; one below a second counts as a second."""
    expected = polling.expectation([lasted(seconds) for seconds in lengths], ORDERS)

    assert expected is not None
    assert expected.length == length * SECOND
    assert expected.spread == pytest.approx(spread, rel=1e-9)


# From one poll to the next.

ANY = Settings(FOLLOW_UPS, poll_min=SECOND, poll_max=DAY)
POLL = Poll(
    trigger=Trigger("17", START),
    step=3,
    operation=RUNNING.name,
    intent=Intent.KEEP,
    give_up_at=START + 3 * DAY,
    failures=2,
)
BEFORE = {"percent": 20, "percent_seconds": 1800}
EXPECTED = {"expected_seconds": 9000, "expected_spread": 0.05}
CANCEL = {"intent": Intent.CANCEL}


@pytest.mark.parametrize(
    ("known", "cancelled", "seconds"),
    [
        ({}, None, 1737),
        (BEFORE, None, 4621),
        ({"percent": 20}, None, 1737),
        (EXPECTED, None, 3494),
        (CANCEL, None, 1),
        ({"unwanted_from": START + HOUR}, None, 1),
        ({"unwanted_from": START + 2 * DAY}, None, 1737),
        ({"unwanted_from": START + HOUR + 7 * SECOND}, None, 7),
        ({}, START + HOUR, 1),
        ({}, START + 58 * MINUTE, 37),
        ({}, START + 2 * HOUR, 1),
    ],
    ids=str,
)
def test_all_that_a_poll_knows_says_when_the_next_one_comes(
    known: dict[str, object], cancelled: datetime | None, seconds: int
) -> None:
    """Each thing changes the wait; the limit of a backup is never slept past, and no clock that is ahead matters."""
    running = replace(RUNNING, cancel_time=cancelled)
    case = Case(msgspec.structs.replace(POLL, **known), START + HOUR, running)

    wait = polling.wait_of(case, running, ANY)

    assert wait.total_seconds() == pytest.approx(seconds, abs=0.6)


@pytest.mark.parametrize(
    ("known", "percent", "seen"),
    [
        ((None, 0), 0, (0, 3600)),
        ((None, 0), 40, (40, 3600)),
        ((39, 1800), 40, (40, 3600)),
        ((40, 1800), 40, (40, 1800)),
        ((41, 1800), 40, (41, 1800)),
    ],
)
def test_the_highest_progress_is_remembered_with_when_it_was_first_seen(
    known: tuple[int | None, int], percent: int, seen: tuple[int, int]
) -> None:
    """One that stands still or goes back is not news."""
    poll = msgspec.structs.replace(POLL, percent=known[0], percent_seconds=known[1], missing="operation")
    case = Case(poll, START + HOUR, replace(RUNNING, percent=percent))

    later, _ = polling.after(case, decide(case), ANY)

    remembered = {"percent": seen[0], "percent_seconds": seen[1], "seen_running": True, "missing": None}
    assert later == msgspec.structs.replace(poll, step=4, failures=0, **remembered)


@pytest.mark.parametrize("published", [START - HOUR, START + HOUR])
def test_a_chain_counts_from_the_later_of_the_operation_and_the_command(published: datetime) -> None:
    """What is unwanted was never so before the command was there to say it."""
    later = max(published, START)
    here = Context(START + DAY, Trigger("17", published), World().ports, ANY)

    assert give_up_at(RUNNING, here) == later + 3 * DAY
    assert limit(None, RUNNING, published) is None
    assert limit(MINUTE, RUNNING, published) == max(START + MINUTE, published)


def test_the_tail_of_what_lasts_too_long_begins_where_the_formula_ends() -> None:
    """Far beyond every guess the hazard is that of a normal distribution's tail, and there is no step in it."""
    beyond = [polling.hazard(7200 * math.exp(0.01 * z), 7200, 0.01) for z in (5.9, 5.99, 6.0, 6.1)]

    assert [later / earlier for earlier, later in pairwise(beyond)] == pytest.approx([1.0, 1.0, 1.0], abs=0.04)
