"""The record of effects, from which a checker can judge without asking the state."""

from __future__ import annotations

from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, Desk, create_request, update_request

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import time_of
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.state import State


def test_a_call_is_recorded_with_its_code() -> None:
    """Each call leaves one line with the RPC's name, the resource and the code, refused or not."""
    desk = Desk()
    desk.create()
    desk.refusal(pb.GetBackupRequest(name=f"{INSTANCE}/backups/none"))

    calls = [(event.cause, event.resource, event.code) for event in desk.state.history if event.what is What.CALLED]
    assert calls == [("CreateBackup", NIGHTLY, Code.OK), ("GetBackup", f"{INSTANCE}/backups/none", Code.NOT_FOUND)]


def test_a_refused_call_has_no_effect() -> None:
    """A refusal leaves its own line and nothing else."""
    desk = Desk()
    desk.create()
    before = len(desk.state.history)
    desk.refusal(create_request("other", ORDERS, START + DAY))

    assert [event.what for event in list(desk.state.history)[before:]] == [What.CALLED]


def test_the_end_of_a_backup_names_its_cause() -> None:
    """Deleted by a call, expired, removed after a cancel: each is its own kind of line, with the backup's identity."""
    desk = Desk()
    desk.made(retention=DAY)
    desk.clock.now = START + DAY
    desk.cancel(desk.create().name)
    made = desk.made()
    desk.delete()

    ends = [
        (event.what, event.cause, event.at)
        for event in desk.state.history
        if event.what in {What.BACKUP_DELETED, What.BACKUP_EXPIRED, What.BACKUP_REMOVED}
    ]
    assert ends == [
        (What.BACKUP_EXPIRED, "expiry", START + DAY),
        (What.BACKUP_REMOVED, "cancel", START + DAY),
        (What.BACKUP_DELETED, "DeleteBackup", START + DAY + HOUR),
    ]
    deleted = next(event for event in desk.state.history if event.what is What.BACKUP_DELETED)
    assert deleted.create_time == time_of(made.create_time)


def test_what_happens_between_calls_is_recorded_when_it_happened() -> None:
    """An effect has the time at which it was due, not that of the call that noticed it."""
    desk = Desk(State(default_plan=Plan(duration=HOUR, cancel_duration=10 * MINUTE)))
    started = desk.create()
    desk.clock.tick(MINUTE)
    desk.cancel(started.name)
    desk.clock.tick(DAY)
    desk.operation(started.name)

    effects = [(event.what, event.at - START) for event in desk.state.history if event.what is not What.CALLED]
    assert effects == [
        (What.BACKUP_STARTED, 0 * MINUTE),
        (What.CANCEL_RECEIVED, MINUTE),
        (What.OPERATION_DONE, 11 * MINUTE),
        (What.BACKUP_REMOVED, 11 * MINUTE),
    ]


def test_references_and_expiry_changes_are_recorded() -> None:
    """Who needed a backup, from when to when, and that its end was moved, can be told from the record."""
    desk = Desk()
    desk.made()
    desk.state.begin_restore(desk.clock.now, NIGHTLY, f"{INSTANCE}/databases/restored", HOUR)
    desk.call(update_request(NIGHTLY, START + 2 * DAY))
    desk.clock.tick(HOUR)
    desk.backup()

    kinds = [event.what for event in desk.state.history if event.uid and event.at > START + MINUTE]
    assert kinds == [What.BACKUP_READY, What.REFERENCE_ADDED, What.EXPIRY_CHANGED, What.REFERENCE_REMOVED]
