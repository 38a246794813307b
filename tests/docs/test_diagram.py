"""What the documentation shows of the code's tables is in the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.diagram import PAGES, fresh, page_with

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_generated_parts_of_a_page_are_fresh(page: Path) -> None:
    """`make diagram` would change nothing."""
    assert fresh(page) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_stale_part_is_noticed(page: Path) -> None:
    """A part that was changed by hand is not what the generator writes."""
    for name, part in PAGES[page].items():
        stale = page_with(page.read_text(encoding="utf-8"), {name: part().replace("COMPLETED_KEPT", "FAILED")})

        assert page_with(stale, {name: part()}) != stale


def test_a_page_without_a_place_for_a_part_is_refused() -> None:
    """Else nobody would notice that a part is missing."""
    with pytest.raises(ValueError, match="no place for guards"):
        page_with("nothing generated here", {"guards": ""})
