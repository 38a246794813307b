"""The module as terraform sees it, and what a deployment of it would be."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.terraform.facts import FACTS
from tests.terraform.plans import Plan, Workspace
from tests.terraform.subjects import EXAMPLES, SUBJECTS


def test_the_module_is_formatted(workspace: Workspace) -> None:
    """`terraform fmt` would change nothing."""
    done = workspace.run("fmt", "-check", "-recursive", "-diff")

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_can_be_planned(plans: Mapping[str, Plan], example: str) -> None:
    """Terraform finds it valid, and its plan has the function."""
    assert plans[example].all("google_cloudfunctions2_function")


def test_terraforms_own_tests_pass(workspace: Workspace) -> None:
    """`terraform test` with mocked providers; the public CI runs the same files with the real ones."""
    done = workspace.run("test", "-no-color")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success! 0 passed" not in done.stdout


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_holds_of_every_subject(plans: Mapping[str, Plan], fact: str, subject: str) -> None:
    """Each fact holds of the examples and of a deployment with every switch the other way."""
    FACTS[fact](plans[subject], subject)
