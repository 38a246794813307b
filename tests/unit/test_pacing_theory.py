"""The waits against the theory in `backstop/pacing.py`, written down a second time and searched step by step."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop import polling
from backstop.polling import Expectation, Sighting
from tests.unit.handlers_world import DAY, HOUR, MINUTE, ORDERS, SECOND, START
from tests.unit.test_pacing import MADE

ZERO = timedelta(0)
LOG_NORMAL = Expectation(timedelta(hours=2), 0.8)


def hazard(elapsed_s: float, length_s: float, spread: float) -> float:
    """How likely a log-normal length of this median and spread ends in the next second, having lasted so long."""
    elapsed_s = max(elapsed_s, 1.0)
    z = (math.log(elapsed_s) - math.log(length_s)) / spread
    longer = math.erfc(z / math.sqrt(2)) / 2
    if longer < 1e-9:
        return z / spread / elapsed_s
    return max(math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) / spread / elapsed_s / longer, 1e-12)


def best(elapsed: timedelta, guess: Expectation) -> float:
    """The first wait, in seconds, whose lag costs more than a look, tried one by one."""
    elapsed_s, length_s = elapsed.total_seconds(), max(guess.length.total_seconds(), 1.0)
    spread = guess.spread
    if elapsed_s > length_s:
        spread = max(spread, (math.log(elapsed_s) - math.log(length_s)) / 2.5)
    wait_s = 1.0
    while wait_s < 4 * max(length_s, elapsed_s) and wait_s**2 * hazard(elapsed_s + wait_s, length_s, spread) < 5:
        wait_s *= 1.15
    return wait_s


@pytest.mark.parametrize("elapsed", [ZERO, SECOND, MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 12 * HOUR, DAY, 7 * DAY], ids=str)
@pytest.mark.parametrize(
    "expected",
    [
        None,
        Expectation(timedelta(seconds=0.5), 0.2),
        Expectation(MINUTE, 0.2),
        Expectation(2 * HOUR, 0.2),
        Expectation(2 * HOUR, 0.01),
        Expectation(4 * HOUR, 0.0001),
        Expectation(10 * HOUR, 0.5),
        Expectation(2 * HOUR, 3.0),
    ],
    ids=str,
)
def test_a_wait_is_the_shortest_whose_lag_would_cost_more_than_a_look(
    elapsed: timedelta, expected: Expectation | None
) -> None:
    """Without progress and without a cancel the theory alone decides."""
    wait = polling.wait_running(Sighting(0, elapsed), None, expected, None)

    assert wait.total_seconds() == pytest.approx(best(elapsed, expected or LOG_NORMAL), rel=1e-6)


@pytest.mark.parametrize(
    ("seen", "before", "believed"),
    [
        # Nobody knows the line: six percent off, and half of one for the rounding.
        (Sighting(50, HOUR), None, Expectation(HOUR * 100 / 50.5, math.hypot(0.5, 6) / 50)),
        (Sighting(31, HOUR), None, Expectation(HOUR * 100 / 31.5, math.hypot(0.5, 6) / 31)),
        (Sighting(99, HOUR), Sighting(0, MINUTE), Expectation(HOUR * 100 / 99.5, math.hypot(0.5, 6) / 99)),
        (Sighting(30, HOUR), None, None),
        # On the line, and off it by a few percent.
        (Sighting(50, HOUR), Sighting(25, HOUR / 2), Expectation(HOUR * 100 / 50.5, 0.01)),
        (Sighting(50, 109 * MINUTE), Sighting(25, 54.5 * MINUTE), Expectation(109 * MINUTE * 100 / 50.5, 0.01)),
        (Sighting(10, HOUR), Sighting(5, HOUR / 2), Expectation(HOUR * 100 / 10.5, 0.05)),
        (Sighting(1, HOUR), Sighting(1, HOUR), None),
        (Sighting(2, HOUR), Sighting(1, HOUR / 2), None),
        (Sighting(3, HOUR), Sighting(1, HOUR / 3), Expectation(HOUR * 100 / 3.5, 0.5 / 3)),
        (Sighting(60, HOUR), Sighting(25, HOUR / 2), Expectation(HOUR * 100 / 60.5, math.hypot(0.5, 10) / 60)),
        (Sighting(45, HOUR), Sighting(25, HOUR / 2), Expectation(HOUR * 100 / 45.5, math.hypot(0.5, 5) / 45)),
        # Standing still, as whole percents do for a while, and for longer.
        (
            Sighting(50, 52 * MINUTE),
            Sighting(50, 50 * MINUTE),
            Expectation(52 * MINUTE * 100 / 50.5, math.hypot(0.5, 2) / 50),
        ),
        (Sighting(50, 52.1 * MINUTE), Sighting(50, 50 * MINUTE), None),
        (Sighting(50, 53 * MINUTE), Sighting(50, 50 * MINUTE), None),
        (
            Sighting(51, 55 * MINUTE),
            Sighting(50, 50 * MINUTE),
            Expectation(55 * MINUTE * 100 / 51.5, math.hypot(0.5, 4) / 51),
        ),
        # Nothing, or all that there is.
        (Sighting(0, HOUR), Sighting(25, HOUR / 2), None),
        (Sighting(100, HOUR), Sighting(50, HOUR / 2), None),
    ],
    ids=str,
)
def test_progress_is_believed_as_far_as_it_is_steady(
    seen: Sighting, before: Sighting | None, believed: Expectation | None
) -> None:
    """What it says of the length replaces any other guess that is less sure."""
    wait = polling.wait_running(seen, before, None, None)

    assert wait.total_seconds() == pytest.approx(best(seen.elapsed, believed or LOG_NORMAL), rel=1e-6)


@pytest.mark.parametrize("spread", [0.12, math.hypot(0.5, 6) / 50, 0.121])
def test_progress_must_be_surer_than_the_history(spread: float) -> None:
    """Half the way after an hour says two hours, give or take a fraction of 0.1204."""
    history = Expectation(10 * HOUR, spread)
    progress = Expectation(HOUR * 100 / 50.5, math.hypot(0.5, 6) / 50)

    wait = polling.wait_running(Sighting(50, HOUR), None, history, None)

    assert wait.total_seconds() == pytest.approx(
        best(HOUR, progress if progress.spread < spread else history), rel=1e-6
    )


def test_earlier_lengths_say_how_much_they_vary() -> None:
    """The usual spread counts as two more lengths, and one more length is as far off as they are from their middle."""
    lengths = [1.5, 3.0, 12.0]
    operations = [replace(MADE, end_time=START + timedelta(seconds=length)) for length in lengths]

    expected = polling.expectation(operations, ORDERS)

    squares = [math.log(length / 3.0) ** 2 for length in lengths]
    variance = (sum(squares) + 0.2**2 + 0.2**2) / 5
    assert expected is not None
    assert expected.length == 3 * SECOND
    assert expected.spread == pytest.approx((variance + variance / 3) ** 0.5, rel=1e-9)


@pytest.mark.parametrize(("length_s", "taken_s"), [(0.0, 1.0), (0.5, 1.0), (1.5, 1.5)])
def test_a_length_below_a_second_counts_as_one(length_s: float, taken_s: float) -> None:
    """Its logarithm would say that everything else is far off."""
    quick = replace(MADE, end_time=START + timedelta(seconds=length_s))

    expected = polling.expectation([quick], ORDERS)

    assert expected is not None
    assert expected.length == timedelta(seconds=taken_s)
    assert expected.spread == pytest.approx(math.sqrt(0.08 / 3 * 2), rel=1e-9)


@pytest.mark.parametrize("name", ["a", "b", "operation 7"])
def test_a_wait_is_spread_by_a_tenth_either_way_as_its_name_has_it(name: str) -> None:
    """The first eight digits of the name's hash, as a fraction."""
    fraction = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0x100000000
    spread = 10 * MINUTE * (0.9 + 0.2 * fraction)

    assert polling.bounded(10 * MINUTE, name, low=ZERO, high=DAY) / SECOND == pytest.approx(spread / SECOND)
    assert polling.bounded(10 * MINUTE, name, low=spread + SECOND, high=DAY) == spread + SECOND
    assert polling.bounded(10 * MINUTE, name, low=ZERO, high=spread - SECOND) == spread - SECOND
