"""Messages arrive twice, late, at once, or in the middle of a crash: one backup, one chain, one end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.history import What
from tests.e2e.lab import ALONE, DEAF, ENDLESS, REFUSING, STUBBORN, Act, Lab, Play, add, played, quick, seconds
from tests.e2e.wire_lives import one_chain
from tests.waiting import WAIT_S_MAX, wait_until

AT_ONCE = 10
"""Deliveries of one start at once."""


@contextmanager
def _pushed_too(lab: Lab, *topics: str) -> Iterator[None]:
    """Has what is published meanwhile delivered once more for each time that a topic is named."""
    extra = [lab.stack.push(topic, f"-{number}") for number, topic in enumerate(topics)]
    try:
        yield
    finally:
        for subscription in extra:
            lab.stack.subscriber.delete_subscription(subscription=subscription)


@played(ALONE)
def test_a_start_delivered_ten_times_at_once_makes_one_backup_andone_chain(lab: Lab) -> None:
    """All ten deliveries end well, Spanner makes one backup, and it is looked at as often as if there had been one."""
    with _pushed_too(lab, *[lab.stack.commands] * (AT_ONCE - 1)):
        message_id, operation, _ = lab.started(DEAF, backup_id="nightly")
        assert [line.get("outcomes") for line in lab.lines(message_id, AT_ONCE)] == [["STARTED"]] * AT_ONCE
        lab.stack.spanner.finish(operation)

        assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    assert len(lab.history(What.BACKUP_STARTED)) == 1
    one_chain(lab, message_id)
    assert len(lab.calls("GetOperation")) == len(lab.follow_ups(message_id))


@played(ALONE)
def test_a_chain_whose_every_message_comes_twice_does_not_fork(lab: Lab) -> None:
    """Each look is made twice and makes the same next one; the outcome is the same and has the same id."""
    with _pushed_too(lab, lab.stack.commands, lab.stack.follow_ups):
        message_id = lab.publish("start", database=lab.database(STUBBORN), cancel_after="1s")

        assert lab.ends(message_id) == ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
        one_chain(lab, message_id)
        last = lab.told(message_id)[-1]
        assert len(lab.history(What.BACKUP_DELETED)) == 1
        wait_until(lambda: _times_told(lab, last.attributes["ce-id"]) >= 2)


def _times_told(lab: Lab, event_id: str) -> int:
    return sum(event.attributes["ce-id"] == event_id for event in lab.stack.events())


@played(ALONE, embedded=True)
def test_tasks_that_publish_twice_do_not_fork_the_chain(lab: Lab) -> None:
    """Cloud Tasks may run a task twice: two messages then, and still one chain."""
    lab.stack.tasks.dispatch_twice_next(3)
    message_id, operation, _ = lab.started(DEAF)
    wait_until(lambda: len(lab.calls("GetOperation")) >= 2 * 3)
    lab.stack.spanner.finish(operation)

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    one_chain(lab, message_id)


@played(ALONE, embedded=True)
def test_late_and_doubled_follow_ups_are_one_more_look(lab: Lab) -> None:
    """A copy that comes long after the chain's end looks once, says the same again, and starts nothing."""
    pubsub = lab.stack.pubsub
    assert pubsub is not None
    pubsub.duplicate_next(lab.stack.follow_ups, 1, after=seconds(3))
    pubsub.delay_next(lab.stack.follow_ups, after=seconds(1))
    message_id = lab.publish("start", database=lab.database(quick()))

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    chain = lab.follow_ups(message_id)
    last = lab.told(message_id)[-1]
    assert pubsub.wait_until_idle(WAIT_S_MAX)
    wait_until(lambda: _times_told(lab, last.attributes["ce-id"]) >= 2)
    assert lab.follow_ups(message_id) == chain
    one_chain(lab, message_id)


def _answer_lost(code: Code, lab: Lab) -> None:
    """Has Spanner start the backup without anybody hearing of it; the next delivery finds it and follows it."""
    with lab.stack.spanner.lock:
        lab.stack.spanner.faults.plan(Fault("CreateBackup", code, "after", resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(quick()), backup_id="nightly")

    assert len(lab.comes_to(message_id, "STARTED", "COMPLETED")) == 2
    assert lab.stack.spanner.faults.injected["CreateBackup", code, "after"] == 1
    assert len(lab.history(What.BACKUP_STARTED)) == 1
    first, _ = lab.lines(message_id, 2)
    assert (first["severity"], first["error"]["code"]) == ("WARNING", code.name)
    one_chain(lab, message_id)


LOST = [
    add(REFUSING, f"a lost answer: {code.name}", Play(partial(_answer_lost, code)))
    for code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
]


@pytest.mark.parametrize("name", LOST)
def test_a_start_whose_answer_was_lost_is_found_again(name: str, act: Act) -> None:
    """Whatever the code, there is one backup and one chain."""
    act(REFUSING, name)


@played(ALONE)
def test_a_function_killed_between_two_looks_goes_on(lab: Lab) -> None:
    """The function is gone when the next look is due; the look waits in Pub/Sub, and the chain goes on."""
    message_id = lab.publish("start", database=lab.database(STUBBORN), cancel_after="0s")
    lab.comes_to(message_id, "CANCEL_REQUESTED")
    lab.stack.function.kill()
    wait_until(lambda: not lab.waiting(message_id))
    lab.stack.function.start()

    lab.comes_to(message_id, "STARTED", "COMPLETED_THEN_DELETED")
    assert lab.ends(message_id) == ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert lab.left_behind() == []
    one_chain(lab, message_id)


@played(ALONE)
def test_a_function_killed_between_start_and_follow_up_loses_nothing(lab: Lab) -> None:
    """It dies after Spanner has started the backup and before anything was scheduled; there is still one of each.

    Cloud Tasks is held still, so that the function is certain to be waiting for it when it dies.
    """
    database = lab.database(ENDLESS)
    with lab.stack.tasks.endpoint.lock:
        message_id = lab.publish("start", database=database, backup_id="nightly", cancel_after="0s")
        wait_until(lambda: lab.history(What.BACKUP_STARTED))
        lab.stack.function.kill()
    lab.stack.function.start()

    # Tasks may have got the call of what died, and end the chain first.
    lab.comes_to(message_id, "STARTED", "CANCELLED")
    assert lab.ends(message_id) == ["STARTED", "CANCEL_REQUESTED", "CANCELLED"]
    assert len(lab.history(What.BACKUP_STARTED)) == 1
    assert lab.left_behind() == []
    one_chain(lab, message_id)
