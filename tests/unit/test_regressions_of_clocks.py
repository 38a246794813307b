"""What clocks, doubled and overtaking messages once made a command do; each test is named after that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backstop.followups import Poll
from backstop.lifecycle import CLOCK_MARGIN
from backstop.names import InstanceName
from backstop.operations import Listing
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.times import HOUR, MICROSECOND, MINUTE, SECOND

CANCEL: dict[str, object] = {"action": "cancel", "database": ORDERS}
FOLLOW: dict[str, object] = {"action": "follow", "database": ORDERS, "cancel_after": "0s"}
START: dict[str, object] = {"action": "start", "database": ORDERS}


def test_a_cancel_that_overtook_its_start_deleted_the_good_backup_before_it() -> None:
    """That one was complete when the cancel was published, so a cancel by database doesn't mean it."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR + 5 * MINUTE)
    world.publish(START)

    world.send(**CANCEL)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.exists()


def test_a_publish_time_that_was_cut_to_milliseconds_hid_what_ran() -> None:
    """The operation seems to have begun after the command, by less than any two clocks differ."""
    world = World()
    world.tick(600 * MICROSECOND)
    operation = world.start_by_hand()

    world.send(**CANCEL)

    assert world.outcomes == ["CANCEL_REQUESTED"]
    assert world.cancelled(operation)


@pytest.mark.parametrize(("command", "outcome"), [(CANCEL, "COMPLETED_KEPT"), (FOLLOW, "REJECTED")])
def test_a_doubled_command_deleted_a_backup_that_began_4_s_after_it_and_completed(
    command: dict[str, object], outcome: str
) -> None:
    """Only clocks say that it began after the command, so doubt keeps it."""
    world = World(Plan(duration=HOUR))
    world.send(**command)
    world.tick(4 * SECOND)
    world.start_by_hand()
    world.tick(2 * HOUR)

    world.again()
    world.looks()

    assert world.outcomes[1:] == [outcome]
    assert world.exists()


@pytest.mark.parametrize("after", [-SECOND, 5 * SECOND])
def test_a_follow_with_a_limit_of_0s_deleted_what_was_complete_just_before(after: timedelta) -> None:
    """Within the margin of two clocks nobody can say that it still ran."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR - after)

    world.send(**FOLLOW)
    world.looks()

    assert world.outcomes == ["COMPLETED"]
    assert world.exists()


def test_a_redelivery_acted_after_one_of_two_that_ran_was_cancelled_meanwhile() -> None:
    """What was turned down stays turned down: two ran when the command was published."""
    world = World()
    operations = [world.start_scheduled(), world.start_by_hand()]
    world.send(**CANCEL, include_scheduled=True)
    world.tick(SECOND)
    world.cancel_by_hand(operations[0])
    world.tick(MINUTE)

    world.again()

    assert world.outcomes == ["REJECTED", "REJECTED"]
    assert all(name in world.detail for name in operations)
    assert not world.cancelled(operations[1])


@pytest.mark.parametrize("by_hand", [True, False], ids=["cancelled", "complete"])
def test_a_redelivery_deleted_a_backup_after_its_rival_had_ended_meanwhile(*, by_hand: bool) -> None:
    """By another clock the rival ran when the command was published, and the other one was complete."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.tick(MINUTE - SECOND)
    delivery = world.publish(CANCEL)
    world.tick(2 * SECOND)
    rival = world.start_by_hand("rival")
    world.deliver(delivery)
    if by_hand:
        world.cancel_by_hand(rival)
    world.tick(2 * MINUTE)

    world.again()

    assert world.outcomes == ["REJECTED", "REJECTED"]
    assert world.exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_somebody_else_s_cancel_passed_as_proof_that_the_operation_still_ran(*, dry_run: bool) -> None:
    """It ended a second after the command, by another clock: too close to tell, and a chain looks once more."""
    world = World(Plan(duration=HOUR, cancel_duration=None))
    operation = world.start_by_hand()
    world.tick(HOUR - SECOND)
    world.cancel_by_hand(operation)
    delivery = world.publish(CANCEL | {"dry_run": dry_run})
    world.tick(MINUTE)

    report = world.deliver(delivery)
    seen = [later.missing for _, later in world.waiting if isinstance(later, Poll)]
    looks = world.looks()

    assert world.outcomes == (["DRY_RUN"] if dry_run else ["COMPLETED_KEPT"])
    assert (world.detail.startswith("Would poll again, to be sure: "), len(looks)) == (dry_run, not dry_run)
    assert (report.next_poll, seen) == ((None, []) if dry_run else (world.settings.poll_min, [None]))
    assert "too close to tell which came first" in world.detail
    assert world.exists()


@pytest.mark.parametrize(("command", "first"), [(CANCEL, "NOTHING_TO_CANCEL"), (FOLLOW, "REJECTED")])
@pytest.mark.parametrize("quota", [False, True], ids=["again", "late"])
def test_a_command_that_had_found_nothing_stopped_hours_later_what_began_just_after_it(
    command: dict[str, object], first: str, *, quota: bool
) -> None:
    """By its clock it may be older, and whoever began that had not heard of it."""
    often = Settings(FOLLOW_UPS, poll_min=SECOND, poll_max=SECOND)
    world = World(Plan(duration=4 * HOUR, cancel_duration=None), settings=often)
    world.faults.plan(*[Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED)] * quota)
    world.send(**command)
    world.tick(5 * SECOND)
    operation = world.start_by_hand()
    world.tick(SECOND)

    reports = world.looks() if quota else [world.again()]

    assert world.ends == ([] if quota else [(first, "")]) + [("REJECTED", operation)]
    assert (len(reports), world.detail.endswith("If meant, name it."), operation in world.detail) == (1, *2 * [True])
    assert not world.cancelled(operation)


def test_somebody_else_s_cancel_took_the_doubt_of_a_doubled_one_away() -> None:
    """Whoever cancelled the backup had decided to keep it; an earlier command deleted it two hours later."""
    world = World(Plan(duration=4 * HOUR, cancel_duration=None))
    world.send(**CANCEL)
    world.tick(5 * SECOND)
    operation = world.start_by_hand()
    world.tick(MINUTE)
    world.cancel_by_hand(operation)
    world.tick(2 * HOUR)

    world.again()

    assert world.outcomes == ["NOTHING_TO_CANCEL", "REJECTED"]


def test_a_cancel_of_the_backup_that_was_started_after_a_cancelled_one_was_turned_down() -> None:
    """Its name says that its start was asked for before the second cancel, so no clock can put it in doubt."""
    world = World()
    for action in ("start", "cancel", "start", "cancel"):
        world.send(action=action, database=ORDERS)
        world.tick(2 * SECOND)

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED"] * 2


@pytest.mark.parametrize(
    "name", [{}, {"backup_id": "orders-20261122-015900-0badcafe"}], ids=["derived", "of that form"]
)
@pytest.mark.parametrize(("after", "stops"), [(SECOND, False), (MICROSECOND, True)])
def test_a_late_cancel_took_the_form_of_a_name_for_proof_that_it_was_meant(
    name: dict[str, str], after: timedelta, *, stops: bool
) -> None:
    """What began after it may be somebody's who names backups so; less than a publish time is cut by is nothing."""
    world = World(Plan(duration=4 * HOUR))
    start = world.publish(START | name)
    world.tick(2 * SECOND)
    cancel, dry = world.publish(CANCEL), world.publish(CANCEL | {"dry_run": True})
    world.tick(after)
    world.deliver(start)
    world.deliver(replace(dry, delivery_attempt=None))
    world.tick(CLOCK_MARGIN)

    world.deliver(cancel)

    assert world.outcomes == ["STARTED", *(["DRY_RUN", "CANCEL_REQUESTED"] if stops else 2 * ["REJECTED"])]


@pytest.mark.parametrize("lost", [False, True], ids=["won", "lost"])
@pytest.mark.parametrize("by", [CANCEL, {"action": "cancel", "backup": NIGHTLY}], ids=["by database", "by backup"])
@pytest.mark.parametrize(
    ("skew", "pause"),
    [(-3 * SECOND, SECOND), (8 * SECOND, 9 * SECOND), (8 * SECOND, 4 * SECOND)],
    ids=["behind", "ahead", "ahead of the next one, too"],
)
def test_a_doubled_cancel_that_had_worked_stopped_the_next_backup_as_well(
    skew: timedelta, pause: timedelta, by: dict[str, object], *, lost: bool
) -> None:
    """Pub/Sub's clock was seconds off, so that both may have begun just after the command; no name tells them apart."""
    world = World(Plan(duration=HOUR, cancel_duration=None) if lost else Plan(duration=HOUR))
    first = world.start_by_hand()
    world.tick(SECOND)
    delivery = world.publish(by)
    delivery = replace(delivery, publish_time=delivery.publish_time + skew)
    world.deliver(delivery)
    if lost:
        world.spanner.finish(world.now, first)
        world.delete_by_hand(NIGHTLY)
    world.tick(pause)
    wanted = world.start_by_hand("nightly" if "backup" in by else "orders-20261122-015900-0badcafe")
    world.tick(SECOND)

    world.again()

    assert world.outcomes == ["CANCEL_REQUESTED", "REJECTED"]
    assert world.detail.startswith(f"Cancels nothing more, as any of these may be meant: {wanted}, ")
    assert not world.cancelled(wanted)


def test_a_cancel_and_a_start_in_the_other_order_stopped_the_new_backup() -> None:
    """The backup's name says, by the same clock as the cancel, that its start was asked for later."""
    world = World()
    cancel = world.publish(CANCEL)
    world.tick(5 * SECOND)
    world.send(**START)

    world.deliver(cancel)

    assert world.outcomes == ["STARTED", "NOTHING_TO_CANCEL"]
    assert not world.cancelled(world.results[0]["operation"])


@pytest.mark.parametrize("after", [MICROSECOND, SECOND])
def test_a_cancel_stopped_what_began_after_it_in_the_stead_of_a_scheduled_backup_that_ran(after: timedelta) -> None:
    """Who published it may have seen the schedule's alone; less than a publish time is cut by is nothing."""
    world = World()
    scheduled = world.start_scheduled()
    world.tick(MINUTE)
    delivery = world.publish(CANCEL)
    world.tick(after)
    operation = world.start_by_hand()

    world.deliver(delivery)

    assert world.outcomes == ["CANCEL_REQUESTED" if after < SECOND else "REJECTED"]
    assert world.cancelled(operation) is (after < SECOND)
    assert not world.cancelled(scheduled)
    assert after < SECOND or world.detail.endswith(f"may be meant: {operation}, {scheduled}. Name the operation.")


# Copies, which are nobody's to stop.

COPY = f"{INSTANCE}/backups/copied"


def copying(length: timedelta = 2 * HOUR) -> tuple[World, str]:
    """A backup that is complete, and its copy, which is being made."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR)
    return world, world.spanner.begin_copy(world.now, NIGHTLY, COPY, length).name


@pytest.mark.parametrize("later", [MINUTE, 3 * HOUR])
@pytest.mark.parametrize("by", ["operation", "backup"])
@pytest.mark.parametrize("action", ["cancel", "follow"])
def test_a_copy_that_was_named_by_its_backup_was_not_known(later: timedelta, by: str, action: str) -> None:
    """It is named, with what it is, and left alone."""
    world, copy = copying()
    world.tick(later)

    world.send(action=action, **{by: copy if by == "operation" else COPY})

    assert world.outcomes == ["REJECTED"]
    assert world.detail.endswith(f" {copy} is left alone: it is a copy of {NIGHTLY}.")
    assert world.calls["CancelOperation"] == 0


class Wide(SpannerPort):
    """Spanner, whose list holds what is left alone, whatever it is narrowed by."""

    def list_operations(self, instance: InstanceName, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on
        """Reads the operations."""
        left_alone = super().list_operations(instance).unhandled
        return Listing(super().list_operations(instance, **narrowed).operations, left_alone)


class Unreadable(Wide):
    """Spanner, which doesn't say what is left alone."""

    def list_operations(self, instance: InstanceName, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on
        """Reads the operations."""
        listed = super().list_operations(instance, **narrowed)
        return replace(listed, unhandled=tuple(replace(one, is_copy=False) for one in listed.unhandled))


@pytest.mark.parametrize(
    ("port", "late", "outcome"),
    [
        (Wide, HOUR + MINUTE, "COMPLETED_THEN_DELETED"),
        (Unreadable, HOUR + MINUTE, "REJECTED"),
        (Unreadable, SECOND, "CANCEL_REQUESTED"),
    ],
)
def test_a_copy_was_in_the_way_of_a_cancel_by_database(port: type[SpannerPort], late: timedelta, outcome: str) -> None:
    """It is no backup of a database that could be meant; what can't be read may be, once what ran has ended."""
    world, copy = copying()
    operation = world.start_by_hand("orders")
    world.port = port
    delivery = world.publish(CANCEL)
    world.tick(late)

    world.deliver(delivery)

    assert world.outcomes == [outcome]
    assert operation in str(world.results[0])
    assert (copy in world.detail) is (outcome == "REJECTED")


def test_what_began_after_the_command_keeps_a_backup_of_its_name_that_was_named_late() -> None:
    """A backup that somebody has made anew since is younger than the command."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR + MINUTE)
    delivery = world.publish({"action": "cancel", "backup": NIGHTLY})
    world.tick(MINUTE)
    world.delete_by_hand(NIGHTLY)
    operation = world.start_by_hand()

    world.deliver(delivery)

    assert world.outcomes == ["REJECTED"]
    assert world.detail.startswith("Deleted nothing, as it is in doubt which operation is meant: ")
    assert operation in world.detail
    assert not world.cancelled(operation)


def test_two_commands_that_found_nothing_to_cancel_were_one_event() -> None:
    """A reader that drops doubles would never have heard of the second."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.tick(3 * HOUR)

    world.send(action="cancel", operation=operation)
    world.send(action="cancel", operation=operation)
    world.again()

    first, second, again = world.event_ids
    assert first != second == again
