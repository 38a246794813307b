"""`python -m benchmarks`: measures everything and writes `docs/performance.md` with its two plots."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks import cold_start, command_line, fleet, imports, lifecycles, memory, pacing, throughput
from benchmarks.page import All, bars, machine, page
from benchmarks.plots import fleet_plot, pacing_plot
from benchmarks.prose import FLEET_PLOT, PACING_PLOT
from demo.stack import ROOT

T = TypeVar("T")

OTHER_RATES = (1.0, 1.5, 2.0)

QUICK = """
**This page is from a reduced run (`python -m benchmarks --quick`), on a machine that was busy with other things. The
figures in virtual time (pacing, fleets) are whole; all others only show that the benchmarks work.**
"""


def measure(*, quick: bool) -> All:
    """Measures everything, one thing at a time."""
    lives_counts = (5, 50) if quick else lifecycles.COUNTS
    table = machine()
    return All(
        machine=table,
        note=QUICK if quick else "",
        polls=_told("pacing", lambda: pacing.measure(pacing.SEEDS)),
        floors_s={column.title: pacing.floor_s(column) for column in pacing.COLUMNS},
        nights=_told("fleets", lambda: [fleet.measure(size) for size in fleet.SIZES]),
        others=_told("fleets told or paced otherwise", _other_nights),
        cold=_told("cold starts", lambda: cold_start.measure(5 if quick else 25)),
        costs=_told("imports", lambda: imports.measure(3 if quick else imports.RUNS)),
        rates=_told("throughput", lambda: throughput.measure(*((2, 100) if quick else ()))),
        weight=_told("memory", lambda: memory.measure(soak=3000 if quick else memory.SOAK)),
        lives=_told("lifecycles", lambda: lifecycles.measure(lives_counts)),
        enter=_told("the command line", command_line.measure),
    )


def _other_nights() -> dict[str, fleet.Figures]:
    """The largest fleet, told at once and within minutes, at several rates of the queue."""
    return {
        f"{told}, {rate:g}": fleet.measure(fleet.SIZES[-1], rate, within_s)
        for told, within_s in (("at once", 0.0), ("within ten minutes", fleet.SPREAD_S))
        for rate in OTHER_RATES
    }


def _told(title: str, work: Callable[[], T]) -> T:
    """Says how long something took."""
    began_s = time.monotonic()
    result = work()
    print(f"{title}: {time.monotonic() - began_s:.0f} s", flush=True)
    return result


def main() -> int:
    """Writes the page.

    Returns:
        0, whether the bars are met or not: a figure is not a test.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small counts, to see that everything works")
    found = measure(quick=parser.parse_args().quick)
    docs = ROOT / "docs"
    (docs / "performance.md").write_text(page(found), encoding="utf-8")
    (docs / PACING_PLOT).write_text(pacing_plot(found), encoding="utf-8")
    (docs / FLEET_PLOT).write_text(fleet_plot(found), encoding="utf-8")
    for title, limit, measured, met in bars(found):
        print(f"{'met   ' if met else 'MISSED'} {title}: {measured} (at most {limit})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
