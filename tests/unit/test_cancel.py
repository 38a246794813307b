"""What a `cancel` does: finds what is meant, stops it, and cleans up if the stop comes too late."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from backstop.lifecycle import CLOCK_MARGIN, GRACE
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.unit.handlers_world import (
    DAY,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    ORDERS,
    SECOND,
    START,
    USERS,
    World,
)

if TYPE_CHECKING:
    from datetime import timedelta

WINS = Plan(duration=2 * HOUR, cancel_duration=5 * SECOND)
LOSES = Plan(duration=2 * HOUR, cancel_duration=None)


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
def test_a_cancel_that_wins_leaves_no_backup_whichever_way_it_was_named(by: str) -> None:
    """Operation, backup and database all lead to the one operation that runs."""
    world = World(WINS)
    operation = world.start_by_hand()
    world.tick(MINUTE)

    report = world.send(action="cancel", **{by: {"operation": operation, "backup": NIGHTLY, "database": ORDERS}[by]})
    world.looks()

    assert (report.command, report.step, report.operation) == ("cancel", 0, operation)
    assert world.outcomes == ["CANCEL_REQUESTED", "CANCELLED"]
    assert {result["operation"] for result in world.results} == {operation}
    assert world.results[-1]["billed"] == {"hours_min": 0}
    assert not world.exists()


def test_a_cancel_that_wins_is_reported_within_a_minute() -> None:
    """Somebody waits for it, so the looks come quickly at first."""
    world = World(WINS)
    world.start_by_hand()

    world.send(action="cancel", database=ORDERS)
    world.looks()

    assert world.now - START < MINUTE


def ended(before: timedelta, by: str) -> World:
    """A cancel that is published this long after its operation ended."""
    world = World(Plan(duration=HOUR - before))
    operation = world.start_by_hand()
    world.tick(HOUR)
    world.send(action="cancel", **{by: {"operation": operation, "backup": NIGHTLY, "database": ORDERS}[by]})
    return world


@pytest.mark.parametrize("by", ["operation", "backup"])
@pytest.mark.parametrize("before", [MICROSECOND, MINUTE, GRACE])
def test_a_backup_that_ended_within_the_grace_lost_the_race(before: timedelta, by: str) -> None:
    """Ten minutes exactly still count, as nobody sees the end the moment it comes."""
    world = ended(before, by)

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]
    assert not world.exists()


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
@pytest.mark.parametrize("before", [GRACE + MICROSECOND, 50 * MINUTE])
def test_a_backup_that_ended_before_the_grace_stays(before: timedelta, by: str) -> None:
    """A cancel is no delete: a microsecond more than ten minutes, and it finds nothing."""
    world = ended(before, by)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert " ended last, at 2026-11-22 02:" in world.detail
    assert world.detail.endswith("If its backup is to go: gcloud spanner backups delete nightly --instance=main")
    assert world.exists()
    assert world.calls["DeleteBackup"] == 0


@pytest.mark.parametrize(
    ("scheduled", "more"), [(False, ""), (True, ', "include_scheduled": true')], ids=["by hand", "by a schedule"]
)
def test_a_cancel_by_database_leaves_what_was_complete_and_says_how_to_delete_it(*, scheduled: bool, more: str) -> None:
    """It may be last night's good one; whoever means it can name it, and a schedule's takes a word more."""
    world = World(Plan(duration=HOUR))
    operation = (world.start_scheduled if scheduled else world.start_by_hand)("nightly")
    world.tick(HOUR + MICROSECOND)

    world.send(action="cancel", database=ORDERS)

    assert (world.outcomes, world.results[0]["severity"]) == (["NOTHING_TO_CANCEL"], "WARNING")
    assert world.detail == (
        f"Nothing to cancel for {ORDERS}: {operation} ended last, at 2026-11-22 03:00:00 UTC. If its backup is to go,"
        f' publish {{"action": "cancel", "backup": "{NIGHTLY}"{more}}} by 2026-11-22 03:10:00 UTC.'
    )
    world.send(**json.loads(world.detail[world.detail.index("{") : world.detail.index("}") + 1]))
    assert world.outcomes[1:] == ["COMPLETED_THEN_DELETED"]


def test_a_cancel_that_is_delivered_late_judges_by_its_publishing() -> None:
    """What ran when it was published is meant, though it ended long before the delivery."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(30 * MINUTE)
    delivery = world.publish({"action": "cancel", "database": ORDERS})

    world.tick(DAY)
    world.deliver(delivery)

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]


def test_a_cancel_says_nothing_about_what_is_started_after_it() -> None:
    """A cancel that arrives late doesn't stop the next backup."""
    world = World()
    delivery = world.publish({"action": "cancel", "database": ORDERS})
    world.tick(CLOCK_MARGIN + MICROSECOND)
    operation = world.start_by_hand()

    world.tick(HOUR / 2)
    world.deliver(delivery)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert not world.cancelled(operation)


def test_a_cancel_that_google_does_not_let_us_look_into_is_rejected() -> None:
    """Any error but NOT_FOUND is Google's word and no state of the operation."""
    world = World()
    operation = world.start_by_hand()
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED, message="no role"))

    world.send(action="cancel", operation=operation)

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}


@pytest.mark.parametrize(("by", "outcome"), [("backup", "CANCELLED"), ("database", "NOTHING_TO_CANCEL")])
def test_what_already_failed_is_told_and_nothing_is_deleted(by: str, outcome: str) -> None:
    """A cancel within the grace of a cancelled operation reports how it ended."""
    world = World(WINS)
    operation = world.start_by_hand()
    world.cancel_by_hand(operation)
    world.tick(MINUTE)

    world.send(action="cancel", **{by: NIGHTLY if by == "backup" else ORDERS})

    assert world.outcomes == [outcome]
    assert "CANCELLED" in world.detail or "was cancelled" in world.detail
    assert world.calls["DeleteBackup"] == 0


def test_a_cancel_that_somebody_else_asked_for_already_is_not_asked_for_again() -> None:
    """Spanner's cancel_time is the record; the operation is followed all the same."""
    world = World(LOSES)
    world.cancel_by_hand(world.start_by_hand())

    world.send(action="cancel", database=ORDERS)
    world.looks()

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]
    assert world.calls["CancelOperation"] == 0


def test_a_cancel_that_is_delivered_twice_makes_one_chain() -> None:
    """The second delivery finds the same operation and schedules the same look."""
    world = World(LOSES)
    world.start_by_hand()
    world.send(action="cancel", database=ORDERS)

    world.again()

    assert len(world.tasks.pending()) == 1
    assert world.calls["CancelOperation"] == 1


def test_a_cancel_that_is_published_again_makes_a_chain_of_its_own() -> None:
    """After a chain was lost, publishing the cancel once more brings it back."""
    world = World(LOSES)
    world.start_by_hand()
    world.send(action="cancel", database=ORDERS)

    world.tick(SECOND)
    world.send(action="cancel", database=ORDERS)

    assert len(world.tasks.pending()) == 2


# Backups that a native schedule makes.


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
def test_a_scheduled_backup_is_not_stopped_unless_it_is_included(by: str) -> None:
    """A cancel for what somebody started by hand must not take the nightly one."""
    world = World()
    operation = world.start_scheduled()
    target = {"operation": operation, "backup": operation.backup, "database": ORDERS}[by]

    world.send(action="cancel", **{by: target})

    assert world.outcomes == ["REJECTED"]
    assert world.detail == f"Did not cancel {operation}, as a backup schedule made it and include_scheduled is not set."
    assert not world.cancelled(operation)


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
def test_a_scheduled_backup_is_stopped_and_deleted_where_it_is_included(by: str) -> None:
    """With include_scheduled it is treated like any other."""
    world = World(LOSES)
    operation = world.start_scheduled()
    target = {"operation": operation, "backup": operation.backup, "database": ORDERS}[by]

    world.send(action="cancel", include_scheduled=True, **{by: target})
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert not world.exists(operation.backup)


def test_the_one_on_demand_is_meant_while_a_scheduled_one_runs() -> None:
    """Without include_scheduled only one operation is left to choose from."""
    world = World(WINS)
    scheduled = world.start_scheduled()
    on_demand = world.start_by_hand()

    world.send(action="cancel", database=ORDERS)

    assert world.outcomes == ["CANCEL_REQUESTED"]
    assert world.cancelled(on_demand)
    assert not world.cancelled(scheduled)


def test_a_deleted_backup_whose_name_a_schedule_took_over_was_taken_for_the_schedule_s() -> None:
    """The operation still runs, and who has the name of its backup now says nothing of it."""
    world = World(Plan(duration=HOUR, cancel_duration=HOUR))
    operation = world.start_by_hand("nightly")
    world.tick(MINUTE)
    world.delete_by_hand(operation.backup)
    scheduled = world.start_scheduled("nightly")

    world.send(action="cancel", operation=operation)
    world.looks()

    assert world.outcomes == ["CANCELLED"]
    assert not world.cancelled(scheduled)


@pytest.mark.parametrize(("by", "outcome"), [("operation", "COMPLETED_KEPT"), ("backup", "REJECTED")])
def test_a_scheduled_backup_that_completed_lately_is_kept_with_its_reason(by: str, outcome: str) -> None:
    """The race was lost, but deleting isn't earned without include_scheduled."""
    world = World(Plan(duration=HOUR))
    operation = world.start_scheduled()
    world.tick(HOUR + MINUTE)

    world.send(action="cancel", **{by: operation if by == "operation" else operation.backup})

    assert world.outcomes == [outcome]
    assert "include_scheduled is not set" in world.detail
    assert world.exists(operation.backup)


def test_a_backup_that_is_deleted_while_it_is_being_made_is_no_scheduled_one() -> None:
    """Nobody can say any more who made it, and stopping its operation is what was asked for."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.delete_by_hand(NIGHTLY)

    world.send(action="cancel", operation=operation)
    world.looks()

    assert world.outcomes == ["CANCELLED"]


def test_a_backup_that_google_does_not_show_is_not_taken_for_one_on_demand() -> None:
    """If nobody can say whether a schedule made it, nothing is cancelled."""
    world = World()
    operation = world.start_scheduled()
    world.faults.plan(Fault("GetBackup", Code.PERMISSION_DENIED, message="no role"))

    world.send(action="cancel", database=ORDERS)

    assert world.outcomes == ["REJECTED"]
    assert not world.cancelled(operation)


def test_a_cancel_by_name_does_not_take_a_longer_name() -> None:
    """The backup's name is compared as a whole."""
    world = World(databases=[ORDERS, USERS])
    other = world.start_by_hand("nightly-users", USERS)
    own = world.start_by_hand("nightly")

    world.send(action="cancel", backup=f"{INSTANCE}/backups/nightly")

    assert world.cancelled(own)
    assert not world.cancelled(other)
