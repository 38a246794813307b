"""What a `sweep` does, the safety net for what slipped through, and what is told of it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.dispatch import deliver
from backstop.events import Event
from backstop.handlers import NAMED_MAX, SWEPT_MAX
from backstop.lifecycle import CLOCK_MARGIN
from backstop.names import OperationName
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.support.ports import EventsPort, SpannerPort, update_request
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, RESULTS, SCHEDULE, World
from tests.unit.said import COMPLETE, DELETED, LATE, LOSES, of_nightly
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

SWEEP: dict[str, object] = {"action": "sweep", "instance": INSTANCE}
STOP = SWEEP | {"cancel_after": "6h"}
CLEAN_UP = SWEEP | {"if_created": "delete"}
RUNS_LONG = Plan(duration=9 * HOUR, cancel_duration=None)
BROKEN = Status(Code.INTERNAL, "broken")
NOTHING = f"Nothing to stop and nothing left behind in {INSTANCE}."
MANY = [f"{INSTANCE}/databases/orders-{number:02d}" for number in range(SWEPT_MAX + 8)]


def lost_races(count: int = 1, *, allow_delete: bool = True) -> World:
    """Backups that were cancelled by hand and completed all the same, with nobody looking after them."""
    world = World(LOSES, databases=[ORDERS, *MANY], settings=Settings(FOLLOW_UPS, allow_delete=allow_delete))
    for number, database in enumerate([ORDERS, *MANY][:count]):
        world.cancel_by_hand(world.start_by_hand(f"nightly-{number}" if number else "nightly", database))
    world.tick(3 * HOUR)
    return world


def running(count: int) -> tuple[World, list[OperationName]]:
    """So many operations, each of a database of its own, that have run for 7 hours."""
    world = World(RUNS_LONG, databases=MANY)
    operations = [world.start_by_hand(f"nightly-{number}", MANY[number]) for number in range(count)]
    world.tick(7 * HOUR)
    return world, operations


@pytest.mark.parametrize(("age", "stopped"), [(6 * HOUR - MICROSECOND, False), (6 * HOUR, True)])
def test_a_sweep_stops_what_has_run_for_too_long(age: timedelta, *, stopped: bool) -> None:
    """The age is that at its publishing, and the limit itself counts."""
    world = World(RUNS_LONG)
    operation = world.start_by_hand()
    world.tick(8 * HOUR)
    delivery = world.publish(STOP)
    world.tick(MINUTE)

    world.deliver(replace(delivery, publish_time=START + age))

    assert world.outcomes == (["CANCEL_REQUESTED"] if stopped else ["NOTHING_TO_CANCEL"])
    assert world.cancelled(operation) is stopped
    assert not world.tasks.pending()


def test_a_sweep_spent_its_places_on_backups_that_had_been_deleted_before() -> None:
    """Their operations are listed for 7 days; meanwhile what was still there waited, in the end for good."""
    world = lost_races(SWEPT_MAX + 9)
    for number in range(1, SWEPT_MAX + 9):
        world.delete_by_hand(f"{INSTANCE}/backups/nightly-{number}")

    reports = [world.send(**CLEAN_UP) for _ in range(2)]

    assert [report.note for report in reports] == ["", ""]
    assert (world.outcomes, world.exists()) == (["COMPLETED_THEN_DELETED", "NOTHING_TO_CANCEL"], False)
    assert world.detail == NOTHING


def test_a_sweep_leaves_alone_what_was_made_anew_under_the_name_of_what_was_left_behind() -> None:
    """A backup is its name and its creation; the operation that was cancelled made another one."""
    world = lost_races()
    world.delete_by_hand(NIGHTLY)
    world.start_by_hand()
    world.tick(3 * HOUR)

    world.send(**CLEAN_UP)

    assert (world.detail, world.exists()) == (NOTHING, True)


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_a_sweep_stops_is_told_or_what_it_would_stop(*, dry_run: bool) -> None:
    """A sweep makes no chain, so the last word comes from another sweep, or from whoever follows it."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.tick(HOUR)

    world.send(**SWEEP | {"cancel_after": "1h"}, dry_run=dry_run)

    would, asked = "Would cancel: {operation} is RUNNING.", "Spanner has been asked to stop {operation}; "
    kept = {"expire_time": COMPLETE["expire_time"]}
    asked += "the backup may complete all the same."
    said = (
        of_nightly(world, "DRY_RUN", would)
        if dry_run
        else of_nightly(world, "CANCEL_REQUESTED", asked, **kept, steps=0)
    )
    assert world.results == [said]
    assert world.cancelled(operation) is not dry_run


@pytest.mark.parametrize(
    ("plan", "cancel_at", "command"),
    [
        (RUNS_LONG, None, SWEEP),
        (RUNS_LONG, HOUR, STOP),
        (Plan(duration=HOUR), None, CLEAN_UP | {"cancel_after": "0s"}),
        (Plan(duration=HOUR), 2 * HOUR, CLEAN_UP),
        (Plan(duration=9 * HOUR, cancel_duration=MICROSECOND), HOUR, CLEAN_UP),
        (Plan(duration=HOUR, cancel_duration=None, error=BROKEN), HOUR - MICROSECOND, CLEAN_UP),
    ],
    ids=[
        "without a limit it stops nothing",
        "whoever asked for a cancel before looks after it",
        "a good backup",
        "a good backup that somebody cancelled too late",
        "a cancel that won",
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

    world.send(**command)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.calls == {"ListBackupOperations": 1, "Publish": 1}
    stuck = f"Did nothing in {INSTANCE}. {operation} still runs, cancelled at 2026-11-22 03:00:00 UTC."
    assert (world.detail == stuck) is (command == STOP and cancel_at is not None)


KEPT = "{backup} was complete at 2026-11-22 04:00:00 UTC, and is kept until 2026-12-06 02:00 UTC"
FORBIDDEN = "is left alone: this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)."


@pytest.mark.parametrize(
    ("command", "allow_delete", "outcome", "detail"),
    [
        (SWEEP, True, "COMPLETED_DESPITE_CANCEL", f"{KEPT}, although somebody, or a sweep, asked for a cancel."),
        (CLEAN_UP | {"dry_run": True}, True, "DRY_RUN", f"{LATE}would be deleted."),
        (CLEAN_UP, False, "COMPLETED_KEPT", f"{LATE}{FORBIDDEN}"),
        (CLEAN_UP, True, "COMPLETED_THEN_DELETED", f"{LATE}has been deleted."),
    ],
)
def test_what_a_sweep_finds_left_behind_is_dealt_with_as_it_says(
    command: dict[str, object], outcome: str, detail: str, *, allow_delete: bool
) -> None:
    """What has become of it, as it is now, and why; what is deleted costs a day."""
    world = lost_races(allow_delete=allow_delete)
    world.spanner.apply(world.now, update_request(NIGHTLY, START + 14 * DAY - HOUR))

    world.send(**command)

    steps = {} if outcome == "DRY_RUN" else {"steps": 0}
    now = COMPLETE if outcome == "DRY_RUN" else COMPLETE | {"expire_time": "2026-12-06T01:00:00Z"}
    deleted = DELETED if outcome == "COMPLETED_THEN_DELETED" else {}
    said = of_nightly(world, outcome, detail.replace("02:00 UTC", "01:00 UTC"), **now, **steps, **deleted)
    assert world.results == [said]
    assert world.exists() is not bool(deleted)


@pytest.mark.parametrize("include", [False, True])
def test_a_sweep_neither_stops_nor_deletes_scheduled_backups_unless_they_are_included(*, include: bool) -> None:
    """What runs long because a schedule made it is left alone; of what was cancelled it is told why it is kept."""
    world = World(RUNS_LONG)
    operation = world.start_scheduled()
    world.tick(7 * HOUR)

    world.send(**STOP, include_scheduled=include)
    assert (world.outcomes, world.cancelled(operation)) == (
        ["CANCEL_REQUESTED" if include else "NOTHING_TO_CANCEL"],
        include,
    )
    world.cancel_by_hand(operation)
    world.tick(3 * HOUR)
    world.send(**CLEAN_UP, include_scheduled=include)

    kept = f"is left alone: it was made by {SCHEDULE}, and include_scheduled is not set."
    assert world.detail == LATE.format(backup=operation.backup) + ("has been deleted." if include else kept)
    assert world.exists(operation.backup) is not include


def test_what_a_sweep_may_not_stop_took_the_places_of_what_it_could_deal_with() -> None:
    """A dozen long backups of native schedules kept it from what was left behind, every night, until that expired."""
    world = lost_races()
    for number in range(SWEPT_MAX + 1):
        world.spanner.set_plan(MANY[number], RUNS_LONG)
        world.start_scheduled(f"scheduled-{number}", MANY[number])
        world.tick(SECOND)
    world.tick(7 * HOUR)

    report = world.send(**CLEAN_UP | STOP)

    assert (world.outcomes, world.exists()) == (["COMPLETED_THEN_DELETED"], False)
    assert report.note.count("still runs, as a backup schedule made it") == NAMED_MAX
    assert f"{INSTANCE}/backups/scheduled-0/" in report.note  # What has run the longest is named.
    assert f"So do {SWEPT_MAX + 1 - NAMED_MAX} more." in report.note
    assert "left for the next sweep" not in report.note


class Behind(SpannerPort):
    """A Spanner whose list doesn't show the newest backups yet."""

    def list_backups(self, *_: object) -> dict[str, bool]:
        """Lists none."""
        return {}


def test_a_scheduled_backup_that_the_list_does_not_show_yet_is_not_stopped() -> None:
    """It is asked itself before it is stopped."""
    world = World(RUNS_LONG)
    world.port = Behind
    operation = world.start_scheduled()
    world.tick(7 * HOUR)

    assert world.send(**STOP).note.startswith(f"{operation} still runs, as a backup schedule made it")
    assert not world.cancelled(operation)


def test_a_copy_that_runs_was_invisible_to_a_sweep() -> None:
    """It is named and left alone; of many only a few are named, and none that has ended."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.tick(HOUR)
    names = [f"{INSTANCE}/backups/copy-{number}" for number in range(NAMED_MAX + 1)]
    copies = [world.spanner.begin_copy(world.now, NIGHTLY, name, 9 * HOUR).name for name in names]
    ended = world.spanner.begin_copy(world.now, NIGHTLY, f"{INSTANCE}/backups/ended", HOUR).name
    world.tick(7 * HOUR)

    world.send(**STOP, if_created="delete")

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert f" is left alone: it is a copy of {NIGHTLY}." in world.detail
    assert sum(copy in world.detail for copy in copies) == NAMED_MAX
    assert ended not in world.detail
    assert world.calls["CancelOperation"] == 0


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.NOT_FOUND])
def test_an_operation_that_ended_between_the_look_and_the_cancel_had_a_sweep_rejected(code: Code) -> None:
    """What became of it is the next sweep's business."""
    world, (operation,) = running(1)
    world.faults.plan(Fault("CancelOperation", code))

    world.send(**STOP)
    world.send(**STOP)

    assert world.outcomes == ["NOTHING_TO_CANCEL", "CANCEL_REQUESTED"]
    assert world.cancelled(operation)


def test_a_sweep_that_came_late_deleted_what_began_after_it() -> None:
    """Whoever cancelled it since had decided to keep what completed all the same."""
    world = World(LOSES)
    delivery = world.publish(CLEAN_UP)
    world.tick(MINUTE)
    world.cancel_by_hand(world.start_by_hand())
    world.tick(3 * HOUR)

    world.deliver(delivery)

    assert (world.outcomes, world.exists()) == (["NOTHING_TO_CANCEL"], True)


def test_a_sweep_that_could_not_tell_what_it_had_stopped_told_nothing_when_it_came_again() -> None:
    """By then the operation is being cancelled, as if somebody else had asked for it."""
    world, (operation,) = running(1)
    world.faults.plan(Fault("Publish", Code.UNAVAILABLE))
    assert world.send(**STOP).retry

    world.tick(SECOND)
    world.again()

    assert world.ends == [("CANCEL_REQUESTED", operation)]


@pytest.mark.parametrize(("more", "note"), [(0, ""), (1, "1 operations are left for the next sweep.")])
def test_a_sweep_acts_on_a_dozen_operations_and_leaves_the_rest_to_the_next(more: int, note: str) -> None:
    """It keeps to Spanner's quota, and says how many are left."""
    world, operations = running(SWEPT_MAX + more)

    first = world.send(**STOP)
    assert sum(world.cancelled(operation) for operation in operations) == SWEPT_MAX
    assert first.note == note
    world.tick(CLOCK_MARGIN + SECOND)
    second = world.send(**STOP)

    assert all(world.cancelled(operation) for operation in operations)
    assert second.note == ""
    assert world.outcomes.count("CANCEL_REQUESTED") == len(operations)


def test_which_come_first_differs_from_sweep_to_sweep() -> None:
    """A dozen that can't be dealt with must not starve the others for good."""
    world, operations = running(len(MANY))

    seen = [[event.operation for event in world.send(**STOP, dry_run=True).events] for _ in range(6)]
    again = [event.operation for event in world.again().events]

    assert {len(order) for order in seen} == {SWEPT_MAX}
    assert len({tuple(order) for order in seen}) == 6
    assert {name for order in seen for name in order} == set(operations)
    assert again == seen[-1]


def test_cleaned_up_races_kept_a_sweep_from_seeing_what_hangs() -> None:
    """What runs comes before what is done, however much of that a week holds."""
    world = World(Plan(duration=MINUTE, cancel_duration=None), databases=MANY)
    for number in range(SWEPT_MAX):
        world.cancel_by_hand(world.start_by_hand(f"done-{number}", MANY[number]))
    world.tick(MINUTE)
    world.spanner.set_plan(MANY[-1], Plan(duration=3 * DAY))
    hanging = world.start_by_hand("hanging", MANY[-1])
    world.tick(DAY)

    world.send(**STOP)

    assert world.ends[0] == ("CANCEL_REQUESTED", hanging)


class Diary(EventsPort):
    """The results' topic, with a diary of what was announced and what was told."""

    def __init__(self, world: World) -> None:
        """Begins with nothing."""
        super().__init__(world.pubsub, world.clock, RESULTS, world.faults)
        self.entries: list[tuple[str, str]] = []

    def announce_deletion(self, event: Event) -> None:
        """Announces a deletion."""
        assert event.detail.startswith(f"Tries to delete it: {event.subject} of {event.database} was to be stopped and")
        self.entries.append(("announced", event.subject))

    def publish(self, event: Event) -> None:
        """Tells an outcome."""
        super().publish(event)
        self.entries.append((event.outcome, event.subject))


@pytest.mark.parametrize(
    ("code", "last"), [(None, 5), (Code.PERMISSION_DENIED, 5), (Code.INTERNAL, 4)], ids=["none", "refused", "transient"]
)
def test_a_sweep_deleted_several_backups_and_told_of_one_or_of_none_before_an_error(
    code: Code | None, last: int
) -> None:
    """Each deletion is announced, then told when it is done; a refusal is told last, whatever the others come to."""
    world = lost_races(5)
    if code is not None:
        world.faults.plan(Fault("DeleteBackup", code, skip=3, message="No role."))
    diary = Diary(world)
    command, ports = world.publish(CLEAN_UP), replace(world.ports, events=diary)

    report = deliver(command, world.now, ports, world.settings)

    names = [name for did, name in diary.entries if did == "announced"]
    told = [[("announced", name), ("COMPLETED_THEN_DELETED", name)] for name in names]
    if code is not None:
        told[3].pop()
    refused = [("REJECTED", INSTANCE)] if code is Code.PERMISSION_DENIED else []
    assert len(names) == last
    assert diary.entries == [*(entry for entries in told for entry in entries), *refused]
    assert [event.subject for event in report.events] == [name for did, name in diary.entries if did != "announced"]
    assert report.retry is (code is Code.INTERNAL)
    assert (report.error is None) is (code is None)
    if refused:
        why = rf"Google refused what {names[3]}/operations/\w+ needs: No role\."
        assert re.fullmatch(why, report.events[-1].detail)
        assert report.events[-1].error is report.error is not None
    deliver(command, world.now, ports, world.settings)
    assert not any(world.exists(name) for name in (NIGHTLY, *names))


def test_a_sweep_that_was_blocked_promised_to_try_again() -> None:
    """It makes no chain; only another one that deletes tries again."""
    world = lost_races()
    world.faults.plan(Fault("DeleteBackup", Code.FAILED_PRECONDITION))

    world.send(**CLEAN_UP)

    assert world.outcomes == ["DELETE_BLOCKED"]
    assert world.detail.endswith("; a sweep with if_created: delete tries again.")
