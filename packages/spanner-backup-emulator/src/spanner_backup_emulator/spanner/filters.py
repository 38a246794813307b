"""The filter language of Spanner's lists.

Its fields and operators are documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list, its grammar
at https://google.aip.dev/160. The rules that decide how a filter reads:

- OR binds closer than AND. The documentation's last example, `(A) OR (B) AND (error:*)`, is explained there as "A
or B,
  and an error".
- Two terms side by side are joined by AND.
- Nothing is case-sensitive but the words AND, OR and NOT: neither the names of fields nor the values.
- A comparison with a field that isn't there is false, `!=` included (inferred); NOT turns that round like any
other.
- `field:*` asks whether the field is there.

Google documents that `metadata.@type` must come before other metadata fields. It isn't demanded here, because
gcloud sends `metadata.database:"..."` alone and is answered.
"""

from __future__ import annotations

import enum
import operator
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

NESTING_COUNT_MAX = 50
"""Parentheses and NOTs inside one another: far more than anybody writes, far fewer than Python's stack holds."""

_WORD = re.compile(r"\s*(AND|OR|NOT)(?![\w.@:=!<>])")
_SYMBOL = re.compile(r"\s*([()-])")
_FIELD = re.compile(r"\s*([A-Za-z_][\w.@]*)\s*(<=|>=|!=|<|>|=|:)\s*")
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()"]+)')
_ESCAPE = re.compile(r"\\(.)")
# Google's own Python sample writes months, hours and so on without leading zeros, and the service takes it:
# https://github.com/googleapis/python-spanner/blob/main/samples/samples/backup_sample.py, observed.
_TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})T(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):(\d{2}))",
    re.IGNORECASE,
)

_ORDER: dict[str, Callable[..., bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
}


class FilterError(ValueError):
    """The filter can't be understood; the text says where and why."""


class Kind(enum.Enum):
    """How a field's values are written and compared."""

    TEXT = "text"
    TIME = "time"
    NUMBER = "number"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """A field that a filter may name.

    Attributes:
        kind: How it is compared.
        read: Its value in an item: a text, several texts, a time, a number or a truth, as the kind says; None if it
            has none.
    """

    kind: Kind
    read: Callable[[T], object]


def compile_filter(text: str, field_of: Callable[[str], Field[T] | None]) -> Callable[[T], bool]:
    """Makes a function out of a filter.

    Args:
        text: The filter; blank matches everything.
        field_of: What a path in lower case names.

    Returns:
        Whether an item matches.

    Raises:
        FilterError: It can't be understood.
    """
    parser = _Parser(text, field_of)
    return parser.everything() if text.strip() else lambda _: True


class _Parser(Generic[T]):
    """Reads a filter from left to right, one method for each level of precedence."""

    def __init__(self, text: str, field_of: Callable[[str], Field[T] | None]) -> None:
        self._text = text
        self._field_of = field_of
        self._at = 0
        self._depth = 0

    def everything(self) -> Callable[[T], bool]:
        """The whole text, with nothing left over."""
        found = self._conjunction()
        if rest := self._rest():
            raise FilterError(f"unexpected '{rest}'")
        return found

    def _conjunction(self) -> Callable[[T], bool]:
        terms = [self._disjunction()]
        while self._take(_WORD, "AND") or self._rest()[:1] not in {"", ")"}:
            terms.append(self._disjunction())
        return terms[0] if len(terms) == 1 else lambda item: all(term(item) for term in terms)

    def _disjunction(self) -> Callable[[T], bool]:
        terms = [self._term()]
        while self._take(_WORD, "OR"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else lambda item: any(term(item) for term in terms)

    def _term(self) -> Callable[[T], bool]:
        self._depth += 1
        if self._depth > NESTING_COUNT_MAX:
            raise FilterError("too deeply nested")
        if self._take(_WORD, "NOT") or self._take(_SYMBOL, "-"):
            found = _negation(self._term())
        elif self._take(_SYMBOL, "("):
            found = self._conjunction()
            if not self._take(_SYMBOL, ")"):
                raise FilterError("a parenthesis isn't closed")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Callable[[T], bool]:
        match = _FIELD.match(self._text, self._at)
        if match is None:
            raise FilterError(f"a field and an operator are expected at character {self._at}")
        path, sign = match.groups()
        field = self._field_of(path.casefold())
        if field is None:
            raise FilterError(f"unknown field '{path}'")
        value = _VALUE.match(self._text, match.end())
        if value is None:
            raise FilterError(f"a value is expected at character {match.end()}")
        self._at = value.end()
        quoted, bare = value.groups()
        if bare == "*" and sign == ":":
            return lambda item: bool(field.read(item))
        wanted = bare if quoted is None else _ESCAPE.sub(r"\1", quoted)
        return _comparison(path, field, sign, wanted)

    def _take(self, pattern: re.Pattern[str], token: str) -> bool:
        match = pattern.match(self._text, self._at)
        if match is None or match[1] != token:
            return False
        self._at = match.end()
        return True

    def _rest(self) -> str:
        return self._text[self._at :].strip()


def _negation(inner: Callable[[T], bool]) -> Callable[[T], bool]:
    return lambda item: not inner(item)


def _comparison(path: str, field: Field[T], sign: str, wanted: str) -> Callable[[T], bool]:
    """One comparison, by the field's kind."""
    read = field.read
    if field.kind is Kind.TEXT:
        return _text_comparison(path, read, sign, wanted.casefold())
    if field.kind is Kind.TRUTH and sign not in {":", "=", "!="}:
        raise FilterError(f"'{path}' is true or false and has no order")
    parsed = _PARSERS[field.kind](wanted)
    if parsed is None:
        raise FilterError(f"'{wanted}' is no {field.kind.value} to compare '{path}' with")
    compare = _ORDER[sign]

    def matches(item: T) -> bool:
        value = read(item)
        return value is not None and compare(value, parsed)

    return matches


def _text_comparison(path: str, read: Callable[[T], object], sign: str, wanted: str) -> Callable[[T], bool]:
    """Compares text; of several texts one has to match."""

    def texts(item: T) -> tuple[str, ...]:
        value = read(item)
        several = value if isinstance(value, tuple) else () if value is None else (value,)
        return tuple(str(one).casefold() for one in several)

    if sign == ":":
        return lambda item: any(wanted in one for one in texts(item))
    if sign == "=":
        return lambda item: wanted in texts(item)
    if sign == "!=":
        return lambda item: bool(held := texts(item)) and wanted not in held
    raise FilterError(f"'{path}' is text and has no order")


def _time(text: str) -> datetime | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    *calendar, fraction, sign, offset_h, offset_min = match.groups()
    try:
        year, month, day, hour, minute, second = map(int, calendar)
        when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset = timedelta(hours=int(offset_h or 0), minutes=int(offset_min or 0))
    micros = int((fraction or "0").ljust(6, "0")[:6])
    return when + timedelta(microseconds=micros) + (offset if sign == "-" else -offset)


def _number(text: str) -> int | None:
    return int(text) if text.removeprefix("-").isdecimal() else None


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.casefold())


_PARSERS: dict[Kind, Callable[[str], object]] = {Kind.TIME: _time, Kind.NUMBER: _number, Kind.TRUTH: _truth}
