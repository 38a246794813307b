"""What the figures are taken on: the emulators in processes of their own, and functions under functions-framework."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.stack import ROOT
from spanner_backup_emulator.serving import HOST, free_port

PROJECT = "projects/benchmark"
FOLLOW_UPS = f"{PROJECT}/topics/backstop-follow-ups"
RESULTS = f"{PROJECT}/topics/backstop-results"
QUEUE = f"{PROJECT}/locations/europe-west1/queues/backstop"

BACKUP_S = 86_400.0
"""How long an emulated backup takes: longer than any measurement, so that it runs all the while."""

START_S_MAX = 60.0
"""How long a process may take to come up on a busy machine."""

ANSWER_S_MAX = 60.0

FUNCTIONS = Path(__file__).parent / "functions"
BACKSTOP = ROOT / "main.py"
EAGER, BARE = FUNCTIONS / "eager.py", FUNCTIONS / "bare.py"
PUBLISHES, ASKS = FUNCTIONS / "publishes.py", FUNCTIONS / "asks.py"


class Emulators:
    """The three emulators while the context lasts, each in its own process so that none shares the function's time.

    Attributes:
        environ: What a function needs to be told of them, and of the rest of its deployment.
        spanner: Where the emulated Spanner listens.
    """

    def __init__(self) -> None:
        self.environ: dict[str, str] = {}
        self.spanner = ""
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Starts them."""
        with contextlib.ExitStack() as stack:
            self.environ = {
                "BACKSTOP_FOLLOW_UPS_TOPIC": FOLLOW_UPS,
                "BACKSTOP_RESULTS_TOPIC": RESULTS,
                "BACKSTOP_TASKS_QUEUE": QUEUE,
                "SPANNER_EMULATOR_HOST": _emulator(stack, "spanner", "--backup-seconds", str(BACKUP_S)),
                "PUBSUB_EMULATOR_HOST": _emulator(stack, "pubsub", "--topic", FOLLOW_UPS, "--topic", RESULTS),
                "CLOUD_TASKS_EMULATOR_HOST": _emulator(stack, "tasks", "--queue", QUEUE),
            }
            self.spanner = self.environ["SPANNER_EMULATOR_HOST"]
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends them."""
        self._closing.close()


class Served:
    """A function in a process of its own, served the way it is in production.

    Attributes:
        port: Where it listens.
        began_s: When its process was started, by the monotonic clock.
    """

    def __init__(self, source: Path, environ: Mapping[str, str], threads: int = 8) -> None:
        """Starts it and waits for nothing.

        Args:
            source: Its file, whose `on_message` is served.
            environ: Its settings.
            threads: How many deliveries it works on at once.
        """
        self.port = free_port()
        command = [sys.executable, "-m", "functions_framework", "--target", "on_message", "--host", HOST]
        command += ["--source", str(source), "--port", str(self.port)]
        environ = {**os.environ, **environ, "THREADS": str(threads), "PYTHONPATH": str(ROOT)}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, as an installed function is
        self.began_s = time.monotonic()
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, start_new_session=True)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def __enter__(self) -> Self:
        """It is already running."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        _kill(self._process)

    def first_answer_s(self, path: str, body: bytes) -> float:
        """Delivers a message as soon as the function listens.

        Returns:
            The time from the start of the process to the answer.

        Raises:
            RuntimeError: It refused the message, or never came up.
        """
        while time.monotonic() < self.began_s + START_S_MAX and self._process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((HOST, self.port)):
                self.deliver(path, body)
                return time.monotonic() - self.began_s
            time.sleep(0.002)
        raise RuntimeError("the function did not come up")

    def deliver(self, path: str, body: bytes, connection: HTTPConnection | None = None) -> None:
        """Delivers one message and waits for the answer.

        Raises:
            RuntimeError: The answer was not a 2xx.
        """
        link = connection or self.connection()
        try:
            link.request("POST", f"/{path}", body, {"Content-Type": "application/json"})
            answer = link.getresponse()
            answer.read()
        finally:
            if connection is None:
                link.close()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"answered {answer.status}")

    def connection(self) -> HTTPConnection:
        """A connection that several deliveries may use in turn."""
        return HTTPConnection(HOST, self.port, timeout=ANSWER_S_MAX)

    def wait(self) -> None:
        """Waits until it serves."""
        while time.monotonic() < self.began_s + START_S_MAX:
            connection = self.connection()
            with contextlib.suppress(OSError, HTTPException):
                connection.request("GET", "/robots.txt")
                connection.getresponse().read()
                connection.close()
                return
            time.sleep(0.02)
        raise RuntimeError("the function did not come up")


def _emulator(stack: contextlib.ExitStack, name: str, *arguments: str) -> str:
    """Starts one and returns its address, which it prints in a line that a shell could run."""
    command = [sys.executable, "-m", f"spanner_backup_emulator.{name}", "--port", "0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    stack.callback(_kill, process)
    assert process.stdout is not None
    impatience = threading.Timer(START_S_MAX, process.kill)
    impatience.start()
    try:
        for line in process.stdout:
            if line.startswith("export "):
                return line.strip().partition("=")[2]
    finally:
        impatience.cancel()
    raise RuntimeError(f"the emulator of {name} did not come up")


def _kill(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
