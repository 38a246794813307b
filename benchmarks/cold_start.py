"""Cold starts: from the start of the process to the first answer, functions-framework in all, in turns.

`python -m benchmarks.cold_start --runs 15` prints the table.
"""

from __future__ import annotations

import argparse
import resource
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import deliveries
from benchmarks.deployment import BACKSTOP, BARE, EAGER, Emulators, Served
from benchmarks.machine import median_ratio

RUNS = 15
BARE_RATIO_MAX, EAGER_RATIO_MAX = 2.6, 0.8
"""The bars: at most so many times the bare function, and the one with the clients imported whole."""

REFERENCE, ALTERNATIVE = "a function that does nothing", "a follow-up, clients imported at the top"


@dataclass(frozen=True, slots=True)
class Contender:
    """One function with one kind of delivery.

    Attributes:
        title: What it is.
        source: The function.
        delivery: Makes the first message, from a number that was not used before.
    """

    title: str
    source: Path
    delivery: Callable[[int], tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class ColdStart:
    """How long one contender took.

    Attributes:
        title: The contender's.
        wall_s: From the start of the process to the answer, of each run.
        cpu_s: The processor's time in the same span and until the process was ended, of each run.
    """

    title: str
    wall_s: list[float]
    cpu_s: list[float]

    @property
    def median_s(self) -> float:
        """In the middle."""
        return statistics.median(self.wall_s)


def measure(runs: int = RUNS) -> dict[str, ColdStart]:
    """Starts every contender once in each run."""
    with Emulators() as emulators:
        operation = deliveries.running_operation(emulators.spanner)
        contenders = (
            Contender(REFERENCE, BARE, deliveries.rejected),
            Contender("Backstop, a message that it rejects", BACKSTOP, deliveries.rejected),
            Contender("Backstop, a follow-up", BACKSTOP, lambda number: deliveries.poll(number, operation)),
            Contender("Backstop, a start", BACKSTOP, deliveries.start),
            Contender(ALTERNATIVE, EAGER, lambda number: deliveries.poll(number, operation)),
        )
        found = {contender.title: ColdStart(contender.title, [], []) for contender in contenders}
        for run in range(-1, runs):
            for number, contender in enumerate(contenders):
                path, body = contender.delivery(1_000_000 + run * len(contenders) + number)
                cpu_s = _cpu_s()
                with Served(contender.source, emulators.environ) as served:
                    wall_s = served.first_answer_s(path, body)
                if run >= 0:  # the first run only fills the system's cache of files
                    found[contender.title].wall_s.append(wall_s)
                    found[contender.title].cpu_s.append(_cpu_s() - cpu_s)
    return found


def rows(found: dict[str, ColdStart]) -> list[tuple[str, str, str, str, str]]:
    """The table's rows: title, median, quickest and slowest, ratio to the bare function, ratio to the eager one."""
    bare, eager = found[REFERENCE], found[ALTERNATIVE]
    return [
        (
            one.title,
            f"{one.median_s * 1000:.0f} ms",
            f"{min(one.wall_s) * 1000:.0f} to {max(one.wall_s) * 1000:.0f} ms",
            f"{median_ratio(one.wall_s, bare.wall_s):.2f}",
            f"{median_ratio(one.wall_s, eager.wall_s):.2f}",
        )
        for one in found.values()
    ]


def _cpu_s() -> float:
    """The processor's time of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    found = measure(options.runs)
    for row in rows(found):
        cpu_s = statistics.median(found[row[0]].cpu_s)
        print(f"{row[0]:42} {row[1]:>8} ({row[2]})  {row[3]} of bare  {row[4]} of eager  cpu {cpu_s * 1000:.0f} ms")


if __name__ == "__main__":
    main()
