"""Which operation a command means, and what is asked of Spanner to know it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given

from backstop import selection
from backstop.commands import Cancel
from backstop.descriptions import read_list
from backstop.errors import UnhandledOperationError
from backstop.events import Trigger
from backstop.execute import Report
from backstop.lifecycle import CLOCK_MARGIN
from backstop.names import BackupId, DatabaseName, OperationName
from backstop.operations import Backup, Failure, Listing, Operation, Unhandled
from backstop.wire import Delivery
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from tests.support.ports import SpannerPort
from tests.unit import strategies as own
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, World
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

ZERO = timedelta(0)

TRIGGER = Trigger("17", START)
RUNNING = Operation(OperationName(f"{NIGHTLY}/operations/a"), NIGHTLY, ORDERS, start_time=START)
BACKUP = Backup(NIGHTLY, ORDERS, create_time=START, expire_time=START + DAY)
MADE = replace(RUNNING, end_time=START + HOUR, response=BACKUP)
FAILED = replace(RUNNING, end_time=START + HOUR, error=Failure("INTERNAL", "broken"))


def named(letter: str, operation: Operation = RUNNING, **changes: object) -> Operation:
    """The same operation under another name."""
    return replace(operation, name=OperationName(f"{NIGHTLY}/operations/{letter}"), **changes)  # type: ignore[arg-type]  # fields by name


def test_a_derived_id_says_what_is_backed_up_and_when() -> None:
    """The id reads as database, day, time of publishing in UTC, and eight digits; the same message, the same mark."""
    assert selection.derived_backup_id(ORDERS, TRIGGER) == "orders-20261122-020000-d7a2c0a6"
    assert selection.fingerprint(TRIGGER) == 915_284


@given(own.databases, own.triggers)
def test_a_derived_id_is_valid_and_a_mark_odd_whatever_the_message(database: DatabaseName, trigger: Trigger) -> None:
    """A redelivery with another publish time finds what it began; other tools' times are whole milliseconds."""
    backup_id = selection.derived_backup_id(database, trigger)
    assert re.fullmatch(r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]", backup_id)
    made = replace(RUNNING, database=database, backup=database.instance.backup(backup_id))

    later = Trigger(trigger.message_id, trigger.publish_time + HOUR, trigger.topic)
    assert selection.derived_attempt([made], database, later) == made
    assert selection.is_derived(made)
    assert 0 < selection.fingerprint(trigger) < 1_000_000
    assert selection.fingerprint(trigger) % 1000 != 0


def test_the_name_of_a_database_is_cut_so_that_the_backup_s_fits() -> None:
    """A name of ours may be longer than Spanner's databases have; an id has at most 60 characters."""
    database = DatabaseName(f"{INSTANCE}/databases/{'orders-' * 20}")
    backup_id = selection.derived_backup_id(database, TRIGGER)

    assert len(backup_id) == 60
    assert selection.is_derived(replace(RUNNING, database=database, backup=INSTANCE.backup(backup_id)))


@pytest.mark.parametrize("other", [Trigger("18", START, "t"), Trigger("17", START, "u"), Trigger("17", START)])
def test_another_message_or_the_same_id_in_another_topic_has_another_id_and_fingerprint(other: Trigger) -> None:
    """Ids are unique within a topic, so both tell what a start made."""
    trigger = Trigger("17", START, "t")
    made = replace(RUNNING, backup=INSTANCE.backup(selection.derived_backup_id(ORDERS, trigger)))

    assert selection.derived_attempt([made], ORDERS, other) is None
    assert selection.derived_backup_id(ORDERS, trigger) != selection.derived_backup_id(ORDERS, other)
    assert selection.fingerprint(trigger) != selection.fingerprint(other)


PUBLISHED = START + DAY


def test_a_cancel_can_mean_what_ran_when_it_was_published_the_newest_first() -> None:
    """What had ended by then and what began after the command can't be meant; what became of it is no matter."""
    older, newer = named("b"), named("c", start_time=START + SECOND)
    too_late = named("d", start_time=START + SECOND + MICROSECOND)
    ended = named("e", MADE, end_time=START + SECOND)
    ended_since = named("f", MADE, start_time=START + MICROSECOND, end_time=START + SECOND + MICROSECOND)
    nothing, unknown = named("g", FAILED), named("h", unexplained=True)

    choice = selection.choose([too_late, newer, ended_since, older, ended, nothing, unknown], START + SECOND)

    assert choice == selection.Choice((newer, ended_since, older, nothing), (), ended, (too_late,), ended, ())


def test_operations_are_read_newest_first_in_whatever_order_spanner_lists_them() -> None:
    """Who is meant hangs on it, and Spanner's documentation promises no order."""
    older, newer = named("b"), named("c", start_time=START + SECOND)

    for found in ([older, newer], [newer, older]):
        assert read_list(found, lambda one: one, None, None).operations == (newer, older)


@pytest.mark.parametrize(
    ("after", "found"), [(MICROSECOND, True), (CLOCK_MARGIN, True), (CLOCK_MARGIN + MICROSECOND, False)]
)
def test_where_nothing_ran_what_began_within_the_clocks_margin_after_is_meant(after: timedelta, *, found: bool) -> None:
    """Publish times are cut to milliseconds, and clocks differ; a follow means nothing of it that is complete."""
    young = named("b", start_time=PUBLISHED + after)
    complete = replace(young, end_time=PUBLISHED + HOUR, response=BACKUP)

    choice = selection.choose([MADE, young], PUBLISHED)

    assert (choice.pool, choice.younger) == (((young,), ()) if found else ((), (young,)))
    assert selection.newest([MADE, young], PUBLISHED) == (young if found else MADE)
    assert selection.choose([complete], PUBLISHED).pool == ((complete,) if found else ())
    assert selection.newest([complete], PUBLISHED) is None


@pytest.mark.parametrize(("after", "found"), [(SECOND - MICROSECOND, True), (SECOND, False)])
def test_what_was_asked_for_after_the_command_is_never_meant(after: timedelta, *, found: bool) -> None:
    """A derived name says in which second its start was published, by the same clock as the command's."""
    for database in (ORDERS, DatabaseName(f"{INSTANCE}/databases/orders-of-this-year")):
        backup = INSTANCE.backup(selection.derived_backup_id(database, Trigger("18", PUBLISHED + after)))
        young = named("b", start_time=PUBLISHED + SECOND, backup=backup, database=database)

        assert bool(selection.choose([young], PUBLISHED).pool) is found
        early = replace(young, start_time=PUBLISHED - SECOND)
        assert selection.newest([early], PUBLISHED) == (early if found else None)
        last = replace(young, start_time=PUBLISHED + SECOND - CLOCK_MARGIN)
        assert bool(selection.choose([last], PUBLISHED).pool) is found


def test_a_name_of_a_later_time_than_the_operation_itself_hid_it_from_a_cancel() -> None:
    """A pipeline had named it so, east of Greenwich; Backstop can't have."""
    tokyo = selection.derived_backup_id(ORDERS, Trigger("18", PUBLISHED + 9 * HOUR))
    running = named("b", start_time=PUBLISHED - SECOND, backup=INSTANCE.backup(tokyo))

    assert selection.choose([running], PUBLISHED).pool == (running,)


@pytest.mark.parametrize(
    ("cancel", "end", "found"),
    [
        (CLOCK_MARGIN, ZERO, True),
        (CLOCK_MARGIN + MICROSECOND, ZERO, False),
        (ZERO, ZERO, True),
        (SECOND, SECOND, True),
        (ZERO, -MICROSECOND, True),
        (ZERO, SECOND, False),
    ],
)
def test_what_was_cancelled_and_ended_within_the_clocks_margin_before_is_meant(
    cancel: timedelta, end: timedelta, *, found: bool
) -> None:
    """An earlier delivery of this very command may have stopped it, by Spanner's clock before it was published."""
    stopped = named("b", OURS_DONE, cancel_time=PUBLISHED - cancel, end_time=PUBLISHED - end)

    assert bool(selection.choose([stopped], PUBLISHED).pool) is found


GIVEN = named("given", start_time=PUBLISHED + SECOND)
EARLY = selection.derived_backup_id(ORDERS, Trigger("18", PUBLISHED - SECOND))


@pytest.mark.parametrize(
    ("operation", "in_doubt"),
    [
        (GIVEN, True),
        (replace(GIVEN, start_time=PUBLISHED + 1000 * MICROSECOND), True),
        (replace(GIVEN, start_time=PUBLISHED + 999 * MICROSECOND), False),
        (replace(GIVEN, end_time=PUBLISHED + MINUTE, response=BACKUP), False),
        # Other tools' names may have the form of a derived one, and a cancel may be somebody else's.
        (replace(GIVEN, backup=INSTANCE.backup(EARLY), cancel_time=PUBLISHED + SECOND), True),
    ],
)
def test_a_late_command_doubts_what_began_after_it(operation: Operation, *, in_doubt: bool) -> None:
    """A publish time is cut to milliseconds; neither a name nor a cancel lifts the doubt."""
    assert selection.is_in_doubt(operation, PUBLISHED) is in_doubt


def test_what_began_with_the_command_ran_then() -> None:
    """To the microsecond, by two clocks."""
    complete = named("b", MADE, start_time=PUBLISHED, end_time=PUBLISHED + HOUR)
    failed = replace(complete, response=None, error=Failure("INTERNAL", ""), end_time=PUBLISHED)

    assert selection.newest([complete, RUNNING], PUBLISHED) == complete
    assert selection.newest([failed], PUBLISHED) == failed
    assert selection.choose([failed, LATE], PUBLISHED).younger == ()


@pytest.mark.parametrize("made", [MADE, FAILED])
def test_what_began_just_after_is_a_rival_once_all_that_ran_has_ended(made: Operation) -> None:
    """By another clock it ran, and what ran had ended before."""
    ran, young = named("b", made, end_time=PUBLISHED + SECOND), named("c", start_time=PUBLISHED + SECOND)

    assert selection.choose([ran, young], PUBLISHED).rivals == (young,)
    assert selection.choose([ran, RUNNING, young], PUBLISHED).rivals == ()


AFTER = PUBLISHED + SECOND
COPY = Unhandled(f"{INSTANCE}/backups/copy/operations/x", NIGHTLY, "", is_copy=True, done=False, why="it is a copy")
ODD = replace(COPY, database=ORDERS, is_copy=False)
ANY = replace(ODD, backup="", done=True)
OURS = named("ours", RUNNING, cancel_time=AFTER)
FAILED_SINCE = named("failed", FAILED, end_time=AFTER)
OURS_DONE = replace(OURS, end_time=AFTER, error=Failure("CANCELLED", ""))
AT_ONCE = named("at-once", OURS_DONE, cancel_time=PUBLISHED)
YOUNG = named("young", start_time=AFTER)
YOUNGER = named("younger", start_time=PUBLISHED + MINUTE)
ENDED = named("ended", MADE, end_time=AFTER)
LATE = named("late", MADE, end_time=PUBLISHED - SECOND)
EARLIER = named("earlier", MADE, end_time=PUBLISHED - MINUTE)
ANY_OF = "Cancelled nothing, as any of these may be meant: {}. Name the operation."
DOUBT = f"Deleted nothing, as it is in doubt which operation is meant: {LATE.name} ended at 2026-11-23 01:59:59 UTC"
LEFT_ALONE = f"{ODD.name} is left alone: it is a copy."
BY_BACKUP, BY_DATABASE = Cancel(backup=NIGHTLY), Cancel(database=ORDERS)
ALL = Cancel(database=ORDERS, include_scheduled=True)


def listed(*found: Operation | Unhandled) -> Listing:
    """A list of these, as Spanner gives it."""
    operations = tuple(one for one in found if isinstance(one, Operation))
    return Listing(operations, tuple(one for one in found if isinstance(one, Unhandled)))


@pytest.mark.parametrize(("backup", "kept"), [("", True), (NIGHTLY, True), (f"{NIGHTLY}x", False)])
def test_what_says_nothing_of_its_backup_may_be_of_any(backup: str, *, kept: bool) -> None:
    """An operation that can't be read is told of, unless it is surely another backup's."""

    def unreadable(one: Unhandled) -> Operation:
        raise UnhandledOperationError(one)

    odd = replace(ODD, backup=backup)
    assert read_list([odd], unreadable, None, NIGHTLY).unhandled == ((odd,) if kept else ())


@pytest.mark.parametrize(
    ("command", "found", "expected"),
    [
        (BY_DATABASE, [RUNNING], RUNNING),
        (BY_DATABASE, [RUNNING, OURS_DONE], RUNNING),
        (ALL, [RUNNING, OURS_DONE], ANY_OF.format(f"{RUNNING.name}, {OURS_DONE.name}")),
        (BY_DATABASE, [OURS_DONE, FAILED_SINCE], OURS_DONE),
        (BY_DATABASE, [FAILED_SINCE, OURS_DONE], OURS_DONE),
        (BY_DATABASE, [OURS_DONE, AT_ONCE], OURS_DONE),
        (BY_DATABASE, [YOUNG, replace(OURS_DONE, start_time=AFTER, end_time=AFTER + SECOND)], YOUNG),
        (BY_DATABASE, [YOUNG, OURS_DONE], OURS_DONE),
        (BY_DATABASE, [YOUNG, AT_ONCE], AT_ONCE),
        (BY_DATABASE, [YOUNG, FAILED_SINCE], ANY_OF.format(f"{FAILED_SINCE.name}, {YOUNG.name}")),
        (BY_DATABASE, [YOUNG, ENDED], ANY_OF.format(f"{ENDED.name}, {YOUNG.name}")),
        (BY_DATABASE, [YOUNG, ODD], ANY_OF.format(f"{YOUNG.name}, {ODD.name}")),
        (BY_DATABASE, [ENDED, COPY], ENDED),
        (BY_DATABASE, [RUNNING, ODD], RUNNING),
        (BY_DATABASE, [ENDED, ODD], ANY_OF.format(f"{ENDED.name}, {ODD.name}")),
        (BY_DATABASE, [OURS_DONE, ODD], OURS_DONE),
        (BY_DATABASE, [LATE], None),
        (BY_DATABASE, [LATE, COPY], None),
        (BY_DATABASE, [LATE, ODD, ODD], " ".join(["Cancelled nothing.", *2 * [LEFT_ALONE]])),
        (BY_DATABASE, [ANY], None),
        (BY_BACKUP, [replace(ODD, done=True)], f"Cancelled nothing. {LEFT_ALONE}"),
        (BY_BACKUP, [EARLIER, LATE], LATE),
        (BY_BACKUP, [LATE, EARLIER], LATE),
        (BY_BACKUP, [YOUNGER, LATE], f"{DOUBT}, and there is {YOUNGER.name}. Name the operation."),
        (BY_BACKUP, [YOUNGER, LATE, ANY], f"{DOUBT}, and there is {YOUNGER.name}, {ANY.name}. Name the operation."),
    ],
)  # fmt: skip
def test_a_cancel_means_one_operation_or_says_why_none(
    command: Cancel, found: list[Operation | Unhandled], expected: Operation | str | None
) -> None:
    """What has come to nothing since doesn't stand in the way; what may be meant as well does."""
    listing = listed(*found)

    choice = selection.choose(listing.operations, PUBLISHED)
    assert selection.meant(command, listing, choice, PUBLISHED, [], late=True) == expected


def test_a_second_cancel_that_comes_at_once_means_what_was_started_between_them() -> None:
    """Within what a publish time is cut by; and a schedule's backup puts nothing in doubt that ran then, too."""
    young = named("young", start_time=PUBLISHED + MICROSECOND)
    stopped = replace(OURS_DONE, cancel_time=PUBLISHED - SECOND, end_time=PUBLISHED - MICROSECOND)

    for meant, *others in ([young, stopped], [ENDED]):
        choice = selection.choose([meant, *others], PUBLISHED)
        assert selection.meant(BY_DATABASE, listed(meant, *others), choice, PUBLISHED, [RUNNING], late=False) == meant


DATABASES = [DatabaseName(f"{INSTANCE}/databases/{name}") for name in ("orders-de", "orders-fr", "users")]


@pytest.mark.parametrize(
    ("patterns", "found", "idle"),
    [
        ([], ["orders-de", "orders-fr", "users"], []),
        (["users", "orders-d?"], ["orders-de", "users"], []),
        (["orders-[!d]*"], ["orders-fr"], []),
        (["orders-*", "*-de"], ["orders-de", "orders-fr"], []),
        (["ORDERS-*", "users"], ["users"], ["ORDERS-*"]),
        (["orders"], [], ["orders"]),
    ],
)
def test_patterns_select_databases_as_a_shell_would(patterns: list[str], found: list[str], idle: list[str]) -> None:
    """Each database is started once, in order, and a pattern that matches nothing is told."""
    assert selection.matching(DATABASES, patterns) == (found, idle)


# What is asked of Spanner, and what is made of a list that is behind.


class Listening(SpannerPort):
    """Spanner, which notes of what operations it was asked, and shows none the first times."""

    behind = 0
    asked: tuple[dict[str, Any], ...] = ()

    def list_operations(self, *args: Any, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        type(self).asked += ({"instance": args[0], **narrowed},)
        return super().list_operations(*args, **narrowed) if len(self.asked) > self.behind else Listing()


def listening(world: World, shown_behind: int = 0) -> type[Listening]:
    """Has the function see such a Spanner."""

    class Fresh(Listening):
        behind = shown_behind

    world.port = Fresh
    return Fresh


@pytest.mark.parametrize(
    ("command", "refused", "asked"),
    [
        ({"action": "start", "database": ORDERS}, False, [{"database": ORDERS}]),
        ({"action": "start", "database": ORDERS}, True, [{"database": ORDERS}, {"database": ORDERS}]),
        ({"action": "start", "database": ORDERS, "dry_run": True}, False, [{"database": ORDERS}]),
        ({"action": "cancel", "database": ORDERS}, False, [{"database": ORDERS, "backup": None}]),
        ({"action": "follow", "backup": NIGHTLY}, False, [{"database": None, "backup": NIGHTLY}]),
        ({"action": "sweep", "instance": INSTANCE}, False, [{}]),
    ],
)
def test_no_more_operations_are_asked_for_than_the_command_is_about(
    command: dict[str, object], asked: list[dict[str, object]], *, refused: bool
) -> None:
    """An instance may have thousands of them in a week, and each page of them is a call."""
    world = World()
    if refused:
        world.faults.plan(Fault("CreateBackup", Code.FAILED_PRECONDITION, message="No"))
    port = listening(world)

    world.send(**command)

    assert list(port.asked) == [{"instance": INSTANCE, **narrowed} for narrowed in asked]


def derived(world: World) -> tuple[Delivery, BackupId]:
    """A start without an id, and the id that is derived from it."""
    delivery = world.publish({"action": "start", "database": ORDERS})
    return delivery, selection.derived_backup_id(ORDERS, Trigger(delivery.message_id, START, delivery.topic))


@pytest.mark.parametrize("behind", [0, 1])
def test_what_has_a_start_s_derived_name_is_its_own_whatever_two_clocks_say(behind: int) -> None:
    """Spanner's may say that it began long before the message was published."""
    world = World()
    delivery, backup_id = derived(world)
    world.now -= MINUTE
    operation = world.start_by_hand(backup_id)
    world.now += MINUTE
    listening(world, behind)

    world.deliver(delivery)

    assert world.ends == [("STARTED", operation)]
    assert world.calls["CreateBackup"] == behind


def test_a_start_whose_operation_is_not_listed_yet_comes_again() -> None:
    """The name is derived from its message, so the backup can be nobody else's."""
    world = World()
    delivery, backup_id = derived(world)
    world.start_by_hand(backup_id)
    listening(world, 2)

    report = world.deliver(delivery)

    said = f"{INSTANCE}/backups/{backup_id} is ours, and its operation is not listed yet"
    note = f"To be delivered again: UNAVAILABLE: {said}."
    error = Failure("UNAVAILABLE", said)
    assert report == Report("start", trigger=report.trigger, retry=True, note=note, error=error)
