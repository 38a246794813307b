"""From pressing Enter to Spanner's having received the cancel: `backstop cancel` beside gcloud.

Ours goes through Pub/Sub and the function, all on this machine; gcloud's call ends at a server that notes the time.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from backstop_cli.emulating import environment
from demo.stack import PROJECT, ROOT, Stack
from spanner_backup_emulator.serving import HOST
from spanner_backup_emulator.spanner.plans import Plan

INSTANCE = f"{PROJECT}/instances/prod"
RUNS = 15
RECEIVED_S_MAX = 30.0


def by_backstop(stack: Stack, *, full: bool) -> float:
    """The seconds that one cancel of ours takes, by the backup's full name or by a short one."""
    name = f"d{time.monotonic_ns()}"
    database, backup = f"{INSTANCE}/databases/{name}", f"{INSTANCE}/backups/b-{name}"
    stack.spanner.add_database(database)
    stack.spanner.set_plan(database, Plan(timedelta(hours=1)))
    message_id = stack.publish({"action": "start", "database": database, "backup_id": f"b-{name}"})
    stack.wait_for_outcomes(message_id, "STARTED")
    command = [sys.executable, "-m", "backstop_cli", "cancel", backup if full else name, "--yes"]
    environ = {**os.environ, **environment(stack, INSTANCE, Path(os.devnull))}
    pressed = datetime.now(UTC)
    subprocess.run(command, cwd=ROOT, env=environ, check=True, stdout=subprocess.DEVNULL)
    end_s = time.monotonic() + RECEIVED_S_MAX
    while time.monotonic() < end_s:
        for event in stack.spanner.history():
            if event.cause == "CancelOperation" and event.resource.startswith(f"{backup}/"):
                return (event.at - pressed).total_seconds()
        time.sleep(0.01)
    raise TimeoutError(backup)


class _Received(BaseHTTPRequestHandler):
    """Answers with an empty document, and keeps the time at which the request came."""

    times: list[float] = []  # noqa: RUF012 each server has a list of its own

    def do_POST(self) -> None:
        self.times.append(time.monotonic())
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's name
        """Says nothing."""


def by_gcloud(gcloud: str, configuration: str) -> float:
    """The seconds that one `gcloud spanner operations cancel` takes to make its call."""

    class Received(_Received):
        times: list[float] = []  # noqa: RUF012 this call's own

    with ThreadingHTTPServer((HOST, 0), Received) as server:
        threading.Thread(target=server.serve_forever).start()
        environ = {
            **os.environ,
            "CLOUDSDK_CONFIG": configuration,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_PROJECT": "p",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SPANNER": f"http://{HOST}:{server.server_port}/",
        }
        command = [gcloud, "spanner", "operations", "cancel", "o", "--instance=i", "--backup=b"]
        pressed_s = time.monotonic()
        subprocess.run(command, env=environ, check=False, capture_output=True)
        server.shutdown()
    return Received.times[0] - pressed_s


def measure() -> list[tuple[str, str, str]]:
    """For each way to cancel: what it is, its median, and its slowest run."""
    found: dict[str, list[float]] = {}
    with Stack() as stack:
        for what, full in (("by the backup's full name", True), ("by a short name", False)):
            found[f"`backstop cancel`, {what}"] = [by_backstop(stack, full=full) for _ in range(RUNS)]
    if gcloud := shutil.which("gcloud"):
        with TemporaryDirectory() as configuration:
            found["`gcloud spanner operations cancel`"] = [by_gcloud(gcloud, configuration) for _ in range(RUNS)]
    return [(what, f"{statistics.median(took):.2f} s", f"{max(took):.2f} s") for what, took in found.items()]


if __name__ == "__main__":
    for row in measure():
        print(*row, sep=" | ")
