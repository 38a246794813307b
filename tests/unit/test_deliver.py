"""What an error means, for each kind of message; and what one HTTP request comes to."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.dispatch import receive
from backstop.execute import Report
from backstop.operations import Failure
from backstop.wire import Delivery
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.unit.handlers_world import COMMANDS, DAY, FOLLOW_UPS, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, World

Command = dict[str, object]

# Each command, with the first call that it makes to Spanner, in a world where one backup runs.
KINDS: dict[str, tuple[Command, str]] = {
    "start": ({"action": "start", "database": ORDERS}, "ListBackupOperations"),
    "cancel": ({"action": "cancel", "database": ORDERS}, "ListBackupOperations"),
    "follow": ({"action": "follow", "backup": NIGHTLY}, "ListBackupOperations"),
    "sweep": ({"action": "sweep", "instance": INSTANCE, "cancel_after": "0s"}, "ListBackupOperations"),
}
EVERY_KIND = pytest.mark.parametrize(("command", "method"), KINDS.values(), ids=KINDS.keys())


def make_world() -> World:
    """One backup that runs."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None))
    world.start_by_hand()
    return world


@EVERY_KIND
def test_quota_means_later_and_never_failed(command: Command, method: str) -> None:
    """The command is put back through the queue, with growing waits, and carried out in the end."""
    world = make_world()
    world.faults.plan(Fault(method, Code.RESOURCE_EXHAUSTED, times=3, message="slow down"))

    first = world.send(**command)
    second, third = world.look(), world.look()
    done = world.look()

    assert first.next_poll is not None
    assert third.next_poll is not None
    said = Failure("RESOURCE_EXHAUSTED", "slow down")
    put_back = Report("", step=1, note="Put back: RESOURCE_EXHAUSTED: slow down.", error=said)
    assert first == replace(put_back, command=str(command["action"]), next_poll=first.next_poll)
    assert second == replace(put_back, command="put-back", step=2, next_poll=second.next_poll)
    assert (third.retry, done.retry) == (False, False)
    assert 0.9 * MINUTE <= first.next_poll <= 1.1 * MINUTE
    assert third.next_poll >= 3.5 * MINUTE
    assert (third.step, done.step) == (3, 3)
    assert not done.note.startswith("Put back")
    assert world.faults.injected[method, Code.RESOURCE_EXHAUSTED, "before"] == 3


@EVERY_KIND
def test_a_command_that_was_put_back_does_what_it_would_have_done(command: Command, method: str) -> None:
    """Its own publish time counts, not that of the put-back, and the outcome names its own message."""
    world, undisturbed = make_world(), make_world()
    world.faults.plan(Fault(method, Code.RESOURCE_EXHAUSTED))

    world.send(**command)
    world.looks()
    undisturbed.send(**command)
    undisturbed.looks()

    assert sorted(world.outcomes) == sorted(undisturbed.outcomes)
    assert [result["trigger"] for result in world.results] == [result["trigger"] for result in undisturbed.results]


def test_a_command_that_is_delivered_twice_is_put_back_once() -> None:
    """The put-back has a name of its own, like every follow-up."""
    world = make_world()
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None))

    world.send(action="start", database=ORDERS)
    world.again()

    assert len(world.tasks.pending()) == 1


def test_a_put_back_that_has_come_and_gone_has_a_successor() -> None:
    """What a redelivery puts back later isn't swallowed by the name of an earlier put-back."""
    world = World(Plan(duration=2 * HOUR))
    quota = Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED)
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
def test_a_command_that_meets_quota_to_the_end_gives_up_and_says_so(command: Command, method: str) -> None:
    """Everything ends, after the same time as a chain of looks."""
    world = make_world()
    world.faults.plan(Fault(method, Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.send(**command)
    last = world.looks()[-1]

    assert replace(last, results=()) == Report("put-back")
    assert world.outcomes == ["GAVE_UP"]
    assert world.detail.startswith("Could not be carried out in time: RESOURCE_EXHAUSTED: slow down.")
    assert world.results[0]["error"] == {"code": "RESOURCE_EXHAUSTED", "message": "slow down"}
    assert START + 3 * DAY <= world.now <= START + 3 * DAY + 2 * HOUR


@EVERY_KIND
@pytest.mark.parametrize("attempt", [None, 1, 2, 3])
def test_a_transient_fault_is_pub_sub_s_to_repeat(command: Command, method: str, attempt: int | None) -> None:
    """The delivery is refused, nothing is scheduled and nothing told."""
    world = make_world()
    world.faults.plan(Fault(method, Code.UNAVAILABLE, message="try again"))

    report = world.deliver(replace(world.publish(command), delivery_attempt=attempt))

    note, error = "To be delivered again: UNAVAILABLE: try again.", Failure("UNAVAILABLE", "try again")
    assert report == Report(str(command["action"]), retry=True, note=note, error=error)
    assert not world.tasks.pending()
    assert world.outcomes == []


@EVERY_KIND
@pytest.mark.parametrize("attempt", [4, 5, 100])
def test_a_transient_fault_that_stays_is_put_back_before_the_message_becomes_a_dead_letter(
    command: Command, method: str, attempt: int
) -> None:
    """From the fourth attempt on, the queue keeps the message, as Pub/Sub may give it up after five."""
    world = make_world()
    world.faults.plan(Fault(method, Code.UNAVAILABLE))

    report = world.deliver(replace(world.publish(command), delivery_attempt=attempt))

    assert not report.retry
    assert report.note.startswith("Put back: UNAVAILABLE")
    assert len(world.tasks.pending()) == 1


@EVERY_KIND
def test_a_command_that_google_refuses_for_good_is_rejected_in_its_words(command: Command, method: str) -> None:
    """It is acknowledged and never comes again."""
    world = make_world()
    world.faults.plan(Fault(method, Code.INVALID_ARGUMENT, message="no such thing"))

    report = world.send(**command)

    (result,) = world.results
    assert (result["outcome"], result["detail"]) == ("REJECTED", "Google refused: no such thing")
    assert result["error"] == {"code": "INVALID_ARGUMENT", "message": "no such thing"}
    error = Failure("INVALID_ARGUMENT", "no such thing")
    assert replace(report, results=()) == Report(str(command["action"]), error=error)
    assert not world.tasks.pending()


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED, Code.NOT_FOUND, Code.INTERNAL])
def test_a_look_that_can_t_be_put_back_is_refused(code: Code) -> None:
    """If the queue fails too, Pub/Sub is the last that remembers."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.RESOURCE_EXHAUSTED), Fault("CreateTask", code))

    assert world.look().retry
    assert world.again().next_poll is not None


@EVERY_KIND
def test_a_command_that_can_t_be_put_back_is_refused(command: Command, method: str) -> None:
    """Nothing is acknowledged that nobody remembers."""
    world = make_world()
    world.faults.plan(Fault(method, Code.RESOURCE_EXHAUSTED), Fault("CreateTask", Code.PERMISSION_DENIED))

    report = world.send(**command)

    assert report.retry
    assert "could not schedule the follow-up" in report.note


def test_a_rejection_that_can_t_be_told_is_refused() -> None:
    """The publisher must hear of it, so the message comes again."""
    world = make_world()
    world.faults.plan(
        Fault("ListBackupOperations", Code.INVALID_ARGUMENT),
        Fault("Publish", Code.UNAVAILABLE, message="down"),
    )

    report = world.send(action="start", database=ORDERS)

    assert report.retry
    assert "could not publish the outcome: down" in report.note


def test_a_message_that_can_t_be_understood_nor_told_of_is_refused() -> None:
    """Even a mistake is told before it is acknowledged."""
    world = make_world()
    world.faults.plan(Fault("Publish", Code.UNAVAILABLE))
    bad = Delivery(b"{}", message_id="17", publish_time=START, topic=COMMANDS)

    assert world.deliver(bad).retry
    assert not world.deliver(bad).retry
    assert world.outcomes == ["REJECTED"]


def test_a_look_that_meets_faults_is_put_back_under_a_new_step() -> None:
    """Under its old step the queue would take it for a duplicate, and the chain would end in silence."""
    world = make_world()
    world.send(action="follow", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.UNAVAILABLE, times=4))

    assert world.look().retry
    assert [world.again(attempt).retry for attempt in (2, 3, 4)] == [True, True, False]
    world.looks()

    assert world.outcomes == ["COMPLETED"]


def test_a_look_that_succeeds_again_forgets_its_failures() -> None:
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


def test_a_missing_role_is_told_at_the_first_delivery_of_a_command() -> None:
    """Nothing can have been begun, so whoever published it hears of it at once."""
    world = make_world()
    world.faults.plan(Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="no role"))

    world.send(action="cancel", database=ORDERS)

    assert world.outcomes == ["REJECTED"]


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.UNAUTHENTICATED])
@pytest.mark.parametrize("attempt", [2, None])
def test_a_missing_role_is_waited_for_where_an_earlier_delivery_may_have_begun(attempt: int | None, code: Code) -> None:
    """A backup that was started before the role went away is followed once it is back."""
    world = World(Plan(duration=HOUR))
    world.faults.plan(Fault("CreateBackup", Code.UNAVAILABLE, "after"))
    assert world.send(action="start", database=ORDERS).retry
    world.faults.plan(Fault("ListBackupOperations", code, times=2, message="no role"))

    report = world.again(attempt)
    world.looks()

    assert report.note == f"Put back: {code.name}: no role."
    assert world.outcomes == ["STARTED", "COMPLETED"]


@pytest.mark.parametrize(
    "command",
    [{"action": "sweep", "instance": INSTANCE}, {"action": "cancel", "database": ORDERS, "dry_run": True}],
)
def test_a_missing_role_is_told_at_any_delivery_of_what_begins_nothing(command: Command) -> None:
    """A sweep makes no chain and a dry run nothing at all."""
    world = make_world()
    world.faults.plan(Fault("ListBackupOperations", Code.PERMISSION_DENIED, times=None, message="no role"))

    world.send(**command)
    world.again()

    assert world.outcomes == ["REJECTED", "REJECTED"]


def test_a_clock_that_is_behind_does_not_make_every_look_due_at_once() -> None:
    """A delivery can't come before its message was published, whatever the function's own clock says."""
    world = World(Plan(duration=2 * HOUR))
    delivery = world.publish({"action": "start", "database": ORDERS})

    world.now -= HOUR
    world.deliver(delivery)
    (task,) = world.tasks.pending()

    assert task.schedule_time > START


def push(data: bytes, **message: object) -> bytes:
    """A push as Pub/Sub posts it."""
    document = {"data": base64.b64encode(data).decode(), "messageId": "17", "publishTime": "2026-11-22T02:00:00Z"}
    return json.dumps({"message": {**document, **message}, "subscription": "s", "deliveryAttempt": 2}).encode()


def test_a_request_is_one_delivery() -> None:
    """The push's message, time and attempt, and the URL's topic, are the delivery's."""
    world = make_world()
    command = json.dumps({"action": "cancel", "database": ORDERS}).encode()

    delivery, report = receive(push(command), f"/{COMMANDS}", {}, world.now, world.ports, world.settings)

    assert delivery == Delivery(command, {}, "17", START, COMMANDS, 2)
    assert [result.outcome for result in report.results] == ["CANCEL_REQUESTED"]


@pytest.mark.parametrize(
    "body", [b'{"message": 5}', b'{"message": {"data": "%%%"}}', b'{"message": {"data": 5}}', b'{"message": {}}']
)
def test_a_request_that_is_no_push_is_rejected_once_and_never_loops(body: bytes) -> None:
    """Whoever set up the subscription hears of it, under the same event id each time."""
    world = World()

    first, report = receive(body, f"/{COMMANDS}", {}, world.now, world.ports, world.settings)
    second, _ = receive(body, f"/{COMMANDS}", {}, world.now + timedelta(hours=1), world.ports, world.settings)

    assert first.message_id == second.message_id
    assert (report.retry, report.command) == (False, "unknown")
    assert world.outcomes == ["REJECTED", "REJECTED"]
    assert world.results[0]["subject"] == COMMANDS


def test_a_push_without_data_is_rejected() -> None:
    """A message that has only attributes is no command."""
    world = World()
    body = json.dumps(
        {
            "message": {"messageId": "17", "publishTime": START.isoformat(), "attributes": {"a": "b"}},
            "subscription": "s",
        }
    ).encode()

    _, report = receive(body, f"/{FOLLOW_UPS}", {}, world.now, world.ports, world.settings)

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["field"] == "data"
    assert not report.retry
