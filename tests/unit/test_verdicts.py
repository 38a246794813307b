"""What is to become of a backup that was to be stopped and completed: each verdict, whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.commands import IfCreated
from backstop.context import At
from backstop.deletion import Verdict, judge
from backstop.follow_ups import Look, Trigger
from backstop.lifecycle import Intent, Outcome
from backstop.ports import Settings
from tests.unit.handlers_world import DAY, FOLLOW_UPS, HOUR, MINUTE, NIGHTLY, ORDERS, SCHEDULE, START, World
from tests.unit.told import LOSES

if TYPE_CHECKING:
    from backstop.ports import Operation


def lost_race(*, scheduled: bool = False) -> tuple[World, Operation]:
    """A backup that was cancelled and completed all the same, and its operation."""
    world = World(LOSES)
    name = world.start_scheduled("nightly") if scheduled else world.start_by_hand()
    world.cancel_by_hand(name)
    world.tick(3 * HOUR)
    return world, world.ports.spanner.get_operation(name)


def verdict(world: World, operation: Operation, *, settings: Settings | None = None, **said: object) -> Verdict:
    """The verdict for a cancel that was published at the start."""
    look = Look(
        trigger=Trigger("17", START),
        step=1,
        operation=operation.name,
        intent=Intent.CANCEL,
        cancel_at=START,
        give_up_at=START + DAY,
        **said,  # type: ignore[arg-type]  # fields by name
    )
    return judge(At(world.now, look.trigger, world.ports, settings or world.settings), look, operation)


def test_nothing_speaks_for_a_backup_that_lost_its_race() -> None:
    """It may be deleted, and is known as it is now."""
    world, operation = lost_race()

    assert verdict(world, operation) == Verdict(None, "has been deleted", world.ports.spanner.get_backup(NIGHTLY))


@pytest.mark.parametrize(
    ("said", "allow_delete", "why"),
    [
        ({"if_created": IfCreated.KEEP}, True, "the command says if_created: keep"),
        ({}, False, "this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)"),
    ],
)
def test_a_backup_that_nobody_may_delete_is_not_even_looked_at(
    said: dict[str, object], why: str, *, allow_delete: bool
) -> None:
    """The verdict needs no call."""
    world, operation = lost_race()
    settings = Settings(FOLLOW_UPS, allow_delete=allow_delete)

    kept = verdict(world, operation, settings=settings, **said)

    assert kept == Verdict(Outcome.COMPLETED_KEPT, f"is left alone: {why}")
    assert world.calls["GetBackup"] == 0


def test_what_only_the_backup_itself_says_keeps_it_too() -> None:
    """Its operation's response may be older than the backup."""
    world, operation = lost_race(scheduled=True)
    assert operation.response is not None
    older = replace(operation, response=replace(operation.response, schedules=()))

    why = f"is left alone: it was made by {SCHEDULE}, and include_scheduled is not set"
    found = world.ports.spanner.get_backup(NIGHTLY)
    assert verdict(world, older) == Verdict(Outcome.COMPLETED_KEPT, why, found)
    assert verdict(world, older, include_scheduled=True) == Verdict(None, "has been deleted", found)


@pytest.mark.parametrize("again", [False, True])
def test_a_backup_that_is_gone_is_as_good_as_deleted(*, again: bool) -> None:
    """Whatever has its name now."""
    world, operation = lost_race()
    world.delete_by_hand(NIGHTLY)
    if again:
        world.start_by_hand(database=ORDERS)
        world.tick(MINUTE)

    other = "; the backup that has its name now, created at 2026-11-22T05:00:00+00:00, stays" if again else ""
    assert verdict(world, operation) == Verdict(Outcome.COMPLETED_THEN_DELETED, f"is gone{other}")
