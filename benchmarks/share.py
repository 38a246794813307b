"""Where the time of a follow-up goes: to its calls, or to what is ours.

`python -m benchmarks.share` prints it. The function runs in a process of its own, as the emulators do, and is called
without a server in between: the server is the same for every function.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from benchmarks import deliveries
from benchmarks.deployment import Emulators
from emulators.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1500
WARM = 100
"""Deliveries that come before those that count."""

OWN_SHARE_MAX = 0.10
"""The bar."""


@dataclass(frozen=True, slots=True)
class Share:
    """One follow-up on an operation that runs, medians.

    Attributes:
        total_ms: All of it.
        calls_ms: In its two calls, from the finished request to the answer: gRPC, the wire, and the emulators.
    """

    total_ms: float
    calls_ms: float

    @property
    def own(self) -> float:
        """What part of the whole is ours: everything but the calls."""
        return 1 - self.calls_ms / self.total_ms


def measure(count: int = COUNT) -> Share:
    """Has another process do it."""
    with Emulators() as emulators:
        operation = deliveries.running_operation(emulators.spanner)
        messages = [deliveries.look(10**7 + number, operation) for number in range(count + WARM)]
        text = json.dumps([(path, body.decode()) for path, body in messages])
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.share", "--inside"],
            input=text,
            env={**os.environ, **emulators.environ},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Share(**json.loads(done.stdout.splitlines()[-1]))


def _timed(method: Callable[..., object], note: Callable[[float], None]) -> Callable[..., object]:
    def call(*arguments: Any, **options: Any) -> object:  # noqa: ANN401 it hands on whatever it is given
        began_s = time.perf_counter()
        try:
            return method(*arguments, **options)
        finally:
            note(time.perf_counter() - began_s)

    return call


def _inside() -> None:
    """Takes the messages from the standard input, and prints the times."""
    import flask  # noqa: PLC0415 not needed by whoever only starts this

    import main as function  # noqa: PLC0415 it reads its settings when it is imported
    from backstop.gcp import spanner, tasks  # noqa: PLC0415

    app, calls_s = flask.Flask("share"), list[float]()

    def deliver(path: str, body: str) -> tuple[float, float]:
        with app.test_request_context(f"/{path}", method="POST", data=body.encode()):
            calls_s.clear()
            began_s = time.perf_counter()
            _, status = cast("tuple[str, int]", function.on_message(flask.request))
            total_s = time.perf_counter() - began_s
            assert status == 204, status
            return total_s, sum(calls_s)

    first, *messages = json.loads(sys.stdin.read())
    deliver(*first)  # so that the channels are open
    for adapter in (spanner, tasks):
        methods = adapter._service._methods  # noqa: SLF001
        methods.update({name: _timed(method, calls_s.append) for name, method in methods.items()})
    totals = [deliver(path, body) for path, body in messages]
    total, calls = (1000 * statistics.median(times) for times in zip(*totals[WARM:], strict=True))
    print()
    print(json.dumps({"total_ms": total, "calls_ms": calls}))


def main() -> None:
    """Prints the shares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.share", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _inside()
        return
    found = measure(options.count)
    ours_ms = found.total_ms - found.calls_ms
    print(f"a follow-up {found.total_ms:.2f} ms: its calls {found.calls_ms:.2f}, ours {ours_ms:.2f} ({found.own:.1%})")


if __name__ == "__main__":
    main()
