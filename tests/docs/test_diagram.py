"""What the documentation shows of the code's tables is generated from them."""

from pathlib import Path

import pytest

from backstop.events import Outcome
from backstop.lifecycle import GUARDS, TRANSITIONS
from tools.diagram import BEGIN, END, PAGES, page_with


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_part_of_a_page_is_what_the_generator_writes_today(page: Path) -> None:
    """The page has its markers once each, and between them exactly that; `make diagram` brings it up to date."""
    text = page.read_text(encoding="utf-8")

    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    assert page_with(text, PAGES[page]()) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_stale_page_is_noticed(page: Path) -> None:
    """A line that was changed by hand is not what the generator writes."""
    text = page.read_text(encoding="utf-8")
    line = PAGES[page]().splitlines()[-2]
    assert line in text

    assert page_with(text.replace(line, line + "x"), PAGES[page]()) == text


def test_every_state_and_every_outcome_is_shown() -> None:
    """None is left out of the drawing or of the table."""
    drawing, table = (generate() for generate in PAGES.values())

    assert {line.split()[0] for line in drawing.splitlines() if "-->" in line} >= set(TRANSITIONS)
    page = next(iter(PAGES)).read_text(encoding="utf-8")
    assert {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("|")} >= set(TRANSITIONS)
    assert {line.split("`")[1] for line in table.splitlines() if "`" in line} == set(Outcome)


def test_every_guard_is_listed_with_its_outcome() -> None:
    """The page about the lifecycle has them in the order in which they are asked."""
    page = next(iter(PAGES)).read_text(encoding="utf-8")
    rows = [f"| {guard.name} | `{guard.outcome}` |" for guard in GUARDS]

    assert "\n".join(rows) in page
