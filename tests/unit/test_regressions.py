"""Each test is named after something that once went wrong, or was seen to be about to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from backstop.dispatch import receive
from backstop.operations import Operation
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import COMMANDS, INSTANCE, NIGHTLY, ORDERS, USERS, World
from tests.unit.said import DELETED
from tests.unit.times import DAY, HOUR, MINUTE, START

OTHER = f"{COMMANDS}-2"


@pytest.mark.parametrize("method", ["GetOperation", "UpdateBackup"])
@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_one_fault_at_the_last_look_left_the_bill_unbounded(method: str, code: Code) -> None:
    """A chain that can't make its last look for a moment makes it a moment later."""
    world = World(Plan(duration=HOUR, cancel_duration=None))
    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="0s")
    world.tick(HOUR + MINUTE)
    world.spanner.begin_restore(world.now, NIGHTLY, f"{INSTANCE}/databases/restored", 9 * DAY)
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


def test_a_broken_results_topic_stopped_a_start_of_many_after_the_first() -> None:
    """What comes next is scheduled before anything is told."""
    world = World(databases=(ORDERS, USERS))
    world.send(action="start", instance=INSTANCE)
    world.look()
    world.faults.plan(Fault("Publish", Code.NOT_FOUND, times=None))

    for _ in range(3):
        world.look()

    assert world.calls["CreateBackup"] == 2


def test_a_cancel_that_died_after_its_call_never_said_that_it_had_asked() -> None:
    """The delivery that comes next finds the operation being cancelled, and says so on its behalf."""
    world = World(Plan(duration=HOUR, cancel_duration=20 * MINUTE))
    world.start_by_hand()
    message = world.publish({"action": "cancel", "database": ORDERS})
    world.faults.plan(Fault("CancelOperation", Code.UNAVAILABLE, "after"))

    world.deliver(message)
    world.again()

    assert world.outcomes == ["CANCEL_REQUESTED"]
    assert world.calls["CancelOperation"] == 1


def test_two_topics_with_one_message_id_swallowed_each_other_s_chain() -> None:
    """An id is unique within its topic: a start and a cancel of one operation are followed side by side."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=MINUTE))
    start = world.publish({"action": "start", "database": ORDERS})
    world.deliver(start)
    cancel = json.dumps({"action": "cancel", "operation": world.results[0]["operation"]}).encode()

    world.deliver(replace(start, data=cancel, topic=OTHER))

    assert len(world.tasks.pending()) == 2


def test_two_topics_with_one_message_id_made_one_backup_of_two() -> None:
    """Neither a derived name nor the mark of an expiry takes one start for the other; nor does an event's id."""
    world = World(Plan(duration=MINUTE))
    start = world.publish({"action": "start", "database": ORDERS})
    named = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly"})

    for one in (start, replace(start, topic=OTHER)):
        world.deliver(one)
        world.tick(HOUR)
    first, second = (world.backup(result["backup"]) for result in world.results)
    for one in (named, replace(named, topic=OTHER)):
        world.deliver(one)
        world.tick(HOUR)

    assert first.name[:-8] == second.name[:-8]
    assert first.name != second.name
    assert first.expire_time.microsecond != second.expire_time.microsecond
    assert world.outcomes == ["STARTED", "STARTED", "STARTED", "REJECTED"]
    assert len(set(world.event_ids)) == 4


def test_one_broken_body_on_two_topics_was_one_event() -> None:
    """A reader that drops doubles would never have heard of the second subscription."""
    world = World()

    for topic in (COMMANDS, OTHER, ""):
        receive(b"hello", f"/{topic}", {}, world.now, world.ports, world.settings)

    assert len(set(world.event_ids)) == 3
    assert [result["subject"] for result in world.results] == [COMMANDS, OTHER, "unknown"]


class Blank(SpannerPort):
    """Spanner, but its operations' answers give no sizes."""

    def get_operation(self, *args: Any) -> Operation:  # noqa: ANN401 handed on as they come
        """Reads one operation."""
        found = super().get_operation(*args)
        assert found.response is not None
        none = replace(found.response, size_bytes=0, exclusive_size_bytes=0, freeable_size_bytes=0)
        return replace(found, response=none)


@pytest.mark.parametrize(("action", "told"), [("follow", {}), ("cancel", DELETED)])
def test_the_size_that_was_told_was_0(action: str, told: dict[str, object]) -> None:
    """What the backup says of itself now counts, and not the operation's answer."""
    world = World(Plan(duration=HOUR))
    operation = world.start_by_hand()
    world.tick(HOUR + MINUTE)
    world.port = Blank

    world.send(action=action, operation=operation)

    assert world.results[0].items() >= {"size_bytes": 5_000_000_000, **told}.items()
