"""The table of what is done about an operation, and the conditions above it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop import lifecycle
from backstop.lifecycle import (
    GRACE,
    ON_THE_WAY,
    TABLE,
    Action,
    Intent,
    Outcome,
    State,
    intent_now,
    reason_to_keep,
    state_of,
)
from backstop.names import BackupName, OperationName
from backstop.ports import Backup, Operation, OperationError
from tests.unit.handlers_world import DAY, HOUR, MICROSECOND, MINUTE, NIGHTLY, ORDERS, SCHEDULE, START

if TYPE_CHECKING:
    from datetime import datetime

END = START + HOUR
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + 14 * DAY, size_bytes=5)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
SUCCEEDED = replace(RUNNING, end_time=END, response=BACKUP)

STATES = {
    State.RUNNING: RUNNING,
    State.CANCELLING: replace(RUNNING, cancel_time=START),
    State.SUCCEEDED: SUCCEEDED,
    State.CANCELLED: replace(RUNNING, end_time=END, error=OperationError("CANCELLED", "cancelled")),
    State.FAILED: replace(RUNNING, end_time=END, error=OperationError("INTERNAL", "broken")),
    State.GONE: None,
}


@pytest.mark.parametrize(("state", "intent"), list(itertools.product(State, Intent)))
def test_every_state_has_a_rule_for_every_intent(state: State, intent: Intent) -> None:
    """Whatever a look finds, something is said about it."""
    assert TABLE[state][intent].action in Action


def test_the_table_has_no_rows_that_nothing_can_reach() -> None:
    """Every row is a state, every column an intent."""
    assert set(TABLE) == set(State)
    assert all(set(rules) == set(Intent) for rules in TABLE.values())


@pytest.mark.parametrize(
    ("state", "intent", "action", "outcomes"),
    [
        (State.RUNNING, Intent.KEEP, Action.WAIT, ()),
        (State.RUNNING, Intent.CANCEL, Action.CANCEL, ("CANCEL_REQUESTED",)),
        (State.CANCELLING, Intent.KEEP, Action.WAIT_SOON, ()),
        (State.CANCELLING, Intent.CANCEL, Action.WAIT_SOON, ()),
        (State.SUCCEEDED, Intent.KEEP, Action.REPORT, ("COMPLETED", "COMPLETED_DESPITE_CANCEL")),
        (
            State.SUCCEEDED,
            Intent.CANCEL,
            Action.DELETE,
            ("COMPLETED_THEN_DELETED", "COMPLETED_KEPT", "DELETE_BLOCKED"),
        ),
        (State.CANCELLED, Intent.KEEP, Action.REPORT, ("CANCELLED",)),
        (State.CANCELLED, Intent.CANCEL, Action.REPORT, ("CANCELLED",)),
        (State.FAILED, Intent.KEEP, Action.REPORT, ("FAILED",)),
        (State.FAILED, Intent.CANCEL, Action.REPORT, ("FAILED",)),
        (State.GONE, Intent.KEEP, Action.REPORT, ("GONE",)),
        (State.GONE, Intent.CANCEL, Action.REPORT, ("GONE",)),
    ],
)
def test_each_rule_is_the_one_that_was_agreed(
    state: State, intent: Intent, action: Action, outcomes: tuple[str, ...]
) -> None:
    """A change of the table is a decision, made twice: there and here."""
    assert (TABLE[state][intent].action, TABLE[state][intent].outcomes) == (action, outcomes)


def test_deleting_is_possible_in_one_cell_only() -> None:
    """A backup can only be deleted where its operation succeeded and it is not wanted."""
    cells = [(s, i) for s, rules in TABLE.items() for i, rule in rules.items() if rule.action is Action.DELETE]

    assert cells == [(State.SUCCEEDED, Intent.CANCEL)]


def test_a_rule_that_ends_the_chain_says_how_it_ended() -> None:
    """A state that is reported always has a last word; only a rule that waits may be silent."""
    for rules in TABLE.values():
        for rule in rules.values():
            if rule.action is Action.REPORT:
                assert rule.outcomes
                assert not ON_THE_WAY.intersection(rule.outcomes)
            assert rule.may_wait == (rule.action is not Action.REPORT)


@pytest.mark.parametrize(("state", "operation"), list(STATES.items()))
def test_an_operation_is_in_exactly_one_state(state: State, operation: Operation | None) -> None:
    """What Spanner shows decides the state, and nothing else does."""
    assert state_of(operation) is state


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.CANCELLED, State.FAILED])
def test_a_cancel_that_was_received_does_not_change_how_an_operation_ended(end: State) -> None:
    """`cancel_time` says that somebody asked, never that it worked."""
    operation = STATES[end]
    assert operation is not None

    assert state_of(replace(operation, cancel_time=START)) is end


LIMIT = START + 30 * MINUTE


@pytest.mark.parametrize(
    ("intent", "cancel_at", "operation", "now", "expected"),
    [
        (Intent.KEEP, None, RUNNING, START + DAY, Intent.KEEP),
        (Intent.CANCEL, None, RUNNING, START, Intent.CANCEL),
        (Intent.CANCEL, LIMIT, RUNNING, START, Intent.CANCEL),
        (Intent.KEEP, LIMIT, RUNNING, LIMIT - MICROSECOND, Intent.KEEP),
        (Intent.KEEP, LIMIT, RUNNING, LIMIT, Intent.CANCEL),
        (Intent.KEEP, LIMIT, replace(SUCCEEDED, end_time=LIMIT - MICROSECOND), START + DAY, Intent.KEEP),
        (Intent.KEEP, LIMIT, replace(SUCCEEDED, end_time=LIMIT), LIMIT, Intent.CANCEL),
        (Intent.KEEP, LIMIT, replace(SUCCEEDED, end_time=None), START + DAY, Intent.KEEP),
    ],
)
def test_a_limit_is_compared_with_the_end_of_the_operation_and_not_with_a_late_look(
    intent: Intent, cancel_at: datetime | None, operation: Operation, now: datetime, expected: Intent
) -> None:
    """A backup that was complete in time stays wanted, however late anybody looks."""
    assert intent_now(intent, cancel_at, operation, now) is expected


def reason(
    operation: Operation = SUCCEEDED,
    found: Backup | None = BACKUP,
    unwanted_from: datetime | None = END,
    *,
    include_scheduled: bool = False,
) -> str | None:
    """What speaks against deleting, in a case where nothing does unless it is changed."""
    return reason_to_keep(
        operation,
        found,
        unwanted_from=unwanted_from,
        include_scheduled=include_scheduled,
    )


def test_a_backup_that_completed_while_it_was_unwanted_may_be_deleted() -> None:
    """The same operation, the same create_time, on demand, at or after the limit: nothing speaks for it."""
    assert reason() is None
    assert reason(found=None) is None


UNKNOWN_END = "Spanner does not say when its operation ended"
IN_TIME = f"it was complete at {END.isoformat()}, before anybody asked to stop it"
OTHER = "another backup has its name now, created at 2026-11-22T02:00:00"
NOT_SET = ", and include_scheduled is not set"


@pytest.mark.parametrize(
    ("operation", "found", "unwanted_from", "clause"),
    [
        (RUNNING, BACKUP, END, UNKNOWN_END),
        (replace(SUCCEEDED, end_time=None), BACKUP, END, UNKNOWN_END),
        (SUCCEEDED, BACKUP, None, IN_TIME),
        (SUCCEEDED, BACKUP, END + MICROSECOND, IN_TIME),
        (SUCCEEDED, replace(BACKUP, create_time=START + MICROSECOND), END, f"{OTHER}.000001+00:00"),
        (
            SUCCEEDED,
            replace(BACKUP, create_time=START - MINUTE),
            END,
            "another backup has its name now, created at 2026-11-22T01:59:00+00:00",
        ),
        (SUCCEEDED, replace(BACKUP, name=BackupName(f"{NIGHTLY}x")), END, f"{OTHER}+00:00"),
        (
            SUCCEEDED,
            replace(BACKUP, schedules=(SCHEDULE, f"{SCHEDULE}2")),
            END,
            f"it was made by {SCHEDULE}, {SCHEDULE}2{NOT_SET}",
        ),
        (
            replace(SUCCEEDED, response=replace(BACKUP, schedules=(SCHEDULE,))),
            BACKUP,
            END,
            f"it was made by {SCHEDULE}{NOT_SET}",
        ),
        (
            replace(SUCCEEDED, response=replace(BACKUP, schedules=(SCHEDULE,))),
            None,
            END,
            f"it was made by {SCHEDULE}{NOT_SET}",
        ),
    ],
)
def test_a_backup_stays_as_soon_as_one_thing_speaks_for_it(
    operation: Operation, found: Backup | None, unwanted_from: datetime | None, clause: str
) -> None:
    """Deleting is earned by every condition at once; the first that fails is the reason to keep."""
    assert reason(operation, found, unwanted_from) == clause


def test_scheduled_backups_may_be_deleted_where_they_are_included() -> None:
    """`include_scheduled` takes away that one objection."""
    scheduled = replace(BACKUP, schedules=(SCHEDULE,))

    assert reason(replace(SUCCEEDED, response=scheduled), scheduled, include_scheduled=True) is None


def test_including_scheduled_backups_takes_away_no_other_objection() -> None:
    """Another backup of the same name stays, whoever made it."""
    other = replace(BACKUP, create_time=START + MICROSECOND, schedules=(SCHEDULE,))

    assert reason(found=other, include_scheduled=True) is not None


def test_the_grace_is_ten_minutes() -> None:
    """The promise of the documentation."""
    assert GRACE == 10 * MINUTE


def test_every_outcome_can_come_from_somewhere() -> None:
    """An outcome is in the table, or one of those that a command has without an operation's end."""
    in_table = {outcome for rules in TABLE.values() for rule in rules.values() for outcome in rule.outcomes}
    without = {"STARTED", "GAVE_UP", "NOTHING_TO_CANCEL", "REJECTED", "DRY_RUN"}

    assert in_table | without == set(Outcome)


def test_three_outcomes_are_no_last_word() -> None:
    """After each of them another one follows."""
    assert sorted(lifecycle.ON_THE_WAY) == ["CANCEL_REQUESTED", "DELETE_BLOCKED", "STARTED"]
