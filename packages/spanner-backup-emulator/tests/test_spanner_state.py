"""What happens to a backup: its operation, the race with a cancel, its deletion and its end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, SCHEDULE, START, USERS, Desk

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import copied, stamp
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan, Status
from spanner_backup_emulator.spanner.state import State


def _planned(**fields: object) -> Desk:
    return Desk(State(default_plan=Plan(**fields)))  # type: ignore[arg-type]  # the plan's own fields, by name


def test_a_queued_backup_starts_later() -> None:
    """A delay in the queue comes on top of the work, and shows no progress."""
    desk = _planned(duration=HOUR, queue_delay=30 * MINUTE)
    started = desk.create()

    desk.clock.tick(30 * MINUTE)
    assert _percent(desk, started.name) == 0
    desk.clock.tick(30 * MINUTE)
    assert _percent(desk, started.name) == 50
    desk.clock.tick(30 * MINUTE)
    assert desk.operation(started.name).done


@pytest.mark.parametrize(
    ("cancelled_at", "code"),
    [(29 * MINUTE, Code.CANCELLED), (30 * MINUTE, Code.OK), (31 * MINUTE, Code.OK)],
    ids=["just in time", "at the same instant", "just too late"],
)
def test_a_slow_cancel_may_lose(cancelled_at: timedelta, code: Code) -> None:
    """A cancel that takes 30 min stops a backup of an hour only if it is asked for in the first half."""
    desk = _planned(duration=HOUR, cancel_duration=30 * MINUTE)
    started = desk.create()
    desk.clock.tick(cancelled_at)
    desk.cancel(started.name)
    desk.clock.tick(HOUR)

    assert desk.metadata(started.name).cancel_time == stamp(START + cancelled_at)
    assert desk.operation(started.name).error.code == code
    assert desk.exists() is (code is Code.OK)


def test_a_second_cancel_changes_nothing() -> None:
    """cancel_time is that of the first cancel, and the second does not put the effect off."""
    desk = _planned(cancel_duration=10 * MINUTE)
    started = desk.create()
    desk.cancel(started.name)
    desk.clock.tick(5 * MINUTE)
    desk.cancel(started.name)
    desk.clock.tick(5 * MINUTE)

    assert desk.operation(started.name).done
    assert desk.metadata(started.name).cancel_time == stamp(START)


def test_a_cancel_after_the_end_is_answered_and_ignored() -> None:
    """Cancelling what is done changes neither the operation nor the backup."""
    desk = Desk()
    started = desk.create()
    desk.clock.tick(HOUR)
    before = desk.operation(started.name)
    desk.cancel(started.name)
    desk.clock.tick(HOUR)

    assert desk.operation(started.name) == before
    assert desk.exists()


def test_a_planned_failure_leaves_no_backup() -> None:
    """A failing operation ends with its code, and what was made of the backup goes."""
    desk = _planned(error=Status(Code.INTERNAL, "disk on fire"))
    started = desk.create()
    desk.clock.tick(HOUR)

    error = desk.operation(started.name).error
    assert (error.code, error.message) == (Code.INTERNAL, "disk on fire")
    assert not desk.exists()


def test_a_cancelled_backup_may_linger() -> None:
    """With asynchronous removal the backup is seen CREATING for a while after its operation is done."""
    desk = _planned(removal_delay=5 * MINUTE)
    started = desk.create()
    desk.cancel(started.name)

    assert desk.operation(started.name).done
    assert desk.backup().state == pb.Backup.CREATING
    desk.clock.tick(5 * MINUTE)
    assert not desk.exists()


def test_a_name_is_free_as_soon_as_its_cancelled_operation_is_done() -> None:
    """The same id can be used again at once, and the leftover's late removal spares the new backup."""
    desk = _planned(removal_delay=5 * MINUTE)
    first = desk.create()
    desk.cancel(first.name)
    second = desk.create()
    desk.clock.tick(10 * MINUTE)

    assert first.name != second.name
    assert desk.metadata(first.name).name == desk.metadata(second.name).name
    assert desk.exists()
    assert not desk.operation(second.name).done


def test_a_leftover_can_be_deleted() -> None:
    """What a cancelled operation has not cleaned up yet can be deleted by hand."""
    desk = _planned(removal_delay=5 * MINUTE)
    started = desk.create()
    desk.cancel(started.name)
    desk.delete()

    assert not desk.exists()
    desk.clock.tick(DAY)
    assert desk.operation(started.name).done


def test_deleting_a_pending_backup_cancels_its_operation() -> None:
    """The backup goes at once; its operation gets a cancel_time and ends CANCELLED when a cancel would take hold."""
    desk = _planned(cancel_duration=10 * MINUTE)
    started = desk.create()
    desk.delete()

    assert not desk.exists()
    assert not desk.operation(started.name).done
    assert desk.metadata(started.name).cancel_time == stamp(START)
    desk.clock.tick(10 * MINUTE)
    assert desk.operation(started.name).error.code == Code.CANCELLED


def test_a_deleted_backup_does_not_come_back() -> None:
    """Even if the cancel is lost, an operation whose backup was deleted ends CANCELLED, without a backup."""
    desk = _planned(cancel_duration=None)
    started = desk.create()
    desk.delete()
    desk.clock.tick(HOUR)

    assert desk.operation(started.name).error.code == Code.CANCELLED
    assert not desk.exists()


def test_an_orphaned_operation_spares_the_next_backup_of_that_name() -> None:
    """After a pending backup was deleted, another database's backup may take the name, and keeps it."""
    desk = _planned(cancel_duration=None)
    desk.create()
    desk.delete()
    desk.clock.tick(30 * MINUTE)
    second = desk.create(database=USERS)
    desk.clock.tick(HOUR)

    assert desk.backup().database == USERS
    assert desk.response(second.name) == desk.backup()


def test_deleting_nothing_is_answered() -> None:
    """DeleteBackup of a missing backup is OK."""
    desk = Desk()
    desk.delete()

    assert desk.state.history[-1].code is Code.OK


def test_other_databases_and_schedules_back_up_in_parallel() -> None:
    """The limit of one pending backup is per database and leaves scheduled backups out."""
    desk = Desk(State(databases=[ORDERS]))
    desk.create()
    desk.create("other", USERS)
    desk.state.start_scheduled_backup(desk.clock.now, ORDERS, SCHEDULE, "scheduled-1")
    desk.state.start_scheduled_backup(desk.clock.now, ORDERS, SCHEDULE, "scheduled-2")

    assert [list(backup.backup_schedules) for backup in desk.backups()] == [[SCHEDULE], [SCHEDULE], [], []]


def test_operations_are_kept_for_seven_days_after_their_end() -> None:
    """An operation outlives its backup, and is NOT_FOUND seven days after it ended."""
    desk = Desk()
    started = desk.create()
    desk.clock.tick(HOUR)
    desk.delete()
    desk.clock.tick(7 * DAY - MINUTE)
    assert desk.operation(started.name).done

    desk.clock.tick(MINUTE)
    assert desk.refusal(pb.GetOperationRequest(name=started.name))[0] is Code.NOT_FOUND
    assert desk.refusal(pb.CancelOperationRequest(name=started.name))[0] is Code.NOT_FOUND
    assert not desk.call(pb.ListBackupOperationsRequest(parent=INSTANCE)).operations


def test_plans_are_per_database_and_queue() -> None:
    """A queued plan counts once, a set plan until it is replaced, and other databases have the default."""
    desk = Desk()
    desk.state.set_plan(ORDERS, Plan(duration=2 * HOUR))
    desk.state.queue_plans(ORDERS, Plan(duration=3 * HOUR))
    ends = []
    for backup_id in ("first", "second"):
        started = desk.create(backup_id)
        begun = desk.clock.now
        other = desk.create(f"{backup_id}-other", USERS)
        while not desk.operation(started.name).done:
            desk.clock.tick(HOUR)
        ends.append(desk.clock.now - begun)
        assert desk.operation(other.name).done

    assert ends == [3 * HOUR, 2 * HOUR]


def test_time_never_goes_back() -> None:
    """A call with an earlier time is answered as of the latest one."""
    desk = Desk()
    desk.create()
    desk.clock.tick(HOUR)
    desk.backup()
    desk.clock.now = START

    assert desk.backup().state == pb.Backup.READY


def test_the_next_event_is_foretold() -> None:
    """next_event_at leads from each change to the next, and a change that was called off is not foretold."""
    desk = _planned(duration=HOUR, cancel_duration=10 * MINUTE)
    assert desk.state.next_event_at() is None
    started = desk.create()
    assert desk.state.next_event_at() == START + HOUR

    desk.cancel(started.name)
    assert desk.state.next_event_at() == START + 10 * MINUTE
    desk.state.advance(START + 10 * MINUTE)
    assert desk.state.next_event_at() == START + 10 * MINUTE + 7 * DAY
    desk.state.advance(START + 8 * DAY)
    assert desk.state.next_event_at() is None


def test_the_same_calls_give_the_same_names() -> None:
    """Ids are counted, look like Google's, and depend on the seed alone."""
    names = [Desk(State(id_seed=seed)).create().name.rpartition("/")[2] for seed in (0, 0, 1)]

    assert names[0] == names[1] != names[2]
    assert all(name.startswith("_auto_op_") and name.removeprefix("_auto_op_").isdecimal() for name in names)


def test_a_test_that_asks_for_the_impossible_is_told_so() -> None:
    """The helpers raise plain Python errors where a test asks for what can't be."""
    desk = Desk(State(databases=[ORDERS]))
    desk.create()

    with pytest.raises(ValueError, match="only a READY backup"):
        desk.state.begin_restore(desk.clock.now, NIGHTLY, f"{INSTANCE}/databases/restored", HOUR)
    with pytest.raises(ValueError, match="only a READY backup"):
        desk.state.begin_copy(desk.clock.now, NIGHTLY, f"{INSTANCE}/backups/copy", HOUR)
    with pytest.raises(ValueError, match="already a backup nightly"):
        desk.state.start_scheduled_backup(desk.clock.now, ORDERS, SCHEDULE, "nightly")
    with pytest.raises(KeyError):
        desk.state.begin_copy(desk.clock.now, f"{INSTANCE}/backups/none", NIGHTLY, HOUR)


def test_an_answer_stays_as_it_was() -> None:
    """What a call was answered with is a value, whatever becomes of the backup and its operation."""
    desk = Desk()
    started = desk.create()
    listing = pb.ListBackupOperationsRequest(parent=INSTANCE)
    answers = [started, desk.backup(), *desk.backups(), desk.operation(started.name), desk.call(listing)]
    kept = [copied(one) for one in answers]
    desk.clock.tick(HOUR)
    desk.call(listing)

    assert answers == kept
    assert desk.operation(started.name) != started


def test_a_backup_without_a_version_time_is_of_now_whatever_the_database_says() -> None:
    """Google's emulator dates its databases by another clock, which may be ahead of that of the test."""
    desk = Desk()
    desk.state.add_database(ORDERS, create_time=stamp(START + DAY))

    assert desk.made().version_time == stamp(START)


def test_backups_can_be_looked_at_without_a_trace() -> None:
    """`backups` shows what a list would, and the record does not grow."""
    desk = Desk()
    made = desk.made()
    lines = len(desk.state.history)

    assert desk.state.backups[NIGHTLY].message == made
    assert len(desk.state.history) == lines


def _percent(desk: Desk, name: str) -> int:
    percent: int = desk.metadata(name).progress.progress_percent
    return percent


def test_a_backup_may_outrun_every_cancel() -> None:
    """Its work ends so long after the cancel, whenever that is."""
    desk = _planned(duration=HOUR, cancel_duration=None, outrun_duration=MINUTE)
    started = desk.create()
    desk.clock.tick(10 * MINUTE)
    desk.cancel(started.name)
    assert not desk.operation(started.name).done
    desk.clock.tick(MINUTE)

    assert desk.response(started.name) == desk.backup()
    assert desk.backup().state == pb.Backup.READY


def test_the_tests_author_may_end_the_work() -> None:
    """It ends as planned, only sooner; what has ended is let be."""
    desk = _planned(duration=HOUR)
    started = desk.create()
    for _ in range(2):
        desk.clock.tick(MINUTE)
        desk.state.finish(desk.clock.now, started.name)

    assert desk.response(started.name) == desk.backup()
    assert desk.metadata(started.name).progress.end_time == stamp(START + MINUTE)
