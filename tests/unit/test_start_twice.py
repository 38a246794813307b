"""What a start that comes again takes for its own, and which other start it takes for its twin."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backstop.operations import Failure, Listing
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.support.ports import SpannerPort, create_request
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.times import HOUR, MICROSECOND, MINUTE, SECOND, START

MILLISECOND = 1000 * MICROSECOND

NIGHT: dict[str, object] = {"action": "start", "database": ORDERS, "backup_id": "nightly"}
DERIVED: dict[str, object] = {"action": "start", "database": ORDERS}


def interrupted(world: World, **more: object) -> str:
    """A start that began its backup and died before it could have it followed; returns the operation."""
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    assert world.send(**NIGHT, **more).retry
    return next(event.operation for event in world.spanner.history if event.operation)


def test_a_start_whose_backup_was_stopped_before_it_could_be_followed_is_not_begun_anew() -> None:
    """What became of the operation is told; another backup would be one that somebody has just stopped."""
    world = World(Plan(duration=HOUR))
    operation = interrupted(world)
    world.cancel_by_hand(operation)
    world.tick(MINUTE)

    report = world.again()
    assert report.next_poll == timedelta(0)
    world.looks()

    assert (world.ends, world.begun) == ([("STARTED", operation), ("CANCELLED", operation)], 1)


def test_a_start_was_turned_down_for_a_twin_that_was_being_cancelled() -> None:
    """Nobody would have made a backup: the refusal is Google's, and an error."""
    world = World(Plan(duration=3 * HOUR, cancel_duration=10 * MINUTE))
    for action in ("start", "cancel", "start"):
        world.send(action=action, database=ORDERS)
        world.tick(MINUTE)

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", "REJECTED"]
    assert ("severity" in world.results[-1], world.detail.startswith("Google refused: ")) == (False, True)


def test_a_start_took_a_backup_that_somebody_made_anew_with_the_same_expiry_for_its_own() -> None:
    """Whoever makes one like it copies its mark as well; the older one is the message's."""
    world = World(Plan(duration=HOUR))
    world.send(**NIGHT)
    night = world.last
    world.looks()
    expire_time = world.backup().expire_time
    world.delete_by_hand(NIGHTLY)
    anew = world.spanner.apply(world.now, create_request(ORDERS, "nightly", expire_time)).name

    world.last = night
    world.again()

    assert anew not in [operation for _, operation in world.ends]


def test_a_start_takes_the_oldest_that_came_to_nothing_for_its_own() -> None:
    """It was there first, and whoever began the later ones knows of them."""
    world = World(Plan(duration=HOUR))
    operation = interrupted(world)
    world.cancel_by_hand(operation)
    for _ in range(2):
        world.tick(MINUTE)
        world.cancel_by_hand(world.start_by_hand())
    world.tick(MINUTE)

    world.again()

    assert world.ends == [("STARTED", operation)]


def test_a_start_finds_its_own_complete_backup_behind_another_of_its_name() -> None:
    """The mark is in the answer of its operation, whatever has the name now."""
    world = World(Plan(duration=HOUR))
    operation = interrupted(world)
    world.tick(HOUR)
    world.delete_by_hand(NIGHTLY)
    world.start_by_hand()

    world.again()

    assert world.ends == [("STARTED", operation)]


@pytest.mark.parametrize(
    ("before", "outcome"),
    [(10 * SECOND, "REJECTED"), (10 * SECOND + MILLISECOND, "STARTED"), (MILLISECOND, "REJECTED")],
)
def test_what_came_to_nothing_is_in_doubt_only_within_the_clocks_margin(before: timedelta, outcome: str) -> None:
    """Nobody can say whose it was, so the start may be asked for again; what is older isn't this one's."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.cancel_by_hand(operation)
    world.now = START + before

    world.send(**NIGHT)

    assert world.outcomes == [outcome]
    assert world.begun == (2 if outcome == "STARTED" else 1)


@pytest.mark.parametrize("command", [DERIVED, NIGHT])
@pytest.mark.parametrize(("after", "is_twin"), [(10 * MINUTE, True), (10 * MINUTE + MILLISECOND, False)])
def test_an_equal_start_is_a_twin_only_if_it_came_just_before(
    command: dict[str, object], after: timedelta, *, is_twin: bool
) -> None:
    """A doubled publisher is a matter of minutes; later it is a second wish, and somebody should know."""
    world = World(Plan(duration=HOUR))
    world.send(**command)
    world.now = START + after

    world.send(**command)

    assert world.outcomes == ["STARTED", "REJECTED"]
    assert ("another start began" in world.detail) is is_twin
    assert world.results[1].get("error", {}).get("code") in {"FAILED_PRECONDITION", "ALREADY_EXISTS"}


def test_what_a_person_began_is_nobody_s_twin() -> None:
    """Neither under another name, nor under the same with an expiry in whole milliseconds."""
    for backup_id in ("by-hand", "nightly"):
        world = World(Plan(duration=HOUR))
        world.tick(500 * MILLISECOND)
        world.start_by_hand(backup_id)
        world.tick(MINUTE)

        world.send(**NIGHT)

        assert "another start began" not in world.detail
        assert world.results[0].get("severity") is None


def test_a_running_backup_that_is_not_found_has_its_start_delivered_again() -> None:
    """It is there, as its operation runs."""
    world = World(Plan(duration=HOUR))
    operation = interrupted(world)
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    report = world.again()

    assert report.error == Failure("NOT_FOUND", f"{operation} runs, and its backup can't be found")


def test_an_end_before_the_start_is_followed_is_polled_at_once() -> None:
    """A derived name tells that the operation is its own, however it ended."""
    world = World(Plan(duration=HOUR))
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    delivery = world.publish(DERIVED)
    world.tick(MINUTE)
    assert world.deliver(delivery).retry
    world.tick(2 * HOUR)

    report = world.deliver(replace(delivery, delivery_attempt=2))

    assert report.next_poll == timedelta(0)
    ((_, poll),) = world.waiting
    assert str(getattr(poll, "operation", "")).startswith(f"{INSTANCE}/backups/orders-")
    assert getattr(poll, "give_up_at", None) == START + MINUTE + 72 * HOUR


def test_a_derived_name_that_a_person_uses_again_is_still_the_first_one_s() -> None:
    """The start is told how its own operation ended, and never watches over the person's backup."""
    world = World(Plan(duration=HOUR))
    world.send(**DERIVED, cancel_after="0s")
    ((_, operation),) = world.ends
    world.cancel_by_hand(operation)
    world.tick(MINUTE)
    name = operation.split("/")[5]
    theirs = world.start_by_hand(name)

    world.again()
    world.looks()

    assert {told for _, told in world.ends} == {operation}
    assert not world.cancelled(theirs)


class Behind(SpannerPort):
    """Spanner, whose list is behind the first time."""

    asked = 0

    def list_operations(self, *args: Any, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        type(self).asked += 1
        return super().list_operations(*args, **narrowed) if self.asked > 1 else Listing()


@pytest.mark.parametrize("command", [DERIVED, NIGHT], ids=["derived", "named"])
def test_a_start_finds_what_a_faster_delivery_of_its_message_began(command: dict[str, object]) -> None:
    """Spanner refuses the second one, and the list, read once more, has the first."""
    world = World(Plan(duration=HOUR))
    world.send(**command)
    world.port = type("Fresh", (Behind,), {})

    world.again()

    assert (world.outcomes, len(set(world.event_ids)), world.begun) == (["STARTED", "STARTED"], 1, 1)
