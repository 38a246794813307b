"""Every outcome of a command that came to no operation, whole: what was meant, and why nothing was done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.execute import Report
from backstop.ports import Settings
from backstop.wire import Delivery
from emulators.errors import Code
from emulators.faults import Fault
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, USERS, World
from tests.unit.told import LOSES, of_command


@pytest.mark.parametrize(
    ("action", "target", "outcome", "why"),
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
def test_a_mistyped_name_looked_like_success(action: str, target: dict[str, str], outcome: str, why: str) -> None:
    """One that isn't there is named as a mistake; of one that is, somebody should know that nothing was done."""
    world = World()

    report = world.send(action=action, **target)

    (subject,) = target.values()
    warning = {"severity": "WARNING"} if outcome == "NOTHING_TO_CANCEL" else {}
    assert world.results == [of_command(world, outcome, why, subject, **target, **warning)]
    assert replace(report, results=()) == Report(action)


def test_a_cancel_of_what_ended_long_ago_is_told_in_full() -> None:
    """When it ended, and how its backup can be deleted."""
    world = World(LOSES)
    operation = world.start_by_hand()
    world.tick(3 * HOUR)

    world.send(action="cancel", operation=operation)

    why = (
        f"Nothing to cancel for {operation}: {operation} ended last, at 2026-11-22 04:00:00 UTC. If its backup is to "
        "go: gcloud spanner backups delete nightly --instance=main"
    )
    told = of_command(world, "NOTHING_TO_CANCEL", why, operation, operation=operation, severity="WARNING")
    assert world.results == [told]


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

    why = f"Cancelled nothing, as any of these may be meant: {two}, {one}. Name the operation."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]


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


@pytest.mark.parametrize(("message_id", "called"), [("17", "17"), ("", "(no id)")])
@pytest.mark.parametrize(("topic", "subject"), [(COMMANDS, COMMANDS), ("", "unknown")])
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
            "trigger": {"message_id": message_id, "publish_time": "2026-11-22T02:00:00Z", "topic": topic},
            "subject": subject,
            "field": "operation | backup | database",
        }
    ]
    assert replace(report, results=()) == Report("cancel")


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
