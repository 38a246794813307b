"""What is printed: tables for people, JSON and YAML with stable keys for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import TextIO

from rich.console import Console
from rich.text import Text

STYLES = {
    "COMPLETED": "green",
    "CANCELLED": "green",
    "COMPLETED_THEN_DELETED": "green",
    "STARTED": "blue",
    "CANCEL_REQUESTED": "yellow",
    "DELETE_BLOCKED": "yellow",
    "COMPLETED_KEPT": "yellow",
    "COMPLETED_DESPITE_CANCEL": "yellow",
    "NOTHING_TO_CANCEL": "yellow",
    "DRY_RUN": "cyan",
}

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def out() -> Console:
    """Standard output; colour on a terminal only, and none where NO_COLOR is set."""
    return _console(sys.stdout)


def err() -> Console:
    """Standard error, for what a program that reads the output isn't meant to see."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    """What is printed may be pasted, so only the terminal breaks its lines, and nothing in them is replaced."""
    return Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)


def emit(document: object, form: str, *, line: bool = False) -> None:
    """Prints a document as JSON or YAML; as one line of JSON, or one document of many, where more will follow."""
    plain = _plain(document)
    if form == "yaml":
        import yaml

        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, explicit_start=line, width=float("inf"))
    else:
        text = json.dumps(plain, indent=None if line else 2, ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Text:
    """Columns without lines, each as wide as what is in it; headings that begin with `>` stand right."""
    cells = [[Text(cell) for cell in row] for row in rows]
    if any(headings):
        cells.insert(0, [Text(heading.removeprefix(">"), style="bold") for heading in headings])
    for heading, column in zip(headings, zip(*cells, strict=True), strict=False):
        width = max(cell.cell_len for cell in column)
        for cell in column:
            cell.align("right" if heading.startswith(">") else "left", width)
    lines = [Text("  ").join(row) for row in cells]
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def outcome(name: str) -> Text:
    """An outcome in its colour; what has none is bad."""
    return Text(name, style=STYLES.get(name, "bold red"))


def length(duration: timedelta) -> str:
    """A duration in its largest unit that says enough: `45s`, `12m`, `5h`, `6d`."""
    seconds = int(abs(duration).total_seconds())
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= 2 * size), ("s", 1))
    return f"{seconds // size}{unit}"


def ago(time: datetime | None, now: datetime) -> str:
    """How long since, or until."""
    if time is None:
        return "-"
    return f"{length(now - time)} ago" if time <= now else f"in {length(time - now)}"


def moment(time: datetime | None, now: datetime) -> str:
    """A time in UTC, and how far it is."""
    return "-" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {ago(time, now)}"


def size(count: int) -> str:
    """Bytes in the unit that says enough."""
    value, units = float(count), ["B", "KB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def behalf(action: str | None, requested_by: str | None, reason: str | None) -> str:
    """On whose behalf something is done, as far as it is known."""
    who = " by ".join(part for part in (action, requested_by) if part)
    return f"{who}: {reason}" if who and reason else who or (reason or "")
