"""What is posted to the function: both forms of a push, and what is told of one that can't be read."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from backstop.commands import Start
from backstop.deliver import receive
from backstop.errors import BadMessageError
from backstop.messages import Delivery, parse_command, parse_delivery, parse_follow_up
from tests.unit.handlers_world import COMMANDS, HOUR, INSTANCE, ORDERS, START, World

if TYPE_CHECKING:
    from collections.abc import Iterator

UTC_TIME = "2026-11-22T02:00:00Z"


def push(**message: object) -> dict[str, object]:
    """A push as Pub/Sub posts it, without the data unless it is given."""
    return {"message": {"messageId": "17", "publishTime": UTC_TIME, **message}, "subscription": "s"}


def body(document: object) -> bytes:
    """A request's body."""
    return json.dumps(document).encode()


@pytest.mark.parametrize("path", [COMMANDS, f"/{COMMANDS}", f"/{COMMANDS}/"])
def test_the_topic_of_a_raw_push_is_the_path_without_its_slashes(path: str) -> None:
    """However the push endpoint was written."""
    assert parse_delivery(body(push(data="e30=")), path, {}) == Delivery(b"{}", {}, "17", START, COMMANDS, None)


@pytest.mark.parametrize("topic", [COMMANDS, f"X/{COMMANDS}/X"])
def test_the_topic_of_a_raw_push_is_cut_of_nothing_but_slashes(topic: str) -> None:
    """Letters at its ends are its own."""
    assert parse_delivery(body(push()), f"/{topic}/", {}).topic == topic


@pytest.mark.parametrize(
    ("source", "topic"),
    [({"source": f"//pubsub.googleapis.com/{COMMANDS}"}, COMMANDS), ({"source": "x"}, "x"), ({}, "path")],
)
def test_the_topic_of_a_structured_event_is_its_source(source: dict[str, str], topic: str) -> None:
    """One without a source is from where it was posted to."""
    event = {"specversion": "1.0", "type": "google.cloud.pubsub.topic.v1.messagePublished", "data": push()} | source

    assert parse_delivery(body(event), "/path", {}).topic == topic


def test_the_topic_of_a_binary_event_is_the_source_in_its_headers() -> None:
    """The path is that of the service."""
    headers = {"ce-source": f"//pubsub.googleapis.com/{COMMANDS}"}

    assert parse_delivery(body(push()), "/", headers).topic == COMMANDS


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
    delivery = parse_delivery(body(push(publishTime="2026-11-22T04:00:00+02:00")), "/x", {})

    assert (delivery.publish_time, delivery.publish_time.utcoffset()) == (START, START.utcoffset())


@pytest.mark.usefixtures("tokyo")
def test_the_last_hour_of_utc_is_a_time_wherever_the_machine_is() -> None:
    """What can be told doesn't depend on local time, which has no such hour."""
    command = parse_command(body({"action": "start", "database": ORDERS, "version_time": "9999-12-31T23:00:00Z"}))

    assert isinstance(command, Start)
    assert command.version_time == datetime(9999, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "field", "value", "reason"),
    [
        ({"data": "%%%"}, "message.data", "%%%", "must be base64"),
        ({"data": "e3 0="}, "message.data", "e3 0=", "must be base64"),
        (
            {"publishTime": "0001-01-01T00:00:00+01:00"},
            "message.publishTime",
            "0001-01-01 00:00:00+01:00",
            "must be a time in UTC",
        ),
    ],
)
def test_a_push_that_can_t_be_read_is_told_with_its_field_its_value_and_the_reason(
    message: dict[str, object], field: str, value: str, reason: str
) -> None:
    """Whoever set the subscription up can correct it."""
    with pytest.raises(BadMessageError) as caught:
        parse_delivery(body(push(**message)), "/x", {})

    assert (caught.value.field, caught.value.value, caught.value.reason) == (field, value, reason)


def test_an_event_without_a_push_in_it_is_told_as_a_whole() -> None:
    """There is no field to name."""
    with pytest.raises(BadMessageError) as caught:
        parse_delivery(body({"specversion": "1.0"}), "/x", {})

    assert caught.value.field == "data"


def test_what_a_program_wrote_is_not_searched_for_fields_that_are_given_twice() -> None:
    """It names none twice, and reading a push once is half the work."""
    twice = body(push(data="e30=")).replace(b'"subscription"', b'"subscription": "a", "subscription"')

    assert parse_delivery(twice, COMMANDS, {}).data == b"{}"


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
            "None",
            "must be given in a fan-out",
        ),
        ({"command": START_OF_MANY, "left": ["orders", "/"]}, "left", "/", "must be the ids of databases"),
        ({"v": 2}, "v", "2", "must be 1, the version of follow-ups known here"),
        ({"command": START_OF_MANY, "left": [5]}, "left[0]", "5", "Expected `str`, got `int`"),
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


@pytest.mark.parametrize(("length", "shown"), [(200, "x" * 200), (201, "x" * 200 + "…")])
def test_a_value_of_up_to_200_characters_is_quoted_whole(length: int, shown: str) -> None:
    """A longer one is cut, and one sees that it was."""
    assert BadMessageError("data", "x" * length, "no").value == shown


def test_a_request_that_is_no_push_is_known_by_its_own_hash() -> None:
    """It has no message id, so the log and the outcome name it by what it holds."""
    world = World()

    delivery, report = receive(b"hello", f"X/{COMMANDS}/", {}, START + HOUR, world.ports, world.settings)

    message_id = "body-2cf24dba5fb0a30e"
    assert delivery == Delivery(b"", {}, message_id, START + HOUR, f"X/{COMMANDS}")
    (result,) = report.results
    assert (result.trigger.message_id, result.trigger.publish_time) == (message_id, START + HOUR)
