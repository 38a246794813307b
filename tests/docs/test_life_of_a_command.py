"""The page for newcomers lists the files that a message passes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from backstop.dispatch import receive
from backstop.events import Outcome
from backstop.execute import Report
from backstop.wire import Delivery
from tests.simulation import world
from tests.simulation.catalogue import SCENARIOS
from tests.simulation.run import run

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "life-of-a-command.md").read_text(encoding="utf-8")
FILES_MAX = 12
"""What a newcomer can keep in mind."""

LOST_RACE = "a cancel loses the race"
"""A scenario with a cancel by database, and with a poll that deletes."""


def listed(section: str) -> list[str]:
    """The files that a section's table names, in order; `main.py`, which calls the others, comes first."""
    table = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| \d+ \| \[`([\w./]+)`\]", table, re.MULTILINE)


def left_out() -> set[str]:
    """The files that the page leaves out: those of types, and those on the way to Google."""
    names = re.findall(r"`(\w+)(?:\.py)?`", PAGE.partition("**Types**")[2].partition("\n## ")[0])
    return {f"backstop/{name}.py" for name in names}


class Trace:
    """Stands where the simulation enters the function, and notes which files each delivery passes."""

    def __init__(self) -> None:
        self.passed: dict[Outcome, list[str]] = {}

    def receive(self, *arguments: Any) -> tuple[Delivery, Report]:  # noqa: ANN401 it only hands them on
        """Handles a delivery, with notes."""
        files: dict[str, None] = {}

        def note(frame: FrameType, event: str, _: object) -> None:
            file = Path(frame.f_code.co_filename)
            # Whoever has the context in hand may publish, schedule or read a backup with it.
            if event == "call" and file.parent == ROOT / "backstop" and "Context." not in frame.f_code.co_qualname:
                files.setdefault(f"backstop/{file.name}")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            delivery, report = receive(*arguments)
        finally:
            sys.setprofile(before)
        for event in report.events:
            self.passed[event.outcome] = list(files)
        return delivery, report


@pytest.mark.parametrize(
    ("section", "outcome"),
    [("A cancel by database", Outcome.CANCEL_REQUESTED), ("A poll that deletes", Outcome.COMPLETED_THEN_DELETED)],
)
def test_a_message_passes_the_files_that_the_page_lists(
    section: str, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are called for the first time in the page's order, and no other is called but those it leaves out."""
    trace = Trace()
    monkeypatch.setattr(world, "receive", trace.receive)
    run(SCENARIOS[LOST_RACE])

    assert ["main.py", *(file for file in trace.passed[outcome] if file not in left_out())] == listed(section)


@pytest.mark.parametrize("section", ["A cancel by database", "A poll that deletes"])
def test_a_message_passes_few_files_and_none_twice(section: str) -> None:
    """A newcomer reads each of them once."""
    files = listed(section)

    assert 0 < len(set(files)) == len(files) <= FILES_MAX
