"""How many deliveries one instance answers in a second, on the wire, beside bare functions that make one call.

`python -m benchmarks.throughput` prints the table. All functions are up at once and get their deliveries in turns, so
that whatever else the machine does slows all of them down.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import deliveries
from benchmarks.deployment import ASKS, BACKSTOP, BARE, PUBLISHES, Emulators, Served
from benchmarks.load import Load, deliver
from benchmarks.machine import median_ratio, quantile

ROUNDS = 10
DELIVERIES = 200
"""In a round, for each function, and once one after the other as well as several at a time."""

CONCURRENCY = 8

NOTHING, PUBLISH, ASK = "bare: does nothing", "bare: publishes one message", "bare: makes one Spanner call"
REJECTED, POLL, START = "Backstop: rejects a message", "Backstop: a follow-up", "Backstop: a start"


@dataclass(frozen=True, slots=True)
class Throughput:
    """How one function did, a value for each round.

    Attributes:
        alone: One delivery after the other.
        crowded: Several at a time.
    """

    alone: list[Load]
    crowded: list[Load]

    @property
    def rates(self) -> list[float]:
        """Deliveries in a second, several at a time."""
        return [load.per_s for load in self.crowded]

    @property
    def alone_ms(self) -> float:
        """One delivery, in the middle, with nothing else going on."""
        return statistics.median(load.p50_ms for load in self.alone)

    def crowded_ms(self, part: float) -> float:
        """One delivery among others: this part of all of them was answered sooner."""
        return 1000 * quantile([latency_s for load in self.crowded for latency_s in load.latencies_s], part)


def measure(rounds: int = ROUNDS, count: int = DELIVERIES) -> dict[str, Throughput]:
    """Runs all of them, in turns."""
    found: dict[str, Throughput] = {}
    with Emulators() as emulators, contextlib.ExitStack() as closing:
        operation = deliveries.running_operation(emulators.spanner)

        def poll(number: int) -> tuple[str, bytes]:
            return deliveries.poll(number, operation)

        subjects: dict[str, tuple[Path, Callable[[int], tuple[str, bytes]]]] = {
            NOTHING: (BARE, poll),
            PUBLISH: (PUBLISHES, poll),
            ASK: (ASKS, poll),
            REJECTED: (BACKSTOP, deliveries.rejected),
            POLL: (BACKSTOP, poll),
            START: (BACKSTOP, deliveries.start),
        }
        functions: dict[Path, Served] = {}
        for title, (source, delivery) in subjects.items():
            if source not in functions:
                functions[source] = closing.enter_context(Served(source, emulators.environ, threads=CONCURRENCY))
                functions[source].wait()
            found[title] = Throughput([], [])
            deliver(functions[source], delivery, 20, CONCURRENCY)  # so that everything is imported and connected
        for _ in range(rounds):
            for title, (source, delivery) in subjects.items():
                # A start takes longer the more operations the emulator has in its list, so it gets fewer.
                fewer = count // 4 if title == START else count
                found[title].alone.append(deliver(functions[source], delivery, fewer))
                found[title].crowded.append(deliver(functions[source], delivery, fewer, CONCURRENCY))
    return found


def rows(found: dict[str, Throughput]) -> list[tuple[str, ...]]:
    """The table's rows."""
    publish, ask = found[PUBLISH].rates, found[ASK].rates
    return [
        (
            title,
            f"{statistics.median(one.rates):.0f}",
            f"{median_ratio(one.rates, publish):.2f}",
            f"{median_ratio(one.rates, ask):.2f}",
            f"{one.alone_ms:.1f} ms",
            f"{one.crowded_ms(0.5):.1f} ms",
            f"{one.crowded_ms(0.99):.1f} ms",
        )
        for title, one in found.items()
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--count", type=int, default=DELIVERIES)
    options = parser.parse_args()
    print("function                       per s  of publish  of call  alone  p50 and p99 of 8 at a time")
    for row in rows(measure(options.rounds, options.count)):
        print(f"{row[0]:30}" + "".join(f"{cell:>9}" for cell in row[1:]))


if __name__ == "__main__":
    main()
