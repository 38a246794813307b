"""How often Spanner did what a history asked of it, counted from its own events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel
from tests.simulation.record import Record

SLOW_CANCEL_MIN, HUNG_MIN = timedelta(minutes=1), timedelta(hours=6)
"""From when on a cancel counts as slow, and a backup as hanging."""


def count_backups(record: Record, plan_of: Callable[[str], Plan | None]) -> None:
    """Counts what Spanner itself did to operations: it is in its own events, and in what was planned for them."""
    counts = record.counts
    cancelled: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
    uids: dict[str, int] = {}
    ended: dict[int, datetime] = {}
    for event in record.events:
        match event.what:
            case What.BACKUP_STARTED:
                started[event.operation], uids[event.operation] = event.at, event.uid
                plan = plan_of(event.operation)
                counts["progress stuck, jumped or went back"] += (
                    plan is not None and plan.progress is not ProgressModel.LINEAR
                )
            case What.CANCEL_RECEIVED:
                cancelled[event.resource] = event.at
                plan = plan_of(event.resource)
                counts["a cancel was lost"] += plan is not None and plan.cancel_duration is None
            case What.OPERATION_DONE if event.resource in started:
                waited = event.at - cancelled.get(event.resource, event.at)
                counts["a backup failed"] += event.code not in {Code.OK, Code.CANCELLED}
                counts["a cancel was slow"] += event.code is Code.CANCELLED and waited > SLOW_CANCEL_MIN
                del started[event.resource]
                ended[uids[event.resource]] = event.at
            case What.BACKUP_REMOVED:
                counts["a cancelled backup was still to be seen"] += event.at > ended.get(event.uid, event.at)
            case What.CALLED if event.cause == "DeleteBackup" and event.code is Code.FAILED_PRECONDITION:
                counts["a delete was blocked"] += 1
            case What.CALLED if event.cause == "CancelOperation" and event.code is Code.FAILED_PRECONDITION:
                counts["a cancel was refused as too late"] += 1
            case _:
                pass
    assert record.ended_at is not None
    counts["a backup hung"] += sum(record.ended_at - at > HUNG_MIN for at in started.values())
