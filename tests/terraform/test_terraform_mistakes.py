"""The tests of the module are tested: every planted mistake is noticed, and by the fact that is about it.

A plan takes half a second, so several mistakes are planted at once, and fewer of those that are left each time. A fact
that fails is put down to its own mistake only if every other mistake in that plan was seen in a plan of which the fact
holds. What stays in doubt is planted alone in the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from backstop.errors import BadMessageError
from tests.terraform.facts import FACTS
from tests.terraform.mistakes import MISTAKES, REFUSALS, TERRAFORM, Mistake
from tests.terraform.plans import Plan, Workspace
from tests.terraform.refusals import BY_A_MISTAKE, REFUSED
from tests.terraform.subjects import BARE, PLANNED, SUBJECTS

PLANTED_TOGETHER = (8, 8, 4, 2, 1)
"""Mistakes in a plan, round by round: first beside those that the same few facts are about, then beside others."""

Seen = tuple[frozenset[Mistake], frozenset[str]]
"""What a plan showed: the mistakes that were in it, and the facts that don't hold of it."""


def about(*noticed_by: str) -> list[Mistake]:
    """The mistakes that one of these must notice."""
    return [mistake for mistake in MISTAKES if mistake.noticed_by in noticed_by]


class Nursery:
    """Where mistakes are planted."""

    def __init__(self, workspace: Workspace, directory: Path) -> None:
        self._workspace, self._directory, self._numbers = workspace, directory, itertools.count()
        for subject in SUBJECTS:
            workspace.ready(PLANNED[subject][0])

    def plant(self, mistakes: Sequence[Mistake]) -> tuple[Workspace, list[Mistake]]:
        """A copy of the module with these mistakes in it, but for those whose place another one took."""
        copied = self._workspace.copied(self._directory / f"{next(self._numbers)}")
        planted = []
        for mistake in mistakes:
            file = Path("terraform") / mistake.file
            assert mistake.old in (self._workspace.directory / file).read_text(), f"{mistake.title}: nothing to spoil"
            path = copied.directory / file
            text = path.read_text()
            if mistake.old in text:
                path.unlink()
                path.write_text(text.replace(mistake.old, mistake.new))
                planted.append(mistake)
        return copied, planted

    def look(self, mistakes: Sequence[Mistake]) -> Seen:
        """Plans with these mistakes; a plan that is refused shows nothing."""
        subject = mistakes[0].subject
        copied, planted = self.plant(mistakes)
        try:
            plan = copied.plan(*PLANNED[subject])
        except AssertionError:
            return frozenset(), frozenset()
        return frozenset(planted), frozenset(broken(plan, subject))


@pytest.fixture(scope="module")
def nursery(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Nursery:
    """Where mistakes are planted."""
    return Nursery(workspace, tmp_path_factory.mktemp("mistakes"))


def broken(plan: Plan, subject: str) -> Iterator[str]:
    """The facts that don't hold."""
    for name, fact in FACTS.items():
        try:
            fact(plan, subject)
        except (AssertionError, BadMessageError, LookupError, TypeError, ValueError):
            yield name


def in_doubt(seen: Sequence[Seen]) -> list[Mistake]:
    """The mistakes that no plan shows to be noticed."""
    harmless = {(mistake, fact) for planted, failed in seen for mistake in planted for fact in set(FACTS) - failed}
    shown = {
        mistake
        for planted, failed in seen
        for mistake in planted
        if mistake.noticed_by in failed
        and all((other, mistake.noticed_by) in harmless for other in planted - {mistake})
    }
    return [mistake for mistake in about(*FACTS) if mistake not in shown]


@pytest.fixture(scope="module")
def doubtful(nursery: Nursery) -> list[Mistake]:
    """The mistakes that no fact noticed."""
    seen = [nursery.look([mistake]) for mistake in about(*FACTS) if mistake.subject != "fleet"]
    for turn, size in enumerate(PLANTED_TOGETHER):
        left = [mistake for mistake in in_doubt(seen) if mistake.subject == "fleet"]
        apart = -(-len(left) // size)
        several = [left[at::apart] if turn else left[at * size : (at + 1) * size] for at in range(apart)]
        seen += [nursery.look(mistakes) for mistakes in several]
    return in_doubt(seen)


@pytest.mark.parametrize("mistake", about(*FACTS), ids=lambda mistake: mistake.title)
def test_a_planted_mistake_is_noticed(doubtful: list[Mistake], mistake: Mistake) -> None:
    """The fact that is about the mistake no longer holds."""
    assert mistake not in doubtful


@pytest.mark.parametrize("mistake", about(TERRAFORM), ids=lambda mistake: mistake.title)
def test_terraform_notices_a_planted_mistake(nursery: Nursery, mistake: Mistake) -> None:
    """Terraform refuses to plan."""
    spoiled, _ = nursery.plant([mistake])

    assert spoiled.try_plan(*PLANNED[mistake.subject]).returncode != 0


def test_a_check_that_was_spoiled_refuses_no_more(nursery: Nursery) -> None:
    """Each of these values is refused as the module is, and all are accepted when each check was spoiled."""
    assert set(BY_A_MISTAKE) == {mistake.title for mistake in about(REFUSALS)}
    assert all(given in [refused for refused, _ in REFUSED] for given in BY_A_MISTAKE.values())

    spoiled, _ = nursery.plant(about(REFUSALS))
    variables = {name: value for given in BY_A_MISTAKE.values() for name, value in given.items()}
    done = spoiled.try_plan("terraform", {**BARE, **variables})

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_fact_notices_a_mistake() -> None:
    """No fact is there that no mistake ever made fail, and no two mistakes have one title."""
    assert {mistake.noticed_by for mistake in MISTAKES} == {*FACTS, TERRAFORM, REFUSALS}
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)
