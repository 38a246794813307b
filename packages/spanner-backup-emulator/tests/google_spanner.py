"""Google's own Spanner emulator, where it is installed: one program beside the Google Cloud CLI."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from spanner_backup_emulator.serving import HOST, free_port

START_S_MAX = 60.0
"""How long it may take to listen; it is there at once but on a busy machine."""


@contextmanager
def google_spanner() -> Iterator[str]:
    """Runs it and gives its address; where it isn't installed the test is skipped, on CI it fails."""
    program = _installed()
    if program is None:
        missing = "Google's Spanner emulator is not installed (gcloud components install cloud-spanner-emulator)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    address = f"{HOST}:{free_port()}"
    command = [str(program), f"--host_port={address}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with grpc.insecure_channel(address) as channel:
                grpc.channel_ready_future(channel).result(START_S_MAX)
            yield address
        finally:
            process.kill()


def _installed() -> Path | None:
    found = shutil.which("gcloud")
    beside = Path(found).resolve().parent / "cloud_spanner_emulator/emulator_main" if found else None
    if beside is not None and beside.exists():
        return beside
    alone = shutil.which("emulator_main")
    return Path(alone) if alone else None
