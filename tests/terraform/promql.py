"""The part of PromQL that the alerts use, over events and levels that a test makes up.

`sum`, `max`, `increase` with a range and an offset, `by`, `>`, `or` and `unless`; anything else is an error.
https://prometheus.io/docs/prometheus/latest/querying/basics/ (documented)
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Query = Callable[[float], Vector]
"""What a query gives at a time, in seconds."""


class Counter(NamedTuple):
    """A series that counts: when it grew, each time by one."""

    labels: Mapping[str, str]
    times: Sequence[float]


class Level(NamedTuple):
    """A series that has a value: since when it has which."""

    labels: Mapping[str, str]
    times: Sequence[float]
    values: Sequence[float]


Series = Mapping[str, Sequence[Counter | Level]]

_TOKEN = re.compile(r'\s*([A-Za-z_][\w:]*|"(?:[^"\\]|\\.)*"|\d+[a-z]?|=~|!~|!=|[{}()\[\],=>])')
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def compiled(text: str, series: Series) -> Query:
    """Reads a query, over these series.

    Raises:
        AssertionError: It has something that isn't understood here.
    """
    reader = _Reader(text, series)
    query = reader.either()
    assert reader.here == "", f"nothing should follow {reader.here!r} in {text}"
    return query


class _Reader:
    def __init__(self, text: str, series: Series) -> None:
        self._tokens: list[str] = [*_TOKEN.findall(text), ""]
        assert "".join(self._tokens) == re.sub(r"\s", "", text), text
        self._series = series
        self._at = 0

    @property
    def here(self) -> str:
        return self._tokens[self._at]

    def take(self, expected: str = "") -> str:
        token = self.here
        assert expected in ("", token), f"{expected!r} should stand where {token!r} does"
        self._at += 1
        return token

    def either(self) -> Query:
        left = self._without()
        while self.here == "or":
            self.take()
            left = _either(left, self._without())
        return left

    def _without(self) -> Query:
        left = self._above()
        while self.here == "unless":
            self.take()
            left = _without(left, self._above())
        return left

    def _above(self) -> Query:
        left = self._term()
        if self.here == ">":
            self.take()
            left = _above(left, float(self.take()))
        return left

    def _term(self) -> Query:
        name = self.take()
        if name == "(":
            inner = self.either()
            self.take(")")
            return inner
        if name in ("max", "sum"):
            by: list[str] = []
            if self.here == "by":
                self.take()
                self.take("(")
                by.append(self.take())
                self.take(")")
            self.take("(")
            inner = self.either()
            self.take(")")
            return _grouped(inner, max if name == "max" else sum, by)
        if name == "increase":
            self.take("(")
            found = self._selected(self.take())
            self.take("[")
            span = _seconds(self.take())
            self.take("]")
            offset = _seconds(self.take()) if self.here == "offset" and self.take() else 0
            self.take(")")
            return _increase([one for one in found if isinstance(one, Counter)], span, offset)
        return _level([one for one in self._selected(name) if isinstance(one, Level)])

    def _selected(self, metric: str) -> list[Counter | Level]:
        matchers: list[tuple[str, str, str]] = []
        self.take("{")
        while self.here != "}":
            matchers.append((self.take(), self.take(), self.take().strip('"')))
            if self.here == ",":
                self.take()
        self.take("}")
        assert metric in self._series, f"there is no metric {metric}"
        return [
            one for one in self._series[metric] if all(_fits(one.labels.get(name, ""), *it) for name, *it in matchers)
        ]


def _fits(value: str, operator: str, wanted: str) -> bool:
    if operator in ("=~", "!~"):
        return (re.fullmatch(wanted, value) is not None) is (operator == "=~")
    return (value == wanted) is (operator == "=")


def _seconds(text: str) -> float:
    return int(text[:-1]) * _UNITS[text[-1]]


def _either(left: Query, right: Query) -> Query:
    return lambda now: {**right(now), **left(now)}


def _without(left: Query, right: Query) -> Query:
    def query(now: float) -> Vector:
        found = left(now)
        taken = right(now) if found else {}
        return {labels: value for labels, value in found.items() if labels not in taken}

    return query


def _above(inner: Query, limit: float) -> Query:
    return lambda now: {labels: value for labels, value in inner(now).items() if value > limit}


def _grouped(inner: Query, together: Callable[[Sequence[float]], float], by: list[str]) -> Query:
    def query(now: float) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, value in inner(now).items():
            groups.setdefault(frozenset(pair for pair in labels if pair[0] in by), []).append(value)
        return {labels: together(values) for labels, values in groups.items()}

    return query


def _increase(found: list[Counter], span: float, offset: float) -> Query:
    counted = [(frozenset(one.labels.items()), one.times) for one in found]

    def query(now: float) -> Vector:
        end, begin = now - offset, now - offset - span
        return {labels: bisect.bisect_right(it, end) - bisect.bisect_right(it, begin) for labels, it in counted}

    return query


def _level(found: list[Level]) -> Query:
    return lambda now: {
        frozenset(one.labels.items()): one.values[at - 1]
        for one in found
        if (at := bisect.bisect_right(one.times, now))
    }
