"""Deleting what was to be stopped and completed all the same: where it is earned, blocked, or forbidden."""

from __future__ import annotations

from datetime import datetime

import pytest

from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault, When
from spanner_backup_emulator.spanner.history import What
from tests.support.ports import update_request
from tests.unit.handlers_world import FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.said import COMPLETE, LOSES, of_nightly
from tests.unit.times import DAY, HOUR, MINUTE, SECOND, START

RESTORED = f"{INSTANCE}/databases/restored"
GIVE_UP = START + 30 * MINUTE + 3 * DAY


def lost_race(*, settings: Settings | None = None) -> World:
    """A cancel that was asked for in time and lost; the backup is complete and the chain has not looked yet."""
    world = World(LOSES, settings=settings)
    world.start_by_hand()
    world.tick(30 * MINUTE)
    world.send(action="cancel", database=ORDERS)
    world.tick(2 * HOUR)
    return world


def blocked(until: datetime, settings: Settings | None = None) -> World:
    """The same, with two restores that need the backup until then."""
    world = lost_race(settings=settings)
    for name in ("a", "b"):
        world.spanner.begin_restore(world.now, NIGHTLY, f"{RESTORED}-{name}", until - world.now)
    return world


def expire(world: World, at: datetime) -> None:
    """Somebody changes the expiry."""
    world.spanner.apply(world.now, update_request(NIGHTLY, at))


def test_a_backup_that_a_restore_needs_is_deleted_as_soon_as_it_is_free() -> None:
    """That it is blocked, and by whom, is told once; then the function keeps trying, less and less often."""
    world = blocked(START + 5 * HOUR)
    again = blocked(START + 5 * HOUR)
    again.send(action="sweep", instance=INSTANCE, if_created="delete", dry_run=True)
    assert again.detail.endswith(f"and would be deleted as soon as {RESTORED}-a, {RESTORED}-b no longer needs it.")

    first, second, *_ = world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "COMPLETED_THEN_DELETED"]
    why = f"{{backup}} can't be deleted yet, as {RESTORED}-a, {RESTORED}-b still needs it; the next poll tries again."
    error = world.results[1]["error"]
    assert error["code"] == "FAILED_PRECONDITION"
    assert world.results[1] == of_nightly(world, "DELETE_BLOCKED", why, **COMPLETE, error=error, steps=1)
    assert first.next_poll is not None
    assert second.next_poll is not None
    assert 13.5 * MINUTE <= first.next_poll <= 16.5 * MINUTE
    assert first.next_poll * 1.2 < second.next_poll < first.next_poll * 1.9
    assert not world.exists()
    assert world.now < START + 8 * HOUR


def test_a_delete_that_google_refuses_without_saying_who_needs_the_backup_is_blocked_too() -> None:
    """A restore or a copy, by all that is known."""
    world = lost_race()
    world.faults.plan(Fault("DeleteBackup", Code.FAILED_PRECONDITION, message="in use"))

    world.look()

    assert world.detail == (
        f"{NIGHTLY} can't be deleted yet, as a restore or a copy still needs it; the next poll tries again."
    )
    assert world.results[-1]["error"] == {"code": "FAILED_PRECONDITION", "message": "in use"}


STILL = f"its backup can't be deleted, as {RESTORED}-a, {RESTORED}-b still needs it; "


@pytest.mark.parametrize(
    ("expires", "refused", "why"),
    [
        (START + 14 * DAY, False, "its expiry was brought forward to 2026-11-25 02:35:00 UTC"),
        (GIVE_UP + 5 * MINUTE, False, "it expires at 2026-11-25 02:35:00 UTC"),
        (
            START + 14 * DAY,
            True,
            "it expires at 2026-12-06 02:00:00 UTC, as Spanner refused an earlier expiry: PERMISSION_DENIED: no role",
        ),
    ],
    ids=["it is brought forward", "it is as early as can be", "Google refuses"],
)
def test_a_delete_that_stays_blocked_to_the_end_has_its_cost_bounded_by_the_expiry(
    expires: datetime, why: str, *, refused: bool
) -> None:
    """To the microsecond of the give-up time; who needs it, and until when it stays, is the last word."""
    world = blocked(START + 30 * DAY)
    expire(world, expires)
    if refused:
        world.faults.plan(Fault("UpdateBackup", Code.PERMISSION_DENIED, times=None, message="no role"))
    world.look()

    world.now = GIVE_UP
    world.look()

    assert world.outcomes == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "GAVE_UP"]
    end = f"Stopped following {world.results[-1]['operation']} after 2 polls: {STILL}{why}"
    assert world.detail == f"{end}; progress was 100 % when last seen. It needs a person now."
    assert (world.calls["DeleteBackup"], world.calls["UpdateBackup"]) == (2, int(expires > GIVE_UP + 5 * MINUTE))
    assert world.backup().expire_time == (expires if refused else GIVE_UP + 5 * MINUTE)
    assert world.results[-1]["expire_time"] == f"{world.backup().expire_time:%Y-%m-%dT%H:%M:%SZ}"
    assert not world.tasks.pending()


def test_an_expiry_is_never_brought_before_six_hours_after_the_creation() -> None:
    """Spanner refuses anything earlier, so a short give-up time doesn't lose the bound."""
    world = blocked(START + 30 * DAY, Settings(FOLLOW_UPS, give_up_after=3 * HOUR))

    world.looks()

    assert world.outcomes[-1] == "GAVE_UP"
    assert world.backup().expire_time == START + 6 * HOUR + 5 * MINUTE


def test_a_backup_that_the_last_poll_does_not_find_is_given_up_and_not_told_to_be_deleted() -> None:
    """One NOT_FOUND may be a mistake, and there is no time left to make sure."""
    world = lost_race()
    world.now = GIVE_UP
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    world.look()

    assert world.outcomes == ["CANCEL_REQUESTED", "GAVE_UP"]
    assert "polls: its operation is complete, and its backup could not be found just now; " in world.detail
    assert world.exists()


@pytest.mark.parametrize("name_taken", [False, True])
def test_a_backup_that_somebody_else_deleted_is_as_good_as_deleted(*, name_taken: bool) -> None:
    """Nothing is left behind; a backup that has its name now, as its create_time tells, isn't touched."""
    world = lost_race()
    world.delete_by_hand(NIGHTLY)
    if name_taken:
        world.start_by_hand()

    world.looks()

    gone = f"{NIGHTLY} was complete before it could be stopped, and is gone"
    now = "; the backup that has its name now, created at 2026-11-22T04:30:00+00:00, stays" if name_taken else ""
    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert world.detail == f"{gone}{now}."
    assert world.exists() is name_taken
    assert world.calls["DeleteBackup"] == 0


@pytest.mark.parametrize(
    ("method", "code", "when"),
    [
        ("GetBackup", Code.PERMISSION_DENIED, "before"),
        ("DeleteBackup", Code.PERMISSION_DENIED, "before"),
        ("DeleteBackup", Code.RESOURCE_EXHAUSTED, "before"),
        ("DeleteBackup", Code.UNAVAILABLE, "before"),
        ("DeleteBackup", Code.UNAVAILABLE, "after"),
        ("Publish", Code.UNAVAILABLE, "before"),
    ],
)
def test_a_delete_that_fails_anywhere_on_the_way_is_tried_again_and_told(method: str, code: Code, when: When) -> None:
    """Whatever the error, the backup isn't left behind, nor deleted twice, nor its deletion lost."""
    world = lost_race()
    world.faults.plan(Fault(method, code, when))

    report = world.look()
    assert report.retry is (code is Code.UNAVAILABLE)
    if report.retry:
        world.again()
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert sum(event.what is What.BACKUP_DELETED for event in world.spanner.history) == 1


def test_a_backup_that_google_does_not_let_us_see_is_not_deleted() -> None:
    """What its operation once made is no proof of what has the name now; the poll is retried."""
    world = lost_race()
    world.faults.plan(Fault("GetBackup", Code.PERMISSION_DENIED, times=2))

    assert world.look().next_poll is not None
    assert world.look().next_poll is not None

    assert world.exists()
    assert "DeleteBackup" not in world.calls
    world.looks()
    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]


def test_a_backup_that_the_command_keeps_and_somebody_deleted_was_no_warning() -> None:
    """What has its name by then is another one, whose expiry is not told."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.send(action="cancel", database=ORDERS, if_created="keep")
    world.spanner.finish(world.now, operation)
    world.delete_by_hand(NIGHTLY)
    world.tick(SECOND)
    world.start_by_hand()

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_KEPT"]
    assert "severity" not in world.results[-1]
    assert datetime.fromisoformat(world.results[-1]["expire_time"]) < world.backup().expire_time


def test_a_chain_went_on_to_delete_what_the_deployment_had_forbidden_since() -> None:
    """Each poll asks what is allowed now."""
    world = World(LOSES)
    world.start_scheduled("nightly")
    world.send(action="cancel", database=ORDERS, include_scheduled=True)
    world.settings = Settings(FOLLOW_UPS, allow_scheduled=False)

    world.look()
    assert world.waiting[-1][1].include_scheduled  # type: ignore[union-attr]  # a poll: the next deployment may allow it
    world.looks()

    assert (world.outcomes, world.exists()) == (["CANCEL_REQUESTED", "COMPLETED_KEPT"], True)
    assert world.detail.endswith("/backupSchedules/nightly, and BACKSTOP_ALLOW_SCHEDULED is false.")
