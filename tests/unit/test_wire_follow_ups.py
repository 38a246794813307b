"""The function's messages to itself: what is written reads the same, and what is different has another identity."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from backstop.commands import Command, Start
from backstop.events import Trigger
from backstop.followups import FollowUp, Intent, Poll, Retry, identity
from backstop.names import OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, Delivery, encode_follow_up, parse_command, parse_follow_up
from tests.unit import strategies as own
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, MISSING, ORDERS, START, World

MARKED = {KIND_ATTRIBUTE: KIND_FOLLOW_UP}


def written(command: Command) -> bytes:
    """A command as a person would write it: by hand, with none of the parser's own code."""
    document = {"action": command.__struct_config__.tag}
    for name in command.__struct_fields__:
        value = getattr(command, name)
        if value in (None, ()):
            continue
        if isinstance(value, timedelta):
            value = f"{value // timedelta(seconds=1)}s"
        document[name] = msgspec.to_builtins(value, str_keys=True, enc_hook=str)
    return json.dumps(document).encode()


@given(own.commands)
def test_a_command_that_is_written_reads_the_same(command: Command) -> None:
    """Nothing of a valid command is lost or changed by the parser."""
    assume(len(written(command)) <= 10_000)

    assert parse_command(written(command)) == command


@given(own.follow_ups)
def test_a_follow_up_that_is_written_reads_the_same(follow_up: FollowUp) -> None:
    """Nothing is lost between a poll and the next one."""
    assert parse_follow_up(encode_follow_up(follow_up)) == follow_up


@given(own.retries)
def test_a_command_that_is_retried_keeps_its_durations_readable(retry: Retry) -> None:
    """A follow-up writes durations the way people do, as one format is enough."""
    durations = {"retention", "cancel_after", "start_within"}
    command = json.loads(encode_follow_up(retry))["command"]

    assert all(re.fullmatch(r"([0-9]+[dhms])+", command[name]) for name in durations & command.keys())


def poll(**fields: object) -> bytes:
    """A poll as the function writes it, with these fields instead."""
    trigger = {"message_id": "17", "publish_time": "2026-11-22T02:00:00Z"}
    usual = {"operation": MISSING, "intent": "KEEP", "give_up_at": "2026-11-22T02:00:00Z"}
    return json.dumps({"v": 1, "kind": "poll", "trigger": trigger, "step": 1, **usual, **fields}).encode()


def fan_out(**fields: object) -> bytes:
    """A fan-out likewise."""
    return poll(kind="fan-out", **fields)


def test_the_years_2000_to_2999_are_those_that_a_message_may_speak_of() -> None:
    """No sum of a time and a duration can overflow: the year 9999 answered 500 in a loop."""
    first, last = "2000-01-01T00:00:00Z", "2999-12-31T23:59:59.999999Z"

    assert isinstance(parse_follow_up(poll(unwanted_from=first, give_up_at=last)), Poll)


def test_a_field_of_a_newer_revision_is_ignored_in_a_follow_up() -> None:
    """A roll-out may write what the older revision reads."""
    assert parse_follow_up(poll(colour="blue")) == Poll(
        trigger=Trigger("17", START), step=1, operation=MISSING, intent=Intent.KEEP, give_up_at=START
    )


MANY = {"action": "start", "instance": INSTANCE}
KINDS = "must be one of poll, retry, fan-out"
YEARS = "must be a time with its zone, in the years 2000 to 2999"
NUMBERS = "must be 0 to 1000000000"

# What is told of a follow-up that is none, and the follow-up.
REFUSED: dict[str, bytes] = {
    "data: must be a JSON object; found '[1]'": b"[1]",
    "data: must have at most 250000 bytes; found '250001 bytes'": b" " * 250_001,
    "kind: must be given": b'{"v": 1}',
    f"kind: {KINDS}; found 'glance'": b'{"v": 1, "kind": "glance"}',
    "trigger: must be given": b'{"v": 1, "kind": "poll"}',
    "intent: must be one of KEEP, CANCEL; found 'STOP'": poll(intent="STOP"),
    f"give_up_at: {YEARS}; found '2026-11-22T02:00:00'": poll(give_up_at="2026-11-22T02:00:00"),
    f"give_up_at: {YEARS}; found '9999-12-31T23:59:59+00:00'": poll(give_up_at="9999-12-31T23:59:59Z"),
    f"give_up_at: {YEARS}; found '3000-01-01T00:00:00+00:00'": poll(give_up_at="3000-01-01T00:00:00Z"),
    f"trigger.publish_time: {YEARS}; found '1999-12-31T23:59:59.999999+00:00'": poll(
        trigger={"message_id": "17", "publish_time": "1999-12-31T23:59:59.999999Z"}
    ),
    f"expected_seconds: {NUMBERS}; found '{10**18}'": poll(expected_seconds=10**18),
    f"step: {NUMBERS}; found '-1'": poll(step=-1),
    "step: must be a number without a fraction; found '1.5'": poll(step=1.5),
    f"expected_spread: can't be read; found '{(str(10**400)[:197])}…'": poll(expected_spread=10**400),
    # Whoever may publish to the topic can write what the function never would.
    "command.instance: must be given in a fan-out": fan_out(command={"action": "start", "database": ORDERS}),
    "left: must be the ids of databases; found '/'": fan_out(command=MANY, left=["orders", "/"]),
    "left[0]: must be text, not a number; found '5'": fan_out(command=MANY, left=[5]),
}


@pytest.mark.parametrize(("told", "data"), REFUSED.items(), ids=REFUSED)
def test_a_follow_up_that_can_t_be_understood_is_rejected_too(told: str, data: bytes) -> None:
    """One by another hand doesn't loop either; a time without a zone answered 500 for ever."""
    world = World()

    report = world.deliver(Delivery(data, MARKED, "17", START, FOLLOW_UPS))

    (event,) = world.results
    assert event["detail"] == f"Could not understand message 17: {told}."
    assert (event["outcome"], event["field"], report.retry) == ("REJECTED", told.partition(": ")[0], False)


@pytest.mark.parametrize("version", [2, 0, True, "1", 1.0, None])
def test_a_follow_up_of_another_version_waits_for_a_revision_that_knows_it(version: object) -> None:
    """A newer revision may have written it and been taken back; to acknowledge it would end the chain in silence."""
    world = World()

    report = world.deliver(Delivery(poll(v=version), MARKED, "17", START, FOLLOW_UPS))

    assert report.retry
    found = "" if version is None else f"; found {version if isinstance(version, str) else json.dumps(version)!r}"
    assert report.note == f"To be delivered again: v: must be 1, the version of follow-ups known here{found}."
    assert world.calls == {}


@pytest.mark.parametrize(("topic", "shown"), [(COMMANDS, COMMANDS), ("", "nowhere"), (FOLLOW_UPS + "x", FOLLOW_UPS)])
def test_a_follow_up_is_believed_from_the_follow_ups_topic_only(topic: str, shown: str) -> None:
    """Who may publish commands can't forge the function's memory."""
    world = World()

    report = world.deliver(Delivery(poll(), MARKED, "17", START, topic))

    (event,) = world.results
    assert (event["outcome"], event["field"]) == ("REJECTED", "attributes.backstop-kind")
    assert f"this is from {shown}" in event["detail"]
    assert (report.retry, report.trigger) == (False, Trigger("17", START, topic))
    assert world.calls == {"Publish": 1}


def test_a_follow_up_without_its_attribute_is_no_command() -> None:
    """Only the attribute makes a follow-up; the same data without it is an unknown action."""
    world = World()

    world.deliver(Delivery(poll(), message_id="17", publish_time=START, topic=FOLLOW_UPS))

    assert world.results[0]["field"] == "action"


@given(own.follow_ups, own.triggers, st.integers(1, 5))
def test_the_identity_changes_with_the_command_with_the_step_and_with_the_period(
    follow_up: FollowUp, trigger: Trigger, further: int
) -> None:
    """Another command, a further step or a later period is another follow-up; how often it failed is bookkeeping."""
    ours, theirs = follow_up.trigger, trigger
    assume((ours.topic, ours.message_id) != (theirs.topic, theirs.message_id))
    later = replace(follow_up, step=follow_up.step + further)

    assert identity(replace(follow_up, trigger=trigger)) != identity(follow_up)
    assert (identity(later) == identity(follow_up)) is isinstance(follow_up, Retry)
    assert identity(follow_up, "a period") not in {identity(follow_up), identity(follow_up, "another")}
    assert identity(replace(follow_up, failures=follow_up.failures + 1)) == identity(follow_up)


def test_the_identities_of_nearby_follow_ups_all_differ() -> None:
    """Kinds, operations, steps, commands and topics that share most of their text still differ."""
    trigger = Trigger("1", START)
    poll = Poll(trigger=trigger, step=1, operation=MISSING, intent=Intent.KEEP, give_up_at=START)
    retry = Retry(trigger=trigger, step=1, command=Start(database=ORDERS))
    nearby: list[FollowUp] = [
        poll,
        retry,
        replace(poll, step=11),
        replace(poll, operation=OperationName(f"{MISSING}1")),
        replace(poll, trigger=Trigger("11", START)),
        replace(poll, trigger=Trigger("1", START, COMMANDS)),
        replace(retry, trigger=Trigger("11", START)),
    ]

    assert len({identity(one) for one in nearby}) == len(nearby)
    assert all(re.fullmatch("[0-9a-f]{64}", identity(one)) for one in nearby)


READS = """
import json, sys
from datetime import UTC, datetime
from backstop import wire

worked_out = []

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        worked_out.append(frame.f_code.co_filename)

START, POLL = {START!r}, {POLL!r}
sys.setprofile(watch)
push = {{"data": "e30=", "publishTime": "2026-11-22T02:00:00Z"}}
wire.parse_delivery(json.dumps({{"message": push}}).encode(), "/x", {{}}, datetime(2026, 11, 22, 2, tzinfo=UTC))
for command in (START, {{"action": "sweep", "instance": START["instance"]}}):
    wire.parse_command(json.dumps(command).encode())
for action in ("cancel", "follow"):
    wire.parse_command(json.dumps({{"action": action, "operation": POLL["operation"]}}).encode())
for kind in {KINDS!r}:
    wire.parse_follow_up(json.dumps({{**POLL, "kind": kind, "command": START, "left": []}}).encode())
sys.setprofile(None)
sys.exit(f"worked out while messages were being read: {{worked_out}}" if worked_out else 0)
"""


def test_no_message_is_the_first_of_its_type() -> None:
    """Two threads that read the first two messages at once crashed the process, where msgspec learns what a type is."""
    start = {**MANY, "encryption": {"type": "USE_DATABASE_ENCRYPTION"}}
    kinds = [str(kind.__struct_config__.tag) for kind in get_args(FollowUp)]
    program = READS.format(START=start, POLL=json.loads(poll()), KINDS=kinds)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
