"""What a `sweep` does, the safety net for what slipped through, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.context import Report
from backstop.deliver import deliver
from backstop.ports import Listing, Settings
from backstop.sweep import COPIES_MAX, OPERATIONS_MAX
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from tests.support.ports import ResultsPort, SpannerPort
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    RESULTS,
    SCHEDULE,
    SECOND,
    START,
    World,
)
from tests.unit.told import COMPLETE, DAY_BILLED, LOSES, of_command, of_nightly

if TYPE_CHECKING:
    from datetime import timedelta

    from backstop.names import BackupName, OperationName
    from backstop.results import Result

RUNS_LONG = Plan(duration=9 * HOUR, cancel_duration=MINUTE)
BROKEN = Status(Code.INTERNAL, "broken")
MANY = [f"{INSTANCE}/databases/orders-{number:02d}" for number in range(OPERATIONS_MAX + 8)]
NOTHING = f"Nothing to stop and nothing left behind in {INSTANCE}."
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


class Diary(SpannerPort):
    """Spanner, and the results' topic, with a diary of what was deleted and what was told."""

    def __init__(self, world: World) -> None:
        """Begins with nothing."""
        super().__init__(world.spanner, world.clock, world.faults)
        self.results = ResultsPort(world.pubsub, world.clock, RESULTS, world.faults)
        self.entries: list[str] = []

    def delete_backup(self, name: BackupName, why: str) -> None:
        """Deletes a backup."""
        super().delete_backup(name, why)
        assert "completed all the same" in why
        self.entries.append(f"deleted {name}")

    def publish(self, result: Result) -> None:
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
    assert sum(world.cancelled(operation) for operation in operations) == OPERATIONS_MAX
    assert first.note == "8 operations are left for the next sweep."
    world.tick(SECOND)
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

    assert {len(order) for order in seen} == {OPERATIONS_MAX}
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
