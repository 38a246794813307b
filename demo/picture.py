"""What the demo shows: the backups while they live, a line for each thing that happens, and a table of the ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from rich import box
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

WIDTH = 80
"""A terminal that nobody has made wider."""

INTRODUCTION = """\
Backstop at work on five databases, against emulators of Spanner, Pub/Sub and
Cloud Tasks. A second here stands for many minutes of a real backup. Each line
is a command that somebody publishes, or an outcome that Backstop publishes:

   time  database  command  outcome                   what that means"""

MEANINGS = {
    "STARTED": "Spanner makes the backup",
    "CANCEL_REQUESTED": "Spanner accepts the cancel",
    "CANCELLED": "stopped: no backup exists",
    "COMPLETED": "the backup stays",
    "COMPLETED_DESPITE_CANCEL": "the cancel came too late",
    "COMPLETED_THEN_DELETED": "too late, so it is deleted",
    "DELETE_BLOCKED": "a restore still needs it",
}

_ON_THE_WAY = {"STARTED": "blue", "CANCEL_REQUESTED": "yellow", "DELETE_BLOCKED": "yellow"}


@dataclass(frozen=True, slots=True)
class Life:
    """One backup as it is now.

    Attributes:
        name: The database.
        state: What Spanner says of the backup: CREATING, READY, or nothing.
        percent: Its progress, 0 to 100.
        outcome: The last outcome.
    """

    name: str
    state: str
    percent: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How one backup's story ended.

    Attributes:
        name: The database.
        asked: What people asked for.
        spanner: What Spanner did.
        outcome: The last outcome.
        as_expected: Whether every outcome is the one that it should have been.
        polls: How many times Backstop asked about the operation.
        calls: How many calls to Spanner it made.
        left_behind: What is left in Spanner.
    """

    name: str
    asked: str
    spanner: str
    outcome: str
    as_expected: bool
    polls: int
    calls: int
    left_behind: str


def line(seconds: float, name: str, command: str, what: str) -> Text:
    """One thing that happened: an outcome of a command, or what somebody did."""
    text = Text(f"{seconds:5.1f} s  {name:<8}  {command:<6}   ")
    if what in MEANINGS:
        return text.append(f"{what:<24}", style=_ON_THE_WAY.get(what, "green")).append(f"  {MEANINGS[what]}")
    return text.append(what, style="dim")


def lives_table(lives: Sequence[Life]) -> Table:
    """The backups while they live."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, width in (("database", 8), ("backup", 8), ("", 24), ("outcome", 24)):
        table.add_column(heading, width=width)
    for life in lives:
        bar = ProgressBar(total=100, completed=life.percent, width=24)
        outcome = Text(life.outcome, style=_ON_THE_WAY.get(life.outcome, "green"))
        table.add_row(life.name, life.state or Text("none", style="dim"), bar, outcome)
    return table


def endings_table(endings: Sequence[Ending]) -> Table:
    """The summary."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("database", "asked for", "Spanner", "last outcome", "left behind"):
        table.add_column(heading, no_wrap=True)
    for ending in endings:
        outcome = Text(ending.outcome, style="green" if ending.as_expected else "bold red")
        table.add_row(ending.name, ending.asked, ending.spanner, outcome, ending.left_behind)
    return table


def summary(endings: Sequence[Ending], seconds: float, *, good: bool) -> Text:
    """The last line."""
    polls, calls = sum(ending.polls for ending in endings), sum(ending.calls for ending in endings)
    cost = f"{polls} polls and {calls - polls} other calls to Spanner in {seconds:.0f} seconds."
    which, style = ("Every", "") if good else ("Not every", "bold red")
    return Text(f"\n{cost}\n{which} backup ended as it should.", style=style)


def write_svg(path: Path, lines: Sequence[Text], endings: Table) -> None:
    """Draws the same lines and the same table into a file."""
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Group(INTRODUCTION, *lines, endings))
    path.write_text(console.export_svg(title="make demo"), encoding="utf-8")
