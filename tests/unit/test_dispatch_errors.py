"""What an error means, for each kind of message, and whose words are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.operations import Failure
from backstop.wire import Delivery
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.messages import time_of
from spanner_backup_emulator.spanner.plans import Plan
from tests.unit.handlers_world import COMMANDS, DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, World

Command = dict[str, object]

METHOD = "ListBackupOperations"
"""The first call of each command to Spanner, in a world where one backup runs."""

EVERY_KIND = pytest.mark.parametrize(
    "command",
    [
        {"action": "start", "database": ORDERS},
        {"action": "cancel", "database": ORDERS},
        {"action": "follow", "backup": NIGHTLY},
        {"action": "sweep", "instance": INSTANCE, "cancel_after": "0s"},
    ],
    ids=lambda command: str(command["action"]),
)


def make_world(*faults: Fault) -> World:
    """One backup that runs, and what goes wrong."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None))
    world.start_by_hand()
    world.faults.plan(*faults)
    return world


@EVERY_KIND
def test_quota_means_later_and_never_failed(command: Command) -> None:
    """The command is retried through the queue, with growing waits, and carried out in the end."""
    world = make_world(Fault(METHOD, Code.RESOURCE_EXHAUSTED, times=3, message="slow down"))

    reports = [world.send(**command), world.look(), world.look(), world.look()]

    assert [report.command for report in reports] == [command["action"], "retry", "retry", "retry"]
    assert [report.step for report in reports] == [1, 2, 3, 3]
    assert [report.retry for report in reports] == 4 * [False]
    assert {report.trigger for report in reports} == {reports[0].trigger}
    for report in reports[:3]:
        assert report.error == Failure("RESOURCE_EXHAUSTED", "slow down")
        assert report.note == "To be retried: RESOURCE_EXHAUSTED: slow down."
    assert not reports[3].note.startswith("To be retried")
    first, _, third, _ = (report.next_poll for report in reports)
    assert first is not None
    assert third is not None
    assert 0.9 * MINUTE <= first <= 1.1 * MINUTE
    assert third >= 3.5 * MINUTE


@EVERY_KIND
def test_a_command_that_was_retried_does_what_it_would_have_done(command: Command) -> None:
    """Its own publish time counts, not that of the retry, and the event names its own message, and who asked."""
    world, undisturbed = make_world(Fault(METHOD, Code.RESOURCE_EXHAUSTED)), make_world()

    for each in (world, undisturbed):
        each.send(**command, requested_by="ann", reason="CHG-4711")
        each.looks()

    assert sorted(world.outcomes) == sorted(undisturbed.outcomes)
    for name in ("trigger", "requested_by", "reason"):
        assert [event[name] for event in world.results] == [event[name] for event in undisturbed.results]
    assert {event["requested_by"] for event in world.results} == {"ann"}


def test_a_command_that_is_delivered_twice_is_retried_once() -> None:
    """The retry has a name of its own, like every follow-up."""
    world = make_world(Fault(METHOD, Code.RESOURCE_EXHAUSTED, times=None))

    world.send(action="start", database=ORDERS)
    world.again()

    assert len(world.tasks.pending()) == 1


def test_a_retry_that_has_come_and_gone_has_a_successor() -> None:
    """What a redelivery has retried later isn't swallowed by the name of an earlier retry."""
    world = World(Plan(duration=2 * HOUR))
    quota = Fault(METHOD, Code.RESOURCE_EXHAUSTED)
    world.faults.plan(quota)
    command = world.publish({"action": "start", "database": ORDERS})
    world.deliver(command)
    world.look()
    assert world.outcomes == ["STARTED"]

    world.tick(10 * MINUTE)
    world.faults.plan(quota)
    world.deliver(replace(command, delivery_attempt=2))

    assert len(world.tasks.pending()) == 2


@EVERY_KIND
def test_a_command_that_meets_quota_to_the_end_gives_up_and_says_so(command: Command) -> None:
    """Everything ends, after the same time as a chain of polls."""
    world = make_world(Fault(METHOD, Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.send(**command)
    last = world.looks()[-1]

    assert (last.command, last.next_poll, last.retry, world.outcomes) == ("retry", None, False, ["GAVE_UP"])
    assert world.detail.startswith("Could not be carried out in time: RESOURCE_EXHAUSTED: slow down.")
    assert world.results[0]["error"] == {"code": "RESOURCE_EXHAUSTED", "message": "slow down"}
    assert START + 3 * DAY <= world.now <= START + 3 * DAY + 2 * HOUR


@EVERY_KIND
@pytest.mark.parametrize("attempt", [None, 1, 3, 4, 100])
def test_a_transient_fault_is_pub_sub_s_to_repeat_and_the_queue_s_from_the_fourth_attempt_on(
    command: Command, attempt: int | None
) -> None:
    """Pub/Sub may give a message up after five; until then the delivery is refused, and nothing published."""
    world = make_world(Fault(METHOD, Code.UNAVAILABLE, message="try again"))
    is_early = attempt is None or attempt < 4

    report = world.deliver(replace(world.publish(command), delivery_attempt=attempt))

    assert (report.command, report.retry) == (command["action"], is_early)
    assert report.note == f"To be {'delivered again' if is_early else 'retried'}: UNAVAILABLE: try again."
    assert report.error == Failure("UNAVAILABLE", "try again")
    assert len(world.tasks.pending()) == (0 if is_early else 1)
    assert world.outcomes == []


@EVERY_KIND
def test_a_command_that_google_refuses_for_good_is_rejected_in_its_words(command: Command) -> None:
    """It is acknowledged and never comes again."""
    world = make_world(Fault(METHOD, Code.INVALID_ARGUMENT, message="no such thing"))

    report = world.send(**command)

    (event,) = world.results
    assert (event["outcome"], event["detail"]) == ("REJECTED", "Google refused: no such thing")
    assert event["error"] == {"code": "INVALID_ARGUMENT", "message": "no such thing"}
    assert (report.command, report.error) == (command["action"], Failure("INVALID_ARGUMENT", "no such thing"))
    assert (report.retry, report.next_poll, world.tasks.pending()) == (False, None, ())


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.INTERNAL])
def test_a_poll_that_can_t_be_retried_is_refused(code: Code) -> None:
    """If the queue fails too, Pub/Sub is the last that remembers."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.RESOURCE_EXHAUSTED), Fault("CreateTask", code))

    assert world.look().retry
    assert world.again().next_poll is not None


@EVERY_KIND
def test_a_command_that_can_t_be_retried_is_refused(command: Command) -> None:
    """Nothing is acknowledged that nobody remembers."""
    world = make_world(Fault(METHOD, Code.RESOURCE_EXHAUSTED), Fault("CreateTask", Code.PERMISSION_DENIED))

    report = world.send(**command)

    assert report.retry
    assert "could not schedule the follow-up" in report.note


def test_a_rejection_that_can_t_be_published_is_refused() -> None:
    """The publisher must hear of it, so the message comes again."""
    world = make_world(Fault(METHOD, Code.INVALID_ARGUMENT), Fault("Publish", Code.UNAVAILABLE, message="down"))

    report = world.send(action="start", database=ORDERS)

    assert report.retry
    assert "could not publish the outcome: down" in report.note


def test_a_message_that_can_t_be_understood_nor_told_of_is_refused() -> None:
    """Even a mistake is told before it is acknowledged."""
    world = make_world(Fault("Publish", Code.UNAVAILABLE))
    bad = Delivery(b"{}", message_id="17", publish_time=START, topic=COMMANDS)

    assert [world.deliver(bad).retry, world.deliver(bad).retry] == [True, False]
    assert world.outcomes == ["REJECTED"]


def test_without_a_dead_letter_policy_a_chain_that_met_faults_for_good_never_gave_up() -> None:
    """Then nothing counts the deliveries, and each was answered 503, on the seventh day as on the first."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.INTERNAL, times=None))

    assert world.look().retry
    world.tick(3 * DAY)
    assert world.again(None).retry
    world.tick(DAY)

    assert (world.again(None).retry, world.outcomes) == (False, ["GAVE_UP"])


def test_a_poll_that_meets_faults_is_retried_under_a_new_step() -> None:
    """Under its old step the queue would take it for a duplicate, and the chain would end in silence."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.UNAVAILABLE, times=4))

    assert world.look().retry
    assert [world.again(attempt).retry for attempt in (2, 3, 4)] == [True, True, False]
    world.looks()

    assert world.outcomes == ["COMPLETED"]


def test_a_poll_that_succeeds_again_forgets_its_failures() -> None:
    """The waits after a later refusal start from the shortest again."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED, times=3))
    for _ in range(4):
        world.look()
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED))

    report = world.look()

    assert report.next_poll is not None
    assert report.next_poll <= 1.1 * MINUTE


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.UNAUTHENTICATED])
@pytest.mark.parametrize("attempt", [2, None])
def test_a_missing_role_is_waited_for_where_an_earlier_delivery_may_have_begun(attempt: int | None, code: Code) -> None:
    """A backup that was started before the role went away is followed once it is back."""
    world = World(Plan(duration=HOUR))
    world.faults.plan(Fault("CreateBackup", Code.UNAVAILABLE, "after"))
    assert world.send(action="start", database=ORDERS).retry
    world.faults.plan(Fault(METHOD, code, times=2, message="no role"))

    report = world.again(attempt)
    world.looks()

    assert report.note == f"To be retried: {code.name}: no role."
    assert world.outcomes == ["STARTED", "COMPLETED"]


@pytest.mark.parametrize(
    ("command", "attempts"),
    [
        ({"action": "cancel", "database": ORDERS}, [1]),
        ({"action": "sweep", "instance": INSTANCE}, [1, 2]),
        ({"action": "cancel", "database": ORDERS, "dry_run": True}, [1, 2]),
    ],
)
def test_a_missing_role_is_told_at_once_where_nothing_can_have_been_begun(
    command: Command, attempts: list[int]
) -> None:
    """At the first delivery, and at any of a sweep, which makes no chain, or of a dry run."""
    world = make_world(Fault(METHOD, Code.PERMISSION_DENIED, times=None, message="no role"))
    delivery = world.publish(command)

    for attempt in attempts:
        world.deliver(replace(delivery, delivery_attempt=attempt))

    assert world.outcomes == ["REJECTED" for _ in attempts]


def test_a_clock_that_is_behind_does_not_make_every_poll_due_at_once() -> None:
    """A delivery can't come before its message was published, whatever the function's own clock says."""
    world = World(Plan(duration=2 * HOUR))
    delivery = world.publish({"action": "start", "database": ORDERS})

    world.now -= HOUR
    world.deliver(delivery)
    (task,) = world.tasks.pending()

    assert time_of(task.schedule_time) > START
