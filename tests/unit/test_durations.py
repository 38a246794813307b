"""Durations as people write them, and the times that a message may speak of."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.durations import Duration, duration_text


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("6h", timedelta(hours=6)),
        ("14d", timedelta(days=14)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("0s", timedelta(0)),
        ("90m", timedelta(minutes=90)),
        ("007s", timedelta(seconds=7)),
    ],
)
def test_a_duration_is_the_sum_of_its_numbers_and_units(text: str, duration: timedelta) -> None:
    """Each unit stands for what it says."""
    assert Duration.parse(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "5", "s", "-5s", "+5s", "5 s", "5S", "1.5h", "30m1h", "5s5s", "1w", "5s ", "5s\n", "PT5S", "1_0s"),
        *("٣s", "999999999d999999999h"),
    ],
)
def test_any_other_text_is_no_duration(text: str) -> None:
    """A form that people might read differently is refused, and so is one that is longer than Python can count."""
    with pytest.raises(ValueError, match="such as 45s, 30m"):
        Duration.parse(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=99_999_999)))
def test_a_duration_that_is_written_reads_the_same_but_for_parts_of_a_second(duration: timedelta) -> None:
    """The text of a duration parses back to it, in whole seconds."""
    text = duration_text(duration)

    assert Duration.parse(text) == timedelta(seconds=duration // timedelta(seconds=1))
    assert str(Duration.parse(text)) == text


@given(st.text(alphabet="0123456789dhms -.", max_size=30))
def test_parsing_ends_in_a_duration_or_in_a_value_error(text: str) -> None:
    """No text makes the parser fail in another way."""
    with suppress(ValueError):
        assert Duration.parse(text) >= timedelta(0)
