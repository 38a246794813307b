"""What keeps an emulated backup alive, and what ends it: references, copies and expiry."""

from __future__ import annotations

import pytest
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, Desk

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.records import BackupState, DatabaseState, Status
from spanner_backup_emulator.spanner.state import State


def _planned(**fields: object) -> Desk:
    return Desk(State(default_plan=Plan(**fields)))  # type: ignore[arg-type]  # the plan's own fields, by name


def test_a_restore_blocks_deletion_until_it_is_over() -> None:
    """While a database is being restored the backup names it and can't be deleted."""
    desk = Desk()
    desk.made()
    restored = f"{INSTANCE}/databases/restored"
    desk.state.begin_restore(desk.clock.now, NIGHTLY, restored, desk.clock.now + HOUR)

    assert desk.backup().referencing_databases == (restored,)
    assert desk.refusal(rpc.DeleteBackup(NIGHTLY))[0] is Code.FAILED_PRECONDITION
    desk.clock.tick(HOUR)
    assert desk.backup().referencing_databases == ()
    desk.delete()
    assert not desk.exists()


def test_optimizing_a_restored_database_still_needs_the_backup() -> None:
    """The restore is done when the database can be used; the reference goes when it is optimized."""
    desk = _planned(optimize_duration=HOUR)
    desk.made()
    started = desk.call(rpc.RestoreDatabase(INSTANCE, "restored", NIGHTLY))
    states = []
    for _ in range(3):
        states.append((desk.call(rpc.GetDatabase(started.target)).state, desk.operation(started.name).done))
        desk.clock.tick(HOUR)

    assert states == [
        (DatabaseState.CREATING, False),
        (DatabaseState.READY_OPTIMIZING, True),
        (DatabaseState.READY, True),
    ]
    assert desk.backup().referencing_databases == ()


def test_a_failed_restore_lets_go_of_the_backup() -> None:
    """When a restore fails its database goes, and the backup can be deleted."""
    desk = Desk()
    desk.made()
    desk.state.set_plan(NIGHTLY, Plan(error=Status(Code.INTERNAL, "no space")))
    desk.call(rpc.RestoreDatabase(INSTANCE, "restored", NIGHTLY))
    desk.clock.tick(HOUR)
    desk.delete()

    assert f"{INSTANCE}/databases/restored" not in {
        database.name for database in desk.call(rpc.ListDatabases(INSTANCE)).items
    }


@pytest.mark.parametrize("end", ["completes", "is cancelled", "is deleted"])
def test_a_copy_blocks_deletion_until_it_is_over(end: str) -> None:
    """A copy's source can't be deleted until the copy completes, is cancelled, or is itself deleted."""
    desk = Desk()
    desk.made()
    copy = f"{INSTANCE}/backups/copy"
    started = desk.state.begin_copy(desk.clock.now, NIGHTLY, copy, desk.clock.now + HOUR)
    assert desk.backup().referencing_backups == (copy,)
    assert desk.refusal(rpc.DeleteBackup(NIGHTLY))[0] is Code.FAILED_PRECONDITION

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
    desk.call(rpc.CopyBackup(INSTANCE, "copy", NIGHTLY, source.create_time + 2 * DAY))
    desk.clock.tick(HOUR)

    copy = desk.backup(f"{INSTANCE}/backups/copy")
    assert (copy.state, copy.database, copy.version_time) == (BackupState.READY, ORDERS, source.version_time)
    assert copy.create_time > source.create_time


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
    desk.state.begin_restore(desk.clock.now, NIGHTLY, f"{INSTANCE}/databases/restored", START + 2 * DAY)
    desk.clock.now = START + 2 * DAY - MINUTE
    assert desk.exists()

    desk.clock.tick(MINUTE)
    assert not desk.exists()


def test_a_backup_that_outlasts_its_lifetime_is_gone_once_it_is_done() -> None:
    """A backup whose expire_time passes while it is being made vanishes when it is READY."""
    desk = _planned(duration=2 * DAY)
    started = desk.create(retention=DAY)
    desk.clock.tick(2 * DAY)

    assert desk.operation(started.name).response is not None
    assert not desk.exists()


def test_expiry_can_be_changed_both_ways() -> None:
    """An update moves the end, and the old end means nothing any more."""
    desk = Desk()
    desk.made(retention=DAY)
    desk.call(rpc.UpdateBackup(NIGHTLY, START + 2 * DAY, ("expire_time",)))
    desk.clock.now = START + DAY + MINUTE
    assert desk.exists()

    desk.call(rpc.UpdateBackup(NIGHTLY, START + DAY + HOUR, ("expire_time",)))
    desk.clock.now = START + DAY + HOUR
    assert not desk.exists()
