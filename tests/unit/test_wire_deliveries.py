"""What is posted to the function, in every form, and what its publisher may make up in it."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from backstop.commands import Start
from backstop.dispatch import receive
from backstop.errors import BadMessageError
from backstop.execute import Report
from backstop.ports import Settings
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, NO_PUSH, Delivery, parse_command, parse_delivery, trace_name
from tests.unit.handlers_world import (
    COMMANDS,
    DAY,
    FOLLOW_UPS,
    HOUR,
    MICROSECOND,
    ORDERS,
    PROJECT,
    RESULTS,
    START,
    World,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
UTC_TIME = "2026-11-22T02:00:00Z"
NOW = START + HOUR
SOURCE = "//pubsub.googleapis.com/"
EVENTARC = {"ce-specversion": "1.0", "ce-source": SOURCE + COMMANDS}
FORGED_SOURCE = {"ce-source": SOURCE + FOLLOW_UPS}
METADATA = {"x-goog-pubsub-message-id": "17", "x-goog-pubsub-publish-time": UTC_TIME}
MARKED = {KIND_ATTRIBUTE: KIND_FOLLOW_UP}


def push(**message: object) -> dict[str, object]:
    """A push as Pub/Sub posts it, without the data unless it is given."""
    return {"message": {"messageId": "17", "publishTime": UTC_TIME, **message}, "subscription": "s"}


def event(**fields: object) -> dict[str, object]:
    """An event in structured mode."""
    return {"specversion": "1.0", "type": "google.cloud.pubsub.topic.v1.messagePublished", **fields}


def body(document: object) -> bytes:
    """A request's body."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def read(
    document: object, path: str = COMMANDS, headers: dict[str, str] | None = None, now: datetime = NOW
) -> Delivery:
    """What is read of a request that arrives an hour after the message was published."""
    return parse_delivery(body(document), path, headers or {}, now)


def post(
    document: object, path: str = COMMANDS, headers: dict[str, str] | None = None, world: World | None = None
) -> tuple[World, Delivery, Report]:
    """What a request comes to."""
    world = world or World()
    return world, *receive(body(document), path, headers or {}, NOW, world.ports, world.settings)


@pytest.mark.parametrize("path", [COMMANDS, f"/{COMMANDS}", f"/{COMMANDS}/"])
def test_a_push_is_one_delivery(path: str) -> None:
    """Its message, time and attempt are the delivery's, and its topic is the path, however the endpoint is written."""
    document = {**push(data="e30=", attributes={"a": "b"}), "deliveryAttempt": 2}

    assert read(document, path) == Delivery(b"{}", {"a": "b"}, "17", START, COMMANDS, 2)


FORGED = {"attributes": MARKED, "data": base64.b64encode(b'{"v": 1}').decode()}
PUSH, IN_ITS_BODY = push(**FORGED), event(source=SOURCE + FOLLOW_UPS, data=push(**FORGED))
BY_ITS_PUBLISHER, BY_ITS_SUBSCRIPTION = "attributes.backstop-kind", "kind"
"""The field of the refusal: before the follow-up is read, or after, as it has no kind."""


@pytest.mark.parametrize(
    ("path", "document", "headers", "topic"),
    [
        # Eventarc's own, in binary mode, and posted to a path that names no topic.
        ("/", PUSH, EVENTARC, COMMANDS),
        ("/anything", PUSH, EVENTARC, COMMANDS),
        ("/", PUSH, FORGED_SOURCE, FOLLOW_UPS),
        # The path names a topic, so nothing else does.
        (FOLLOW_UPS, PUSH, {}, FOLLOW_UPS),
        (FOLLOW_UPS, {"v": 1}, {**METADATA, **MARKED}, FOLLOW_UPS),
        (COMMANDS, PUSH, {}, COMMANDS),
        (COMMANDS, PUSH, FORGED_SOURCE, COMMANDS),
        (COMMANDS, IN_ITS_BODY, {}, COMMANDS),
        # A source in the body keeps its prefix, so it is not the topic that a setting names.
        ("/", IN_ITS_BODY, {}, SOURCE + FOLLOW_UPS),
        ("/", IN_ITS_BODY | {"source": FOLLOW_UPS}, {}, SOURCE + FOLLOW_UPS),
        ("/", IN_ITS_BODY, EVENTARC, COMMANDS),
        # The headers of an unwrapped push are its attributes, and its publisher wrote those.
        ("/", {}, {**METADATA, **MARKED, **FORGED_SOURCE}, ""),
        (COMMANDS, {}, {**METADATA, **MARKED, **FORGED_SOURCE}, COMMANDS),
        # No source, or one that is no topic.
        ("/path", PUSH, {}, "path"),
        ("/", PUSH, {"ce-source": "//storage.googleapis.com/projects/_/buckets/b"}, ""),
        ("/", event(data=PUSH), {}, ""),
        ("/", PUSH | {"specversion": "1.0", "source": FOLLOW_UPS}, {}, ""),
        ("/" + "x" * 2000, PUSH, {}, "x" * 1021 + "…"),
    ],
)
def test_a_body_that_called_itself_an_event_from_the_follow_ups_topic_was_believed(
    path: str, document: object, headers: dict[str, str], topic: str
) -> None:
    """A source counts only where the path names no topic; whoever may publish commands can't forge a follow-up."""
    world, delivery, report = post(document, path, headers)

    assert delivery.topic == topic
    believed = BY_ITS_SUBSCRIPTION if topic == FOLLOW_UPS else BY_ITS_PUBLISHER
    assert [told.field for told in report.events] == [believed]
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize("path", [f"{PROJECT}/topics/follow-ups", f"{PROJECT}/topics/follow%2Dups"])
@pytest.mark.parametrize("setting", [f"{PROJECT}/topics/follow-ups", f"{PROJECT}/topics/follow%2Dups"])
def test_a_topic_with_a_quoted_letter_is_the_same_however_often_its_path_was_unquoted(path: str, setting: str) -> None:
    """A server unquotes a path once, so `%2D` arrives as `-`, or as itself where the endpoint was quoted rightly."""
    _, _, report = post(push(**FORGED), path, world=World(settings=Settings(setting)))

    assert [told.field for told in report.events] == [BY_ITS_SUBSCRIPTION]


def test_an_unwrapped_push_with_metadata_is_understood() -> None:
    """The body is the data, whatever it looks like, and the headers are the rest."""
    headers = {**METADATA, "colour": "red"}

    assert read(b'{"message": {}}', COMMANDS, headers) == Delivery(b'{"message": {}}', headers, "17", START, COMMANDS)


@pytest.mark.parametrize("document", [b"start orders", {"action": "start", "database": ORDERS}, event(), event(data=5)])
def test_an_unwrapped_push_without_metadata_is_told_by_the_setting_of_its_subscription(document: object) -> None:
    """It was rejected under a hash of its body, so that the next one passed for a duplicate."""
    first, later = read(document), read(document, now=NOW + HOUR)

    assert first.mistake is not None
    assert (first.mistake.field, first.mistake.reason) == ("data", NO_PUSH)
    assert "noWrapper.writeMetadata" in NO_PUSH
    assert first.message_id.startswith("body-")
    assert first.message_id != later.message_id


def test_an_event_with_its_data_in_base64_is_understood() -> None:
    """The same push, in the other form that the standard has."""
    data_base64 = base64.b64encode(body(push(data="e30="))).decode()

    assert read(event(data_base64=data_base64), "/", EVENTARC) == Delivery(b"{}", {}, "17", START, COMMANDS)
    assert read(event(data_base64="%"), "/").mistake is not None


@pytest.mark.parametrize(
    ("published", "understood"),
    [
        (NOW - 31 * DAY, True),
        (NOW - 31 * DAY - MICROSECOND, False),
        (NOW + DAY, True),
        (NOW + DAY + MICROSECOND, False),
    ],
)
def test_a_time_of_publishing_is_one_that_pub_sub_can_still_hold(published: datetime, understood: bool) -> None:  # noqa: FBT001 it is a row
    """31 days back, and a day ahead for a clock that is behind."""
    delivery = read(push(publishTime=published.isoformat()))

    assert delivery.publish_time == (published if understood else NOW)
    assert (delivery.mistake is None) is understood


@pytest.mark.parametrize(
    "time",
    [
        *(None, "", "yesterday", "2026-11-22T02:00:00"),
        *("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+10:00"),
    ],
)
def test_a_message_without_a_plausible_time_is_rejected_once_by_the_name_of_the_field(time: str | None) -> None:
    """A start was named for 1970, a cancel found nothing that ran then, and the year 9999 answered 500 for ever."""
    command = {"action": "start", "database": ORDERS}

    world, delivery, report = post(push(publishTime=time, data=base64.b64encode(body(command)).decode()))

    (told,) = report.events
    assert (told.outcome, told.field, told.database) == ("REJECTED", "message.publishTime", ORDERS)
    reason = "must be the time of publishing, 31d before to 1d after 2026-11-22T03:00:00+00:00"
    assert told.detail.endswith(f"message.publishTime: {reason}; found {time or ''!r}.")
    assert (delivery.message_id, told.trigger.message_id, report.retry) == ("17", "17", False)
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize("message_id", [None, "", "é" * 101])
def test_a_message_without_an_id_is_rejected_under_one_that_it_has_again(message_id: str | None) -> None:
    """The same start came twice, was taken for one message, and the first one's backup was told as started again."""
    document = push(messageId=message_id)

    first, again, other = (
        read(document),
        read({**document, "deliveryAttempt": 2}),
        read(push(data="e30=", messageId=message_id)),
    )

    assert first.mistake is not None
    assert str(first.mistake) == f"message.messageId: must have 1 to 200 bytes; found {first.mistake.value!r}"
    assert [read(push(messageId=fits)).mistake for fits in ("1", "é" * 100)] == [None, None]
    assert first.message_id == again.message_id != other.message_id
    earlier, later = ({"x-goog-pubsub-publish-time": time} for time in ("2026-11-22T02:00:00Z", "2026-11-22T02:00:01Z"))
    assert read(b"", headers=earlier).message_id != read(b"", headers=later).message_id


@pytest.mark.parametrize(
    ("document", "field", "value"),
    [
        (push(data="%%%"), "message.data", "%%%"),
        (push(data="e3 0="), "message.data", "e3 0="),
        (push(data=5), "message.data", "5"),
        (push(attributes="x"), "message.attributes", "x"),
        ({"message": 5}, "message", "5"),
        (push(attributes={"a": "b"}), "data", ""),
    ],
)
def test_a_push_that_can_t_be_read_is_rejected_with_its_field_and_its_value(
    document: object, field: str, value: str
) -> None:
    """Whoever set the subscription up can correct it; brought again, it is the same event."""
    world, first, report = post(document)
    second = read(document, now=NOW + HOUR)

    (told,) = world.results
    assert (told["outcome"], told["field"], told["subject"], report.retry) == ("REJECTED", field, COMMANDS, False)
    assert told["detail"].endswith(f"; found {value!r}.")
    assert first.message_id == second.message_id


@pytest.mark.parametrize(
    ("document", "headers"),
    [
        (push(attributes={"ce-type": "backstop.backup.rejected"}, publishTime=""), {}),
        ({}, {**METADATA, "ce-type": "backstop.backup.started"}),
    ],
)
def test_an_outcome_is_acknowledged_without_an_outcome(document: object, headers: dict[str, str]) -> None:
    """Events that are led back to the function would otherwise be rejected, and that published, for ever."""
    world, _, report = post(document, headers=headers)

    assert (report.events, report.retry, report.warning) == ((), False, True)
    assert COMMANDS in report.note
    assert "from nowhere;" in post(document, "/", headers)[2].note
    assert world.calls == {}


@pytest.mark.parametrize(("posted", "shown"), [(b"no JSON", "no JSON"), (b"\xff", "\ufffd")])
def test_what_is_no_push_is_shown_as_far_as_it_is_text(posted: bytes, shown: str) -> None:
    """Whoever posts it learns what has arrived."""
    world, delivery, _ = post(posted)

    assert world.detail.endswith(f"; found {shown!r}.")
    assert re.fullmatch(r"body-[0-9a-f]{16}", delivery.message_id)


def test_a_path_that_is_longer_than_an_attribute_is_no_reason_to_try_again() -> None:
    """300 characters of a path were taken, of 4 bytes each; Pub/Sub counts bytes, and refused the outcome for ever."""
    world, _, report = post(b"", "/" + "🦆" * 300)

    assert not report.retry
    (message,) = world.pubsub.published(RESULTS)
    assert message.attributes["ce-subject"] == "🦆" * 255 + "…"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_time_is_the_same_wherever_the_machine_is() -> None:
    """All times are compared and written in UTC, also in the last hour that a message may name."""
    delivery = read(push(publishTime="2026-11-22T04:00:00+02:00"))
    command = parse_command(body({"action": "start", "database": ORDERS, "version_time": "2999-12-31T23:00:00Z"}))

    assert (delivery.publish_time, delivery.publish_time.utcoffset()) == (START, START.utcoffset())
    assert isinstance(command, Start)
    assert command.version_time == datetime(2999, 12, 31, 23, tzinfo=UTC)


def test_what_a_program_wrote_is_not_searched_for_fields_that_are_given_twice() -> None:
    """It names none twice, and reading a push once is half the work."""
    twice = body(push(data="e30=")).replace(b'"subscription"', b'"subscription": "a", "subscription"')

    assert read(twice).data == b"{}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x" * 200, "x" * 200), ("x" * 201, "x" * 197 + "…"), ("é" * 100, "é" * 100), ("é" * 101, "é" * 98 + "…")],
)
def test_a_value_of_up_to_200_bytes_is_quoted_whole(text: str, shown: str) -> None:
    """A longer one is cut between two characters, and one sees that it was."""
    assert BadMessageError("data", text, "no").value == shown


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({}, ""),
        ({"x-cloud-trace-context": f"{TRACE}/123;o=1"}, TRACE),
        ({"x-cloud-trace-context": TRACE}, TRACE),
        ({"x-cloud-trace-context": "", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"traceparent": "00"}, ""),
        ({"traceparent": ""}, ""),
        ({"traceparent": "00-"}, ""),
    ],
)
def test_a_malformed_trace_header_is_no_trace_and_no_error(headers: dict[str, str], trace: str) -> None:
    """Cloud Run's header and the standard one are both understood, and anything else is left out."""
    assert trace_name(headers, "p") == (f"projects/p/traces/{trace}" if trace else "")
    assert trace_name(headers, "") == ""
