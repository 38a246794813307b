"""The table of what is done about an operation, and the conditions above it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from backstop import lifecycle
from backstop.commands import IfCreated
from backstop.events import ON_THE_WAY, Outcome, Trigger
from backstop.followups import Intent, Poll
from backstop.lifecycle import (
    CLOCK_MARGIN,
    GRACE,
    GUARDS,
    TABLE,
    Action,
    Case,
    State,
    intent_now,
    reason_to_keep,
    state_of,
    was_asked_in_time,
)
from backstop.names import BackupName, OperationName
from backstop.operations import Backup, Failure, Operation
from emulators.errors import Code
from emulators.spanner.plans import Plan
from emulators.spanner.records import Status
from tests.unit.handlers_world import DAY, HOUR, MICROSECOND, MINUTE, NIGHTLY, ORDERS, SCHEDULE, SECOND, START, World

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from backstop.lifecycle import Rule

END = START + HOUR
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + 14 * DAY, size_bytes=5)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
SUCCEEDED = replace(RUNNING, end_time=END, response=BACKUP)

STATES = {
    State.RUNNING: RUNNING,
    State.CANCELLING: replace(RUNNING, cancel_time=START),
    State.SUCCEEDED: SUCCEEDED,
    State.CANCELLED: replace(RUNNING, end_time=END, error=Failure("CANCELLED", "cancelled")),
    State.FAILED: replace(RUNNING, end_time=END, error=Failure("INTERNAL", "broken")),
    State.UNEXPLAINED: replace(RUNNING, end_time=END, unexplained=True),
    State.GONE: None,
}

SAME_BUT_FOR_A_WORD = {Action.WAIT, Action.WAIT_SOON}
"""How soon is decided by the pacing, which sees the cancel itself; the two differ in the diagram."""


def test_the_table_says_something_for_every_state_and_intent_and_for_nothing_else() -> None:
    """Whatever a poll finds, there is a rule."""
    assert set(TABLE) == set(State)
    assert all(set(rules) == set(Intent) for rules in TABLE.values())


def end_of(plan: Plan, *commands: dict[str, object], by_hand: bool = False) -> list[object]:
    """All that is told when a backup is started by hand and these commands follow, half a minute apart."""
    world = World(plan)
    operation = world.start_by_hand()
    for command in commands:
        world.tick(HOUR / 120)
        if by_hand:
            world.cancel_by_hand(operation)
        world.send(**command)
    if world.tasks.pending():
        world.looks()
    return [
        *((result["outcome"], result["detail"]) for result in world.results),
        world.exists(),
        sorted(world.calls.items()),
    ]


FOLLOW: dict[str, object] = {"action": "follow", "database": ORDERS}
CANCEL: dict[str, object] = {"action": "cancel", "database": ORDERS}
QUICK = Plan(duration=MINUTE)
SLOW = Plan(duration=2 * HOUR, cancel_duration=20 * MINUTE)
UNSTOPPED = Plan(duration=HOUR, cancel_duration=None)
BROKEN = Plan(duration=MINUTE, error=Status(Code.INTERNAL, "broken"))

LIVES: dict[tuple[State, Intent], Callable[[], list[object]]] = {
    (State.RUNNING, Intent.KEEP): lambda: end_of(QUICK, FOLLOW),
    (State.RUNNING, Intent.CANCEL): lambda: end_of(SLOW, CANCEL),
    (State.CANCELLING, Intent.KEEP): lambda: end_of(SLOW, FOLLOW, by_hand=True),
    (State.CANCELLING, Intent.CANCEL): lambda: end_of(SLOW, CANCEL, by_hand=True),
    (State.SUCCEEDED, Intent.KEEP): lambda: end_of(QUICK, FOLLOW),
    (State.SUCCEEDED, Intent.CANCEL): lambda: end_of(UNSTOPPED, CANCEL),
    (State.CANCELLED, Intent.KEEP): lambda: end_of(SLOW, FOLLOW, by_hand=True),
    (State.CANCELLED, Intent.CANCEL): lambda: end_of(SLOW, CANCEL),
    (State.FAILED, Intent.KEEP): lambda: end_of(BROKEN, FOLLOW),
    (State.FAILED, Intent.CANCEL): lambda: end_of(replace(BROKEN, cancel_duration=None), CANCEL),
}
"""For each cell that a whole life passes, such a life."""


@pytest.mark.parametrize(("state", "intent"), LIVES)
def test_every_cell_of_the_table_decides_what_happens(
    state: State, intent: Intent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever other rule stands in a cell, somebody who only sees calls and outcomes notices."""
    life = LIVES[state, intent]
    as_it_is = life()
    for rules in TABLE.values():
        for other in rules.values():
            rule = TABLE[state][intent]
            if (other.action, *other.outcomes[:1]) == (rule.action, *rule.outcomes[:1]):
                continue
            if {other.action, rule.action} == SAME_BUT_FOR_A_WORD:
                continue
            monkeypatch.setitem(cast("dict[Intent, Rule]", TABLE[state]), intent, other)
            try:
                changed: object = life()
            except Exception as error:  # noqa: BLE001 a rule that can't be carried out is noticed, too
                changed = error
            monkeypatch.undo()
            assert changed != as_it_is, other


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


LOOK = Poll(
    trigger=Trigger("17", END),
    step=1,
    operation=RUNNING.name,
    intent=Intent.CANCEL,
    cancel_at=END,
    give_up_at=START + DAY,
)
COMPLETE = f"it was complete at {END.isoformat()}"


def look(**said: object) -> Poll:
    """The poll of a cancel that was published at the end, with something else about it."""
    return msgspec.structs.replace(LOOK, **said)


LOST = Case(LOOK, SUCCEEDED, allow_delete=True, found=BACKUP)
"""A race that was lost, and nothing speaks for the backup."""

SCHEDULED = replace(BACKUP, schedules=(SCHEDULE, f"{SCHEDULE}2"))
BY_SCHEDULE = f"it was made by {SCHEDULE}, {SCHEDULE}2, and include_scheduled is not set"
CREATED = "the backup that has its name now was created at 2026-11-22T02:00:00"


def test_a_backup_that_lost_its_race_may_be_deleted() -> None:
    """Nothing speaks for it."""
    assert reason_to_keep(LOST) is None


@pytest.mark.parametrize(
    ("guard", "case", "why"),
    [
        (0, replace(LOST, look=look(if_created=IfCreated.KEEP)), "the command says if_created: keep"),
        (1, replace(LOST, allow_delete=False), "this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)"),
        (
            2,
            replace(LOST, operation=replace(SUCCEEDED, end_time=None)),
            "Spanner does not say when its operation ended",
        ),
        (
            2,
            replace(LOST, look=look(cancel_at=None)),
            "its operation began within 10 s after the command, which may not have meant it",
        ),
        (2, replace(LOST, look=look(cancel_at=END + MICROSECOND)), f"{COMPLETE}, before anybody asked to stop it"),
        (
            3,
            replace(LOST, found=replace(BACKUP, create_time=START + MICROSECOND)),
            f"{CREATED}.000001+00:00, and the one that was to be stopped at 2026-11-22T02:00:00+00:00",
        ),
        (
            3,
            replace(LOST, found=replace(BACKUP, name=BackupName(f"{NIGHTLY}x"))),
            f"{CREATED}+00:00, and the one that was to be stopped at 2026-11-22T02:00:00+00:00",
        ),
        (4, replace(LOST, found=SCHEDULED), BY_SCHEDULE),
        (4, replace(LOST, operation=replace(SUCCEEDED, response=SCHEDULED)), BY_SCHEDULE),
    ],
)
def test_each_guard_keeps_a_backup_that_no_other_guard_keeps(
    guard: int, case: Case, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken out, nothing else stands between the backup and its deletion."""
    assert reason_to_keep(case) == why

    monkeypatch.setattr(lifecycle, "GUARDS", GUARDS[:guard] + GUARDS[guard + 1 :])
    assert reason_to_keep(case) is None


def test_a_schedule_s_backup_may_be_deleted_where_it_is_included() -> None:
    """`include_scheduled` takes away that one objection."""
    case = replace(LOST, look=look(include_scheduled=True), operation=replace(SUCCEEDED, response=SCHEDULED))

    assert reason_to_keep(case) is None


def asked(published: datetime, **said: object) -> Case:
    """A cancel by database, of an operation that ended at END."""
    said = {"trigger": Trigger("17", published), "cancel_at": published + CLOCK_MARGIN, **said}
    return replace(LOST, look=look(**said))


@pytest.mark.parametrize(
    ("case", "in_time"),
    [
        (asked(END - CLOCK_MARGIN), True),
        (asked(END - CLOCK_MARGIN + MICROSECOND), False),
        (asked(END - MICROSECOND, seen_running=True), True),
        (asked(START - SECOND, cancel_at=None), False),
        (asked(START - SECOND, cancel_at=None, seen_running=True), True),
        (asked(END - MICROSECOND, intent=Intent.KEEP, seen_running=True), False),
    ],
)
def test_a_cancel_by_database_needs_proof_that_the_operation_still_ran(case: Case, *, in_time: bool) -> None:
    """Two clocks that differ must not turn a backup that was complete into one that lost a race."""
    assert was_asked_in_time(case) is in_time


def test_somebody_else_s_cancel_passed_as_proof_that_the_command_was_in_time() -> None:
    """It says what others wanted, and nothing of when this command came."""
    case = asked(END - MICROSECOND)

    assert not was_asked_in_time(replace(case, operation=replace(SUCCEEDED, cancel_time=END)))


def test_doubt_says_what_was_too_close_to_tell_and_how_to_delete_it_all_the_same() -> None:
    """The reader can act on it."""
    assert reason_to_keep(asked(END - MICROSECOND)) == (
        f"{COMPLETE}, within 10 s of the command, which is too close to tell which came first; a cancel that names the"
        " backup deletes it"
    )


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
