"""Makes a history that goes wrong as small as it gets while it still goes wrong in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.history import Deployment, History
from tests.simulation.run import Verdict, run


def shrink(verdict: Verdict) -> Verdict:
    """The smallest history that can be found by taking out one thing after another."""
    wanted = {finding.invariant for finding in verdict.findings}
    best = verdict
    repeated = run(replace(verdict.history, only=dict(verdict.taken)))
    if _breaks(repeated, wanted):
        best = repeated
    smaller = True
    while smaller:
        smaller = False
        for candidate in _candidates(best.history):
            tried = run(candidate)
            if _breaks(tried, wanted):
                # Only what still takes effect is worth trying to take out.
                best = replace(tried, history=replace(candidate, only=_taken(tried)))
                smaller = True
                break
    return best


def _taken(verdict: Verdict) -> dict[tuple[int, ...], str] | None:
    return dict(verdict.taken) if verdict.history.only is not None else None


def _breaks(verdict: Verdict, wanted: set[str]) -> bool:
    return any(finding.invariant in wanted for finding in verdict.findings)


def _candidates(history: History) -> Iterator[History]:
    """The same history with one thing less."""
    for number, step in enumerate(history.steps):
        if step is not None:
            yield replace(history, steps=(*history.steps[:number], None, *history.steps[number + 1 :]))
    for site in history.only or ():
        yield replace(history, only={one: fault for one, fault in (history.only or {}).items() if one != site})
    for field in ("function_skew_s", "pubsub_skew_s"):
        if getattr(history.faults, field):
            yield replace(history, faults=replace(history.faults, **{field: 0.0}))
    if history.deployment != Deployment():
        yield replace(history, deployment=Deployment())
    for database in history.plans:
        yield replace(history, plans={name: plans for name, plans in history.plans.items() if name != database})
