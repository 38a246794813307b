"""Every outcome of a dry run of a cancel and of a follow, whole: what would have been done, and to what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.execute import Report
from backstop.lifecycle import CLOCK_MARGIN, State
from tests.unit.handlers_world import HOUR, MINUTE, MISSING, NIGHTLY, ORDERS, World
from tests.unit.told import COMPLETE, LOSES, of_nightly

LATE = "{backup} was complete before it could be stopped, and "


@pytest.mark.parametrize(("action", "would"), [("cancel", "cancel, look again soon"), ("follow", "look again later")])
def test_a_dry_run_while_the_operation_runs_is_told_in_full(action: str, would: str) -> None:
    """What would be done, and what the operation looks like."""
    world = World(LOSES)
    operation = world.start_by_hand()

    report = world.send(action=action, database=ORDERS, dry_run=True)

    assert world.results == [of_nightly(world, "DRY_RUN", f"Would {would}: {{operation}} is RUNNING.")]
    assert not {"CancelOperation", "DeleteBackup", "CreateTask"} & set(world.calls)
    assert replace(report, results=()) == Report(action, (), operation, ORDERS, State.RUNNING)


@pytest.mark.parametrize(("limit", "would"), [("1h", "cancel, look again soon"), ("3h", "look again later")])
def test_a_dry_run_of_a_limit_says_whether_it_is_reached(limit: str, would: str) -> None:
    """As the look would find it."""
    world = World(LOSES)
    world.start_by_hand()
    world.tick(HOUR + MINUTE)
    delivery = world.publish({"action": "follow", "database": ORDERS, "cancel_after": limit, "dry_run": True})
    world.tick(CLOCK_MARGIN)

    world.deliver(delivery)

    assert world.results == [of_nightly(world, "DRY_RUN", f"Would {would}: {{operation}} is RUNNING.")]


@pytest.mark.parametrize(
    ("if_created", "would"),
    [("delete", "would be deleted."), ("keep", "is left alone: the command says if_created: keep.")],
)
def test_a_dry_run_after_a_lost_race_is_told_in_full(if_created: str, would: str) -> None:
    """Nothing is billed for what isn't done."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.tick(2 * HOUR + MINUTE)

    report = world.send(action="cancel", backup=NIGHTLY, dry_run=True, if_created=if_created)

    assert world.results == [of_nightly(world, "DRY_RUN", LATE + would, **COMPLETE)]
    assert world.exists()
    assert replace(report, results=()) == Report("cancel", (), operation, ORDERS, State.SUCCEEDED)


def test_a_dry_run_after_a_lost_race_whose_backup_is_gone_is_told_in_full() -> None:
    """There is nothing left to delete."""
    world = World(LOSES)
    world.start_by_hand()
    world.tick(2 * HOUR + MINUTE)
    world.delete_by_hand(NIGHTLY)

    world.send(action="cancel", backup=NIGHTLY, dry_run=True)

    assert world.results == [of_nightly(world, "DRY_RUN", LATE + "is gone.", **COMPLETE)]


def test_a_dry_run_of_an_unknown_operation_is_told_in_full() -> None:
    """There is nothing that could be done."""
    world = World()

    world.send(action="cancel", operation=MISSING, dry_run=True)

    assert world.outcomes == ["GONE"]
