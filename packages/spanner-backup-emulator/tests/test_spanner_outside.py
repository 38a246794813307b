"""What Google's samples and tests in other languages ran into."""

from __future__ import annotations

from datetime import timedelta

import pytest
from spanner_world import HOUR, INSTANCE, NIGHTLY, ORDERS, Desk

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.state import State

TYPE = "type.googleapis.com/google.spanner.admin.database.v1."


def _restored(optimize: timedelta) -> tuple[Desk, str]:
    """A desk with a restore that has begun, and its operation."""
    desk = Desk(State(default_plan=Plan(duration=HOUR, optimize_duration=optimize)))
    desk.made()
    request = pb.RestoreDatabaseRequest(parent=INSTANCE, database_id="restored", backup=NIGHTLY)
    return desk, desk.call(request).name


def _listed(desk: Desk, text: str = "") -> list[Message]:
    return list(desk.call(pb.ListDatabaseOperationsRequest(parent=INSTANCE, filter=text)).operations)


def test_a_restore_says_when_its_backup_was_made_and_of_what() -> None:
    """Only the backup's name was there."""
    desk, operation = _restored(HOUR)
    info, backup = desk.metadata(operation).backup_info, desk.backup()

    assert (info.backup, info.source_database) == (NIGHTLY, ORDERS)
    assert (info.create_time, info.version_time) == (backup.create_time, backup.version_time)


@pytest.mark.parametrize("optimize", [timedelta(0), HOUR])
def test_the_operation_that_optimizes_a_restored_database_is_listed(optimize: timedelta) -> None:
    """It was never listed; it begins when the restore ends, and the restore names it."""
    desk, operation = _restored(optimize)
    wanted = f"(metadata.@type:{TYPE}OptimizeRestoredDatabaseMetadata)"
    before = _listed(desk, wanted)
    desk.clock.tick(HOUR)
    (begun,) = _listed(desk, wanted)
    desk.clock.tick(HOUR)
    (ended,) = _listed(desk, wanted)

    assert not before
    assert begun.name == ended.name == desk.metadata(operation).optimize_database_operation_name
    assert (begun.done, ended.done) == (not optimize, True)
    assert ended.response.type_url == f"{TYPE}Database"


def test_nobody_can_cancel_an_optimization() -> None:
    """As for restores, the service has no such thing."""
    desk, _ = _restored(2 * HOUR)
    desk.clock.tick(HOUR)
    (begun, _) = _listed(desk)

    assert begun.metadata.type_url == f"{TYPE}OptimizeRestoredDatabaseMetadata"
    assert desk.refusal(pb.CancelOperationRequest(name=begun.name))[0] is Code.UNIMPLEMENTED


@pytest.mark.parametrize("text", ["Name:nightly", "DATABASE:orders", "Name:nightly AND State:CREATING"])
def test_a_field_may_be_named_in_any_case(text: str) -> None:
    """Google's sample for Node writes `Name:` and `Database:`, which was an unknown field."""
    desk = Desk()
    desk.create()

    assert [backup.name for backup in desk.backups(text)] == [NIGHTLY]
