"""Every outcome of a command that came to no operation, whole: what was meant, and why nothing was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.context import Report
from backstop.messages import Delivery
from backstop.ports import Settings
from backstop.results import ErrorText
from emulators.errors import Code
from emulators.faults import Fault
from tests.unit.handlers_world import (
    COMMANDS,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MINUTE,
    NIGHTLY,
    ORDERS,
    START,
    World,
)
from tests.unit.told import LOSES, of_command

NOTHING = "Nothing to cancel: no such operation ran when the command was published, or in the 10m before."
NONE_FOUND = "Found no operation to follow; Spanner keeps them for 7 days after their end."
NO_ROLE = ErrorText("PERMISSION_DENIED", "no role")


def test_a_cancel_that_means_nothing_is_told_in_full() -> None:
    """It says of when it speaks."""
    world = World()

    report = world.send(action="cancel", database=ORDERS)

    assert world.results == [of_command(world, "NOTHING_TO_CANCEL", NOTHING, ORDERS, database=ORDERS)]
    assert replace(report, results=()) == Report("cancel")


def test_a_cancel_of_what_ended_long_ago_is_told_in_full() -> None:
    """The operation that it names is there."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.tick(3 * HOUR)

    world.send(action="cancel", operation=operation)

    assert world.results == [of_command(world, "NOTHING_TO_CANCEL", NOTHING, operation, operation=operation)]


def test_a_follow_that_finds_nothing_is_told_in_full() -> None:
    """It says how far back Spanner's list goes."""
    world = World()

    world.send(action="follow", backup=NIGHTLY)

    assert world.results == [of_command(world, "REJECTED", NONE_FOUND, NIGHTLY, backup=NIGHTLY)]


@pytest.mark.parametrize(
    ("action", "did"), [("cancel", "Did not cancel"), ("follow", "Did not follow")], ids=["cancel", "follow"]
)
def test_a_scheduled_backup_that_is_left_alone_is_told_in_full(action: str, did: str) -> None:
    """The operation is named, and the field that would include it."""
    world = World(LOSES)
    operation = world.start_scheduled()

    world.send(action=action, database=ORDERS, **({"cancel_after": "1h"} if action == "follow" else {}))

    why = f"{did} {operation}, as a backup schedule made it and include_scheduled is not set."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]


def test_a_cancel_that_could_mean_several_operations_is_told_in_full() -> None:
    """Each of them is named, the newest first."""
    world = World(LOSES)
    one = world.start_scheduled("one")
    world.tick(MINUTE)
    two = world.start_scheduled("two")

    world.send(action="cancel", database=ORDERS, include_scheduled=True)

    why = f"Cancelled nothing, as several operations ran: {two}, {one}. Name the one you mean."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]


def test_a_refusal_is_told_in_full() -> None:
    """Google's words are the detail, and the error."""
    world = World()
    world.faults.plan(Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="no role"))

    report = world.send(action="cancel", database=ORDERS)

    error = {"code": "PERMISSION_DENIED", "message": "no role"}
    assert world.results == [
        of_command(world, "REJECTED", "Google refused: no role", ORDERS, database=ORDERS, error=error)
    ]
    assert replace(report, results=()) == Report("cancel", error=NO_ROLE)


def test_a_command_that_never_got_through_is_told_in_full() -> None:
    """What stood in the way is in the detail, and the error."""
    world = World(settings=Settings(FOLLOW_UPS, give_up_after=HOUR))
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.send(action="cancel", database=ORDERS)
    last = world.looks()[-1]

    error = {"code": "RESOURCE_EXHAUSTED", "message": "slow down"}
    detail = "Could not be carried out in time: RESOURCE_EXHAUSTED: slow down."
    assert world.results == [of_command(world, "GAVE_UP", detail, ORDERS, database=ORDERS, error=error)]
    assert replace(last, results=()) == Report("put-back")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_start_that_never_got_through_says_that_it_may_have_begun(*, dry_run: bool) -> None:
    """Where no answer came back, nobody knows; who reads it can look. A dry run begins nothing."""
    world = World(settings=Settings(FOLLOW_UPS, give_up_after=HOUR))
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.send(action="start", database=ORDERS, dry_run=dry_run)
    world.looks()

    detail = "Could not be carried out in time: RESOURCE_EXHAUSTED: slow down."
    if not dry_run:
        detail += " A backup that it may have started, and that no outcome tells of, is followed by nobody."
    assert (world.outcomes, world.detail) == (["GAVE_UP"], detail)


def test_a_put_back_is_reported_in_full() -> None:
    """The log says which step it is, when it comes again, and why."""
    world = World()
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, message="slow down"))

    report = world.send(action="cancel", database=ORDERS)

    assert report == Report(
        "cancel",
        step=1,
        next_look=report.next_look,
        note="Put back: RESOURCE_EXHAUSTED: slow down.",
        error=ErrorText("RESOURCE_EXHAUSTED", "slow down"),
    )
    assert [task.schedule_time for task in world.tasks.pending()] == [world.now + (report.next_look or HOUR)]


def test_a_refused_delivery_is_reported_in_full() -> None:
    """The log says that it comes again, and why."""
    world = World()
    world.faults.plan(Fault("ListBackupOperations", Code.UNAVAILABLE, message="try again"))

    report = world.send(action="cancel", database=ORDERS)

    note, error = "To be delivered again: UNAVAILABLE: try again.", ErrorText("UNAVAILABLE", "try again")
    assert report == Report("cancel", retry=True, note=note, error=error)


@pytest.mark.parametrize(("message_id", "called"), [("17", "17"), ("", "(no id)")])
@pytest.mark.parametrize(("topic", "subject"), [(COMMANDS, COMMANDS), ("", "unknown"), ("x" * 301, "x" * 300)])
def test_a_message_that_can_t_be_understood_is_told_in_full(
    message_id: str, called: str, topic: str, subject: str
) -> None:
    """Which message, which field of it, and what is wrong with that."""
    world = World()

    report = world.deliver(Delivery(b'{"action": "cancel"}', message_id=message_id, publish_time=START, topic=topic))

    assert world.results == [
        {
            "outcome": "REJECTED",
            "detail": f"Could not understand message {called}: operation | backup | database: exactly one of these "
            "must be given; found 'none of them'.",
            "trigger": {"message_id": message_id, "publish_time": "2026-11-22T02:00:00Z"},
            "subject": subject,
            "field": "operation | backup | database",
        }
    ]
    assert replace(report, results=()) == Report()


@pytest.mark.parametrize(("topic", "came_from"), [(COMMANDS, COMMANDS), ("", "nowhere")])
def test_a_follow_up_from_another_topic_is_told_in_full(topic: str, came_from: str) -> None:
    """Where it may come from, and where it came from."""
    world = World()

    world.deliver(Delivery(b"{}", {"backstop-kind": "follow-up"}, "17", START, topic))

    (result,) = world.results
    assert result["field"] == "attributes.backstop-kind"
    assert result["detail"] == (
        "Could not understand message 17: attributes.backstop-kind: only a message from "
        f"{FOLLOW_UPS} may be one; this came from {came_from}; found 'follow-up'."
    )
    assert INSTANCE not in result["subject"]
