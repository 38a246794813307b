"""Deleting what was to be stopped and completed all the same: where it is earned, blocked, or forbidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backstop.ports import Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from tests.unit.handlers_world import DAY, FOLLOW_UPS, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, World

if TYPE_CHECKING:
    from datetime import datetime

LOSES = Plan(duration=HOUR, cancel_duration=None)
COPY = f"{INSTANCE}/backups/copy"
RESTORED = f"{INSTANCE}/databases/restored"


def lost_race(*, settings: Settings | None = None) -> World:
    """A cancel that was asked for in time and lost; the backup is complete and the chain has not looked yet."""
    world = World(LOSES, settings=settings)
    world.start_by_hand()
    world.tick(30 * MINUTE)
    world.send(action="cancel", database=ORDERS)
    world.tick(HOUR)
    return world


def blocked(until: datetime) -> World:
    """The same, with a restore that needs the backup until then."""
    world = lost_race()
    world.spanner.begin_restore(world.now, NIGHTLY, RESTORED, until)
    return world


def test_a_backup_that_a_restore_needs_is_deleted_as_soon_as_it_is_free() -> None:
    """DELETE_BLOCKED is told once; then the function keeps trying."""
    world = blocked(START + 5 * HOUR)

    reports = world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "COMPLETED_THEN_DELETED"]
    told = world.results[1]
    assert f"{RESTORED} still needs it; trying until 2026-11-25 02:30 UTC" in told["detail"]
    assert told["error"]["code"] == "FAILED_PRECONDITION"
    assert len(reports) > 2
    assert not world.exists()
    assert world.now < START + 8 * HOUR


def test_the_looks_at_a_blocked_backup_come_at_growing_times() -> None:
    """Half of the time that it has been there, and each report says when the next one comes."""
    world = blocked(START + 30 * DAY)
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, START + 2 * DAY, ("expire_time",)))

    first, second = world.look(), world.look()

    assert world.results[-1]["expire_time"] == "2026-11-24T02:00:00Z"
    assert first.next_poll is not None
    assert second.next_poll is not None
    assert 13.5 * MINUTE <= first.next_poll <= 16.5 * MINUTE
    assert 0.45 * (world.now - START - HOUR) <= second.next_poll <= 0.55 * (world.now - START - HOUR)


def test_a_backup_that_was_seen_again_takes_two_polls_anew_to_be_gone() -> None:
    """What wasn't found once and was blocked since is still there."""
    world = blocked(START + 5 * HOUR)
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))
    world.look()
    world.look()
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "COMPLETED_THEN_DELETED"]
    assert not world.exists()


def test_a_delete_that_is_blocked_at_the_give_up_time_is_the_last() -> None:
    """To the microsecond."""
    world = blocked(START + 30 * DAY)
    world.look()

    world.now = START + 30 * MINUTE + 3 * DAY
    world.look()

    assert world.outcomes == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "GAVE_UP"]
    assert not world.tasks.pending()


def test_an_expiry_is_never_brought_before_six_hours_after_the_creation() -> None:
    """Spanner refuses anything earlier, so a short give-up time doesn't lose the bound."""
    world = World(LOSES, settings=Settings(FOLLOW_UPS, give_up_after=2 * HOUR))
    world.start_by_hand()
    world.send(action="cancel", database=ORDERS)
    world.tick(HOUR + MINUTE)
    world.spanner.begin_restore(world.now, NIGHTLY, RESTORED, START + 30 * DAY)

    world.looks()

    assert world.outcomes[-1] == "GAVE_UP"
    assert world.backup().expire_time == START + 6 * HOUR + 5 * MINUTE


def test_an_expiry_that_is_early_enough_is_left_alone() -> None:
    """A backup that goes by itself soon needs no change."""
    world = blocked(START + 30 * DAY)
    soon = START + 2 * DAY
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, soon, ("expire_time",)))

    world.looks()

    assert world.outcomes[-1] == "GAVE_UP"
    assert "it expires at 2026-11-24 02:00 UTC" in world.detail
    assert world.calls["UpdateBackup"] == 0


def test_an_expiry_that_is_as_early_as_can_be_is_left_alone() -> None:
    """There is nothing to bring forward."""
    world = blocked(START + 30 * DAY)
    world.look()
    world.now = START + 30 * MINUTE + 3 * DAY
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, world.now + 5 * MINUTE, ("expire_time",)))

    world.look()

    assert world.outcomes[-1] == "GAVE_UP"
    assert "it expires at 2026-11-25 02:35 UTC" in world.detail
    assert world.calls["UpdateBackup"] == 0


def test_an_expiry_that_google_refuses_to_change_is_told() -> None:
    """GAVE_UP says until when the backup stays, and why."""
    world = blocked(START + 30 * DAY)
    world.faults.plan(Fault("UpdateBackup", Code.PERMISSION_DENIED, message="no role"))

    world.looks()

    assert world.outcomes[-1] == "GAVE_UP"
    assert "it stays until 2026-12-06 02:00 UTC, as Spanner refused an earlier expiry" in world.detail
    assert "no role" in world.detail


def test_a_backup_that_somebody_else_deleted_is_as_good_as_deleted() -> None:
    """There is nothing left behind, which is what was wanted."""
    world = lost_race()
    world.delete_by_hand(NIGHTLY)

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert world.detail == f"{NIGHTLY} was complete before it could be stopped, and is gone."
    assert world.calls["DeleteBackup"] == 0


def test_another_backup_under_the_same_name_is_not_touched() -> None:
    """A name can be used again; the create_time tells whose backup it is."""
    world = lost_race()
    world.delete_by_hand(NIGHTLY)
    world.start_by_hand()

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert "is gone; the backup that has its name now, created at 2026-11-22T03:30:00+00:00, stays." in world.detail
    assert world.exists()
    assert world.calls["DeleteBackup"] == 0


def test_a_deployment_that_may_not_delete_keeps_and_says_why() -> None:
    """BACKSTOP_ALLOW_DELETE takes the last step away, and nothing else."""
    world = lost_race(settings=Settings(FOLLOW_UPS, allow_delete=False))

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_KEPT"]
    assert "BACKSTOP_ALLOW_DELETE" in world.detail
    assert world.exists()
    assert (world.calls["GetBackup"], world.calls["DeleteBackup"]) == (1, 0)


@pytest.mark.parametrize("method", ["GetBackup", "DeleteBackup"])
@pytest.mark.parametrize(
    ("code", "retried"), [(Code.PERMISSION_DENIED, False), (Code.RESOURCE_EXHAUSTED, False), (Code.UNAVAILABLE, True)]
)
def test_a_delete_that_fails_is_tried_again(method: str, code: Code, *, retried: bool) -> None:
    """Whatever the error, the backup is not left behind."""
    world = lost_race()
    world.faults.plan(Fault(method, code, message="not now"))

    report = world.look()
    assert report.retry is retried
    if retried:
        world.again()
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert not world.exists()


def test_a_delete_whose_answer_is_lost_is_not_done_twice() -> None:
    """The next look finds the backup gone."""
    world = lost_race()
    world.faults.plan(Fault("DeleteBackup", Code.UNAVAILABLE, "after"))

    assert world.look().retry
    assert not world.exists()
    world.again()
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert sum(event.what is What.BACKUP_DELETED for event in world.spanner.history) == 1


def test_a_delete_whose_telling_is_lost_is_told_again() -> None:
    """An outcome isn't lost with the publish that failed."""
    world = lost_race()
    world.faults.plan(Fault("Publish", Code.UNAVAILABLE))

    assert world.look().retry
    world.again()
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
