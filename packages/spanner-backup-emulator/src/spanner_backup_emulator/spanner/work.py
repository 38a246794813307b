"""What the state keeps: Google's messages, each with the little that they don't hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied
from spanner_backup_emulator.spanner.plans import PERCENT_DONE, ProgressModel, percent_at

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.spanner.agenda import Entry
    from spanner_backup_emulator.spanner.plans import Plan


@dataclass(slots=True, eq=False)
class Resource:
    """A backup, a database or a backup schedule.

    Attributes:
        uid: Its place in the order of creation; tells two apart that had the same name one after the other.
        message: Google's.
        due: What is next to happen to it by itself: a backup expires, a schedule starts one.
        work: The operation that is making it, or optimizing it.
    """

    uid: int
    message: Message
    due: Entry | None = None
    work: Work | None = None


@dataclass(slots=True, eq=False)
class Work:
    """An operation that runs or has ended.

    Attributes:
        uid: Its place in the order in which operations started.
        operation: Google's message, which gets its metadata when it is first read after its end.
        metadata: Google's message.
        made: What it makes or optimizes.
        source: The backup that it needs.
        slot: The database whose one slot for a pending backup it takes; empty for none.
        begin_time: When the work leaves the queue.
        due_time: When the work ends if nobody stops it.
        orphaned: Its backup was deleted in the meantime, so it can only end CANCELLED.
        end: The entry that ends it; dropped when something else does.
        stop: The entry at which a cancel takes effect.
    """

    uid: int
    operation: Message
    metadata: Message
    made: Resource
    source: Resource | None
    slot: str
    plan: Plan
    begin_time: datetime
    due_time: datetime
    orphaned: bool = False
    end: Entry | None = None
    stop: Entry | None = None

    @property
    def name(self) -> str:
        """The operation's."""
        name: str = self.operation.name
        return name

    @property
    def kind(self) -> str:
        """What it does, as in the name of its metadata's type: `CreateBackup`."""
        kind: str = self.metadata.DESCRIPTOR.name
        return kind.removesuffix("Metadata")

    def seen(self, now: datetime) -> Message:
        """The operation as a client sees it."""
        if self.operation.HasField("metadata"):
            return self.operation
        shown = self.operation if self.operation.done else copied(self.operation)
        self.advance(now)
        shown.metadata.Pack(self.metadata)
        return shown

    def advance(self, now: datetime) -> None:
        """Brings the percentage up to date, until the end; a failure keeps the one that it came to."""
        if self.plan.progress is ProgressModel.MISSING or self.metadata.progress.HasField("end_time"):
            return
        length = self.due_time - self.begin_time
        fraction = (now - self.begin_time) / length if length else 0.0
        done = self.operation.HasField("response")
        self.metadata.progress.progress_percent = PERCENT_DONE if done else percent_at(self.plan.progress, fraction)
