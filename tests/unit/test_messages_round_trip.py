"""What is written reads the same, and what is different has a different identity."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from backstop.commands import Command, Start
from backstop.events import Trigger
from backstop.followups import FollowUp, Intent, Poll, Retry, identity
from backstop.names import OperationName
from backstop.wire import encode_follow_up, parse_command, parse_follow_up
from tests.unit import strategies as own
from tests.unit.handlers_world import HOUR, MISSING, ORDERS, START


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
    """Nothing is lost between a look and the next one."""
    assert parse_follow_up(encode_follow_up(follow_up)) == follow_up


@given(own.put_backs)
def test_a_command_that_is_put_back_keeps_its_durations_readable(put_back: Retry) -> None:
    """A follow-up writes durations the way people do, as one format is enough."""
    durations = {"retention", "cancel_after", "start_within"}
    command = json.loads(encode_follow_up(put_back))["command"]

    assert all(re.fullmatch(r"([0-9]+[dhms])+", command[name]) for name in durations & command.keys())


def test_a_follow_up_carries_its_version() -> None:
    """A later revision can tell what it reads."""
    look = Poll(trigger=Trigger("17", START), step=1, operation=MISSING, intent=Intent.KEEP, give_up_at=START)

    assert json.loads(encode_follow_up(look))["v"] == 1


def test_a_field_of_a_newer_revision_is_ignored_in_a_follow_up() -> None:
    """A roll-out may write what the older revision reads."""
    look = Poll(trigger=Trigger("17", START), step=1, operation=MISSING, intent=Intent.KEEP, give_up_at=START)
    document = {**json.loads(encode_follow_up(look)), "colour": "blue"}

    assert parse_follow_up(json.dumps(document).encode()) == look


def subject(follow_up: FollowUp) -> tuple[object, ...]:
    """What a follow-up's identity should stand for; a put-back's step is bookkeeping, as its period tells it apart."""
    message = follow_up.trigger.topic, follow_up.trigger.message_id
    if isinstance(follow_up, Poll):
        return "look", message, follow_up.operation, follow_up.step
    if isinstance(follow_up, Retry):
        return "put-back", message, target(follow_up.command)
    return "fan-out", message, follow_up.instance, follow_up.step


@given(own.follow_ups, own.follow_ups)
def test_two_follow_ups_have_one_identity_only_if_they_are_the_same_step_of_the_same_chain(
    first: FollowUp, second: FollowUp
) -> None:
    """Chains can't fork, and no chain can swallow another's follow-up."""
    assert (identity(first) == identity(second)) == (subject(first) == subject(second))


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
    assert identity(follow_up, "a period") != identity(follow_up)
    assert identity(replace(follow_up, failures=follow_up.failures + 1)) == identity(follow_up)


def test_the_identities_of_nearby_follow_ups_all_differ() -> None:
    """Kinds, operations, steps and commands that share most of their text still differ."""
    trigger = Trigger("1", START)
    look = Poll(trigger=trigger, step=1, operation=MISSING, intent=Intent.KEEP, give_up_at=START + HOUR)
    put_back = Retry(trigger=trigger, step=1, command=Start(database=ORDERS))
    other = OperationName(f"{MISSING}1")
    nearby: list[FollowUp] = [
        look,
        put_back,
        replace(look, step=11),
        replace(look, operation=other),
        replace(look, trigger=Trigger("11", START)),
        replace(look, trigger=Trigger("1", START, "projects/demo-project/topics/commands")),
        replace(put_back, trigger=Trigger("11", START)),
    ]

    assert len({identity(follow_up) for follow_up in nearby}) == len(nearby)
    assert identity(put_back, "one period") != identity(put_back, "another")
    assert all(re.fullmatch("[0-9a-f]{64}", identity(follow_up)) for follow_up in nearby)
