"""Which operation a command means."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from backstop import selection
from backstop.events import Trigger
from backstop.lifecycle import CLOCK_MARGIN, GRACE
from backstop.names import DatabaseName, OperationName
from backstop.operations import Backup, Failure, Operation
from tests.unit import strategies as own
from tests.unit.handlers_world import (
    DAY,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    ORDERS,
    SECOND,
    START,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

TRIGGER = Trigger("17", START)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + DAY)
MADE = replace(RUNNING, end_time=START + HOUR, response=BACKUP)
FAILED = replace(RUNNING, end_time=START + HOUR, error=Failure("INTERNAL", "broken"))


def named(letter: str, operation: Operation = RUNNING, **changes: object) -> Operation:
    """The same operation under another name."""
    return replace(operation, name=OperationName(f"{NIGHTLY}/operations/{letter}"), **changes)  # type: ignore[arg-type]  # fields by name


def test_a_derived_id_says_what_is_backed_up_and_when() -> None:
    """The id reads as database, day, time of publishing in UTC, and eight digits of the message."""
    assert selection.derived_backup_id(ORDERS, TRIGGER) == "orders-20261122-020000-d7a2c0a6"


@given(own.databases, own.triggers)
def test_a_derived_id_is_always_valid_and_found_again_whatever_the_publish_time(
    database: DatabaseName, trigger: Trigger
) -> None:
    """Spanner accepts it, and a redelivery with another publish time finds what it began."""
    backup_id = selection.derived_backup_id(database, trigger)
    assert re.fullmatch(r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]", backup_id)
    made = replace(RUNNING, database=database, backup=database.instance.backup(backup_id))

    later = Trigger(trigger.message_id, trigger.publish_time + HOUR, trigger.topic)
    assert selection.derived_attempt([made], database, later) == made
    assert selection.is_derived(made)


@pytest.mark.parametrize("other", [Trigger("18", START, "t"), Trigger("17", START, "u"), Trigger("17", START)])
def test_another_message_or_the_same_id_in_another_topic_has_another_id_and_fingerprint(other: Trigger) -> None:
    """Ids are unique within a topic, so both tell what a start made."""
    trigger = Trigger("17", START, "t")
    made = replace(RUNNING, backup=INSTANCE.backup(selection.derived_backup_id(ORDERS, trigger)))

    assert selection.derived_attempt([made], ORDERS, other) is None
    assert selection.derived_backup_id(ORDERS, trigger) != selection.derived_backup_id(ORDERS, other)
    assert selection.fingerprint(trigger) != selection.fingerprint(other)


@given(own.triggers)
def test_a_fingerprint_is_no_whole_number_of_milliseconds(trigger: Trigger) -> None:
    """Times that people and other tools give often are."""
    mark = selection.fingerprint(trigger)

    assert 0 < mark < 1_000_000
    assert mark % 1000 != 0


PUBLISHED = START + DAY
LATELY = PUBLISHED - MINUTE


def test_a_cancel_can_mean_what_ran_when_it_was_published_the_newest_first() -> None:
    """What had ended by then and what began after the command can't be meant; what became of it is no matter."""
    older, newer = named("b"), named("c", start_time=START + SECOND)
    too_late = named("d", start_time=START + SECOND + MICROSECOND)
    ended = named("e", MADE, end_time=START + SECOND)
    ended_since = named("f", MADE, start_time=START + MICROSECOND, end_time=START + SECOND + MICROSECOND)
    nothing = named("g", FAILED)

    choice = selection.choose([older, ended, ended_since, too_late, newer, nothing], START + SECOND)

    assert choice == find.Choice((newer, ended_since, older, nothing), (), ended, (too_late,), ended)


@pytest.mark.parametrize(
    ("after", "found"), [(MICROSECOND, True), (CLOCK_MARGIN, True), (CLOCK_MARGIN + MICROSECOND, False)]
)
def test_where_nothing_ran_what_began_within_the_clocks_margin_after_is_meant(after: timedelta, *, found: bool) -> None:
    """Publish times are cut to milliseconds, and two clocks differ by seconds."""
    young = named("b", start_time=PUBLISHED + after)

    choice = selection.choose([MADE, young], PUBLISHED)

    assert (choice.pool, choice.younger) == (((young,), ()) if found else ((), (young,)))
    assert selection.newest([MADE, young], PUBLISHED) == (young if found else MADE)


YOUNG = named("b", start_time=PUBLISHED + SECOND)
YOUNG_MADE = replace(YOUNG, end_time=PUBLISHED + HOUR, response=BACKUP)


def test_a_follow_means_nothing_that_began_just_after_and_is_complete() -> None:
    """It is nobody's to stop; a cancel means it, and doubt keeps it."""
    assert selection.newest([YOUNG], PUBLISHED) == YOUNG
    assert selection.newest([YOUNG_MADE], PUBLISHED) is None
    assert selection.choose([YOUNG_MADE], PUBLISHED).pool == (YOUNG_MADE,)


@pytest.mark.parametrize(("after", "found"), [(SECOND - MICROSECOND, True), (SECOND, False)])
def test_what_was_asked_for_after_the_command_is_never_meant(after: timedelta, *, found: bool) -> None:
    """A derived name says in which second its start was published, by the same clock as the command's."""
    backup = INSTANCE.backup(selection.derived_backup_id(ORDERS, Trigger("18", PUBLISHED + after)))

    assert bool(selection.choose([replace(YOUNG, backup=backup)], PUBLISHED).pool) is found


def test_what_ended_nobody_knows_when_did_not_run() -> None:
    """Doubt protects it."""
    assert not selection.ran(replace(RUNNING, unexplained=True), PUBLISHED)


@pytest.mark.parametrize(
    "ran", [named("b", MADE, end_time=PUBLISHED + SECOND), named("b", FAILED, end_time=PUBLISHED + SECOND)]
)
def test_what_began_just_after_is_a_rival_once_all_that_ran_has_ended(ran: Operation) -> None:
    """By another clock it ran, and what ran had ended before."""
    young = named("c", start_time=PUBLISHED + SECOND)

    assert selection.choose([ran, young], PUBLISHED).rivals == (young,)
    assert selection.choose([ran, RUNNING, young], PUBLISHED).rivals == ()


@pytest.mark.parametrize(
    ("end_time", "late"), [(PUBLISHED - GRACE - MICROSECOND, False), (PUBLISHED - GRACE, True), (PUBLISHED, True)]
)
def test_what_ended_within_the_grace_before_is_late(end_time: datetime, *, late: bool) -> None:
    """Ten minutes exactly still count; a microsecond more doesn't."""
    ended = replace(MADE, end_time=end_time)

    choice = selection.choose([ended], PUBLISHED)

    assert (choice.last, choice.late) == (ended, ended if late else None)


def test_a_follow_means_what_ran_when_it_was_published_and_otherwise_what_began_last() -> None:
    """A running operation is what somebody wants to hear of, even if a later one has ended, or it has itself by now."""
    later = named("b", MADE, start_time=START + MINUTE)
    ended_since = named("d", MADE, end_time=PUBLISHED + MICROSECOND)
    after_the_command = named("c", start_time=PUBLISHED + MINUTE)

    assert selection.newest([later, ended_since], PUBLISHED) == ended_since
    assert selection.newest([later, RUNNING], PUBLISHED) == RUNNING
    assert selection.newest([MADE, later, after_the_command], PUBLISHED) == later
    assert selection.newest([after_the_command], PUBLISHED) is None
    assert selection.newest([], PUBLISHED) is None


DATABASES = [DatabaseName(f"{INSTANCE}/databases/{name}") for name in ("orders-de", "orders-fr", "users")]


@pytest.mark.parametrize(
    ("patterns", "found", "idle"),
    [
        ([], ["orders-de", "orders-fr", "users"], []),
        (["*"], ["orders-de", "orders-fr", "users"], []),
        (["orders-*"], ["orders-de", "orders-fr"], []),
        (["users", "orders-d?"], ["orders-de", "users"], []),
        (["orders-[!d]*"], ["orders-fr"], []),
        (["orders-*", "*-de"], ["orders-de", "orders-fr"], []),
        (["ORDERS-*", "users"], ["users"], ["ORDERS-*"]),
        (["invoices"], [], ["invoices"]),
        (["orders"], [], ["orders"]),
    ],
)
def test_patterns_select_databases_as_a_shell_would(patterns: list[str], found: list[str], idle: list[str]) -> None:
    """Each database is started once, in order, and a pattern that matches nothing is told."""
    assert selection.matching(DATABASES, patterns) == (found, idle)
