"""Tries every fault at every place of a history, one at a time or two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.chance import FAULTS_AT
from tests.simulation.history import History
from tests.simulation.run import Verdict, run


def singles(history: History) -> Iterator[Verdict]:
    """The history as it is, and once for each fault at each of its places."""
    plain = run(replace(history, only={}))
    yield plain
    for site in plain.asked:
        for fault in FAULTS_AT[site[0]]:
            yield run(replace(history, only={site: fault}))


def pairs(history: History) -> Iterator[Verdict]:
    """For each single fault, once for each fault at each place that comes after it."""
    for verdict in singles(history):
        if not verdict.taken:
            continue
        ((first, fault),) = verdict.taken.items()
        for site in verdict.asked[verdict.asked.index(first) + 1 :]:
            for second in FAULTS_AT[site[0]]:
                yield run(replace(history, only={first: fault, site: second}))
