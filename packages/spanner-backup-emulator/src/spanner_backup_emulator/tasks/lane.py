"""One queue at work: its tasks, which of them is next, and whether it may go."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks.model import QueueState
from spanner_backup_emulator.tasks.pacing import TokenBucket

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.tasks.model import Queue, Task


class Lane:
    """A queue, the tasks in it, and what they wait for.

    The heap holds one entry per time that a task was scheduled. An entry is skipped when the task has gone, is
    on its way, or is due at another time by now; so nothing is ever searched for in the heap.

    Attributes:
        queue: As its owner sees it.
        tasks: By name, in the order of creation.
        in_flight: The numbers of the dispatches that have no outcome yet.
    """

    def __init__(self, now: datetime, queue: Queue) -> None:
        self.tasks: dict[str, Task] = {}
        self.in_flight: set[int] = set()
        self._due: list[tuple[datetime, int, str]] = []
        self._forced: list[tuple[datetime, int, str]] = []
        self.queue = queue
        limits = queue.rate_limits
        self._bucket = TokenBucket.full(now, limits.max_dispatches_per_second, limits.max_burst_size)

    def configure(self, now: datetime, queue: Queue) -> None:
        """Takes new settings; a new rate starts with a full bucket."""
        limits = queue.rate_limits
        if limits != self.queue.rate_limits:
            self._bucket = TokenBucket.full(now, limits.max_dispatches_per_second, limits.max_burst_size)
        self.queue = queue

    def put(self, task: Task) -> None:
        """Keeps a task that waits for its schedule time; one of that name is replaced, in its place."""
        self.tasks[task.name] = task
        heapq.heappush(self._due, (task.schedule_time, task.sequence, task.name))

    def force(self, now: datetime, task: Task) -> None:
        """Lets a task go at once."""
        self._forced.append((now, task.sequence, task.name))

    def clear(self) -> tuple[Task, ...]:
        """Drops all tasks; what is on its way stays on its way.

        Returns:
            What was dropped.
        """
        dropped = tuple(self.tasks.values())
        self.tasks.clear()
        self._due.clear()
        self._forced.clear()
        return dropped

    def next_at(self) -> datetime | None:
        """The earliest time at which something may go, as things stand; it may have passed."""
        if self._forced:
            return self._forced[0][0]
        if self.queue.state is QueueState.PAUSED or not self._has_room() or self._first() is None:
            return None
        return max(self._due[0][0], self._bucket.ready_at)

    def take_forced(self) -> Task | None:
        """The next task that RunTask lets go, whatever the state and the limits; it costs no token (inferred)."""
        while self._forced:
            _, sequence, name = self._forced.pop(0)
            task = self.tasks.get(name)
            if task is not None and task.sequence == sequence:
                return task
        return None

    def take_due(self, now: datetime) -> Task | None:
        """The next task that is due and may go; it has taken its token."""
        if self.queue.state is QueueState.PAUSED or not self._has_room() or self._bucket.ready_at > now:
            return None
        task = self._first()
        if task is None or task.schedule_time > now:
            return None
        heapq.heappop(self._due)
        self._bucket = self._bucket.take(now)
        return task

    def _has_room(self) -> bool:
        return len(self.in_flight) < self.queue.rate_limits.max_concurrent_dispatches

    def _first(self) -> Task | None:
        """The task that is due first; entries that no longer hold are dropped."""
        while self._due:
            schedule_time, sequence, name = self._due[0]
            task = self.tasks.get(name)
            if task is not None and task.sequence == sequence and task.waiting and task.schedule_time == schedule_time:
                return task
            heapq.heappop(self._due)
        return None
