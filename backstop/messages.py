"""Bytes to frozen types and back: the only place that knows JSON.

Two layers. A *delivery* is the envelope that Pub/Sub or Eventarc posts; the *message* is what somebody wrote into it.
What can't be understood ends in a `BadMessageError` that names the field and the value, and never in anything else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from backstop.commands import Command
from backstop.durations import Duration
from backstop.errors import BadMessageError
from backstop.follow_ups import VERSION, FollowUp
from backstop.names import Name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstop.results import Result

COMMAND_BYTES_MAX = 10_000
"""A command is a few lines that a person wrote; more than this is a mistake or an attack."""

FOLLOW_UP_BYTES_MAX = 250_000
"""Encoded for its task it is a third longer, far below Cloud Tasks' limit of 1 MB.

https://cloud.google.com/tasks/docs/quotas (documented)
"""

KIND_ATTRIBUTE = "backstop-kind"
KIND_FOLLOW_UP = "follow-up"

_EVENTARC_SOURCE = "//pubsub.googleapis.com/"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it arrived.

    Attributes:
        data: What the publisher wrote; empty if nothing.
        attributes: The message's attributes.
        message_id: Pub/Sub's id; empty if the envelope had none.
        publish_time: When Pub/Sub accepted it.
        topic: The topic it came from, in full; empty if the push URL doesn't say.
        delivery_attempt: Counted from 1; None where the subscription has no dead-letter policy.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    message_id: str = ""
    publish_time: datetime = _EPOCH
    topic: str = ""
    delivery_attempt: int | None = None

    @property
    def is_follow_up(self) -> bool:
        """Whether it claims to be the function's own."""
        return self.attributes.get(KIND_ATTRIBUTE) == KIND_FOLLOW_UP


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """https://cloud.google.com/pubsub/docs/push#receive_push (documented)."""

    data: str = ""
    attributes: dict[str, str] | None = None
    message_id: str = ""
    publish_time: Annotated[datetime, msgspec.Meta(tz=True)] = _EPOCH


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    message: _Message
    delivery_attempt: int | None = None


# What msgspec needs to know of a type it works out at its first use, and two threads that do so at once crash the
# process (seen with 0.22.0 on Python 3.11). So it is worked out here, while there is one thread.
for _kind in (_Envelope, Command, FollowUp):
    msgspec.json.Decoder(_kind)


def parse_delivery(body: bytes, path: str, headers: Mapping[str, str]) -> Delivery:
    """Reads what was posted to the function.

    Both forms are understood: a raw push, whose topic is the URL's path, and Eventarc's CloudEvent with the push in
    it, whose topic is the event's source.

    Args:
        body: The request's body.
        path: The URL's path.
        headers: The request's headers, their names in lower case.

    Raises:
        BadMessageError: The request is no push. Whoever set the subscription up should correct it.
    """
    document = _document(body)
    source = headers.get("ce-source") or ""
    if isinstance(document, dict) and "specversion" in document:
        source = str(document.get("source", ""))
        document = document.get("data")
    envelope: _Envelope = _convert(document, _Envelope)
    topic = source.removeprefix(_EVENTARC_SOURCE) if source else path.strip("/")
    message = envelope.message
    try:
        data = base64.b64decode(message.data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessageError("message.data", message.data, "must be base64") from error
    try:
        publish_time = message.publish_time.astimezone(UTC)
    except OverflowError as error:
        raise BadMessageError("message.publishTime", str(message.publish_time), "must be a time in UTC") from error
    return Delivery(
        data=data,
        attributes=message.attributes or {},
        message_id=message.message_id,
        publish_time=publish_time,
        topic=topic,
        delivery_attempt=envelope.delivery_attempt,
    )


def parse_command(data: bytes) -> Command:
    """Reads a command.

    Raises:
        BadMessageError: It is no command. Whoever published it should correct the field that is named.
    """
    command: Command = _convert(_document(data, COMMAND_BYTES_MAX, by_hand=True), Command)
    return command


def parse_follow_up(data: bytes) -> FollowUp:
    """Reads a follow-up.

    Fields of a follow-up that this revision doesn't know are ignored, as a newer one of the same version may have
    written them while a roll-out was under way. A command inside is held to its own form: what a field of it would
    have meant, this revision can't know.

    Raises:
        BadMessageError: It is no follow-up of a version that this revision knows.
    """
    document = _document(data, FOLLOW_UP_BYTES_MAX)
    version = document.get("v") if isinstance(document, dict) else None
    if version != VERSION:
        raise BadMessageError("v", version, f"must be {VERSION}, the version of follow-ups known here")
    follow_up: FollowUp = _convert(document, FollowUp)
    return follow_up


def encode_follow_up(follow_up: FollowUp) -> bytes:
    """Writes a follow-up the way `parse_follow_up` reads it."""
    document = msgspec.to_builtins(follow_up, enc_hook=str)
    return msgspec.json.encode({**document, "v": VERSION})


def encode_result(result: Result, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Writes an outcome as a CloudEvent in Pub/Sub's binary mode.

    https://github.com/google/knative-gcp/blob/main/docs/spec/pubsub-protocol-binding.md (documented)

    Returns:
        The data and the attributes of the message.
    """
    source = re.match(r"projects/[^/]+/instances/[^/]+", result.subject)
    attributes = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": result.event_id,
        "ce-type": result.event_type,
        "ce-source": "//spanner.googleapis.com/" + (source.group() if source else ""),
        "ce-subject": result.subject,
        "ce-time": now.isoformat(),
    }
    return msgspec.json.encode(result, enc_hook=str), attributes


def _document(data: bytes, bytes_max: int | None = None, *, by_hand: bool = False) -> object:
    """Reads JSON. What a person may have written is read twice, as no program names a field twice in one object."""
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
        document = msgspec.json.decode(text)
        if by_hand:
            json.loads(text, object_pairs_hook=_without_doubles)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadMessageError("data", text, "must be JSON") from error
    if not isinstance(document, dict):
        raise BadMessageError("data", text, "must be a JSON object")
    return document


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuses an object that names one field twice: which of the two was meant, nobody can know."""
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise BadMessageError(doubled, [value for name, value in pairs if name == doubled], "is given twice")
    return document


def _convert(document: object, into: Any) -> Any:  # noqa: ANN401 a union is no type to mypy; the callers say it again
    try:
        return msgspec.convert(document, into, dec_hook=_decode_own_type)
    except msgspec.ValidationError as error:
        raise _explained(str(error), document) from error


def _decode_own_type(into: type, value: object) -> object:
    if not isinstance(value, str):
        # msgspec's own words for the same mistake.
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")  # noqa: TRY004 msgspec adds the path to it
    if issubclass(into, Name):
        return into(value)
    assert into is Duration  # noqa: S101 there is no third type of ours
    return Duration.parse(value)


def _explained(text: str, document: object) -> BadMessageError:
    """Turns msgspec's sentence into the field, the value and the reason."""
    reason, _, path = text.partition(" - at `$")
    path = path.strip("`").removeprefix(".")
    unknown = re.search(r"(unknown|missing required) field `(.+)`", reason)
    if unknown:
        path = f"{path}.{unknown[2]}".removeprefix(".")
        reason = "there is no such field" if unknown[1] == "unknown" else "must be given"
    return BadMessageError(path or "data", _value_at(document, path), reason)


def _value_at(document: object, path: str) -> object:
    """What stands at a path such as `encryption.kms_key_names[0]`; None if nothing does."""
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
