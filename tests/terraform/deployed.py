"""The archive of a plan, running: unpacked, installed into an empty virtual environment, and fed by emulators.

Topics, subscriptions, queue and environment are the plan's own; only Google's addresses are those of emulators.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Self

from emulators.pubsub.server import PubSubEmulator
from emulators.serving import HOST
from emulators.spanner.plans import Plan as BackupPlan
from emulators.spanner.server import SpannerEmulator
from emulators.stack import free_port
from emulators.tasks.server import TasksEmulator
from tests.terraform.facts import QUEUE, environment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.terraform.plans import Plan

INSTALL_S_MAX = 200
"""23 packages; seconds from pip's cache, and a slow registry's time without it."""

START_S_MAX = WAIT_S_MAX = 90.0
"""Both take a second; only what is stuck takes this, on however busy a machine."""

BACKUP_LASTS = timedelta(hours=1)
"""Longer than the test, so that a backup is seen running."""

LOOKS = {"BACKSTOP_LOOK_MIN": "1s", "BACKSTOP_LOOK_MAX": "1s"}
"""All that differs from the planned environment: the ends of short backups are to be seen."""

Line = dict[str, object]


class Deployed:
    """The function of a plan, while the context lasts.

    Attributes:
        lines: What it printed, decoded; a line that is no JSON object is kept as its text.
    """

    def __init__(self, plan: Plan, directory: Path) -> None:
        self._plan = plan
        self._directory = directory
        self._closing = contextlib.ExitStack()
        self._changed = threading.Condition()
        self.lines: list[Line | str] = []

    def __enter__(self) -> Self:
        """Installs it and starts it, and connects it as the plan says."""
        with contextlib.ExitStack() as stack:
            python = self._install()
            spanner = self.spanner = stack.enter_context(SpannerEmulator())
            tasks = stack.enter_context(TasksEmulator(queues=[self._plan.one(QUEUE).text("id")]))
            self.pubsub = stack.enter_context(PubSubEmulator())
            for target in self._databases():
                spanner.add_database(target)
                spanner.set_plan(target, BackupPlan(duration=BACKUP_LASTS))
            environment = {
                "PATH": os.environ["PATH"],
                "XDG_RUNTIME_DIR": str(self._directory),
                **environment_of(self._plan),
                **LOOKS,
                "SPANNER_EMULATOR_HOST": spanner.address,
                "PUBSUB_EMULATOR_HOST": self.pubsub.address,
                "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
            }
            stack.enter_context(self._running(python, environment))
            self._connect()
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends everything."""
        self._closing.close()

    def publish_jobs(self) -> None:
        """Publishes what each Scheduler job of the plan would, where it would."""
        for job in self._plan.all("google_cloud_scheduler_job"):
            topic = job.text("pubsub_target", 0, "topic_name")
            self.pubsub.publish(topic, base64.b64decode(job.text("pubsub_target", 0, "data")))

    def publish(self, data: bytes) -> None:
        """Publishes one command."""
        self.pubsub.publish(self._plan.one("google_pubsub_topic", "commands").text("id"), data)

    def wait_for(self, condition: Callable[[Line], bool], count: int = 1) -> list[Line]:
        """The printed lines for which the condition holds, as soon as there are so many."""

        def found() -> list[Line]:
            return [line for line in self.lines if isinstance(line, dict) and condition(line)]

        with self._changed:
            enough = self._changed.wait_for(lambda: len(found()) >= count, WAIT_S_MAX)
            assert enough, f"{len(found())} of {count} lines; printed: {self.lines}"
            return found()

    def _install(self) -> Path:
        source = PurePath(self._plan.one("google_storage_bucket_object").text("source"))
        with zipfile.ZipFile(self._plan.archives / source.name) as archive:
            archive.extractall(self._directory / "source")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self._directory / "venv"], check=True)
        python = self._directory / "venv" / "bin" / "python"
        install = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
        install += [
            "install",
            "--require-hashes",
            "--no-compile",
            "-r",
            str(self._directory / "source/requirements.txt"),
        ]
        done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
        assert done.returncode == 0, done.stderr
        return python

    def _databases(self) -> set[str]:
        payloads = [
            json.loads(base64.b64decode(job.text("pubsub_target", 0, "data")))
            for job in self._plan.all("google_cloud_scheduler_job", "start")
        ]
        # A pattern is tried on two databases that match it, so that a start of many is one.
        return {payload["database"] for payload in payloads if "database" in payload} | {
            f"{payload['instance']}/databases/{pattern.replace('*', name)}"
            for payload in payloads
            if "instance" in payload
            for pattern in payload.get("databases", ["*"])
            for name in ("one", "two")
        }

    @contextlib.contextmanager
    def _running(self, python: Path, environment: dict[str, str]) -> Iterator[None]:
        self._port = free_port()
        entry_point = self._plan.one("google_cloudfunctions2_function").text("build_config", 0, "entry_point")
        command = [str(python), "-m", "functions_framework", "--target", entry_point]
        process = subprocess.Popen(
            [*command, "--host", HOST, "--port", str(self._port)],
            cwd=self._directory / "source",
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(process,), name="function-output")
        reader.start()
        try:
            self._wait_until_it_answers(process)
            yield
        finally:
            process.terminate()
            process.wait(START_S_MAX)
            reader.join()
            assert process.stdout is not None
            process.stdout.close()

    def _wait_until_it_answers(self, process: subprocess.Popen[str]) -> None:
        end_s = time.monotonic() + START_S_MAX
        while time.monotonic() < end_s and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self._port), timeout=1):
                return
            time.sleep(0.05)
        raise AssertionError(f"the function did not start: {self.lines}")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for text in process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                line = text.rstrip()
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()

    def _connect(self) -> None:
        for topic in self._plan.all("google_pubsub_topic"):
            self.pubsub.create_topic(topic.text("id"))
        for push in self._plan.all("google_pubsub_subscription", "push"):
            # Where the function is, is all that differs from the planned address.
            endpoint = re.sub(
                r"^https://[^/]+", f"http://{HOST}:{self._port}", push.text("push_config", 0, "push_endpoint")
            )
            deadline = timedelta(seconds=push.number("ack_deadline_seconds"))
            self.pubsub.create_push_subscription(push.text("id"), push.text("topic"), endpoint, ack_deadline=deadline)
