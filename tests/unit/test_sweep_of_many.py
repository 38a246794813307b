"""What a `sweep` does where there is much to look after, or where Google refuses some of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.dispatch import deliver
from backstop.handlers import COPIES_MAX, SWEPT_MAX
from backstop.lifecycle import CLOCK_MARGIN
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.support.ports import EventsPort, SpannerPort
from tests.unit.handlers_world import HOUR, INSTANCE, MINUTE, NIGHTLY, RESULTS, SECOND, World
from tests.unit.told import LOSES

if TYPE_CHECKING:
    from backstop.events import Event
    from backstop.names import BackupName, OperationName
    from backstop.ports import Settings

RUNS_LONG = Plan(duration=9 * HOUR, cancel_duration=MINUTE)
MANY = [f"{INSTANCE}/databases/orders-{number:02d}" for number in range(SWEPT_MAX + 8)]
LATE = "{backup} was complete before its cancel took effect, and "


def lost_race(settings: Settings | None = None, *, scheduled: bool = False) -> World:
    """A backup that was cancelled by hand and completed all the same, with nobody looking after it."""
    world = World(LOSES, settings=settings)
    world.cancel_by_hand(world.start_scheduled("nightly") if scheduled else world.start_by_hand())
    world.tick(3 * HOUR)
    return world


def running(count: int) -> tuple[World, list[OperationName]]:
    """So many operations, each of a database of its own, that have run for 7 hours."""
    world = World(RUNS_LONG, databases=MANY)
    operations = [world.start_by_hand(f"nightly-{number}", MANY[number]) for number in range(count)]
    world.tick(7 * HOUR)
    return world, operations


def test_a_sweep_that_is_blocked_says_who_needs_the_backup() -> None:
    """It makes no chain; the next sweep tries again."""
    world = lost_race()
    world.spanner.begin_restore(world.now, NIGHTLY, f"{INSTANCE}/databases/restored", world.now + HOUR)

    world.send(action="sweep", instance=INSTANCE, if_created="delete")
    who = "can't be deleted yet, as projects/demo-project/instances/main/databases/restored still needs it."
    assert world.detail == LATE.format(backup=NIGHTLY) + who
    assert world.results[0]["error"]["code"] == "FAILED_PRECONDITION"
    assert not world.tasks.pending()
    world.tick(2 * HOUR)
    world.send(action="sweep", instance=INSTANCE, if_created="delete")

    assert world.outcomes == ["DELETE_BLOCKED", "COMPLETED_THEN_DELETED"]


def test_a_copy_that_runs_was_invisible_to_a_sweep() -> None:
    """It is named and left alone; of many only a few are named, and none that has ended."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.tick(HOUR)
    names = [f"{INSTANCE}/backups/copy-{number}" for number in range(COPIES_MAX + 1)]
    copies = [world.spanner.begin_copy(world.now, NIGHTLY, name, world.now + 9 * HOUR).name for name in names]
    world.tick(MINUTE)
    ended = world.spanner.begin_copy(world.now, NIGHTLY, f"{INSTANCE}/backups/ended", world.now + HOUR).name
    world.tick(7 * HOUR)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h", if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert f"runs and is left alone: it is a copy of {NIGHTLY}." in world.detail
    assert sum(copy in world.detail for copy in copies) == COPIES_MAX
    assert ended not in world.detail
    assert world.calls["CancelOperation"] == 0


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.NOT_FOUND])
def test_an_operation_that_ended_between_the_look_and_the_cancel_had_a_sweep_rejected(code: Code) -> None:
    """What became of it is the next sweep's business."""
    world, (operation,) = running(1)
    world.faults.plan(Fault("CancelOperation", code))
    command = {"action": "sweep", "instance": INSTANCE, "cancel_after": "6h"}

    world.send(**command)
    world.send(**command)

    assert world.outcomes == ["NOTHING_TO_CANCEL", "CANCEL_REQUESTED"]
    assert world.cancelled(operation)


def test_a_sweep_acts_on_a_dozen_operations_and_leaves_the_rest_to_the_next() -> None:
    """It keeps to Spanner's quota, and says how many are left."""
    world, operations = running(len(MANY))

    first = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")
    assert sum(world.cancelled(operation) for operation in operations) == SWEPT_MAX
    assert first.note == "8 operations are left for the next sweep."
    world.tick(CLOCK_MARGIN + SECOND)
    second = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert all(world.cancelled(operation) for operation in operations)
    assert second.note == ""
    assert world.outcomes == ["CANCEL_REQUESTED"] * len(MANY)


def test_which_come_first_differs_from_sweep_to_sweep() -> None:
    """A dozen that can't be dealt with must not starve the others for good."""
    world, operations = running(len(MANY))
    command = {"action": "sweep", "instance": INSTANCE, "cancel_after": "6h", "dry_run": True}

    seen = [[result.operation for result in world.send(**command).results] for _ in range(6)]
    again = [result.operation for result in world.again().results]

    assert {len(order) for order in seen} == {SWEPT_MAX}
    assert len({tuple(order) for order in seen}) == 6
    assert {name for order in seen for name in order} == set(operations)
    assert again == seen[-1]


@pytest.mark.parametrize("method", ["GetBackup", "CancelOperation"])
def test_one_operation_that_google_refuses_does_not_keep_the_others_from_being_looked_after(method: str) -> None:
    """The refusal is told last."""
    world, operations = running(3)
    world.faults.plan(Fault(method, Code.PERMISSION_DENIED, message="no role", resource=operations[1].backup))

    report = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert world.outcomes == ["CANCEL_REQUESTED", "CANCEL_REQUESTED", "REJECTED"]
    assert world.results[-1]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
    assert not report.retry
    assert [world.cancelled(operation) for operation in operations] == [True, False, True]


def test_a_sweep_that_meets_quota_in_the_middle_goes_on_later() -> None:
    """It is put back as a whole; what was done is not done again."""
    world, operations = running(3)
    world.faults.plan(Fault("CancelOperation", Code.RESOURCE_EXHAUSTED, resource=operations[1]))

    put_back = world.send(action="sweep", instance=INSTANCE, cancel_after="6h")
    world.looks()

    assert put_back.next_poll is not None
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


class Diary(SpannerPort):
    """Spanner, and the results' topic, with a diary of what was deleted and what was told."""

    def __init__(self, world: World) -> None:
        """Begins with nothing."""
        super().__init__(world.spanner, world.clock, world.faults)
        self.results = EventsPort(world.pubsub, world.clock, RESULTS, world.faults)
        self.entries: list[str] = []

    def delete_backup(self, name: BackupName, why: str) -> None:
        """Deletes a backup."""
        super().delete_backup(name, why)
        assert "completed all the same" in why
        self.entries.append(f"deleted {name}")

    def publish(self, result: Event) -> None:
        """Tells an outcome."""
        self.results.publish(result)
        self.entries.append(f"told {result.subject}" if result.outcome == "COMPLETED_THEN_DELETED" else result.outcome)


@pytest.mark.parametrize("code", [None, Code.PERMISSION_DENIED, Code.INTERNAL])
def test_a_sweep_deleted_several_backups_and_told_of_one_or_of_none_before_an_error(code: Code | None) -> None:
    """Each deletion is told when it happens; a refusal keeps none from being looked after, and is told last."""
    world = World(LOSES, databases=MANY[:5])
    for number, database in enumerate(MANY[:5]):
        world.cancel_by_hand(world.start_by_hand(f"nightly-{number}", database))
    world.tick(3 * HOUR)
    if code is not None:
        world.faults.plan(Fault("DeleteBackup", code, skip=3))
    diary = Diary(world)
    ports = replace(world.ports, spanner=diary, results=diary)
    command = world.publish({"action": "sweep", "instance": INSTANCE, "if_created": "delete"})

    report = deliver(command, world.now, ports, world.settings)
    deletions, last = [entry.split() for entry in diary.entries if " " in entry], diary.entries[-1]

    assert len(deletions) == {None: 10, Code.PERMISSION_DENIED: 8, Code.INTERNAL: 6}[code]
    assert [did for did, _ in deletions] == ["deleted", "told"] * (len(deletions) // 2)
    assert [name for _, name in deletions[::2]] == [name for _, name in deletions[1::2]]
    assert (last == "REJECTED") is (code is Code.PERMISSION_DENIED)
    assert [result.subject for result in report.results][: len(deletions) // 2] == [name for _, name in deletions[::2]]
    assert report.retry is (code is Code.INTERNAL)
    deliver(command, world.now, ports, world.settings)
    assert not any(world.exists(f"{INSTANCE}/backups/nightly-{number}") for number in range(5))
    assert len(set(diary.entries) - {"REJECTED", "NOTHING_TO_CANCEL"}) == 10
