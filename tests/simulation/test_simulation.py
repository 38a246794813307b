"""The simulation's own tests, and as much of its search as fits a run of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backstop import handlers, lifecycle, selection
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.checker import INVARIANTS
from tests.simulation.defects import DEFECTS
from tests.simulation.exhaustive import singles
from tests.simulation.facts import Facts
from tests.simulation.generate import history
from tests.simulation.planting import Defect, planted
from tests.simulation.run import run, trace
from tests.simulation.search import Total
from tests.simulation.shrink import shrink

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

HISTORIES = 1500
"""A few seconds; `make simulate` runs 22,000."""

WELL = {
    "a start runs to its end": "STARTED COMPLETED",
    "a start with a name runs to its end": "STARTED COMPLETED",
    "a start fails": "STARTED FAILED",
    "a start is stopped at once": "STARTED CANCEL_REQUESTED CANCELLED",
    "a start is stopped at its limit, and completes all the same": "STARTED CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    "a start hangs until it is given up": "STARTED GAVE_UP",
    "a start finds its slot taken": "REJECTED",
    "a start of every database": "STARTED STARTED STARTED STARTED COMPLETED COMPLETED COMPLETED",
    "a start of many that are stopped at once": "STARTED" + " STARTED CANCEL_REQUESTED" * 3 + " CANCELLED" * 3,
    "a cancel takes hold": "CANCEL_REQUESTED CANCELLED",
    "a cancel loses the race": "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    "a cancel comes within the grace": "COMPLETED_THEN_DELETED",
    "a cancel loses the race, and a copy blocks the delete": "CANCEL_REQUESTED DELETE_BLOCKED COMPLETED_THEN_DELETED",
    "a cancel loses the race, and the name is used again": "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    "a cancel finds a scheduled backup beside the one that is meant": "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    "two commands follow one operation": "STARTED CANCEL_REQUESTED COMPLETED_DESPITE_CANCEL COMPLETED_THEN_DELETED",
    "a follow watches to a limit": "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
    "a sweep cleans up": "STARTED COMPLETED COMPLETED_THEN_DELETED",
}
"""What each scenario tells while nothing fails."""


def table() -> dict[str, tuple[int, list[str]]]:
    """What docs/reliability.md says of each planted defect: which history finds it, and which claims that breaks."""
    _, _, rows = PAGE.read_text().partition("| planted defect |")
    cells = (row.strip("| ").split(" | ") for row in rows.partition("\n\n")[0].splitlines()[2:])
    return {title: (int(number.replace(",", "")), claims.split(", ")) for title, number, claims in cells}


TABLE = table()


def test_random_histories_go_well_and_every_fault_takes_effect_in_them() -> None:
    """No invariant breaks, no fault is only claimed, and no outcome is missing."""
    total = Total()

    for seed in range(HISTORIES):
        total.add(run(history(seed)))

    assert total.bad == 0, f"python -m tests.simulation --trace --seed {total.examples[0].seed}"
    assert total.missing() == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_ends_as_it_should_while_nothing_fails(name: str) -> None:
    """A function that turned everything down would do nothing wrong, and nothing else."""
    verdict = run(replace(SCENARIOS[name], only={}))

    assert [outcome.name for outcome in Facts(verdict.record).outcomes] == WELL[name].split()


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_goes_well_whatever_single_fault_happens_in_it(name: str) -> None:
    """Every fault is tried at every place of the scenario, one at a time."""
    verdicts = list(singles(SCENARIOS[name]))

    assert [(verdict.taken, verdict.findings) for verdict in verdicts if verdict.findings] == []
    assert all(verdict.taken for verdict in verdicts[1:])
    assert {site for verdict in verdicts for site in verdict.taken} == set(verdicts[0].asked)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.title)
def test_a_planted_defect_is_found(defect: Defect) -> None:
    """The search can fail: with a mistake in the function it does, at the history that the page names."""
    number, claims = TABLE[defect.title]

    with planted(defect):
        findings = run(history(number - 1)).findings

    assert sorted({finding.invariant.partition(" ")[0] for finding in findings}) == claims
    assert run(history(number - 1)).findings == []


def test_each_claim_is_broken_by_a_planted_defect() -> None:
    """One that no mistake can break would be worth nothing."""
    broken = {claim for _, claims in TABLE.values() for claim in claims}

    assert broken == {claim.partition(" ")[0] for claim in INVARIANTS}


def test_a_defect_is_taken_out_again() -> None:
    """What runs after a planted defect runs on the function as it is."""
    before = selection.ran, handlers.is_scheduled, vars(lifecycle)["GUARDS"]
    for defect in DEFECTS:
        with planted(defect):
            pass

    assert (selection.ran, handlers.is_scheduled, vars(lifecycle)["GUARDS"]) == before


def test_the_same_seed_gives_the_same_trace_byte_for_byte() -> None:
    """In another process, under another hash seed, nothing differs."""
    seeds = (7, 24, 33, 458)
    here = [trace(run(history(seed)).record) for seed in seeds]

    again = [trace(run(history(seed)).record) for seed in seeds]
    code = "import sys; from tests.simulation.generate import history; from tests.simulation.run import run, trace\n"
    code += f"sys.stdout.write('\\0'.join(trace(run(history(seed)).record) for seed in {seeds}))"
    there = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, check=True
    )

    assert again == here
    assert there.stdout.decode().split("\0") == here
    assert len(set(here)) == len(seeds)


def test_the_faults_of_a_history_can_be_given_in_place_of_its_seeds() -> None:
    """A history whose faults are written down goes the same way, which is what shrinking starts from."""
    verdict = run(history(24))
    assert verdict.taken

    again = run(replace(verdict.history, only=dict(verdict.taken)))

    assert trace(again.record) == trace(verdict.record)


def test_a_history_that_goes_wrong_is_shrunk_to_what_it_takes() -> None:
    """Of a random history the one fault that matters is left, and the start and the cancel that it takes."""
    (defect,) = (defect for defect in DEFECTS if defect.title == "a delivery that must be retried is answered 2xx")
    number, _ = TABLE[defect.title]

    with planted(defect):
        found = run(history(number - 1))
        small = shrink(found)

    assert small.findings
    assert len(found.taken) > 1
    assert sum(step is not None for step in small.history.steps) <= 2
    assert len(small.history.only or ()) == 1


def test_the_page_about_reliability_lists_every_invariant_and_every_planted_defect() -> None:
    """Its two tables are those of the code, in the same order."""
    rows = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]

    assert [row for row in rows if row in INVARIANTS] == list(INVARIANTS)
    assert list(TABLE) == [defect.title for defect in DEFECTS]
