"""What was met goes well now, and is found again where its mending is taken out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from backstop.lifecycle import GUARDS, TRANSITIONS
from tests.simulation.cases import CASES
from tests.simulation.chance import CALL, Site
from tests.simulation.defects import DEFECTS, ONLY_IN_CASES
from tests.simulation.facts import Facts
from tests.simulation.history import Deployment, Person
from tests.simulation.planting import planted
from tests.simulation.run import run
from tests.simulation.story import HOUR_S, LOST, create, start, story, sweep

FIVE = tuple(f"database-{number}" for number in range(5))
LEFTOVERS = [(create(1 + n, f"leftover-{n}", name), Person(1.5 + n, "cancel")) for n, name in enumerate(FIVE)]
SWEEP = story(
    *(step for pair in LEFTOVERS for step in pair), sweep(HOUR_S), plans=(LOST,), deployment=Deployment(databases=FIVE)
)


@pytest.mark.parametrize("title", CASES)
def test_what_was_met_goes_well(title: str) -> None:
    """The title says what holds now; each fault that was to happen did."""
    history, told, _ = CASES[title]

    verdict = run(history)

    assert verdict.findings == []
    assert verdict.taken == history.only
    assert not told or [outcome.name for outcome in Facts(verdict.record).outcomes] == told.split()


@pytest.mark.parametrize("title", [title for title, case in CASES.items() if case.defect])
def test_what_was_met_is_found_again_when_the_mending_is_taken_out(title: str) -> None:
    """With the defect the history is a finding."""
    (defect,) = (defect for defect in (*DEFECTS, *ONLY_IN_CASES) if defect.title == CASES[title].defect)

    with planted(defect):
        findings = run(CASES[title].history).findings

    assert findings


def test_a_case_finds_each_defect_that_random_histories_hardly_reach() -> None:
    """Otherwise nobody would try a rare cell or guard that is left out of the cases."""
    assert {defect.title for defect in ONLY_IN_CASES} <= {case.defect for case in CASES.values()}


def test_a_defect_is_planted_in_every_cell_and_for_every_guard() -> None:
    """A cell or a guard that is added to the table is tried as well."""
    titles = {defect.title for defect in (*DEFECTS, *ONLY_IN_CASES)}
    cells = {f"the rule of {state} under {intent} is another" for state, row in TRANSITIONS.items() for intent in row}
    guards = {f"nothing guards a backup of which holds: {guard.name}" for guard in GUARDS}

    assert cells | guards <= titles


@pytest.mark.parametrize("fault", ["", "PERMISSION_DENIED before", "INTERNAL before", "crash after"])
@pytest.mark.parametrize("call", [7, 8, 9, 10])
def test_every_backup_that_a_sweep_deletes_is_named_in_the_log(fault: str, call: int) -> None:
    """Whatever goes wrong in the middle of it; what was done before an error is told before the error."""
    verdict = run(replace(SWEEP, only={(CALL, 10, 0, 0, 1, call): fault} if fault else {}))

    facts = Facts(verdict.record)
    deleted = {one.backup for one in facts.attempts.values() if one.deleter is not None}
    spared = {one.backup for one in facts.attempts.values() if one.gone_at is None}
    assert verdict.findings == []
    assert deleted == {line.backup for line in verdict.record.logged} - spared
    assert len(deleted) >= 4
    assert "REJECTED" not in [outcome.name for outcome in facts.outcomes][:-1]


def test_an_instance_that_dies_after_each_retry_does_not_multiply_them() -> None:
    """Redeliveries retry a command only once its retry has come and gone."""
    quota: dict[Site, str] = {(CALL, 0, 0, 0, attempt, 1): "RESOURCE_EXHAUSTED before" for attempt in range(1, 6)}
    deaths = {(CALL, 0, 0, 0, attempt, 2): "crash after" for attempt in range(1, 5)}
    again = {(CALL, 0, 1, 1, attempt, 1): "RESOURCE_EXHAUSTED before" for attempt in range(1, 6)}
    deaths |= {(CALL, 0, 1, 1, attempt, 2): "crash after" for attempt in range(1, 5)}

    verdict = run(story(start(), at=quota | deaths | again))

    assert verdict.findings == []
    assert 2 <= len([one for one in Facts(verdict.record).follow_ups if one.about == "retry"]) <= 2 * (5 + 5)


def test_a_start_that_is_given_up_unseen_says_that_nobody_follows_what_it_may_have_begun() -> None:
    """Its answer was lost, and then its role was gone until the time was up."""
    verdict = run(
        story(
            start(),
            Person(5, "deny", length_s=48 * HOUR_S),
            at={(CALL, 0, 0, 0, 1, 2): "DEADLINE_EXCEEDED after"},
            deployment=Deployment(give_up_after=timedelta(hours=6)),
        )
    )

    facts = Facts(verdict.record)
    (attempt,) = facts.attempts.values()
    (outcome,) = facts.outcomes
    assert (attempt.code, outcome.name, outcome.operation) == ("OK", "GAVE_UP", "")
    assert outcome.detail.endswith("is followed by nobody.")
    assert verdict.findings == []
