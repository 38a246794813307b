"""The rule that keeps the core pure really fires; a rule that nobody has seen fire proves nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUFF = Path(sys.executable).parent / "ruff"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the function with the project's own configuration."""
    copied = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copied)
    shutil.copy(ROOT / "main.py", copied)
    shutil.copytree(ROOT / "backstop", copied / "backstop", ignore=shutil.ignore_patterns("__pycache__"))
    return copied


def banned(copied: Path) -> tuple[int, str]:
    """What ruff says of banned imports: its exit code and its text."""
    command = [str(RUFF), "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "."]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout


def plant(copied: Path, name: str, line: str) -> tuple[int, str]:
    """The same, with one more file that has one line."""
    planted = copied / name
    planted.write_text(f"{line}\n")
    try:
        return banned(copied)
    finally:
        planted.unlink()


def test_the_core_as_it_is_breaks_no_rule(copy: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    assert banned(copy) == (0, "All checks passed!\n")


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from time import monotonic as clock",
        "import random",
        "import uuid",
        "import os",
        "import sys",
        "import logging",
        "import threading",
        "import socket",
        "import urllib.request",
        "import http.client",
        "import requests",
        "import grpc",
        "from google.cloud import tasks_v2",
        "import flask",
        "import functions_framework",
        "import datetime as d; now = d.datetime.now()",
        "from datetime import datetime as d; now = d.now()",
        "from datetime import datetime; now = datetime.utcnow()",
        "from datetime import date; today = date.today()",
    ],
)
def test_an_impure_line_in_the_core_is_refused(copy: Path, line: str) -> None:
    """Under another name too."""
    code, text = plant(copy, "backstop/planted.py", line)

    assert code == 1
    assert "backstop/planted.py:1:" in text
    assert "TID251" in text


@pytest.mark.parametrize("name", ["backstop/gcp/planted.py", "main.py"])
def test_the_shell_may_be_impure(copy: Path, name: str) -> None:
    """The clock, the environment and the network have to live somewhere."""
    kept = (copy / name).read_text() if (copy / name).exists() else None
    code, _ = plant(copy, name, "import time")
    if kept is not None:
        (copy / name).write_text(kept)

    assert code == 0


def test_no_file_of_the_core_excuses_itself() -> None:
    """The rule holds with no exception."""
    for path in (ROOT / "backstop").glob("*.py"):
        assert "TID251" not in path.read_text(), path
