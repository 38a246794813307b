"""Runs Google's own Python backup sample against the emulator and prints what it prints.

The sample isn't part of this repository. Download it first, then name the file:

    python packages/spanner-backup-emulator/tests/spanner_official_sample.py backup_sample.py

It is https://github.com/googleapis/python-spanner/blob/main/samples/samples/backup_sample.py and runs as it is, but
for `time.sleep`, which is cut short: the sample waits 5 minutes between two looks at an operation.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import re
import sys
import time
import warnings
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from spanner_backup_emulator.spanner.plans import Plan  # noqa: E402 - found only once the path is set
from spanner_backup_emulator.spanner.server import SpannerEmulator  # noqa: E402 - the same
from spanner_backup_emulator.spanner.state import State  # noqa: E402 - the same

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

INSTANCE_ID, DATABASE_ID = "test-instance", "orders"
INSTANCE = f"projects/test-project/instances/{INSTANCE_ID}"
DATABASE = f"{INSTANCE}/databases/{DATABASE_ID}"
KEYS = [f"projects/test-project/locations/{place}/keyRings/ring/cryptoKeys/key" for place in ("us-east1", "us-west1")]
SLEEP_S_MAX = 0.05
"""The sample's longest wait, instead of 300 s."""

_sleep: Callable[[float], None] = time.sleep


def _short_sleep(seconds: float) -> None:
    _sleep(min(seconds, SLEEP_S_MAX))


def run(path: str) -> None:
    """Calls the sample's functions in the order in which its own test does."""
    os.environ["GOOGLE_CLOUD_PROJECT"] = "test-project"
    os.environ["SPANNER_DISABLE_BUILTIN_METRICS"] = "true"
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # the sample's utcnow(), from Python 3.12 on
    time.sleep = _short_sleep  # type: ignore[assignment]  # looser than the built-in, on purpose
    plan = Plan(duration=timedelta(seconds=0.3), cancel_duration=timedelta(seconds=0.1))
    with SpannerEmulator(state=State(databases=[DATABASE], strict=True, default_plan=plan)) as emulator:
        os.environ["SPANNER_EMULATOR_HOST"] = emulator.address
        sample = _load(path)
        _the_life_of_a_backup(sample)
        _the_race(sample, emulator)


def _the_life_of_a_backup(sample: ModuleType) -> None:
    version_time = datetime.now(UTC)
    _call(sample, "create_backup", INSTANCE_ID, DATABASE_ID, "first", version_time)
    _call(sample, "create_backup_with_encryption_key", INSTANCE_ID, DATABASE_ID, "second", KEYS[0])
    _call(sample, "create_backup_with_multiple_kms_keys", INSTANCE_ID, DATABASE_ID, "third", KEYS)
    _call(sample, "copy_backup", INSTANCE_ID, "first-copy", f"{INSTANCE}/backups/first")
    _call(sample, "copy_backup_with_multiple_kms_keys", INSTANCE_ID, "third-copy", f"{INSTANCE}/backups/third", KEYS)
    _call(sample, "restore_database", INSTANCE_ID, "restored", "first")
    _call(sample, "restore_database_with_encryption_key", INSTANCE_ID, "restored-2", "second", KEYS[0])
    _call(sample, "restore_database_with_multiple_kms_keys", INSTANCE_ID, "restored-3", "third", KEYS)
    _call(sample, "list_backup_operations", INSTANCE_ID, DATABASE_ID, "first")
    _call(sample, "list_database_operations", INSTANCE_ID)
    _call(sample, "list_backups", INSTANCE_ID, DATABASE_ID, "first")
    _call(sample, "update_backup", INSTANCE_ID, "first")
    _call(sample, "delete_backup", INSTANCE_ID, "first")


def _the_race(sample: ModuleType, emulator: SpannerEmulator) -> None:
    print("--- the cancel is in time")
    _call(sample, "cancel_backup", INSTANCE_ID, DATABASE_ID, "cancelled")
    print("--- the cancel is lost")
    emulator.queue_plans(DATABASE, Plan(duration=timedelta(seconds=0.3), cancel_duration=None))
    _call(sample, "cancel_backup", INSTANCE_ID, DATABASE_ID, "too-late")


def _call(sample: ModuleType, function: str, *arguments: object) -> None:
    print(f"$ {function}")
    getattr(sample, function)(*arguments)


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("backup_sample", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    if len(sys.argv) != 2 or not re.search(r"\.py$", sys.argv[1]):
        raise SystemExit(__doc__)
    run(sys.argv[1])
