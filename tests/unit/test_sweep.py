"""What a `sweep` does, the safety net for what slipped through, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.dispatch import deliver
from backstop.execute import Report
from backstop.lifecycle import CLOCK_MARGIN
from backstop.operations import Listing
from backstop.ports import Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    SCHEDULE,
    SECOND,
    START,
    World,
)
from tests.unit.told import COMPLETE, DAY_BILLED, LOSES, of_command, of_nightly

if TYPE_CHECKING:
    from datetime import timedelta


RUNS_LONG = Plan(duration=9 * HOUR, cancel_duration=MINUTE)
BROKEN = Status(Code.INTERNAL, "broken")
NOTHING = f"Nothing to stop and nothing left behind in {INSTANCE}."
LATE = "{backup} was complete before its cancel took effect, and "


def lost_race(settings: Settings | None = None, *, scheduled: bool = False) -> World:
    """A backup that was cancelled by hand and completed all the same, with nobody looking after it."""
    world = World(LOSES, settings=settings)
    world.cancel_by_hand(world.start_scheduled("nightly") if scheduled else world.start_by_hand())
    world.tick(3 * HOUR)
    return world


def test_a_sweep_that_finds_nothing_says_so() -> None:
    """Somebody may wait for the answer; it says where it looked."""
    world = World()

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="6h", if_created="delete")

    assert world.results == [of_command(world, "NOTHING_TO_CANCEL", NOTHING, INSTANCE)]
    assert replace(report, results=()) == Report("sweep")


@pytest.mark.parametrize(("age", "stopped"), [(6 * HOUR - MICROSECOND, False), (6 * HOUR, True), (8 * HOUR, True)])
def test_a_sweep_stops_what_has_run_for_too_long(age: timedelta, *, stopped: bool) -> None:
    """The age is that at its publishing, and the limit itself counts."""
    world = World(RUNS_LONG)
    operation = world.start_by_hand()
    world.tick(8 * HOUR)
    delivery = world.publish({"action": "sweep", "instance": INSTANCE, "cancel_after": "6h"})
    world.tick(MINUTE)

    world.deliver(replace(delivery, publish_time=START + age))

    assert world.outcomes == (["CANCEL_REQUESTED"] if stopped else ["NOTHING_TO_CANCEL"])
    assert world.cancelled(operation) is stopped


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_a_sweep_stops_is_told_in_full(*, dry_run: bool) -> None:
    """Since when it has run, or what would be done."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.tick(HOUR)

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="1h", dry_run=dry_run)

    stopped = "Asked Spanner to stop {operation}, which has run since 2026-11-22T02:00:00+00:00."
    outcome, detail = ("DRY_RUN", "Would cancel {operation}.") if dry_run else ("CANCEL_REQUESTED", stopped)
    assert world.results == [of_nightly(world, outcome, detail)]
    assert replace(report, results=()) == Report("sweep")
    assert world.cancelled(operation) is not dry_run


@pytest.mark.parametrize(
    ("plan", "cancel_at", "command"),
    [
        (RUNS_LONG, None, {}),
        (Plan(duration=9 * HOUR, cancel_duration=None), HOUR, {"cancel_after": "6h"}),
        (Plan(duration=HOUR), None, {"cancel_after": "0s", "if_created": "delete"}),
        (Plan(duration=HOUR), 2 * HOUR, {"if_created": "delete"}),
        (Plan(duration=9 * HOUR, cancel_duration=MICROSECOND), HOUR, {"if_created": "delete"}),
        (Plan(duration=HOUR, error=BROKEN), None, {"if_created": "delete"}),
        (Plan(duration=HOUR, cancel_duration=None, error=BROKEN), HOUR - MICROSECOND, {"if_created": "delete"}),
    ],
    ids=[
        "without a limit it stops nothing",
        "whoever asked for a cancel before looks after it",
        "a good backup",
        "a good backup that somebody cancelled too late",
        "a cancel that won",
        "a failure",
        "a failure that was cancelled",
    ],
)
def test_a_sweep_leaves_alone_what_is_nobody_s_leftover(
    plan: Plan, cancel_at: timedelta | None, command: dict[str, object]
) -> None:
    """It doesn't even look at it."""
    world = World(plan)
    operation = world.start_by_hand()
    if cancel_at is not None:
        world.tick(cancel_at)
        world.cancel_by_hand(operation)
    world.now = START + 8 * HOUR

    world.send(action="sweep", instance=INSTANCE, **command)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.calls == {"ListBackupOperations": 1, "Publish": 1}


def test_a_sweep_that_died_after_its_cancel_tells_of_it_when_it_comes_again() -> None:
    """The cancel is Spanner's, the outcome is not lost."""
    world = World(Plan(duration=9 * HOUR, cancel_duration=None))
    world.start_by_hand()
    world.tick(7 * HOUR)
    world.faults.plan(Fault("CancelOperation", Code.UNAVAILABLE, "after"))

    assert world.send(action="sweep", instance=INSTANCE, cancel_after="6h").retry
    world.tick(SECOND)
    world.again()

    assert world.outcomes == ["CANCEL_REQUESTED"]


@pytest.mark.parametrize(
    ("before", "outcome"), [(CLOCK_MARGIN, "CANCEL_REQUESTED"), (CLOCK_MARGIN + SECOND, "NOTHING_TO_CANCEL")]
)
def test_a_cancel_that_two_clocks_may_place_after_the_sweep_counts_as_its_own(before: timedelta, outcome: str) -> None:
    """To tell of it once too often is better than never."""
    world = World(Plan(duration=9 * HOUR, cancel_duration=None))
    operation = world.start_by_hand()
    world.tick(7 * HOUR)
    world.cancel_by_hand(operation)
    world.tick(before)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert world.outcomes == [outcome]


@pytest.mark.parametrize(
    ("command", "allow_delete", "outcome", "and_so"),
    [
        ({}, True, "COMPLETED_DESPITE_CANCEL", "is left alone: the sweep says if_created: keep."),
        ({"if_created": "keep"}, True, "COMPLETED_DESPITE_CANCEL", "is left alone: the sweep says if_created: keep."),
        ({"if_created": "delete", "dry_run": True}, True, "DRY_RUN", "would be deleted."),
        (
            {"if_created": "delete"},
            False,
            "COMPLETED_KEPT",
            "is left alone: this deployment may not delete backups (BACKSTOP_ALLOW_DELETE).",
        ),
        ({"if_created": "delete"}, True, "COMPLETED_THEN_DELETED", "has been deleted."),
    ],
)
def test_what_a_sweep_finds_left_behind_is_told_in_full(
    command: dict[str, object], outcome: str, and_so: str, *, allow_delete: bool
) -> None:
    """What has become of it, and why; what is deleted costs a day."""
    world = lost_race(Settings(FOLLOW_UPS, allow_delete=allow_delete))

    world.send(action="sweep", instance=INSTANCE, **command)

    deleted = outcome == "COMPLETED_THEN_DELETED"
    more = {"billed": DAY_BILLED, "freed_bytes": 5_000_000_000} if deleted else {}
    assert world.results == [of_nightly(world, outcome, LATE + and_so, **COMPLETE, **more)]
    assert world.exists() is not deleted


def test_a_sweep_tells_of_a_backup_as_it_is_now() -> None:
    """Its expiry may have been changed since its operation ended."""
    world = lost_race()
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, START + 24 * HOUR, ("expire_time",)))

    world.send(action="sweep", instance=INSTANCE)

    assert world.results[0]["expire_time"] == "2026-11-23T02:00:00Z"


def test_a_sweep_finds_nothing_where_the_last_one_cleaned_up() -> None:
    """The operation is listed for 7 days; its backup is gone."""
    world = lost_race()
    world.send(action="sweep", instance=INSTANCE, if_created="delete")
    world.tick(DAY)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["COMPLETED_THEN_DELETED", "NOTHING_TO_CANCEL"]
    assert world.calls["DeleteBackup"] == 1


def test_a_sweep_does_not_touch_another_backup_under_the_same_name() -> None:
    """The name was used again, by a backup that nobody cancelled."""
    world = lost_race()
    world.delete_by_hand(NIGHTLY)
    world.start_by_hand()
    world.tick(2 * HOUR)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.exists()


@pytest.mark.parametrize("include", [False, True])
def test_a_sweep_does_not_stop_scheduled_backups_unless_they_are_included(*, include: bool) -> None:
    """What runs long because a schedule made it is left alone."""
    world = World(RUNS_LONG)
    operation = world.start_scheduled()
    world.tick(7 * HOUR)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h", include_scheduled=include)

    assert world.outcomes == (["CANCEL_REQUESTED"] if include else ["NOTHING_TO_CANCEL"])
    assert world.cancelled(operation) is include


class Forgetful(SpannerPort):
    """Spanner, but its list of operations doesn't say who made a backup."""

    def list_operations(self, *args: Any, **kwargs: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        listed = super().list_operations(*args, **kwargs).operations
        return Listing(
            tuple(replace(one, response=one.response and replace(one.response, schedules=())) for one in listed)
        )


@pytest.mark.parametrize("spanner", [SpannerPort, Forgetful])
def test_a_sweep_does_not_delete_scheduled_backups_unless_they_are_included(spanner: type[SpannerPort]) -> None:
    """It says why it keeps them, whether the operation's answer names the schedule or the backup alone does."""
    world = lost_race(scheduled=True)
    ports = replace(world.ports, spanner=spanner(world.spanner, world.clock))
    command: dict[str, object] = {"action": "sweep", "instance": INSTANCE, "if_created": "delete"}

    deliver(world.publish(command), world.now, ports, world.settings)
    why = f"is left alone: it was made by {SCHEDULE}, and include_scheduled is not set."
    assert world.detail == LATE.format(backup=NIGHTLY) + why
    assert world.exists()
    deliver(world.publish({**command, "include_scheduled": True}), world.now, ports, world.settings)

    assert world.outcomes == ["COMPLETED_KEPT", "COMPLETED_THEN_DELETED"]
    assert not world.exists()


class Shifted(SpannerPort):
    """Spanner, but every cancel came so long after its operation's end."""

    after: timedelta

    def list_operations(self, *args: Any, **kwargs: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        listed = super().list_operations(*args, **kwargs).operations
        return Listing(tuple(replace(one, cancel_time=one.end_time and one.end_time + self.after) for one in listed))


@pytest.mark.parametrize(("after", "outcome"), [(0, "COMPLETED_THEN_DELETED"), (1, "NOTHING_TO_CANCEL")])
def test_a_cancel_at_the_moment_of_the_end_was_in_time(after: int, outcome: str) -> None:
    """One that came later was not."""
    world = lost_race()
    spanner = Shifted(world.spanner, world.clock)
    spanner.after = after * MICROSECOND
    sweep = world.publish({"action": "sweep", "instance": INSTANCE, "if_created": "delete"})

    deliver(sweep, world.now, replace(world.ports, spanner=spanner), world.settings)

    assert world.outcomes == [outcome]
