"""The module and the function agree: what one deploys, says and looks for, the other runs, reads and prints."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backstop.gcp import settings
from emulators.errors import Code
from emulators.spanner.plans import Plan as BackupPlan
from emulators.spanner.records import Status
from tests.terraform.deployed import Deployed
from tests.terraform.facts import environment_of
from tests.terraform.log_filters import compiled
from tests.terraform.plans import REPOSITORY, Workspace
from tests.terraform.subjects import SUBJECTS
from tests.terraform.watching import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.terraform.deployed import Line
    from tests.terraform.log_filters import Entry
    from tests.terraform.plans import Json, Plan, Providers


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_function_accepts_the_environment_that_the_module_gives_it(plans: Mapping[str, Plan], subject: str) -> None:
    """The function's own settings read every planned environment, and see the switch for deleting."""
    plan = plans[subject]

    read = settings.read(environment_of(plan))

    assert read.handlers.follow_ups_topic == plan.one("google_pubsub_topic", "follow_ups").text("id")
    assert read.handlers.allow_delete is SUBJECTS[subject].may_delete
    assert set(read.handlers.instances) == set(environment_of(plan)["BACKSTOP_INSTANCES"].split(","))


def test_the_function_accepts_the_ends_of_every_range(workspace: Workspace, minimal_variables: dict[str, Json]) -> None:
    """What the module's checks let through, the function's settings let through too."""
    for ends in (
        {"retention": "366d", "give_up_after": "7d", "look_min": "1h", "look_max": "1h"},
        {"retention": "6h", "give_up_after": "1h", "look_min": "10s", "look_max": "10s"},
    ):
        plan = workspace.plan("terraform", {**minimal_variables, **ends})

        read = settings.read(environment_of(plan))

        assert read.handlers.poll_min <= read.handlers.poll_max <= read.handlers.give_up_after


def test_the_environment_names_only_variables_that_the_function_reads(fleet: Plan) -> None:
    """No variable is misspelt: each makes the settings differ or fail when it is nonsense."""
    environment = environment_of(fleet)
    ours = [name for name in environment if name.startswith("BACKSTOP_")]

    for name in ours:
        with pytest.raises(ValueError, match=name):
            settings.read({**environment, name: "nonsense"})


pytestmark = pytest.mark.timeout(300)
"""An empty environment, 23 packages and a server: a quarter of a minute, or many on a machine that others use, too."""

INSTANCE = "projects/example-shop/instances/orders"


@pytest.fixture(scope="module")
def lines(fleet: Plan, providers: Providers, tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    """What the fleet's function printed, from its archive, in an environment that holds nothing else."""
    workspace = Workspace.copied(tmp_path_factory.mktemp("module"), providers, code=True)
    with Deployed(workspace.plan(SUBJECTS["fleet"].below), tmp_path_factory.mktemp("deployed")) as deployed:
        jobs = fleet.all("google_cloud_scheduler_job")
        deployed.publish_jobs()
        deployed.wait_for(lambda line: line.get("command") in ("start", "sweep"), len(jobs))
        deployed.wait_for(lambda line: line.get("state") == "RUNNING")
        for name, plan in (
            ("quick", BackupPlan(duration=timedelta(seconds=1))),
            ("stubborn", BackupPlan(duration=timedelta(seconds=1), cancel_duration=None)),
            ("failing", BackupPlan(duration=timedelta(seconds=1), error=Status(Code.INTERNAL, "the disk is full"))),
        ):
            deployed.spanner.add_database(f"{INSTANCE}/databases/{name}")
            deployed.spanner.set_plan(f"{INSTANCE}/databases/{name}", plan)
        for command in (
            {"action": "start", "database": f"{INSTANCE}/databases/stubborn", "cancel_after": "0s"},
            {"action": "start", "database": f"{INSTANCE}/databases/failing"},
            {"action": "start", "instance": INSTANCE, "databases": ["quick", "nothing-*"]},
            {"action": "start", "instance": INSTANCE, "databases": ["orders-*"]},
        ):
            deployed.publish(json.dumps(command).encode())
        deployed.publish(b"not a command")
        for outcome in ("COMPLETED", "COMPLETED_THEN_DELETED", "FAILED"):
            deployed.wait_for(told(outcome))
        deployed.wait_for(lambda line: told("STARTED")(line) and line["severity"] == "WARNING")
        deployed.wait_for(told("REJECTED"), 2)
    assert not [line for line in deployed.lines if isinstance(line, str)], "each line is one JSON object"
    return [line for line in deployed.lines if isinstance(line, dict)]


def told(outcome: str) -> Callable[[Line], bool]:
    """Whether a line tells this outcome."""
    return lambda line: line.get("outcome") == outcome


def entry(line: Line, service: str) -> Entry:
    """A printed line as Cloud Logging keeps it: it takes the severity out and leaves the rest.

    https://docs.cloud.google.com/logging/docs/structured-logging (documented)
    """
    rest = {name: value for name, value in line.items() if name != "severity"}
    labels = {"service_name": service, "location": "europe-west1"}
    resource = {"type": "cloud_run_revision", "labels": labels}
    return {"resource": resource, "severity": line["severity"], "jsonPayload": rest}


PLATFORM: Sequence[Entry] = (
    # A push that was not let in. https://docs.cloud.google.com/run/docs/logging (documented)
    {
        "resource": {"type": "cloud_run_revision", "labels": {"service_name": "backstop", "location": "europe-west1"}},
        "logName": "projects/example-operations/logs/run.googleapis.com%2Frequests",
        "severity": "WARNING",
        "httpRequest": {"status": 403},
        "textPayload": "The request was not authenticated.",
    },
    # A task that was refused. https://docs.cloud.google.com/tasks/docs/logging (documented)
    {
        "resource": {"type": "cloud_tasks_queue", "labels": {"queue_id": "backstop-follow-ups"}},
        "severity": "WARNING",
        "jsonPayload": {"attemptResponseLog": {"status": "PERMISSION_DENIED"}},
    },
    # A job that could not publish. https://docs.cloud.google.com/scheduler/docs/logging (documented)
    *(
        {
            "resource": {"type": "cloud_scheduler_job", "labels": {"job_id": f"backstop-start-{schedule}"}},
            "logName": "projects/example-operations/logs/cloudscheduler.googleapis.com%2Fexecutions",
            "severity": "ERROR",
            "jsonPayload": {"status": "PERMISSION_DENIED"},
        }
        for schedule in ("orders-nightly", "accounts-nightly", "consents-weekly")
    ),
)
"""Lines that the function doesn't write, as Google's own services do."""


def test_the_printed_lines_have_what_filters_read(lines: list[Line]) -> None:
    """The archive boots, every job's command has its effect, and each field that the module reads is printed."""
    printed = {name for line in lines for name in line}

    assert printed >= LOG_FIELDS, LOG_FIELDS - printed


ALARMS = {
    "backup-failed": "FAILED",
    "command-rejected": "REJECTED",
    "deletion": "COMPLETED_THEN_DELETED",
    "not-started": "STARTED",
}
"""Alerts on the function's lines, and the outcome that each tells of."""


@pytest.mark.parametrize("name", ALARMS)
def test_an_alert_on_the_log_fires_for_its_own_outcome(fleet: Plan, lines: list[Line], name: str) -> None:
    """It matches lines that the function printed, of that outcome only, and of this function only."""
    policy = next(found for found in fleet.all("google_monitoring_alert_policy", "alert") if found.index == name)
    matches = compiled(policy.text("conditions", 0, "condition_matched_log", 0, "filter"))

    matched = [line for line in lines if matches(entry(line, "backstop"))]

    assert {line["outcome"] for line in matched} == {ALARMS[name]}
    assert not [line for line in lines if matches(entry(line, "another"))]
    if name == "not-started":
        assert all("Not started" in str(line["message"]) for line in matched)
        assert len(matched) == 1


def test_counters_count_what_was_told(fleet: Plan, lines: list[Line]) -> None:
    """The counter of outcomes matches each line with an outcome, and that of turns matches a job's own line."""
    counts = {name: compiled(fleet.one("google_logging_metric", name).text("filter")) for name in ("outcomes", "runs")}

    assert [line for line in lines if counts["outcomes"](entry(line, "backstop"))] == [
        line for line in lines if "outcome" in line
    ]
    assert [counts["runs"]({**one, "severity": "INFO"}) for one in PLATFORM] == [False, False, True, True, True]
    audit = {**PLATFORM[2], "severity": "NOTICE", "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity"}
    assert not counts["runs"](audit), "who changed a job is no turn of it"


def test_every_filter_of_every_runbook_finds_what_it_looks_for(fleet: Plan, lines: list[Line]) -> None:
    """Each matches some of the lines that the function or Google wrote, not all, and none of another function."""
    ours = [*(entry(line, "backstop") for line in lines), *PLATFORM]
    others = [entry(line, "another") for line in lines]
    seen: set[str] = set()
    for policy in fleet.all("google_monitoring_alert_policy"):
        runbook = policy.text("documentation", 0, "content")
        filters = re.findall(r"gcloud logging read '([^']+)'", runbook)
        assert runbook.count("gcloud logging read") == len(filters), policy.address
        for text in filters:
            matches = compiled(text)
            assert 0 < sum(map(matches, ours)) < len(ours), f"{policy.address}: {text}"
            assert not any(map(matches, others)), f"{policy.address}: {text}"
            seen.add(text)

    assert len(seen) >= len(RUNBOOKS_WITH_FILTERS)


RUNBOOKS_WITH_FILTERS = {
    path.stem
    for path in (REPOSITORY / "terraform" / "runbooks").glob("*.md")
    if "gcloud logging read" in path.read_text()
}


def test_runbooks_look_for_jobs_where_they_are(plans: Mapping[str, Plan]) -> None:
    """Where Cloud Scheduler is in another region, every command about a job says that region."""
    for policy in plans["switched"].all("google_monitoring_alert_policy"):
        runbook = policy.text("documentation", 0, "content")
        for command in re.findall(r"gcloud scheduler [^`]+", runbook):
            assert "--location=europe-west1" in command, policy.address
        for command in re.findall(r"gcloud tasks [^`]+", runbook):
            assert "--location=europe-west3" in command, policy.address
