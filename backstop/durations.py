"""Durations as people write them: `45s`, `30m`, `6h`, `14d`, `1h30m`."""

import re
from datetime import timedelta
from typing import Self

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
# Eight digits of each unit stay within what a timedelta can hold.
_TEXT = re.compile("".join(f"(?:([0-9]{{1,8}}){unit})?" for unit, _ in _UNITS))


class Duration(timedelta):
    """A length of time, whole seconds, never negative, that can be read from a message and written into one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads one or more numbers with their units, the largest unit first; a ValueError says what is right."""
        match = _TEXT.fullmatch(text)
        if not text or match is None:
            raise ValueError("must be a duration such as 45s, 30m, 6h, 14d or 1h30m")
        counts = zip(match.groups(), _UNITS, strict=True)
        return cls(seconds=sum(int(count or 0) * size for count, (_, size) in counts))

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
