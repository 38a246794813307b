"""What is printed: tables for people, JSON and YAML with stable keys for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
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
    return Console(file=sys.stdout, highlight=False, markup=False)


def err() -> Console:
    """Standard error, for what a program that reads the output isn't meant to see."""
    return Console(file=sys.stderr, highlight=False, markup=False)


def emit(document: object, form: str, *, line: bool = False) -> None:
    """Prints a document as JSON or YAML; as one line of JSON, or one document of many, where more will follow."""
    plain = _plain(document)
    if form == "yaml":
        import yaml

        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, explicit_start=line)
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


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Columns without lines, as a person pipes them into other programs; headings that begin with `>` stand right."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_header=any(headings))
    for heading in headings:
        justify: Any = "right" if heading.startswith(">") else "left"
        made.add_column(heading.removeprefix(">"), justify=justify, overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


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
