"""The archive of a plan, running: unpacked, in an environment that holds only its requirements, fed by emulators.

Topics, subscriptions, queue and environment are the plan's own; only Google's addresses are those of emulators.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path, PurePath
from typing import Any

from demo.stack import Function
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.serving import HOST, free_port
from spanner_backup_emulator.spanner.plans import Plan as BackupPlan
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator
from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.watching import QUEUE, environment_of, payload

INSTALL_S_MAX = 200
"""Some 40 packages; seconds from pip's cache, and a slow registry's time without it."""

WAIT_S_MAX = 90.0
"""Everything takes a second or two; only what is stuck takes this, on however busy a machine."""

BACKUP_LASTS = timedelta(hours=1)
"""Longer than the test, so that a backup is seen running."""

LOOKS = {"BACKSTOP_LOOK_MIN": "1s", "BACKSTOP_LOOK_MAX": "1s"}
"""All that differs from the planned environment: the ends of short backups are to be seen."""

Line = dict[str, Any]


class Deployed:
    """The function of a plan.

    Attributes:
        spanner: The emulated Spanner; each database of a schedule is in it.
        lines: What the function printed, decoded.
    """

    def __init__(self, plan: Plan, function: Function, spanner: SpannerEmulator, pubsub: PubSubEmulator) -> None:
        self._plan = plan
        self._pubsub = pubsub
        self.spanner = spanner
        self.lines: list[Line] = function.lines
        for topic in plan.all("google_pubsub_topic"):
            pubsub.create_topic(topic["id"])
        for push in plan.all("google_pubsub_subscription", "push"):
            # Where the function is, is all that differs from the planned address.
            here, planned = f"http://{HOST}:{function.port}", push["push_config.push_endpoint"]
            endpoint = re.sub(r"^https://[^/]+", here, planned)
            deadline = timedelta(seconds=push["ack_deadline_seconds"])
            pubsub.create_push_subscription(push["id"], push["topic"], endpoint, ack_deadline=deadline)

    def publish_jobs(self) -> None:
        """Publishes what each Scheduler job of the plan would, where it would."""
        for job in self._plan.all("google_cloud_scheduler_job"):
            topic = job["pubsub_target.topic_name"]
            self._pubsub.publish(topic, base64.b64decode(job["pubsub_target.data"]))

    def publish(self, data: bytes) -> None:
        """Publishes one command."""
        self._pubsub.publish(self._plan.one("google_pubsub_topic", "commands")["id"], data)

    def wait_for(self, condition: Callable[[Line], bool], count: int = 1) -> None:
        """Waits until the condition holds for so many printed lines."""
        end_s = time.monotonic() + WAIT_S_MAX
        while (found := sum(map(condition, list(self.lines)))) < count:
            assert time.monotonic() < end_s, f"{found} of {count} lines; printed: {self.lines}"
            time.sleep(0.02)


@contextlib.contextmanager
def deployed(plan: Plan, directory: Path) -> Iterator[Deployed]:
    """Installs the function of a plan, starts it in an empty directory, and connects it as the plan says."""
    source = PurePath(plan.one("google_storage_bucket_object")["source"])
    with zipfile.ZipFile(plan.archives / source.name) as archive:
        archive.extractall(directory)
    with (
        SpannerEmulator() as spanner,
        TasksEmulator(queues=[plan.one(QUEUE)["id"]]) as tasks,
        PubSubEmulator() as pubsub,
    ):
        for database in _databases(plan):
            spanner.add_database(database)
            spanner.set_plan(database, BackupPlan(duration=BACKUP_LASTS))
        addresses = {
            "SPANNER_EMULATOR_HOST": spanner.address,
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
        }
        environment = {**environment_of(plan), **LOOKS, **addresses}
        python = _python(directory / "requirements.txt")
        function = Function(free_port(), environment, directory / "main.py", str(python))
        try:
            function.start()
            yield Deployed(plan, function, spanner, pubsub)
        finally:
            function.kill()


def _python(requirements: Path) -> Path:
    """An interpreter with these requirements and nothing else; the environment is kept for the next run."""
    key = hashlib.sha256(f"{sys.version} {requirements.read_text()}".encode()).hexdigest()
    kept = REPOSITORY / "build" / f"requirements-{key[:16]}"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=kept.name, dir=kept.parent))
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
        install = [sys.executable, "-m", "pip", "--python", str(made / "bin" / "python"), "install", "--quiet"]
        install += ["--disable-pip-version-check", "--require-hashes", "--no-compile", "-r", str(requirements)]
        done = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_S_MAX, check=False)
        assert done.returncode == 0, done.stderr
        with contextlib.suppress(OSError):  # another test may have been faster
            made.rename(kept)
        shutil.rmtree(made, ignore_errors=True)
    return kept / "bin" / "python"


def _databases(plan: Plan) -> set[str]:
    """Those that the schedules name; a pattern is tried on two that match it, so that a start of many is one."""
    commands: list[dict[str, Any]] = [payload(job) for job in plan.all("google_cloud_scheduler_job", "start")]
    return {command["database"] for command in commands if "database" in command} | {
        f"{command['instance']}/databases/{pattern.replace('*', name)}"
        for command in commands
        if "instance" in command
        for pattern in command.get("databases", ["*"])
        for name in ("one", "two")
    }
