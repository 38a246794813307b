"""What is no command: one row for each kind of mistake, and what is told about it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.errors import BadMessageError
from backstop.wire import COMMAND_BYTES_MAX, Delivery, parse_command
from tests.unit.handlers_world import COMMANDS, INSTANCE, MISSING, NIGHTLY, ORDERS, START, World

FORM = "must have the form projects/PROJECT/instances/INSTANCE"
FORM_OF_OPERATION = f"{FORM}/backups/BACKUP/operations/OPERATION"
KEYS = "must name keys for CUSTOMER_MANAGED_ENCRYPTION, and must be absent otherwise"
NO_DURATION = "must be a duration such as 45s, 30m, 6h, 14d or 1h30m"
EXACTLY_ONE = "exactly one of these must be given"
NO_TIME = "must be a time with its zone, such as 2026-11-22T02:00:00Z"
NO_JSON = "must be JSON, in which no NaN, no number beyond all bounds and no half of a surrogate pair can stand"
DEEP = '{"a": 1e999, "b": ' + "[" * 5000
TOO_DEEP = "must not be nested more than 20 deep"


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
    "NaN": (b'{"a": NaN}', "data", '{"a": NaN}', NO_JSON),
    "a number beyond all bounds": (b'{"a": 1e999}', "data", '{"a": 1e999}', NO_JSON),
    "a number too long for any reader": (b'{"a": ' + b"1" * 5000 + b"}", "data", '{"a": ' + "1" * 191 + "…", NO_JSON),
    "such a number before deep nesting": (DEEP.encode(), "data", DEEP[:197] + "…", NO_JSON),
    "half of a surrogate pair": (rb'{"\ud800": 1}', "data", r'{"\ud800": 1}', NO_JSON),
    "such halves twice": (rb'{"\ud800":1,"\ud800":2}', "data", r'{"\ud800":1,"\ud800":2}', NO_JSON),
    "a broken end of deep nesting": (b"[" * 5000, "data", "[" * 197 + "…", TOO_DEEP),
    "nesting near a reader's own limit": (b"[" * 990 + b"]" * 990, "data", "[" * 197 + "…", TOO_DEEP),
    "nesting of objects": (b'{"a":' * 21 + b"1" + b"}" * 21, "data", '{"a":' * 21 + "1" + "}" * 21, TOO_DEEP),
    "a list": (b"[]", "data", "[]", "must be a JSON object"),
    "a text": (b'"start"', "data", '"start"', "must be a JSON object"),
    "over 10 KB": (b" " * (COMMAND_BYTES_MAX + 1), "data", "10001 bytes", "must have at most 10000 bytes"),
    "a doubled field": (b'{"action":"start","action":"cancel"}', "action", '["start", "cancel"]', "is given twice"),
    "a path into a list that is not there": (
        command("start", instance=INSTANCE, databases=[["*"]]),
        "databases[0]",
        '["*"]',
        "must be text, not a list",
    ),
    "a doubled field that is not the first": (
        b'{"database":"a","action":"start","action":"cancel"}',
        "action",
        '["start", "cancel"]',
        "is given twice",
    ),
    "a doubled field inside": (
        b'{"action":"start","encryption":{"type":"A","type":"B"}}',
        "type",
        '["A", "B"]',
        "is given twice",
    ),
    # No action that is known, no such field.
    "no action": (b"{}", "action", "null", "must be given"),
    "an unknown action": (command("stop"), "action", "stop", "must be one of start, cancel, follow, sweep"),
    "an action in capitals": (
        command("START"),
        "action",
        "START",
        "must be one of start, cancel, follow, sweep; did you mean 'start'?",
    ),
    "a misspelt action": (
        command("cancle"),
        "action",
        "cancle",
        "must be one of start, cancel, follow, sweep; did you mean 'cancel'?",
    ),
    "an action of a wrong type": (b'{"action": 5}', "action", "5", "must be text, not a number"),
    "an unknown field": (start(databse="x"), "databse", "x", "there is no such field; did you mean 'database'?"),
    "a field in another case": (
        start(BackupId="x"),
        "BackupId",
        "x",
        "there is no such field; did you mean 'backup_id'?",
    ),
    "a field that is like none": (start(colour="x"), "colour", "x", "there is no such field"),
    "another command's field": (
        command("cancel", backup=NIGHTLY, retention="14d"),
        "retention",
        "14d",
        "`retention` belongs to start, not to cancel",
    ),
    "other commands' field": (
        start(include_scheduled=True),
        "include_scheduled",
        "true",
        "`include_scheduled` belongs to cancel, follow, sweep, not to start",
    ),
    "an unknown field inside": (
        start(encryption={"type": "USE_DATABASE_ENCRYPTION", "key": "k"}),
        "encryption.key",
        "k",
        "there is no such field",
    ),
    "a field missing inside": (
        start(encryption={"kms_key_names": ["k"]}),
        "encryption.type",
        "null",
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
    "a sweep of nothing": (command("sweep"), "instance", "null", "must be given"),
    # Wrong types.
    "a number for a name": (command("start", database=5), "database", "5", "must be text, not a number"),
    "a list for a name": (
        command("start", database=[ORDERS]),
        "database",
        json.dumps([ORDERS]),
        "must be text, not a list",
    ),
    "a number for a duration": (start(retention=14), "retention", "14", "must be text, not a number"),
    "a text for a truth": (start(dry_run="true"), "dry_run", "true", "must be true or false, not text"),
    "a number for a truth": (start(dry_run=1), "dry_run", "1", "must be true or false, not a number"),
    "a text for a list": (
        command("start", instance=INSTANCE, databases="orders"),
        "databases",
        "orders",
        "must be a list, not text",
    ),
    "a wrong type in a list": (
        command("start", instance=INSTANCE, databases=["orders", 5]),
        "databases[1]",
        "5",
        "must be text, not a number",
    ),
    "a choice that there isn't": (
        command("cancel", backup=NIGHTLY, if_created="drop"),
        "if_created",
        "drop",
        "must be one of delete, keep",
    ),
    "an encryption that there isn't": (
        start(encryption={"type": "NONE"}),
        "encryption.type",
        "NONE",
        "must be one of USE_DATABASE_ENCRYPTION, GOOGLE_DEFAULT_ENCRYPTION, CUSTOMER_MANAGED_ENCRYPTION",
    ),
    "a time without a zone": (
        start(version_time="2026-11-22T02:00:00"),
        "version_time",
        "2026-11-22T02:00:00",
        NO_TIME,
    ),
    "a time that is none": (
        start(version_time="yesterday"),
        "version_time",
        "yesterday",
        NO_TIME,
    ),
    "a time before the first year of UTC": (
        start(version_time="0001-01-01T00:00:00+01:00"),
        "version_time",
        "0001-01-01T00:00:00+01:00",
        "must be a time with its zone, in the years 2000 to 2999",
    ),
    # Wrong names.
    "a database's id for its name": (
        command("start", database="orders"),
        "database",
        "orders",
        f"{FORM}/databases/DATABASE: 'orders' stands where 'projects' should",
    ),
    "an instance for a database": (
        command("start", database=INSTANCE),
        "database",
        INSTANCE,
        f"{FORM}/databases/DATABASE: databases is missing",
    ),
    "a database for an instance": (
        command("sweep", instance=ORDERS),
        "instance",
        ORDERS,
        f"{FORM}: 'databases/orders' is too much",
    ),
    "a database's operation": (
        command("follow", operation=f"{ORDERS}/operations/a"),
        "operation",
        f"{ORDERS}/operations/a",
        f"{FORM_OF_OPERATION}: 'databases' stands where 'backups' should",
    ),
    "a blank in a name": (
        command("cancel", backup=f"{NIGHTLY} 2"),
        "backup",
        f"{NIGHTLY} 2",
        f"{FORM}/backups/BACKUP: BACKUP can't hold ' '",
    ),
    "a backup's name for its id": (
        start(backup_id=NIGHTLY),
        "backup_id",
        NIGHTLY,
        "must have the form BACKUP: 'demo-project/instances/main/backups/nightly' is too much",
    ),
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
        '["*"]',
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
        json.dumps(["a"] * 101)[:197] + "…",
        "must be at most 100 patterns",
    ),
    "a list of no patterns": (
        command("start", instance=INSTANCE, databases=[]),
        "databases",
        "[]",
        "must not be empty",
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
        '["k"]',
        KEYS,
    ),
}


@pytest.mark.parametrize(("data", "field", "value", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_mistake_is_told_once_with_its_field_its_value_and_what_would_be_right(
    data: bytes, field: str, value: str, reason: str
) -> None:
    """One REJECTED says what its publisher can correct; nothing is called, and the message doesn't come again."""
    world = World()

    report = world.deliver(Delivery(data, message_id="17", publish_time=START, topic=COMMANDS))

    with pytest.raises(BadMessageError) as caught:
        parse_command(data)
    assert (caught.value.field, caught.value.value, caught.value.reason) == (field, value, reason)
    (result,) = world.results
    assert (result["outcome"], result["field"], report.retry) == ("REJECTED", field, False)
    assert result["detail"] == f"Could not understand message 17: {caught.value}."
    assert world.calls == {"Publish": 1}


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
