"""The module and the function agree: what one deploys, says and looks for, the other runs, reads and prints."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.gcp import settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan as BackupPlan
from spanner_backup_emulator.spanner.plans import Status
from tests.terraform.deployed import Line, deployed
from tests.terraform.log_filters import Entry, compiled
from tests.terraform.plans import Plan
from tests.terraform.subjects import ENDS, SUBJECTS
from tests.terraform.watching import LOG_FIELDS, environment_of, extracted, log_alerts


@pytest.mark.parametrize("name", [*SUBJECTS, *ENDS])
def test_the_function_accepts_the_environment_that_the_module_gives_it(plans: Mapping[str, Plan], name: str) -> None:
    """The function's own settings read every planned environment, at the ends of every range, too."""
    environment = environment_of(plans[name])

    read = settings.read(environment).handlers

    assert read.follow_ups_topic == plans[name].one("google_pubsub_topic", "follow_ups")["id"]
    assert read.allow_delete is (name != "switched")
    assert set(read.instances) == set(environment["BACKSTOP_INSTANCES"].split(","))
    assert read.poll_min <= read.poll_max <= read.give_up_after


def test_the_environment_names_only_variables_that_the_function_reads(fleet: Plan) -> None:
    """No variable is misspelt: each makes the settings differ or fail when it is nonsense."""
    environment = environment_of(fleet)

    for name in environment:
        if name.startswith("BACKSTOP_"):
            with pytest.raises(ValueError, match=name):
                settings.read({**environment, name: "nonsense"})


pytestmark = pytest.mark.timeout(300)
"""At first an empty environment is filled: seconds, or minutes where a registry is slow."""

ORDERS = "projects/example-shop/instances/orders"
CUSTOMERS = "projects/example-shop/instances/customers-eu"
SECOND = timedelta(seconds=1)
QUICK, LONG = BackupPlan(duration=SECOND), BackupPlan(duration=timedelta(hours=1))

BACKUPS: Mapping[str, BackupPlan] = {
    # What the schedules start, ...
    f"{CUSTOMERS}/databases/accounts": QUICK,
    f"{CUSTOMERS}/databases/consents": LONG,
    f"{ORDERS}/databases/orders-one": LONG,
    f"{ORDERS}/databases/orders-two": LONG,
    "projects/example-operations/instances/ledger/databases/book": LONG,
    # ... and what people start.
    f"{ORDERS}/databases/quick": QUICK,
    f"{ORDERS}/databases/stubborn": BackupPlan(duration=SECOND, cancel_duration=None),
    f"{CUSTOMERS}/databases/stubborn": replace(LONG, cancel_duration=LONG.duration, outrun_duration=SECOND),
    f"{ORDERS}/databases/failing": BackupPlan(duration=SECOND, error=Status(Code.INTERNAL, "the disk is full")),
}
"""Every database, and how its backups go; a long one lasts longer than the test, and is seen running."""

COMMANDS = (
    {"action": "start", "database": f"{ORDERS}/databases/stubborn", "cancel_after": "0s"},
    {"action": "start", "database": f"{CUSTOMERS}/databases/stubborn", "cancel_after": "0s", "if_created": "keep"},
    {"action": "start", "database": f"{ORDERS}/databases/failing"},
    {"action": "start", "instance": ORDERS, "databases": ["quick", "nothing-*"]},
    {"action": "start", "instance": ORDERS, "databases": ["orders-*"]},
    {"action": "cancel", "operation": f"{ORDERS}/backups/forbidden/operations/1", "dry_run": True},
    "not a command",
)
REFUSED = {"/stubborn-": "DeleteBackup", "/forbidden/": "GetOperation"}
"""What Google refuses once: a deletion, which is tried again, and a command, which is rejected."""


@pytest.fixture(scope="module")
def lines(fleet: Plan, tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """What the fleet's function printed, from its archive, in an environment that holds nothing else."""
    jobs = fleet.all("google_cloud_scheduler_job")
    with deployed(fleet, tmp_path_factory.mktemp("deployed")) as function:
        for about, method in REFUSED.items():
            function.spanner.faults.plan(Fault(method, Code.PERMISSION_DENIED, resource=about))
        for database, plan in BACKUPS.items():
            function.spanner.add_database(database)
            function.spanner.set_plan(database, plan)
        for job in jobs:
            function.pubsub.publish(job["pubsub_target.topic_name"], base64.b64decode(job["pubsub_target.data"]))
        function.wait_for(lambda line: line.get("command") in ("start", "sweep"), count=len(jobs))
        function.wait_for(lambda line: line.get("state") == "RUNNING")
        for command in COMMANDS:
            function.pubsub.publish(fleet.one("google_pubsub_topic", "commands")["id"], json.dumps(command).encode())
        function.wait_for(
            told("COMPLETED", database=f"{CUSTOMERS}/databases/accounts"),
            told("COMPLETED", database=f"{ORDERS}/databases/quick"),
            told("COMPLETED_THEN_DELETED"),
            told("FAILED"),
            told("STARTED", severity="WARNING"),
            told("COMPLETED_KEPT"),
        )
        function.wait_for(told("REJECTED"), count=3)
        # What was kept, a sweep finds, and finds again.
        sweep = fleet.by_index("google_cloud_scheduler_job", "sweep")["customers"]
        function.pubsub.publish(sweep["pubsub_target.topic_name"], base64.b64decode(sweep["pubsub_target.data"]))
        function.wait_for(told("COMPLETED_DESPITE_CANCEL"))
        return list(function.lines)


def told(outcome: str, **fields: str) -> Callable[[Line], bool]:
    """Whether a line tells this outcome, with these fields."""
    return lambda line: line.items() >= {"outcome": outcome, **fields}.items()


def entry(line: Line, service: str) -> Entry:
    """A printed line as Cloud Logging keeps it: it takes the severity out and leaves the rest.

    https://docs.cloud.google.com/logging/docs/structured-logging (documented)
    """
    rest = {name: value for name, value in line.items() if name != "severity"}
    labels = {"service_name": service, "location": "europe-west1"}
    return _entry("cloud_run_revision", labels, line["severity"], jsonPayload=rest)


def _entry(kind: str, labels: dict[str, str], severity: str, **rest: object) -> Entry:
    return {"resource": {"type": kind, "labels": labels}, "severity": severity, **rest}


JOB_LOG = "projects/example-operations/logs/cloudscheduler.googleapis.com%2Fexecutions"
DENIED = {"status": "PERMISSION_DENIED"}

PLATFORM: Sequence[Entry] = (
    # A push that was not let in. https://docs.cloud.google.com/run/docs/logging (documented)
    _entry("cloud_run_revision", {"service_name": "backstop"}, "WARNING", httpRequest={"status": 403}),
    # A task that was refused. https://docs.cloud.google.com/tasks/docs/logging (documented)
    _entry("cloud_tasks_queue", {"queue_id": "backstop-follow-ups"}, "WARNING", jsonPayload=DENIED),
    # Jobs that could not publish. https://docs.cloud.google.com/scheduler/docs/logging (documented)
    *(
        _entry("cloud_scheduler_job", {"job_id": f"backstop-start-{it}"}, "ERROR", logName=JOB_LOG, jsonPayload=DENIED)
        for it in ("orders-nightly", "accounts-nightly", "consents-weekly")
    ),
)
"""Lines that the function doesn't write, as Google's own services do."""


def test_the_printed_lines_have_what_filters_read(lines: list[Line]) -> None:
    """The archive boots, every job's command has its effect, each line is JSON, each field that is read is there."""
    printed = {name for line in lines for name in line}

    assert printed >= LOG_FIELDS, LOG_FIELDS - printed
    assert not [line for line in lines if "severity" not in line]


TOLD_BY: Mapping[tuple[str, str, str], str | None] = {
    ("FAILED", "WARNING", "start"): "backup-failed",
    ("REJECTED", "ERROR", "start"): "command-rejected",
    ("REJECTED", "ERROR", "cancel"): "command-rejected",
    ("STARTED", "WARNING", "start"): "not-started",
    ("COMPLETED_THEN_DELETED", "INFO", "start"): "deletion",
    ("GONE", "WARNING", "follow"): "delete-blocked",
    ("GAVE_UP", "ERROR", "sweep"): "delete-blocked",
    ("DELETE_BLOCKED", "WARNING", "start"): "delete-blocked",
    ("DELETE_BLOCKED", "WARNING", "sweep"): "left-behind",
    ("COMPLETED_KEPT", "WARNING", "start"): "delete-blocked",
    ("COMPLETED_KEPT", "WARNING", "sweep"): "left-behind",
    ("COMPLETED_DESPITE_CANCEL", "WARNING", "sweep"): "left-behind",
    # The cancel may still delete it; if not, the next sweep finds it.
    ("COMPLETED_DESPITE_CANCEL", "WARNING", "start"): None,
}
"""Which alert tells of an outcome, by its severity and its command; none of what isn't here."""


def test_each_line_is_told_by_its_own_alert(fleet: Plan, lines: list[Line]) -> None:
    """Each that the function printed, and one that is altered to have the other outcomes; none of another function."""
    filters = {it: compiled(at["conditions.condition_matched_log.filter"]) for it, at in log_alerts(fleet).items()}
    (kept,) = filter(told("COMPLETED_KEPT"), lines)
    altered = [
        {**kept, "outcome": outcome, "severity": severity, "trigger": {**kept["trigger"], "action": action}}
        for outcome, severity, action in (*TOLD_BY, ("COMPLETED_KEPT", "INFO", "start"))
    ]
    denied = {"outcome": "REJECTED", "severity": "ERROR", "error": {"code": "PERMISSION_DENIED", "message": "no role"}}
    altered.append({**kept, **denied, "trigger": {**kept["trigger"], "action": "sweep"}})
    fired = []
    for line in (*lines, *altered):
        about = (line.get("outcome", ""), line["severity"], line["trigger"].get("action", "start"))
        is_retried = "next_poll_s" in line or about == ("REJECTED", "ERROR", "sweep")
        is_denied = is_retried and line.get("error", {}).get("code") == "PERMISSION_DENIED"
        alert = "right-missing" if is_denied else TOLD_BY.get(about)
        fired.append([name for name, matches in filters.items() if matches(entry(line, "backstop"))])
        assert fired[-1] == [alert] * (alert is not None), line
        assert not any(matches(entry(line, "another")) for matches in filters.values())

    printed = {name for names in fired[: len(lines)] for name in names}
    assert printed - {"delete-blocked"} == set(filters) - {"delete-blocked", "scheduler-failed"}


def test_counters_count_what_was_told(fleet: Plan, lines: list[Line]) -> None:
    """The counter of outcomes matches each line with an outcome, and that of turns matches a job's own line."""
    counts = {name: compiled(fleet.one("google_logging_metric", name)["filter"]) for name in ("outcomes", "runs")}
    audit = {**PLATFORM[2], "severity": "NOTICE", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity"}

    assert [counts["outcomes"](entry(line, "backstop")) for line in lines] == ["outcome" in line for line in lines]
    schedule = fleet.one("google_logging_metric", "outcomes")["label_extractors.schedule"]
    counted = {(line["outcome"], extracted(schedule, line)) for line in lines if "outcome" in line}
    begun = {("STARTED", job) for job in fleet.by_index("google_cloud_scheduler_job", "start")}
    assert counted > {*begun, ("COMPLETED", "accounts-nightly"), ("COMPLETED", ""), ("FAILED", "")}
    assert [counts["runs"]({**one, "severity": "INFO"}) for one in PLATFORM] == [False, False, True, True, True]
    assert not counts["runs"](audit), "who changed a job is no turn of it"


def test_every_filter_of_every_runbook_finds_what_it_looks_for(fleet: Plan, lines: list[Line]) -> None:
    """Each matches some of the lines that the function or Google wrote, not all, and none of another function."""
    ours = [*(entry(line, "backstop") for line in lines), *PLATFORM]
    others = [entry(line, "another") for line in lines]
    for policy in fleet.all("google_monitoring_alert_policy"):
        runbook = policy["documentation.content"]
        filters = re.findall(r"gcloud logging read '([^']+)'", runbook)
        assert runbook.count("gcloud logging read") == len(filters), policy.address
        for text in filters:
            matches = compiled(text)
            assert 0 < sum(map(matches, ours)) < len(ours), f"{policy.address}: {text}"
            assert not any(map(matches, others)), f"{policy.address}: {text}"


def test_runbooks_look_for_jobs_where_they_are(plans: Mapping[str, Plan]) -> None:
    """Where Cloud Scheduler is in another region, every command about a job says that region."""
    for policy in plans["switched"].all("google_monitoring_alert_policy"):
        runbook = policy["documentation.content"]
        for service, region in {"scheduler": "europe-west1", "tasks": "europe-west3"}.items():
            for command in re.findall(rf"gcloud {service} [^`]+", runbook):
                assert f"--location={region}" in command, policy.address
