"""What is written about the module is what the module is."""

from __future__ import annotations

import base64
import json
import re
import tomllib
import zipfile
from pathlib import PurePath
from typing import TYPE_CHECKING

import pytest

from tests.terraform import by_hand
from tests.terraform.facts import FUNCTION, QUEUE, SERVICE, environment_of
from tests.terraform.grants import EXPECTED, grants
from tests.terraform.plans import REPOSITORY
from tests.terraform.subjects import SUBJECTS
from tools import release_archive, terraform_docs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.terraform.by_hand import Command
    from tests.terraform.plans import Plan, Workspace

README = (REPOSITORY / "terraform" / "README.md").read_text()
EXAMPLES = re.findall(r"^```hcl\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PROJECT = SUBJECTS["minimal"].project


def test_the_tables_of_the_readme_are_fresh() -> None:
    """`python tools/terraform_docs.py` would change nothing."""
    assert terraform_docs.rendered(README) == README


@pytest.mark.parametrize("file", [*terraform_docs.VARIABLES, "outputs.tf"])
def test_variables_and_outputs_are_alphabetical_and_described(file: str) -> None:
    """Each can be found, and says what it is in a sentence; each variable has a type."""
    entries = terraform_docs.entries(file)
    names = [entry.name for entry in entries]

    assert names == sorted(names)
    assert all(re.fullmatch(r"[A-Z].{20,}\.", entry.description) for entry in entries)
    assert file == "outputs.tf" or all("type" in entry.arguments for entry in entries)


def test_a_release_archive_is_what_the_module_would_build(plans: Mapping[str, Plan], tmp_path: Path) -> None:
    """The same files, and the same bytes each time."""
    written, again = release_archive.write(tmp_path / "one"), release_archive.write(tmp_path / "two")

    assert written.read_bytes() == again.read_bytes()
    made = plans["minimal"].one("google_storage_bucket_object").text("source")
    with (
        zipfile.ZipFile(plans["minimal"].archives / PurePath(made).name) as planned,
        zipfile.ZipFile(written) as archive,
    ):
        assert sorted(archive.namelist()) == sorted(planned.namelist())
        assert all(archive.read(name) == (REPOSITORY / name).read_bytes() for name in archive.namelist())


def test_the_release_that_the_page_pins_is_this_one() -> None:
    """`ref=` names the version of the package, which the tag of a release has."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]

    assert set(re.findall(r"ref=([\w.]+)", README)) == {f"v{version}"}


def test_what_means_nothing_as_null_may_not_be_null() -> None:
    """A variable whose default is not null, or that has none, refuses null."""
    for entry in terraform_docs.variables():
        assert ("nullable" in entry.arguments) == (entry.arguments.get("default") != "null"), entry.name


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_readme_can_be_planned(workspace: Workspace, tmp_path: Path, example: str) -> None:
    """What somebody copies from the page works, once it says where the module is."""
    below = workspace.directory / tmp_path.name
    below.mkdir()
    code, count = re.subn(r'source = "\./backstop/terraform"', 'source = "../terraform"', example)
    (below / "main.tf").write_text(code)
    plan = workspace.plan(below.name)

    assert count == 1
    assert plan.one(FUNCTION).text("name") == "backstop"


def test_the_first_example_is_the_minimal_one() -> None:
    """The page and the directory show the same."""
    code = (REPOSITORY / "terraform" / "examples" / "minimal" / "main.tf").read_text()

    def body(text: str) -> str:
        return re.sub(r"  source = .*\n", "", text[text.index("module") :])

    assert body(EXAMPLES[0]) == body(code)


def test_the_readme_says_who_may_do_what() -> None:
    """The table of rights has every grant of the minimal example, and no other."""
    rows = re.findall(r"^\| (.+?) \| (\S*roles/\S+) \| (.+?) \|$", README, re.MULTILINE)

    where = " where the bucket is gcf-v2-sources-NUMBER-REGION"
    expected = {
        (
            grant.who,
            grant.role.replace(PROJECT, "PROJECT"),
            grant.on.replace(PROJECT, "PROJECT") + (where if grant.condition else ""),
        )
        for grant in EXPECTED["minimal"]
    }
    assert set(rows) == expected
    assert len(rows) == len(expected)


@pytest.fixture(scope="module")
def commands() -> list[Command]:
    """The commands of the deployment by hand."""
    return by_hand.commands(by_hand.shell_block((REPOSITORY / "docs" / "deploy-by-hand.md").read_text()))


def test_by_hand_and_by_module_grant_the_same(plans: Mapping[str, Plan], commands: list[Command]) -> None:
    """Every role that the commands grant, the module grants, and the other way round."""
    assert by_hand.grants(commands, PROJECT) == grants(plans["minimal"], PROJECT)


def test_by_hand_and_by_module_make_the_same(plans: Mapping[str, Plan], commands: list[Command]) -> None:
    """Topics, subscriptions, queue, accounts, roles, bucket, function and jobs have the same names."""
    plan = plans["minimal"]
    made = {
        ("pubsub", "topics"): {found.text("name") for found in plan.all("google_pubsub_topic")},
        ("pubsub", "subscriptions"): {found.text("name") for found in plan.all("google_pubsub_subscription")},
        ("tasks", "queues"): {plan.one(QUEUE).text("name")},
        ("iam", "service-accounts"): {found.text("account_id") for found in plan.all("google_service_account")},
        ("iam", "roles"): {found.text("role_id") for found in plan.all("google_project_iam_custom_role")},
        ("storage", "buckets"): {f"gs://{plan.one('google_storage_bucket').text('name')}"},
        ("scheduler", "jobs"): {found.text("name") for found in plan.all("google_cloud_scheduler_job")},
    }
    for kind, names in made.items():
        creating = [command for command in commands if command.starts(*kind, "create")]
        skipped = len(kind) + (2 if kind[0] == "scheduler" else 1)
        assert {name for command in creating for name in command.words[skipped:]} == names, kind
    apis = next(command.words[2:] for command in commands if command.starts("services", "enable"))
    assert set(apis) == {found.text("service") for found in plan.all("google_project_service")}


def test_by_hand_and_by_module_subscriptions_behave_the_same(
    plans: Mapping[str, Plan], commands: list[Command]
) -> None:
    """Addresses, deadlines, delays, dead letters and retention of each subscription agree."""
    plan = plans["minimal"]
    uri = plan.one(FUNCTION).text(*SERVICE, "uri")
    for command in commands:
        if not command.starts("pubsub", "subscriptions", "create"):
            continue
        found = next(it for it in plan.all("google_pubsub_subscription") if it.text("name") == command.words[3])
        planned = {
            "topic": found.text("topic").rpartition("/")[2],
            "ack-deadline": f"{found.number('ack_deadline_seconds'):.0f}",
            "message-retention-duration": found.text("message_retention_duration"),
            "expiration-period": found.text("expiration_policy", 0, "ttl") or "never",
        }
        if found.name == "push":
            planned |= {
                "push-endpoint": found.text("push_config", 0, "push_endpoint").replace(uri, by_hand.URI),
                "push-auth-token-audience": by_hand.URI,
                "push-auth-service-account": found.text("push_config", 0, "oidc_token", 0, "service_account_email"),
                "min-retry-delay": found.text("retry_policy", 0, "minimum_backoff"),
                "max-retry-delay": found.text("retry_policy", 0, "maximum_backoff"),
                "dead-letter-topic": found.text("dead_letter_policy", 0, "dead_letter_topic").rpartition("/")[2],
                "max-delivery-attempts": f"{found.number('dead_letter_policy', 0, 'max_delivery_attempts'):.0f}",
            }
        assert command.flags == planned, command.words


def test_by_hand_and_by_module_functions_are_the_same(plans: Mapping[str, Plan], commands: list[Command]) -> None:
    """Runtime, identity, ingress, size and every variable without a default agree; so do queue and permissions."""
    plan = plans["minimal"]
    function = plan.one(FUNCTION)
    flags = next(command.flags for command in commands if command.starts("functions", "deploy"))
    given = dict(pair.split("=", 1) for pair in flags["set-env-vars"].split(","))
    planned = environment_of(plan)
    defaults = {"ALLOW_DELETE": "true", "GIVE_UP_AFTER": "3d", "LOOK_MAX": "1h", "LOOK_MIN": "10s", "RETENTION": "14d"}
    defaults |= {"ALLOW_SCHEDULED": "false", "ALLOW_WEAKER_KEY": "false", "CANCEL_AFTER_MIN": "1h"}
    platform = {"LOG_EXECUTION_ID": "true"}

    assert given | {f"BACKSTOP_{name}": value for name, value in defaults.items()} | platform == planned
    assert flags["runtime"] == function.text("build_config", 0, "runtime")
    assert flags["entry-point"] == function.text("build_config", 0, "entry_point")
    assert flags["build-service-account"] == function.text("build_config", 0, "service_account")
    assert flags["run-service-account"] == function.text(*SERVICE, "service_account_email")
    assert flags["ingress-settings"] == "internal-only"
    assert "no-allow-unauthenticated" in flags
    for flag, field in (
        ("concurrency", "max_instance_request_concurrency"),
        ("max-instances", "max_instance_count"),
        ("min-instances", "min_instance_count"),
    ):
        assert flags[flag] == f"{function.number(*SERVICE, field):.0f}"
    assert flags["timeout"] == f"{function.number(*SERVICE, 'timeout_seconds'):.0f}s"
    assert (flags["cpu"], flags["memory"]) == ("1", function.text(*SERVICE, "available_memory"))


def test_by_hand_and_by_module_queues_roles_and_jobs_are_the_same(
    plans: Mapping[str, Plan], commands: list[Command]
) -> None:
    """Rates, permissions, times and commands agree."""
    plan = plans["minimal"]
    queue, flags = plan.one(QUEUE), next(it.flags for it in commands if it.starts("tasks", "queues", "create"))
    assert flags["max-dispatches-per-second"] == f"{queue.number('rate_limits', 0, 'max_dispatches_per_second'):.0f}"
    assert flags["max-attempts"].replace("unlimited", "-1") == f"{queue.number('retry_config', 0, 'max_attempts'):.0f}"
    assert flags["max-retry-duration"] == (queue.get("retry_config", 0, "max_retry_duration") or "0s"), "no end"
    for flag in ("min-backoff", "max-backoff"):
        assert flags[flag] == queue.text("retry_config", 0, flag.replace("-", "_"))
    for found in plan.all("google_project_iam_custom_role"):
        flags = next(it.flags for it in commands if it.starts("iam", "roles", "create", found.text("role_id")))
        assert sorted(flags["permissions"].split(",")) == sorted(map(str, _list(found.get("permissions"))))
    for job in plan.all("google_cloud_scheduler_job"):
        flags = next(it.flags for it in commands if it.words[4:] == (job.text("name"),))
        planned = json.loads(base64.b64decode(job.text("pubsub_target", 0, "data")))
        # What is as the function has it by default needs no saying by hand.
        said = {name: value for name, value in planned.items() if value not in ("keep", False)}
        assert json.loads(flags["message-body"]) == said
        assert flags["schedule"] == job.text("schedule")
        assert flags["time-zone"] == job.text("time_zone")


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
