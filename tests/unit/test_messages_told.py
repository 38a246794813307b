"""What is told of a message that can't be understood beside its mistake, and follow-ups that are none."""

from __future__ import annotations

import json

import pytest

from backstop.commands import Encryption, EncryptionType, Start
from backstop.errors import BadMessageError
from backstop.gcp import logs
from backstop.names import DatabaseName
from backstop.wire import FOLLOW_UP_BYTES_MAX, KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, parse_command
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, MISSING, NIGHTLY, ORDERS, RESULTS, START, World


def command(action: str, **fields: object) -> bytes:
    """A command as its publisher writes it."""
    return json.dumps({"action": action, **fields}).encode()


BROKEN = {
    "start orders": "line 1, column 1: text without quotes",
    "{'action': 'start'}": "line 1, column 2: single quotes, where JSON has double ones",
    '{"action": "start",\n \'database\': 1}': "line 2, column 2: single quotes, where JSON has double ones",
    '{"action": "start",}': ": a comma after the last one",
    '{"databases": ["a", ]}': ": a comma after the last one",
    '{"dry_run": True}': "line 1, column 13: text without quotes",
    '{“action”: "start"}': "line 1, column 2: curly quotes, where JSON has straight ones",
    '{"action": "start", // now\n "dry_run": true}': "line 1, column 21: a comment, which JSON doesn't have",
    '{"action": "start" "dry_run": true}': "line 1, column 20: a comma or a colon is missing",
    '{"action": "start"': "line 1, column 19: it ends too early",
    '{"action": "start': "line 1, column 12: a text without its closing quote",
    '{"action": "st\nart"}': "line 1, column 15: a line break or a tab within a text",
    "{}{}": "line 1, column 3: something follows its end",
    '{"action": }': "line 1, column 12: this can't stand here",
}


@pytest.mark.parametrize(("text", "where"), BROKEN.items())
def test_broken_json_is_told_with_its_place_and_its_likely_cause(text: str, where: str) -> None:
    """Whoever wrote it by hand finds the mistake without a tool."""
    with pytest.raises(BadMessageError) as caught:
        parse_command(text.encode())

    assert caught.value.reason.startswith("must be JSON; line ")
    assert caught.value.reason.endswith(where)


def test_a_field_that_is_null_is_one_that_is_not_given() -> None:
    """One rule for every field, also within the encryption; a program that writes all its fields needs no other."""
    names = [*Start.__struct_fields__]
    nulls = dict.fromkeys(names) | {"encryption": {"type": "USE_DATABASE_ENCRYPTION", "kms_key_names": None}}
    document = {**nulls, "action": "start", "database": ORDERS}

    assert parse_command(json.dumps(document).encode()) == Start(
        database=DatabaseName(ORDERS), encryption=Encryption(EncryptionType.USE_DATABASE_ENCRYPTION)
    )
    with pytest.raises(BadMessageError, match="action: must be given"):
        parse_command(b'{"action": null}')


def test_an_odd_id_that_can_do_no_harm_is_for_spanner_to_refuse() -> None:
    """Ours was the stricter rule; in Google's words the refusal is never out of date."""
    world = World()

    report = world.deliver(Delivery(command("start", database=ORDERS, backup_id="Nightly"), {}, "17", START, COMMANDS))

    (result,) = report.results
    assert (result.outcome, result.field) == ("REJECTED", None)
    assert result.detail.startswith("Google refused: ")


def test_a_byte_order_mark_is_dropped() -> None:
    """Some editors write one, and nobody sees it."""
    assert parse_command(b"\xef\xbb\xbf" + command("start", database=ORDERS)) == Start(database=DatabaseName(ORDERS))


@pytest.mark.parametrize(
    ("data", "told", "about"),
    [
        (command("start", database=ORDERS, retention="1h"), {"command": "start", "database": ORDERS}, ORDERS),
        (command("cancel", backup=NIGHTLY, colour=1), {"command": "cancel", "backup": NIGHTLY}, NIGHTLY),
        (command("follow", operation=MISSING, colour=1), {"command": "follow", "operation": MISSING}, MISSING),
        (command("sweep", instance=INSTANCE, colour=1), {"command": "sweep", "instance": INSTANCE}, INSTANCE),
        (f"{{'action': 'start', database: '{ORDERS}'}}".encode(), {"command": "start", "database": ORDERS}, ORDERS),
        (command("START", database="orders"), {"command": "unknown"}, COMMANDS),
        (b'{"action": "start", "action": "cancel"}', {"command": "unknown"}, COMMANDS),
    ],
)
def test_what_can_be_read_of_a_refused_command_is_told(data: bytes, told: dict[str, str], about: str) -> None:
    """Whoever looks for what became of a database finds the commands that were refused, however broken they are."""
    world = World()

    delivery = Delivery(data, message_id="17", publish_time=START, topic=COMMANDS)
    line = json.loads(logs.line(delivery, world.deliver(delivery), 0.0, ""))

    names = ("command", "operation", "backup", "database", "instance")
    assert {name: line[name] for name in names if name in line} == told
    assert line["message_id"] == "17"
    assert world.pubsub.published(RESULTS)[0].attributes["ce-subject"] == about


def look(**fields: object) -> bytes:
    """A look as the function writes it, with these fields instead."""
    trigger = {"message_id": "17", "publish_time": "2026-11-22T02:00:00Z"}
    written = {"operation": MISSING, "intent": "KEEP", "give_up_at": "2026-11-22T02:00:00Z"}
    return json.dumps({"v": 1, "kind": "look", "trigger": trigger, "step": 1, **written, **fields}).encode()


FOLLOW_UP_REFUSED: dict[str, tuple[bytes, str, str, str]] = {
    "of no kind": (b'{"v": 1}', "kind", "", "must be given"),
    "of an unknown kind": (b'{"v": 1, "kind": "glance"}', "kind", "glance", "must be one of"),
    "without its fields": (b'{"v": 1, "kind": "look"}', "trigger", "", "must be given"),
    "not an object": (b"[1]", "data", "[1]", "must be a JSON object"),
    "with a time that has no zone": (look(give_up_at="2026-11-22T02:00:00"), "give_up_at", "2026", "with its zone"),
    "with a time that nothing can be added to": (look(give_up_at="9999-12-31T23:59:59Z"), "give_up_at", "9999", "2999"),
    "with such a time further in": (
        look(trigger={"message_id": "17", "publish_time": "1970-01-01T00:00:00Z"}),
        "trigger.publish_time",
        "1970",
        "in the years 2000",
    ),
    "with a number that is no length of time": (
        look(expected_seconds=10**18),
        "expected_seconds",
        "10",
        "must be 0 to",
    ),
    "with a step below zero": (look(step=-1), "step", "-1", "must be 0 to"),
    "with a spread beyond all bounds": (look(expected_spread=10**400), "expected_spread", "1000", "can't be read"),
    "with a half step": (look(step=1.5), "step", "1.5", "must be a number without a fraction"),
    "too long": (b" " * (FOLLOW_UP_BYTES_MAX + 1), "data", "1 bytes", f"must have at most {FOLLOW_UP_BYTES_MAX} bytes"),
}


@pytest.mark.parametrize(("data", "field", "value", "reason"), FOLLOW_UP_REFUSED.values(), ids=FOLLOW_UP_REFUSED.keys())
def test_a_follow_up_that_can_t_be_understood_is_rejected_too(data: bytes, field: str, value: str, reason: str) -> None:
    """A follow-up of another revision or by another hand doesn't loop either."""
    world = World()

    report = world.deliver(Delivery(data, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, FOLLOW_UPS))

    (result,) = world.results
    assert (result["outcome"], result["field"], report.retry) == ("REJECTED", field, False)
    assert value in result["detail"]
    assert reason in result["detail"]


@pytest.mark.parametrize(("topic", "shown"), [(COMMANDS, COMMANDS), ("", "nowhere"), (FOLLOW_UPS + "x", FOLLOW_UPS)])
def test_a_follow_up_is_believed_from_the_follow_ups_topic_only(topic: str, shown: str) -> None:
    """Who may publish commands can't forge the function's memory."""
    world = World()
    world.start_by_hand()
    forged = b'{"v":1,"kind":"look"}'

    report = world.deliver(Delivery(forged, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, "17", START, topic))

    (result,) = world.results
    assert (result["outcome"], result["field"]) == ("REJECTED", "attributes.backstop-kind")
    assert f"came from {shown}" in result["detail"]
    assert not report.retry
    assert world.calls == {"Publish": 1}


def test_a_follow_up_without_its_attribute_is_no_command() -> None:
    """Only the attribute makes a follow-up; the same data without it is an unknown action."""
    world = World()

    world.deliver(Delivery(b'{"v":1,"kind":"look"}', message_id="17", publish_time=START, topic=FOLLOW_UPS))

    assert world.results[0]["field"] == "action"
