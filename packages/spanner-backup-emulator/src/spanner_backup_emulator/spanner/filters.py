"""The filter language of Spanner's lists.

Its fields and operators are documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list, its grammar
at https://google.aip.dev/160. The rules that decide how a filter reads:

- OR binds closer than AND. The documentation's last example, `(A) OR (B) AND (error:*)`, is explained there as "A or
  B, and an error".
- Two terms side by side are joined by AND.
- Nothing is case-sensitive but the words AND, OR and NOT: neither the names of fields nor the values.
- A comparison with a field that isn't there is false, `!=` included (inferred); NOT turns that round like any other.
- `field:*` asks whether the field is there.

Which fields of backups may be named is documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list; of an operation's metadata
and response any may be, says the page above. What can be named of an error beyond its presence is inferred.

Google documents that `metadata.@type` must come before other metadata fields. It isn't demanded here, because
gcloud sends `metadata.database:"..."` alone and is answered.
"""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter, eq, ge, gt, le, lt, ne
from typing import Generic, TypeVar

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message, time_of
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.messages import TYPE_PREFIX, pb, unpacked
from spanner_backup_emulator.spanner.work import Resource, Work

T = TypeVar("T")

NESTING_COUNT_MAX = 50
"""Parentheses and NOTs inside one another: far more than anybody writes, far fewer than Python's stack holds."""

FILTER_COUNT_MAX = 1024
"""How many compiled filters are kept: a program sends few different ones, and a test run not many more."""

_NAMED = ("name", "database", "state", "create_time", "expire_time", "version_time", "size_bytes", "backup_schedules")
_MESSAGE: Callable[[Resource], Message] = attrgetter("message")
_METADATA = ("CreateBackup", "CopyBackup", "RestoreDatabase", "OptimizeRestoredDatabase")

_TOKEN = re.compile(r"\s*(?:(AND|OR|NOT)(?![\w.@:=!<>])|([()-]))")
_FIELD = re.compile(r"\s*([A-Za-z_][\w.@]*)\s*(<=|>=|!=|<|>|=|:)\s*")
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s()"]+)')
_ESCAPE = re.compile(r"\\(.)")
# Google's own Python sample writes months, hours and so on without leading zeros, and the service takes it:
# https://github.com/googleapis/python-spanner/blob/main/samples/samples/backup_sample.py, observed.
_TIME = re.compile(r"\d{4}(-\d{1,2}){2}T\d{1,2}(:\d{1,2}){2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE)

_SIGNS: dict[str, Callable[..., bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, ":": eq, "!=": ne}
_TEXT_SIGNS: dict[str, Callable[[tuple[str, ...], str], bool]] = {
    "=": lambda held, wanted: wanted in held,
    ":": lambda held, wanted: any(wanted in one for one in held),
    "!=": lambda held, wanted: bool(held) and wanted not in held,
}
"""Of several texts one has to match."""


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
    """Whether an item matches a filter, or a FilterError.

    A blank filter matches everything. `field_of` says what a path in lower case names.
    """
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, field_of)
    found = parser.conjunction(0)
    if rest := parser.rest():
        raise FilterError(f"unexpected '{rest}'")
    return found


@dataclass(slots=True)
class _Parser(Generic[T]):
    """Reads a filter from left to right, one method for each level of precedence."""

    text: str
    field_of: Callable[[str], Field[T] | None]
    at: int = 0

    def conjunction(self, depth: int) -> Callable[[T], bool]:
        terms = [self._disjunction(depth)]
        while self._take("AND") or self.rest()[:1] not in {"", ")"}:
            terms.append(self._disjunction(depth))
        return lambda item: all(term(item) for term in terms)

    def _disjunction(self, depth: int) -> Callable[[T], bool]:
        terms = [self._term(depth)]
        while self._take("OR"):
            terms.append(self._term(depth))
        return lambda item: any(term(item) for term in terms)

    def _term(self, depth: int) -> Callable[[T], bool]:
        if depth == NESTING_COUNT_MAX:
            raise FilterError("too deeply nested")
        if self._take("NOT") or self._take("-"):
            inner = self._term(depth + 1)
            return lambda item: not inner(item)
        if self._take("("):
            inner = self.conjunction(depth + 1)
            if not self._take(")"):
                raise FilterError("a parenthesis isn't closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Callable[[T], bool]:
        match = _FIELD.match(self.text, self.at)
        if match is None:
            raise FilterError(f"a field and an operator are expected at character {self.at}")
        path, sign = match.groups()
        field = self.field_of(path.casefold())
        if field is None:
            raise FilterError(f"unknown field '{path}'")
        value = _VALUE.match(self.text, match.end())
        if value is None:
            raise FilterError(f"a value is expected at character {match.end()}")
        self.at = value.end()
        quoted, bare = value.groups()
        wanted = bare if quoted is None else _ESCAPE.sub(r"\1", quoted)
        kind, read = field.kind, field.read
        if bare == "*" and sign == ":":
            return lambda item: bool(read(item))
        if kind in _UNORDERED and sign not in _TEXT_SIGNS:
            raise FilterError(f"'{path}' is {_UNORDERED[kind]} and has no order")
        if kind is Kind.TEXT:
            matches, text = _TEXT_SIGNS[sign], wanted.casefold()
            return lambda item: matches(_texts(read(item)), text)
        parsed = _PARSERS[kind](wanted)
        if parsed is None:
            raise FilterError(f"'{wanted}' is no {kind.value} to compare '{path}' with")
        compare = _SIGNS[sign]
        return lambda item: (value := read(item)) is not None and compare(value, parsed)

    def _take(self, token: str) -> bool:
        match = _TOKEN.match(self.text, self.at)
        if match is None or token not in match.groups():
            return False
        self.at = match.end()
        return True

    def rest(self) -> str:
        return self.text[self.at :].strip()


def _texts(value: object) -> tuple[str, ...]:
    several = value if isinstance(value, tuple) else () if value is None else (value,)
    return tuple(str(one).casefold() for one in several)


def _time(text: str) -> datetime | None:
    stamp = pb.Timestamp()
    try:
        stamp.FromJsonString(text.upper() if _TIME.fullmatch(text) else "")
    except ValueError:
        return None
    return time_of(stamp)


_UNORDERED = {Kind.TEXT: "text", Kind.TRUTH: "true or false"}
_PARSERS: dict[Kind, Callable[[str], object]] = {
    Kind.TIME: _time,
    Kind.NUMBER: lambda text: int(text) if text.removeprefix("-").isdecimal() else None,
    Kind.TRUTH: lambda text: {"true": True, "false": False}.get(text.casefold()),
}


@lru_cache(maxsize=FILTER_COUNT_MAX)
def backup_filter(text: str) -> Callable[[Resource], bool]:
    """Whether a backup matches the filter; one that can't be understood is refused."""
    return _compiled(text, lambda path: _field(path, [pb.Backup], _MESSAGE) if path in _NAMED else None)


@lru_cache(maxsize=FILTER_COUNT_MAX)
def operation_filter(text: str) -> Callable[[Work], bool]:
    """Whether an operation, whose percentage is up to date, matches the filter; refuses like `backup_filter`."""
    return _compiled(text, _operation_field)


def _compiled(text: str, field_of: Callable[[str], Field[T] | None]) -> Callable[[T], bool]:
    try:
        return compile_filter(text, field_of)
    except FilterError as error:
        raise refusals.invalid(f"Invalid filter '{text}': {error}") from None


def _operation_field(path: str) -> Field[Work] | None:
    root, _, rest = path.partition(".")
    if path == "error":
        return Field(Kind.TEXT, _error_text)
    if path == "metadata.@type":
        return Field(Kind.TEXT, lambda work: TYPE_PREFIX + work.metadata.DESCRIPTOR.full_name)
    if path == "response.@type":
        return Field(Kind.TEXT, lambda work: work.operation.response.type_url or None)
    if root == "metadata":
        kinds = [getattr(pb, f"{name}Metadata") for name in _METADATA]
        return _field(rest, kinds, lambda work: work.metadata)
    if root == "response":
        return _field(rest, [pb.Backup, pb.Database], lambda work: unpacked(work.operation.response))
    return _field(path, [pb.Operation], lambda work: work.operation)


def _error_text(work: Work) -> str | None:
    error = work.operation.error
    return f"{Code(error.code).name}: {error.message}" if work.operation.HasField("error") else None


def _field(path: str, kinds: list[Message], message_of: Callable[[T], Message]) -> Field[T] | None:
    """The field at a path, if one of several kinds of messages has it."""
    names = path.split(".")
    for kind in kinds:
        inner, field = kind.DESCRIPTOR, None
        for name in names:
            field = inner.fields_by_name.get(name) if inner is not None else None
            inner = field.message_type if field is not None and not field.is_repeated else None
        if field is not None:
            return Field(_kind(field), lambda item: _value(message_of(item), names))
    return None


def _kind(field: Message) -> Kind:
    if field.message_type == pb.Timestamp.DESCRIPTOR:
        return Kind.TIME
    if field.cpp_type in {field.CPPTYPE_INT32, field.CPPTYPE_INT64}:
        return Kind.NUMBER
    return Kind.TRUTH if field.cpp_type == field.CPPTYPE_BOOL else Kind.TEXT


def _value(message: Message, names: list[str]) -> object:
    """What a message holds at a path, as filters compare it; None if there is nothing."""
    value, field = message, message
    for name in names:
        field = value.DESCRIPTOR.fields_by_name.get(name) if value is not None else None
        if field is None or (field.has_presence and not value.HasField(name)):
            return None
        value = getattr(value, name)
    if _kind(field) is Kind.TIME:
        return time_of(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return tuple(value) if field.is_repeated else None if value == "" else value
