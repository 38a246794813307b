"""One operation from the inside: the plan, the times, and how it looks from outside at any moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanner_backup_emulator.spanner.progress import PERCENT_DONE, ProgressModel, percent_at
from spanner_backup_emulator.spanner.records import Operation, OperationKind, Progress

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.spanner.agenda import Entry
    from spanner_backup_emulator.spanner.plans import Plan
    from spanner_backup_emulator.spanner.records import Backup, Database, RestoreInfo, Status


@dataclass(slots=True, eq=False)
class Work:
    """An operation that runs or has ended; the only mutable record here.

    Attributes:
        subject: The uid of the backup or database that it makes.
        begin_time: When the work leaves the queue.
        due_time: When the work ends if nobody stops it.
        orphaned: Its backup was deleted in the meantime, so it can only end CANCELLED.
        end: The entry that ends it; dropped when something else does.
        stop: The entry at which a cancel takes effect.
        final: How it looks from its end on.
        restore_info: What is restored.
        optimization: The name of the operation that follows a restore.
    """

    uid: int
    name: str
    kind: OperationKind
    target: str
    database: str
    source_backup: str
    subject: int
    plan: Plan
    start_time: datetime
    begin_time: datetime
    due_time: datetime
    cancel_time: datetime | None = None
    end_time: datetime | None = None
    error: Status | None = None
    response: Backup | Database | None = None
    orphaned: bool = False
    end: Entry | None = None
    stop: Entry | None = None
    final: Operation | None = None
    restore_info: RestoreInfo | None = None
    optimization: str = ""

    def seen(self, now: datetime) -> Operation:
        """The operation as a client sees it; what has ended no longer changes and is made once."""
        if self.final is not None:
            return self.final
        operation = Operation(
            uid=self.uid,
            name=self.name,
            kind=self.kind,
            target=self.target,
            database="" if self.kind is OperationKind.COPY_BACKUP else self.database,
            source_backup=self.source_backup,
            progress=self._progress(now),
            cancel_time=self.cancel_time,
            done=self.end_time is not None,
            error=self.error,
            response=self.response,
            restore_info=self.restore_info,
            optimization=self.optimization,
        )
        if operation.done:
            self.final = operation
        return operation

    def _progress(self, now: datetime) -> Progress | None:
        """Percentage and times; a failure keeps the percentage that it came to."""
        model = self.plan.progress
        if model is ProgressModel.MISSING:
            return None
        if self.response is not None:
            return Progress(PERCENT_DONE, self.start_time, self.end_time)
        elapsed = (self.end_time or now) - self.begin_time
        length = self.due_time - self.begin_time
        fraction = elapsed / length if length else 0.0
        return Progress(percent_at(model, fraction), self.start_time, self.end_time)
