"""Why a `start` of one database may come to nothing, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from backstop.errors import RefusedError
from backstop.execute import Report
from backstop.operations import Failure
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import HOUR, MINUTE, NIGHTLY, ORDERS, SECOND, START, USERS, World
from tests.unit.told import LOSES, of_command

if TYPE_CHECKING:
    from datetime import timedelta
SLOT = "; the database's slot is held by {operation}, started at 2026-11-22T02:00:00+00:00"
NAME = "; the name is held by the backup of {operation}"
NAMED = pytest.mark.parametrize("named", [{}, {"backup_id": "nightly"}], ids=["derived", "named"])


@NAMED
def test_a_second_equal_start_was_an_error_while_the_first_one_s_backup_was_being_made(named: dict[str, str]) -> None:
    """A doubled publisher is told which operation does what it asked for, and nobody is woken."""
    world = World()
    world.send(action="start", database=ORDERS, **named)
    operation = world.results[0]["operation"]

    world.tick(SECOND)
    world.send(action="start", database=ORDERS, **named)

    rejected = world.results[1]
    assert (rejected["outcome"], rejected["severity"], rejected["operation"]) == ("REJECTED", "WARNING", operation)
    assert world.detail.endswith(f": the same was asked for just before, and {operation} does it.")
    assert world.begun == 1
    assert len(world.tasks.pending()) == 1


@pytest.mark.parametrize("before", ["somebody else's", "of the name", "complete", "cancelled"])
def test_what_only_resembles_an_equal_start_is_no_excuse(before: str) -> None:
    """Another's backup, or one that has ended, doesn't do what the start asks for, so its rejection is an error."""
    world = World(Plan(duration=MINUTE if before == "complete" else HOUR))
    if before == "complete":
        world.send(action="start", database=ORDERS)
    else:
        operation = world.start_by_hand()
    if before == "cancelled":
        world.cancel_by_hand(operation)
    world.tick(2 * MINUTE)
    world.faults.plan(Fault("CreateBackup", Code.FAILED_PRECONDITION))

    world.send(
        action="start", database=ORDERS, **({"backup_id": "nightly"} if before in {"of the name", "cancelled"} else {})
    )

    assert (world.outcomes[-1], world.results[-1].get("severity")) == ("REJECTED", None)


@pytest.mark.parametrize("scheduled", [False, True], ids=["by hand", "by a schedule"])
@pytest.mark.parametrize("before", [8 * SECOND, -SECOND], ids=["before", "after"])
def test_a_start_took_over_and_cancelled_what_somebody_else_began_seconds_before_it(
    before: timedelta, *, scheduled: bool
) -> None:
    """No closeness in time makes a backup ours: the holder is named, and nobody touches it."""
    world = World(Plan(duration=HOUR))
    begin = world.start_scheduled if scheduled else world.start_by_hand
    holder = begin("nightly")

    world.now = START + before
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly", "cancel_after": "0s"})
    world.now = START + 9 * SECOND
    world.deliver(delivery)

    assert world.outcomes == ["REJECTED"]
    assert holder in world.detail
    assert not world.cancelled(holder)
    assert not world.tasks.pending()


@pytest.mark.parametrize(
    ("backup_id", "code", "holder"), [("other", "FAILED_PRECONDITION", SLOT), ("nightly", "ALREADY_EXISTS", NAME)]
)
def test_a_start_that_somebody_stands_in_the_way_of_is_told_in_full(backup_id: str, code: str, holder: str) -> None:
    """Google's words, and the operation that holds the database's one slot or the name."""
    world = World(LOSES)
    operation = world.start_by_hand(backup_id)
    world.tick(MINUTE)
    if code == "ALREADY_EXISTS":
        world.tick(3 * HOUR)
        world.start_by_hand("another")
        world.tick(MINUTE)
    world.faults.plan(Fault("CreateBackup", Code[code], message="No"))

    report = world.send(action="start", database=ORDERS, backup_id="nightly")

    held = f"No{holder.format(operation=operation)}"
    error = {"code": code, "message": held}
    assert world.results == [
        of_command(world, "REJECTED", f"Google refused: {held}", ORDERS, database=ORDERS, error=error)
    ]
    assert replace(report, results=()) == Report("start", database=ORDERS, error=Failure(code, held))
    assert not world.tasks.pending()


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION])
def test_a_start_that_google_refuses_for_good_is_rejected_in_its_words(code: Code) -> None:
    """No retry can help, so the message is acknowledged; where nobody holds the slot, Google's text stands alone."""
    world = World()
    world.faults.plan(Fault("CreateBackup", code, message="no"))

    report = world.send(action="start", database=ORDERS)

    error = {"code": code.name, "message": "no"}
    assert world.results == [of_command(world, "REJECTED", "Google refused: no", ORDERS, database=ORDERS, error=error)]
    assert not report.retry


@pytest.mark.parametrize("method", ["list_operations", "create_backup"])
def test_the_field_that_google_objected_to_was_not_named(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in words, and as what a program can read."""
    world = World()

    def object_to_two(*_: object, **__: object) -> NoReturn:
        violations = (("backup.expire_time", "is too soon"), ("backup.name", "is odd"))
        raise RefusedError("INVALID_ARGUMENT", "Invalid", violations=violations)

    monkeypatch.setattr(SpannerPort, method, object_to_two)

    world.send(action="start", database=ORDERS)

    (result,) = world.results
    assert result["field"] == "backup.expire_time"
    assert result["detail"] == "Google refused: Invalid; backup.expire_time: is too soon; backup.name: is odd"


@pytest.mark.parametrize("late", [HOUR, HOUR + MINUTE])
def test_a_start_that_comes_too_late_is_not_carried_out(late: timedelta) -> None:
    """`start_within` is counted from publishing to delivery; the limit itself is still in time."""
    world = World(LOSES)
    delivery = world.publish({"action": "start", "database": ORDERS, "backup_id": "nightly", "start_within": "1h"})
    world.tick(late)

    report = world.deliver(delivery)

    assert world.begun == (late == HOUR)
    if late > HOUR:
        why = f"Did not start {NIGHTLY}: the message came 1h1m after it was published, more than 1h."
        assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]
        assert replace(report, results=()) == Report("start", database=ORDERS)


def test_a_start_that_comes_again_too_late_still_follows_what_it_started_in_time() -> None:
    """The limit is for starting; what was started is never left alone."""
    world = World(Plan(duration=4 * HOUR))
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    world.send(action="start", database=ORDERS, start_within="1h")

    world.tick(2 * HOUR)
    world.again()
    world.looks()

    assert world.outcomes == ["STARTED", "COMPLETED"]


@pytest.mark.parametrize(
    ("backup_id", "after", "more"),
    [
        (None, MINUTE, ", to expire at 2026-12-06 02:01 UTC"),
        ("other", MINUTE, f", to expire at 2026-12-06 02:01 UTC{SLOT}"),
        ("nightly", 58 * MINUTE, f", as a backup of that name is there{NAME}"),
        (None, HOUR, ", as the message came 59m after it was published, more than 58m"),
    ],
)
def test_a_dry_start_says_what_would_be_started_and_touches_nothing(
    backup_id: str | None, after: timedelta, more: str
) -> None:
    """What would be started and until when it would be kept, or what is in the way; others' databases aren't."""
    world = World(Plan(duration=HOUR / 2 if backup_id == "nightly" else 2 * HOUR), databases=(ORDERS, USERS))
    operation = world.start_by_hand(backup_id, ORDERS) if backup_id else world.start_by_hand("other", USERS)
    world.tick(MINUTE)
    command = {"action": "start", "database": ORDERS, "backup_id": "nightly", "start_within": "58m", "dry_run": True}
    delivery = world.publish(command)
    world.tick(after - MINUTE)

    report = world.deliver(delivery)

    would = "Would not start" if ", as " in more else "Would start"
    detail = f"{would} {NIGHTLY} of {ORDERS}{more.format(operation=operation)}."
    assert world.results == [of_command(world, "DRY_RUN", detail, ORDERS, backup=NIGHTLY, database=ORDERS)]
    assert replace(report, results=()) == Report("start", database=ORDERS)
    assert not {"CreateBackup", "CreateTask"} & set(world.calls)
