"""What is posted to the function, in every form, and what its publisher may make up in it."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backstop.commands import Start
from backstop.dispatch import receive
from backstop.errors import BadMessageError
from backstop.ports import Settings
from backstop.wire import (
    KIND_ATTRIBUTE,
    KIND_FOLLOW_UP,
    NO_PUSH,
    Delivery,
    parse_command,
    parse_delivery,
    parse_follow_up,
)
from tests.unit.handlers_world import (
    COMMANDS,
    DAY,
    FOLLOW_UPS,
    HOUR,
    INSTANCE,
    MICROSECOND,
    ORDERS,
    PROJECT,
    RESULTS,
    START,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC_TIME = "2026-11-22T02:00:00Z"
SOURCE = "//pubsub.googleapis.com/"
EVENTARC = {"ce-specversion": "1.0", "ce-source": SOURCE + COMMANDS}
METADATA = {
    "x-goog-pubsub-message-id": "17",
    "x-goog-pubsub-publish-time": UTC_TIME,
    "x-goog-pubsub-subscription-name": "projects/demo-project/subscriptions/commands",
}


def push(**message: object) -> dict[str, object]:
    """A push as Pub/Sub posts it, without the data unless it is given."""
    return {"message": {"messageId": "17", "publishTime": UTC_TIME, **message}, "subscription": "s"}


def event(**fields: object) -> dict[str, object]:
    """An event in structured mode."""
    return {"specversion": "1.0", "type": "google.cloud.pubsub.topic.v1.messagePublished", **fields}


def body(document: object) -> bytes:
    """A request's body."""
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def read(document: object, path: str = COMMANDS, headers: dict[str, str] | None = None) -> Delivery:
    """What is read of a request that arrives an hour after the message was published."""
    return parse_delivery(
        document if isinstance(document, bytes) else body(document), path, headers or {}, START + HOUR
    )


def mistake(document: object, path: str = COMMANDS, headers: dict[str, str] | None = None) -> tuple[str, str]:
    """The field and the value of what is wrong with a request's envelope."""
    wrong = read(document, path, headers).mistake
    assert wrong is not None
    return wrong.field, wrong.value


@pytest.mark.parametrize("path", [COMMANDS, f"/{COMMANDS}", f"/{COMMANDS}/"])
def test_the_topic_of_a_push_is_the_path_without_its_slashes(path: str) -> None:
    """However the push endpoint was written."""
    assert read(push(data="e30="), path) == Delivery(b"{}", {}, "17", START, COMMANDS, None)


@pytest.mark.parametrize(
    ("path", "document", "headers", "topic"),
    [
        # Eventarc's own, in binary mode, and posted to a path that names no topic.
        ("/", push(), EVENTARC, COMMANDS),
        ("/anything", push(), EVENTARC, COMMANDS),
        # The path names a topic, so nothing else does.
        (COMMANDS, push(), {"ce-source": SOURCE + FOLLOW_UPS}, COMMANDS),
        (COMMANDS, event(source=SOURCE + FOLLOW_UPS, data=push()), {}, COMMANDS),
        # A source in the body keeps its prefix, so it is not the topic that a setting names.
        ("/", event(source=SOURCE + FOLLOW_UPS, data=push()), {}, SOURCE + FOLLOW_UPS),
        ("/", event(source=FOLLOW_UPS, data=push()), {}, SOURCE + FOLLOW_UPS),
        ("/", event(source=SOURCE + FOLLOW_UPS, data=push()), EVENTARC, COMMANDS),
        # The headers of an unwrapped push are its attributes, and its publisher wrote those.
        ("/", push(), {**METADATA, "ce-source": SOURCE + FOLLOW_UPS}, ""),
        # No source, or one that is no topic.
        ("/path", push(), {}, "path"),
        ("/", push(), {"ce-source": "//storage.googleapis.com/projects/_/buckets/b"}, ""),
        ("/", event(data=push()), {}, ""),
        ("/" + "x" * 2000, push(), {}, "x" * 1021 + "…"),
    ],
)
def test_a_source_counts_only_where_the_path_names_no_topic(
    path: str, document: object, headers: dict[str, str], topic: str
) -> None:
    """A body that called itself an event from the follow-ups topic was believed, whoever had published it."""
    assert read(document, path, headers).topic == topic


FORGED = {"attributes": {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "data": base64.b64encode(b'{"v": 1}').decode()}


@pytest.mark.parametrize(
    ("path", "document", "headers"),
    [
        (COMMANDS, push(**FORGED), {}),
        (COMMANDS, event(source=SOURCE + FOLLOW_UPS, data=push(**FORGED)), {}),
        (COMMANDS, push(**FORGED), {"ce-source": SOURCE + FOLLOW_UPS}),
        (COMMANDS, {}, {**METADATA, KIND_ATTRIBUTE: KIND_FOLLOW_UP, "ce-source": SOURCE + FOLLOW_UPS}),
        ("/", {}, {**METADATA, KIND_ATTRIBUTE: KIND_FOLLOW_UP, "ce-source": SOURCE + FOLLOW_UPS}),
        ("/", event(source=SOURCE + FOLLOW_UPS, data=push(**FORGED)), {}),
        ("/", event(source=FOLLOW_UPS, data=push(**FORGED)), {}),
        ("/", push(**FORGED), {}),
    ],
)
def test_a_follow_up_that_only_its_publisher_vouches_for_is_rejected(
    path: str, document: object, headers: dict[str, str]
) -> None:
    """Whoever may publish commands can't forge the function's memory, in any of the forms that a push can have."""
    world = World()

    _, report = receive(body(document), path, headers, START + HOUR, world.ports, world.settings)

    assert [result.field for result in report.results] == ["attributes.backstop-kind"]
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize(
    ("path", "document", "headers"),
    [
        (FOLLOW_UPS, push(**FORGED), {}),
        ("/", push(**FORGED), {"ce-source": SOURCE + FOLLOW_UPS}),
        (FOLLOW_UPS, {"v": 1}, {**METADATA, KIND_ATTRIBUTE: KIND_FOLLOW_UP}),
    ],
)
def test_a_follow_up_that_its_subscription_vouches_for_is_believed(
    path: str, document: object, headers: dict[str, str]
) -> None:
    """It is read, and only then found to be of no kind."""
    world = World()

    _, report = receive(body(document), path, headers, START + HOUR, world.ports, world.settings)

    assert [result.field for result in report.results] == ["kind"]


@pytest.mark.parametrize("path", [f"{PROJECT}/topics/follow-ups", f"{PROJECT}/topics/follow%2Dups"])
@pytest.mark.parametrize("setting", [f"{PROJECT}/topics/follow-ups", f"{PROJECT}/topics/follow%2Dups"])
def test_a_topic_with_a_quoted_letter_is_the_same_however_often_its_path_was_unquoted(path: str, setting: str) -> None:
    """A server unquotes a path once, so `%2D` arrives as `-`, or as itself where the endpoint was quoted rightly."""
    world = World(settings=Settings(setting))

    _, report = receive(body(push(**FORGED)), path, {}, START + HOUR, world.ports, world.settings)

    assert [result.field for result in report.results] == ["kind"]


def test_an_unwrapped_push_with_metadata_is_understood() -> None:
    """The body is the data, whatever it looks like, and the headers are the rest."""
    headers = {**METADATA, "colour": "red"}

    assert read(b'{"message": {}}', COMMANDS, headers) == Delivery(b'{"message": {}}', headers, "17", START, COMMANDS)


@pytest.mark.parametrize("document", [b"start orders", {"action": "start", "database": ORDERS}, event(), event(data=5)])
def test_an_unwrapped_push_without_metadata_is_told_by_the_setting_of_its_subscription(document: object) -> None:
    """It was rejected under a hash of its body, so that the next one passed for a duplicate."""
    first, later = read(document), parse_delivery(body(document), COMMANDS, {}, START + 2 * HOUR)

    assert first.mistake is not None
    assert (first.mistake.field, first.mistake.reason) == ("data", NO_PUSH)
    assert "noWrapper.writeMetadata" in NO_PUSH
    assert first.message_id.startswith("body-")
    assert first.message_id != later.message_id


def test_an_event_with_its_data_in_base64_is_understood() -> None:
    """The same push, in the other form that the standard has."""
    data_base64 = base64.b64encode(body(push(data="e30="))).decode()

    assert read(event(data_base64=data_base64), "/", EVENTARC) == Delivery(b"{}", {}, "17", START, COMMANDS)
    assert mistake(event(data_base64="%"), "/")[0] == "data"


@pytest.mark.parametrize(
    ("published", "understood"),
    [
        (START + HOUR - 31 * DAY, True),
        (START + HOUR - 31 * DAY - MICROSECOND, False),
        (START + HOUR + DAY, True),
        (START + HOUR + DAY + MICROSECOND, False),
    ],
)
def test_a_time_of_publishing_is_one_that_pub_sub_can_still_hold(published: datetime, understood: bool) -> None:  # noqa: FBT001 it is a row
    """31 days back, and a day ahead for a clock that is behind."""
    delivery = read(push(publishTime=published.isoformat()))

    assert delivery.publish_time == (published if understood else START + HOUR)
    assert (delivery.mistake is None) is understood


@pytest.mark.parametrize(
    "time",
    [
        None,
        "",
        "yesterday",
        "1970-01-01T00:00:00Z",
        "2026-11-22T02:00:00",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+10:00",
    ],
)
def test_a_message_without_a_plausible_time_is_rejected_once_by_the_name_of_the_field(time: str | None) -> None:
    """A start was named for 1970, a cancel found nothing that ran then, and the year 9999 answered 500 for ever."""
    world = World()
    document = push(publishTime=time, data=base64.b64encode(body({"action": "start", "database": ORDERS})).decode())

    delivery, report = receive(body(document), COMMANDS, {}, START + HOUR, world.ports, world.settings)

    (result,) = report.results
    assert (result.outcome, result.field, result.database, report.retry) == (
        "REJECTED",
        "message.publishTime",
        ORDERS,
        False,
    )
    assert (delivery.message_id, result.trigger.message_id) == ("17", "17")
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize("message_id", [None, "", "é" * 101])
def test_a_message_without_an_id_is_rejected_under_one_that_it_has_again(message_id: str | None) -> None:
    """The same start came twice, was taken for one message, and the first one's backup was told as started again."""
    document = push(messageId=message_id)

    assert mistake(document)[0] == "message.messageId"
    first, again, other = read(document), read(document), read({**document, "deliveryAttempt": 2})
    assert first.message_id == again.message_id != other.message_id
    later = {"x-goog-pubsub-publish-time": "2026-11-22T02:00:01Z"}
    assert (
        read(b"", headers=later).message_id
        != read(b"", headers={**METADATA, "x-goog-pubsub-message-id": ""}).message_id
    )


def test_an_outcome_is_acknowledged_without_an_outcome() -> None:
    """Results that are led back to the function would otherwise be rejected, and that told, for ever."""
    world = World()
    attributes = {"ce-type": "backstop.backup.rejected", "ce-id": "1"}

    for document, headers in ((push(attributes=attributes, publishTime=""), {}), ({}, {**METADATA, **attributes})):
        delivery, report = receive(body(document), COMMANDS, headers, START + HOUR, world.ports, world.settings)

        assert delivery.is_outcome
        assert (report.results, report.retry, report.warning) == ((), False, True)
        assert COMMANDS in report.note
    assert world.calls == {}


def test_a_path_that_is_longer_than_an_attribute_is_no_reason_to_try_again() -> None:
    """300 characters of a path were taken, of 4 bytes each; Pub/Sub counts bytes, and refused the outcome for ever."""
    world = World()

    _, report = receive(b"", "/" + "🦆" * 300, {}, START, world.ports, world.settings)

    assert not report.retry
    (event,) = world.pubsub.published(RESULTS)
    assert event.attributes["ce-subject"] == "🦆" * 255 + "…"


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own time is nine hours ahead of UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
def test_a_publish_time_is_kept_in_utc_wherever_the_machine_is() -> None:
    """All times are compared and written in it."""
    delivery = read(push(publishTime="2026-11-22T04:00:00+02:00"))

    assert (delivery.publish_time, delivery.publish_time.utcoffset()) == (START, START.utcoffset())


@pytest.mark.usefixtures("tokyo")
def test_the_last_hour_that_a_message_may_name_is_a_time_wherever_the_machine_is() -> None:
    """What can be told doesn't depend on local time."""
    command = parse_command(body({"action": "start", "database": ORDERS, "version_time": "2999-12-31T23:00:00Z"}))

    assert isinstance(command, Start)
    assert command.version_time == datetime(2999, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        ({"data": "%%%"}, "message.data", "%%%"),
        ({"data": "e3 0="}, "message.data", "e3 0="),
        ({"attributes": "x"}, "message.attributes", "x"),
    ],
)
def test_a_push_that_can_t_be_read_is_told_with_its_field_and_its_value(
    message: dict[str, object], field: str, value: str
) -> None:
    """Whoever set the subscription up can correct it."""
    assert mistake(push(**message)) == (field, value)


def test_what_a_program_wrote_is_not_searched_for_fields_that_are_given_twice() -> None:
    """It names none twice, and reading a push once is half the work."""
    twice = body(push(data="e30=")).replace(b'"subscription"', b'"subscription": "a", "subscription"')

    assert read(twice).data == b"{}"


def test_a_command_may_have_ten_thousand_bytes() -> None:
    """One more is too many."""
    command = body({"action": "sweep", "instance": INSTANCE})

    assert parse_command(command.ljust(10_000)) == parse_command(command)
    with pytest.raises(BadMessageError, match="must have at most 10000 bytes"):
        parse_command(command.ljust(10_001))


START_OF_MANY = {"action": "start", "instance": INSTANCE}


@pytest.mark.parametrize(
    ("fields", "field", "value", "reason"),
    [
        (
            {"command": {"action": "start", "database": ORDERS}},
            "command.instance",
            "null",
            "must be given in a fan-out",
        ),
        ({"command": START_OF_MANY, "left": ["orders", "/"]}, "left", "/", "must be the ids of databases"),
        ({"v": 2}, "v", "2", "must be 1, the version of follow-ups known here"),
        ({"command": START_OF_MANY, "left": [5]}, "left[0]", "5", "must be text, not a number"),
    ],
)
def test_a_fan_out_by_another_hand_is_told_with_its_field_its_value_and_the_reason(
    fields: dict[str, object], field: str, value: str, reason: str
) -> None:
    """Whoever may publish to the follow-ups topic hears of a mistake like anybody else."""
    trigger = {"message_id": "17", "publish_time": UTC_TIME}
    document = {"v": 1, "kind": "fan-out", "trigger": trigger, "step": 1, **fields}

    with pytest.raises(BadMessageError) as caught:
        parse_follow_up(body(document))

    assert (caught.value.field, caught.value.value, caught.value.reason) == (field, value, reason)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("x" * 200, "x" * 200), ("x" * 201, "x" * 197 + "…"), ("é" * 100, "é" * 100), ("é" * 101, "é" * 98 + "…")],
)
def test_a_value_of_up_to_200_bytes_is_quoted_whole(text: str, shown: str) -> None:
    """A longer one is cut between two characters, and one sees that it was."""
    assert BadMessageError("data", text, "no").value == shown
