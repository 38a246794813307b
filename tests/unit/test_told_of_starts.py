"""Every outcome of a start, whole: what was begun, what was not, and who stood in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.context import Report
from backstop.follow_ups import FanOut, Look
from backstop.lifecycle import Intent, State
from backstop.messages import parse_follow_up
from backstop.pacing import HISTORY_SPREAD, expectation
from backstop.results import ErrorText
from emulators.errors import Code
from emulators.faults import Fault
from tests.support.ports import publish_of
from tests.unit.handlers_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, USERS, World
from tests.unit.told import LOSES, of_command, of_nightly

if TYPE_CHECKING:
    from datetime import timedelta

NO_MATCH = "no database of the instance matches"
SLOT = "; the database's slot is held by {operation}, started at 2026-11-22T02:00:00+00:00"
NAME = "; the name is held by the backup of {operation}"


def waiting(world: World) -> list[object]:
    """The follow-ups that wait, as they will be read."""
    return [parse_follow_up(publish_of(task).messages[0].data) for task in world.tasks.pending()]


def test_a_start_is_told_in_full() -> None:
    """And its chain begins with all that is known."""
    world = World(LOSES)

    report = world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h", if_created="keep")

    assert world.results == [of_nightly(world, "STARTED", "Started {backup} of " + f"{ORDERS}.")]
    operation = world.results[0]["operation"]
    assert replace(report, results=(), next_look=None) == Report("start", (), operation, ORDERS, State.RUNNING, 0)
    (look,) = waiting(world)
    assert isinstance(look, Look)
    assert (look.step, look.operation, look.database, look.intent) == (1, operation, ORDERS, Intent.KEEP)
    assert (look.cancel_at, look.if_created, look.give_up_at) == (START + HOUR, "keep", START + 3 * DAY)
    assert (look.expected_seconds, look.expected_spread) == (None, HISTORY_SPREAD)


@pytest.mark.parametrize("target", ["database", "instance"])
def test_a_start_carries_along_how_long_its_backup_should_take(target: str) -> None:
    """From the same database's earlier ones, whatever others took."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.start_by_hand("one")
    world.start_by_hand("two", USERS)
    world.tick(3 * HOUR)

    if target == "database":
        world.send(action="start", database=ORDERS)
    else:
        world.send(action="start", instance=INSTANCE, databases=["orders"])
        world.look()
        world.look()

    (look,) = (one for one in waiting(world) if isinstance(one, Look))
    expected = expectation(world.ports.spanner.list_operations(INSTANCE), ORDERS)
    assert expected is not None
    assert (look.expected_seconds, look.expected_spread) == (7200, round(expected.spread, 3))


def test_a_start_that_comes_too_late_is_told_in_full() -> None:
    """How late it was, and how late it might have been."""
    world = World(LOSES)
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly", "start_within": "1h"})
    world.tick(HOUR + MINUTE)

    report = world.deliver(delivery)

    why = f"Did not start {NIGHTLY}: the message came 1h1m after it was published, more than 1h."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]
    assert replace(report, results=()) == Report("start", database=ORDERS)


@pytest.mark.parametrize(
    ("backup_id", "code", "holder"), [("other", "FAILED_PRECONDITION", SLOT), ("nightly", "ALREADY_EXISTS", NAME)]
)
def test_a_start_that_somebody_stands_in_the_way_of_is_told_in_full(backup_id: str, code: str, holder: str) -> None:
    """Google's words, and the operation that holds the slot or the name."""
    world = World(LOSES)
    operation = world.start_by_hand(backup_id)
    world.tick(3 * HOUR if code == "ALREADY_EXISTS" else MINUTE)
    world.faults.plan(Fault("CreateBackup", Code[code], message="No"))

    report = world.send(action="start", database=ORDERS, backup_id="nightly")

    held = f"No{holder.format(operation=operation)}"
    error = {"code": code, "message": held}
    assert world.results == [
        of_command(world, "REJECTED", f"Google refused: {held}", ORDERS, database=ORDERS, error=error)
    ]
    assert replace(report, results=()) == Report("start", database=ORDERS, error=ErrorText(code, held))


def test_a_name_that_a_schedule_holds_is_told_in_full() -> None:
    """It is no name for a backup made on demand."""
    world = World(LOSES)
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly"})
    operation = world.start_scheduled("nightly")

    world.deliver(delivery)

    why = f"Did not start {NIGHTLY}: the name is held by {operation}, which a backup schedule started."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]


@pytest.mark.parametrize(
    ("backup_id", "after", "holder", "expires"),
    [(None, MINUTE, "", "02:01"), ("other", MINUTE, SLOT, "02:01"), ("nightly", 3 * HOUR, NAME, "05:00")],
)
def test_a_dry_start_is_told_in_full(backup_id: str | None, after: timedelta, holder: str, expires: str) -> None:
    """What would be started, until when it would be kept, and who stands in the way; others' databases don't."""
    world = World(LOSES, databases=(ORDERS, USERS))
    operation = world.start_by_hand(backup_id, ORDERS) if backup_id else world.start_by_hand("other", USERS)
    world.tick(after)

    report = world.send(action="start", database=ORDERS, backup_id="nightly", dry_run=True)

    would = f"Would start {NIGHTLY} of {ORDERS}, to expire at 2026-12-06 {expires} UTC"
    detail = f"{would}{holder.format(operation=operation)}."
    assert world.results == [of_command(world, "DRY_RUN", detail, ORDERS, backup=NIGHTLY, database=ORDERS)]
    assert replace(report, results=()) == Report("start", database=ORDERS)


def test_a_start_of_many_that_matches_nothing_is_told_in_full() -> None:
    """Each pattern is named."""
    world = World(LOSES)

    first = world.send(action="start", instance=INSTANCE, databases=["x*", "y"])
    listed = world.look()

    assert world.results == [
        of_command(
            world,
            "REJECTED",
            f"Started nothing, as no database of {INSTANCE} matches.",
            INSTANCE,
            databases={"started": [], "not_started": {"x*": NO_MATCH, "y": NO_MATCH}},
        )
    ]
    note = f"The databases of {INSTANCE} are listed next."
    assert first == Report("start", step=0, next_look=START - START, note=note)
    assert replace(listed, results=()) == Report("fan-out", step=1)


def test_a_dry_start_of_many_is_told_in_full() -> None:
    """Each database is named."""
    world = World(LOSES, databases=(ORDERS, USERS))

    world.send(action="start", instance=INSTANCE, dry_run=True)
    report = world.look()

    would = "Would start a backup of each of 2 databases: orders, users."
    assert world.results == [of_command(world, "DRY_RUN", would, INSTANCE)]
    assert replace(report, results=()) == Report("fan-out", step=1)


def test_a_start_of_many_is_told_in_full() -> None:
    """Each step is reported, and the last tells what was started and what was not."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.faults.plan(Fault("CreateBackup", Code.INVALID_ARGUMENT, message="bad"))
    world.send(action="start", instance=INSTANCE, databases=["*", "x", "y"])

    listed, refused = world.look(), world.look()
    (next_one,) = waiting(world)
    started, summed_up = world.look(), world.look()

    databases = {"started": ["users"], "not_started": {"x": NO_MATCH, "y": NO_MATCH, "orders": "INVALID_ARGUMENT: bad"}}
    assert world.results[1:] == [
        of_command(world, "STARTED", "Started 1 backups. Not started: x, y, orders.", INSTANCE, databases=databases)
    ]
    now = START - START
    assert listed == Report("fan-out", step=1, next_look=now, note="Starting the backups of 2 databases.")
    name = f"{INSTANCE}/backups/orders-20261122-020000-5d07"
    note = f"Did not start {name}: INVALID_ARGUMENT: bad."
    assert refused == Report("fan-out", database=ORDERS, step=2, next_look=now, note=note)
    assert isinstance(next_one, FanOut)
    assert (next_one.step, next_one.left, next_one.failures) == (3, ("users",), 0)
    operation = world.results[0]["operation"]
    assert started.next_look is not None
    assert replace(started, results=(), next_look=None) == Report(
        "fan-out", (), operation, USERS, State.RUNNING, started.step
    )
    assert replace(summed_up, results=()) == Report("fan-out", step=4)


def test_a_start_of_many_that_starts_nothing_is_told_in_full() -> None:
    """It is rejected as a whole, with the reason for each."""
    world = World(LOSES)
    world.faults.plan(Fault("CreateBackup", Code.INVALID_ARGUMENT, message="bad"))

    world.send(action="start", instance=INSTANCE)
    world.looks()

    databases = {"started": [], "not_started": {"orders": "INVALID_ARGUMENT: bad"}}
    detail = "Started 0 backups. Not started: orders."
    assert world.results == [of_command(world, "REJECTED", detail, INSTANCE, databases=databases)]
