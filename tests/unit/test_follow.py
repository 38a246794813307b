"""What a `follow` does: tells the end of an operation that somebody else started."""

from __future__ import annotations

import pytest

from backstop.followups import Poll
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.unit.handlers_world import NIGHTLY, ORDERS, World
from tests.unit.said import COMPLETE, LOSES, of_command, of_nightly
from tests.unit.times import HOUR, MINUTE, SECOND, START


@pytest.mark.parametrize("by", ["operation", "backup", "database"])
@pytest.mark.parametrize("cancelled_by_hand", [False, True])
def test_a_follow_tells_how_an_operation_ended_and_leaves_its_backup_alone(by: str, *, cancelled_by_hand: bool) -> None:
    """However it is named; until when the backup is kept, and who decides about it if somebody tried to stop it."""
    world = World(LOSES)
    operation = world.start_by_hand()

    report = world.send(action="follow", **{by: {"operation": operation, "backup": NIGHTLY, "database": ORDERS}[by]})
    if cancelled_by_hand:
        world.cancel_by_hand(operation)
    polls = world.looks()

    assert (report.command, report.state, report.operation, report.events) == ("follow", "RUNNING", operation, ())
    kept = "{backup} was complete at 2026-11-22 04:00:00 UTC, and is kept until 2026-12-06 02:00 UTC."
    despite = f"{kept[:-1]}, although somebody, or a sweep, asked for a cancel."
    outcome, detail = ("COMPLETED_DESPITE_CANCEL", despite) if cancelled_by_hand else ("COMPLETED", kept)
    assert world.results == [of_nightly(world, outcome, detail, **COMPLETE, steps=len(polls))]
    assert world.exists()


def test_a_failure_is_told_in_google_s_words() -> None:
    """Google's sentence ends once."""
    world = World(Plan(duration=HOUR, error=Status(Code.INTERNAL, "It broke at X.")))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    polls = world.looks()

    detail, error = "{backup} failed with INTERNAL: It broke at X.", {"code": "INTERNAL", "message": "It broke at X."}
    end = "2026-11-22T03:00:00Z"
    assert world.results == [of_nightly(world, "FAILED", detail, error=error, end_time=end, steps=len(polls))]


@pytest.mark.parametrize("scheduled", [False, True])
def test_a_follow_of_what_has_ended_tells_it_at_once(*, scheduled: bool) -> None:
    """There is nothing to wait for; and watching is no harm, so a schedule's needs no word more."""
    world = World(Plan(duration=HOUR))
    (world.start_scheduled if scheduled else world.start_by_hand)()
    world.tick(12 * HOUR)

    world.send(action="follow", database=ORDERS)

    assert world.outcomes == ["COMPLETED"]
    assert not world.tasks.pending()


def test_a_follow_that_came_before_tonight_s_backup_told_how_last_night_s_had_ended() -> None:
    """However late that one ended: tonight's may never begin, and nobody would hear of it. Who names it is told."""
    world = World(Plan(duration=11 * HOUR))
    operation = world.start_scheduled()
    world.tick(12 * HOUR + SECOND)

    world.send(action="follow", database=ORDERS)

    why = f"Followed nothing: none began within 12 hours, or it was cancelled. {operation} ended last, at"
    why += " 2026-11-22 13:00:00 UTC. Name it to be told how."
    assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]
    for name in ({"operation": operation}, {"backup": operation.partition("/operations/")[0]}):
        world.send(action="follow", **name)
    assert world.outcomes == ["REJECTED", "COMPLETED", "COMPLETED"]


def test_what_somebody_began_and_stopped_meanwhile_hid_the_backup_that_was_due() -> None:
    """It began last, also where it ended just before; and where nothing else began, somebody must know that too."""
    world = World(Plan(duration=6 * HOUR))
    due = world.start_scheduled()
    world.tick(7 * HOUR)
    stopped = world.start_by_hand()
    world.cancel_by_hand(stopped)
    world.tick(6 * SECOND)

    world.send(action="follow", database=ORDERS)
    world.tick(6 * HOUR)
    world.send(action="follow", database=ORDERS)

    assert world.ends[0] == ("COMPLETED", due)
    assert (world.outcomes[1], f"or it was cancelled. {stopped} ended last" in world.detail) == ("REJECTED", True)


def test_a_follow_by_backup_told_an_older_attempt_of_the_name() -> None:
    """Whoever names the backup means the last that had the name, however that ended."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(2 * HOUR)
    world.delete_by_hand(NIGHTLY)
    world.cancel_by_hand(last := world.start_by_hand())
    world.tick(HOUR)

    world.send(action="follow", backup=NIGHTLY)

    assert world.ends == [("CANCELLED", last)]


def test_a_schedule_s_backup_that_failed_at_once_was_hidden_by_an_older_one_that_ended_later() -> None:
    """The last begun is told, as a failure ends before anything else does."""
    world = World(Plan(duration=6 * HOUR))
    world.start_by_hand()
    world.spanner.set_plan(ORDERS, Plan(duration=MINUTE, error=Status(Code.INTERNAL, "broken")))
    world.tick(5 * HOUR)
    failed = world.start_scheduled()
    world.tick(4 * HOUR)

    world.send(action="follow", database=ORDERS)

    assert world.ends == [("FAILED", failed)]


def test_what_ran_when_a_follow_was_published_is_told_however_long_ago_it_began() -> None:
    """It is due, and late."""
    world = World(Plan(duration=13 * HOUR))
    world.start_scheduled()
    world.tick(13 * HOUR - SECOND)
    delivery = world.publish({"action": "follow", "database": ORDERS})
    world.tick(HOUR)

    world.deliver(delivery)

    assert world.outcomes == ["COMPLETED"]


@pytest.mark.parametrize(("if_created", "end"), [("delete", "COMPLETED_THEN_DELETED"), ("keep", "COMPLETED_KEPT")])
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_follow_with_a_limit_stops_what_takes_too_long(if_created: str, end: str, *, scheduled: bool) -> None:
    """The limit counts from the operation's start; a schedule's backup must be included."""
    world = World(Plan(duration=6 * HOUR, cancel_duration=None))
    operation = (world.start_scheduled if scheduled else world.start_by_hand)()
    world.tick(HOUR)
    command = {"action": "follow", "database": ORDERS, "cancel_after": "2h", "if_created": if_created}

    if scheduled:
        world.send(**command)
        why = f"Did not follow {operation}, as a backup schedule made it and include_scheduled is not set."
        assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]
    world.send(**command, include_scheduled=scheduled)
    world.looks()

    assert world.outcomes[-2:] == ["CANCEL_REQUESTED", end]
    received = next(event for event in world.spanner.history if event.what is What.CANCEL_RECEIVED)
    assert received.at == START + 2 * HOUR


def test_a_follow_gives_up_by_the_start_of_what_began_after_it() -> None:
    """The time of a chain counts from the later of the two."""
    world = World(Plan(duration=6 * HOUR))
    delivery = world.publish({"action": "follow", "backup": NIGHTLY})
    world.tick(5 * SECOND)
    world.start_by_hand()

    world.deliver(delivery)

    ((_, poll),) = world.waiting
    assert isinstance(poll, Poll)
    assert poll.give_up_at == START + 5 * SECOND + 72 * HOUR
