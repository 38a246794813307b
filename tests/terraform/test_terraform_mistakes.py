"""The tests of the module are tested: every planted mistake is noticed, and by the fact that is about it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from backstop.errors import BadMessageError
from tests.terraform.facts import FACTS
from tests.terraform.mistake import REFUSALS, TERRAFORM, Mistake
from tests.terraform.mistakes import MISTAKES
from tests.terraform.subjects import SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.terraform.plans import Json, Workspace


MISTAKES_MIN = 25
"""What the project asks for; fewer means that somebody deleted some."""


@pytest.fixture
def spoiled(workspace: Workspace, mistake: Mistake, tmp_path: Path) -> Workspace:
    """A copy of the module with the mistake in it."""
    workspace.ready(SUBJECTS[mistake.subject].below)
    shutil.copytree(workspace.directory, tmp_path / "module", ignore=shutil.ignore_patterns("plan-*", "*.tfvars.json"))
    path = tmp_path / "module" / "terraform" / mistake.file
    text = path.read_text()
    assert mistake.every or text.count(mistake.old) == 1, f"{text.count(mistake.old)} places and not one"
    assert mistake.old in text
    path.write_text(text.replace(mistake.old, mistake.new))
    return workspace.moved(tmp_path / "module")


@pytest.mark.parametrize("mistake", MISTAKES, ids=[mistake.title for mistake in MISTAKES])
def test_a_planted_mistake_is_noticed(
    workspace: Workspace, spoiled: Workspace, mistake: Mistake, minimal_variables: dict[str, Json]
) -> None:
    """The plan is refused, or no longer refused, or the fact that is about the mistake no longer holds."""
    if mistake.noticed_by == REFUSALS:
        variables = {**minimal_variables, **(mistake.variables or {})}
        assert workspace.try_plan("terraform", variables).returncode != 0
        assert spoiled.try_plan("terraform", variables).returncode == 0
        return
    subject = SUBJECTS[mistake.subject]
    if mistake.noticed_by == TERRAFORM:
        assert spoiled.try_plan(subject.below, subject.variables).returncode != 0
        return

    plan = spoiled.plan(subject.below, subject.variables)

    with pytest.raises((AssertionError, BadMessageError)):
        FACTS[mistake.noticed_by](plan, mistake.subject)


def test_there_are_enough_mistakes_and_each_fact_notices_one() -> None:
    """No fact is there that no mistake ever made fail."""
    assert len(MISTAKES) >= MISTAKES_MIN
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)
    assert set(FACTS) - {mistake.noticed_by for mistake in MISTAKES} == set()
