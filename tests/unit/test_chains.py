"""The chain that a command's polls make: what each one does, what it remembers, and how it ends."""

from __future__ import annotations

import pytest

from backstop.events import Trigger
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, USERS, World
from tests.unit.said import LOSES, WINS, of_command, of_nightly
from tests.unit.times import DAY, HOUR, SECOND, START

FOLLOW: dict[str, object] = {"action": "follow", "database": ORDERS}


def test_every_poll_is_one_call_and_one_step() -> None:
    """A poll of an operation that runs reads it, schedules the next one and tells nothing; twice delivered, no more."""
    world = World(LOSES)
    world.send(action="start", database=ORDERS)
    before = world.calls.copy()

    report = world.look()
    calls = world.calls - before
    world.again()
    world.again()

    assert (report.command, report.step, report.state, report.events) == ("poll", 1, "RUNNING", ())
    assert calls == {"GetOperation": 1, "CreateTask": 1}
    assert len(world.tasks.pending()) == 1


def test_an_operation_that_two_polls_do_not_find_is_gone() -> None:
    """The chain remembers what was backed up; after the first miss it makes sure as soon as it may."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.send(**FOLLOW)
    world.faults.plan(Fault("GetOperation", Code.NOT_FOUND, times=2))

    first, second = world.looks()

    detail = f"Spanner does not know {operation}; it forgets operations 7 days after their end."
    about = {"operation": operation, "backup": NIGHTLY, "database": ORDERS, "steps": 2}
    assert (first.state, first.next_poll, second.state) == ("MISSING", 10 * SECOND, "GONE")
    assert world.results == [of_command(world, "GONE", detail, NIGHTLY, **about)]


def test_an_operation_that_the_last_poll_does_not_find_is_given_up_and_not_told_to_be_gone() -> None:
    """One NOT_FOUND may be a mistake, and there is no time left to make sure."""
    world = World(Plan(duration=6 * DAY))
    operation = world.start_by_hand()
    world.send(**FOLLOW)
    world.tick(3 * DAY)
    world.faults.plan(Fault("GetOperation", Code.NOT_FOUND))

    world.look()

    why = f"Stopped following {operation} after 1 polls: Spanner could not find it just now. It needs a person now."
    assert (world.outcomes, world.detail) == (["GAVE_UP"], why)


@pytest.mark.parametrize("progress", [ProgressModel.LINEAR, ProgressModel.STUCK])
def test_a_chain_gives_up_at_its_time_and_says_how_far_it_had_come(progress: ProgressModel) -> None:
    """How often was polled, and who is needed; nothing is said of a progress that was never seen."""
    world = World(Plan(duration=6 * DAY, progress=progress), settings=Settings(FOLLOW_UPS, give_up_after=DAY))
    world.start_by_hand()
    world.send(**FOLLOW)

    polls = world.looks()

    seen = "; progress was 16 % when last seen" if progress is ProgressModel.LINEAR else ""
    detail = f"Stopped following {{operation}} after {len(polls)} polls: it has not ended{seen}. It needs a person now."
    assert world.results == [of_nightly(world, "GAVE_UP", detail, steps=len(polls))]
    assert START + DAY <= world.now <= START + DAY + HOUR


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_to_be_stopped_at_the_last_moment_is_stopped_before_the_chain_gives_up(*, refused: bool) -> None:
    """Even if there is no time left to see what it comes to; what Spanner refuses then is asked once and told."""
    world = World(Plan(duration=6 * DAY), settings=Settings(FOLLOW_UPS, give_up_after=HOUR))
    operation = world.start_by_hand()
    world.send(**FOLLOW, cancel_after="1h")
    if refused:
        world.faults.plan(Fault("CancelOperation", Code.FAILED_PRECONDITION, times=None, message="too late"))

    world.looks()

    assert (world.outcomes, world.calls["CancelOperation"]) == (["GAVE_UP"], 1)
    assert world.cancelled(operation) is not refused
    assert (
        "Spanner refuses to cancel it: too late"
        if refused
        else ": it has not ended, and Spanner has just been asked to stop it"
    ) in world.detail


def test_a_cancel_that_spanner_refuses_is_asked_again_at_the_next_poll() -> None:
    """What can't be cancelled has mostly ended; where it hasn't, nobody gives up."""
    world = World(WINS)
    world.start_by_hand()
    world.faults.plan(Fault("CancelOperation", Code.FAILED_PRECONDITION, times=2))

    report = world.send(action="cancel", database=ORDERS)
    world.looks()

    assert (report.state, report.events) == ("ENDING", ())
    assert (world.outcomes, world.calls["CancelOperation"]) == (["CANCEL_REQUESTED", "CANCELLED"], 3)


WHO = {"requested_by": "anna@example.com", "reason": "ticket 7 \N{RIGHTWARDS ARROW} test data"}
START_ONE: dict[str, object] = {"action": "start", "database": ORDERS}
BLOCKED = ["DELETE_BLOCKED", "GAVE_UP"]


@pytest.mark.parametrize(
    ("command", "outcomes"),
    [
        (START_ONE | {"cancel_after": "0s"}, ["STARTED", "CANCEL_REQUESTED", *BLOCKED]),
        (START_ONE | {"dry_run": True}, ["DRY_RUN"]),
        (START_ONE | {"start_within": "1s"}, ["REJECTED"]),
        ({"action": "start", "instance": INSTANCE}, ["STARTED", "STARTED", "STARTED", "COMPLETED", "COMPLETED"]),
        ({"action": "cancel", "backup": NIGHTLY}, ["CANCEL_REQUESTED", *BLOCKED]),
        ({"action": "cancel", "database": USERS}, ["NOTHING_TO_CANCEL"]),
        ({"action": "follow", "database": ORDERS}, ["COMPLETED"]),
        ({"action": "sweep", "instance": INSTANCE, "cancel_after": "0s"}, ["CANCEL_REQUESTED"]),
    ],
)
def test_who_asked_and_why_goes_through_the_whole_chain_into_each_event_and_each_follow_up(
    command: dict[str, object], outcomes: list[str]
) -> None:
    """Through a retry, which every one of these begins with, as well."""
    world = World(LOSES, databases=[ORDERS, USERS])
    if command["action"] != "start":
        world.start_by_hand()
    world.faults.plan(
        Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED),
        Fault("DeleteBackup", Code.FAILED_PRECONDITION, times=None),
    )
    triggers: list[Trigger] = []

    world.send(**command, **WHO)
    assert world.last is not None
    by = Trigger(world.last.message_id, START, COMMANDS, str(command["action"]), **WHO)
    while waiting := world.waiting:
        triggers += [follow_up.trigger for _, follow_up in waiting]
        report = world.look()
        assert report.trigger == by

    assert world.outcomes == outcomes
    assert set(triggers) == {by}
    assert all(result.items() >= WHO.items() for result in world.results)
    assert {result["trigger"]["action"] for result in world.results} == {command["action"]}
