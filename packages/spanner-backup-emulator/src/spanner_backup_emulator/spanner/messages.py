"""Google's own messages, which are all that the emulator takes, keeps and answers: `messages.Backup(name=…)`.

They are the plain ones of protobuf, not the wrappers of Google's clients (`types.Backup`), because they are quicker; a
wrapper's is `types.Backup.pb(backup)`. They are made at run time, so the type checker knows nothing of them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, TypeAlias

from google.cloud import spanner_admin_database_v1, spanner_admin_instance_v1
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, timestamp_pb2

Message: TypeAlias = Any

TYPE_PREFIX = "type.googleapis.com/"

_HOMES = (spanner_admin_database_v1, spanner_admin_instance_v1, operations_pb2, empty_pb2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any class of Google's
    """The class of that name."""
    return _class_of(name)


@cache
def _class_of(name: str) -> Message:
    for home in _HOMES:
        if name[:1].isupper() and (kind := getattr(home, name, None)) is not None:
            return kind.pb() if hasattr(kind, "pb") else kind
    raise AttributeError(name)


def copied(message: Message) -> Message:
    """A copy, which stays as it is whatever becomes of the message."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def unpacked(envelope: Message) -> Message:
    """The message in an envelope."""
    return _class_of(envelope.type_url.rpartition(".")[2]).FromString(envelope.value)


def stamp(when: datetime) -> timestamp_pb2.Timestamp:
    """A time as messages hold it."""
    since = when - _EPOCH
    return timestamp_pb2.Timestamp(seconds=since.days * _DAY_S + since.seconds, nanos=since.microseconds * 1000)


def time_of(held: timestamp_pb2.Timestamp) -> datetime:
    """A plain time, whole microseconds as the service keeps them."""
    return _EPOCH + timedelta(seconds=held.seconds, microseconds=held.nanos // 1000)


def time_in(message: Message, field: str) -> datetime | None:
    """The time in a message's field; None where it isn't set."""
    return time_of(getattr(message, field)) if message.HasField(field) else None
