"""What is somebody else's is never touched: names and slots that are taken, backups replaced, native schedules."""

from __future__ import annotations

from datetime import timedelta

from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb
from tests.e2e.lab import DEAF, ENDLESS, STUBBORN, Lab, played, quick
from tests.support.ports import create_request
from tests.waiting import wait_until


def _complete(lab: Lab, operation: str) -> None:
    wait_until(lambda: any(event.operation == operation for event in lab.history(What.BACKUP_READY)))


def _ready_uids(lab: Lab, backup: str) -> list[int]:
    return [event.uid for event in lab.history(What.BACKUP_READY) if event.resource == backup]


def _deleted_uids(lab: Lab) -> list[int]:
    return [event.uid for event in lab.history(What.BACKUP_DELETED, What.BACKUP_REMOVED)]


@played()
def test_a_name_that_is_taken_is_left_alone(lab: Lab) -> None:
    """Another database's backup has the name: the start is rejected, says so, and touches nothing."""
    operation, backup = lab.foreign(quick(), "nightly", "users")
    wait_until(lambda: _ready_uids(lab, backup))
    before = lab.backup(backup)
    message_id = lab.publish("start", database=lab.database(quick()), backup_id="nightly", cancel_after="0s")

    (rejected,) = lab.end_events(message_id)
    assert rejected.outcome == "REJECTED"
    assert rejected.data["error"]["code"] == "ALREADY_EXISTS"
    assert f"Backup already exists: {backup}" in rejected.data["detail"]
    assert lab.backup(backup) == before
    assert _deleted_uids(lab) == []
    assert lab.calls("CancelOperation") == []
    assert operation


@played()
def test_a_slot_that_is_taken_is_left_alone(lab: Lab) -> None:
    """Another backup of the database is under way: the start is rejected, names it, and it goes on."""
    operation, backup = lab.foreign(ENDLESS)
    message_id = lab.publish("start", database=lab.database(ENDLESS), cancel_after="0s")

    (rejected,) = lab.end_events(message_id)
    assert rejected.outcome == "REJECTED"
    assert rejected.data["error"]["code"] == "FAILED_PRECONDITION"
    assert f"the database is being backed up by {operation}" in rejected.data["detail"]
    assert lab.calls("CancelOperation") == []
    assert lab.left_behind() == [backup]
    assert not lab.admin.get_operation({"name": operation}).done


@played()
def test_a_backup_replaced_before_the_cancel_is_not_deleted(lab: Lab) -> None:
    """The operation's own backup is gone and another has its name by the time of the cancel: that one stays."""
    start_id = lab.publish("start", database=lab.database(quick()), backup_id="nightly")
    assert lab.ends(start_id) == ["STARTED", "COMPLETED"]
    operation = lab.told(start_id)[0].data["operation"]
    backup = f"{lab.instance}/backups/nightly"
    lab.admin.delete_backup(name=backup)
    lab.foreign(quick(), "nightly")
    wait_until(lambda: len(_ready_uids(lab, backup)) == 2)

    (gone,) = lab.end_events(lab.publish("cancel", operation=operation))
    assert gone.outcome == "COMPLETED_THEN_DELETED"
    assert "is gone; the backup that has its name now" in gone.data["detail"]
    first, second = _ready_uids(lab, backup)
    assert _deleted_uids(lab) == [first]
    assert second != first
    assert lab.left_behind() == [backup]


@played()
def test_a_backup_replaced_between_completion_and_delete_is_not_deleted(lab: Lab) -> None:
    """It happens between two looks of the chain that is to delete it: only what was ours would have been deleted.

    Spanner is held still meanwhile; otherwise Backstop might be the faster one.
    """
    spanner, backup = lab.stack.spanner, f"{lab.instance}/backups/nightly"
    _, operation, _ = lab.started(DEAF, backup_id="nightly")
    cancel_id = lab.publish("cancel", operation=operation)
    lab.comes_to(cancel_id, "CANCEL_REQUESTED")
    (begun,) = lab.history(What.BACKUP_STARTED)
    with spanner.lock:
        spanner.finish(operation)
        spanner.state.apply(wall_clock(), pb.DeleteBackupRequest(name=backup))
        expire_time = wall_clock() + timedelta(days=1)
        spanner.state.apply(wall_clock(), create_request(f"{lab.instance}/databases/orders", "nightly", expire_time))

    requested, gone = lab.end_events(cancel_id)
    assert (requested.outcome, gone.outcome) == ("CANCEL_REQUESTED", "COMPLETED_THEN_DELETED")
    assert "is gone; the backup that has its name now" in gone.data["detail"]
    assert [event.cause for event in lab.history(What.BACKUP_DELETED)] == ["DeleteBackup"], "ours was deleted once"
    assert _deleted_uids(lab) == [begun.uid]
    assert lab.left_behind() == [backup]


def _scheduled(lab: Lab) -> tuple[str, str]:
    database = lab.database(ENDLESS)
    operation = lab.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/daily", "scheduled")
    return operation.name, database


@played()
def test_a_scheduled_backup_is_left_alone_unless_it_is_included(lab: Lab) -> None:
    """Alone it is refused; beside another one the cancel means the one that somebody asked for."""
    scheduled, database = _scheduled(lab)

    for target in ({"operation": scheduled}, {"database": database}):
        (rejected,) = lab.end_events(lab.publish("cancel", **target))
        assert rejected.outcome == "REJECTED"
        assert "include_scheduled is not set" in rejected.data["detail"]
    assert lab.calls("CancelOperation") == []
    operation, _ = lab.foreign(ENDLESS)
    requested, cancelled = lab.end_events(lab.publish("cancel", database=database))
    assert (requested.outcome, cancelled.outcome) == ("CANCEL_REQUESTED", "CANCELLED")
    assert cancelled.data["operation"] == operation
    assert not lab.admin.get_operation({"name": scheduled}).done
    included = lab.publish("cancel", operation=scheduled, include_scheduled=True)
    assert lab.ends(included) == ["CANCEL_REQUESTED", "CANCELLED"]
    assert lab.left_behind() == []


def _leftovers(lab: Lab) -> tuple[str, str, str]:
    """An instance that needs looking after: a backup that runs too long, a leftover, a scheduled and a good one."""
    hanging, _ = lab.foreign(ENDLESS, "hanging", "users")
    lost, leftover = lab.foreign(STUBBORN, "leftover", "orders")
    lab.admin.cancel_operation({"name": lost})
    good, _ = lab.foreign(quick(), "good", "stock")
    database = lab.database(ENDLESS, "ledger")
    scheduled = lab.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/daily", "scheduled")
    _complete(lab, lost)
    _complete(lab, good)
    wait_until(lambda: (wall_clock() - lab.history(What.BACKUP_STARTED)[-1].at).total_seconds() > 1)
    return hanging, leftover, scheduled.name


@played()
def test_a_sweep_stops_what_hangs_and_tells_what_was_left(lab: Lab) -> None:
    """By default a sweep cancels what ran too long, reports leftovers, and deletes nothing."""
    hanging, leftover, scheduled = _leftovers(lab)
    message_id = lab.publish("sweep", instance=lab.instance, cancel_after="1s")

    events = lab.comes_to(message_id, "CANCEL_REQUESTED", "COMPLETED_DESPITE_CANCEL")
    told = {event.outcome: event.data for event in events}
    assert len(events) == len(told) == 2
    assert told["CANCEL_REQUESTED"]["operation"] == hanging
    assert told["COMPLETED_DESPITE_CANCEL"]["backup"] == leftover
    wait_until(lambda: lab.admin.get_operation({"name": hanging}).done)
    left = {name.rpartition("/")[2] for name in lab.left_behind()}
    assert left == {"leftover", "good", "scheduled"}
    assert not lab.admin.get_operation({"name": scheduled}).done
    assert lab.follow_ups(message_id) == []


@played()
def test_a_sweep_that_may_delete_deletes_leftovers_only(lab: Lab) -> None:
    """With `if_created: delete` the leftover goes, and what nobody cancelled stays."""
    _, leftover, _ = _leftovers(lab)
    message_id = lab.publish("sweep", instance=lab.instance, if_created="delete")

    (deleted,) = lab.end_events(message_id)
    assert (deleted.outcome, deleted.data["backup"]) == ("COMPLETED_THEN_DELETED", leftover)
    left = {name.rpartition("/")[2] for name in lab.left_behind()}
    assert left == {"hanging", "good", "scheduled"}
    assert [event.resource for event in lab.calls("DeleteBackup")] == [leftover]
