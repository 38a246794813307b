"""What is no command, and what is told of it: one row for each kind of mistake."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop.commands import Encryption, EncryptionType, Start
from backstop.errors import BadMessageError
from backstop.gcp import logs
from backstop.names import DatabaseName
from backstop.wire import Delivery, parse_command
from tests.unit.handlers_world import COMMANDS, INSTANCE, MISSING, NIGHTLY, ORDERS, RESULTS, START, World


def command(action: str = "start", /, **fields: object) -> bytes:
    """A command as its publisher writes it."""
    return json.dumps({"action": action, **fields}).encode()


def start(**fields: object) -> bytes:
    """A start of the orders database, with these fields too."""
    return command(database=ORDERS, **fields)


def many(*databases: object, **fields: object) -> bytes:
    """A start of some of an instance's databases."""
    return command(instance=INSTANCE, databases=databases, **fields)


FORM = "must have the form projects/PROJECT/instances/INSTANCE"
ACTIONS = "must be one of start, cancel, follow, sweep"
KEYS = "encryption.kms_key_names: must name keys for CUSTOMER_MANAGED_ENCRYPTION, and must be absent otherwise"
NO_DURATION = "must be a duration such as 45s, 30m, 6h, 14d or 1h30m"
ONE_TARGET = "operation | backup | database: exactly one of these must be given; found"
NO_TIME = "version_time: must be a time with its zone, such as 2026-11-22T02:00:00Z; found"
NO_YEAR = "version_time: must be a time with its zone, in the years 2000 to 2999; found"
NO_JSON = "must be JSON, in which no NaN, no number beyond all bounds and no half of a surrogate pair can stand"
DEEP, TOO_DEEP = '{"a": 1e999, "b": ' + "[" * 4900 + "]" * 4900 + "}", "must not be nested more than 20 deep"
TYPES = "USE_DATABASE_ENCRYPTION, GOOGLE_DEFAULT_ENCRYPTION, CUSTOMER_MANAGED_ENCRYPTION"

# What is no JSON object, what is shown of it, and why it is none.
UNREADABLE: list[tuple[bytes, str, str]] = [
    (b"", "", "must not be empty"),
    (b"\xff{}", repr(b"\xff{}"), "must be UTF-8"),
    ("{}".encode("utf-16"), repr("{}".encode("utf-16")), "must be UTF-8"),
    (b'{"a": NaN}', '{"a": NaN}', NO_JSON),
    (b'{"a": 1e999}', '{"a": 1e999}', NO_JSON),
    (b'{"a": ' + b"1" * 5000 + b"}", '{"a": ' + "1" * 191 + "…", NO_JSON),
    (DEEP.encode(), DEEP[:197] + "…", NO_JSON),
    (rb'{"\ud800": 1}', r'{"\ud800": 1}', NO_JSON),
    (rb'{"\ud800":1,"\ud800":2}', r'{"\ud800":1,"\ud800":2}', NO_JSON),
    (b"[" * 4900 + b"]" * 4900, "[" * 197 + "…", TOO_DEEP),
    (b"[" * 990 + b"]" * 990, "[" * 197 + "…", TOO_DEEP),
    (b'{"a":' * 21 + b"1" + b"}" * 21, '{"a":' * 21 + "1" + "}" * 21, TOO_DEEP),
    (b"[]", "[]", "must be a JSON object"),
    (b'"start"', '"start"', "must be a JSON object"),
    (b" " * 10_001, "10001 bytes", "must have at most 10000 bytes"),
]

# What the publisher is told of a mistake, and the message.
MISTAKES: dict[str, bytes] = {
    # A field that is given twice, or that there isn't.
    """action: is given twice; found '["start", "cancel"]'""": b'{"action":"start","a":1,"action":"cancel"}',
    """type: is given twice; found '["A", "B"]'""": b'{"action":"start","encryption":{"type":"A","type":"B"}}',
    "databse: there is no such field; did you mean 'database'?; found 'x'": start(databse="x"),
    "BackupId: there is no such field; did you mean 'backup_id'?; found 'x'": start(BackupId="x"),
    "requestedBy: there is no such field; did you mean 'requested_by'?; found 'x'": start(requestedBy="x"),
    "colour\nof: there is no such field; found 'x'": start(**{"colour\nof": "x"}),
    "retention: `retention` belongs to start, not to cancel; found '14d'": command("cancel", retention="14d"),
    "if_created: must be one of delete, keep; found 'drop'": command("cancel", backup=NIGHTLY, if_created="drop"),
    "include_scheduled: `include_scheduled` belongs to cancel, follow, sweep, not to start; found 'true'": start(
        include_scheduled=True
    ),
    "encryption.key: there is no such field; found 'k'": start(
        encryption={"type": "GOOGLE_DEFAULT_ENCRYPTION", "key": "k"}
    ),
    "encryption.type: must be given": start(encryption={"kms_key_names": ["k"]}),
    f"encryption.type: must be one of {TYPES}; found 'NONE'": start(encryption={"type": "NONE"}),
    # The action.
    "action: must be given": b"{}",
    f"action: {ACTIONS}; found 'abort'": command("abort"),
    f"action: {ACTIONS}; did you mean 'start'?; found 'START'": command("START"),
    f"action: {ACTIONS}; did you mean 'cancel'?; found 'cancle'": command("cancle"),
    "action: must be text, not a number; found '5'": b'{"action": 5}',
    # The target.
    "database | instance: exactly one of these must be given; found 'none of them'": command(),
    "database | instance: exactly one of these must be given; found 'database, instance'": start(instance=INSTANCE),
    f"{ONE_TARGET} 'none of them'": command("cancel"),
    f"{ONE_TARGET} 'backup, database'": command("cancel", backup=NIGHTLY, database=ORDERS),
    f"{ONE_TARGET} 'operation, backup'": command("follow", operation=MISSING, backup=NIGHTLY),
    "instance: must be given": command("sweep"),
    # Types.
    "database: must be text, not a number; found '5'": command(database=5),
    """database: must be text, not a list; found '["größe"]'""": command(database=["größe"]),
    "retention: must be text, not a number; found '14'": start(retention=14),
    "reason: must be text, not true or false; found 'true'": start(reason=True),
    "dry_run: must be true or false, not text; found 'true'": start(dry_run="true"),
    "dry_run: must be true or false, not a number; found '1'": start(dry_run=1),
    "databases: must be a list, not text; found 'orders'": command(instance=INSTANCE, databases="orders"),
    "databases[1]: must be text, not a number; found '5'": many("orders", 5),
    """databases[0]: must be text, not a list; found '["*"]'""": many(["*"]),
    # Times and durations.
    f"{NO_TIME} '2026-11-22T02:00:00'": start(version_time="2026-11-22T02:00:00"),
    f"{NO_TIME} 'yesterday'": start(version_time="yesterday"),
    # They have no year in UTC, and looped for ever.
    f"{NO_YEAR} '0001-01-01T00:00:00+14:00'": start(version_time="0001-01-01T00:00:00+14:00"),
    f"{NO_YEAR} '9999-12-31T23:59:59-14:00'": start(version_time="9999-12-31T23:59:59-14:00"),
    f"retention: {NO_DURATION}; found '2 weeks'": start(retention="2 weeks"),
    f"cancel_after: {NO_DURATION}; found '-1h'": start(cancel_after="-1h"),
    "retention: must be 6h to 366d; found '5h59m59s'": start(retention="5h59m59s"),
    "retention: must be 6h to 366d; found '366d1s'": start(retention="366d1s"),
    "cancel_after: must be 0s to 7d; found '7d1s'": start(cancel_after="7d1s"),
    "cancel_after: must be 0s to 7d; found '8d'": command("follow", backup=NIGHTLY, cancel_after="8d"),
    "cancel_after: must be 0s to 7d; found '9d'": command("sweep", instance=INSTANCE, cancel_after="9d"),
    "start_within: must be 1s to 31d; found '0s'": start(start_within="0s"),
    "start_within: must be 1s to 31d; found '32d'": start(start_within="32d"),
    # Names.
    f"database: {FORM}/databases/DATABASE: 'orders' stands where 'projects' should; found 'orders'": command(
        database="orders"
    ),
    f"database: {FORM}/databases/DATABASE: databases is missing; found '{INSTANCE}'": command(database=INSTANCE),
    f"instance: {FORM}: 'databases/orders' is too much; found '{ORDERS}'": command("sweep", instance=ORDERS),
    f"backup: {FORM}/backups/BACKUP: BACKUP can't hold ' '; found '{NIGHTLY} 2'": command(
        "cancel", backup=f"{NIGHTLY} 2"
    ),
    "backup_id: must have the form BACKUP: 'b' is too much; found 'a/b'": start(backup_id="a/b"),
    # What doesn't go together, and how many.
    """databases: goes with instance, not with database; found '["*"]'""": start(databases=["*"]),
    "backup_id: can't name the backups of several databases; found 'a'": command(instance=INSTANCE, backup_id="a"),
    f"databases: must hold at most 100; found {json.dumps(['a'] * 101)[:197] + '…'!r}": many(*["a"] * 101),
    "databases[0]: must not be empty; found ''": many(""),
    f"databases[0]: must have at most 60 characters; found '{'a' * 61}'": many("a" * 61),
    f"{KEYS}; found '[]'": start(encryption={"type": "CUSTOMER_MANAGED_ENCRYPTION"}),
    f"""{KEYS}; found '["k"]'""": start(encryption={"type": "GOOGLE_DEFAULT_ENCRYPTION", "kms_key_names": ["k"]}),
}


def check(data: bytes, told: str) -> None:
    """One REJECTED says it; nothing is called, and the message doesn't come again."""
    world = World()

    report = world.deliver(Delivery(data, message_id="17", publish_time=START, topic=COMMANDS))

    (event,) = world.results
    assert event["detail"] == f"Could not understand message 17: {told}."
    assert (event["outcome"], event["field"], report.retry) == ("REJECTED", told.partition(": ")[0], False)
    assert world.calls == {"Publish": 1}


@pytest.mark.parametrize(("data", "shown", "why"), UNREADABLE)
def test_what_is_no_json_object_is_told_once_with_what_it_is(data: bytes, shown: str, why: str) -> None:
    """However it is broken: nesting near the recursion limit was answered 500."""
    check(data, f"data: {why}; found {shown!r}")


@pytest.mark.parametrize(("told", "data"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_field_its_value_and_what_would_be_right(told: str, data: bytes) -> None:
    """Whoever published it can correct it from that sentence alone."""
    check(data, told)


@pytest.mark.parametrize("field", ["requested_by", "reason"])
def test_a_claim_that_is_too_long_is_told_with_its_limit(field: str) -> None:
    """200 characters are a name, a ticket, one sentence."""
    parse_command(start(**{field: "é" * 200}))

    with pytest.raises(BadMessageError, match=f"{field}: must have at most 200 characters"):
        parse_command(start(**{field: "é" * 201}))


def test_a_list_of_no_databases_started_every_one() -> None:
    """A program that found none to name sends an empty list; to mean all, the field is left out."""
    check(many(), "databases: must not be empty; found '[]'")


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
    encryption = {"type": "USE_DATABASE_ENCRYPTION", "kms_key_names": None}
    nulls = dict.fromkeys(Start.__struct_fields__) | {"encryption": encryption, "database": ORDERS}

    assert parse_command(command(**nulls)) == Start(
        database=ORDERS, encryption=Encryption(EncryptionType.USE_DATABASE_ENCRYPTION)
    )
    with pytest.raises(BadMessageError, match="action: must be given"):
        parse_command(b'{"action": null}')


@pytest.mark.parametrize(("opens", "closes"), [('{"a": ', "}"), ("[", "]")], ids=["objects", "lists"])
def test_what_is_nested_twenty_deep_is_read_and_no_deeper(opens: str, closes: str) -> None:
    """The command itself is the first level."""
    for depth, why in ((19, "there is no such field"), (20, "must not be nested more than 20 deep")):
        data = f'{{"action": "start", "x": {opens * depth}1{closes * depth}}}'

        with pytest.raises(BadMessageError, match=why):
            parse_command(data.encode())


def test_a_byte_order_mark_is_dropped() -> None:
    """Some editors write one, and nobody sees it."""
    assert parse_command(b"\xef\xbb\xbf" + start()) == Start(database=DatabaseName(ORDERS))


def test_a_command_may_have_ten_thousand_bytes() -> None:
    """One more is too many, as the table above says."""
    assert parse_command(start().ljust(10_000)) == parse_command(start())


def test_an_odd_id_that_can_do_no_harm_is_for_spanner_to_refuse() -> None:
    """Ours was the stricter rule; in Google's words the refusal is never out of date."""
    world = World()

    world.send(action="start", database=ORDERS, backup_id="Nightly")

    (event,) = world.results
    assert (event["outcome"], "field" in event) == ("REJECTED", False)
    assert event["detail"].startswith("Google refused: ")


@pytest.mark.parametrize(
    ("data", "told", "about"),
    [
        (start(retention="1h"), {"command": "start", "database": ORDERS}, ORDERS),
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
    world, delivery = World(), Delivery(data, message_id="17", publish_time=START, topic=COMMANDS)

    line = json.loads(logs.line(delivery, world.deliver(delivery), 0.0, ""))

    names = ("command", "operation", "backup", "database", "instance")
    assert {name: line[name] for name in names if name in line} == told
    assert line["message_id"] == "17"
    assert world.pubsub.published(RESULTS)[0].attributes["ce-subject"] == about


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
