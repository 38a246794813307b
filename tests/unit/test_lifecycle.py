"""The two tables of what is done about an operation: each state and what is due in it, each guard and its order."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec.structs
import pytest

from backstop import lifecycle, sentences
from backstop.commands import IfCreated
from backstop.events import Outcome, Trigger
from backstop.followups import Intent, Poll
from backstop.lifecycle import (
    CLOCK_MARGIN,
    GUARDS,
    TRANSITIONS,
    Action,
    Case,
    Decision,
    State,
    decide,
    intent_of,
    was_unwanted,
)
from backstop.names import BackupName, OperationName
from backstop.operations import Backup, Failure, Operation
from tests.unit.handlers_world import NIGHTLY, ORDERS, SCHEDULE
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

END, GIVE_UP = START + HOUR, START + DAY
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + 14 * DAY, size_bytes=5)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
MADE = replace(RUNNING, end_time=END, response=BACKUP)
NO = Failure("FAILED_PRECONDITION", "No")
POLL = Poll(
    trigger=Trigger("17", END),
    step=1,
    operation=RUNNING.name,
    intent=Intent.CANCEL,
    unwanted_from=END,
    give_up_at=GIVE_UP,
)


def said(decision: Decision) -> str:
    """What is to be done, and which outcome that is."""
    return f"{decision.rule.action.name} {decision.rule.outcome}"


def about(case: Case, **said: object) -> Case:
    """The same, but for something that its poll says."""
    return replace(case, poll=msgspec.structs.replace(case.poll, **said))


RUNS = Case(POLL, START + MINUTE, RUNNING)
LOST = Case(POLL, END + MINUTE, MADE, BACKUP, allow_delete=True, allow_scheduled=True)
"""A race that was lost, and nothing speaks for the backup."""
BLOCKED = replace(LOST, refused={Action.DELETE: NO})
CANCELLING = replace(RUNNING, cancel_time=START)
DESPITE = replace(LOST, operation=replace(MADE, cancel_time=START))
UNKNOWN = replace(LOST, operation=replace(RUNNING, end_time=END, unexplained=True))
EXPIRES_SOON = replace(BLOCKED, now=GIVE_UP, found=replace(BACKUP, expire_time=GIVE_UP + 5 * MINUTE))


def ended(**how: object) -> Case:
    """An operation that has come to something else than a backup."""
    return replace(RUNS, operation=replace(RUNNING, end_time=END, **how))  # type: ignore[arg-type]  # fields by name


DELETES = "DELETE COMPLETED_THEN_DELETED"
STATES = (
    (State.RUNNING, RUNS, "POLL None", "CANCEL CANCEL_REQUESTED"),
    (State.CANCELLING, replace(RUNS, operation=CANCELLING), "POLL None", "POLL CANCEL_REQUESTED"),
    (State.ENDING, replace(RUNS, refused={Action.CANCEL: NO}), None, "POLL None"),
    (State.MISSING, replace(RUNS, operation=None), "POLL None", "POLL None"),
    (State.OVERDUE, replace(RUNS, now=GIVE_UP), "REPORT GAVE_UP", "CANCEL GAVE_UP"),
    (State.COMPLETE, LOST, "REPORT COMPLETED", DELETES),
    (State.COMPLETE, UNKNOWN, "REPORT COMPLETED", "REPORT COMPLETED_KEPT"),
    (State.COMPLETE_DESPITE_CANCEL, DESPITE, "REPORT COMPLETED_DESPITE_CANCEL", DELETES),
    (State.BLOCKED, BLOCKED, None, "POLL DELETE_BLOCKED"),
    (State.UNDELETABLE, replace(BLOCKED, now=GIVE_UP), None, "SHORTEN GAVE_UP"),
    (State.LEFT_TO_EXPIRE, EXPIRES_SOON, None, "REPORT GAVE_UP"),
    (State.CANCELLED, ended(error=Failure("CANCELLED", "")), "REPORT CANCELLED", "REPORT CANCELLED"),
    (State.FAILED, ended(error=Failure("INTERNAL", ""), cancel_time=START), "REPORT FAILED", "REPORT FAILED"),
    (State.FAILED, ended(unexplained=True), "REPORT FAILED", "REPORT FAILED"),
    (State.GONE, about(replace(RUNS, operation=None), step=0), "REPORT GONE", "REPORT GONE"),
)
"""For each state a case that is in it, and what is due under KEEP and under CANCEL; None: that can't be."""


def test_the_table_holds_a_row_for_each_state_and_each_is_reached() -> None:
    """Whatever a poll finds there is a rule, but for a wanted backup that Spanner refuses to stop or to delete."""
    assert set(TRANSITIONS) == set(State) == {state for state, *_ in STATES}
    for state, _, keep, _ in STATES:
        assert set(TRANSITIONS[state]) == {Intent.CANCEL} | ({Intent.KEEP} if keep else set())


@pytest.mark.parametrize(
    ("state", "case", "intent", "due"),
    [(state, case, *due) for state, case, *dues in STATES for due in zip(Intent, dues, strict=True) if due[1]],
)
def test_each_state_has_its_rule(state: State, case: Case, intent: Intent, due: str) -> None:
    """Any other rule in a cell would be seen here."""
    decision = decide(about(case, intent=intent, unwanted_from=END if intent is Intent.CANCEL else None))

    assert (decision.state, said(decision)) == (state, due)
    assert decision.rule.polls_again is due.startswith(("POLL", "CANCEL CANCEL"))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"missing": "operation"}, State.GONE),
        ({"step": 0}, State.GONE),
        ({"missing": "backup"}, State.MISSING),
        ({"give_up_at": START}, State.OVERDUE),
    ],
)
def test_an_operation_is_gone_when_two_polls_in_a_row_miss_it(changes: dict[str, object], state: State) -> None:
    """One NOT_FOUND may be a mistake, unless nobody has seen it before; at the give-up time nobody knows."""
    assert decide(about(replace(RUNS, operation=None), **changes)).state is state


@pytest.mark.parametrize(
    ("refused", "expires", "state"),
    [
        ({Action.CANCEL: NO}, START, State.OVERDUE),
        ({Action.DELETE: NO, Action.SHORTEN: NO}, GIVE_UP + DAY, State.LEFT_TO_EXPIRE),
        ({Action.DELETE: NO}, GIVE_UP + 5 * MINUTE + MICROSECOND, State.UNDELETABLE),
    ],
    ids=["a cancel", "an earlier expiry", "a delete"],
)
def test_whatever_spanner_refuses_at_the_give_up_time_is_the_last_word(
    refused: dict[Action, Failure], expires: datetime, state: State
) -> None:
    """No rule is refused twice, so the decisions about one case come to an end."""
    case = replace(RUNS if Action.CANCEL in refused else LOST, now=GIVE_UP, refused=refused)

    decision = decide(replace(case, found=replace(BACKUP, expire_time=expires)))

    assert (decision.state, decision.rule.outcome, decision.rule.polls_again) == (state, "GAVE_UP", False)


LIMIT = START + 30 * MINUTE


@pytest.mark.parametrize(
    ("intent", "unwanted_from", "operation", "now", "expected"),
    [
        (Intent.KEEP, None, RUNNING, START + DAY, Intent.KEEP),
        (Intent.CANCEL, None, RUNNING, START, Intent.CANCEL),
        (Intent.CANCEL, LIMIT, RUNNING, START, Intent.CANCEL),
        (Intent.KEEP, LIMIT, RUNNING, LIMIT - MICROSECOND, Intent.KEEP),
        (Intent.KEEP, LIMIT, RUNNING, LIMIT, Intent.CANCEL),
        (Intent.KEEP, LIMIT, None, LIMIT, Intent.KEEP),
        (Intent.KEEP, LIMIT, replace(MADE, end_time=LIMIT - MICROSECOND), START + DAY, Intent.KEEP),
        (Intent.KEEP, LIMIT, replace(MADE, end_time=LIMIT), LIMIT, Intent.CANCEL),
        (Intent.KEEP, LIMIT, replace(MADE, end_time=None), START + DAY, Intent.KEEP),
    ],
)
def test_a_limit_is_compared_with_the_end_of_the_operation_and_not_with_a_late_poll(
    intent: Intent, unwanted_from: datetime | None, operation: Operation | None, now: datetime, expected: Intent
) -> None:
    """A backup that was complete in time stays wanted, however late anybody looks."""
    case = replace(RUNS, operation=operation, now=now)

    assert intent_of(about(case, intent=intent, unwanted_from=unwanted_from)) is expected


@pytest.mark.parametrize(
    ("before", "said", "unwanted"),
    [
        (CLOCK_MARGIN, {}, True),
        (CLOCK_MARGIN - MICROSECOND, {}, False),
        (MICROSECOND, {"seen_running": True}, True),
        (HOUR + SECOND, {"unwanted_from": None}, False),
        (HOUR + SECOND, {"unwanted_from": None, "seen_running": True}, True),
        (MICROSECOND, {"intent": Intent.KEEP, "seen_running": True}, False),
        (-CLOCK_MARGIN, {"seen_running": True}, True),
        (-CLOCK_MARGIN - MICROSECOND, {"seen_running": True}, False),
    ],
)
def test_a_cancel_by_database_needs_proof_that_the_operation_still_ran(
    before: timedelta, said: dict[str, object], *, unwanted: bool
) -> None:
    """Neither two clocks that differ, nor somebody else's cancel, turn a good backup into one that lost a race."""
    published = END - before
    case = replace(LOST, operation=replace(MADE, cancel_time=END))

    said = {"trigger": msgspec.structs.replace(case.poll.trigger, publish_time=published), **said}
    assert was_unwanted(about(case, **{"unwanted_from": published + CLOCK_MARGIN, **said})) is unwanted


SCHEDULED = replace(BACKUP, schedules=(SCHEDULE, f"{SCHEDULE}2"))
BY_SCHEDULE = f"is left alone: it was made by {SCHEDULE}, {SCHEDULE}2, and include_scheduled is not set"
CREATED = "is left alone: the backup that has its name now was created at"
STOPPED = "and the one that was to be stopped at 2026-11-22T02:00:00+00:00"
COMPLETE = "is left alone: it was complete at 2026-11-22T03:00:00+00:00,"
BY_NAME = "within 10 s of the command, which is too close to tell which came first; a cancel that names the operation"
BY_NAME += " deletes it, if published by 2026-11-22T03:10:00+00:00"
BEGAN_AFTER = "is left alone: its operation began within 10 s after the command, which may not have meant it"
KEEPS = about(LOST, if_created=IfCreated.KEEP)
GONE = about(replace(LOST, found=None), missing="backup")
REUSED = replace(LOST, found=replace(BACKUP, create_time=END))
LATER = replace(LOST, found=replace(BACKUP, create_time=START + MICROSECOND))
TOO_CLOSE = about(LOST, trigger=Trigger("17", END - MICROSECOND), unwanted_from=END + SECOND)


def test_a_cancel_that_the_command_had_asked_for_was_put_down_to_somebody_else() -> None:
    """By the function's clock its limit was over, and by Spanner's it wasn't."""
    ours = about(replace(LOST, operation=replace(MADE, cancel_time=END - SECOND)), intent=Intent.KEEP)
    ours = about(ours, unwanted_from=END + SECOND, told=(Outcome.CANCEL_REQUESTED,))

    why = "although a cancel was asked for: by Spanner's clock it was complete before this command's limit."
    assert sentences.sentence(ours, decide(ours)).endswith(why)


@pytest.mark.parametrize(
    ("guard", "case", "why"),
    [
        (0, KEEPS, "is left alone: the command says if_created: keep"),
        (
            1,
            replace(LOST, allow_delete=False),
            "is left alone: this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)",
        ),
        (2, GONE, "is gone"),
        (3, REUSED, "is gone; the backup that has its name now, created at 2026-11-22T03:00:00+00:00, stays"),
        (4, UNKNOWN, "is left alone: Spanner does not say what its operation made"),
        (
            5,
            replace(LOST, operation=replace(MADE, end_time=None)),
            "is left alone: Spanner does not say when its operation ended",
        ),
        (5, about(LOST, unwanted_from=None), BEGAN_AFTER),
        (5, about(LOST, unwanted_from=END + MICROSECOND), f"{COMPLETE} before this command asked to stop it"),
        (5, TOO_CLOSE, f"{COMPLETE} {BY_NAME}"),
        (
            5,
            about(replace(TOO_CLOSE, found=SCHEDULED), include_scheduled=True),
            f"{COMPLETE} {BY_NAME.partition('; ')[0]}",
        ),
        (6, LATER, f"{CREATED} 2026-11-22T02:00:00.000001+00:00, {STOPPED}"),
        (
            6,
            replace(LOST, found=replace(BACKUP, name=BackupName(f"{NIGHTLY}x"))),
            f"{CREATED} 2026-11-22T02:00:00+00:00, {STOPPED}",
        ),
        (7, replace(LOST, found=SCHEDULED), BY_SCHEDULE),
        (7, replace(LOST, operation=replace(MADE, response=SCHEDULED)), BY_SCHEDULE),
    ],
)
def test_each_guard_keeps_a_backup_that_no_other_guard_keeps(
    guard: int, case: Case, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sentence says why. Taken out, nothing else stands between the backup and its deletion."""
    decision = decide(case)

    outcome = "COMPLETED_THEN_DELETED" if guard in {2, 3} else "COMPLETED_KEPT"
    assert (said(decision), decision.guard) == (f"REPORT {outcome}", GUARDS[guard])
    assert GUARDS[guard].why(case) == why
    if guard in {2, 4}:  # What isn't there, or isn't known, none of the others can look at.
        return
    monkeypatch.setattr(lifecycle, "GUARDS", GUARDS[:guard] + GUARDS[guard + 1 :])
    passes = decide(case)
    # A backup under a name that was used again is another one as well.
    assert said(passes) == DELETES or passes.guard is GUARDS[6]


def test_the_first_guard_that_applies_is_the_one_that_is_told() -> None:
    """They are in the order of what a person would want to know first."""
    told = []
    case = about(
        replace(LOST, found=None, allow_delete=False), if_created=IfCreated.KEEP, missing="backup", unwanted_from=None
    )
    for clear in (
        lambda case: about(case, if_created=IfCreated.DELETE),
        lambda case: replace(case, allow_delete=True, allow_scheduled=True),
        lambda case: replace(case, operation=UNKNOWN.operation, found=replace(SCHEDULED, create_time=END)),
        lambda case: replace(case, found=replace(SCHEDULED, create_time=END - SECOND)),
        lambda case: replace(case, operation=MADE),
        lambda case: about(case, unwanted_from=END),
        lambda case: replace(case, found=SCHEDULED),
        lambda case: about(case, include_scheduled=True),
    ):
        told.append(decide(case).guard)
        case = clear(case)

    assert tuple(told) == GUARDS
    assert said(decide(case)) == DELETES


@pytest.mark.parametrize(
    ("case", "passes"),
    [
        (about(GONE, missing=None), True),
        (about(GONE, missing="operation"), True),
        (about(GONE, missing=None, give_up_at=END), False),
        (about(TOO_CLOSE, step=0), True),
        (about(TOO_CLOSE, step=1), False),
        (about(TOO_CLOSE, step=0, trigger=Trigger("17", END)), False),
        (about(replace(TOO_CLOSE, operation=replace(MADE, cancel_time=END)), step=0, trigger=Trigger("17", END)), True),
        (about(replace(TOO_CLOSE, operation=replace(MADE, end_time=None)), step=0), False),
        (about(KEEPS, step=0), False),
    ],
)
def test_a_guard_that_the_next_poll_may_see_otherwise_has_it_look(case: Case, *, passes: bool) -> None:
    """A backup is gone when two polls don't find it; an earlier delivery's chain may have seen the operation run."""
    decision = decide(case)

    assert (said(decision) == "POLL None", decision.rule.action is Action.REPORT) == (passes, not passes)
    assert decision.guard is not None


@pytest.mark.parametrize(
    ("case", "why"),
    [
        (LOST, "the command doesn't want what ended from 2026-11-22 03:00:00 UTC on."),
        (
            about(LOST, unwanted_from=END + SECOND, seen_running=True),
            "on behalf of the command it had been seen to run.",
        ),
        (about(LOST, unwanted_from=None, seen_running=True), "on behalf of the command it had been seen to run."),
    ],
)
def test_the_line_before_a_deletion_says_by_which_proof_it_is_earned(case: Case, why: str) -> None:
    """Whoever asks why a backup is gone reads it there."""
    case = about(case, database=ORDERS)
    assert decide(case).rule.action is Action.DELETE

    asked = f"{NIGHTLY} of {ORDERS} was to be stopped and completed all the same, at 2026-11-22 03:00:00 UTC"
    assert sentences.earned(case) == f"Tries to delete it: {asked}; {why}"


@pytest.mark.parametrize(("outcome", "told"), [(Outcome.COMPLETED, False), (Outcome.COMPLETED_KEPT, True)])
def test_the_size_of_another_backup_of_the_name_is_told_only_where_that_is_what_stays(
    outcome: Outcome, *, told: bool
) -> None:
    """An event speaks of what its operation made; why it was kept, it says of what is there."""
    other = replace(BACKUP, create_time=START + SECOND, size_bytes=7)
    case = replace(LOST, found=other)

    assert sentences.event_of(case, decide(case), outcome).size_bytes == (7 if told else 5)
