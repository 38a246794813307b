"""How the tests type commands: in the same process, as a process of its own, and at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
COMMAND = [sys.executable, "-m", "backstop_cli"]
WAIT_S_MAX = 60.0

# What differs from run to run, and what stands in its place. So does how far columns stand apart.
_VARYING = (
    (r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d:\d\d", r"2026-01-02\g<1>03:04:05"),
    (r"\b20\d\d-\d\d-\d\d \d\d:\d\d\b", "2026-01-02 03:04"),
    (r"^\d\d:\d\d:\d\d\b", "03:04:05"),
    (r"\b1\d{16}\b", "10000000000000000"),
    (r"\btest-\d+\b", "test-1"),
    (r"_auto_op_\d+\b", "_auto_op_1234567890123456789"),
    (r"\b\d+s ago", "1s ago"),
    (r"\bin \d+s", "in 1s"),
    (r"\b\d+%", "7%"),
    (r"(?<=\S)  +", "  "),
)


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command came to.

    Attributes:
        code: Its exit code.
        out: Its output.
        err: What it said beside it.
    """

    code: int
    out: str
    err: str = ""


def normal(text: str) -> str:
    """A text in which all that differs from run to run is the same."""
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def is_golden(name: str, text: str) -> bool:
    """Whether a text is what is kept under a name; GOLDEN=write keeps it."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(normal(text))
    assert normal(text) == path.read_text()
    return True


def begin(environ: Mapping[str, str], *arguments: str, command: Sequence[str] = COMMAND) -> subprocess.Popen[str]:
    """Starts a command without a terminal."""
    return subprocess.Popen(
        [*command, *arguments],
        env={**os.environ, **environ},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Reads a command's output up to a line that holds a text."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} did not come: {read!r}")


def interrupt(process: subprocess.Popen[str]) -> Typed:
    """Presses Ctrl-C."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S_MAX)
    return Typed(process.returncode, out, err)


def at_a_terminal(environ: Mapping[str, str], *arguments: str, answer: str = "") -> Typed:
    """Types a command at a terminal of 80 columns, and an answer to the question that ends with `:`."""
    pid, terminal = pty.fork()
    if pid == 0:  # pragma: no cover the child becomes the command
        os.chdir(ROOT)
        os.execve(sys.executable, [*COMMAND, *arguments], {**os.environ, "TERM": "xterm", "COLUMNS": "80", **environ})  # noqa: S606 our own program
    seen, end_s, asked = b"", time.monotonic() + WAIT_S_MAX, False
    # At the end of its process a terminal can't be read any more, which Linux calls an error.
    with contextlib.suppress(OSError):
        while time.monotonic() < end_s and (read := os.read(terminal, 4096)):
            seen += read
            if answer and not asked and b"]: " in seen:
                asked = True
                os.write(terminal, answer.encode())
    os.close(terminal)
    _, ended = os.waitpid(pid, 0)
    return Typed(os.waitstatus_to_exitcode(ended), seen.decode())
