"""The part of PromQL that the alerts use, over series that a test makes up.

`sum`, `max`, `increase` with a range and an offset, `by`, `>`, `or` and `unless`; anything else is an error.
https://prometheus.io/docs/prometheus/latest/querying/basics/ (documented)
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Vector(dict[str, float]):
    """Values by what tells them apart: the label that was grouped by, or nothing. As in PromQL, `or` binds least."""

    def __gt__(self, limit: float) -> Vector:
        """Those above a limit."""
        return Vector({key: value for key, value in self.items() if value > limit})

    def __sub__(self, other: Vector) -> Vector:
        """Those that the other hasn't got: `unless`."""
        return Vector({} if "" in other else {key: value for key, value in self.items() if key not in other})

    def __or__(self, other: Vector) -> Vector:  # type: ignore[override]  # the first one's values count here
        """Those of either: `or`."""
        return Vector({**other, **self})


Query = Callable[[float], Vector]
"""What a query gives at a time, in seconds."""


class Series(NamedTuple):
    """One time series: since when it has which value, 0 before."""

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]

    def at(self, now: float) -> float:
        """The value at a time."""
        known = bisect.bisect_right(self.times, now)
        return self.values[known - 1] if known else 0.0


def counter(labels: Mapping[str, str], times: Sequence[float]) -> Series:
    """A series that grows by one each time."""
    return Series(labels, times, range(1, len(times) + 1))


World = Mapping[str, Sequence[Series]]
"""The series of each metric."""

_TAKEN = re.compile(
    r"""(?P<all>sum|max) (?: \s by \s \((?P<by>\w+)\) )? \s* \( (?: increase\( )?
    (?P<metric>[\w:]+) \{(?P<matchers>[^}]*)\} (?: \[(?P<span>\w+)\] (?: \s offset \s (?P<offset>\w+) )? \) )? \)""",
    re.VERBOSE,
)
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)",?')


def compiled(text: str, world: World) -> Query:
    """Reads a query, over these series.

    Raises:
        AssertionError: It has something that isn't understood here.
    """
    takes = [_taken(found, world) for found in _TAKEN.finditer(text)]
    numbers = iter(range(len(takes)))
    expression = _TAKEN.sub(lambda _: f"take({next(numbers)})", text).replace("unless", "-").replace(" or ", " | ")
    assert re.fullmatch(r"(take\(\d+\) > \d+|[()|\s-])+", expression), f"not understood: {text}"
    code = compile(expression, text, "eval")
    return lambda now: Vector(eval(code, {"take": lambda number: takes[number](now)}))  # noqa: S307  # as checked above


def _taken(found: re.Match[str], world: World) -> Query:
    by, together = found["by"], max if found["all"] == "max" else sum
    span, offset = _seconds(found["span"]), _seconds(found["offset"])
    groups: dict[str, list[Series]] = {}
    for one in _selected(world[found["metric"]], found["matchers"]):
        groups.setdefault(one.labels[by] if by else "", []).append(one)

    def value(one: Series, now: float) -> float:
        return one.at(now - offset) - one.at(now - offset - span) if span else one.at(now)

    return lambda now: Vector({key: together(value(one, now) for one in several) for key, several in groups.items()})


def _selected(several: Sequence[Series], matchers: str) -> list[Series]:
    assert not _MATCHER.sub("", matchers), f"not understood: {matchers}"
    asked = _MATCHER.findall(matchers)
    return [one for one in several if all(_fits(one.labels.get(name, ""), *it) for name, *it in asked)]


def _fits(value: str, operator: str, wanted: str) -> bool:
    same = re.fullmatch(wanted, value) is not None if "~" in operator else value == wanted
    return same is not operator.startswith("!")


def _seconds(text: str | None) -> float:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]] if text else 0
