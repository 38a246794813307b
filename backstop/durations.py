"""Durations as people write them, `45s`, `30m`, `6h`, `14d`, `1h30m`, and which times a message may speak of."""

import re
from datetime import UTC, datetime, timedelta
from typing import Self

from backstop.errors import BadMessageError

# The times that a message may speak of: older than Spanner, and so far from the last year that Python knows that no sum
# of a time and our longest durations passes it.
TIME_MIN, TIME_MAX = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
# Eight digits of each unit stay within what a timedelta can hold.
_TEXT = re.compile(r"(?:([0-9]{1,8})d)?(?:([0-9]{1,8})h)?(?:([0-9]{1,8})m)?(?:([0-9]{1,8})s)?")


class Duration(timedelta):
    """A length of time, whole seconds, never negative, that can be read from a message and written into one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads one or more numbers with their units, the largest unit first; a ValueError says what is right."""
        match = _TEXT.fullmatch(text)
        if not text or match is None:
            raise ValueError("must be a duration such as 45s, 30m, 6h, 14d or 1h30m")
        return cls(
            seconds=sum(int(number or 0) * unit for number, (_, unit) in zip(match.groups(), _UNITS, strict=True))
        )

    def __str__(self) -> str:
        """The shortest text that `parse` reads back to the same duration."""
        return duration_text(self)


def duration_text(duration: timedelta) -> str:
    """Writes a duration the way `Duration.parse` reads it; parts of a second are dropped."""
    left, text = duration // timedelta(seconds=1), ""
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def check_time(field: str, value: datetime) -> None:
    """Refuses a time without a zone, or outside the years above: nothing may be compared with it or added to it."""
    if value.tzinfo is None or not TIME_MIN <= value < TIME_MAX:
        reason = f"must be a time with its zone, in the years {TIME_MIN.year} to {TIME_MAX.year - 1}"
        raise BadMessageError(field, value.isoformat(), reason)
