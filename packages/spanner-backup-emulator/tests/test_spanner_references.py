"""What keeps an emulated backup alive, and what ends it: references, copies and expiry."""

from __future__ import annotations

import pytest
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, Desk, update_request

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import stamp
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan, Status
from spanner_backup_emulator.spanner.state import State

RESTORED = f"{INSTANCE}/databases/restored"
RESTORE = pb.RestoreDatabaseRequest(parent=INSTANCE, database_id="restored", backup=NIGHTLY)


def _planned(**fields: object) -> Desk:
    return Desk(State(default_plan=Plan(**fields)))  # type: ignore[arg-type]  # the plan's own fields, by name


def test_a_restore_blocks_deletion_until_it_is_over() -> None:
    """While a database is being restored the backup names it and can't be deleted."""
    desk = Desk()
    desk.made()
    desk.state.begin_restore(desk.clock.now, NIGHTLY, RESTORED, HOUR)

    assert list(desk.backup().referencing_databases) == [RESTORED]
    assert desk.refusal(pb.DeleteBackupRequest(name=NIGHTLY))[0] is Code.FAILED_PRECONDITION
    desk.clock.tick(HOUR)
    assert not desk.backup().referencing_databases
    desk.delete()
    assert not desk.exists()


def test_optimizing_a_restored_database_still_needs_the_backup() -> None:
    """The restore is done when the database can be used; the reference goes when it is optimized."""
    desk = _planned(optimize_duration=HOUR)
    desk.made()
    started = desk.call(RESTORE)
    states = []
    for _ in range(3):
        states.append((desk.call(pb.GetDatabaseRequest(name=RESTORED)).state, desk.operation(started.name).done))
        desk.clock.tick(HOUR)

    assert states == [(pb.Database.CREATING, False), (pb.Database.READY_OPTIMIZING, True), (pb.Database.READY, True)]
    assert not desk.backup().referencing_databases


def test_a_failed_restore_lets_go_of_the_backup() -> None:
    """When a restore fails its database goes, and the backup can be deleted."""
    desk = Desk()
    desk.made()
    desk.state.set_plan(NIGHTLY, Plan(error=Status(Code.INTERNAL, "no space")))
    desk.call(RESTORE)
    desk.clock.tick(HOUR)
    desk.delete()

    assert RESTORED not in {one.name for one in desk.call(pb.ListDatabasesRequest(parent=INSTANCE)).databases}


@pytest.mark.parametrize("end", ["completes", "is cancelled", "is deleted"])
def test_a_copy_blocks_deletion_until_it_is_over(end: str) -> None:
    """A copy's source can't be deleted until the copy completes, is cancelled, or is itself deleted."""
    desk = Desk()
    desk.made()
    copy = f"{INSTANCE}/backups/copy"
    started = desk.state.begin_copy(desk.clock.now, NIGHTLY, copy, HOUR)
    assert list(desk.backup().referencing_backups) == [copy]
    assert desk.refusal(pb.DeleteBackupRequest(name=NIGHTLY))[0] is Code.FAILED_PRECONDITION

    if end == "completes":
        desk.clock.tick(HOUR)
    elif end == "is cancelled":
        desk.cancel(started.name)
    else:
        desk.delete(copy)
    desk.delete()

    assert not desk.exists()
    assert desk.exists(copy) is (end == "completes")
    desk.clock.tick(2 * HOUR)
    assert desk.operation(started.name).done


def test_a_copy_made_by_a_call_is_a_backup_like_its_source() -> None:
    """CopyBackup makes a backup with the source's database and version time."""
    desk = Desk()
    source = desk.made()
    expire_time = stamp(START + 2 * DAY)
    desk.call(pb.CopyBackupRequest(parent=INSTANCE, backup_id="copy", source_backup=NIGHTLY, expire_time=expire_time))
    desk.clock.tick(HOUR)

    copy = desk.backup(f"{INSTANCE}/backups/copy")
    assert (copy.state, copy.database, copy.version_time) == (pb.Backup.READY, ORDERS, source.version_time)
    assert copy.create_time.seconds > source.create_time.seconds


def test_a_backup_expires() -> None:
    """At its expire_time a backup vanishes by itself."""
    desk = Desk()
    desk.made(retention=DAY)
    desk.clock.now = START + DAY - MINUTE
    assert desk.exists()

    desk.clock.tick(MINUTE)
    assert not desk.exists()


def test_the_service_may_be_late_in_removing_what_expired() -> None:
    """With a lag an expired backup can be read a while longer."""
    desk = Desk(State(expiry_delay=HOUR))
    desk.made(retention=DAY)
    desk.clock.now = START + DAY
    assert desk.exists()

    desk.clock.tick(HOUR)
    assert not desk.exists()


def test_an_expired_backup_stays_while_it_is_being_restored() -> None:
    """A reference outlives the expire_time; the backup goes with it."""
    desk = Desk()
    desk.made(retention=DAY)
    desk.state.begin_restore(desk.clock.now, NIGHTLY, RESTORED, START + 2 * DAY - desk.clock.now)
    desk.clock.now = START + 2 * DAY - MINUTE
    assert desk.exists()

    desk.clock.tick(MINUTE)
    assert not desk.exists()


def test_a_backup_that_outlasts_its_lifetime_is_gone_once_it_is_done() -> None:
    """A backup whose expire_time passes while it is being made vanishes when it is READY."""
    desk = _planned(duration=2 * DAY)
    started = desk.create(retention=DAY)
    desk.clock.tick(2 * DAY)

    assert desk.operation(started.name).HasField("response")
    assert not desk.exists()


def test_expiry_can_be_changed_both_ways() -> None:
    """An update moves the end, and the old end means nothing any more."""
    desk = Desk()
    desk.made(retention=DAY)
    desk.call(update_request(NIGHTLY, START + 2 * DAY))
    desk.clock.now = START + DAY + MINUTE
    assert desk.exists()

    desk.call(update_request(NIGHTLY, START + DAY + HOUR))
    desk.clock.now = START + DAY + HOUR
    assert not desk.exists()
