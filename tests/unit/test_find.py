"""Which operation a command means."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from backstop import find
from backstop.follow_ups import Trigger
from backstop.lifecycle import GRACE
from backstop.names import BackupName, DatabaseName, OperationName
from backstop.ports import Backup, Operation, OperationError
from tests.unit import strategies as own
from tests.unit.handlers_world import (
    DAY,
    HOUR,
    INSTANCE,
    MICROSECOND,
    MINUTE,
    NIGHTLY,
    ORDERS,
    SCHEDULE,
    SECOND,
    START,
    USERS,
)

if TYPE_CHECKING:
    from datetime import datetime

TRIGGER = Trigger("17", START)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + DAY)
MADE = replace(RUNNING, end_time=START + HOUR, response=BACKUP)
FAILED = replace(RUNNING, end_time=START + HOUR, error=OperationError("INTERNAL", "broken"))


def named(letter: str, operation: Operation = RUNNING, **changes: object) -> Operation:
    """The same operation under another name."""
    return replace(operation, name=OperationName(f"{NIGHTLY}/operations/{letter}"), **changes)  # type: ignore[arg-type]  # fields by name


def test_a_derived_id_says_what_is_backed_up_and_when() -> None:
    """The id reads as database, day, time of publishing in UTC, and four digits of the message's id."""
    assert find.derived_backup_id(ORDERS, TRIGGER) == "orders-20261122-020000-4523"


@given(own.databases, own.triggers)
def test_a_derived_id_is_always_valid_and_the_same_for_each_delivery(database: DatabaseName, trigger: Trigger) -> None:
    """A redelivery derives the same id, and Spanner accepts it."""
    backup_id = find.derived_backup_id(database, trigger)

    assert backup_id == find.derived_backup_id(database, trigger)
    assert re.fullmatch(r"[a-z][a-z0-9_\-]*[a-z0-9]", backup_id)
    assert len(backup_id) <= 60
    assert backup_id.startswith(database.database_id)


def test_two_messages_of_the_same_second_derive_different_ids() -> None:
    """The message's id tells them apart."""
    assert find.derived_backup_id(ORDERS, TRIGGER) != find.derived_backup_id(ORDERS, Trigger("18", START))


@pytest.mark.parametrize(
    ("operation", "derived", "ours"),
    [
        (RUNNING, False, True),
        (MADE, False, True),
        (FAILED, False, True),
        (replace(RUNNING, start_time=START - find.CLOCK_MARGIN), False, True),
        (replace(RUNNING, start_time=START - find.CLOCK_MARGIN - MICROSECOND), False, False),
        (replace(RUNNING, start_time=START - DAY), True, True),
        (replace(RUNNING, database=USERS), True, False),
        (replace(RUNNING, backup=BackupName(f"{NIGHTLY}x")), True, False),
    ],
)
def test_an_attempt_is_ours_if_it_makes_the_same_backup_and_began_after_the_message(
    operation: Operation, *, derived: bool, ours: bool
) -> None:
    """A start that was delivered before is recognised; somebody else's backup isn't taken for it."""
    found = find.own_attempt([operation], NIGHTLY, ORDERS, TRIGGER, derived=derived)

    assert found == (operation if ours else None)


def test_of_several_attempts_under_one_name_the_first_is_ours() -> None:
    """What somebody else started later under the freed name isn't."""
    later = named("b", start_time=START + HOUR)

    assert find.own_attempt([later, FAILED], NIGHTLY, ORDERS, TRIGGER, derived=False) == FAILED


def test_a_cancel_can_mean_what_ran_when_it_was_published_the_newest_first() -> None:
    """What had ended by then, what has come to nothing since, and what began after the command can't be meant."""
    older, newer = named("b"), named("c", start_time=START + SECOND)
    too_late = named("d", start_time=START + SECOND + MICROSECOND)
    ended = named("e", MADE, end_time=START + SECOND)
    ended_since = named("f", MADE, start_time=START + MICROSECOND, end_time=START + SECOND + MICROSECOND)

    found = find.running([older, ended, ended_since, too_late, newer, FAILED], START + SECOND)

    assert found == [newer, ended_since, older]


PUBLISHED = START + DAY


@pytest.mark.parametrize(
    ("end_time", "raced"),
    [
        (PUBLISHED - GRACE - MICROSECOND, False),
        (PUBLISHED - GRACE, True),
        (PUBLISHED, True),
        (PUBLISHED + HOUR, True),
    ],
)
def test_a_race_was_lost_if_the_end_came_within_the_grace_before_the_cancel_or_since(
    end_time: datetime, *, raced: bool
) -> None:
    """Ten minutes exactly still count; a microsecond more doesn't."""
    ended = replace(MADE, end_time=end_time)

    assert find.lately_ended([ended], PUBLISHED) == (ended if raced else None)


def test_what_runs_or_began_after_the_cancel_lost_no_race() -> None:
    """Neither is an operation that ended before the cancel could take effect."""
    began_later = replace(MADE, start_time=PUBLISHED + MICROSECOND, end_time=PUBLISHED + HOUR)

    assert find.lately_ended([RUNNING, began_later], PUBLISHED) is None


def test_of_several_that_ended_lately_the_newest_on_demand_one_is_meant() -> None:
    """A native schedule's backup isn't taken for the one that somebody wanted to stop."""
    lately = PUBLISHED - MINUTE
    scheduled = named(
        "b", MADE, start_time=START + HOUR, end_time=lately, response=replace(BACKUP, schedules=(SCHEDULE,))
    )
    older = named("c", MADE, start_time=START + SECOND, end_time=lately)
    oldest = named("d", FAILED, end_time=lately)

    assert find.lately_ended([scheduled, oldest, older], PUBLISHED) == older
    assert find.lately_ended([scheduled], PUBLISHED) == scheduled
    assert find.lately_ended([scheduled, oldest, older], PUBLISHED, include_scheduled=True) == scheduled


def test_what_began_at_the_moment_of_the_cancel_and_came_to_nothing_lost_its_race_too() -> None:
    """The moment itself belongs to what ran."""
    at_once = named("b", FAILED, start_time=PUBLISHED, end_time=PUBLISHED + MINUTE)

    assert find.lately_ended([at_once], PUBLISHED) == at_once


def test_of_several_that_came_to_nothing_since_the_one_that_was_cancelled_is_meant() -> None:
    """An earlier delivery has cancelled it for this command, whatever began later."""
    cancelled = named("b", FAILED, end_time=PUBLISHED + HOUR, cancel_time=PUBLISHED + MINUTE)
    later = named("c", FAILED, start_time=START + HOUR, end_time=PUBLISHED + HOUR)

    assert find.lately_ended([cancelled, later], PUBLISHED) == cancelled


def test_a_cancel_of_what_had_ended_before_does_not_make_it_the_one_that_is_meant() -> None:
    """Somebody else's cancel of an older operation says nothing about this command."""
    cancelled = named("b", FAILED, end_time=PUBLISHED - MINUTE, cancel_time=PUBLISHED - HOUR)
    later = named("c", FAILED, start_time=START + HOUR, end_time=PUBLISHED - MINUTE)

    assert find.lately_ended([cancelled, later], PUBLISHED) == later


def test_a_follow_means_what_ran_when_it_was_published_and_otherwise_what_began_last() -> None:
    """A running operation is what somebody wants to hear of, even if a later one has ended, or it has itself by now."""
    later = named("b", MADE, start_time=START + MINUTE)
    ended_since = named("d", MADE, end_time=PUBLISHED + MICROSECOND)

    assert find.newest([later, ended_since], PUBLISHED) == ended_since
    after_the_command = named("c", start_time=PUBLISHED + MICROSECOND)

    assert find.newest([later, RUNNING], PUBLISHED) == RUNNING
    assert find.newest([MADE, later, after_the_command], PUBLISHED) == later
    assert find.newest([after_the_command], PUBLISHED) is None
    assert find.newest([], PUBLISHED) is None


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
    assert find.matching(DATABASES, patterns) == (found, idle)
