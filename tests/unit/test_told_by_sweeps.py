"""Every outcome of a sweep, whole, and the edges between one and the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.context import Report
from backstop.deliver import deliver
from backstop.lifecycle import Outcome
from backstop.ports import Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import (
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MICROSECOND,
    NIGHTLY,
    SCHEDULE,
    START,
    World,
)
from tests.unit.told import COMPLETE, DAY_BILLED, LOSES, of_command, of_nightly

if TYPE_CHECKING:
    from datetime import timedelta

    from backstop.ports import Operation

LATE = "{backup} was complete before its cancel took effect, and "
NOTHING = f"Nothing to stop and nothing left behind in {INSTANCE}."


def lost_race(settings: Settings | None = None, *, scheduled: bool = False) -> World:
    """A backup that was cancelled by hand and completed all the same, with nobody looking after it."""
    world = World(LOSES, settings=settings)
    world.cancel_by_hand(world.start_scheduled("nightly") if scheduled else world.start_by_hand())
    world.tick(3 * HOUR)
    return world


def test_a_sweep_that_finds_nothing_is_told_in_full() -> None:
    """It says where it looked."""
    world = World()

    report = world.send(action="sweep", instance=INSTANCE)

    assert world.results == [of_command(world, "NOTHING_TO_CANCEL", NOTHING, INSTANCE)]
    assert [result.outcome for result in report.results] == [Outcome.NOTHING_TO_CANCEL]
    assert replace(report, results=()) == Report("sweep")


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_a_sweep_stops_is_told_in_full(*, dry_run: bool) -> None:
    """Since when it has run, or what would be done."""
    world = World(LOSES)
    world.start_by_hand()
    world.tick(HOUR)

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="1h", dry_run=dry_run)

    stopped = "Asked Spanner to stop {operation}, which has run since 2026-11-22T02:00:00+00:00."
    outcome, detail = ("DRY_RUN", "Would cancel {operation}.") if dry_run else ("CANCEL_REQUESTED", stopped)
    assert world.results == [of_nightly(world, outcome, detail)]
    assert [result.outcome for result in report.results] == [Outcome(outcome)]
    assert replace(report, results=()) == Report("sweep")


@pytest.mark.parametrize(
    ("command", "allow_delete", "outcome", "and_so"),
    [
        ({}, True, "COMPLETED_DESPITE_CANCEL", "stays: the sweep says if_created: keep."),
        ({"if_created": "keep"}, True, "COMPLETED_DESPITE_CANCEL", "stays: the sweep says if_created: keep."),
        ({"if_created": "delete", "dry_run": True}, True, "DRY_RUN", "would be deleted."),
        (
            {"if_created": "delete"},
            False,
            "COMPLETED_KEPT",
            "stays: this deployment may not delete backups (BACKSTOP_ALLOW_DELETE).",
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

    billed = {"billed": DAY_BILLED} if outcome == "COMPLETED_THEN_DELETED" else {}
    assert world.results == [of_nightly(world, outcome, LATE + and_so, **COMPLETE, **billed)]


def test_what_a_schedule_made_is_told_of_in_full() -> None:
    """The schedule is named, and the field that would include it."""
    world = lost_race(scheduled=True)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    stays = f"stays: it was made by {SCHEDULE}, and include_scheduled is not set."
    assert [(result["outcome"], result["detail"]) for result in world.results] == [
        ("COMPLETED_DESPITE_CANCEL", LATE.format(backup=NIGHTLY) + stays)
    ]


def test_a_sweep_that_is_blocked_is_told_in_full() -> None:
    """Google's words are there, and the backup as it is now."""
    world = lost_race()
    world.faults.plan(Fault("DeleteBackup", Code.FAILED_PRECONDITION, message="in use"))

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    detail = LATE + "can't be deleted yet, as a restore or a copy still needs it."
    error = {"code": "FAILED_PRECONDITION", "message": "in use"}
    assert world.results == [of_nightly(world, "DELETE_BLOCKED", detail, **COMPLETE, error=error)]


def test_a_sweep_tells_of_a_backup_as_it_is_now() -> None:
    """Its expiry may have been changed since its operation ended."""
    world = lost_race()
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, START + 24 * HOUR, ("expire_time",)))

    world.send(action="sweep", instance=INSTANCE)

    assert world.results[0]["expire_time"] == "2026-11-23T02:00:00Z"


def test_what_spanner_shows_of_a_schedule_on_the_backup_alone_keeps_a_sweep_from_deleting_it() -> None:
    """The backup that is there now counts as well as the operation's response."""
    world = lost_race(scheduled=True)
    ports = replace(world.ports, spanner=Forgetful(world.spanner, world.clock))
    sweep = world.publish({"action": "sweep", "instance": INSTANCE, "if_created": "delete"})

    deliver(sweep, world.now, ports, world.settings)

    assert world.outcomes == ["COMPLETED_DESPITE_CANCEL"]
    assert world.exists()


@pytest.mark.parametrize(("after", "outcome"), [(0, "COMPLETED_THEN_DELETED"), (1, "NOTHING_TO_CANCEL")])
def test_a_cancel_at_the_moment_of_the_end_was_in_time(after: int, outcome: str) -> None:
    """One that came later was not."""
    world = lost_race()
    spanner = Shifted(world.spanner, world.clock)
    spanner.after = after * MICROSECOND
    sweep = world.publish({"action": "sweep", "instance": INSTANCE, "if_created": "delete"})

    deliver(sweep, world.now, replace(world.ports, spanner=spanner), world.settings)

    assert world.outcomes == [outcome]


class Shifted(SpannerPort):
    """Spanner, but every cancel came so long after its operation's end."""

    after: timedelta

    def list_operations(self, *args: Any, **kwargs: Any) -> list[Operation]:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        listed = super().list_operations(*args, **kwargs)
        return [replace(one, cancel_time=one.end_time and one.end_time + self.after) for one in listed]


class Forgetful(SpannerPort):
    """Spanner, but its list of operations doesn't say who made a backup."""

    def list_operations(self, *args: Any, **kwargs: Any) -> list[Operation]:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        listed = super().list_operations(*args, **kwargs)
        return [replace(one, response=one.response and replace(one.response, schedules=())) for one in listed]


@pytest.mark.parametrize(
    ("plan", "cancel_at"),
    [
        (Plan(duration=HOUR, cancel_duration=None), HOUR - MICROSECOND),
        (Plan(duration=9 * HOUR, cancel_duration=MICROSECOND), HOUR),
        (Plan(duration=HOUR, cancel_duration=None, error=Status(Code.INTERNAL, "broken")), HOUR - MICROSECOND),
    ],
    ids=["completed", "cancelled", "failed"],
)
def test_of_what_was_cancelled_a_sweep_deals_only_with_what_completed(plan: Plan, cancel_at: timedelta) -> None:
    """Where there is no backup, there is nothing to look at."""
    world = World(plan)
    operation = world.start_by_hand()
    world.tick(cancel_at)
    world.cancel_by_hand(operation)
    world.tick(3 * HOUR)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    completed = plan.error is None and plan.duration == HOUR
    assert world.outcomes == ["COMPLETED_THEN_DELETED" if completed else "NOTHING_TO_CANCEL"]
    assert world.calls["GetBackup"] == completed
