"""Each test is named after something that once went wrong, or was seen to be about to."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from backstop.messages import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MINUTE,
    NIGHTLY,
    ORDERS,
    RESULTS,
    START,
    USERS,
    World,
)

NEVER = None


@pytest.mark.parametrize("version_time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_has_no_year_in_utc_looped_for_ever(version_time: str) -> None:
    """It is a mistake in the message, told once, and not one in a client's conversion, told by a stack trace."""
    world = World()

    report = world.send(action="start", database=ORDERS, version_time=version_time)

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["field"] == "version_time"
    assert not report.retry


def test_cleaned_up_races_kept_a_sweep_from_seeing_what_hangs() -> None:
    """What runs comes before what is done, however much of that a week holds."""
    world = World(Plan(duration=MINUTE, cancel_duration=NEVER), databases=(ORDERS, USERS))
    for _ in range(30):
        world.send(action="start", database=USERS, cancel_after="0s")
        world.looks()
    world.spanner.set_plan(ORDERS, Plan(duration=3 * DAY))
    hanging = world.start_by_hand()
    world.tick(DAY)

    world.send(action="sweep", instance=INSTANCE, cancel_after="6h")

    assert world.results[-1]["outcome"] == "CANCEL_REQUESTED"
    assert world.results[-1]["operation"] == hanging


@pytest.mark.parametrize("method", ["GetOperation", "UpdateBackup"])
@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_one_fault_at_the_last_look_left_the_bill_unbounded(method: str, code: Code) -> None:
    """A chain that can't make its last look for a moment makes it a moment later."""
    world = World(Plan(duration=HOUR, cancel_duration=NEVER))
    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="0s")
    world.tick(HOUR + MINUTE)
    world.spanner.begin_restore(world.now, NIGHTLY, f"{INSTANCE}/databases/restored", world.now + 9 * DAY)
    while world.now < START + 3 * DAY - HOUR:
        world.look()
    world.tick(2 * HOUR)
    world.faults.plan(Fault(method, code))

    report = world.look()
    if report.retry:
        world.again(attempt=4)
    world.looks()

    assert world.faults.injected[method, code, "before"] == 1
    assert world.outcomes[-1] == "GAVE_UP"
    assert "its expiry was brought forward" in world.detail


def test_a_list_that_was_behind_had_a_start_of_our_own_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derived name that is taken is ours, whether or not the operation is listed yet."""
    world = World()
    world.faults.plan(Fault("CreateBackup", Code.UNAVAILABLE, when="after"))
    world.send(action="start", database=ORDERS)

    with monkeypatch.context() as patch:
        patch.setattr(SpannerPort, "list_operations", lambda *_, **__: [])
        behind = world.again()
    world.again(attempt=3)

    assert behind.retry
    assert world.outcomes == ["STARTED"]


def test_a_broken_results_topic_stopped_a_start_of_many_after_the_first() -> None:
    """What comes next is scheduled before anything is told."""
    world = World(databases=(ORDERS, USERS))
    world.send(action="start", instance=INSTANCE)
    world.look()
    world.faults.plan(Fault("Publish", Code.NOT_FOUND, times=None))

    for _ in range(3):
        world.look()

    assert world.calls["CreateBackup"] == 2


@pytest.mark.parametrize("if_created", ["keep", "delete"])
def test_a_dry_run_did_not_say_whether_a_backup_would_be_deleted(if_created: str) -> None:
    """It is the one question that a dry run of a cancel is asked."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR + MINUTE)

    world.send(action="cancel", database=ORDERS, if_created=if_created, dry_run=True)

    would = {"keep": "is left alone: the command says if_created: keep", "delete": "would be deleted"}
    assert would[if_created] in world.detail
    assert world.exists()


def test_a_cancel_that_died_after_its_call_never_said_that_it_had_asked() -> None:
    """The delivery that comes next finds the operation being cancelled, and says so on its behalf."""
    world = World(Plan(duration=HOUR, cancel_duration=20 * MINUTE))
    world.start_by_hand()
    message = world.publish({"action": "cancel", "database": ORDERS})
    world.tick(timedelta(seconds=1))
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))

    world.deliver(message)
    world.again()

    assert world.outcomes == ["CANCEL_REQUESTED"]
    assert world.calls["CancelOperation"] == 1


def test_two_dry_runs_of_one_operation_were_one_event() -> None:
    """A reader that drops doubles would have dropped the second finding."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()

    for _ in range(2):
        world.send(action="cancel", database=ORDERS, dry_run=True)

    assert len({message.attributes["ce-id"] for message in world.pubsub.published(RESULTS)}) == 2


@pytest.mark.parametrize(
    ("start", "left", "field"),
    [({"database": ORDERS}, [], "command.instance"), ({"instance": INSTANCE}, ["no database!"], "left")],
)
def test_a_chain_of_starts_that_nobody_here_wrote_looped_for_ever(
    start: dict[str, str], left: list[str], field: str
) -> None:
    """Whoever may publish to the follow-ups topic can write what the function never would; it is told once."""
    world = World()
    trigger = {"message_id": "1", "publish_time": START.isoformat()}
    chain = {"v": 1, "kind": "fan-out", "trigger": trigger, "step": 1, "command": {"action": "start", **start}}
    data = json.dumps({**chain, "left": left}).encode()

    report = world.deliver(Delivery(data, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, FOLLOW_UPS))

    assert world.outcomes == ["REJECTED"]
    assert world.results[0]["field"] == field
    assert not report.retry
