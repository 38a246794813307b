"""What a `follow` does: reports the end of an operation that somebody else started."""

from __future__ import annotations

import pytest

from backstop.lifecycle import CLOCK_MARGIN
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from tests.unit.handlers_world import DAY, HOUR, MICROSECOND, MINUTE, NIGHTLY, ORDERS, START, World


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
def test_a_follow_reports_how_an_operation_ended_and_leaves_its_backup_alone(by: str) -> None:
    """Whoever started it, and however it is named."""
    world = World(Plan(duration=2 * HOUR))
    operation = world.start_by_hand()
    world.tick(MINUTE)

    report = world.send(action="follow", **{by: {"operation": operation, "backup": NIGHTLY, "database": ORDERS}[by]})
    world.looks()

    assert (report.command, report.state, report.operation) == ("follow", "RUNNING", operation)
    assert world.outcomes == ["COMPLETED"]
    assert world.results[0]["operation"] == operation
    assert world.exists()


def test_a_follow_reports_a_scheduled_backup_too() -> None:
    """Watching is no harm, so nothing needs to be included."""
    world = World(Plan(duration=2 * HOUR))
    world.start_scheduled()

    world.send(action="follow", database=ORDERS)
    world.looks()

    assert world.outcomes == ["COMPLETED"]


def test_a_follow_of_what_has_ended_reports_it_at_once() -> None:
    """There is nothing to wait for."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(DAY)

    world.send(action="follow", database=ORDERS)

    assert world.outcomes == ["COMPLETED"]
    assert not world.tasks.pending()


def test_a_cancel_by_somebody_else_that_won_is_reported() -> None:
    """CANCELLED is how it ended, whoever asked."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=MINUTE))
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.cancel_by_hand(operation)

    world.looks()

    assert world.outcomes == ["CANCELLED"]


def test_a_follow_with_a_limit_stops_what_takes_too_long() -> None:
    """The limit counts from the operation's start."""
    world = World(Plan(duration=6 * HOUR, cancel_duration=None))
    world.start_by_hand()
    world.tick(HOUR)

    world.send(action="follow", database=ORDERS, cancel_after="2h")
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    received = next(event for event in world.spanner.history if event.what is What.CANCEL_RECEIVED)
    assert received.at == START + 2 * HOUR


def test_a_limit_that_had_passed_before_the_follow_counts_from_the_follow() -> None:
    """What ended before anybody set a limit was never unwanted."""
    world = World(Plan(duration=3 * HOUR))
    world.start_by_hand()
    world.tick(4 * HOUR)

    world.send(action="follow", database=ORDERS, cancel_after="1h")

    assert world.outcomes == ["COMPLETED"]
    assert world.exists()


def test_an_operation_past_its_limit_is_stopped_as_soon_as_no_clock_can_doubt_that_it_still_runs() -> None:
    """Of one that ended within the margin nobody could say whether it was complete before anybody set a limit."""
    world = World(Plan(duration=3 * HOUR))
    operation = world.start_by_hand()
    world.tick(2 * HOUR)

    world.send(action="follow", database=ORDERS, cancel_after="1h")

    assert world.outcomes == []
    world.look()
    assert world.outcomes == ["CANCEL_REQUESTED"]
    assert world.cancelled(operation)
    assert world.now == START + 2 * HOUR + CLOCK_MARGIN


def test_a_limit_is_set_on_a_scheduled_backup_that_is_included() -> None:
    """With include_scheduled it is stopped and deleted like any other."""
    world = World(Plan(duration=3 * HOUR, cancel_duration=None))
    operation = world.start_scheduled()

    world.send(action="follow", database=ORDERS, cancel_after="1h", include_scheduled=True)
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert not world.exists(operation.backup)


def test_a_follow_may_keep_what_came_too_late_to_be_stopped() -> None:
    """`if_created: keep` holds here too."""
    world = World(Plan(duration=3 * HOUR, cancel_duration=None))
    world.start_by_hand()

    world.send(action="follow", database=ORDERS, cancel_after="1h", if_created="keep")
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_KEPT"]


def test_a_follow_does_not_take_what_is_started_after_it() -> None:
    """It means what there was when it was published."""
    world = World()
    delivery = world.publish({"action": "follow", "database": ORDERS})
    world.tick(CLOCK_MARGIN + MICROSECOND)
    world.start_by_hand()

    world.deliver(delivery)

    assert world.outcomes == ["REJECTED"]


def test_a_follow_that_google_does_not_let_us_carry_out_is_rejected() -> None:
    """In Google's words."""
    world = World()
    world.start_by_hand()
    world.faults.plan(Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="no role"))

    world.send(action="follow", database=ORDERS)

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
