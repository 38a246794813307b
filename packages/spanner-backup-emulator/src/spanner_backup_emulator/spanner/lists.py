"""What lists may be asked for: the fields that their filters may name, and their pages.

Backups, of which some fields may be named:
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list, documented.
Operations: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list,
documented, where "any field" of the metadata and of the response may be named. What can be named of an error beyond
its presence is inferred.
"""

from __future__ import annotations

import operator
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message, time_of
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.filters import Field, FilterError, Kind, compile_filter
from spanner_backup_emulator.spanner.messages import TYPE_PREFIX, pb, unpacked
from spanner_backup_emulator.spanner.work import Resource, Work

T = TypeVar("T")
N = TypeVar("N", Resource, Work)

PAGE_SIZE_MAX = 1000
"""How many items a page holds when the client names no number, or a larger one (inferred: Google names none)."""

FILTER_COUNT_MAX = 1024
"""How many compiled filters are kept: a program sends few different ones, and a test run not many more."""

_TIME = "google.protobuf.Timestamp"
_OF_BACKUPS = frozenset(
    ["name", "database", "state", "create_time", "expire_time", "version_time", "size_bytes", "backup_schedules"]
)
_METADATA = ("CreateBackup", "CopyBackup", "RestoreDatabase", "OptimizeRestoredDatabase")


def under(held: dict[str, N], prefix: str) -> list[N]:
    """What is held by a name that begins so, newest first."""
    return [one for name, one in reversed(held.items()) if name.startswith(prefix)]


def page_of(
    items: Iterable[N],
    request: Message,
    scope: str,
    answer: Message,
    shown: Callable[[N], Message] = operator.attrgetter("message"),
) -> Message:
    """Cuts one page out of a list, newest first, and answers with it.

    A token holds where the page before ended, not how many items came before it, so what starts or vanishes between
    two pages neither repeats nor skips an item.

    Args:
        items: Everything that the list holds now.
        request: Has the page's size, of which 0 or less means the maximum, and its token.
        scope: The parent and the filter. A token is good for the same ones only, as
            https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/list documents.
        answer: The class of the answer, of which the first field is the list.
        shown: What the client sees of an item.

    Raises:
        ApiError: INVALID_ARGUMENT for a token that was not made here, or was made for another list.
    """
    mark = f"{zlib.crc32(scope.encode()):08x}"
    if request.page_token:
        number, _, token_mark = request.page_token.partition("-")
        if token_mark != mark or not number.isdecimal():
            raise refusals.invalid(f"Invalid page token: {request.page_token}")
        last = int(number)
        items = (item for item in items if item.uid < last)
    size = request.page_size if 0 < request.page_size <= PAGE_SIZE_MAX else PAGE_SIZE_MAX
    found = list(islice(items, size + 1))
    token = f"{found[size - 1].uid}-{mark}" if len(found) > size else ""
    return answer(**{answer.DESCRIPTOR.fields[0].name: map(shown, found[:size])}, next_page_token=token)


@lru_cache(maxsize=FILTER_COUNT_MAX)
def backup_filter(text: str) -> Callable[[Resource], bool]:
    """Whether a backup matches the filter.

    Raises:
        ApiError: INVALID_ARGUMENT for a filter that can't be understood.
    """
    return _compiled(text, _backup_field)


@lru_cache(maxsize=FILTER_COUNT_MAX)
def operation_filter(text: str) -> Callable[[Work], bool]:
    """Whether an operation, whose percentage is up to date, matches the filter; refuses as that of backups does."""
    return _compiled(text, _operation_field)


def _compiled(text: str, field_of: Callable[[str], Field[T] | None]) -> Callable[[T], bool]:
    try:
        return compile_filter(text, field_of)
    except FilterError as error:
        raise refusals.invalid(f"Invalid filter '{text}': {error}") from None


def _backup_field(path: str) -> Field[Resource] | None:
    return _field(path, [pb.Backup], lambda backup: backup.message) if path in _OF_BACKUPS else None


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
        return _field(rest, [pb.Backup, pb.Database], _response)
    return _field(path, [pb.Operation], lambda work: work.operation)


def _response(work: Work) -> Message:
    return unpacked(work.operation.response) if work.operation.HasField("response") else None


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
    if field.message_type is not None and field.message_type.full_name == _TIME:
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
