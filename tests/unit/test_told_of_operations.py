"""Every outcome about an operation, whole: a reader gets each field, and a person each word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.events import Outcome
from backstop.execute import Report
from backstop.lifecycle import State
from backstop.ports import Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner import requests as rpc
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from tests.unit.handlers_world import DAY, FOLLOW_UPS, HOUR, INSTANCE, MINUTE, MISSING, NIGHTLY, ORDERS, START, World
from tests.unit.told import CANCELLED_ERROR, COMPLETE, DAY_BILLED, LOSES, WINS, of_command, of_nightly

DELETED = {"freed_bytes": 5_000_000_000, "billed": DAY_BILLED}
LATE = "{backup} was complete before it could be stopped, and "
ASKED = "Asked Spanner to stop {operation}; it may complete all the same and is followed to its end."
RESTORED = f"{INSTANCE}/databases/restored"
IN_USE = {"code": "FAILED_PRECONDITION", "message": "in use"}


def cancelled(plan: Plan = LOSES, **command: object) -> World:
    """A backup that runs for a minute and is cancelled then."""
    world = World(plan)
    world.start_by_hand()
    world.tick(MINUTE)
    world.send(action="cancel", database=ORDERS, **command)
    return world


def test_a_cancel_that_wins_is_told_in_full() -> None:
    """Nothing is billed, and Spanner's own word for the end is there."""
    world = cancelled(WINS)
    last = world.looks()[-1]

    assert world.results == [
        of_nightly(world, "CANCEL_REQUESTED", ASKED, steps=0),
        of_nightly(
            world,
            "CANCELLED",
            "{backup} was cancelled; there is no backup, and nothing is billed.",
            error=CANCELLED_ERROR,
            end_time="2026-11-22T02:01:05Z",
            steps=1,
            billed={"hours_min": 0},
        ),
    ]
    operation = world.results[0]["operation"]
    assert replace(last, results=()) == Report("look", (), operation, ORDERS, State.CANCELLED, 1)


def test_a_cancel_that_loses_is_told_in_full() -> None:
    """The backup is gone, and what it costs is there."""
    world = cancelled()
    reports = world.looks()

    assert world.results[1:] == [
        of_nightly(
            world, "COMPLETED_THEN_DELETED", LATE + "has been deleted.", **COMPLETE, steps=len(reports), **DELETED
        )
    ]
    operation = world.results[0]["operation"]
    assert replace(reports[-1], results=()) == Report("look", (), operation, ORDERS, State.SUCCEEDED, len(reports))


def test_a_cancel_that_comes_after_the_end_is_told_in_full() -> None:
    """One look is enough, and it has number 0."""
    world = World(LOSES)
    world.start_by_hand()
    world.tick(2 * HOUR + MINUTE)

    report = world.send(action="cancel", backup=NIGHTLY)

    assert world.results == [
        of_nightly(world, "COMPLETED_THEN_DELETED", LATE + "has been deleted.", **COMPLETE, steps=0, **DELETED)
    ]
    assert replace(report, results=()) == Report(
        "cancel", (), world.results[0]["operation"], ORDERS, State.SUCCEEDED, 0
    )


def test_a_backup_that_is_deleted_is_told_as_it_was_then() -> None:
    """Its expiry may have been changed since its operation ended."""
    world = cancelled()
    world.tick(2 * HOUR)
    world.spanner.apply(world.now, rpc.UpdateBackup(NIGHTLY, START + DAY, ("expire_time",)))

    world.look()

    assert [result.get("expire_time") for result in world.results] == [None, "2026-11-23T02:00:00Z"]


def test_a_backup_that_is_kept_is_told_in_full() -> None:
    """The command said so."""
    world = cancelled(if_created="keep")
    steps = len(world.looks())

    assert world.results[1:] == [
        of_nightly(
            world, "COMPLETED_KEPT", LATE + "is left alone: the command says if_created: keep.", **COMPLETE, steps=steps
        )
    ]


def test_a_blocked_delete_is_told_in_full() -> None:
    """Google's words, who needs the backup, and until when it is tried."""
    world = cancelled()
    world.tick(2 * HOUR)
    world.faults.plan(Fault("DeleteBackup", Code.FAILED_PRECONDITION, message="in use"))

    report = world.look()

    assert world.results[1:] == [
        of_nightly(
            world,
            "DELETE_BLOCKED",
            "{backup} can't be deleted yet, as a restore or a copy still needs it; trying until 2026-11-25 02:01 UTC.",
            **COMPLETE,
            steps=1,
            error=IN_USE,
        )
    ]
    operation = world.results[0]["operation"]
    assert report.next_poll is not None
    assert [result.outcome for result in report.results] == [Outcome.DELETE_BLOCKED]
    assert replace(report, results=(), next_poll=None) == Report("look", (), operation, ORDERS, State.SUCCEEDED, 1)


def test_a_delete_that_stays_blocked_is_told_in_full() -> None:
    """All who need the backup are named, and the bound of what it costs."""
    world = cancelled()
    world.tick(2 * HOUR)
    for name in ("one", "two"):
        world.spanner.begin_restore(world.now, NIGHTLY, f"{RESTORED}-{name}", START + 30 * DAY)
    reports = world.looks()

    error = world.results[-1]["error"]
    expiry = world.backup().expire_time
    assert world.now < expiry <= world.now + 5 * MINUTE
    assert error["code"] == "FAILED_PRECONDITION"
    assert world.results[2:] == [
        of_nightly(
            world,
            "GAVE_UP",
            f"Stopped following {{operation}} after {len(reports)} looks: its backup can't be deleted, as "
            f"{RESTORED}-one, {RESTORED}-two still needs it; its expiry was brought forward to "
            f"{expiry:%Y-%m-%d %H:%M} UTC; progress was 100 % when last seen. It needs a person now.",
            end_time=COMPLETE["end_time"],
            steps=len(reports),
            error=error,
        )
    ]
    operation = world.results[0]["operation"]
    assert replace(reports[-1], results=()) == Report("look", (), operation, ORDERS, State.SUCCEEDED, len(reports))


@pytest.mark.parametrize("cancelled_by_hand", [False, True])
def test_a_backup_that_is_wanted_is_told_in_full(*, cancelled_by_hand: bool) -> None:
    """Until when it is kept, or who decides about it."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    if cancelled_by_hand:
        world.cancel_by_hand(operation)
    steps = len(world.looks())

    kept = "{backup} is complete and is kept until 2026-12-06 02:00 UTC."
    despite = f"{kept[:-1]}, although somebody asked for a cancel; whoever asked decides about deleting it."
    outcome, detail = ("COMPLETED_DESPITE_CANCEL", despite) if cancelled_by_hand else ("COMPLETED", kept)
    assert world.results == [of_nightly(world, outcome, detail, **COMPLETE, steps=steps)]


def test_a_failure_is_told_in_full() -> None:
    """Google's sentence ends once."""
    world = World(Plan(duration=HOUR, error=Status(Code.INTERNAL, "It broke at X.")))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    steps = len(world.looks())

    detail, error = "{backup} failed with INTERNAL: It broke at X.", {"code": "INTERNAL", "message": "It broke at X."}
    assert world.results == [
        of_nightly(world, "FAILED", detail, error=error, end_time="2026-11-22T03:00:00Z", steps=steps)
    ]


@pytest.mark.parametrize("action", ["cancel", "follow"])
def test_an_operation_that_spanner_does_not_know_is_told_in_full(action: str) -> None:
    """Its name is all that is known, and it says which backup is meant."""
    world = World()

    report = world.send(action=action, operation=MISSING)

    detail = f"Spanner does not know {MISSING}; it forgets operations 7 days after their end."
    about = {"operation": MISSING, "backup": NIGHTLY, "steps": 0}
    assert world.results == [of_command(world, "GONE", detail, NIGHTLY, **about)]
    assert replace(report, results=()) == Report(action, (), MISSING, None, State.GONE, 0)


def test_an_operation_that_was_forgotten_meanwhile_is_told_in_full() -> None:
    """The look remembers what it backs up."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.tick(8 * DAY)

    report = world.look()

    detail = f"Spanner does not know {operation}; it forgets operations 7 days after their end."
    about = {"operation": operation, "backup": NIGHTLY, "database": ORDERS, "steps": 1}
    assert world.results == [of_command(world, "GONE", detail, NIGHTLY, **about)]
    assert replace(report, results=()) == Report("look", (), operation, ORDERS, State.GONE, 1)


def test_a_chain_that_gives_up_is_told_in_full() -> None:
    """How often was looked, how far it had come, and who is needed."""
    world = World(Plan(duration=6 * DAY), settings=Settings(FOLLOW_UPS, give_up_after=DAY))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    reports = world.looks()

    detail = "Stopped following {operation} after %d looks: it has not ended; progress was 16 %% when last seen."
    assert world.results == [
        of_nightly(world, "GAVE_UP", f"{detail % len(reports)} It needs a person now.", steps=len(reports))
    ]
    operation = world.results[0]["operation"]
    assert replace(reports[-1], results=()) == Report("look", (), operation, ORDERS, State.RUNNING, len(reports))
