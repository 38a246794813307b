"""The module and the function agree: what one deploys, says and looks for, the other runs, reads and prints."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from backstop.gcp import settings
from tests.terraform.deployed import Deployed
from tests.terraform.facts import environment_of
from tests.terraform.subjects import SUBJECTS
from tests.terraform.watching import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.terraform.deployed import Line
    from tests.terraform.plans import Json, Plan, Workspace


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_function_accepts_the_environment_that_the_module_gives_it(plans: Mapping[str, Plan], subject: str) -> None:
    """The function's own settings read every planned environment, and see the switch for deleting."""
    plan = plans[subject]

    read = settings.read(environment_of(plan))

    assert read.handlers.follow_ups_topic == plan.one("google_pubsub_topic", "follow_ups").text("id")
    assert read.handlers.allow_delete is SUBJECTS[subject].may_delete
    assert set(read.handlers.policy.instances) == set(environment_of(plan)["BACKSTOP_INSTANCES"].split(","))


def test_the_function_accepts_the_ends_of_every_range(workspace: Workspace, minimal_variables: dict[str, Json]) -> None:
    """What the module's checks let through, the function's settings let through too."""
    for ends in (
        {"retention": "366d", "give_up_after": "7d", "look_min": "1h", "look_max": "1h"},
        {"retention": "6h", "give_up_after": "1h", "look_min": "10s", "look_max": "10s"},
    ):
        plan = workspace.plan("terraform", {**minimal_variables, **ends})

        read = settings.read(environment_of(plan))

        assert read.handlers.look_min <= read.handlers.look_max <= read.handlers.give_up_after


def test_the_environment_names_only_variables_that_the_function_reads(fleet: Plan) -> None:
    """No variable is misspelt: each makes the settings differ or fail when it is nonsense."""
    environment = environment_of(fleet)
    ours = [name for name in environment if name.startswith("BACKSTOP_")]

    for name in ours:
        with pytest.raises(ValueError, match=name):
            settings.read({**environment, name: "nonsense"})


@pytest.fixture(scope="module")
def deployed(fleet: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """The fleet's function, from its archive, in an environment that holds nothing else."""
    with Deployed(fleet, tmp_path_factory.mktemp("deployed")) as deployed:
        yield deployed


def test_the_archive_does_what_scheduler_asks_and_prints_what_alerts_look_for(fleet: Plan, deployed: Deployed) -> None:
    """The archive boots, every job's command has its effect, and the printed lines have what filters read."""
    jobs = fleet.all("google_cloud_scheduler_job")
    deployed.publish_jobs()
    commands = deployed.wait_for(lambda line: line.get("command") in ("start", "sweep"), len(jobs))
    assert not [line for line in commands if line.get("outcome") == "REJECTED"]
    deployed.wait_for(lambda line: line.get("state") == "RUNNING")
    # Two of the backups that now run on one instance are stopped at once: more than one outcome in one line.
    instance = "projects/example-shop/instances/customers-eu"
    deployed.publish(json.dumps({"action": "sweep", "instance": instance, "cancel_after": "0s"}).encode())
    deployed.wait_for(lambda line: "outcomes" in line)
    deployed.publish(b"not a command")
    rejected = deployed.wait_for(lambda line: line.get("outcome") == "REJECTED")

    printed = {name for line in deployed.lines if isinstance(line, dict) for name in line}
    assert not [line for line in deployed.lines if isinstance(line, str)], "each line is one JSON object"
    assert printed >= LOG_FIELDS, LOG_FIELDS - printed
    assert alert_matches(fleet, "command-rejected", rejected[0])
    assert not alert_matches(fleet, "backup-failed", rejected[0])


def alert_matches(plan: Plan, name: str, line: Line) -> bool:
    """Whether an alert on log lines would fire for a line that was printed."""
    policy = next(found for found in plan.all("google_monitoring_alert_policy", "alert") if found.index == name)
    wanted = policy.text("conditions", 0, "condition_matched_log", 0, "filter")
    return any(line.get(field) == value for field, value in re.findall(r'jsonPayload\.(\w+)="([^"]+)"', wanted))
