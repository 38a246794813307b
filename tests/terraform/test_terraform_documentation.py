"""What is written about the module is what the module is."""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePath

import pytest

from tests.terraform import by_hand
from tests.terraform.by_hand import Command
from tests.terraform.grants import README, grants
from tests.terraform.plans import REPOSITORY, Plan, Workspace
from tests.terraform.subjects import PROJECT
from tests.terraform.watching import FUNCTION
from tools import release_archive, terraform_docs

MINIMAL, WHOLE = re.findall(r"^```hcl\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
"""The examples of the page."""


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


def test_what_means_nothing_as_null_may_not_be_null() -> None:
    """A variable whose default is not null, or that has none, refuses null."""
    for entry in terraform_docs.variables():
        assert ("nullable" in entry.arguments) == (entry.arguments.get("default") != "null"), entry.name


@pytest.mark.parametrize("alert", ["dead-letters", "queue-stalled", "tasks-failing"])
def test_a_lost_follow_up_is_mended_as_the_promises_say(fleet: Plan, alert: str) -> None:
    """A bare `follow` would keep what was to be stopped: each runbook has the words of docs/reliability.md."""
    runbook = fleet.by_index("google_monitoring_alert_policy", "alert")[alert]["documentation.content"]
    page = (REPOSITORY / "docs" / "reliability.md").read_text()
    (words,) = re.findall(r"^\| somebody purged the queue \| no outcome \| (.+) \|$", page, re.MULTILINE)

    assert words in re.sub(r"\s+", " ", runbook)


def test_a_release_archive_is_what_the_module_would_build(fleet: Plan, tmp_path: Path) -> None:
    """The same files, and the same bytes each time."""
    written, again = release_archive.write(tmp_path / "one"), release_archive.write(tmp_path / "two")
    made = fleet.archives / PurePath(fleet.one("google_storage_bucket_object")["source"]).name

    assert written.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(made) as planned, zipfile.ZipFile(written) as archive:
        assert sorted(archive.namelist()) == sorted(planned.namelist())
        assert all(archive.read(name) == planned.read(name) for name in archive.namelist())


def test_the_release_that_the_page_pins_is_this_one() -> None:
    """`ref=` names the version of the package, which the tag of a release has."""
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]

    assert set(re.findall(r"ref=([\w.]+)", README)) == {f"v{version}"}


def test_the_whole_example_of_the_readme_can_be_planned(workspace: Workspace) -> None:
    """What somebody copies from the page works, once it says where the module is."""
    (workspace.directory / "readme").mkdir()
    code = WHOLE.replace('source = "./backstop/terraform"', 'source = "../terraform"')
    (workspace.directory / "readme" / "main.tf").write_text(code)

    assert code != WHOLE
    assert workspace.plan("readme").one(FUNCTION)["name"] == "backstop"


def test_the_first_example_of_the_readme_is_the_minimal_one() -> None:
    """The page and the directory show the same, but for where the module is."""
    code = (REPOSITORY / "terraform" / "examples" / "minimal" / "main.tf").read_text()

    assert re.sub(r"  source = .*\n", "", MINIMAL) == re.sub(r"  source = .*\n", "", code[code.index("module") :])


@pytest.fixture(scope="module")
def commands() -> list[Command]:
    """The commands of the deployment by hand."""
    return by_hand.commands(PROJECT)


def test_by_hand_and_by_module_grant_the_same(plans: Mapping[str, Plan], commands: list[Command]) -> None:
    """Every role that the commands grant, the module grants, and the other way round."""
    assert by_hand.grants(commands, PROJECT) == grants(plans["minimal"])


def test_by_hand_and_by_module_make_the_same(plans: Mapping[str, Plan], commands: list[Command]) -> None:
    """Every thing has the same name and settings: identities, roles, topics, queue, bucket, function, jobs and APIs."""
    assert by_hand.made(commands) == by_hand.made(by_hand.planned(plans["minimal"]))
