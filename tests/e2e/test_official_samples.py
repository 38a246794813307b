"""What Google's eight official samples for cancelling a backup get wrong, done through Backstop.

Each sample starts a backup, cancels it at once, waits (or doesn't), and deletes the backup if it is there. Through
Backstop that is one message: a start with `cancel_after: 0s`. Beside each case stands who reports what did not happen;
Go, Node.js, PHP and Ruby do so whenever the backup completes before the cancel takes effect.
What a sample does was read in its source: GoogleCloudPlatform/dotnet-docs-samples 8d3026ee7 (C#), golang-samples
a8677d3d5, php-docs-samples 57f7e42e and ruby-docs-samples 69ce74b2; googleapis/google-cloud-cpp, java-spanner
7c4669740, nodejs-spanner cc9dfcea and python-spanner 4065da78.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.e2e.lab import DEAF, ENDLESS, IMPATIENT, SHARED, STUBBORN, Act, Lab, Play, add, quick
from tests.waiting import wait_until

BACKUP_ID = "nightly"

GONE = (What.BACKUP_DELETED, What.BACKUP_REMOVED)


class Case(enum.Enum):
    """What may happen to a backup that is cancelled at once; the value says it in words."""

    # All but Go: cancelled, or (Java) nothing.
    FAILS = "the operation fails with a code of its own"
    # C++: cancelled. Node.js: an error, after which it deletes the older, good backup.
    NAME_TAKEN = "an older, good backup has the name"
    # C++: cancelled. Node.js: an error that its caller doesn't get.
    CREATE_DENIED = "CreateBackup is refused: PERMISSION_DENIED"
    # PHP and Ruby: cancelled, and the backup stays.
    READ_DENIED = "the backup completes, and GetBackup is refused for a while: PERMISSION_DENIED"
    # PHP: cancelled, and the backup stays.
    READ_FAILS = "the backup completes, and GetBackup is UNAVAILABLE for a moment"
    # The sample in C# throws, the one in Ruby says cancelled, and the backup stays.
    DELETE_BLOCKED = "the backup completes, and a restore keeps it from being deleted for a while"
    # C++ after 30 minutes and Ruby after an hour: cancelled. Go and Python: nothing, for ever.
    ENDLESS = "neither the backup nor its cancel ever comes to an end"


DELETED = ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]


class Should(NamedTuple):
    """What should be reported of a case, and whether a backup should be left."""

    plan: Plan
    outcomes: list[str]
    code: str = ""
    left: bool = False


SHOULD = {
    Case.FAILS: Should(
        replace(STUBBORN, error=Status(Code.INTERNAL, "The backup met a bad sector.")),
        ["STARTED", "CANCEL_REQUESTED", "FAILED"],
        "INTERNAL",
    ),
    Case.NAME_TAKEN: Should(ENDLESS, ["REJECTED"], "ALREADY_EXISTS", left=True),
    Case.CREATE_DENIED: Should(ENDLESS, ["REJECTED"], "PERMISSION_DENIED"),
    Case.READ_DENIED: Should(STUBBORN, DELETED),
    Case.READ_FAILS: Should(STUBBORN, DELETED),
    Case.DELETE_BLOCKED: Should(STUBBORN, [*DELETED[:2], "DELETE_BLOCKED", DELETED[2]]),
    Case.ENDLESS: Should(DEAF, ["STARTED", "CANCEL_REQUESTED", "GAVE_UP"], left=True),
}


FAULTS = {
    Case.CREATE_DENIED: Fault("CreateBackup", Code.PERMISSION_DENIED),
    Case.READ_DENIED: Fault("GetBackup", Code.PERMISSION_DENIED, times=2),
    Case.READ_FAILS: Fault("GetBackup", Code.UNAVAILABLE, times=2),
    Case.DELETE_BLOCKED: Fault("DeleteBackup", Code.FAILED_PRECONDITION, times=2, message="A restore needs it."),
}
"""What the cases are made of, beside their plans."""


def do_the_job(case: Case, lab: Lab) -> None:
    """Does the job in a case, and checks what is told and what is left."""
    should, backup = SHOULD[case], f"{lab.instance}/backups/{BACKUP_ID}"
    if case in FAULTS:
        with lab.stack.spanner.lock:
            lab.stack.spanner.faults.plan(replace(FAULTS[case], resource=backup))
    if case is Case.NAME_TAKEN:
        lab.foreign(quick(), BACKUP_ID)
        wait_until(lambda: lab.history(What.BACKUP_READY))
    older = lab.history(What.BACKUP_READY)
    message_id = lab.publish("start", database=lab.database(should.plan), backup_id=BACKUP_ID, cancel_after="0s")

    events = lab.end_events(message_id)
    assert [event.outcome for event in events] == should.outcomes
    assert events[-1].data.get("error", {}).get("code", "") == should.code
    assert lab.left_behind() == ([backup] if should.left else [])
    assert case is not Case.NAME_TAKEN or lab.history(What.BACKUP_READY, *GONE) == older
    if case in FAULTS:
        fault = FAULTS[case]
        assert lab.stack.spanner.faults.injected[fault.method, fault.code, fault.when] >= (fault.times or 1)


ROWS = {case.value: IMPATIENT if case is Case.ENDLESS else SHARED for case in Case}
for _row, _deployment in ROWS.items():
    add(_deployment, _row, Play(partial(do_the_job, Case(_row))))


@pytest.mark.parametrize("row", ROWS)
def test_a_sample_s_job_ends_in_what_should_have_been_reported(row: str, act: Act) -> None:
    """An older backup of the same database and name is never touched, and no wait is without an end."""
    act(ROWS[row], row)
