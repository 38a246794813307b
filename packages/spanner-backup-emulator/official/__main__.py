"""Runs what is Google's own, tests, samples and gcloud, against the emulator, and prints what came of it.

    make official FROM=DIR

Nothing of Google's is in this repository. DIR is where you put it; each part that isn't there is left out:

    git clone https://github.com/googleapis/python-spanner
    git clone https://github.com/googleapis/nodejs-spanner
    (cd nodejs-spanner && npm install && cd samples && npm install)
    pip download --no-deps --no-binary :all: google-cloud-spanner && tar xzf google_cloud_spanner-*.tar.gz
    pip install --no-deps --target site google-cloud-testutils pytest-dependency

The archive of the third part has the tests that live in googleapis/google-cloud-python now. Google's Spanner emulator
must be installed, and for the last row gcloud. What is changed of Google's is in google_tests.py and google_tests.cjs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from collections.abc import Iterator

from gcloud_session import session
from google_spanner import google_spanner

from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

HERE = Path(__file__).parent

PLAN = Plan(duration=timedelta(seconds=2), optimize_duration=timedelta(seconds=1))
"""Long enough to be seen running and to be cancelled."""

EMPTY = Plan(PLAN.duration, optimize_duration=PLAN.optimize_duration, size_bytes=0)
"""Google's Python samples back up an empty database, and their test wants no backup of more than 100 bytes listed."""

SUITE_S_MAX = 900.0
"""Each takes a minute; more than this is a call that hangs."""

KNOWN = {
    "test_create_database_with_retention_period": "no backup in it; Google's emulator alone fails it too",
    "should create a database with multiple KMS keys": "the same",
}
"""What fails and isn't ours."""


class Row(NamedTuple):
    """What came of one suite."""

    suite: str
    passed: int
    failed: tuple[str, ...]
    skipped: int
    source: str


def source_of(directory: Path) -> str:
    """Which state of Google's this is: a commit, or the version in an archive's name."""
    if not (directory / ".git").exists():
        return directory.name
    command = [shutil.which("git") or "git", "-C", str(directory), "rev-parse", "--short=8", "HEAD"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return f"googleapis/{directory.name} {told.stdout.strip()}"


def environment(address: str, site: Path) -> dict[str, str]:
    """What Google's programs read; Google's emulator knows no multiplexed sessions (observed on 2026-11-26)."""
    return os.environ | {
        "SPANNER_EMULATOR_HOST": address,
        "GCLOUD_PROJECT": "test-project",
        "GOOGLE_CLOUD_PROJECT": "test-project",
        "GOOGLE_CLOUD_SPANNER_MULTIPLEXED_SESSIONS": "false",
        "GOOGLE_CLOUD_TESTS_CREATE_SPANNER_INSTANCE": "true",
        "SPANNER_DISABLE_BUILTIN_METRICS": "true",
        "PYTHONPATH": os.pathsep.join([str(HERE), str(site), os.environ.get("PYTHONPATH", "")]),
    }


def run_pytest(suite: str, directory: Path, files: str, address: str) -> Row:
    """Runs tests for Python in the directory that they are made for."""
    root = next(one for one in (directory, *directory.parents) if (one / "setup.py").exists())
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "google_tests", "-p", "no:cacheprovider"]
        _run(
            [*command, f"--junitxml={report.name}", *files.split()],
            directory,
            environment(address, root.parent / "site"),
        )
        cases = list(ET.parse(report.name).iter("testcase"))  # noqa: S314 pytest has just written it
    failed = {
        case.attrib["name"] for case in cases if case.find("failure") is not None or case.find("error") is not None
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = {case.attrib["name"] for case in cases if not len(case)} - failed
    return Row(suite, len(passed), tuple(sorted(failed)), skipped, source_of(root))


def run_mocha(suite: str, directory: Path, file: str, grep: str, about: str, address: str) -> Row:
    """Runs tests for Node.js; those that only prepare what `about` needs aren't counted."""
    root = next(one for one in (directory, *directory.parents) if (one / "src").exists())
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [
            "npx",
            "mocha",
            "--require",
            str(HERE / "google_tests.cjs"),
            file,
            "--grep",
            grep,
            "--timeout=100000",
        ]
        options = ["--reporter=json", f"--reporter-option=output={report.name}"]
        _run([*command, *options], directory, environment(address, root.parent))
        told = json.loads(report.read())
    titles = {kind: [one["fullTitle"] for one in told[kind]] for kind in ("passes", "failures", "pending")}
    passed, failed, skipped = ([one for one in titles[kind] if about in one] for kind in titles)
    return Row(suite, len(passed), tuple(failed), len(skipped), source_of(root))


def _run(command: list[str], directory: Path, env: dict[str, str]) -> None:
    print(f"\n$ cd {directory}; {' '.join(command)}", flush=True)
    subprocess.run(command, cwd=directory, env=env, timeout=SUITE_S_MAX, check=False)


@contextmanager
def ours(google: str, plan: Plan = PLAN) -> Iterator[SpannerEmulator]:
    """The emulator that is tried, in front of Google's."""
    with SpannerEmulator(state=State(default_plan=plan), behind=google, rest_port=0) as emulator:
        yield emulator


def rows(directory: Path, google: str) -> Iterator[Row]:
    """Runs every suite that is there."""
    python, node = directory / "python-spanner", directory / "nodejs-spanner"
    others = "tests/system/test_instance_api.py tests/system/test_database_api.py tests/system/test_table_api.py"
    for root in (python, *sorted(directory.glob("google_cloud_spanner-*/"))):
        if root.exists():
            with ours(google) as emulator:
                yield run_pytest("backups", root, "tests/system/test_backup_api.py", emulator.address)
                yield run_pytest("instances, databases, tables", root, others, emulator.address)
            yield run_pytest(ALONE, root, others, google)
    if (samples := python / "samples" / "samples").exists():
        with ours(google, EMPTY) as emulator:
            yield run_pytest("backup samples", samples, "backup_sample_test.py", emulator.address)
            yield run_pytest("backup schedule samples", samples, "backup_schedule_samples_test.py", emulator.address)
    if (node / "build").exists():
        with ours(google) as emulator:
            file, samples_test = "build/system-test/spanner.js", "system-test/spanner.test.js"
            yield run_mocha("Backups", node, file, "Spanner Backups", " Backups ", emulator.address)
            wanted = "should create an example database$| backups | KMS "
            yield run_mocha("backup samples", node / "samples", samples_test, wanted, " backups ", emulator.address)
    with ours(google) as emulator:
        passed, failed, version = session(emulator)
        yield Row("a session without --async", passed, failed, 0, version)


ALONE = "the same, Google's emulator alone"


def main() -> int:
    """Prints the table; 1 if anything failed that Google's emulator alone doesn't fail as well."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        print(__doc__)
        return 2
    with google_spanner() as google:
        found = list(rows(Path(sys.argv[1]).resolve(), google))
    print(f"\n{'suite':<36}{'passed':>7}{'failed':>7}{'skipped':>8}  source")
    for row in found:
        print(f"{row.suite:<36}{row.passed:>7}{len(row.failed):>7}{row.skipped:>8}  {row.source}")
    bad = [(row, name) for row in found for name in row.failed]
    for row, name in bad:
        known = next((why for what, why in KNOWN.items() if name.endswith(what)), "")
        print(f"failed: {row.source}, {row.suite}: {name}" + (f" ({known})" if known else ""))
    return int(any(row.suite != ALONE and not name.endswith(tuple(KNOWN)) for row, name in bad))


if __name__ == "__main__":
    sys.exit(main())
