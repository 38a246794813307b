"""What an instance weighs after its first thousand deliveries, and whether that grows over fifty thousand.

`python -m benchmarks.memory --soak 50000` prints the table. Memory is the proportional set size of the server and its
worker, so that pages they share count once, as they do for a container.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from backstop.names import OperationName
from benchmarks import deliveries
from benchmarks.deployment import BACKSTOP, BARE, EAGER, Emulators, Served
from benchmarks.load import deliver
from benchmarks.machine import memory_mb

FIRST = 1000
SOAK = 50_000
STARTS_EVERY = 50
"""Every so many deliveries is a start; a night has some ten polls for each, and a longer list of operations in the
emulator would only slow the emulator down."""

EAGER_RATIO_MAX, GROWTH_MB_MAX = 0.85, 5.0
"""The bars."""

CONCURRENCY = 4

TITLES = {"a function that does nothing": BARE, "Backstop": BACKSTOP, "Backstop, clients imported at the top": EAGER}


@dataclass(frozen=True, slots=True)
class Memory:
    """What was weighed.

    Attributes:
        first_mb: Each function after its first deliveries, by title.
        soak: Backstop on its way: deliveries and megabytes.
    """

    first_mb: dict[str, float]
    soak: list[tuple[int, float]]

    @property
    def ratio(self) -> float:
        """Backstop's to that of the same function with the clients imported at the top."""
        _, backstop, eager = TITLES
        return self.first_mb[backstop] / self.first_mb[eager]

    @property
    def growth_mb(self) -> float:
        """From the first weighing of the soak to the last."""
        return self.soak[-1][1] - self.soak[0][1]


def measure(first: int = FIRST, soak: int = SOAK) -> Memory:
    """Weighs all of them after the same deliveries, and Backstop again and again after that."""
    first_mb, path = {}, []
    with Emulators() as emulators:
        operation = deliveries.running_operation(emulators.spanner)
        for title, source in TITLES.items():
            with Served(source, emulators.environ) as served:
                served.wait()
                deliver(served, lambda number: mixed(number, operation), first, CONCURRENCY)
                first_mb[title] = memory_mb(served.pid)
                if source is not BACKSTOP:
                    continue
                path.append((first, first_mb[title]))
                while path[-1][0] < soak:
                    count = min(max(soak // 10, 1), soak - path[-1][0])
                    deliver(served, lambda number: mixed(number, operation), count, CONCURRENCY)
                    path.append((path[-1][0] + count, memory_mb(served.pid)))
    return Memory(first_mb, path)


def mixed(number: int, operation: OperationName) -> tuple[str, bytes]:
    """A message of some kind: polls mostly, now and then a start, and a few that are rejected."""
    if number % STARTS_EVERY == 0:
        return deliveries.start(number)
    return deliveries.rejected(number) if number % 5 == 0 else deliveries.poll(number, operation)


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--soak", type=int, default=SOAK)
    found = measure(soak=parser.parse_args().soak)
    for title, weight_mb in found.first_mb.items():
        print(f"{title:42} {weight_mb:6.1f} MB after {FIRST} deliveries")
    print(f"ratio {found.ratio:.2f}; growth {found.growth_mb:+.1f} MB: {found.soak}")


if __name__ == "__main__":
    main()
