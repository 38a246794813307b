"""Deliveries, many of them: one after the other or several at a time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.deployment import Served
from benchmarks.machine import quantile

Delivery = Callable[[int], tuple[str, bytes]]

_numbers = itertools.count(1)
"""Every message of a benchmark has its own number, so that none is taken for the doubled delivery of another."""


@dataclass(frozen=True, slots=True)
class Load:
    """How a number of deliveries went.

    Attributes:
        wall_s: All of them together.
        latencies_s: Each of them.
    """

    wall_s: float
    latencies_s: list[float]

    @property
    def per_s(self) -> float:
        """Deliveries in a second."""
        return len(self.latencies_s) / self.wall_s

    @property
    def p50_ms(self) -> float:
        """In the middle."""
        return quantile(self.latencies_s, 0.5) * 1000

    @property
    def p99_ms(self) -> float:
        """One in a hundred takes longer."""
        return quantile(self.latencies_s, 0.99) * 1000


def deliver(served: Served, delivery: Delivery, count: int, concurrency: int = 1) -> Load:
    """Delivers so many messages, so many at a time; each sender keeps its connection.

    Raises:
        RuntimeError: The function refused one.
    """
    latencies_s: list[float] = []
    failures: list[Exception] = []
    left = iter(range(count))

    def send() -> None:
        connection = served.connection()
        try:
            for _ in left:
                path, body = delivery(next(_numbers))
                began_s = time.perf_counter()
                served.deliver(path, body, connection)
                latencies_s.append(time.perf_counter() - began_s)
        except Exception as error:  # noqa: BLE001 whatever it is, it ends the benchmark, in the thread that waits
            failures.append(error)
        finally:
            connection.close()

    senders = [threading.Thread(target=send) for _ in range(concurrency)]
    began_s = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    if failures:
        raise RuntimeError("a delivery failed") from failures[0]
    return Load(time.perf_counter() - began_s, latencies_s)
