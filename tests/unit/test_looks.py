"""One look at one operation, and the chain that the looks make."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import pytest
from backstop.looks import act
from hypothesis import given, settings
from hypothesis import strategies as st

from backstop.commands import IfCreated
from backstop.errors import RefusedError
from backstop.events import Trigger
from backstop.execute import Context, Report
from backstop.followups import Intent, Poll
from backstop.lifecycle import Case, reason_to_keep
from backstop.names import OperationName
from backstop.operations import Backup, Failure, Operation
from backstop.ports import Ports, Settings
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from emulators.spanner.progress import ProgressModel
from tests.unit.handlers_world import (
    DAY,
    FOLLOW_UPS,
    HOUR,
    MINUTE,
    NIGHTLY,
    ORDERS,
    SCHEDULE,
    SECOND,
    START,
    World,
)

if TYPE_CHECKING:
    from datetime import datetime


def test_every_look_is_one_call_and_one_step() -> None:
    """A look at an operation that runs reads it, schedules the next look and tells nothing."""
    world = World(Plan(duration=2 * HOUR))
    world.send(action="start", database=ORDERS)
    before = dict(world.calls)

    report = world.look()

    assert (report.command, report.step, report.state, report.results) == ("look", 1, "RUNNING", ())
    assert world.calls["GetOperation"] == 1
    assert world.calls["CreateTask"] == before["CreateTask"] + 1
    assert world.calls["ListBackupOperations"] == before["ListBackupOperations"]


def test_a_look_that_is_delivered_twice_does_not_fork_the_chain() -> None:
    """Both deliveries make the same next look."""
    world = World(Plan(duration=2 * HOUR))
    world.send(action="start", database=ORDERS)
    world.look()

    world.again()
    world.again()

    assert len(world.tasks.pending()) == 1


def test_a_last_look_that_is_delivered_twice_tells_the_same_outcome_twice() -> None:
    """The event's id is the same, so that its readers can drop the second."""
    world = World(Plan(duration=MINUTE))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)
    world.looks()

    world.again()

    first, second = world.pubsub.published("projects/demo-project/topics/results")
    assert json.loads(first.data)["outcome"] == "COMPLETED"
    assert first.attributes["ce-id"] == second.attributes["ce-id"]


def test_the_chains_of_two_commands_do_not_swallow_each_other() -> None:
    """A start's chain and a cancel's chain follow the same operation, each to its end."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=5 * SECOND))
    world.send(action="start", database=ORDERS)
    world.tick(MINUTE)
    world.send(action="cancel", database=ORDERS)

    world.looks()

    assert world.outcomes == ["STARTED", "CANCEL_REQUESTED", "CANCELLED", "CANCELLED"]
    assert world.results[2]["trigger"] != world.results[3]["trigger"]


@pytest.mark.parametrize("progress", [model for model in ProgressModel if model is not ProgressModel.MISSING])
def test_an_operation_is_followed_to_its_end_whatever_its_progress_shows(progress: ProgressModel) -> None:
    """Progress is a hint; sticking, jumping or going back costs some looks at most."""
    world = World(Plan(duration=2 * HOUR, progress=progress))
    world.send(action="start", database=ORDERS)

    reports = world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]
    assert len(reports) < 60
    assert world.now - START < 2 * HOUR + 30 * MINUTE


def test_the_waits_stay_within_the_operator_s_bounds() -> None:
    """Neither an anxious nor a sleepy guess gets past the settings."""
    chosen = Settings(FOLLOW_UPS, poll_min=7 * MINUTE, poll_max=8 * MINUTE)
    world = World(Plan(duration=3 * HOUR), settings=chosen)
    world.send(action="start", database=ORDERS)

    waits = [report.next_poll for report in world.looks() if report.next_poll is not None]

    assert len(waits) > 20
    assert all(7 * MINUTE <= wait <= 8 * MINUTE for wait in waits)


def test_a_chain_without_progress_gives_up_without_it() -> None:
    """Nothing is said of a progress that was never seen."""
    world = World(Plan(duration=6 * DAY, progress=ProgressModel.STUCK))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)

    world.looks()

    assert world.outcomes == ["GAVE_UP"]
    assert "progress" not in world.detail


def test_an_operation_that_is_stopped_at_the_last_moment_is_stopped_before_the_chain_gives_up() -> None:
    """A cancel that is due is asked for, even if there is no time left to see what it comes to."""
    chosen = Settings(FOLLOW_UPS, give_up_after=HOUR)
    world = World(Plan(duration=6 * DAY), settings=chosen)
    operation = world.start_by_hand()
    world.send(action="follow", database=ORDERS, cancel_after="1h")

    world.looks()

    assert world.outcomes == ["CANCEL_REQUESTED", "GAVE_UP"]
    assert world.cancelled(operation)


def test_an_end_that_is_seen_after_the_give_up_time_is_still_reported() -> None:
    """A state that ends the chain wins over giving up."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.send(action="follow", database=ORDERS)

    world.tick(5 * DAY)
    world.look()

    assert world.outcomes == ["COMPLETED"]


def test_a_chain_counts_its_time_from_the_command_when_that_came_after_the_operation() -> None:
    """A follow of an old operation gets its three days."""
    world = World(Plan(duration=6 * DAY))
    world.start_by_hand()
    world.tick(2 * DAY)
    world.send(action="follow", database=ORDERS)

    world.looks()

    assert world.outcomes == ["GAVE_UP"]
    assert world.now >= START + 5 * DAY


def test_a_look_that_google_refuses_is_put_back_less_and_less_often_until_the_role_is_back() -> None:
    """A role taken away for some hours must not leave a backup behind."""
    world = World(Plan(duration=2 * HOUR, cancel_duration=None))
    world.send(action="start", database=ORDERS, backup_id="nightly", cancel_after="1h")
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED, times=8, message="no role"))

    waits = [world.look().next_poll for _ in range(8)]
    world.looks()

    assert all(wait is not None for wait in waits)
    assert waits[0] is not None
    assert 0.9 * MINUTE <= waits[0] <= 1.1 * MINUTE
    assert waits[-1] == HOUR
    assert world.faults.injected["GetOperation", Code.PERMISSION_DENIED, "before"] == 8
    assert world.outcomes[-1] == "COMPLETED_THEN_DELETED"
    assert not world.exists()


def test_a_look_that_google_refuses_to_the_end_gives_up_and_says_what_stood_in_the_way() -> None:
    """GAVE_UP carries Google's words."""
    world = World(Plan(duration=2 * HOUR))
    world.send(action="start", database=ORDERS)
    world.faults.plan(Fault("GetOperation", Code.PERMISSION_DENIED, times=None, message="no role"))

    world.looks()

    assert world.outcomes == ["STARTED", "GAVE_UP"]
    assert "PERMISSION_DENIED: no role" in world.detail
    assert world.results[-1]["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
    assert world.now < START + 3 * DAY + 2 * HOUR


# A backup is deleted only when that is earned: whatever the look and the operation are like.
#
# Most draws are the one case in which deleting is right, changed in a place or two: only there can a condition that is
# missing be seen.

T = TypeVar("T")
END = START + HOUR
NEAR_MISS_COUNT = 400


def mostly(usual: T, *others: T) -> st.SearchStrategy[T]:
    """The usual value in four of five draws."""
    return st.sampled_from([usual] * 4 * len(others) + list(others))


_backups = st.builds(
    Backup,
    name=st.just(NIGHTLY),
    database=st.just(ORDERS),
    create_time=mostly(START, START + SECOND),
    expire_time=mostly(START + 14 * DAY, START + 7 * HOUR),
    schedules=mostly((), (SCHEDULE,)),
    referenced_by=mostly((), (ORDERS,)),
)
_errors = st.sampled_from(["CANCELLED", "INTERNAL"]).map(lambda code: Failure(code, "text"))
_names = st.just(OperationName(f"{NIGHTLY}/operations/a"))
_operations = st.builds(
    Operation,
    name=_names,
    backup=st.just(NIGHTLY),
    database=st.just(ORDERS),
    start_time=mostly(START, START - HOUR),
    end_time=mostly(END, END - SECOND, None),
    cancel_time=mostly(START, END, None),
    response=_backups,
)
_others = st.tuples(_operations, st.none() | _errors).map(
    lambda drawn: replace(drawn[0], response=None, error=drawn[1])
)
_looks = st.builds(
    Poll,
    trigger=st.just(Trigger("17", START)),
    step=st.integers(0, 5),
    operation=_names,
    intent=mostly(Intent.CANCEL, Intent.KEEP),
    give_up_at=mostly(END + DAY, START),
    cancel_at=mostly(END, START, END + SECOND, None),
    if_created=mostly(IfCreated.DELETE, IfCreated.KEEP),
    include_scheduled=mostly(False, True),  # noqa: FBT003 values to draw from
    seen_running=st.booleans(),
    missing=st.sampled_from([None, "backup"]),
    blocked=st.booleans(),
)
_times = mostly(END + MINUTE, START, END + 2 * DAY)
_found = st.one_of(_backups, _backups, _backups, st.none())
_refusals = mostly(None, "FAILED_PRECONDITION")


class Watched:
    """Ports that answer every call and remember what was deleted, and what was seen before."""

    def __init__(self, found: Backup | None, refusal: str | None) -> None:
        self.found = found
        self.refusal = refusal
        self.deleted: list[str] = []
        self.shown: list[Backup] = []

    def get_backup(self, name: str) -> Backup:
        """Shows what has the name now."""
        if self.found is None:
            raise RefusedError("NOT_FOUND", f"no {name}")
        self.shown.append(self.found)
        return self.found

    def delete_backup(self, name: str, why: str) -> None:
        """Deletes, or refuses to; who reads the log can tell why."""
        assert why
        self.deleted.append(name)
        if self.refusal is not None:
            raise RefusedError(self.refusal, "in use")

    def ignore(self, *_args: object) -> None:
        """Takes any other call."""

    cancel_operation = set_expire_time = schedule = publish = ignore


@settings(max_examples=NEAR_MISS_COUNT)
@given(_looks, st.none() | _others | _operations | _operations | _operations, _found, _refusals, _times)
def test_a_look_never_deletes_a_backup_that_anything_speaks_for(
    look: Poll, operation: Operation | None, found: Backup | None, refusal: str | None, now: datetime
) -> None:
    """For every operation and every look: no delete without its being earned, seen right before."""
    watched = Watched(found, refusal)
    ports = Ports(watched, watched, watched)  # type: ignore[arg-type]  # only the calls that a look makes
    at = Context(now, look.trigger, ports, Settings(FOLLOW_UPS))

    report = act(at, look, operation)

    assert isinstance(report, Report)
    if not watched.deleted:
        return
    assert operation is not None
    assert look.if_created is IfCreated.DELETE
    assert watched.shown == [found]
    assert watched.deleted == [NIGHTLY]
    assert operation.response is not None
    assert found is not None
    assert found.create_time == operation.response.create_time
    assert operation.end_time is not None
    in_time = look.cancel_at is not None and operation.end_time >= look.cancel_at
    assert in_time or (look.intent is Intent.CANCEL and look.seen_running)
    assert look.include_scheduled or not (found.schedules or operation.response.schedules)
    assert reason_to_keep(Case(look, operation, allow_delete=True, found=found)) is None


@given(_looks, _operations, _backups)
def test_a_deployment_that_may_not_delete_deletes_nothing(look: Poll, operation: Operation, found: Backup) -> None:
    """BACKSTOP_ALLOW_DELETE=false holds for every look."""
    watched = Watched(found, None)
    ports = Ports(watched, watched, watched)  # type: ignore[arg-type]  # only the calls that a look makes

    act(Context(START, look.trigger, ports, Settings(FOLLOW_UPS, allow_delete=False)), look, operation)

    assert watched.deleted == []
