"""What a `follow` does: reports the end of an operation that somebody else started."""

from __future__ import annotations

import pytest

from backstop.lifecycle import CLOCK_MARGIN
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from tests.unit.handlers_world import (
    DAY,
    HOUR,
    MICROSECOND,
    MINUTE,
    MISSING,
    NIGHTLY,
    ORDERS,
    START,
    USERS,
    World,
)


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


def test_a_cancel_by_somebody_else_is_reported_and_its_backup_stays() -> None:
    """Whoever asked for the cancel decides about deleting."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None))
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.tick(MINUTE)
    world.cancel_by_hand(operation)

    world.looks()

    assert world.outcomes == ["COMPLETED_DESPITE_CANCEL"]
    assert "whoever asked decides about deleting it" in world.detail
    assert world.exists()


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


def test_a_limit_is_not_set_on_a_scheduled_backup_unless_it_is_included() -> None:
    """A follow that could stop it is refused, as a cancel would be."""
    world = World()
    operation = world.start_scheduled()

    world.send(action="follow", database=ORDERS, cancel_after="1h")

    assert world.outcomes == ["REJECTED"]
    assert operation in world.detail
    assert "include_scheduled" in world.detail
    assert not world.tasks.pending()


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


def test_a_follow_of_an_unknown_operation_ends_in_gone() -> None:
    """Nothing can be followed that Spanner doesn't know."""
    world = World()

    world.send(action="follow", operation=MISSING)

    assert world.outcomes == ["GONE"]


@pytest.mark.parametrize(
    ("command", "detail"),
    [
        (
            {"database": USERS},
            f"Found no operation of {USERS} to follow; Spanner keeps them for 7 days after their end.",
        ),
        ({"database": f"{ORDERS}x"}, f"Followed nothing, as there is no {ORDERS}x."),
        ({"backup": NIGHTLY}, f"Followed nothing, as there is no {NIGHTLY}."),
    ],
)
def test_a_follow_that_finds_no_operation_is_rejected(command: dict[str, object], detail: str) -> None:
    """Whoever published it should know that nothing is followed."""
    world = World(databases=[ORDERS, USERS])
    world.start_by_hand("other")

    world.send(action="follow", **command)

    assert world.outcomes == ["REJECTED"]
    assert world.detail == detail


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


def test_a_dry_run_of_a_follow_says_what_would_be_done() -> None:
    """It looks and schedules nothing."""
    world = World()
    operation = world.start_by_hand()

    world.send(action="follow", database=ORDERS, dry_run=True)

    assert world.outcomes == ["DRY_RUN"]
    assert world.detail == f"Would look again later: {operation} is RUNNING."
    assert not world.tasks.pending()
