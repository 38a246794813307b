"""What is put back: under which name, for how long, and when it is given up, to the microsecond."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from backstop.commands import Follow, Start
from backstop.dispatch import LAST_POLL_MARGIN
from backstop.errors import QuotaError
from backstop.events import Trigger
from backstop.execute import Report
from backstop.followups import FanOut, Intent, Poll, Retry, identity
from backstop.ports import Settings
from backstop.wire import parse_follow_up
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.support.ports import SpannerPort, publish_of
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    MISSING,
    NIGHTLY,
    ORDERS,
    SECOND,
    START,
    World,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backstop.followups import FollowUp

NOT_NOW = Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None)


def waiting(world: World) -> tuple[str, Poll | Retry | FanOut]:
    """The one follow-up that waits, and the identity that its task is named by."""
    (task,) = world.tasks.pending()
    (draft,) = publish_of(task).messages
    return task.name.rpartition("/")[2], parse_follow_up(draft.data)


@pytest.mark.parametrize(
    ("look_max", "period"),
    [(HOUR, "16 s, 112207053"), (10 * SECOND, "4 s, 448828202"), (1.5 * SECOND, "1 s, 1795312801")],
)
def test_a_put_back_is_named_by_the_period_in_which_it_is_due(look_max: timedelta, period: str) -> None:
    """The period is the longest power of two that is no longer than half the wait, counted from the epoch."""
    world = World(settings=Settings(FOLLOW_UPS, poll_min=SECOND, poll_max=look_max))
    world.faults.plan(NOT_NOW)

    world.send(action="cancel", database=ORDERS)

    name, follow_up = waiting(world)
    assert isinstance(follow_up, Retry)
    assert name == identity(follow_up, period)


@pytest.mark.parametrize("target", [{"database": ORDERS}, {"instance": INSTANCE}], ids=["one", "many"])
def test_what_comes_next_is_named_by_its_identity(target: dict[str, str]) -> None:
    """Another name after a roll-out would fork the chains that are under way."""
    world = World(Plan(duration=2 * HOUR))

    world.send(action="start", **target)

    name, follow_up = waiting(world)
    assert name == identity(follow_up)


def test_a_look_that_is_put_back_has_the_name_of_any_look() -> None:
    """Its step is its name, so that deliveries of it hours apart make one successor."""
    world = World(Plan(duration=2 * HOUR))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED, message="no role"))

    world.look()

    name, follow_up = waiting(world)
    assert isinstance(follow_up, Poll)
    assert name == identity(follow_up)


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

    report = world.send(action="cancel", database=ORDERS)

    assert report.next_poll is not None
    assert low <= report.next_poll <= high


@pytest.mark.parametrize(
    ("code", "last"),
    [(Code.PERMISSION_DENIED, START + 3 * DAY), (Code.RESOURCE_EXHAUSTED, START + 3 * DAY + LAST_POLL_MARGIN)],
)
def test_a_look_that_fails_at_the_give_up_time_is_the_last(code: Code, last: datetime) -> None:
    """What passes by itself is waited for a little longer, as the last look bounds what a backup costs."""
    world = World(Plan(duration=6 * DAY))
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", code, times=None, message="no"))

    world.now = last - MICROSECOND
    put_back = world.look()
    assert world.last is not None
    world.now = last
    given_up = world.deliver(world.last)

    assert put_back.next_poll is not None
    assert world.outcomes == ["GAVE_UP"]
    assert world.detail == f"Stopped following {operation} after 1 looks: {code.name}: no. It needs a person now."
    assert replace(given_up, results=()) == Report("look", step=1)


def test_a_command_that_fails_at_its_give_up_time_is_the_last() -> None:
    """Three days after its publishing, to the microsecond."""
    world = World()
    world.faults.plan(NOT_NOW)
    delivery = world.publish({"action": "cancel", "database": ORDERS})

    world.now = START + 3 * DAY - MICROSECOND
    assert world.deliver(delivery).next_poll is not None
    world.now = START + 3 * DAY
    world.deliver(delivery)

    assert world.outcomes == ["GAVE_UP"]


TRIGGER = Trigger("17", START, "t")
LOOK = Poll(trigger=TRIGGER, step=3, operation=MISSING, intent=Intent.KEEP, give_up_at=START)


@pytest.mark.parametrize(
    ("follow_up", "again", "text"),
    [
        (LOOK, "", f"t\n17\nlook {MISSING}\n3\n"),
        (FanOut(trigger=TRIGGER, step=2, command=Start(instance=INSTANCE)), "x", f"t\n17\nfan-out {INSTANCE}\n2\nx"),
        (Retry(trigger=TRIGGER, step=1, command=Start(instance=INSTANCE)), "", f"t\n17\nput-back {INSTANCE}\n"),
        (Retry(trigger=TRIGGER, step=1, command=Start(database=ORDERS)), "x", f"t\n17\nput-back {ORDERS}\nx"),
        (Retry(trigger=TRIGGER, step=1, command=Follow(backup=NIGHTLY)), "x", f"t\n17\nput-back {NIGHTLY}\nx"),
    ],
    ids=["look", "fan-out", "put-back of many", "put-back of one", "put-back of a follow"],
)
def test_an_identity_is_the_same_in_every_revision(follow_up: FollowUp, again: str, text: str) -> None:
    """What one revision has queued, another must know by its name."""
    assert identity(follow_up, again) == hashlib.sha256(text.encode()).hexdigest()
