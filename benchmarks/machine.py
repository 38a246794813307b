"""The machine that figures are taken on, and what its processes weigh."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = (
    "functions-framework",
    "gunicorn",
    "google-cloud-spanner",
    "google-cloud-pubsub",
    "google-cloud-tasks",
    "google-api-core",
    "grpcio",
    "protobuf",
    "msgspec",
)
"""Those whose version moves the figures."""


def description() -> list[tuple[str, str]]:
    """When, on what and with what: a row each."""
    memory = _first_value(Path("/proc/meminfo"), "MemTotal").split()
    return [
        ("Date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("Machine", f"{os.cpu_count()} CPUs ({_first_value(Path('/proc/cpuinfo'), 'model name') or 'unknown'})"),
        ("Memory", f"{int(memory[0]) / 2**20:.0f} GiB" if memory else "unknown"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("Packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        ("Load when it began", f"{os.getloadavg()[0]:.1f} processes on average over the last minute"),
    ]


def process_tree(pid: int) -> list[int]:
    """A process and all that came from it."""
    found = [pid]
    for number in found:
        for tasks in Path(f"/proc/{number}/task").iterdir():
            found.extend(int(child) for child in (tasks / "children").read_text(encoding="utf-8").split())
    return found


def memory_mb(pid: int) -> float:
    """What a process and its children weigh together, pages that they share counted once: what a container pays."""
    rollups = (Path(f"/proc/{number}/smaps_rollup") for number in process_tree(pid))
    return sum(int(_first_value(rollup, "Pss").split()[0]) for rollup in rollups) / 1024


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which this part of the values lies."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of what was measured in turns, so that what slows a turn down slows both."""
    return statistics.median(one / other for one, other in zip(ones, others, strict=True))


def _first_value(path: Path, key: str) -> str:
    """What follows the key's first colon in a file of the kernel's; empty if there is no such key."""
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
