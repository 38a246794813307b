"""Runs `make test` again and again beside two busy loops, and counts: a test that depends on the machine's speed fails.

python -m tools.soak_tests 20
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

BUSY_LOOPS = 2
"""As many as a small machine has cores, so that the tests get half of it."""

RUN_S_MAX, END_S_MAX = 900, 60
"""Several times what a run takes beside the loops, and what its end takes: what takes longer is stuck."""

MAKE_TEST = (shutil.which("make") or "make", "test")


def _spin() -> None:
    while os.getppid() == multiprocessing.parent_process().pid:  # type: ignore[union-attr]  # it has one
        sum(range(100_000))


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    loops = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(BUSY_LOOPS)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()


def _run(log: Path) -> bool:
    """Whether one run passes; what it printed is in the log."""
    with log.open("wb") as printed:
        process = subprocess.Popen(MAKE_TEST, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return process.wait(RUN_S_MAX) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            for sent in (signal.SIGINT, signal.SIGKILL):  # The first lets the tests end what they have started.
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, sent)
                    process.wait(END_S_MAX)


def main(runs: int) -> int:
    """Runs the tests so many times; the exit code is 0 if all runs passed."""
    directory = Path("build/soak")
    directory.mkdir(parents=True, exist_ok=True)
    passed = 0
    with _busy():
        for number in range(1, runs + 1):
            log, begun_s = directory / f"{number}.log", time.monotonic()
            good = _run(log)
            passed += good
            counts = [line for line in log.read_text().splitlines() if " passed" in line]
            print(
                f"{number}: {'passed' if good else 'FAILED'} in {time.monotonic() - begun_s:.0f} s {counts[-1:]}",
                flush=True,
            )
    print(f"{passed} of {runs} runs passed beside {BUSY_LOOPS} busy loops")
    return 0 if passed == runs else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
