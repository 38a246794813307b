"""Google's own messages, raw: what the emulator is asked by, what it keeps, and what it answers with.

Raw means without the wrapper of the client library, which takes some five times as long. A message that the state
keeps never changes: a changed copy takes its place. So an answer may be the state's own message, and stays as it is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

from google.cloud.tasks_v2 import types
from google.protobuf import empty_pb2, field_mask_pb2
from google.rpc import status_pb2

Message: TypeAlias = Any
"""A raw message; Google ships no annotations of their fields."""

Empty, FieldMask, Status = empty_pb2.Empty, field_mask_pb2.FieldMask, status_pb2.Status

METHODS = {int(method): method.name for method in types.HttpMethod.__members__.values() if method}
"""The HTTP methods by their numbers."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def __getattr__(name: str) -> Message:
    """The class of the messages of that name, such as `Task` or `GetTaskRequest`."""
    raw = globals()[name] = getattr(types, name).pb()
    return raw


def copied(message: Message) -> Message:
    """A copy that may still be changed."""
    made = type(message)()
    made.CopyFrom(message)
    return made


def filled(message: Message, defaults: Message) -> Message:
    """A copy that has the default where the message has zero, or nothing."""
    made = copied(defaults)
    for field, _ in message.ListFields():
        made.ClearField(field.name)
    made.MergeFrom(message)
    return made


def time_of(stamp: Message) -> datetime:
    """The time that a Timestamp says, to the microsecond, as the service cuts it."""
    time: datetime = stamp.ToDatetime(UTC)
    return time


def set_time(stamp: Message, time: datetime) -> None:
    """Sets a Timestamp, in a third of the time that assigning the datetime takes."""
    since = time - _EPOCH
    stamp.seconds, stamp.nanos = since.days * 86_400 + since.seconds, since.microseconds * 1000
