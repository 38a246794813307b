"""What the three commands share: where they listen, and that the environment can say so."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

WAIT_S_MAX = 20.0
ELSEWHERE = "127.0.0.2"
"""Loopback too, and not what the commands listen on by themselves."""


@pytest.mark.parametrize(
    ("command", "service"),
    [
        ("spanner-backup-emulator", "SPANNER"),
        ("spanner-backup-emulator-pubsub", "PUBSUB"),
        ("spanner-backup-emulator-tasks", "CLOUD_TASKS"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_listens_where_it_is_told_to_until_a_signal(
    command: str, service: str, number: signal.Signals
) -> None:
    """As in a container: the address comes from one variable, options from another, and the line wins."""
    environment = os.environ | {"SPANNER_BACKUP_EMULATOR_HOST": ELSEWHERE, f"{service}_EMULATOR_OPTIONS": "--port 1"}
    program = [sys.executable, "-W", "error", str(Path(sys.executable).parent / command), "--port", "0"]
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = next(line for line in process.stdout if line.startswith("export"))
        (port,) = re.findall(rf"{service}_EMULATOR_HOST={ELSEWHERE}:(\d+)", said)
        with socket.create_connection((ELSEWHERE, int(port)), WAIT_S_MAX):
            process.send_signal(number)
        assert process.wait(WAIT_S_MAX) == 0
