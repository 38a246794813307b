"""The tests of the module are tested: every planted mistake is noticed, and by the fact that is about it.

A plan takes half a second, so several mistakes are planted at once: first beside those that the same few facts are
about, then beside others, and fewer of these each time. A fact that fails is put down to its own mistake only if every
other mistake in that plan was seen in a plan of which the fact holds. What stays in doubt is planted alone in the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from backstop.errors import BadMessageError
from tests.terraform.facts import FACTS
from tests.terraform.mistakes import MISTAKES, REFUSALS, TERRAFORM, Mistake
from tests.terraform.plans import Plan, Workspace
from tests.terraform.refusals import BY_A_MISTAKE, CHECKS, TOGETHER
from tests.terraform.subjects import BARE, SUBJECTS

ALL = {mistake.title: mistake for mistakes in MISTAKES.values() for mistake in mistakes}
ABOUT = {mistake.title: noticed_by for noticed_by, mistakes in MISTAKES.items() for mistake in mistakes}
"""Who must notice each mistake."""

PLANTED_TOGETHER = (8, 4, 2, 1)
"""Mistakes in a plan, round by round: with these sizes 32 plans settle 71 mistakes."""


class Seen(NamedTuple):
    """What a plan showed: the mistakes that were in it, and the facts that don't hold of it."""

    titles: frozenset[str]
    broken: frozenset[str]


class Nursery:
    """Where mistakes are planted."""

    def __init__(self, workspace: Workspace, directory: Path) -> None:
        self._workspace, self._directory, self._numbers = workspace, directory, itertools.count()
        for subject in SUBJECTS.values():
            workspace.ready(subject.below)

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
        deployment = SUBJECTS[subject]
        copied, planted = self.plant(mistakes)
        try:
            plan = copied.plan(deployment.below, deployment.variables)
        except AssertionError:
            return Seen(frozenset(), frozenset())
        return Seen(frozenset(mistake.title for mistake in planted), frozenset(broken(plan, subject)))


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


def in_doubt(seen: Sequence[Seen], titles: Sequence[str]) -> list[str]:
    """The mistakes that no plan shows to be noticed."""
    harmless = {(title, fact) for plan in seen for title in plan.titles for fact in set(FACTS) - plan.broken}
    return [
        title
        for title in titles
        if not any(
            title in plan.titles
            and ABOUT[title] in plan.broken
            and all((other, ABOUT[title]) in harmless for other in plan.titles - {title})
            for plan in seen
        )
    ]


@pytest.fixture(scope="module")
def doubtful(nursery: Nursery) -> list[str]:
    """The mistakes that no fact noticed."""
    titles = [title for title in ALL if ABOUT[title] in FACTS]
    alike: list[list[str]] = [[]]
    for fact in FACTS:
        if len(alike[-1]) >= PLANTED_TOGETHER[0]:
            alike.append([])
        alike[-1] += [mistake.title for mistake in MISTAKES[fact] if mistake.subject == "fleet"]
    alone = [[title] for title in titles if ALL[title].subject != "fleet"]
    seen = [nursery.look([ALL[title] for title in several]) for several in (*alike, *alone)]
    for size in PLANTED_TOGETHER:
        left = in_doubt(seen, titles)
        apart = -(-len(left) // size)
        seen += [nursery.look([ALL[title] for title in left[at::apart]]) for at in range(apart)]
    return in_doubt(seen, titles)


@pytest.mark.parametrize("title", [title for title in ALL if ABOUT[title] in FACTS])
def test_a_planted_mistake_is_noticed(doubtful: list[str], title: str) -> None:
    """The fact that is about the mistake no longer holds."""
    assert title not in doubtful


@pytest.mark.parametrize("mistake", MISTAKES[TERRAFORM], ids=lambda mistake: mistake.title)
def test_terraform_notices_a_planted_mistake(nursery: Nursery, mistake: Mistake) -> None:
    """Terraform refuses to plan."""
    subject = SUBJECTS[mistake.subject]
    spoiled, _ = nursery.plant([mistake])

    assert spoiled.try_plan(subject.below, subject.variables).returncode != 0


def test_a_check_that_was_spoiled_refuses_no_more(nursery: Nursery) -> None:
    """Each of these values is refused as the module is, and all are accepted when each check was spoiled."""
    variables = {name: value for given in BY_A_MISTAKE.values() for name, value in given.items()}
    refused = [*({name: value} for name, value, _ in CHECKS), *(given for given, _ in TOGETHER)]
    assert set(BY_A_MISTAKE) == {mistake.title for mistake in MISTAKES[REFUSALS]}
    assert all(given in refused for given in BY_A_MISTAKE.values())

    spoiled, _ = nursery.plant(MISTAKES[REFUSALS])
    done = spoiled.try_plan("terraform", {**BARE, **variables})

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_fact_notices_a_mistake() -> None:
    """No fact is there that no mistake ever made fail, and no two mistakes have one title."""
    assert set(MISTAKES) == {*FACTS, TERRAFORM, REFUSALS}
    assert len(ALL) == sum(map(len, MISTAKES.values()))
