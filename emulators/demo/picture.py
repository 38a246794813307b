"""What the demo shows: a line for each backup while it lives, and a table of how they all ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WIDTH = 112
"""Wide enough for the longest outcome beside its neighbours, and no wider than a terminal on half a screen."""

_COLOURS = {
    "STARTED": "blue",
    "CANCEL_REQUESTED": "yellow",
    "DELETE_BLOCKED": "yellow",
    "COMPLETED": "green",
    "CANCELLED": "green",
    "COMPLETED_THEN_DELETED": "green",
}


@dataclass(frozen=True, slots=True)
class Life:
    """One backup as it is now.

    Attributes:
        name: The database.
        story: What is to happen.
        state: What Spanner says of the backup: CREATING, READY, or nothing.
        percent: Its progress, 0 to 100.
        outcome: The last thing that Backstop told about it.
    """

    name: str
    story: str
    state: str
    percent: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How one backup's story ended.

    Attributes:
        name: The database.
        outcome: The last outcome.
        as_expected: Whether everything that was told is what should have been.
        looks: How many times Backstop looked at the operation.
        calls: How many calls to Spanner it took.
        seconds: From the command to the last outcome.
        left_behind: What is left in Spanner.
    """

    name: str
    outcome: str
    as_expected: bool
    looks: int
    calls: int
    seconds: float
    left_behind: str


def lives_table(lives: Sequence[Life], seconds: float) -> Table:
    """The picture while it happens."""
    table = Table(title=f"Backstop, {seconds:4.1f} s", title_justify="left", expand=True, box=None, pad_edge=False)
    table.add_column("database", width=8)
    table.add_column("what happens", width=28)
    table.add_column("Spanner's backup", width=16)
    table.add_column("", width=24)
    table.add_column("Backstop says", width=24)
    for life in lives:
        bar = ProgressBar(total=100, completed=life.percent, width=24)
        said = Text(life.outcome, style=_COLOURS.get(life.outcome, "red"))
        table.add_row(life.name, life.story, life.state or Text("none", style="dim"), bar, said)
    return table


def endings_table(endings: Sequence[Ending]) -> Table:
    """The summary."""
    table = Table(title="How they ended", title_justify="left", expand=True)
    for heading in ("database", "outcome", "looks", "Spanner calls", "seconds", "left behind"):
        table.add_column(heading, justify="right" if heading in {"looks", "Spanner calls", "seconds"} else "left")
    for ending in endings:
        style = "green" if ending.as_expected else "bold red"
        table.add_row(
            ending.name,
            Text(ending.outcome, style=style),
            str(ending.looks),
            str(ending.calls),
            f"{ending.seconds:.1f}",
            ending.left_behind,
        )
    return table


def write_svg(path: Path, lives: Table, endings: Table) -> None:
    """Draws the same two tables into a file."""
    with path.with_suffix(".tmp").open("w", encoding="utf-8") as sink:
        console = Console(record=True, width=WIDTH, file=sink, force_terminal=True, color_system="truecolor")
        console.print(Group(lives, Text(), endings))
    path.with_suffix(".tmp").unlink()
    path.write_text(console.export_svg(title="make demo"), encoding="utf-8")
