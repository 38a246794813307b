"""Begins the lives of `wire`, and judges how they end."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from backstop.events import ON_THE_WAY
from demo.stack import Stack
from spanner_backup_emulator.pubsub.model import Outcome as Push
from spanner_backup_emulator.spanner.history import What
from tests.e2e.lab import Lab
from tests.e2e.wire import LIVES, Cell
from tests.waiting import WAIT_S_MAX, wait_until

PUSH_OK, PUSH_AGAIN, PUSH_DIED = 204, 503, 0
"""How a delivery may end; a 500 would be a bug."""

DELIVERY_MS_MAX = 60_000
"""A call that hangs is given up after 5 or 10 s; the rest is for a machine that is busy. Cloud Run gives up later."""


@dataclass(frozen=True, slots=True)
class Going:
    """A life that has begun.

    Attributes:
        cell: Which life, and what goes wrong in it.
        lab: Its instance.
        message_id: Of the command.
    """

    cell: Cell
    lab: Lab
    message_id: str


def begin(stack: Stack, cell: Cell) -> Going:
    """Plans the cell's fault for an instance of its own, and publishes the command."""
    lab, life = Lab(stack), LIVES[cell.life]
    target = {"instance": lab.instance, "database": lab.database(life.plan)}
    if life.action == "cancel":
        target["operation"], _ = lab.foreign(life.plan)
    if cell.method:
        with stack.spanner.lock:
            stack.spanner.faults.plan(cell.fault(lab.instance))
    fields = {"cancel_after": life.cancel_after} if life.cancel_after else {}
    return Going(cell, lab, lab.publish(life.action, **{life.target: target[life.target]}, **fields))


def judge(going: Going) -> None:
    """Waits for a life's end: the right outcomes, one backup at most, nothing left that shouldn't be, one chain."""
    with going.lab.explained():
        _judge(going.cell, going.lab, going.message_id)


def _judge(cell: Cell, lab: Lab, message_id: str) -> None:
    life, last_word = LIVES[cell.life], cell.last_word
    expected = [last_word] if last_word else [*life.ends]
    # A task whose answer was lost publishes once more, perhaps after the end.
    wait_until(
        lambda: any(event.outcome not in ON_THE_WAY for event in lab.told(message_id)) and not lab.waiting(message_id)
    )
    lab.ends(message_id)
    with suppress(TimeoutError):  # A start that is told late, or a summary, may come after the backup's end.
        lab.stack.wait_for(lambda _: len(_ends(lab, message_id)) >= len(expected), WAIT_S_MAX)
    assert _ends(lab, message_id) == expected, cell
    nothing_made = bool(last_word) and life.action == "start"
    assert len(lab.history(What.BACKUP_STARTED)) == (not nothing_made), cell
    assert len(lab.history(What.BACKUP_DELETED)) == ("COMPLETED_THEN_DELETED" in expected), cell
    left_alone = bool(last_word) and life.action == "cancel"
    assert len(lab.left_behind()) == (left_alone or (life.kept and not nothing_made)), cell
    one_chain(lab, message_id)


def _ends(lab: Lab, message_id: str) -> list[str]:
    return [event.outcome for event in lab.told(message_id) if event.outcome != "CANCEL_REQUESTED"]


def one_chain(lab: Lab, message_id: str) -> None:
    """Each look has one follow-up, and none was made before its predecessor went out."""
    gone_out: dict[str, Any] = {}
    for outcome in lab.stack.tasks.outcomes():
        gone_out.setdefault(outcome.task, outcome.dispatch_time)
    made = {task.name: task.create_time for task in lab.stack.tasks.created()}
    looks = [(name, one["step"]) for name, one in lab.follow_ups(message_id) if one["kind"] == "poll"]
    assert [step for _, step in looks] == list(range(1, len(looks) + 1)), f"the chain has forked: {looks}"
    for (earlier, _), (later, step) in pairwise(looks):
        # The time of creation comes in whole seconds, and so does the shortest wait.
        assert made[later] >= gone_out[earlier].replace(microsecond=0), f"step {step} was made while another waited"


def pushes(stack: Stack) -> list[Push]:
    """How the deliveries ended so far."""
    assert stack.pubsub is not None
    return stack.pubsub.outcomes()


def check_deliveries(stack: Stack) -> None:
    """Some deliveries were refused, none ended in a bug, and none waited for an answer for longer than it should."""
    assert {push.status for push in pushes(stack)} == {PUSH_OK, PUSH_AGAIN}
    assert max(line["duration_ms"] for line in stack.function.lines if "duration_ms" in line) < DELIVERY_MS_MAX


def refusals(stack: Stack) -> Counter[str]:
    """How many deliveries were refused on each command's behalf, by its message id."""
    refused: Counter[str] = Counter()
    for push in pushes(stack):
        message = push.delivery.message
        trigger = json.loads(message.data).get("trigger", {"message_id": message.message_id})
        refused[trigger["message_id"]] += push.status == PUSH_AGAIN
    return refused
