"""Searches for a history in which Backstop does something wrong: `python -m tests.simulation --help`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from datetime import timedelta
from pprint import pformat

from tests.simulation.generate import history
from tests.simulation.history import History
from tests.simulation.run import run, trace
from tests.simulation.search import CORES, Total, all_found, exhaustive_search, random_search
from tests.simulation.shrink import shrink

YEAR = timedelta(days=365.25)
REPORT_EVERY_S = 60.0
ALL_FAULTS_FROM = 20_000
"""So many random histories have every fault and every outcome among them, whatever their seeds."""

DEFECT_HISTORIES_MAX = 20_000
"""As many random histories as each run of CI has, and has them again."""


def main() -> int:
    """Does what the arguments say; returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=0, help="how many random histories, from --seed on")
    parser.add_argument("--seed", type=lambda text: int(text, 0), default=0, help="the first seed; 0x… may be a commit")
    parser.add_argument("--exhaustive", action="store_true", help="every single fault in every scenario")
    parser.add_argument("--pairs", action="store_true", help="every two faults in every scenario: 780,000 histories")
    parser.add_argument("--soak", action="store_true", help="report once a minute while it runs")
    parser.add_argument("--defects", action="store_true", help="how many histories each planted defect takes")
    parser.add_argument("--trace", action="store_true", help="tell the one history of --seed, and do nothing else")
    parser.add_argument("--cores", type=int, default=CORES)
    options = parser.parse_args()
    if options.trace:
        return _tell(history(options.seed))
    if options.defects:
        return _defects(options.cores)
    total = Total()
    began_s = time.monotonic()
    if options.exhaustive:
        _collect(total, exhaustive_search(cores=options.cores), options.soak)
    if options.pairs:
        _collect(total, exhaustive_search(two=True, cores=options.cores), options.soak)
    _collect(total, random_search(options.seed, options.histories, cores=options.cores), options.soak)
    _print(total, time.monotonic() - began_s)
    for example in total.examples:
        _explain(example)
    missing = total.missing() if options.histories >= ALL_FAULTS_FROM else []
    if missing:
        print(f"these never happened: {', '.join(missing)}")
    return 1 if total.bad or missing else 0


def _collect(total: Total, parts: Iterable[Total], soak: bool) -> None:  # noqa: FBT001 it is what the command line says
    reported_s = time.monotonic()
    for part in parts:
        total.merge(part)
        if part.bad:
            print(f"{part.bad} wrong: seeds {', '.join(str(one.seed) for one in part.examples)}", flush=True)
        if soak and time.monotonic() - reported_s > REPORT_EVERY_S:
            reported_s = time.monotonic()
            print(f"{total.histories:,} histories, {total.bad} wrong", flush=True)


def _print(total: Total, took_s: float) -> None:
    rate = total.histories / max(took_s, 1e-9) * 60
    print(f"{total.histories:,} histories, {total.bad} wrong; {took_s:.0f} s, {rate:,.0f} a minute")
    print(f"{total.virtual / YEAR:,.1f} virtual years, {total.deliveries:,} deliveries, {total.calls:,} calls")
    for title, counts in (("faults that took effect", total.counts), ("outcomes told", total.outcomes)):
        print(f"{title}:")
        for name, count in sorted(counts.items()):
            print(f"  {name:<32} {count:>14,}")


def _explain(example: History) -> None:
    """Prints the seed, what is wrong, and the shrunk history."""
    small = shrink(run(example))
    print(f"\nseed {example.seed}:")
    for finding in small.findings:
        print(f"  {finding.invariant}: {finding.text}")
    print(pformat(small.history, width=120))
    print(trace(small.record))


def _tell(one: History) -> int:
    verdict = run(one)
    print(pformat(one, width=120))
    print(trace(verdict.record))
    for finding in verdict.findings:
        print(f"{finding.invariant}: {finding.text}")
    return 1 if verdict.findings else 0


def _defects(cores: int) -> int:
    """Prints the table of the planted defects that docs/reliability.md has."""
    print("| planted defect | histories until found | breaks |\n|---|---:|---|")
    missed = 0
    for title, histories, wrong in all_found(DEFECT_HISTORIES_MAX, cores):
        missed += not wrong
        broken = sorted({finding.invariant.partition(" ")[0] for finding in wrong})
        print(f"| {title} | {f'{histories:,}' if wrong else 'not found'} | {', '.join(broken)} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
