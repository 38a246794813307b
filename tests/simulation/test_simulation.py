"""The simulation's own tests, and as much of its search as fits a run of all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backstop import find, handlers, starts
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.checker import INVARIANTS
from tests.simulation.defects import DEFECTS, Defect, planted
from tests.simulation.exhaustive import singles
from tests.simulation.faults import COUNTED
from tests.simulation.generate import history
from tests.simulation.run import run, trace
from tests.simulation.search import Total, first_found
from tests.simulation.shrink import shrink

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

HISTORIES = 1500
"""A few seconds; `make simulate` runs 20,000."""

QUICK_MAX = 200
"""Histories in which the defects that are tried here are found; `make simulate` tries all of them."""

QUICK = (
    "a chain's names leave the command's message id out",
    "a look is put back under its old step",
    "a delivery that must be retried is answered 2xx",
    "a follow-up that can't be scheduled is forgotten",
    "giving up forgets to report",
    "a schedule's backup is deleted like any other",
    "a dry run of a start is none",
    "a start doesn't look for what it has started before",
    "a limit is held against the time of the look, and not of the end",
    "a follow-up is believed wherever it comes from",
    "backups are deleted where that is switched off",
    "a cancel is told and never sent",
    "a sweep deletes whatever has the name now",
    "whatever has the name now is deleted",
)


def test_random_histories_go_well_and_every_fault_takes_effect_in_them() -> None:
    """No invariant breaks, and no fault is only claimed."""
    total = Total()

    for seed in range(HISTORIES):
        total.add(run(history(seed)))

    assert total.bad == 0, f"python -m tests.simulation --trace --seed {total.examples[0].seed}"
    assert [name for name in COUNTED if not total.counts[name]] == []


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_goes_well_whatever_single_fault_happens_in_it(name: str) -> None:
    """Every fault is tried at every place of the scenario, one at a time."""
    verdicts = list(singles(SCENARIOS[name]))

    assert [(verdict.taken, verdict.findings) for verdict in verdicts if verdict.findings] == []
    assert all(verdict.taken for verdict in verdicts[1:])
    assert len(verdicts) > len(verdicts[0].asked)


@pytest.mark.parametrize("title", QUICK)
def test_a_planted_defect_is_found(title: str) -> None:
    """The search can fail: with a mistake in the function it does."""
    (defect,) = (defect for defect in DEFECTS if defect.title == title)

    assert first_found(defect, QUICK_MAX) is not None


def test_a_defect_that_fits_no_longer_is_an_error() -> None:
    """A defect whose text is gone from the function would otherwise be found by nobody, in silence."""
    stale = Defect("no such text", (("backstop.find:ran", "no such text", ""),))

    with pytest.raises(ValueError, match="0 times"), planted(stale):
        pass


def test_a_defect_is_taken_out_again() -> None:
    """What runs after a planted defect runs on the function as it is."""
    before = find.ran, handlers.is_scheduled, vars(starts)["is_scheduled"]
    for defect in DEFECTS:
        with planted(defect):
            pass

    assert (find.ran, handlers.is_scheduled, vars(starts)["is_scheduled"]) == before


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
    seed = (first_found(defect, QUICK_MAX) or 0) - 1

    with planted(defect):
        found = run(history(seed))
        small = shrink(found)

    assert small.findings
    assert len(found.taken) > 1
    assert sum(step is not None for step in small.history.steps) <= 2
    assert len(small.history.only or ()) == 1


def test_the_page_about_reliability_lists_every_invariant_and_every_planted_defect() -> None:
    """Its two tables are those of the code, in the same order."""
    rows = [line.split(" | ")[0].removeprefix("| ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]

    assert [row for row in rows if row in INVARIANTS] == list(INVARIANTS)
    defects = rows[rows.index("planted defect") + 1 :]
    assert defects[: len(DEFECTS)] == [defect.title for defect in DEFECTS]
