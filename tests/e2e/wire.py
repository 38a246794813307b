"""What can go wrong with each call on the wire, and the lives that must end right all the same.

A cell is one method, one fault, and whether it comes before or after the effect. Each cell has a life in which the
method is called, and most have an instance of their own, so that the fault hits that life and no other.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emulators.errors import Code
from emulators.faults import Fault, Trouble, When
from emulators.spanner.history import What
from tests.e2e.lab import Lab, quick, stubborn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emulators.pubsub.model import Outcome as Push
    from emulators.spanner.plans import Plan

Kind = Code | Trouble

CODES = (
    Code.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED,
    Code.INTERNAL,
    Code.ABORTED,
    Code.RESOURCE_EXHAUSTED,
    Code.PERMISSION_DENIED,
)

READS = frozenset({"ListBackupOperations", "GetOperation", "GetBackup", "ListDatabases"})
"""Without an effect, before and after are the same."""

SAY_NOTHING = frozenset({"CancelOperation", "DeleteBackup"})
"""Their answers have no fields that could be missing."""

ONCE = frozenset({"CreateBackup", "DeleteBackup"})
"""The adapters never repeat these by themselves."""

PUSH_OK, PUSH_AGAIN, PUSH_DIED = 204, 503, 0


@dataclass(frozen=True, slots=True)
class Life:
    """What a cell's command asks for, and how that must end.

    Attributes:
        plan: How the backup goes.
        fields: What the start says.
        ends: The outcomes.
        kept: Whether a backup is left.
    """

    plan: Plan
    ends: tuple[str, ...]
    kept: bool
    fields: dict[str, Any] = field(default_factory=dict)


KEPT = Life(quick(), ("STARTED", "COMPLETED"), kept=True)
MANY = Life(quick(), ("STARTED", "STARTED", "COMPLETED"), kept=True)
CLEANED = Life(stubborn(1.5), ("STARTED", "COMPLETED_THEN_DELETED"), kept=False, fields={"cancel_after": "0s"})
STOPPED = replace(CLEANED, plan=stubborn(5.0))
"""So late that the cancel comes before, however busy the machine. Whether that it came is told depends on whether
its answer was lost, so it is left out of the outcomes."""

LIVES = {
    "ListBackupOperations": KEPT,
    "CreateBackup": KEPT,
    "GetOperation": KEPT,
    "ListDatabases": MANY,
    "CancelOperation": STOPPED,
    "GetBackup": CLEANED,
    "DeleteBackup": CLEANED,
}
"""In which life each of Spanner's methods is called."""

TURNED_DOWN: frozenset[tuple[str, Kind]] = frozenset(
    {
        ("ListBackupOperations", Code.PERMISSION_DENIED),
        ("CreateBackup", Code.PERMISSION_DENIED),
        ("ListDatabases", Code.PERMISSION_DENIED),
        ("ListDatabases", Trouble.BARE),
    }
)
"""What ends a command at once: a missing role before anything was begun, and an instance that seems to be empty."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault of one method.

    Attributes:
        method: The RPC.
        kind: What the client meets.
        when: Before or after the effect.
    """

    method: str
    kind: Kind
    when: When

    def fault(self, resource: str) -> Fault:
        """The fault, for a plan."""
        return Fault(self.method, self.kind, self.when, resource=resource)

    @property
    def turned_down(self) -> bool:
        """Whether it ends the command."""
        return (self.method, self.kind) in TURNED_DOWN

    @property
    def refused(self) -> bool:
        """Whether the delivery that it hits has to be refused."""
        if self.kind in {Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED}:
            return False
        if self.kind in {Code.UNAVAILABLE, Trouble.CUT}:
            return self.method in ONCE
        if (self.method, self.kind) == ("CancelOperation", Trouble.GARBLED):
            return False  # Google's client doesn't read its answer.
        return self.kind is not Trouble.BARE or self.method == "CreateBackup"


def cells(method: str, *troubles: Trouble, codes: Iterable[Code] = CODES) -> list[Cell]:
    """All that can go wrong with a method, as far as it makes sense: a role is looked at before anything is done."""
    early: list[Kind] = [*codes, *(one for one in troubles if one in {Trouble.HANG, Trouble.CUT})]
    late = [kind for kind in early if kind is not Code.PERMISSION_DENIED] if method not in READS else []
    late += [one for one in troubles if one in {Trouble.GARBLED, Trouble.BARE}]
    if method in SAY_NOTHING and Trouble.BARE in late:
        late.remove(Trouble.BARE)
    return [Cell(method, kind, "before") for kind in early] + [Cell(method, kind, "after") for kind in late]


def counted(planned: Iterable[Fault]) -> Counter[tuple[str, Kind, When]]:
    """How often each fault is injected if none is forgotten."""
    return Counter((fault.method, fault.code, fault.when) for fault in planned)


@dataclass(slots=True)
class Going:
    """A life that has begun.

    Attributes:
        lab: Its instance.
        life: How it must end.
        message_id: Of the command.
        cell: What goes wrong in it, if that is known.
    """

    lab: Lab
    life: Life
    message_id: str
    cell: Cell | None = None


def begin(lab: Lab, life: Life, cell: Cell | None = None) -> Going:
    """Plans the cell's fault for the instance, and publishes the command."""
    if cell is not None:
        with lab.stack.spanner.lock:
            lab.stack.spanner.faults.plan(cell.fault(lab.instance))
    database = lab.database(life.plan)
    target = {"instance": lab.instance} if life is MANY else {"database": database}
    return Going(lab, life, lab.publish("start", **target, **life.fields), cell)


def judge(going: Going) -> None:
    """Waits for a life's end: the right outcomes, one backup at most, nothing left that shouldn't be, one chain."""
    lab, life, cell = going.lab, going.life, going.cell
    turned_down = cell is not None and cell.turned_down
    ends = lab.ends(going.message_id)
    if life is MANY and not turned_down:
        lab.stack.wait_for(lambda _: len(lab.told(going.message_id)) == len(life.ends))
        ends = [event.outcome for event in lab.told(going.message_id)]
    ends = [outcome for outcome in ends if outcome != "CANCEL_REQUESTED"]
    assert ends == (["REJECTED"] if turned_down else [*life.ends]), cell
    assert len(lab.history(What.BACKUP_STARTED)) == (not turned_down), cell
    assert len(lab.history(What.BACKUP_DELETED)) == (not life.kept), cell
    assert len(lab.left_behind()) == (life.kept and not turned_down), cell
    one_chain(lab, going.message_id)


def one_chain(lab: Lab, message_id: str) -> None:
    """Each look has one follow-up, and none was made before its predecessor went out."""
    gone_out: dict[str, Any] = {}
    for outcome in lab.stack.tasks.outcomes():
        gone_out.setdefault(outcome.task, outcome.dispatch_time)
    made = {task.name: task.create_time for task in lab.stack.tasks.created()}
    looks = [(name, one["step"]) for name, one in lab.follow_ups(message_id) if one["kind"] == "look"]
    assert [step for _, step in looks] == list(range(1, len(looks) + 1)), f"the chain has forked: {looks}"
    for (earlier, _), (later, step) in pairwise(looks):
        # The time of creation comes in whole seconds, and so does the shortest wait.
        assert made[later] >= gone_out[earlier].replace(microsecond=0), (
            f"step {step} was made while the one before it waited"
        )


def pushes(lab: Lab) -> list[Push]:
    """How the deliveries ended so far."""
    assert lab.stack.pubsub is not None
    return lab.stack.pubsub.outcomes()


def refusals(lab: Lab) -> Counter[str]:
    """How many deliveries were refused on each command's behalf, by its message id."""
    refused: Counter[str] = Counter()
    for push in pushes(lab):
        message = push.delivery.message
        trigger = json.loads(message.data).get("trigger", {"message_id": message.message_id})
        refused[trigger["message_id"]] += push.status == PUSH_AGAIN
    return refused
