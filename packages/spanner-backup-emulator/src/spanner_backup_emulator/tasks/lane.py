"""One queue at work: its tasks, which of them is next, and whether it may go."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied
from spanner_backup_emulator.tasks import pacing
from spanner_backup_emulator.tasks.messages import pb

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.messages import Message


@dataclass(slots=True, eq=False)
class Job:
    """A task that has not ended, and what Google's message doesn't say about it.

    Attributes:
        lane: Its queue.
        task: Google's Task, in the full view.
        sequence: Its place in the order of creation, unique for good; a name may be used again.
        expires: When it is too old.
        due: When its next attempt is to be made; None while one is on its way.
        execution_count: Attempts answered with anything but 5xx.
        status: The last attempt's HTTP status; None while that has no answer.
    """

    lane: Lane
    task: Message
    sequence: int
    expires: datetime
    due: datetime | None = None
    execution_count: int = 0
    status: int | None = None


class Lane:
    """A queue, the tasks in it, and what they wait for.

    The heap holds one entry per time that a task was scheduled. An entry is skipped when the task has gone, is
    on its way, or is due at another time by now; so nothing is ever searched for in the heap.

    Attributes:
        queue: Google's Queue.
        jobs: Its tasks by name, in the order of creation.
        in_flight: The numbers of the dispatches that have no outcome yet.
        forced: What RunTask lets go at once, and since when.
    """

    def __init__(self, now: datetime, queue: Message) -> None:
        self.jobs: dict[str, Job] = {}
        self.in_flight: set[int] = set()
        self._due: list[tuple[datetime, int, str]] = []
        self.forced: list[tuple[datetime, Job]] = []
        self.queue = queue
        self._bucket = pacing.TokenBucket(now, queue.rate_limits)

    def configure(self, now: datetime, queue: Message) -> None:
        """Takes new settings; a new rate starts with a full bucket."""
        if queue.rate_limits != self.queue.rate_limits:
            self._bucket = pacing.TokenBucket(now, queue.rate_limits)
        self.queue = queue

    def change(self, field: str, value: object) -> Message:
        """Sets one field of the queue, and gives the queue."""
        self.queue = copied(self.queue)
        setattr(self.queue, field, value)
        return self.queue

    def put(self, job: Job, due: datetime) -> None:
        """Keeps a task that waits for its time."""
        job.due = due
        self.jobs[job.task.name] = job
        heapq.heappush(self._due, (due, job.sequence, job.task.name))

    def clear(self) -> list[str]:
        """Drops all tasks, and gives their names; what is on its way stays on its way."""
        dropped = list(self.jobs)
        self.jobs.clear()
        self._due.clear()
        self.forced.clear()
        return dropped

    def next_at(self) -> datetime | None:
        """The earliest time at which something may go, as things stand; it may have passed."""
        if self.forced:
            return self.forced[0][0]
        if not self._may_go() or self._first() is None:
            return None
        return max(self._due[0][0], self._bucket.ready_at)

    def take_forced(self) -> Job | None:
        """The next task that RunTask lets go, whatever the state and the limits; it costs no token (inferred)."""
        while self.forced:
            _, job = self.forced.pop(0)
            if self.jobs.get(job.task.name) is job:
                return job
        return None

    def take_due(self, now: datetime) -> Job | None:
        """The next task that is due and may go; it has taken its token."""
        if not self._may_go() or self._bucket.ready_at > now:
            return None
        job = self._first()
        if job is None or self._due[0][0] > now:
            return None
        heapq.heappop(self._due)
        self._bucket.take(now)
        return job

    def _may_go(self) -> bool:
        queue = self.queue
        paused = queue.state == pb.Queue.PAUSED
        return not paused and len(self.in_flight) < queue.rate_limits.max_concurrent_dispatches

    def _first(self) -> Job | None:
        """The task that is due first; entries that no longer hold are dropped."""
        while self._due:
            due, sequence, name = self._due[0]
            job = self.jobs.get(name)
            if job is not None and job.sequence == sequence and job.due == due:
                return job
            heapq.heappop(self._due)
        return None
