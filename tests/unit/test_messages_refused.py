"""What is no command: one row for each kind of mistake, and what is told about it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.errors import BadMessageError
from backstop.messages import COMMAND_BYTES_MAX, KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, parse_command
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, MISSING, NIGHTLY, ORDERS, START, World

FORM = "must have the form projects/PROJECT/instances/INSTANCE"
FORM_OF_DATABASE = f"{FORM}/databases/DATABASE"
FORM_OF_OPERATION = f"{FORM}/backups/BACKUP/operations/OPERATION"
FORM_OF_ID = "must have the form [a-z][a-z0-9_-]*[a-z0-9], 2 to 60 characters"
KEYS = "must name keys for CUSTOMER_MANAGED_ENCRYPTION, and must be absent otherwise"
NO_DURATION = "must be a duration such as 45s, 30m, 6h, 14d or 1h30m"
EXACTLY_ONE = "exactly one of these must be given"


def start(**fields: object) -> bytes:
    """A start of the orders database, with these fields too."""
    return json.dumps({"action": "start", "database": ORDERS, **fields}).encode()


def command(action: str, **fields: object) -> bytes:
    """A command as its publisher writes it."""
    return json.dumps({"action": action, **fields}).encode()


# The mistake, the message, and the field, the value and the reason that its publisher is told.
REFUSED: dict[str, tuple[bytes, str, str, str]] = {
    # No JSON object.
    "no data": (b"", "data", "", "must not be empty"),
    "not UTF-8": (b"\xff{}", "data", repr(b"\xff{}"), "must be UTF-8"),
    "UTF-16": ("{}".encode("utf-16"), "data", repr("{}".encode("utf-16")), "must be UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "data", "\ufeff{}", "must be JSON"),
    "not JSON": (b"start orders", "data", "start orders", "must be JSON"),
    "two objects": (b"{}{}", "data", "{}{}", "must be JSON"),
    "NaN": (b'{"a": NaN}', "data", '{"a": NaN}', "must be JSON"),
    "half of a surrogate pair": (rb'{"\ud800": 1}', "data", r'{"\ud800": 1}', "must be JSON"),
    "such halves twice": (rb'{"\ud800":1,"\ud800":2}', "data", r'{"\ud800":1,"\ud800":2}', "must be JSON"),
    "deep nesting": (b"[" * 5000, "data", "[" * 200 + "…", "must be JSON"),
    "a list": (b"[]", "data", "[]", "must be a JSON object"),
    "a text": (b'"start"', "data", '"start"', "must be a JSON object"),
    "over 10 KB": (b" " * (COMMAND_BYTES_MAX + 1), "data", "10001 bytes", "must have at most 10000 bytes"),
    "a doubled field": (b'{"action":"start","action":"cancel"}', "action", "['start', 'cancel']", "is given twice"),
    "a path into a list that is not there": (
        command("start", instance=INSTANCE, databases=[["*"]]),
        "databases[0]",
        "['*']",
        "Expected `str`, got `array`",
    ),
    "a doubled field that is not the first": (
        b'{"database":"a","action":"start","action":"cancel"}',
        "action",
        "['start', 'cancel']",
        "is given twice",
    ),
    "a doubled field inside": (
        b'{"action":"start","encryption":{"type":"A","type":"B"}}',
        "type",
        "['A', 'B']",
        "is given twice",
    ),
    # No action that is known, no such field.
    "no action": (b"{}", "action", "None", "must be given"),
    "an unknown action": (command("stop"), "action", "stop", "Invalid value 'stop'"),
    "an action in capitals": (command("START"), "action", "START", "Invalid value 'START'"),
    "an action of a wrong type": (b'{"action": 5}', "action", "5", "Expected `str`, got `int`"),
    "an unknown field": (start(databse="x"), "databse", "x", "there is no such field"),
    "another command's field": (start(include_scheduled=True), "include_scheduled", "True", "there is no such field"),
    "an unknown field inside": (
        start(encryption={"type": "USE_DATABASE_ENCRYPTION", "key": "k"}),
        "encryption.key",
        "k",
        "there is no such field",
    ),
    "a field missing inside": (
        start(encryption={"kms_key_names": ["k"]}),
        "encryption.type",
        "None",
        "must be given",
    ),
    # No target, or more than one.
    "a start of nothing": (command("start"), "database | instance", "none of them", EXACTLY_ONE),
    "a start of both": (start(instance=INSTANCE), "database | instance", "database, instance", EXACTLY_ONE),
    "a cancel of nothing": (command("cancel"), "operation | backup | database", "none of them", EXACTLY_ONE),
    "a cancel of two": (
        command("cancel", backup=NIGHTLY, database=ORDERS),
        "operation | backup | database",
        "backup, database",
        EXACTLY_ONE,
    ),
    "a follow of nothing": (command("follow"), "operation | backup | database", "none of them", EXACTLY_ONE),
    "a follow of two": (
        command("follow", operation=MISSING, backup=NIGHTLY),
        "operation | backup | database",
        "operation, backup",
        EXACTLY_ONE,
    ),
    "a sweep of nothing": (command("sweep"), "instance", "None", "must be given"),
    # Wrong types.
    "a number for a name": (command("start", database=5), "database", "5", "Expected `str`, got `int`"),
    "a list for a name": (
        command("start", database=[ORDERS]),
        "database",
        repr([ORDERS]),
        "Expected `str`, got `list`",
    ),
    "a number for a duration": (start(retention=14), "retention", "14", "Expected `str`, got `int`"),
    "a text for a truth": (start(dry_run="true"), "dry_run", "true", "Expected `bool`, got `str`"),
    "a number for a truth": (start(dry_run=1), "dry_run", "1", "Expected `bool`, got `int`"),
    "a text for a list": (
        command("start", instance=INSTANCE, databases="orders"),
        "databases",
        "orders",
        "Expected `array`, got `str`",
    ),
    "a wrong type in a list": (
        command("start", instance=INSTANCE, databases=["orders", 5]),
        "databases[1]",
        "5",
        "Expected `str`, got `int`",
    ),
    "a choice that there isn't": (
        command("cancel", backup=NIGHTLY, if_created="drop"),
        "if_created",
        "drop",
        "Invalid enum value 'drop'",
    ),
    "an encryption that there isn't": (
        start(encryption={"type": "NONE"}),
        "encryption.type",
        "NONE",
        "Invalid enum value 'NONE'",
    ),
    "a time without a zone": (
        start(version_time="2026-11-22T02:00:00"),
        "version_time",
        "2026-11-22T02:00:00",
        "Expected `datetime` with a timezone component",
    ),
    "a time that is none": (
        start(version_time="yesterday"),
        "version_time",
        "yesterday",
        "Invalid RFC3339 encoded datetime",
    ),
    "a time before the first year of UTC": (
        start(version_time="0001-01-01T00:00:00+01:00"),
        "version_time",
        "0001-01-01T00:00:00+01:00",
        "must lie in the years 1 to 9999 of UTC",
    ),
    # Wrong names.
    "a database's id for its name": (command("start", database="orders"), "database", "orders", FORM_OF_DATABASE),
    "an instance for a database": (command("start", database=INSTANCE), "database", INSTANCE, FORM_OF_DATABASE),
    "a database for an instance": (command("sweep", instance=ORDERS), "instance", ORDERS, FORM),
    "a database for a backup": (command("cancel", backup=ORDERS), "backup", ORDERS, f"{FORM}/backups/BACKUP"),
    "a backup for an operation": (command("cancel", operation=NIGHTLY), "operation", NIGHTLY, FORM_OF_OPERATION),
    "a database's operation": (
        command("follow", operation=f"{ORDERS}/operations/a"),
        "operation",
        f"{ORDERS}/operations/a",
        FORM_OF_OPERATION,
    ),
    "a backup's name for its id": (start(backup_id=NIGHTLY), "backup_id", NIGHTLY, FORM_OF_ID),
    "a backup's id in capitals": (start(backup_id="Nightly"), "backup_id", "Nightly", FORM_OF_ID),
    # Wrong durations.
    "a duration that is none": (start(retention="2 weeks"), "retention", "2 weeks", NO_DURATION),
    "a duration below zero": (start(cancel_after="-1h"), "cancel_after", "-1h", NO_DURATION),
    "a retention too short": (start(retention="5h59m59s"), "retention", "5h59m59s", "must be 6h to 366d"),
    "a retention too long": (start(retention="366d1s"), "retention", "366d1s", "must be 6h to 366d"),
    "a start's stop too late": (start(cancel_after="7d1s"), "cancel_after", "7d1s", "must be 0s to 7d"),
    "a follow's stop too late": (
        command("follow", backup=NIGHTLY, cancel_after="8d"),
        "cancel_after",
        "8d",
        "must be 0s to 7d",
    ),
    "a sweep's stop too late": (
        command("sweep", instance=INSTANCE, cancel_after="8d"),
        "cancel_after",
        "8d",
        "must be 0s to 7d",
    ),
    "a start within nothing": (start(start_within="0s"), "start_within", "0s", "must be 1s to 31d"),
    "a start within ages": (start(start_within="32d"), "start_within", "32d", "must be 1s to 31d"),
    # What doesn't go together.
    "patterns for one database": (
        start(databases=["*"]),
        "databases",
        "['*']",
        "goes with instance, not with database",
    ),
    "one id for many backups": (
        command("start", instance=INSTANCE, backup_id="nightly"),
        "backup_id",
        "nightly",
        "can't name the backups of several databases",
    ),
    "too many patterns": (
        command("start", instance=INSTANCE, databases=["a"] * 101),
        "databases",
        repr(["a"] * 101)[:200] + "…",
        "must be at most 100 patterns",
    ),
    "an empty pattern": (
        command("start", instance=INSTANCE, databases=[""]),
        "databases",
        "",
        "must have 1 to 60 characters",
    ),
    "a long pattern": (
        command("start", instance=INSTANCE, databases=["a" * 61]),
        "databases",
        "a" * 61,
        "must have 1 to 60 characters",
    ),
    "a customer's key without its name": (
        start(encryption={"type": "CUSTOMER_MANAGED_ENCRYPTION"}),
        "encryption.kms_key_names",
        "[]",
        KEYS,
    ),
    "a key's name without a customer's key": (
        start(encryption={"type": "GOOGLE_DEFAULT_ENCRYPTION", "kms_key_names": ["k"]}),
        "encryption.kms_key_names",
        "['k']",
        KEYS,
    ),
}


@pytest.mark.parametrize(("data", "field", "value", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_mistake_is_told_with_its_field_its_value_and_the_reason(
    data: bytes, field: str, value: str, reason: str
) -> None:
    """Whoever published the message can correct it from what the error says."""
    with pytest.raises(BadMessageError) as caught:
        parse_command(data)

    assert (caught.value.field, caught.value.value, caught.value.reason) == (field, value, reason)


@pytest.mark.parametrize(("data", "field", "value", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_message_that_can_t_be_understood_is_rejected_once_and_acknowledged(
    data: bytes, field: str, value: str, reason: str
) -> None:
    """One REJECTED says where the mistake is; nothing is called, and the message doesn't come again."""
    world = World()

    report = world.deliver(Delivery(data, message_id="17", publish_time=START, topic=COMMANDS))

    (result,) = world.results
    assert (result["outcome"], result["field"]) == ("REJECTED", field)
    assert "Could not understand message 17: " in result["detail"]
    assert reason in result["detail"]
    assert repr(value)[1:-1].rstrip("…") in result["detail"]
    assert (report.retry, report.command) == (False, "unknown")
    assert world.calls == {"Publish": 1}


def test_objects_nested_deeper_than_any_python_reads_are_rejected_like_everything_else() -> None:
    """Where the limit lies differs between versions of Python; on either side of it the message is refused once."""
    world = World()

    report = world.deliver(Delivery(b'{"a":' * 1500 + b"1" + b"}" * 1500, message_id="17", topic=COMMANDS))

    assert [result["outcome"] for result in world.results] == ["REJECTED"]
    assert not report.retry


FOLLOW_UP_REFUSED: dict[str, tuple[bytes, str, str, str]] = {
    "of no kind": (b'{"v": 1}', "kind", "None", "must be given"),
    "of an unknown kind": (b'{"v": 1, "kind": "glance"}', "kind", "glance", "Invalid value"),
    "without its fields": (b'{"v": 1, "kind": "look"}', "trigger", "None", "must be given"),
    "not an object": (b"[1]", "data", "[1]", "must be a JSON object"),
    "too long": (b" " * 100_001, "data", "100001 bytes", "must have at most 100000 bytes"),
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


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["action", "database"]), inner),
        max_leaves=10,
    ).map(lambda document: json.dumps(document).encode())
)
def test_whatever_is_published_ends_in_a_command_or_in_one_error_that_can_be_told(data: bytes) -> None:
    """No message makes the parser, or the telling of what it found, fail in another way."""
    world = World()

    report = world.deliver(Delivery(data, message_id="17", publish_time=START, topic=COMMANDS))

    assert world.outcomes == ["REJECTED"]
    assert not report.retry
