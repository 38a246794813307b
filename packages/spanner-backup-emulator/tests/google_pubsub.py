"""Google's own Pub/Sub emulator, where it is installed: a Java program that comes with the Google Cloud CLI."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from spanner_backup_emulator.serving import HOST, free_port

START_S_MAX = 120.0
"""How long it may take to answer for the first time; a second is usual, on a busy machine many are."""

_JARS = "cloud-pubsub-emulator-*-all.jar"

_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Little memory, and no work done for a speed that a short life never repays."""


def installed() -> Path | None:
    """The emulator's program, beside the `gcloud` or the launcher on `PATH`; None if there is none, or no Java."""
    if shutil.which("java") is None:
        return None
    for program, place in (("gcloud", "../platform/pubsub-emulator/lib"), ("cloud-pubsub-emulator", "../lib")):
        found = shutil.which(program)
        if found is None:
            continue
        jars = sorted((Path(found).resolve().parent / place).glob(_JARS))
        if jars:
            return jars[-1].resolve()
    return None


class GooglePubSub:
    """It runs while the context lasts.

    Attributes:
        address: Where it listens, gRPC and REST alike: the value for PUBSUB_EMULATOR_HOST.
    """

    def __init__(self, jar: Path, jvm: Sequence[str] = _JVM) -> None:
        """Takes the program, as `installed` finds it, and the options of Java."""
        self._jar, self._jvm = jar, jvm
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Starts it and waits until it answers.

        Raises:
            RuntimeError: It did not come up; what it printed is in the text.
        """
        with contextlib.ExitStack() as stack:
            printed = stack.enter_context(tempfile.TemporaryFile())
            port = free_port()
            self.address = f"{HOST}:{port}"
            command = ["java", *self._jvm, "-jar", str(self._jar), f"--host={HOST}", f"--port={port}"]
            process = subprocess.Popen(command, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True)
            stack.callback(_kill, process)
            end_s = time.monotonic() + START_S_MAX
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > end_s:
                    printed.seek(0)
                    raise RuntimeError(f"Google's Pub/Sub emulator did not start: {printed.read().decode()}")
                time.sleep(0.05)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it; it keeps nothing that could be lost."""
        self._closing.close()


def _answers(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
