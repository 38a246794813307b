"""Many lives at once, and a seeded plan of faults that hit them wherever they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault, Trouble, When
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.e2e.lab import DEAF, ENDLESS, STUBBORN, quick, seconds
from tests.e2e.wire import CODES, READS, Kind

RATE_MIN, RATE_MAX = 0.08, 0.18
"""The part of a method's calls that are to go wrong; fewer do, as all that comes in the calm goes well."""

CALLS_PLANNED = 500
"""The plan reaches as many calls of each method; the busiest has about as many."""

FIRST_MAX = 8
"""One of the first calls of each method goes wrong in any case, as some have no more than twenty."""

HANGS = 0.02
"""The part of the faults that hang: each of them holds a thread of the function for 5 to 10 s."""

SPANNER = ("ListBackupOperations", "CreateBackup", "GetOperation", "CancelOperation", "GetBackup", "DeleteBackup")


@dataclass(frozen=True, slots=True)
class Fate:
    """A kind of life.

    Attributes:
        plan: How the backup goes.
        command: What is asked for.
        ends: How the command may end, beside `REJECTED` for a role that is missing as it comes.
        kept: Whether a backup must be left, unless the command was rejected.
        theirs: Who else has started the backup: a `person` or a `schedule`; empty if nobody.
        count: How many lives of the kind there are.
    """

    plan: Plan
    command: dict[str, Any]
    ends: set[str]
    kept: bool
    theirs: str = ""
    count: int = 5


START: dict[str, Any] = {"action": "start"}
LATE = {**START, "cancel_after": "1s"}
CANCEL: dict[str, Any] = {"action": "cancel"}
DELETED = {"COMPLETED_THEN_DELETED"}

FATES = {
    "done": Fate(quick(), START, {"COMPLETED"}, kept=True, count=8),
    "late": Fate(STUBBORN, LATE, DELETED, kept=False, count=10),
    "kept": Fate(STUBBORN, {**LATE, "if_created": "keep"}, {"COMPLETED_KEPT"}, kept=True),
    "stop": Fate(ENDLESS, LATE, {"CANCELLED"}, kept=False, count=8),
    "fail": Fate(quick(error=Status(Code.INTERNAL, "bad sector")), START, {"FAILED"}, kept=False),
    "dry": Fate(quick(), {**START, "dry_run": True}, {"DRY_RUN"}, kept=False),
    "halt": Fate(ENDLESS, CANCEL, {"CANCELLED"}, kept=False, theirs="person"),
    "race": Fate(replace(DEAF, outrun_duration=seconds(11)), CANCEL, DELETED, kept=False, theirs="person"),
    "plan": Fate(ENDLESS, CANCEL, {"REJECTED"}, kept=True, theirs="schedule", count=3),
}
"""By the beginning of the databases' names. What ends 10 s after a cancel by database was surely meant by it."""


def faults(random: Random, method: str, rate: float, resource: str = "") -> list[Fault]:
    """A plan for one method, in which each fault waits for its own call.

    A list or an operation that lies about what is there is beyond what the function can bear, so no answer to a read is
    bare; and a role is looked at before anything is done.
    """
    planned: list[Fault] = []
    first = random.randrange(FIRST_MAX)
    for number in range(CALLS_PLANNED):
        if number != first and random.random() >= rate:
            continue
        when: When = "before" if method in READS or random.random() < 0.5 else "after"
        kinds: list[Kind] = [*CODES, Trouble.CUT]
        if when == "after":
            kinds = [*(one for one in kinds if one is not Code.PERMISSION_DENIED), Trouble.GARBLED, Trouble.BARE]
        kind = Trouble.HANG if random.random() < HANGS else random.choice(kinds)
        planned.append(Fault(method, kind, when, resource=resource, skip=number - len(planned)))
    return planned
