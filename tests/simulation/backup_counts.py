"""How often Spanner did what a history asked of it, counted from its own events."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from emulators.errors import Code
from emulators.spanner.history import What

if TYPE_CHECKING:
    from datetime import datetime

    from tests.simulation.record import Record

SLOW_CANCEL_MIN, LOST_CANCEL_MIN, HUNG_MIN = timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=6)
"""From when on a cancel counts as slow or lost, and a backup as hanging."""


def count_backups(record: Record) -> None:
    """Counts what Spanner itself did to operations: that is seen in its own events."""
    counts = record.counts
    cancelled: dict[str, datetime] = {}
    started: dict[str, datetime] = {}
    for event in record.events:
        match event.what:
            case What.BACKUP_STARTED:
                started[event.operation] = event.at
            case What.CANCEL_RECEIVED:
                cancelled[event.resource] = event.at
            case What.OPERATION_DONE if event.resource in started:
                waited = event.at - cancelled.get(event.resource, event.at)
                counts["a backup failed"] += event.code not in {Code.OK, Code.CANCELLED}
                counts["a cancel was slow"] += event.code is Code.CANCELLED and waited > SLOW_CANCEL_MIN
                counts["a cancel was lost"] += event.code is Code.OK and waited > LOST_CANCEL_MIN
                del started[event.resource]
            case What.CALLED if event.cause == "DeleteBackup" and event.code is Code.FAILED_PRECONDITION:
                counts["a delete was blocked"] += 1
            case _:
                pass
    assert record.ended_at is not None
    counts["a backup hung"] += sum(record.ended_at - at > HUNG_MIN for at in started.values())
