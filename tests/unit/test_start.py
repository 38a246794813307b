"""What a `start` of one database does, what it takes for its own, and why it may come to nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

import pytest

from backstop.commands import IfCreated
from backstop.errors import RefusedError
from backstop.events import Outcome, Trigger
from backstop.execute import Report
from backstop.followups import Intent, Poll
from backstop.lifecycle import State
from backstop.names import BackupName
from backstop.operations import Backup, Failure, Listing
from backstop.ports import Settings
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.messages import time_of
from spanner_backup_emulator.spanner.plans import Plan
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, USERS, World
from tests.unit.said import LOSES, of_command, of_nightly
from tests.unit.times import DAY, HOUR, MINUTE, SECOND, START

NAMED = pytest.mark.parametrize("named", [{}, {"backup_id": "nightly"}], ids=["derived", "named"])
START_ONE: dict[str, object] = {"action": "start", "database": ORDERS}
START_NIGHTLY = START_ONE | {"backup_id": "nightly"}


def test_a_start_begins_a_chain_with_all_that_is_known_and_says_so() -> None:
    """The first poll knows the limit, by whom it was set, and when the chain ends."""
    world = World(LOSES)

    report = world.send(**START_NIGHTLY, cancel_after="1h", if_created="keep")

    assert world.results == [of_nightly(world, "STARTED", "Started {backup} of {database}.")]
    ((_, poll),) = world.waiting
    assert world.last is not None
    assert poll == Poll(
        trigger=Trigger(world.last.message_id, START, COMMANDS, "start"),
        step=1,
        operation=(operation := world.results[0]["operation"]),
        database=ORDERS,
        intent=Intent.KEEP,
        unwanted_from=START + HOUR,
        if_created=IfCreated.KEEP,
        give_up_at=START + 3 * DAY,
        percent=0,
        seen_running=True,
        told=(Outcome.STARTED,),
    )
    said = replace(report, trigger=None, events=(), next_poll=None)
    assert said == Report("start", operation=operation, database=ORDERS, state=State.RUNNING, step=0)


@pytest.mark.parametrize(
    ("given", "setting", "expected"),
    [
        ("6h", DAY, 6 * HOUR + 5 * MINUTE),
        ("7h", DAY, 7 * HOUR),
        ("366d", DAY, 366 * DAY - 5 * MINUTE),
        (None, 3 * DAY, 3 * DAY),
    ],
)
def test_a_backup_is_kept_as_long_as_it_should_but_off_the_edges_of_what_spanner_accepts(
    given: str | None, setting: timedelta, expected: timedelta
) -> None:
    """Spanner's clock decides at the edges; the microseconds are the mark of who made it."""
    world = World(settings=Settings(FOLLOW_UPS, retention=setting))

    world.send(**START_NIGHTLY, retention=given)

    expires = world.backup().expire_time
    assert expires.replace(microsecond=0) == START + expected
    assert expires.microsecond % 1000


def test_version_time_and_encryption_reach_spanner() -> None:
    """What the command says of the backup's contents is passed on."""
    world = World()
    key = "projects/demo-project/locations/europe-west1/keyRings/r/cryptoKeys/k"
    encryption = {"type": "CUSTOMER_MANAGED_ENCRYPTION", "kms_key_names": [key]}

    world.send(**START_NIGHTLY, version_time="2026-11-22T01:30:00Z", encryption=encryption)

    made = world.spanner.backups[NIGHTLY].message
    assert time_of(made.version_time) == START - 30 * MINUTE
    assert made.encryption_info.kms_key_version.startswith(key)


@NAMED
@pytest.mark.parametrize("later", [SECOND, 3 * HOUR], ids=["running", "complete"])
def test_a_message_that_came_again_with_another_publish_time_made_two_backups(
    named: dict[str, str], later: timedelta
) -> None:
    """Pub/Sub has been seen to do so; the message's id is what counts, and makes the backup's name."""
    world = World(Plan(duration=2 * HOUR))
    delivery = world.publish(START_ONE | named)
    world.deliver(delivery)

    world.tick(later)
    world.deliver(replace(delivery, publish_time=START + MINUTE))

    assert world.begun == 1
    assert (world.outcomes, len(set(world.event_ids))) == (["STARTED", "STARTED"], 1)
    assert named or re.fullmatch(f"{INSTANCE}/backups/orders-20261122-020000-[0-9a-f]{{8}}", world.results[0]["backup"])
    assert len(world.tasks.pending()) == 1


def interrupted(world: World, **more: str) -> None:
    """A start that made its backup and died before it could have it followed."""
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE))
    assert world.send(**START_NIGHTLY, **more).retry


class Changed(SpannerPort):
    """Spanner, but somebody has changed every backup's expiry."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return replace(super().get_backup(name), expire_time=START + DAY)

    def list_operations(self, *args: Any, **kwargs: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        (one,) = super().list_operations(*args, **kwargs).operations
        return Listing((replace(one, response=one.response and replace(one.response, expire_time=START + DAY)),))


@pytest.mark.parametrize("later", [SECOND, 2 * HOUR], ids=["running", "complete"])
def test_a_backup_whose_expiry_a_person_has_changed_is_not_taken_over(later: timedelta) -> None:
    """Doubt protects: it may be another's, so it is named, and the start's limit neither stops nor deletes it."""
    world = World(Plan(duration=HOUR))
    interrupted(world, cancel_after="0s")
    world.tick(later)
    world.port = Changed

    world.again()

    assert world.outcomes == ["REJECTED"]
    assert f"{NIGHTLY}/operations/" in world.detail
    assert not world.tasks.pending()


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
def test_a_start_carries_along_how_long_its_backup_should_take(*, many: bool) -> None:
    """From the same database's earlier ones, whatever others took."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.start_by_hand("one")
    world.start_by_hand("two", USERS)
    world.tick(3 * HOUR)

    world.send(action="start", **{"instance": INSTANCE, "databases": ["orders"]} if many else {"database": ORDERS})
    if many:
        world.look()
        world.look()

    (poll,) = (one for _, one in world.waiting if isinstance(one, Poll))
    assert (poll.expected_seconds, poll.expected_spread) == (7200, 0.231)


# Why it may come to nothing.

SLOT = "; the database is being backed up by {operation}, started at 2026-11-22T02:00:00+00:00"
NAME = "; the name is held by the backup of {operation}"


@NAMED
def test_a_second_equal_start_was_an_error_while_the_first_one_s_backup_was_being_made(named: dict[str, str]) -> None:
    """A doubled publisher is told which operation does what it asked for, and nobody is woken."""
    world = World()
    world.send(**START_ONE, **named)
    operation = world.results[0]["operation"]

    world.tick(SECOND)
    world.send(**START_ONE, **named)

    assert (world.ends[1], world.results[1]["severity"]) == (("REJECTED", operation), "WARNING")
    assert world.detail.endswith(f": another start began {operation} at about the same time, with its own settings.")
    assert (world.begun, len(world.tasks.pending())) == (1, 1)


@pytest.mark.parametrize("scheduled", [False, True], ids=["by hand", "by a schedule"])
@pytest.mark.parametrize("before", [8 * SECOND, -SECOND], ids=["before", "after"])
def test_a_start_took_over_and_cancelled_what_somebody_else_began_seconds_before_it(
    before: timedelta, *, scheduled: bool
) -> None:
    """No closeness in time makes a backup ours: the holder is named, and nobody touches it."""
    world = World(Plan(duration=HOUR))
    holder = (world.start_scheduled if scheduled else world.start_by_hand)("nightly")

    world.now = START + before
    delivery = world.publish(START_NIGHTLY | {"cancel_after": "0s"})
    world.now = START + 9 * SECOND
    world.deliver(delivery)

    assert world.outcomes == ["REJECTED"]
    assert holder in world.detail
    assert not world.cancelled(holder)
    assert not world.tasks.pending()


@pytest.mark.parametrize(
    ("held_by", "code", "holder"),
    [
        ("other", "FAILED_PRECONDITION", SLOT),
        ("nightly", "ALREADY_EXISTS", NAME),
        (None, "FAILED_PRECONDITION", ""),
        (None, "PERMISSION_DENIED", ""),
    ],
)
def test_a_start_that_google_refuses_is_rejected_in_its_words(held_by: str | None, code: str, holder: str) -> None:
    """And the operation is named that holds the database's one slot or the name, where one does."""
    world = World(LOSES)
    operation = world.start_by_hand(held_by) if held_by else None
    world.tick(MINUTE)
    if code == "ALREADY_EXISTS":
        world.tick(3 * HOUR)
        world.start_by_hand("another")
        world.tick(MINUTE)
    world.faults.plan(Fault("CreateBackup", Code[code], message="No"))

    report = world.send(**START_NIGHTLY)

    held = f"No{holder.format(operation=operation)}"
    about = {"database": ORDERS, "error": {"code": code, "message": held}}
    assert world.results == [of_command(world, "REJECTED", f"Google refused: {held}", ORDERS, **about)]
    assert replace(report, trigger=None, events=()) == Report("start", database=ORDERS, error=Failure(code, held))
    assert not world.tasks.pending()


def test_each_operation_is_named_that_may_be_in_the_way() -> None:
    """A schedule's doesn't take the slot, and nobody knows what Google objects to."""
    world = World(LOSES)
    world.start_scheduled()
    world.tick(SECOND)
    world.start_by_hand("other")
    world.faults.plan(Fault("CreateBackup", Code.FAILED_PRECONDITION, message="No"))

    world.send(**START_NIGHTLY)

    assert f"02:00:01+00:00, and by {INSTANCE}/backups/scheduled/operations/" in world.detail


@pytest.mark.parametrize("method", ["list_operations", "create_backup"])
def test_the_field_that_google_objected_to_was_not_named(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told in words, and as what a program can read."""
    world = World()

    def object_to_two(*_: object, **__: object) -> NoReturn:
        violations = (("backup.expire_time", "is too soon"), ("backup.name", "is odd"))
        raise RefusedError("INVALID_ARGUMENT", "Invalid", violations=violations)

    monkeypatch.setattr(SpannerPort, method, object_to_two)

    world.send(**START_ONE)

    assert world.results[0]["field"] == "backup.expire_time"
    assert world.detail == "Google refused: Invalid; backup.expire_time: is too soon; backup.name: is odd"


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_name_was_said_to_be_held_by_a_backup_that_had_been_deleted(*, dry_run: bool) -> None:
    """What has it now is another database's, whose operations are not looked at."""
    world = World(Plan(duration=HOUR), databases=(ORDERS, USERS))
    world.start_by_hand()
    world.tick(HOUR)
    world.delete_by_hand(NIGHTLY)
    world.start_by_hand("nightly", USERS)

    world.send(**START_NIGHTLY, dry_run=dry_run)

    assert world.detail.rstrip(".").endswith(f"; the name is held by a backup of {USERS}")


def test_a_name_that_was_taken_was_said_to_be_taken_by_another_backup_that_runs() -> None:
    """Where the one that has the name isn't found, nothing is said of who has it."""
    world = World(Plan(duration=HOUR))
    world.start_by_hand()
    world.tick(HOUR)
    world.start_scheduled()
    world.faults.plan(Fault("GetBackup", Code.NOT_FOUND))

    world.send(**START_NIGHTLY)

    assert world.detail.endswith(f"already exists: {NIGHTLY}")


@pytest.mark.parametrize("late", [HOUR, HOUR + MINUTE])
def test_a_start_that_comes_too_late_is_not_carried_out(late: timedelta) -> None:
    """`start_within` is counted from publishing to delivery; the limit itself is still in time."""
    world = World(LOSES)
    delivery = world.publish(START_NIGHTLY | {"start_within": "1h"})
    world.tick(late)

    world.deliver(delivery)

    assert world.begun == (late == HOUR)
    if late > HOUR:
        why = f"Did not start {NIGHTLY}: the message came 1h1m after it was published, more than 1h."
        assert world.results == [of_command(world, "REJECTED", why, ORDERS, database=ORDERS)]


@pytest.mark.parametrize(
    ("backup_id", "after", "more"),
    [
        (None, MINUTE, f" of {ORDERS}, to expire at 2026-12-06 02:01 UTC"),
        ("other", MINUTE, f" of {ORDERS}, to expire at 2026-12-06 02:01 UTC{SLOT}, so Spanner may refuse"),
        ("nightly", 58 * MINUTE, f", as a backup of that name is there{NAME}"),
        (None, HOUR, ", as the message came 59m after it was published, more than 58m"),
    ],
)
def test_a_dry_start_says_what_would_be_started_and_touches_nothing(
    backup_id: str | None, after: timedelta, more: str
) -> None:
    """Until when it would be kept, or what is in the way; others' databases aren't."""
    world = World(Plan(duration=HOUR / 2 if backup_id == "nightly" else 2 * HOUR), databases=(ORDERS, USERS))
    operation = world.start_by_hand(backup_id, ORDERS) if backup_id else world.start_by_hand("other", USERS)
    world.tick(MINUTE)
    delivery = world.publish(START_NIGHTLY | {"start_within": "58m", "dry_run": True})
    world.tick(after - MINUTE)

    report = world.deliver(delivery)

    assert report.database == ORDERS
    would = "Would not start" if ", as " in more else "Would start"
    detail = f"{would} {NIGHTLY}{more.format(operation=operation)}."
    assert world.results == [of_command(world, "DRY_RUN", detail, ORDERS, backup=NIGHTLY, database=ORDERS)]
    assert not {"CreateBackup", "CreateTask"} & set(world.calls)
    world.send(action="start", database=f"{ORDERS}s", dry_run=True)
    assert world.detail.endswith(f", as there is no {ORDERS}s.")
    if backup_id == "nightly":
        world.start_by_hand("other", ORDERS)
        world.send(**START_NIGHTLY, dry_run=True)
        assert world.detail == detail  # Who has the name is in the way, whatever runs besides.
        world.delete_by_hand(NIGHTLY)
        world.send(**START_NIGHTLY, dry_run=True)
        assert world.detail.endswith(", so Spanner may refuse.")  # Whoever had the name holds it no more.
