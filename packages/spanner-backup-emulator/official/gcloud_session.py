"""A session of gcloud with backups, in which each command waits for what it began."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from typing import Any

from google.cloud import spanner

from spanner_backup_emulator.spanner.server import SpannerEmulator

PROJECT, INSTANCE = "test-project", "gcloud-instance"

STEP_S_MAX = 120.0
"""A command takes two seconds, and one that waits for a backup a few more."""

LATER = (datetime.now(UTC) + timedelta(days=10)).strftime("%Y-%m-%dT00:00:00Z")
IN = f"--instance={INSTANCE}"
FROM_TO = f"--source-backup=nightly --source-instance={INSTANCE} --destination-instance={INSTANCE}"

STEPS = (
    f"backups create nightly {IN} --database=orders --retention-period=7d",
    f"backups list {IN}",
    f"backups describe nightly {IN}",
    f"backups update-metadata nightly {IN} --retention-period=14d",
    f"backups copy {FROM_TO} --destination-backup=copy --expiration-date={LATER}",
    f"databases restore {FROM_TO} --destination-database=again",
    f"operations list {IN} --type=BACKUP",
    f"operations list {IN} --type=DATABASE_RESTORE",
    f"operations list {IN} --backup=nightly",
    f"operations describe OPERATION {IN} --backup=nightly",
    f"operations cancel OPERATION {IN} --backup=nightly",
    f"backups delete copy {IN}",
    f"backups delete nightly {IN}",
)
"""OPERATION is the one that created the backup."""


def session(emulator: SpannerEmulator) -> tuple[int, tuple[str, ...], str]:
    """Plays it; how many steps succeeded, which failed, and of which version gcloud is."""
    _make_database(emulator.address)
    failed = []
    with tempfile.TemporaryDirectory() as configuration:
        env = os.environ | {
            "CLOUDSDK_CONFIG": configuration,
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SPANNER": f"http://{emulator.rest_address}/",
        }
        operation = ""
        for step in STEPS:
            told = _gcloud("spanner " + step.replace("OPERATION", operation), env)
            print(f"\n$ gcloud spanner {step}\n{told.stdout}{told.stderr}", flush=True)
            if told.returncode:
                failed.append(step)
            operation = next((word for word in told.stdout.split() if word.startswith("_auto_op_")), operation)
        version = _gcloud("--version", env).stdout.splitlines()[0]
    return len(STEPS) - len(failed), tuple(failed), version


def _gcloud(words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [shutil.which("gcloud") or "gcloud", *shlex.split(words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=STEP_S_MAX, check=False)


def _make_database(address: str) -> None:
    """What gcloud would make through REST, which Google's emulator has and this one hasn't."""
    os.environ["SPANNER_EMULATOR_HOST"] = address
    client: Any = spanner.Client(project=PROJECT)
    config = next(iter(client.list_instance_configs())).name
    instance = client.instance(INSTANCE, config, node_count=1)
    instance.create().result(STEP_S_MAX)
    instance.database("orders").create().result(STEP_S_MAX)
    client.close()
    del os.environ["SPANNER_EMULATOR_HOST"]
