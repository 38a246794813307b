"""What can go wrong with each call on the wire, and the lives that must end right all the same.

A cell is one method as one kind of life calls it, one fault, and whether that comes before or after the effect. Most
cells have an instance of their own, so that the fault hits that life and no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault, Trouble, When
from spanner_backup_emulator.spanner.plans import Plan
from tests.e2e.lab import ENDLESS, STUBBORN, quick

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

UNREAD = frozenset({"CancelOperation"})
"""Google's client doesn't read the answer, and so doesn't notice one that nobody could read."""

ONCE = frozenset({"CreateBackup", "CancelOperation", "DeleteBackup"})
"""The adapters never repeat these by themselves."""


@dataclass(frozen=True, slots=True)
class Life:
    """What is asked for, and how that must end.

    Attributes:
        methods: The calls to Spanner that can go wrong in it.
        plan: How the backup goes.
        action: A `start`, or the `cancel` of a backup that somebody else has started.
        target: By what the command names it: `database`, `instance` or `operation`.
        ends: The outcomes, but for `CANCEL_REQUESTED`: whether that is told depends on whether an answer was lost.
        kept: Whether a backup is left.
        cancel_after: Of a start; empty for none.
    """

    methods: tuple[str, ...]
    plan: Plan
    action: str
    target: str
    ends: tuple[str, ...]
    kept: bool
    cancel_after: str = ""


DONE, MANY = ("STARTED", "COMPLETED"), ("STARTED", "STARTED", "COMPLETED")
DELETED = ("STARTED", "COMPLETED_THEN_DELETED")

LIVES = {
    "kept": Life(
        ("ListBackupOperations", "CreateBackup", "GetOperation"), quick(), "start", "database", DONE, kept=True
    ),
    "many": Life(("ListDatabases",), quick(), "start", "instance", MANY, kept=True),
    "asked": Life(
        ("CancelOperation", "GetBackup", "DeleteBackup"),
        STUBBORN,
        "start",
        "database",
        DELETED,
        kept=False,
        cancel_after="0s",
    ),
    "stopped": Life(
        ("ListBackupOperations", "GetBackup", "CancelOperation"),
        ENDLESS,
        "cancel",
        "database",
        ("CANCELLED",),
        kept=False,
    ),
    "named": Life(("GetOperation",), ENDLESS, "cancel", "operation", ("CANCELLED",), kept=False),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One fault of one method in one kind of life.

    Attributes:
        life: The life's name; empty for whichever comes by.
        method: The RPC.
        kind: What the client meets.
        when: Before or after the effect.
    """

    life: str
    method: str
    kind: Kind
    when: When

    def fault(self, resource: str = "") -> Fault:
        """The fault, for a plan."""
        return Fault(self.method, self.kind, self.when, resource=resource)

    @property
    def last_word(self) -> str:
        """What ends the command at once, before anything was begun; empty if nothing does.

        That is a missing role, and an answer to a read that says nothing and so says something wrong.
        """
        first = self.method != "GetOperation" if self.life == "kept" else self.life in {"many", "stopped", "named"}
        if not first:
            return ""
        if self.kind is Trouble.BARE and self.method == "ListBackupOperations":
            return "NOTHING_TO_CANCEL" if self.life == "stopped" else ""
        bare = self.kind is Trouble.BARE and self.method in READS
        return "REJECTED" if bare or self.kind is Code.PERMISSION_DENIED else ""

    @property
    def refused(self) -> bool:
        """Whether the delivery that it hits has to be refused."""
        if self.kind in {Code.PERMISSION_DENIED, Code.RESOURCE_EXHAUSTED}:
            return False
        if self.kind in {Code.UNAVAILABLE, Trouble.CUT}:
            return self.method in ONCE
        if self.kind is Trouble.GARBLED and self.method in UNREAD:
            return False
        return self.kind is not Trouble.BARE or self.method == "CreateBackup"


def cells(method: str, *troubles: Trouble, life: str = "", codes: Iterable[Code] = CODES) -> list[Cell]:
    """All that can go wrong with a method, as far as it makes sense: a role is looked at before anything is done."""
    early: list[Kind] = [*codes, *(one for one in troubles if one in {Trouble.HANG, Trouble.CUT})]
    late = [kind for kind in early if kind is not Code.PERMISSION_DENIED] if method not in READS else []
    late += [one for one in troubles if one in {Trouble.GARBLED, Trouble.BARE}]
    if method in SAY_NOTHING and Trouble.BARE in late:
        late.remove(Trouble.BARE)
    return [Cell(life, method, kind, "before") for kind in early] + [Cell(life, method, kind, "after") for kind in late]


def grid(*troubles: Trouble, codes: Iterable[Code] = CODES) -> list[Cell]:
    """The cells of all lives."""
    pairs = [(name, method) for name, life in LIVES.items() for method in life.methods]
    return [cell for name, method in pairs for cell in cells(method, *troubles, life=name, codes=codes)]


def counted(planned: Iterable[Fault]) -> Counter[tuple[str, Kind, When]]:
    """How often each fault is injected if none is forgotten."""
    return Counter((fault.method, fault.code, fault.when) for fault in planned)
