"""What is asked of Spanner about operations, and what is made of a list that is behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.dispatch import deliver
from backstop.events import Trigger
from backstop.execute import Context, Report
from backstop.handlers import is_scheduled
from backstop.operations import Failure, Listing
from backstop.selection import derived_backup_id
from emulators.errors import Code
from emulators.faults import Fault
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import INSTANCE, MINUTE, NIGHTLY, ORDERS, START, World

if TYPE_CHECKING:
    from backstop.names import BackupId, BackupName
    from backstop.operations import Backup
    from backstop.wire import Delivery


class Listening(SpannerPort):
    """Spanner, which remembers of what operations it was asked."""

    def __init__(self, world: World, behind: int = 0) -> None:
        """Shows no operation the first times that it is asked."""
        super().__init__(world.spanner, world.clock, world.faults)
        self.asked: list[dict[str, Any]] = []
        self.behind = behind

    def list_operations(self, *args: Any, **narrowed: Any) -> Listing:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        self.asked.append({"instance": args[0], **narrowed})
        return super().list_operations(*args, **narrowed) if len(self.asked) > self.behind else Listing()


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
    spanner = Listening(world)

    deliver(world.publish(command), world.now, replace(world.ports, spanner=spanner), world.settings)

    assert spanner.asked == [{"instance": INSTANCE, **narrowed} for narrowed in asked]


def derived(world: World) -> tuple[Delivery, BackupId]:
    """A start without an id, and the id that is derived from it."""
    delivery = world.publish({"action": "start", "database": ORDERS})
    return delivery, derived_backup_id(ORDERS, Trigger(delivery.message_id, delivery.publish_time, delivery.topic))


@pytest.mark.parametrize("behind", [0, 1])
def test_what_has_a_start_s_derived_name_is_its_own_whatever_two_clocks_say(behind: int) -> None:
    """Spanner's may say that it began long before the message was published."""
    world = World()
    delivery, backup_id = derived(world)
    world.now -= MINUTE
    operation = world.start_by_hand(backup_id)
    world.now += MINUTE

    deliver(delivery, world.now, replace(world.ports, spanner=Listening(world, behind)), world.settings)

    assert [(result["outcome"], result["operation"]) for result in world.results] == [("STARTED", operation)]
    assert world.calls["CreateBackup"] == behind


def test_a_start_whose_operation_is_not_listed_yet_comes_again() -> None:
    """The name is derived from its message, so the backup can be nobody else's."""
    world = World()
    delivery, backup_id = derived(world)
    world.start_by_hand(backup_id)

    report = deliver(delivery, world.now, replace(world.ports, spanner=Listening(world, 2)), world.settings)

    said = f"{INSTANCE}/backups/{backup_id} is ours, and its operation is not listed yet"
    assert report == Report(
        "start", retry=True, note=f"To be delivered again: UNAVAILABLE: {said}.", error=Failure("UNAVAILABLE", said)
    )


class Late(Listening):
    """Spanner, which writes down a minute after an operation's start that its backup was created."""

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return replace(super().get_backup(name), create_time=START + MINUTE)


def test_a_schedule_s_backup_that_is_written_down_late_is_left_alone_all_the_same() -> None:
    """That a name was taken over takes a second operation of the name, and not a later time."""
    world = World()
    operation = world.ports.spanner.get_operation(world.start_scheduled())
    spanner = Late(world)

    at = Context(world.now, Trigger("17", START), replace(world.ports, spanner=spanner), world.settings)
    assert is_scheduled(operation, at)
    assert spanner.asked == [{"instance": INSTANCE, "backup": operation.backup}]


def test_of_no_more_than_five_operations_it_is_asked_who_made_them() -> None:
    """A database has at most one backup made on demand and four by schedules under way."""
    world = World()
    for number in range(7):
        world.start_scheduled(f"scheduled-{number}")

    world.send(action="cancel", database=ORDERS)

    assert world.outcomes == ["REJECTED"]
    assert world.calls["GetBackup"] == 5
