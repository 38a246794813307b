"""The job of Google's eight official samples for cancelling a backup, done through Backstop.

Each sample starts a backup, cancels it at once, waits (or doesn't), and deletes the backup if it is there. Through
Backstop that is one message: a start with `cancel_after: 0s`. The table has a row for each sample, with its retention,
and for each case that its code gets wrong what it reports; the same case through Backstop must end in what it should
have reported. What a sample does was read in its source, in the repository and at the commit that its row names.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Status
from tests.e2e.lab import DEAF, ENDLESS, IMPATIENT, SHARED, STUBBORN, Play, add, lifetime, quick, seconds
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanner_backup_emulator.spanner.plans import Plan
    from tests.e2e.lab import Act, Lab

BACKUP_ID = "nightly"

GONE = (What.BACKUP_DELETED, What.BACKUP_REMOVED)


class Case(enum.Enum):
    """What may happen to a backup that is cancelled at once; the value says it in words."""

    IN_TIME = "the cancel wins"
    TOO_LATE = "the backup completes before the cancel takes effect"
    FAILS = "the operation fails with a code of its own"
    NAME_TAKEN = "an older, good backup has the name"
    CREATE_DENIED = "CreateBackup is refused: PERMISSION_DENIED"
    READ_DENIED = "the backup completes, and GetBackup is refused for a while: PERMISSION_DENIED"
    READ_FAILS = "the backup completes, and GetBackup is UNAVAILABLE for a moment"
    DELETE_BLOCKED = "the backup completes, and a restore keeps it from being deleted for a while"
    ENDLESS = "neither the backup nor its cancel ever comes to an end"


@dataclass(frozen=True, slots=True)
class Sample:
    """One row.

    Attributes:
        source: The file, and the function in it where it has several.
        retention: From the request to the expiry.
        wrong: What its code reports where that isn't what happened, by case.
    """

    source: str
    retention: timedelta
    wrong: Mapping[Case, str]


SAMPLES = {
    "C#": Sample(
        "GoogleCloudPlatform/dotnet-docs-samples 8d3026ee7 spanner/api/Spanner.Samples/CancelBackupOperation.cs",
        timedelta(days=14),
        {Case.FAILS: "Create backup operation cancelled", Case.DELETE_BLOCKED: "an RpcException, and the backup stays"},
    ),
    "C++": Sample(
        "googleapis/google-cloud-cpp google/cloud/spanner/samples/samples.cc CreateBackupAndCancel",
        timedelta(hours=7),
        {
            Case.FAILS: "CreateBackup operation was cancelled with the message …",
            Case.NAME_TAKEN: "CreateBackup operation was cancelled with the message …",
            Case.CREATE_DENIED: "CreateBackup operation was cancelled with the message …",
            Case.ENDLESS: "after 30 minutes: CreateBackup operation was cancelled with the message …",
        },
    ),
    "Go": Sample(
        "GoogleCloudPlatform/golang-samples a8677d3d5 spanner/spanner_snippets/spanner/spanner_cancel_backup_create.go",
        timedelta(days=14),
        {Case.TOO_LATE: "Backup cancelled.", Case.ENDLESS: "nothing, unless its caller has set a deadline"},
    ),
    "Java": Sample(
        "googleapis/java-spanner 7c4669740 samples/snippets/src/main/java/com/example/spanner/SpannerSample.java"
        " cancelCreateBackup",
        timedelta(days=14),
        {Case.FAILS: "nothing at all"},
    ),
    "Node.js": Sample(
        "googleapis/nodejs-spanner cc9dfcea samples/backups-cancel.js",
        timedelta(days=1),
        {
            Case.TOO_LATE: "Backup cancelled.",
            Case.FAILS: "Backup cancelled.",
            Case.NAME_TAKEN: "an error, after which it deletes the older, good backup",
            Case.CREATE_DENIED: "an error that its caller doesn't get",
        },
    ),
    "PHP": Sample(
        "GoogleCloudPlatform/php-docs-samples 57f7e42e spanner/src/cancel_backup.php",
        timedelta(days=14),
        {
            Case.TOO_LATE: "Cancel backup operation complete.",
            Case.FAILS: "Cancel backup operation complete.",
            Case.READ_DENIED: "Cancel backup operation complete., and the backup stays",
            Case.READ_FAILS: "Cancel backup operation complete., and the backup stays",
        },
    ),
    "Python": Sample(
        "googleapis/python-spanner 4065da78 samples/samples/backup_sample.py cancel_backup",
        timedelta(days=30),
        {Case.FAILS: "Backup creation was successfully cancelled.", Case.ENDLESS: "nothing, for ever"},
    ),
    "Ruby": Sample(
        "GoogleCloudPlatform/ruby-docs-samples 69ce74b2 spanner/spanner_samples.rb create_backup_cancel",
        timedelta(days=14),
        {
            Case.TOO_LATE: "nightly creation job cancelled",
            Case.FAILS: "nightly creation job cancelled",
            Case.READ_DENIED: "nightly creation job cancelled, and the backup stays",
            Case.DELETE_BLOCKED: "nightly creation job cancelled, and the backup stays",
            Case.ENDLESS: "after an hour: nightly creation job cancelled",
        },
    ),
}

DELETED = ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]


class Should(NamedTuple):
    """What should be reported of a case, and whether a backup should be left."""

    plan: Plan
    outcomes: list[str]
    code: str = ""
    left: bool = False


SHOULD = {
    Case.IN_TIME: Should(ENDLESS, ["STARTED", "CANCEL_REQUESTED", "CANCELLED"], "CANCELLED"),
    Case.TOO_LATE: Should(DEAF, DELETED),
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


def do_the_job(name: str, case: Case, lab: Lab) -> None:
    """Does a sample's job in a case, and checks what is told and what is left."""
    sample, should = SAMPLES[name], SHOULD[case]
    backup = f"{lab.instance}/backups/{BACKUP_ID}"
    if case in FAULTS:
        with lab.stack.spanner.lock:
            lab.stack.spanner.faults.plan(replace(FAULTS[case], resource=backup))
    if case is Case.NAME_TAKEN:
        lab.foreign(quick(), BACKUP_ID)
        wait_until(lambda: lab.history(What.BACKUP_READY))
    older = lab.history(What.BACKUP_READY)
    retention = f"{sample.retention // timedelta(hours=1)}h"
    message_id = lab.publish(
        "start", database=lab.database(should.plan), backup_id=BACKUP_ID, retention=retention, cancel_after="0s"
    )

    if case is Case.TOO_LATE:
        started = lab.comes_to(message_id, "STARTED", "CANCEL_REQUESTED")[0]
        (made,) = lab.admin.list_backups(parent=lab.instance)
        assert abs(lifetime(made) - sample.retention) < seconds(10)
        lab.stack.spanner.finish(started.data["operation"])
    events = lab.end_events(message_id)
    assert [event.outcome for event in events] == should.outcomes
    assert events[-1].data.get("error", {}).get("code", "") == should.code
    assert lab.left_behind() == ([backup] if should.left else [])
    assert case is not Case.NAME_TAKEN or lab.history(What.BACKUP_READY, *GONE) == older
    if case in FAULTS:
        fault = FAULTS[case]
        assert lab.stack.spanner.faults.injected[fault.method, fault.code, fault.when] >= (fault.times or 1)


ROWS = {
    f"{name}: {case.value}": IMPATIENT if case is Case.ENDLESS else SHARED
    for name, sample in SAMPLES.items()
    for case in (Case.IN_TIME, Case.TOO_LATE, *sample.wrong)
}
"""Each sample in the two usual cases, and in those that it gets wrong; and where each is played."""

for _row, _deployment in ROWS.items():
    _name, _, _case = _row.partition(": ")
    add(_deployment, _row, Play(partial(do_the_job, _name, Case(_case))))


@pytest.mark.parametrize("row", ROWS)
def test_a_samples_job_ends_in_what_should_have_been_reported(row: str, act: Act) -> None:
    """The outcome is what happened, also where the sample's own code reports something else.

    An older backup of the same database and name is never touched, and no wait is without an end.
    """
    act(ROWS[row], row)


def test_every_sample_has_a_case_that_it_gets_wrong() -> None:
    """The table is about differences: a row without one would prove nothing."""
    assert len(SAMPLES) == 8
    assert all(sample.wrong for sample in SAMPLES.values())
