"""What the state keeps: Google's messages, each with the little that they don't hold, and what will happen to them."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from spanner_backup_emulator.messages import Message, copied
from spanner_backup_emulator.spanner.plans import PERCENT_DONE, Plan, ProgressModel, percent_at

RANK_END, RANK_STOP, RANK_REST = range(3)
"""Which of two things that are due at the same time comes first."""

_BEFORE_TIME, END_OF_TIME = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True, eq=False)
class Entry:
    """One thing that will happen, unless it is dropped first and has no action any more."""

    action: Callable[[], None] | None


def drop(entry: Entry | None) -> None:
    """Makes an action not happen; one that already did, or none at all, is let be."""
    if entry is not None:
        entry.action = None


class Agenda:
    """What will happen, by time, then by rank, then first come, first served: there is no tie that code order decides.

    Attributes:
        now: The latest time it was told.
    """

    def __init__(self) -> None:
        self.now = _BEFORE_TIME
        self._heap: list[tuple[datetime, int, int, Entry]] = []
        self._count = itertools.count()

    def next_event_at(self) -> datetime | None:
        """When something will next change by itself."""
        while self._heap and self._heap[0][3].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def advance(self, now: datetime) -> None:
        """Carries out what is due; a time before the last one counts as the last one."""
        now = max(now, self.now)
        while self._heap and self._heap[0][0] <= now:
            when, _, _, entry = heapq.heappop(self._heap)
            if entry.action is not None:
                self.now = max(when, self.now)
                entry.action()
        self.now = now

    def _at(self, when: datetime, action: Callable[[], None], rank: int = RANK_REST) -> Entry:
        entry = Entry(action)
        heapq.heappush(self._heap, (when, rank, next(self._count), entry))
        return entry


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
    work: "Work | None" = None

    def seen(self, _: datetime) -> Message:
        """As a client sees it."""
        return self.message


@dataclass(slots=True, eq=False)
class Work:
    """An operation that runs or has ended.

    Attributes:
        operation: Google's message, which gets its metadata when it is first read after its end.
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
        return str(self.operation.name)

    @property
    def kind(self) -> str:
        """What it does, as in the name of its metadata's type: `CreateBackup`."""
        return str(self.metadata.DESCRIPTOR.name).removesuffix("Metadata")

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
