"""Many histories on all cores, and what they add up to."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from tests.simulation.catalogue import SCENARIOS
from tests.simulation.checker import Finding
from tests.simulation.defects import DEFECTS
from tests.simulation.exhaustive import pairs, singles
from tests.simulation.faults import COUNTED
from tests.simulation.generate import history
from tests.simulation.history import BEGIN, History
from tests.simulation.planting import Defect, planted
from tests.simulation.run import Verdict, run

CHUNK = 250
"""Histories between two reports; a few seconds of one core."""

BAD_MAX = 3
"""Histories that go wrong are kept until there are so many; one is enough to work on."""

CORES = 2

OUTCOMES = (
    "started",
    "cancel-requested",
    "completed",
    "cancelled",
    "completed-then-deleted",
    "completed-kept",
    "completed-despite-cancel",
    "failed",
    "gone",
    "delete-blocked",
    "gave-up",
    "nothing-to-cancel",
    "rejected",
    "dry-run",
)
"""Every one of them is told in a run that is long enough; a function that only ever says one of them is no good."""


@dataclass(slots=True)
class Total:
    """What some histories came to.

    Attributes:
        histories: How many.
        deliveries: To the function.
        calls: Of the function's.
        virtual: The time that passed in them.
        counts: How often each fault took effect.
        outcomes: How often each outcome was told.
        bad: How many went wrong.
        examples: Some of those.
    """

    histories: int = 0
    deliveries: int = 0
    calls: int = 0
    virtual: timedelta = timedelta(0)
    counts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    examples: list[History] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        """Counts one history."""
        record = verdict.record
        self.histories += 1
        self.deliveries += len(record.deliveries)
        self.calls += len(record.calls)
        self.virtual += (record.ended_at or BEGIN) - BEGIN
        self.counts.update(record.counts)
        self.outcomes.update(told.message.attributes["ce-type"].rpartition(".")[2] for told in record.told)
        if verdict.findings:
            self.bad += 1
            if len(self.examples) < BAD_MAX:
                self.examples.append(verdict.history)

    def missing(self) -> list[str]:
        """The faults that never took effect, and the outcomes that were never told."""
        faults = [name for name in COUNTED if not self.counts[name]]
        return faults + [name for name in OUTCOMES if not self.outcomes[name]]

    def merge(self, other: Total) -> None:
        """Counts what another one has counted."""
        self.histories += other.histories
        self.deliveries += other.deliveries
        self.calls += other.calls
        self.virtual += other.virtual
        self.counts.update(other.counts)
        self.outcomes.update(other.outcomes)
        self.bad += other.bad
        self.examples = (self.examples + other.examples)[:BAD_MAX]


def random_search(first_seed: int, histories: int, *, cores: int = CORES) -> Iterator[Total]:
    """Runs the histories of consecutive seeds; yields what each chunk of them came to, in any order."""
    chunks = [
        (seed, min(CHUNK, first_seed + histories - seed)) for seed in range(first_seed, first_seed + histories, CHUNK)
    ]
    yield from _on_cores(_random_chunk, chunks, cores)


def exhaustive_search(*, two: bool = False, cores: int = CORES) -> Iterator[Total]:
    """Tries every fault at every place of every scenario, or every two; yields what each scenario came to."""
    names = list(SCENARIOS)
    yield from _on_cores(_pairs_of if two else _singles_of, names, cores)


def _on_cores(work: Callable[..., Total], parts: Iterable[object], cores: int) -> Iterator[Total]:
    if cores == 1:
        yield from map(work, parts)
        return
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        yield from pool.imap_unordered(work, parts)


def _random_chunk(part: tuple[int, int]) -> Total:
    first_seed, histories = part
    total = Total()
    for seed in range(first_seed, first_seed + histories):
        total.add(run(history(seed)))
    return total


def _singles_of(name: str) -> Total:
    return _total(singles(SCENARIOS[name]))


def _pairs_of(name: str) -> Total:
    return _total(pairs(SCENARIOS[name]))


def _total(verdicts: Iterable[Verdict]) -> Total:
    total = Total()
    for verdict in verdicts:
        total.add(verdict)
    return total


def first_found(defect: Defect, histories_max: int) -> tuple[int, Sequence[Finding]]:
    """How many random histories it takes until one goes wrong with a defect, and how that one does; 0 if none does."""
    with planted(defect):
        for seed in range(histories_max):
            if wrong := run(history(seed)).findings:
                return seed + 1, wrong
    return 0, ()


def _first_found(number: int, histories_max: int) -> tuple[int, Sequence[Finding]]:
    return first_found(DEFECTS[number], histories_max)


def all_found(histories_max: int, cores: int = CORES) -> Iterator[tuple[str, int, Sequence[Finding]]]:
    """What each planted defect takes and breaks, in the order of the catalogue."""
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        # A defect holds functions, which no process can hand to another; its place in the catalogue will do.
        found = pool.imap(partial(_first_found, histories_max=histories_max), range(len(DEFECTS)))
        for defect, (histories, wrong) in zip(DEFECTS, found, strict=True):
            yield defect.title, histories, wrong
