"""What odd, late and passing answers of Google once made a command do; each test is named after that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from backstop.names import BackupName, OperationName
from backstop.operations import Backup, Failure, Listing, Operation
from backstop.ports import Settings
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, encode_follow_up
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.state import State
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.said import LOSES
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND

CANCEL: dict[str, object] = {"action": "cancel", "database": ORDERS}
NAMED = pytest.mark.parametrize("named", [{}, {"backup_id": "nightly"}], ids=["derived", "named"])


@pytest.mark.parametrize("code", [Code.FAILED_PRECONDITION, Code.NOT_FOUND])
def test_a_cancel_of_what_had_just_ended_was_rejected_and_its_backup_left_behind(code: Code) -> None:
    """The refusal is no end: the next poll finds the backup, and that the operation was seen running."""
    world = World(Plan(duration=MINUTE + SECOND))
    world.start_by_hand()
    world.tick(MINUTE)
    world.faults.plan(Fault("CancelOperation", code))

    world.send(**CANCEL)
    world.looks()

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]
    assert not world.exists()


def test_a_sweep_that_could_not_list_backups_stopped_nothing() -> None:
    """It needs the list only for what is left behind."""
    world = World(Plan(duration=DAY))
    operation = world.start_by_hand()
    world.tick(7 * HOUR)
    world.faults.plan(Fault("ListBackups", Code.PERMISSION_DENIED, times=None))

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert world.ends == [("CANCEL_REQUESTED", operation)]


def test_a_broken_results_topic_left_what_was_being_stopped_to_nobody() -> None:
    """The next poll is scheduled before anything is told, so the chain goes on whoever can't be told of it."""
    world = World(LOSES)
    world.start_by_hand()
    world.faults.plan(Fault("Publish", Code.NOT_FOUND))

    assert world.send(**CANCEL).retry
    world.looks()

    assert world.outcomes == ["COMPLETED_THEN_DELETED"]


def test_one_not_found_that_passed_left_a_backup_behind_that_was_told_to_be_gone() -> None:
    """It takes a second poll to say so."""
    world = World(LOSES)
    world.start_by_hand()
    world.send(**CANCEL)
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert world.detail.endswith("has been deleted.")
    assert not world.exists()


def test_one_not_found_of_an_operation_that_was_named_ended_its_cancel() -> None:
    """It was told to be gone, and ran on to a backup that nobody wanted."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.faults.plan(Fault("GetOperation", Code.NOT_FOUND))

    world.send(action="cancel", operation=operation)

    assert world.ends == [("CANCEL_REQUESTED", operation)]


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("late_cancel_refused", [False, True])
def test_a_list_that_was_behind_passed_for_having_seen_the_operation_run(
    missing: int, *, late_cancel_refused: bool
) -> None:
    """It had ended a second before the cancel, whatever Spanner says to that."""
    world = World()
    plan = Plan(duration=HOUR)
    world.spanner = State(databases=[ORDERS], strict=True, default_plan=plan, late_cancel_refused=late_cancel_refused)
    operation = world.start_by_hand()
    behind = world.ports.spanner.list_operations(INSTANCE)

    class Behind(SpannerPort):
        def list_operations(self, *_: object, **__: object) -> Listing:
            """Reads what was true an hour ago."""
            return behind

    world.port = Behind
    world.faults.plan(*[Fault("GetOperation", Code.NOT_FOUND)] * missing)
    world.tick(HOUR + SECOND)
    world.send(**CANCEL)
    world.looks()

    assert world.ends == [("COMPLETED_KEPT", operation)]
    assert world.exists()


@pytest.mark.parametrize("after", [MINUTE, -3 * SECOND], ids=["a minute later", "by a clock that is behind"])
def test_a_cancel_of_a_backup_whose_operation_was_not_listed_yet_found_nothing(after: timedelta) -> None:
    """The backup itself was there, and ran on."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    delivery = world.publish({"action": "cancel", "backup": NIGHTLY})
    world.port = Unlisted

    report = world.deliver(replace(delivery, publish_time=delivery.publish_time + after))

    why = f"To be delivered again: UNAVAILABLE: {NIGHTLY} is there, and its operation is not listed yet."
    assert (world.outcomes, report.retry, report.note) == ([], True, why)


def test_a_cancel_of_a_backup_whose_operation_has_no_end_came_again_for_three_days() -> None:
    """It is in the list, so that the list is not behind."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.tick(2 * MINUTE)
    world.port = Undated

    report = world.send(action="cancel", backup=NIGHTLY)

    assert (world.outcomes, report.retry) == (["NOTHING_TO_CANCEL"], False)


def test_a_cancel_that_found_nothing_was_turned_down_for_a_backup_that_nobody_lets_it_see() -> None:
    """What ran is certain without it; only the advice how to delete it is left out."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.tick(HOUR)
    world.faults.plan(Fault("GetBackup", Code.PERMISSION_DENIED, message="no role"))

    world.send(**CANCEL)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.detail.endswith(". Google doesn't let Backstop see its backup: PERMISSION_DENIED: no role.")


@pytest.mark.parametrize("anew", [False, True])
def test_how_to_delete_a_backup_was_said_of_one_that_was_gone(*, anew: bool) -> None:
    """Whoever did so deleted the one that somebody had made since under its name."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR + SECOND)
    delivery = world.publish(CANCEL)
    world.delete_by_hand(NIGHTLY)
    world.tick(MINUTE)
    if anew:
        world.start_by_hand()

    world.deliver(delivery)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]
    assert world.detail.endswith(" UTC. Its backup was not found just now.")


@pytest.mark.parametrize("skips", [[0], [0, 1]], ids=["once", "twice, and not in a row"])
def test_one_not_found_of_the_operation_ended_its_chain(skips: list[int]) -> None:
    """It takes two polls in a row to say that Spanner has forgotten it; an answer in between takes one back."""
    world = World(Plan(duration=2 * HOUR))
    world.send(action="start", database=ORDERS)
    world.faults.plan(*(Fault("GetOperation", Code.NOT_FOUND, skip=skip) for skip in skips))

    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]


class Shifted(SpannerPort):
    """Spanner, but each backup was created a microsecond later than its operation's answer says."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        found = super().get_backup(name)
        return replace(found, create_time=found.create_time + MICROSECOND)


class Unlisted(SpannerPort):
    """Spanner, but its list is behind."""

    def list_operations(self, *_: object, **__: object) -> Listing:
        """Reads nothing."""
        return Listing()


class Undated(SpannerPort):
    """Spanner, but no operation says when it ended."""

    def list_operations(self, *args: Any, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        found = super().list_operations(*args, **narrowed)
        return replace(found, operations=tuple(replace(one, end_time=None) for one in found.operations))


def test_a_create_time_that_differed_by_a_microsecond_was_told_as_a_deletion() -> None:
    """Another backup has the name, as far as anybody can tell: it stays, and that is said."""
    world = World(LOSES)
    world.start_by_hand()
    world.port = Shifted

    world.send(**CANCEL)
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_KEPT"]
    assert "was created at 2026-11-22T02:00:00.000001+00:00, and the one that was to be stopped at" in world.detail
    assert world.exists()


@pytest.mark.parametrize("include", [False, True])
def test_one_not_found_of_a_running_backup_had_its_cancel_stop_a_schedule_s(*, include: bool) -> None:
    """Nobody can say who makes it, so the message comes again; where a schedule's is included, that is no matter."""
    world = World()
    operation = world.start_scheduled()
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    report = world.send(**CANCEL, include_scheduled=include)

    assert report.retry is not include
    assert include or report.error == Failure("NOT_FOUND", f"{operation} runs, and its backup can't be found")
    assert world.cancelled(operation) is include


@pytest.mark.parametrize(
    ("port", "fault", "what"),
    [
        (
            SpannerPort,
            Code.PERMISSION_DENIED,
            "was complete at 2026-11-22 03:00:00 UTC, and is kept until 2026-12-06 02:00 UTC.",
        ),
        (SpannerPort, Code.NOT_FOUND, "was complete at 2026-11-22 03:00:00 UTC, and was not found just now."),
        (Undated, Code.NOT_FOUND, "was complete at an unknown time, and was not found just now."),
        (Shifted, None, "was complete at 2026-11-22 03:00:00 UTC, and another backup has its name now."),
    ],
)
def test_a_backup_that_is_complete_is_told_as_far_as_it_can_be_seen(
    port: type[SpannerPort], fault: Code | None, what: str
) -> None:
    """That it was complete is certain; what has become of it since is said only where it was seen."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(2 * HOUR)
    world.port = port
    if fault is not None:
        world.faults.plan(Fault("GetBackup", fault))

    report = world.send(action="follow", database=ORDERS)

    assert (world.outcomes, world.detail) == (["COMPLETED"], f"{NIGHTLY} {what}")
    assert report.severity == ("INFO" if "is kept" in what else "WARNING")


class Silent(SpannerPort):
    """Spanner, but it doesn't say how an operation has ended."""

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        found = super().get_operation(name)
        return replace(found, response=None, error=None, unexplained=found.done)


STAYS = f"{NIGHTLY} is there and stays; Spanner does not say what its operation made."
UNSAID = "was complete before it could be stopped, and is left alone: Spanner does not say what its operation made."
NEITHER = f"{NIGHTLY} is not there: its operation has ended, and Spanner gives neither an error nor a backup."


@pytest.mark.parametrize(
    ("action", "deleted", "outcome", "what"),
    [
        ("follow", False, "COMPLETED", STAYS),
        ("cancel", False, "COMPLETED_KEPT", f"{NIGHTLY} {UNSAID}"),
        ("follow", True, "FAILED", NEITHER),
        ("cancel", True, "FAILED", NEITHER),
    ],
)
def test_an_operation_that_ended_without_answer_or_error_was_followed_for_three_days(
    action: str, outcome: str, what: str, *, deleted: bool
) -> None:
    """It is told at once what can be told: whether there is a backup."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.tick(HOUR + MINUTE)
    if deleted:
        world.delete_by_hand(NIGHTLY)
    world.port = Silent

    world.send(action=action, operation=operation)

    assert (world.outcomes, world.detail) == ([outcome], what)
    assert world.exists() is not deleted


# Starts.


def interrupted(world: World, **named: str) -> None:
    """A start that made its backup and died before it could have it followed."""
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    assert world.send(action="start", database=ORDERS, **named).retry


def test_a_start_gave_up_its_own_running_backup_when_it_was_not_found_once() -> None:
    """The operation runs, so its backup is there: the message comes again."""
    world = World()
    interrupted(world, backup_id="nightly")
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    assert world.again().retry
    world.again()

    assert world.outcomes == ["STARTED"]
    assert len(world.tasks.pending()) == 1


class Behind(SpannerPort):
    """Spanner, but no operation is listed yet."""

    def list_operations(self, *_: Any, **__: Any) -> Listing:  # noqa: ANN401 whatever is asked for
        """Reads the operations."""
        return Listing()


@NAMED
@pytest.mark.parametrize("exists_first", [True, False], ids=["ALREADY_EXISTS", "FAILED_PRECONDITION"])
def test_a_start_gave_up_its_own_backup_when_the_list_was_behind(named: dict[str, str], *, exists_first: bool) -> None:
    """The backup itself is there and says whose it is, so the message comes again."""
    world = World()
    world.spanner = State(databases=[ORDERS], exists_before_pending=exists_first)
    interrupted(world, **named)
    world.port = Behind

    assert world.again().retry
    world.port = SpannerPort
    world.again()

    assert (world.outcomes, world.begun) == (["STARTED"], 1)


def test_a_second_start_attached_to_the_first_one_s_cancelled_operation() -> None:
    """Within the margin of two clocks nobody can say whose it was: it is named, and the start may be asked for anew."""
    world = World()
    world.send(action="start", database=ORDERS, backup_id="nightly")
    operation = world.results[0]["operation"]
    world.cancel_by_hand(operation)
    world.tick(5 * SECOND)

    world.send(action="start", database=ORDERS, backup_id="nightly")

    rejected = world.results[1]
    assert (rejected["outcome"], rejected["severity"], rejected["operation"]) == ("REJECTED", "WARNING", operation)
    assert world.detail.startswith(f"Did not start {NIGHTLY}: {operation} came to nothing, and it can't be told")
    world.tick(6 * SECOND)
    world.send(action="start", database=ORDERS, backup_id="nightly")
    assert (world.outcomes[2:], world.begun) == (["STARTED"], 2)


@pytest.mark.parametrize("tick", [count * SECOND for count in range(8)], ids=str)
def test_a_retry_was_swallowed_when_the_queue_dispatched_the_one_before_it_early(tick: timedelta) -> None:
    """Its name must be another whenever less than half of the wait was cut off."""
    world = World(settings=Settings(FOLLOW_UPS, poll_min=10 * SECOND, poll_max=10 * SECOND))
    world.tick(tick)
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None))
    world.send(**CANCEL)
    ((_, retry),) = world.waiting
    world.tick(6 * SECOND)

    data = encode_follow_up(retry)
    world.deliver(Delivery(data, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "18", world.now, FOLLOW_UPS, 1))

    assert len(world.tasks.pending()) == 2
