"""Bytes to frozen types and back.

Two layers. A *delivery* is what Pub/Sub or Eventarc posts; the *message* is what somebody wrote into it. What can't be
understood ends in a `BadMessageError` that names the field and the value, and never in anything else.

What a delivery is, its path and its headers say, and never its body, which its publisher may have written:

| posted | path | headers | who wrote the body |
|---|---|---|---|
| a push | the topic, as the subscription was set up | Pub/Sub's own | Pub/Sub, around the data |
| an unwrapped push, with metadata | the same | `x-goog-pubsub-*`, and the attributes as they are | the publisher |
| an unwrapped push, without | the same | Pub/Sub's own | the publisher |
| an event of Eventarc's | `/`, as a rule | `ce-source` names the topic | Eventarc, around a push |

So the topic is the path's, wherever the path names one. Where it names none, the header `ce-source` names it, unless
there is metadata of an unwrapped push beside it: then it is one of the attributes, and a publisher made it up. An event
in structured mode names its source in the body: that tells one topic from another, and never makes a follow-up.
(Whoever sets up a subscription that is unwrapped and has no metadata lets its publishers write the envelope, the time
of publishing included. No command comes through it otherwise, so nobody keeps one.)
https://cloud.google.com/pubsub/docs/payload-unwrapping (documented)
https://cloud.google.com/eventarc/docs/cloudevents (documented: binary mode, posted to `/`)
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec

from backstop import documents
from backstop.commands import Command
from backstop.durations import check_time, duration_text
from backstop.errors import BadMessageError, shortened
from backstop.follow_ups import VERSION, FollowUp
from backstop.mistakes import FIELDS
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName, TopicName, unquoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstop.results import Result

COMMAND_BYTES_MAX = 10_000
"""A command is a few lines that a person wrote; more than this is a mistake or an attack."""

FOLLOW_UP_BYTES_MAX = 250_000
"""Encoded for its task it is a third longer, far below Cloud Tasks' limit of 1 MB.

https://cloud.google.com/tasks/docs/quotas (documented)
"""

NUMBER_MAX = 1_000_000_000
"""Of a count or of seconds in a follow-up: 31 years, which added to any time that is taken still is a time."""

MESSAGE_ID_BYTES_MAX = 200
"""Pub/Sub's ids have some 20 digits; other programs that speak for it use UUIDs and the like."""

KEPT_MAX, AHEAD_MAX = timedelta(days=31), timedelta(days=1)
"""How old a message can be, as Pub/Sub holds none for longer, and how far our clock may be behind.

https://cloud.google.com/pubsub/docs/topic-properties (documented: 31 days)
"""

ATTRIBUTE_BYTES_MAX = 1024
"""https://cloud.google.com/pubsub/quotas#resource_limits (documented)"""

KIND_ATTRIBUTE = "backstop-kind"
KIND_FOLLOW_UP = "follow-up"

TYPE_ATTRIBUTE = "ce-type"
TYPE_PREFIX = "backstop.backup."

_EVENTARC_SOURCE = "//pubsub.googleapis.com/"
_METADATA = "x-goog-pubsub-"

_CLAIM = re.compile(r"""["']?\b(action|operation|backup|database|instance)["']?\s*:\s*["']([^"']*)["']""")
"""A field and its text, in JSON or in what was meant to be JSON."""

NO_PUSH = (
    "must be a push of Pub/Sub's or an event of Eventarc's; a subscription with payload unwrapping must write its "
    "metadata (noWrapper.writeMetadata), or a message has neither an id nor a time"
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message as it arrived.

    Attributes:
        data: What the publisher wrote; empty if nothing.
        attributes: The message's attributes.
        message_id: Pub/Sub's id, or a hash of what arrived without one.
        publish_time: When Pub/Sub accepted it, or when what says no such time arrived.
        topic: The topic it came from, in full; or the path, if nothing names a topic.
        delivery_attempt: Counted from 1; None where the subscription has no dead-letter policy.
        mistake: What is wrong with the envelope; None: nothing.
    """

    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    message_id: str = ""
    publish_time: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    topic: str = ""
    delivery_attempt: int | None = None
    mistake: BadMessageError | None = None

    @property
    def is_follow_up(self) -> bool:
        """Whether it claims to be the function's own."""
        return self.attributes.get(KIND_ATTRIBUTE) == KIND_FOLLOW_UP

    @property
    def is_outcome(self) -> bool:
        """Whether it is an outcome of this function's or of another one's: to answer it with one would never end."""
        return self.attributes.get(TYPE_ATTRIBUTE, "").startswith(TYPE_PREFIX)


@dataclass(frozen=True, slots=True)
class Claims:
    """What a message that can't be understood says that it is about, as far as that can be read."""

    action: str | None = None
    operation: OperationName | None = None
    backup: BackupName | None = None
    database: DatabaseName | None = None
    instance: InstanceName | None = None


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
    """Reads what was posted to the function, in any of the forms at the top of this file.

    Args:
        body: The request's body.
        path: The URL's path.
        headers: The request's headers, their names in lower case.
        now: When it arrived.

    Returns:
        The message. What is wrong with the envelope, whoever set the subscription up should correct. Such a delivery
        has the message's id all the same, if there is one, and otherwise a hash: of the body, so that it is the same
        when it is brought again; and where there is no envelope that tells two equal messages apart, of the time too.
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
        message_id = _hashed(body + message.publish_time.encode())
    return Delivery(
        message.data,
        message.attributes,
        message_id,
        publish_time or now,
        source if source and not _is_topic(topic) else topic,
        envelope.delivery_attempt,
        mistake,
    )


def trace_name(headers: Mapping[str, str], project: str) -> str:
    """The full name of the trace that Cloud Run started for a request; empty without one.

    https://cloud.google.com/trace/docs/trace-context (documented)
    """
    context = headers.get("x-cloud-trace-context", "")
    trace = context.partition("/")[0] or headers.get("traceparent", "").partition("-")[2].partition("-")[0]
    return f"projects/{project}/traces/{trace}" if trace and project else ""


def parse_command(data: bytes) -> Command:
    """Reads a command.

    Raises:
        BadMessageError: It is no command. Whoever published it should correct the field that is named.
    """
    command: Command = documents.convert(documents.read(data, COMMAND_BYTES_MAX, by_hand=True), Command)
    return command


def claims(data: bytes) -> Claims:
    """Reads what a message is about that is no command, as far as it says so once and in its right form."""
    text = data[:COMMAND_BYTES_MAX].decode(errors="replace")
    found: dict[str, str | None] = {}
    for name, value in _CLAIM.findall(text):
        found[name] = value if found.get(name, value) == value else None
    action = found.get("action")
    return Claims(
        action if action in FIELDS else None,
        documents.name(OperationName, found.get("operation")),
        documents.name(BackupName, found.get("backup")),
        documents.name(DatabaseName, found.get("database")),
        documents.name(InstanceName, found.get("instance")),
    )


def parse_follow_up(data: bytes) -> FollowUp:
    """Reads a follow-up.

    Fields of a follow-up that this revision doesn't know are ignored, as a newer one of the same version may have
    written them while a roll-out was under way. A command inside is held to its own form: what a field of it would
    have meant, this revision can't know.

    Raises:
        BadMessageError: It is no follow-up of a version that this revision knows.
    """
    document = documents.read(data, FOLLOW_UP_BYTES_MAX)
    version = document.get("v")
    if type(version) is not int or version != VERSION:
        raise BadMessageError("v", version, f"must be {VERSION}, the version of follow-ups known here")
    follow_up: FollowUp = documents.convert(document, FollowUp)
    _check_figures(follow_up)
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
        "ce-subject": shortened(result.subject, ATTRIBUTE_BYTES_MAX),
        "ce-time": now.isoformat(),
    }
    return msgspec.json.encode(result, enc_hook=str), attributes


def _envelope(body: bytes, headers: Mapping[str, str]) -> tuple[_Envelope, str]:
    """The envelope, whichever form it came in, and the topic that the event names if it is one."""
    if any(name.startswith(_METADATA) for name in headers):
        message_id, publish_time = (headers.get(_METADATA + name, "") for name in ("message-id", "publish-time"))
        return _Envelope(_Message(body, dict(headers), message_id, publish_time)), ""
    source = headers.get("ce-source", "").removeprefix(_EVENTARC_SOURCE)
    topic = source if _is_topic(source) else ""
    try:
        document = documents.read(body)
        if "specversion" in document and "message" not in document:
            source = str(document.get("source")).removeprefix(_EVENTARC_SOURCE)
            # With its prefix it is no topic's name, and so not the one of the follow-ups either.
            topic = topic or (_EVENTARC_SOURCE + source if _is_topic(source) else "")
            document = _event_data(document)
        document["message"]  # without one it is no push
    except (BadMessageError, KeyError) as error:
        raise BadMessageError("data", body.decode(errors="replace"), NO_PUSH) from error
    envelope: _Envelope = documents.convert(document, _Envelope)
    return envelope, topic


def _event_data(event: dict[str, object]) -> dict[str, object]:
    """The push in an event: as JSON, or as the base64 of JSON.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#31-handling-of-data (documented)
    """
    if isinstance(data := event.get("data"), dict):
        return data
    return documents.read(documents.convert(event.get("data_base64"), bytes))


def _publish_time(text: str, now: datetime) -> datetime | None:
    """The time of publishing, if Pub/Sub can still hold what was published then."""
    try:
        time: datetime = msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        return None
    return time.astimezone(UTC) if now - KEPT_MAX <= time <= now + AHEAD_MAX else None


def _is_topic(text: str) -> bool:
    return documents.name(TopicName, text) is not None


def _hashed(data: bytes) -> str:
    return f"body-{hashlib.sha256(data).hexdigest()[:16]}"


def _check_figures(message: msgspec.Struct, path: str = "") -> None:
    """Refuses times and numbers that no follow-up of ours has, so that whatever is reckoned with them fits its type."""
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, msgspec.Struct):
            _check_figures(value, f"{path}{name}.")
        elif isinstance(value, datetime):
            check_time(f"{path}{name}", value)
        elif isinstance(value, int | float) and not 0 <= value <= NUMBER_MAX:
            raise BadMessageError(f"{path}{name}", value, f"must be 0 to {NUMBER_MAX}")
