"""What a `cancel` does: finds what is meant, stops it, and cleans up if the stop comes too late."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.execute import Report
from backstop.handlers import CANDIDATES_MAX
from backstop.lifecycle import CLOCK_MARGIN, GRACE, State
from backstop.names import OperationName
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.unit.handlers_world import FOLLOW_UPS, MISSING, NIGHTLY, ORDERS, USERS, World
from tests.unit.said import COMPLETE, DELETED, LATE, LOSES, WINS, of_command, of_nightly
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

ASKED = "Spanner has been asked to stop {operation}; the backup may complete all the same."
HAS_BEEN_DELETED = LATE + "has been deleted."
BY = pytest.mark.parametrize("by", ["operation", "backup", "database"])


def target(by: str, operation: OperationName) -> dict[str, str]:
    """The operation, named in one of three ways."""
    return {by: {"operation": operation, "backup": operation.backup, "database": ORDERS}[by]}


@BY
def test_a_cancel_that_wins_leaves_no_backup_whichever_way_it_was_named(by: str) -> None:
    """Each name leads to the one operation that runs; the end is told within a minute, and nothing is billed."""
    world = World(WINS)
    operation = world.start_by_hand()

    report = world.send(action="cancel", **target(by, operation))
    (poll,) = world.looks()

    assert world.results == [
        of_nightly(world, "CANCEL_REQUESTED", ASKED, steps=0),
        of_nightly(
            world,
            "CANCELLED",
            "{backup} was cancelled: this attempt left no backup, and nothing is billed for it.",
            error={"code": "CANCELLED", "message": "The operation was cancelled."},
            end_time="2026-11-22T02:00:05Z",
            steps=1,
            billed={"hours_min": 0},
        ),
    ]
    assert not world.exists()
    assert world.now - START < MINUTE
    said = [replace(one, trigger=None, events=(), next_poll=None) for one in (report, poll)]
    assert said == [
        Report("cancel", operation=operation, database=ORDERS, state=State.RUNNING, step=0),
        Report("poll", operation=operation, database=ORDERS, state=State.CANCELLED, step=1),
    ]


@pytest.mark.parametrize(
    ("if_created", "outcome", "so"),
    [
        ("delete", "COMPLETED_THEN_DELETED", "has been deleted."),
        ("keep", "COMPLETED_KEPT", "is left alone: the command says if_created: keep."),
    ],
)
def test_a_cancel_that_loses_deletes_the_backup_or_keeps_it_as_the_command_says(
    if_created: str, outcome: str, so: str
) -> None:
    """What a deletion costs and frees is told with it."""
    world = World(LOSES)
    world.start_by_hand()

    world.send(action="cancel", database=ORDERS, if_created=if_created)
    polls = world.looks()

    more = DELETED if if_created == "delete" else {}
    more |= {"severity": "INFO"} if if_created == "keep" else {}
    assert world.results[1:] == [of_nightly(world, outcome, LATE + so, **COMPLETE, steps=len(polls), **more)]
    assert world.exists() is (if_created == "keep")


@BY
@pytest.mark.parametrize("before", [MICROSECOND, GRACE, GRACE + MICROSECOND])
def test_a_backup_that_ended_before_its_cancel_is_deleted_only_within_the_grace_of_whoever_names_it(
    before: timedelta, by: str
) -> None:
    """Ten minutes exactly still count, as nobody sees the end the moment it comes; a cancel is no delete."""
    world = World(Plan(duration=HOUR - before))
    operation = world.start_by_hand()
    world.tick(HOUR)

    world.send(action="cancel", **target(by, operation))

    lost_race = before <= GRACE and by != "database"
    assert world.outcomes == ["COMPLETED_THEN_DELETED" if lost_race else "NOTHING_TO_CANCEL"]
    assert world.exists() is not lost_race
    assert world.calls["GetOperation"] == (by == "operation")
    if before > GRACE:
        ended = f"{operation} ended last, at 2026-11-22 02:49:59 UTC"
        assert world.detail == (
            f"Nothing to cancel for {target(by, operation)[by]}: {ended}. If its backup is to go: gcloud spanner"
            " backups delete nightly --instance=main --project=demo-project"
        )


@pytest.mark.parametrize("forbidden", [{"allow_delete": False}, {"allow_scheduled": False}], ids=str)
def test_a_cancel_advised_to_publish_what_the_deployment_refuses(forbidden: dict[str, bool]) -> None:
    """Whoever may delete all the same can do it by the line for the shell."""
    world = World(Plan(duration=HOUR), settings=Settings(FOLLOW_UPS, **forbidden))  # type: ignore[arg-type]  # truths
    world.start_scheduled("nightly")
    world.tick(HOUR + MICROSECOND)

    world.send(action="cancel", database=ORDERS)

    assert world.detail.endswith(" backups delete nightly --instance=main --project=demo-project")


@pytest.mark.parametrize(
    ("scheduled", "more"), [(False, ""), (True, ', "include_scheduled": true')], ids=["by hand", "by a schedule"]
)
def test_a_cancel_by_database_leaves_what_was_complete_and_says_how_to_delete_it(*, scheduled: bool, more: str) -> None:
    """It may be last night's good one; whoever means it can name it, and a schedule's takes a word more."""
    world = World(Plan(duration=HOUR))
    operation = (world.start_scheduled if scheduled else world.start_by_hand)("nightly")
    world.tick(HOUR + MICROSECOND)

    world.send(action="cancel", database=ORDERS)

    detail = (
        f"Nothing to cancel for {ORDERS}: {operation} ended last, at 2026-11-22 03:00:00 UTC. If its backup is to go,"
        f' publish {{"action": "cancel", "operation": "{operation}"{more}}} by 2026-11-22 03:10:00 UTC.'
    )
    told = of_command(world, "NOTHING_TO_CANCEL", detail, ORDERS, database=ORDERS, severity="WARNING")
    assert world.results == [told]
    world.send(**json.loads(detail[detail.index("{") : detail.index("}") + 1]))
    assert world.outcomes[1:] == ["COMPLETED_THEN_DELETED"]


@pytest.mark.parametrize(
    ("action", "by", "outcome", "why"),
    [
        (
            "cancel",
            {"database": ORDERS},
            "NOTHING_TO_CANCEL",
            f"Nothing to cancel: Spanner knows no operation for {ORDERS} from the 7 days before the command.",
        ),
        ("cancel", {"database": USERS}, "REJECTED", f"Cancelled nothing, as there is no {USERS}."),
        ("cancel", {"backup": NIGHTLY}, "REJECTED", f"Cancelled nothing, as there is no {NIGHTLY}."),
        (
            "follow",
            {"database": ORDERS},
            "REJECTED",
            f"Found no operation of {ORDERS} to follow; Spanner keeps them for 7 days after their end.",
        ),
        ("follow", {"backup": NIGHTLY}, "REJECTED", f"Followed nothing, as there is no {NIGHTLY}."),
    ],
)
def test_a_mistyped_name_looked_like_success(action: str, by: dict[str, str], outcome: str, why: str) -> None:
    """One that isn't there is named as a mistake; of one that is, somebody should know that nothing was done."""
    world = World()

    world.send(action=action, **by)

    warning = {"severity": "WARNING"} if outcome == "NOTHING_TO_CANCEL" else {}
    assert world.results == [of_command(world, outcome, why, *by.values(), **by, **warning)]


def test_a_backup_whose_operation_spanner_has_forgotten_is_no_mistyped_name() -> None:
    """It is there, and has been for more than 7 days: nothing of it can be stopped."""
    world = World(WINS)
    world.start_by_hand()
    world.tick(8 * DAY)

    world.send(action="cancel", backup=NIGHTLY)
    world.send(action="cancel", backup=f"{NIGHTLY}-2")

    assert world.outcomes == ["NOTHING_TO_CANCEL", "REJECTED"]


def test_a_cancel_of_what_was_cancelled_before_says_so() -> None:
    """Nothing is left to delete, so no command for that is given."""
    world = World(WINS)
    operation = world.start_by_hand()
    world.cancel_by_hand(operation)
    world.tick(HOUR)

    world.send(action="cancel", database=ORDERS)

    assert world.detail == (
        f"Nothing to cancel for {ORDERS}: {operation} ended last, at 2026-11-22 02:00:05 UTC with CANCELLED."
    )


@pytest.mark.parametrize("action", ["cancel", "follow"])
@pytest.mark.parametrize("dry_run", [False, True])
def test_an_operation_that_spanner_does_not_know_is_told_to_be_gone(action: str, *, dry_run: bool) -> None:
    """Its name is all that is known, and it says which backup is meant."""
    world = World()

    world.send(action=action, operation=MISSING, dry_run=dry_run)

    detail = f"Spanner does not know {MISSING}; it forgets operations 7 days after their end."
    about = {"operation": MISSING, "backup": NIGHTLY, "steps": 0}
    told = ("DRY_RUN", f"Would publish GONE: {detail}") if dry_run else ("GONE", detail)
    assert world.results == [of_command(world, *told, NIGHTLY, **about)]


def test_a_cancel_that_is_delivered_twice_makes_one_chain_and_one_that_is_published_again_its_own() -> None:
    """A second delivery schedules the same poll. After a chain was lost, publishing the cancel again brings it back."""
    world = World(LOSES)
    world.start_by_hand()
    world.send(action="cancel", database=ORDERS)

    world.again()
    assert (len(world.tasks.pending()), world.calls["CancelOperation"], len(set(world.event_ids))) == (1, 1, 1)
    world.tick(SECOND)
    world.send(action="cancel", database=ORDERS)

    assert len(world.tasks.pending()) == 2


# What a dry run says.


@pytest.mark.parametrize(("action", "would"), [("cancel", "cancel"), ("follow", "poll again")])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(action: str, would: str) -> None:
    """And what the operation looks like."""
    world = World(LOSES)
    operation = world.start_by_hand()

    report = world.send(action=action, database=ORDERS, dry_run=True)

    assert world.results == [of_nightly(world, "DRY_RUN", f"Would {would}: {{operation}} is RUNNING.")]
    assert not {"CancelOperation", "DeleteBackup", "CreateTask"} & set(world.calls)
    said = replace(report, trigger=None, events=())
    assert said == Report(action, operation=operation, database=ORDERS, state=State.RUNNING)


KEPT = "is left alone: the command says if_created: keep."


@pytest.mark.parametrize(
    ("if_created", "deleted", "would"),
    [
        ("delete", False, f"{LATE}would be deleted."),
        ("keep", False, f"Would publish COMPLETED_KEPT: {LATE}{KEPT}"),
        ("delete", True, f"Would poll again, to be sure: {LATE}is gone."),
    ],
)
def test_a_dry_run_after_a_lost_race_says_what_would_become_of_the_backup(
    if_created: str, would: str, *, deleted: bool
) -> None:
    """Nothing is billed for what isn't done."""
    world = World(LOSES)
    world.start_by_hand()
    world.tick(2 * HOUR + MINUTE)
    if deleted:
        world.delete_by_hand(NIGHTLY)

    world.send(action="cancel", backup=NIGHTLY, dry_run=True, if_created=if_created)

    assert world.results == [of_nightly(world, "DRY_RUN", would, **COMPLETE)]
    assert world.exists() is not deleted


# Backups that a native schedule makes.


@BY
@pytest.mark.parametrize("include", [False, True])
def test_a_scheduled_backup_is_stopped_and_deleted_only_where_it_is_included(by: str, *, include: bool) -> None:
    """A cancel for what somebody started by hand must not take the nightly one."""
    world = World(LOSES)
    operation = world.start_scheduled()
    by_name = target(by, operation)

    world.send(action="cancel", include_scheduled=include, **by_name)
    world.looks()

    assert world.cancelled(operation) is include
    assert world.exists(operation.backup) is not include
    if include:
        assert world.outcomes == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    else:
        why = f"Did not cancel {operation}, as a backup schedule made it and include_scheduled is not set."
        assert world.results == [of_command(world, "REJECTED", why, *by_name.values(), **by_name)]


def test_a_deleted_backup_whose_name_a_schedule_took_over_was_taken_for_the_schedule_s() -> None:
    """The operation still runs, and who has the name of its backup now says nothing of it."""
    world = World(Plan(duration=HOUR, cancel_duration=HOUR))
    operation = world.start_by_hand("nightly")
    world.tick(MINUTE)
    world.delete_by_hand(operation.backup)
    scheduled = world.start_scheduled("nightly")

    world.send(action="cancel", operation=operation)
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "CANCELLED"]
    assert not world.cancelled(scheduled)


@pytest.mark.parametrize(("method", "by"), [("GetOperation", "operation"), ("GetBackup", "database")])
def test_a_cancel_that_google_does_not_let_us_look_into_is_rejected(method: str, by: str) -> None:
    """If nobody can say what it is, or whether a schedule made it, nothing is cancelled."""
    world = World()
    operation = world.start_scheduled()
    world.faults.plan(Fault(method, Code.PERMISSION_DENIED, message="no role"))

    world.send(action="cancel", **target(by, operation))

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
    assert not world.cancelled(operation)


def test_a_backup_that_is_deleted_while_it_is_being_made_is_no_scheduled_one() -> None:
    """Nobody can say any more who made it, and stopping its operation is what was asked for."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.delete_by_hand(NIGHTLY)

    world.send(action="cancel", operation=operation)
    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "CANCELLED"]


def test_a_scheduled_backup_that_began_after_a_cancel_is_not_what_it_was_turned_down_for() -> None:
    """Whoever published it by then had found nothing to stop."""
    world = World()
    delivery = world.publish({"action": "cancel", "database": ORDERS})
    world.tick(CLOCK_MARGIN + SECOND)
    world.start_scheduled()

    world.deliver(delivery)

    assert world.outcomes == ["NOTHING_TO_CANCEL"]


def test_the_sixth_scheduled_backup_that_ran_at_once_was_stopped() -> None:
    """Nobody had looked whether a schedule made it; what isn't looked at is left alone."""
    world = World()
    for number in range(CANDIDATES_MAX + 1):
        world.start_scheduled(f"scheduled-{number}")

    world.send(action="cancel", database=ORDERS)

    assert (world.outcomes, world.calls["GetBackup"]) == (["REJECTED"], CANDIDATES_MAX)
    assert not world.calls["CancelOperation"]


def test_a_cancel_was_gone_of_an_operation_that_the_list_has_and_that_is_not_found_twice() -> None:
    """One of the two answers is old, so the message comes again."""
    world = World()
    operation = world.start_by_hand()
    world.faults.plan(Fault("GetOperation", Code.NOT_FOUND, times=2))

    report = world.send(action="cancel", database=ORDERS)
    world.again(1)

    assert (report.retry, report.error and report.error.code) == (True, "NOT_FOUND")
    assert world.ends == [("CANCEL_REQUESTED", operation)]


@pytest.mark.parametrize(("by", "outcome"), [("operation", "COMPLETED_KEPT"), ("backup", "REJECTED")])
def test_a_scheduled_backup_that_completed_lately_is_kept_with_its_reason(by: str, outcome: str) -> None:
    """The race was lost, but deleting isn't earned without include_scheduled."""
    world = World(Plan(duration=HOUR))
    operation = world.start_scheduled()
    world.tick(HOUR + MINUTE)

    world.send(action="cancel", **target(by, operation))

    assert world.outcomes == [outcome]
    assert "include_scheduled is not set" in world.detail
    assert world.exists(operation.backup)
