"""Bytes to frozen types and back: the only code that reads JSON.

A *delivery* is what Pub/Sub or Eventarc posts; the *message* is what somebody wrote into it. What can't be understood
ends in a `BadMessageError` that names the field and the value, and never in anything else.

What a delivery is, its path and its headers say, and never its body, which its publisher may have written:

| posted | path | headers | who wrote the body |
|---|---|---|---|
| a push | the topic, as the subscription was set up | Pub/Sub's own | Pub/Sub, around the data |
| an unwrapped push, with metadata | the same | `x-goog-pubsub-*`, and the attributes as they are | the publisher |
| an unwrapped push, without | the same | Pub/Sub's own | the publisher |
| an event of Eventarc's | `/`, as a rule | `ce-source` names the topic | Eventarc, around a push |

So the topic is the path's, wherever the path names one, and else that of the header `ce-source`; but among an unwrapped
push's metadata that is an attribute, which a publisher made up. An event in structured mode names its source in the
body: that tells one topic from another, and never makes a follow-up.
https://cloud.google.com/pubsub/docs/payload-unwrapping (documented)
https://cloud.google.com/eventarc/docs/cloudevents (documented: binary mode, posted to `/`)
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec

from backstop.commands import Command
from backstop.durations import Duration, duration_text
from backstop.errors import BadMessageError, shortened
from backstop.events import ATTRIBUTE_BYTES_MAX, Event, on_behalf_of
from backstop.followups import VERSION, FollowUp
from backstop.mistakes import FIELDS, broken_json, explained
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName, TopicName, unquoted

COMMAND_BYTES_MAX = 10_000  # A command is a few lines that a person wrote; more is a mistake or an attack.
NESTING_MAX = 20  # Objects and lists within each other: what we read has six, and a reader's own limit isn't fixed.
NUMBER_MAX = 1_000_000_000  # Of a count or of seconds: 31 years, which added to any time below still is a time.
MESSAGE_ID_BYTES_MAX = 200  # Pub/Sub's have some 20 digits; other programs that speak for it use UUIDs and the like.

# Encoded for its task it is a third longer, far below Cloud Tasks' limit of 1 MB.
# https://cloud.google.com/tasks/docs/quotas (documented)
FOLLOW_UP_BYTES_MAX = 250_000

# How old a message can be, as Pub/Sub holds none for longer, and how far our clock may be behind.
# https://cloud.google.com/pubsub/docs/topic-properties (documented: 31 days)
KEPT_MAX, AHEAD_MAX = timedelta(days=31), timedelta(days=1)

# The times that a message may speak of: nothing of Spanner's is older, and no sum with a duration leaves Python's.
TIME_MIN, TIME_MAX = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)

KIND_ATTRIBUTE, KIND_FOLLOW_UP = "backstop-kind", "follow-up"
TYPE_ATTRIBUTE, TYPE_PREFIX = "ce-type", "backstop.backup."

_EVENTARC_SOURCE = "//pubsub.googleapis.com/"
_METADATA = "x-goog-pubsub-"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# What a message may claim to be about; and such a field and its text, in JSON or in what was meant to be JSON.
_CLAIMED = {"operation": OperationName, "backup": BackupName, "database": DatabaseName, "instance": InstanceName}
_CLAIM = re.compile(rf"""["']?\b(action|{"|".join(_CLAIMED)})["']?\s*:\s*["']([^"']*)["']""")

NO_PUSH = (
    "must be a push of Pub/Sub's or an event of Eventarc's; a subscription with payload unwrapping must write its "
    "metadata (noWrapper.writeMetadata), or a message has neither an id nor a time"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it arrived."""

    data: bytes  # What the publisher wrote; empty if nothing.
    attributes: Mapping[str, str] = field(default_factory=dict)
    message_id: str = ""  # Pub/Sub's id, or a hash of what arrived without one.
    publish_time: datetime = datetime(1970, 1, 1, tzinfo=UTC)  # Or when what says no such time arrived.
    topic: str = ""  # The topic it came from, in full; or the path, if nothing names a topic.
    delivery_attempt: int | None = None  # From 1; None where the subscription has no dead-letter policy.
    mistake: BadMessageError | None = None  # What is wrong with the envelope.

    @property
    def is_follow_up(self) -> bool:
        """Whether it claims to be the function's own."""
        return self.attributes.get(KIND_ATTRIBUTE) == KIND_FOLLOW_UP

    @property
    def is_event(self) -> bool:
        """Whether it is an event of this function's or of another one's: to answer it with one would never end."""
        return self.attributes.get(TYPE_ATTRIBUTE, "").startswith(TYPE_PREFIX)


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    """https://cloud.google.com/pubsub/docs/push#receive_push (documented)."""

    data: bytes = b""
    attributes: dict[str, str] = {}
    message_id: str = ""
    publish_time: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    message: _Message
    delivery_attempt: int | None = None


_Time = Annotated[datetime, msgspec.Meta(tz=True)]

# What msgspec needs to know of a type it works out at its first use, and two threads that do so at once crash the
# process (seen with 0.22.0 on Python 3.11). So it is worked out here, while there is one thread.
for _kind in (_Envelope, Command, FollowUp, _Time):
    msgspec.json.Decoder(_kind)


def parse_delivery(body: bytes, path: str, headers: Mapping[str, str], now: datetime) -> Delivery:
    """Reads what was posted to the function at a path, with headers whose names are in lower case.

    What is wrong with the envelope, whoever set the subscription up should correct. Such a delivery has the message's
    id all the same, if there is one, and otherwise a hash: of the body, so that it is the same when it is delivered
    again; and where no envelope tells two equal messages apart, of the time too.
    """
    topic = shortened(unquoted(path.strip("/")), ATTRIBUTE_BYTES_MAX)
    try:
        envelope, source = _envelope(body, headers)
    except BadMessageError as error:
        told_apart_by = now.isoformat().encode() if error.reason == NO_PUSH else b""
        return Delivery(b"", {}, _hashed(body + told_apart_by), now, topic, mistake=error)
    message, mistake = envelope.message, None
    message_id, publish_time = message.message_id, _publish_time(message.publish_time, now)
    if publish_time is None:
        reason = f"must be the time of publishing, {duration_text(KEPT_MAX)} before to {duration_text(AHEAD_MAX)} after"
        mistake = BadMessageError("message.publishTime", message.publish_time, f"{reason} {now.isoformat()}")
    if not 0 < len(message_id.encode()) <= MESSAGE_ID_BYTES_MAX:
        mistake = BadMessageError("message.messageId", message_id, f"must have 1 to {MESSAGE_ID_BYTES_MAX} bytes")
        # Not of the body, in which each delivery is counted.
        message_id = _hashed(message.data + message.publish_time.encode())
    topic = source if source and not TopicName.fits(topic) else topic
    attempt = envelope.delivery_attempt or None
    return Delivery(message.data, message.attributes, message_id, publish_time or now, topic, attempt, mistake)


def trace_name(headers: Mapping[str, str], project: str) -> str:
    """The full name of the trace that Cloud Run started for a request; empty without one.

    https://cloud.google.com/trace/docs/trace-context (documented)
    """
    context = headers.get("x-cloud-trace-context", "")
    trace = context.partition("/")[0] or headers.get("traceparent", "").partition("-")[2].partition("-")[0]
    return f"projects/{project}/traces/{trace}" if trace and project else ""


def parse_command(data: bytes) -> Command:
    """Reads a command. Whoever published what is none should correct the field that the error names."""
    command: Command = _convert(_read(data, COMMAND_BYTES_MAX, by_hand=True), Command)
    _check_figures(command)
    return command


def claims(data: bytes) -> dict[str, str]:
    """What a message says that it is about which is no command: each field it gives once and in its right form."""
    found: dict[str, str] = {}
    for name, text in _CLAIM.findall(data[:COMMAND_BYTES_MAX].decode(errors="replace")):
        fits = _CLAIMED[name].fits(text) if name in _CLAIMED else text in FIELDS
        found[name] = text if fits and found.get(name, text) == text else ""
    return {name: text for name, text in found.items() if text}


def parse_follow_up(data: bytes) -> FollowUp:
    """Reads a follow-up of the version that this revision knows.

    Fields of a follow-up that this revision doesn't know are ignored, as a newer one of the same version may have
    written them while a roll-out was under way. A command inside is held to its own form: what a field of it would
    have meant, this revision can't know.
    """
    document = _read(data, FOLLOW_UP_BYTES_MAX)
    version = document.get("v")
    if type(version) is not int or version != VERSION:
        raise BadMessageError("v", version, f"must be {VERSION}, the version of follow-ups known here")
    follow_up: FollowUp = _convert(document, FollowUp)
    _check_figures(follow_up)
    return follow_up


def encode_follow_up(follow_up: FollowUp) -> bytes:
    """Writes a follow-up the way `parse_follow_up` reads it."""
    return msgspec.json.encode({**msgspec.to_builtins(follow_up, enc_hook=str), "v": VERSION})


def encode_event(event: Event, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Writes an event as a CloudEvent in Pub/Sub's binary mode: the data and the attributes of the message.

    https://github.com/google/knative-gcp/blob/main/docs/spec/pubsub-protocol-binding.md (documented)
    """
    source = re.match(r"projects/[^/]+/instances/[^/]+", event.subject)
    attributes = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": event.event_id,
        TYPE_ATTRIBUTE: TYPE_PREFIX + event.outcome.lower().replace("_", "-"),
        "ce-source": "//spanner.googleapis.com/" + (source.group() if source else ""),
        "ce-subject": shortened(event.subject, ATTRIBUTE_BYTES_MAX),
        "ce-time": now.isoformat(),
    }
    document = msgspec.to_builtins(event, enc_hook=str)
    return msgspec.json.encode({**document, **on_behalf_of(event.trigger)}), attributes


def _envelope(body: bytes, headers: Mapping[str, str]) -> tuple[_Envelope, str]:
    """The envelope, whichever form it came in, and the topic that the event names if it is one."""
    if any(name.startswith(_METADATA) for name in headers):
        message_id, publish_time = (headers.get(_METADATA + name, "") for name in ("message-id", "publish-time"))
        return _Envelope(_Message(body, dict(headers), message_id, publish_time)), ""
    source = headers.get("ce-source", "").removeprefix(_EVENTARC_SOURCE)
    topic = source if TopicName.fits(source) else ""
    try:
        document = _read(body)
        if "specversion" in document and "message" not in document:
            source = str(document.get("source")).removeprefix(_EVENTARC_SOURCE)
            # With its prefix it is no topic's name, and so not the one of the follow-ups either.
            topic = topic or (_EVENTARC_SOURCE + source if TopicName.fits(source) else "")
            # The push, as JSON or as the base64 of JSON (documented):
            # https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#31-handling-of-data
            data = document.get("data")
            document = data if isinstance(data, dict) else _read(_convert(document.get("data_base64"), bytes))
        document["message"]  # without one it is no push
    except (BadMessageError, KeyError) as error:
        raise BadMessageError("data", body.decode(errors="replace"), NO_PUSH) from error
    envelope: _Envelope = _convert(document, _Envelope)
    return envelope, topic


def _publish_time(text: str, now: datetime) -> datetime | None:
    """The time of publishing, if Pub/Sub can still hold what was published then."""
    try:
        time: datetime = msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        return None
    return time.astimezone(UTC) if now - KEPT_MAX <= time <= now + AHEAD_MAX else None


def _hashed(data: bytes) -> str:
    return f"body-{hashlib.sha256(data).hexdigest()[:16]}"


def _read(data: bytes, bytes_max: int | None = None, *, by_hand: bool = False) -> dict[str, object]:
    """Reads a JSON object, without the fields that are null and without a byte order mark.

    What a person may have written is read twice, as no program names one field twice.
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
        # A strict reader: it knows no NaN, and no half of a surrogate pair, which no event could quote.
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
    document: dict[str, object] = {}
    for name, value in pairs:
        if name in document:
            raise BadMessageError(name, [document[name], value], "is given twice")
        document[name] = value
    return document


def _convert(document: object, into: Any) -> Any:  # noqa: ANN401 a union is no type to mypy; the callers say it again
    """Makes what was read a value of a type; where it is none, the field that is wrong is named."""
    try:
        return msgspec.convert(document, into, dec_hook=_decode_own_type)
    except msgspec.ValidationError as error:
        raise explained(str(error), document) from error


def _decode_own_type(into: type, value: object) -> object:
    if not isinstance(value, str):
        # msgspec's own words for the same mistake.
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")  # noqa: TRY004 msgspec adds the path to it
    return Duration.parse(value) if into is Duration else into(value)


def _check_figures(message: msgspec.Struct, path: str = "") -> None:
    """Refuses times and numbers with which nothing can be reckoned, as the result might not fit its type."""
    for name in message.__struct_fields__:
        value, at = getattr(message, name), f"{path}{name}"
        if isinstance(value, msgspec.Struct):
            _check_figures(value, f"{at}.")
        elif isinstance(value, datetime) and (value.tzinfo is None or not TIME_MIN <= value < TIME_MAX):
            reason = f"must be a time with its zone, in the years {TIME_MIN.year} to {TIME_MAX.year - 1}"
            raise BadMessageError(at, value.isoformat(), reason)
        elif isinstance(value, int | float) and not 0 <= value <= NUMBER_MAX:
            raise BadMessageError(at, value, f"must be 0 to {NUMBER_MAX}")
