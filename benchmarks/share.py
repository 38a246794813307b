"""Where the time of a follow-up goes: on the wire, in gRPC, or in what is ours.

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
        calls_ms: In its two calls, from the finished request to the answer: gRPC, protobuf's bytes, and the wire.
        wire_ms: The part of that in which gRPC waits for the emulators.
    """

    total_ms: float
    calls_ms: float
    wire_ms: float

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
    import grpc._channel  # noqa: PLC0415

    import main as function  # noqa: PLC0415 it reads its settings when it is imported
    from backstop.gcp import spanner, tasks  # noqa: PLC0415

    app = flask.Flask("share")
    calls_s, wire_s = [0.0], [0.0]

    def note_call(seconds: float) -> None:
        calls_s[0] += seconds

    def note_wire(seconds: float) -> None:
        wire_s[0] += seconds

    def deliver(path: str, body: str) -> tuple[float, float, float]:
        with app.test_request_context(f"/{path}", method="POST", data=body.encode()):
            calls_s[0] = wire_s[0] = 0.0
            began_s = time.perf_counter()
            _, status = cast("tuple[str, int]", function.on_message(flask.request))
            total_s = time.perf_counter() - began_s
            assert status == 204, status
            return total_s, calls_s[0], wire_s[0]

    first, *messages = json.loads(sys.stdin.read())
    deliver(*first)  # so that the channels are open
    waiting = grpc._channel._UnaryUnaryMultiCallable  # noqa: SLF001 the one place where all calls wait
    waiting._blocking = _timed_method(waiting._blocking, note_wire)  # type: ignore[method-assign, assignment]  # noqa: SLF001
    for adapter in (spanner, tasks):
        methods = adapter._service._methods  # noqa: SLF001
        methods.update({name: _timed(method, note_call) for name, method in methods.items()})
    totals = [deliver(path, body) for path, body in messages]
    total, calls, wire = (1000 * statistics.median(times) for times in zip(*totals[WARM:], strict=True))
    print()
    print(json.dumps({"total_ms": total, "calls_ms": calls, "wire_ms": wire}))


def _timed_method(method: Callable[..., object], note: Callable[[float], None]) -> Callable[..., object]:
    def call(self: object, *arguments: Any, **options: Any) -> object:  # noqa: ANN401 it hands on what it is given
        began_s = time.perf_counter()
        try:
            return method(self, *arguments, **options)
        finally:
            note(time.perf_counter() - began_s)

    return call


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
    print(
        f"a follow-up {found.total_ms:.2f} ms: wire {found.wire_ms:.2f}, gRPC {found.calls_ms - found.wire_ms:.2f},"
        f" ours {found.total_ms - found.calls_ms:.2f} ({found.own:.1%})"
    )


if __name__ == "__main__":
    main()
