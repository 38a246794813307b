"""What is retried: under which name, for how long, and when it is given up, to the microsecond."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn

import pytest

from backstop.commands import Follow, Start
from backstop.dispatch import LAST_POLL_MARGIN
from backstop.errors import QuotaError
from backstop.events import Trigger
from backstop.execute import Report
from backstop.followups import FanOut, FollowUp, Intent, Poll, Retry, identity
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, MISSING, NIGHTLY, ORDERS, World
from tests.unit.said import LOSES
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

CANCEL: dict[str, object] = {"action": "cancel", "database": ORDERS}
LAST = START + 3 * HOUR + 3 * DAY
NOT_NOW = Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None, message="slow down")


@pytest.mark.parametrize(
    ("poll_max", "period"),
    [(HOUR, "16 s, 112207053"), (10 * SECOND, "4 s, 448828202"), (1.5 * SECOND, "1 s, 1795312801")],
)
def test_a_retry_is_named_by_the_period_in_which_it_is_due(poll_max: timedelta, period: str) -> None:
    """The period is the longest power of two that is no longer than half the wait, counted from the epoch."""
    world = World(settings=Settings(FOLLOW_UPS, poll_min=SECOND, poll_max=poll_max))
    world.faults.plan(NOT_NOW)

    world.send(**CANCEL)

    ((name, retry),) = world.waiting
    assert isinstance(retry, Retry)
    assert name == identity(retry, period)


@pytest.mark.parametrize("about", [{"database": ORDERS}, {"instance": INSTANCE}], ids=["one", "many"])
def test_what_comes_next_is_named_by_its_identity(about: dict[str, str]) -> None:
    """Another name after a roll-out would fork the chains; a poll that is retried has the name of any poll."""
    world = World(LOSES)
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED))

    world.send(action="start", **about)
    for _ in range(2):
        ((name, follow_up),) = world.waiting
        assert isinstance(follow_up, Poll | FanOut)
        assert name == identity(follow_up)
        world.look()


TRIGGER = Trigger("17", START, "t")
POLL = Poll(trigger=TRIGGER, step=3, operation=MISSING, intent=Intent.KEEP, give_up_at=START)


@pytest.mark.parametrize(
    ("follow_up", "again", "text"),
    [
        (POLL, "", f"t\n17\npoll {MISSING} 3\n"),
        (FanOut(trigger=TRIGGER, step=2, command=Start(instance=INSTANCE)), "x", f"t\n17\nfan-out {INSTANCE} 2\nx"),
        (Retry(trigger=TRIGGER, step=1, command=Start(instance=INSTANCE)), "", f"t\n17\nretry {INSTANCE}\n"),
        (Retry(trigger=TRIGGER, step=1, command=Follow(backup=NIGHTLY)), "x", f"t\n17\nretry {NIGHTLY}\nx"),
    ],
    ids=["poll", "fan-out", "retry of many", "retry of a follow"],
)
def test_an_identity_is_the_same_in_every_revision(follow_up: FollowUp, again: str, text: str) -> None:
    """What one revision has queued, another must know by its name."""
    assert identity(follow_up, again) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        (None, 0.9 * MINUTE, 1.1 * MINUTE),
        (10 * SECOND, 0.9 * MINUTE, 1.1 * MINUTE),
        (2 * MINUTE, 2 * MINUTE, 2 * MINUTE),
        (3 * HOUR, HOUR, HOUR),
    ],
)
def test_a_delay_that_google_asked_for_was_cut_short(
    asked: timedelta | None, low: timedelta, high: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for in full, but never longer than the longest wait that the operator chose."""
    world = World()

    def be_busy(*_: object, **__: object) -> NoReturn:
        raise QuotaError("RESOURCE_EXHAUSTED", "slow down", retry_after=asked)

    monkeypatch.setattr(SpannerPort, "list_operations", be_busy)

    report = world.send(**CANCEL)

    assert report.next_poll is not None
    assert low <= report.next_poll <= high


@pytest.mark.parametrize(
    ("code", "last"), [(Code.PERMISSION_DENIED, LAST), (Code.RESOURCE_EXHAUSTED, LAST + LAST_POLL_MARGIN)]
)
def test_a_poll_that_fails_at_the_give_up_time_is_the_last(code: Code, last: datetime) -> None:
    """What passes by itself is waited for a little longer, as the last poll bounds what a backup costs."""
    world = World(Plan(duration=6 * DAY))
    operation = world.start_by_hand()
    world.tick(3 * HOUR)
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", code, times=None, message="no"))

    world.now = last - MICROSECOND
    retried = world.look()
    assert world.last is not None
    world.now = last
    given_up = world.deliver(world.last)

    assert retried.next_poll is not None
    assert world.outcomes == ["GAVE_UP"]
    seen = "; progress was 2 % when last seen"
    assert world.detail == f"Stopped following {operation} after 1 polls: {code.name}: no{seen}. It needs a person now."
    assert world.results[0]["error"] == {"code": code.name, "message": "no"}
    assert replace(given_up, trigger=None, events=()) == Report("poll", step=1)


@pytest.mark.parametrize(
    ("command", "may"),
    [
        (CANCEL, ""),
        ({"action": "start", "database": ORDERS, "dry_run": True}, ""),
        (
            {"action": "start", "database": ORDERS},
            " A backup that it may have started, and that no outcome tells of, is followed by nobody.",
        ),
    ],
)
def test_a_command_that_fails_at_its_give_up_time_says_what_it_may_have_begun(
    command: dict[str, object], may: str
) -> None:
    """Three days after its publishing, to the microsecond. Where no answer came back nobody knows, but who looks."""
    world = World()
    world.faults.plan(NOT_NOW)
    delivery = world.publish(command)

    world.now = START + 3 * DAY - MICROSECOND
    assert world.deliver(delivery).next_poll is not None
    world.now = START + 3 * DAY
    world.deliver(delivery)

    detail = f"Could not be carried out in time: RESOURCE_EXHAUSTED: slow down.{may}"
    assert (world.outcomes, world.detail) == (["GAVE_UP"], detail)
