"""JSON to types: the only place that reads it, and what it will not take."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from backstop.durations import Duration
from backstop.errors import BadMessageError
from backstop.mistakes import broken_json, explained
from backstop.names import Name

NESTING_MAX = 20
"""Objects and lists within each other: what we read has six at most, and a reader's own limit isn't a fixed one."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_N = TypeVar("_N", bound=Name)


def read(data: bytes, bytes_max: int | None = None, *, by_hand: bool = False) -> dict[str, object]:
    """Reads a JSON object, without the fields that are null.

    Args:
        data: In UTF-8; a byte order mark is dropped.
        bytes_max: How long it may be.
        by_hand: Whether a person may have written it: then it is read twice, as no program names one field twice.

    Raises:
        BadMessageError: It is no JSON object, or one that no message of any kind could be.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data:
        raise BadMessageError("data", "", "must not be empty")
    if bytes_max is not None and len(data) > bytes_max:
        raise BadMessageError("data", f"{len(data)} bytes", f"must have at most {bytes_max} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadMessageError("data", repr(data), "must be UTF-8") from error
    try:
        # A strict reader: it knows no NaN, and no half of a surrogate pair, which no outcome could quote.
        document = _without_nulls(msgspec.json.decode(text))
        if by_hand:
            json.loads(text, object_pairs_hook=_without_doubles)
    except msgspec.DecodeError as error:
        raise BadMessageError("data", text, broken_json(text)) from error
    except RecursionError as error:
        raise BadMessageError("data", text, f"must not be nested more than {NESTING_MAX} deep") from error
    if not isinstance(document, dict):
        raise BadMessageError("data", text, "must be a JSON object")
    return document


def _without_nulls(value: object, depth: int = 0) -> object:
    """Drops every field that is null, which says the same as none; and refuses what is nested beyond all sense."""
    if depth > NESTING_MAX:
        raise RecursionError
    if isinstance(value, dict):
        return {name: _without_nulls(inner, depth + 1) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner, depth + 1) for inner in value]
    return value


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuses an object that names one field twice: which of the two was meant, nobody can know."""
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise BadMessageError(doubled, [value for name, value in pairs if name == doubled], "is given twice")
    return document


def convert(document: object, into: Any) -> Any:  # noqa: ANN401 a union is no type to mypy; the callers say it again
    """Makes what was read a value of a type.

    Raises:
        BadMessageError: It is none; the field that is wrong is named.
    """
    try:
        return msgspec.convert(document, into, dec_hook=_decode_own_type)
    except msgspec.ValidationError as error:
        raise explained(str(error), document) from error


def _decode_own_type(into: type, value: object) -> object:
    if not isinstance(value, str):
        # msgspec's own words for the same mistake.
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")  # noqa: TRY004 msgspec adds the path to it
    if issubclass(into, Name):
        return into(value)
    assert into is Duration  # noqa: S101 there is no third type of ours
    return Duration.parse(value)


def name(kind: type[_N], text: str | None) -> _N | None:
    """A name, if a text is one."""
    try:
        return kind(text or "")
    except ValueError:
        return None
