"""Google's own messages, raw: what the emulators are asked by, what they keep, and what they answer with.

Raw means plain protobuf, without the wrapper of Google's client libraries (`types.Backup`), which takes five to twenty
times as long; a wrapper's own is `types.Backup.pb(backup)`. They are made at run time, so the type checker knows
nothing of them.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

Message: TypeAlias = Any
"""A raw message, whichever."""

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400


class Classes:
    """The raw classes of some of Google's modules, by their names: `pb.Backup`."""

    def __init__(self, *homes: object) -> None:
        """Takes the modules, the first of which that has a name counts."""
        self._homes = homes

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any class of Google's
        """The class of that name, which is found once."""
        for home in self._homes:
            if name[:1].isupper() and (kind := getattr(home, name, None)) is not None:
                raw = kind.pb() if hasattr(kind, "pb") else kind
                setattr(self, name, raw)
                return raw
        raise AttributeError(name)


def copied(message: T) -> T:
    """A copy that may be changed, and that stays as it is whatever becomes of the message."""
    copy: Message = type(message)()
    copy.CopyFrom(message)
    return copy  # type: ignore[no-any-return] # it is as `message`


def filled(message: Message, defaults: Message) -> Message:
    """A copy that has the default where the message has zero, or nothing."""
    made = copied(defaults)
    for field, _ in message.ListFields():
        made.ClearField(field.name)
    made.MergeFrom(message)
    return made


def set_time(held: Message, when: datetime) -> None:
    """Sets a Timestamp, in a third of the time that assigning the datetime takes."""
    since = when - _EPOCH
    held.seconds, held.nanos = since.days * _DAY_S + since.seconds, since.microseconds * 1000


def stamp(when: datetime) -> Timestamp:
    """A time as messages hold it."""
    made = Timestamp()
    set_time(made, when)
    return made


def time_of(held: Timestamp) -> datetime:
    """A plain time, whole microseconds as the services keep them."""
    return _EPOCH + timedelta(seconds=held.seconds, microseconds=held.nanos // 1000)


def time_in(message: Message, field: str) -> datetime | None:
    """The time in a message's field; None where it isn't set."""
    return time_of(getattr(message, field)) if message.HasField(field) else None
