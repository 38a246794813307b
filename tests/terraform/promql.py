"""The part of PromQL that the alerts use, over series that a test makes up.

`sum`, `max`, `increase` with a range and an offset, `by`, `>`, `or` and `unless`; anything else is an error.
https://prometheus.io/docs/prometheus/latest/querying/basics/ (documented)
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Vector = dict[str, float]
"""Values by what tells them apart: the label that was grouped by, or nothing."""

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

_TOKEN = re.compile(
    r"""\s*(?: (?P<all>sum|max) (?: \s by \s \((?P<by>\w+)\) )? \s* \(
    (?: \s* increase\( (?P<counter>[\w:]+) \{(?P<counted>[^}]*)\}
        \[(?P<span>\w+)\] (?: \s offset \s (?P<offset>\w+) )? \)
      | (?P<level>[\w:]+) \{(?P<levelled>[^}]*)\} ) \)
    | > \s (?P<limit>\d+) | (?P<word>unless|or|\(|\)) )""",
    re.VERBOSE,
)
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)",?')


def compiled(text: str, world: World) -> Query:
    """Reads a query, over these series.

    Raises:
        AssertionError: It has something that isn't understood here.
    """
    tokens = list(_TOKEN.finditer(text))
    assert "".join(token[0] for token in tokens) == text, f"not understood: {text}"
    query = _either(tokens, world)
    assert not tokens, f"nothing should follow in {text}"
    return query


def _next(tokens: list[re.Match[str]], word: str) -> bool:
    """Takes a word, if it is the next."""
    if tokens and tokens[0]["word"] == word:
        tokens.pop(0)
        return True
    return False


def _either(tokens: list[re.Match[str]], world: World) -> Query:
    parts = [_without(tokens, world)]
    while _next(tokens, "or"):
        parts.append(_without(tokens, world))
    return lambda now: {key: value for part in reversed(parts) for key, value in part(now).items()}


def _without(tokens: list[re.Match[str]], world: World) -> Query:
    parts = [_above(tokens, world)]
    while _next(tokens, "unless"):
        parts.append(_above(tokens, world))
    first, *others = parts

    def query(now: float) -> Vector:
        taken = {key for other in others for key in other(now)}
        return {} if "" in taken else {key: value for key, value in first(now).items() if key not in taken}

    return query


def _above(tokens: list[re.Match[str]], world: World) -> Query:
    if _next(tokens, "("):
        inner = _either(tokens, world)
        assert _next(tokens, ")")
        return inner
    inner = _grouped(tokens.pop(0), world)
    limit = float(tokens.pop(0)["limit"])
    return lambda now: {key: value for key, value in inner(now).items() if value > limit}


def _grouped(token: re.Match[str], world: World) -> Query:
    by, together = token["by"], max if token["all"] == "max" else sum
    span, offset = _seconds(token["span"]), _seconds(token["offset"])
    metric, matchers = token["counter"] or token["level"], token["counted"] or token["levelled"]
    groups: dict[str, list[Series]] = {}
    for one in _selected(world[metric], matchers):
        groups.setdefault(one.labels[by] if by else "", []).append(one)

    def value(one: Series, now: float) -> float:
        return one.at(now - offset) - one.at(now - offset - span) if span else one.at(now)

    return lambda now: {key: together(value(one, now) for one in several) for key, several in groups.items()}


def _selected(several: Sequence[Series], matchers: str) -> list[Series]:
    assert not _MATCHER.sub("", matchers), f"not understood: {matchers}"
    asked = _MATCHER.findall(matchers)
    return [one for one in several if all(_fits(one.labels.get(name, ""), *it) for name, *it in asked)]


def _fits(value: str, operator: str, wanted: str) -> bool:
    same = re.fullmatch(wanted, value) is not None if "~" in operator else value == wanted
    return same is not operator.startswith("!")


def _seconds(text: str | None) -> float:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]] if text else 0
