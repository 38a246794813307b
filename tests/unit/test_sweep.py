"""What a `sweep` does: the safety net for what slipped through."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.ports import Settings
from backstop.sweep import OPERATIONS_MAX
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
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

if TYPE_CHECKING:
    from datetime import timedelta

RUNS_LONG = Plan(duration=9 * HOUR, cancel_duration=MINUTE)
LOSES = Plan(duration=HOUR, cancel_duration=None)
MANY = [f"{INSTANCE}/databases/orders-{number:02d}" for number in range(OPERATIONS_MAX + 8)]


def lost_race(*, settings: Settings | None = None, scheduled: bool = False) -> World:
    """A backup that was cancelled by hand and completed all the same, with nobody looking after it."""
    world = World(LOSES, settings=settings)
    operation = world.start_scheduled("nightly") if scheduled else world.start_by_hand()
    world.cancel_by_hand(operation)
    world.tick(2 * HOUR)
    return world


def test_a_sweep_that_finds_nothing_says_so() -> None:
    """Somebody may wait for the answer."""
    world = World()

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="6h", if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert (report.command, report.note) == ("sweep", "")


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


def test_a_sweep_without_a_limit_stops_nothing() -> None:
    """It only deals with what was cancelled already."""
    world = World(RUNS_LONG)
    operation = world.start_by_hand()
    world.tick(8 * HOUR)

    world.send(action="sweep", instance=INSTANCE)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert not world.cancelled(operation)


def test_a_sweep_does_not_ask_again_for_what_was_asked_before_it() -> None:
    """Whoever asked is looking after it; a cancel that takes its time is no reason for another."""
    world = World(Plan(duration=9 * HOUR, cancel_duration=None))
    world.cancel_by_hand(world.start_by_hand())
    world.tick(7 * HOUR)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]


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


def test_a_sweep_reports_what_was_cancelled_yet_completed_and_keeps_it() -> None:
    """Without `if_created: delete` the sweep only tells."""
    world = lost_race()

    world.send(action="sweep", instance=INSTANCE)

    assert world.outcomes == ["COMPLETED_DESPITE_CANCEL"]
    assert world.detail == (
        f"{NIGHTLY} was complete before its cancel took effect, and stays: the sweep says if_created: keep."
    )
    assert world.exists()


def test_a_sweep_deletes_what_was_cancelled_yet_completed() -> None:
    """With `if_created: delete` nothing is left behind."""
    world = lost_race()

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]
    assert world.results[0]["billed"] == {"hours_min": 24, "size_bytes": 5_000_000_000}
    assert not world.exists()


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


def test_a_sweep_does_not_touch_what_completed_before_it_was_cancelled() -> None:
    """A cancel of something that has ended changes nothing, and Spanner notes no time for it."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.tick(2 * HOUR)
    world.cancel_by_hand(operation)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.exists()


@pytest.mark.parametrize("plan", [Plan(duration=HOUR), Plan(duration=HOUR, error=Status(Code.INTERNAL, "broken"))])
def test_a_sweep_leaves_alone_what_ended_and_was_not_cancelled(plan: Plan) -> None:
    """Good backups and failed ones are nobody's leftovers."""
    world = World(plan)
    world.start_by_hand()
    world.tick(2 * HOUR)

    world.send(action="sweep", instance=INSTANCE, cancel_after="0s", if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]


def test_a_sweep_does_not_stop_scheduled_backups_unless_they_are_included() -> None:
    """What runs long because a schedule made it is left alone."""
    world = World(RUNS_LONG)
    operation = world.start_scheduled()
    world.tick(7 * HOUR)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h")
    assert not world.cancelled(operation)
    world.send(action="sweep", instance=INSTANCE, cancel_after="6h", include_scheduled=True)

    assert world.outcomes == ["NOTHING_TO_CANCEL", "CANCEL_REQUESTED"]
    assert world.cancelled(operation)


def test_a_sweep_does_not_delete_scheduled_backups_unless_they_are_included() -> None:
    """It says why it keeps them."""
    world = lost_race(scheduled=True)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")
    assert SCHEDULE in world.detail
    assert world.exists()
    world.send(action="sweep", instance=INSTANCE, if_created="delete", include_scheduled=True)

    assert world.outcomes == ["COMPLETED_DESPITE_CANCEL", "COMPLETED_THEN_DELETED"]
    assert not world.exists()


def test_a_sweep_that_is_blocked_says_who_needs_the_backup() -> None:
    """It makes no chain; the next sweep tries again."""
    world = lost_race()
    world.spanner.begin_restore(world.now, NIGHTLY, f"{INSTANCE}/databases/restored", world.now + HOUR)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")
    assert "can't be deleted yet, as projects/demo-project/instances/main/databases/restored" in world.detail
    assert not world.tasks.pending()
    world.tick(2 * HOUR)
    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["DELETE_BLOCKED", "COMPLETED_THEN_DELETED"]


def test_a_sweep_of_a_deployment_that_may_not_delete_keeps() -> None:
    """BACKSTOP_ALLOW_DELETE holds for sweeps too."""
    world = lost_race(settings=Settings(FOLLOW_UPS, allow_delete=False))

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["COMPLETED_KEPT"]
    assert "BACKSTOP_ALLOW_DELETE" in world.detail
    assert world.exists()


def test_a_dry_sweep_says_what_it_would_do_and_does_nothing() -> None:
    """For what runs too long and for what was left behind."""
    world = lost_race()
    running = world.start_by_hand("by-hand")

    world.send(action="sweep", instance=INSTANCE, cancel_after="0s", if_created="delete", dry_run=True)

    assert world.outcomes == ["DRY_RUN", "DRY_RUN"]
    assert {result["detail"] for result in world.results} == {
        f"Would cancel {running}.",
        f"{NIGHTLY} was complete before its cancel took effect, and would be deleted.",
    }
    assert world.exists()
    assert not world.cancelled(running)


def test_a_sweep_acts_on_a_dozen_operations_and_leaves_the_rest_to_the_next() -> None:
    """It keeps to Spanner's quota, and says how many are left."""
    world = World(RUNS_LONG, databases=MANY)
    operations = [world.start_by_hand(f"nightly-{number}", database) for number, database in enumerate(MANY)]
    world.tick(7 * HOUR)

    first = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")
    assert sum(world.cancelled(operation) for operation in operations) == OPERATIONS_MAX
    assert first.note == "8 operations are left for the next sweep."
    world.tick(SECOND)
    second = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert all(world.cancelled(operation) for operation in operations)
    assert second.note == ""
    assert world.outcomes == ["CANCEL_REQUESTED"] * len(MANY)


def test_which_come_first_differs_from_sweep_to_sweep() -> None:
    """A dozen that can't be dealt with must not starve the others for good."""
    world = World(RUNS_LONG, databases=MANY)
    for number, database in enumerate(MANY):
        world.start_by_hand(f"nightly-{number}", database)
    world.tick(7 * HOUR)
    command = {"action": "sweep", "instance": INSTANCE, "cancel_after": "6h", "dry_run": True}

    seen = []
    for _ in range(6):
        before = len(world.results)
        world.send(**command)
        seen.append([result["operation"] for result in world.results[before:]])
        assert len(seen[-1]) == OPERATIONS_MAX
    before = len(world.results)
    world.again()
    again = [result["operation"] for result in world.results[before:]]

    assert len({tuple(order) for order in seen}) == 6
    assert set().union(*seen) == {f"{event.operation}" for event in world.spanner.history if event.operation}
    assert again == seen[-1]


def test_one_operation_that_google_refuses_does_not_keep_the_others_from_being_looked_after() -> None:
    """The refusal is told last."""
    world = World(RUNS_LONG, databases=MANY[:3])
    operations = [world.start_by_hand(f"nightly-{number}", database) for number, database in enumerate(MANY[:3])]
    world.tick(7 * HOUR)
    world.faults.plan(Fault("CancelOperation", Code.PERMISSION_DENIED, message="no role", resource=operations[1]))

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert sorted(world.outcomes) == ["CANCEL_REQUESTED", "CANCEL_REQUESTED", "REJECTED"]
    assert world.outcomes[-1] == "REJECTED"
    assert world.results[-1]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
    assert not report.retry
    assert [world.cancelled(operation) for operation in operations] == [True, False, True]


@pytest.mark.parametrize("method", ["GetBackup", "DeleteBackup"])
def test_a_backup_that_google_does_not_let_us_touch_is_told(method: str) -> None:
    """Any refusal but the expected one is Google's word."""
    world = lost_race()
    world.faults.plan(Fault(method, Code.PERMISSION_DENIED, message="no role"))

    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["REJECTED"]
    assert world.exists()


def test_a_sweep_that_meets_quota_in_the_middle_goes_on_later() -> None:
    """It is put back as a whole; what was done is not done again."""
    world = World(RUNS_LONG, databases=MANY[:3])
    operations = [world.start_by_hand(f"nightly-{number}", database) for number, database in enumerate(MANY[:3])]
    world.tick(7 * HOUR)
    world.faults.plan(Fault("CancelOperation", Code.RESOURCE_EXHAUSTED, resource=operations[1]))

    put_back = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")
    world.looks()

    assert put_back.next_look is not None
    assert all(world.cancelled(operation) for operation in operations)
    assert {result["operation"] for result in world.results} == set(operations)
    assert set(world.outcomes) == {"CANCEL_REQUESTED"}


def test_a_backup_that_is_gone_while_its_operation_runs_needs_no_sweep() -> None:
    """Deleting it has cancelled the operation already."""
    world = World(Plan(duration=9 * HOUR, cancel_duration=None))
    world.start_by_hand()
    world.tick(7 * HOUR)
    delivery = world.publish({"action": "sweep", "instance": INSTANCE, "cancel_after": "6h"})
    world.delete_by_hand(NIGHTLY)

    world.deliver(delivery)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.calls["CancelOperation"] == 0
