"""From one look to the next: what is handed to the pacing, and what is remembered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec.structs
import pytest
from backstop.chain import following, next_wait

from backstop import polling
from backstop.events import Trigger
from backstop.execute import Context
from backstop.followups import Intent, Poll
from backstop.handlers import give_up_at, limit
from backstop.names import OperationName
from backstop.operations import Operation
from backstop.polling import Expectation, Sighting
from backstop.ports import Settings
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    ORDERS,
    SECOND,
    START,
    World,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

ZERO = START - START
TRIGGER = Trigger("17", START)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START, percent=40)
LOOK = Poll(trigger=TRIGGER, step=3, operation=RUNNING.name, intent=Intent.KEEP, give_up_at=START + 3 * DAY, failures=2)
WANTED_BOUNDS = Settings(FOLLOW_UPS, poll_min=SECOND, poll_max=DAY)


def at(now: datetime, settings: Settings = WANTED_BOUNDS) -> At:
    """A delivery then."""
    return Context(now, TRIGGER, World().ports, settings)


def paced(
    elapsed: timedelta,
    before: Sighting | None = None,
    expected: Expectation | None = None,
    since_cancel: timedelta | None = None,
) -> timedelta:
    """The pacing's wait at 40 %, spread by the look's name."""
    wait = polling.wait_running(Sighting(40, elapsed), before, expected, since_cancel)
    return polling.bounded(wait, f"{RUNNING.name} 3", low=SECOND, high=DAY)


BEFORE = {"percent": 20, "percent_seconds": 1800}
EXPECTED = {"expected_seconds": 9000, "expected_spread": 0.05}
CANCEL = {"intent": Intent.CANCEL}


@pytest.mark.parametrize(
    ("known", "wait"),
    [
        ({}, paced(HOUR)),
        (BEFORE, paced(HOUR, Sighting(20, HOUR / 2))),
        ({"percent": 20}, paced(HOUR)),
        ({"percent_seconds": 1800}, paced(HOUR)),
        (EXPECTED, paced(HOUR, None, Expectation(2.5 * HOUR, 0.05))),
        ({"expected_spread": 0.05}, paced(HOUR)),
        (BEFORE | EXPECTED, paced(HOUR, Sighting(20, HOUR / 2), Expectation(2.5 * HOUR, 0.05))),
        (CANCEL, paced(HOUR, since_cancel=ZERO)),
        ({"cancel_at": START + HOUR}, paced(HOUR, since_cancel=ZERO)),
        ({"cancel_at": START + 2 * DAY}, paced(HOUR)),
        ({"cancel_at": START + HOUR + 7 * SECOND}, 7 * SECOND),
        (CANCEL | {"cancel_at": START + HOUR + MICROSECOND}, paced(HOUR, since_cancel=ZERO)),
    ],
    ids=str,
)
def test_the_pacing_is_told_all_that_the_look_knows(known: dict[str, object], wait: timedelta) -> None:
    """Each thing changes the wait, and the limit of a backup is never slept past."""
    assert next_wait(at(START + HOUR), msgspec.structs.replace(LOOK, **known), RUNNING) == wait


@pytest.mark.parametrize("since", [ZERO, SECOND, 2 * MINUTE, HOUR])
def test_the_pacing_is_told_since_when_a_cancel_is_under_way(since: timedelta) -> None:
    """By Spanner's clock, whoever asked."""
    cancelled = replace(RUNNING, cancel_time=START + HOUR - since)

    assert next_wait(at(START + HOUR), LOOK, cancelled) == paced(HOUR, since_cancel=since)


def test_what_spanner_s_clock_has_ahead_of_ours_counts_as_now() -> None:
    """No time is negative."""
    ahead = replace(RUNNING, start_time=START + MINUTE, cancel_time=START + MINUTE)

    assert next_wait(at(START), LOOK, ahead) == paced(ZERO, since_cancel=ZERO)
    assert following(at(START), LOOK, ahead).percent_seconds == 0


@pytest.mark.parametrize(
    ("remembered", "seen", "percent", "seconds"),
    [
        ((None, 0), 0, 0, 3600),
        ((None, 0), 40, 40, 3600),
        ((39, 1800), 40, 40, 3600),
        ((40, 1800), 40, 40, 1800),
        ((41, 1800), 40, 41, 1800),
    ],
)
def test_the_highest_progress_is_remembered_with_when_it_was_first_seen(
    remembered: tuple[int | None, int], seen: int, percent: int, seconds: int
) -> None:
    """One that stands still or goes back is not news."""
    look = msgspec.structs.replace(LOOK, percent=remembered[0], percent_seconds=remembered[1])

    after = following(at(START + HOUR), look, replace(RUNNING, percent=seen))

    known = {"percent": percent, "percent_seconds": seconds, "seen_running": True}
    assert after == msgspec.structs.replace(look, step=4, failures=0, **known)


@pytest.mark.parametrize("published", [START - HOUR, START + HOUR])
def test_a_chain_counts_from_the_later_of_the_operation_and_the_command(published: datetime) -> None:
    """What is unwanted was never so before the command was there to say it."""
    later = max(published, START)
    here = replace(at(START + DAY), trigger=Trigger("17", published))

    assert give_up_at(RUNNING, here) == later + 3 * DAY
    assert limit(None, RUNNING, published) is None
    assert limit(MINUTE, RUNNING, published) == max(START + MINUTE, published)


def test_only_a_poll_that_sees_an_operation_run_is_remembered_to_have_seen_it() -> None:
    """It is what earns a deletion where clocks can't."""
    assert following(at(START), LOOK, RUNNING).seen_running
    assert not following(at(START), LOOK, replace(RUNNING, unexplained=True)).seen_running
    seen = msgspec.structs.replace(LOOK, seen_running=True)
    assert following(at(START), seen, replace(RUNNING, unexplained=True)).seen_running
