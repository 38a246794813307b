"""The archive of a plan, running: unpacked, in an environment that holds only its requirements, fed by emulators.

Topics, subscriptions, queue and environment are the plan's own; only Google's addresses are those of emulators.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

from demo.stack import Function
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.serving import HOST, free_port
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator
from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.watching import QUEUE, environment_of
from tests.waiting import wait_until

INSTALL_S_MAX = 200
"""Some 40 packages; seconds from pip's cache, and a slow registry's time without it."""

LOOKS = {"BACKSTOP_LOOK_MIN": "1s", "BACKSTOP_LOOK_MAX": "1s"}
"""All that differs from the planned environment: the ends of short backups are to be seen."""

Line = dict[str, Any]
Condition = Callable[[Line], bool]


class Deployed:
    """The function of a plan, with what it talks to; `lines` are what it printed, decoded."""

    def __init__(self, function: Function, spanner: SpannerEmulator, pubsub: PubSubEmulator) -> None:
        self.lines: list[Line] = function.lines
        self.spanner, self.pubsub = spanner, pubsub

    def wait_for(self, *conditions: Condition, count: int = 1) -> None:
        """Waits until each condition holds for so many printed lines."""
        wait_until(lambda: all(sum(map(one, list(self.lines))) >= count for one in conditions), found=self.lines)


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
        addresses = {
            "SPANNER_EMULATOR_HOST": spanner.address,
            "PUBSUB_EMULATOR_HOST": pubsub.address,
            "CLOUD_TASKS_EMULATOR_HOST": tasks.address,
        }
        environment = {**environment_of(plan), **LOOKS, **addresses}
        python = _python(directory / "requirements.txt")
        function = Function(free_port(), environment, directory / "main.py", str(python))
        for topic in plan.all("google_pubsub_topic"):
            pubsub.create_topic(topic["id"])
        for push in plan.all("google_pubsub_subscription", "push"):
            # Where the function is, is all that differs from the planned address.
            endpoint = re.sub(r"^https://[^/]+", f"http://{HOST}:{function.port}", push["push_config.push_endpoint"])
            deadline_s = push["ack_deadline_seconds"]
            pubsub.create_push_subscription(push["id"], push["topic"], endpoint, ack_deadline_seconds=deadline_s)
        try:
            function.start()
            yield Deployed(function, spanner, pubsub)
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
