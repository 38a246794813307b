"""What is asked of Spanner: the operations of one database or one backup, and never of the whole instance for one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from backstop.deliver import deliver
from emulators.errors import Code
from emulators.faults import Fault
from tests.support.ports import SpannerPort
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, World

if TYPE_CHECKING:
    from backstop.ports import Operation


class Listening(SpannerPort):
    """Spanner, which remembers of what operations it was asked."""

    asked: list[dict[str, Any]]

    def list_operations(self, *args: Any, **narrowed: Any) -> list[Operation]:  # noqa: ANN401 handed on as they come
        """Reads the operations."""
        self.asked.append({"instance": args[0], **narrowed})
        return super().list_operations(*args, **narrowed)


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
    spanner = Listening(world.spanner, world.clock, world.faults)
    spanner.asked = []

    deliver(world.publish(command), world.now, replace(world.ports, spanner=spanner), world.settings)

    assert spanner.asked == [{"instance": INSTANCE, **narrowed} for narrowed in asked]
