"""A queue at work: which of its tasks goes next, what an attempt sends, and when another follows.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits and #retryconfig, documented.
https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler, documented; the values of the two headers of a
retry are recorded (see the package).
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from spanner_backup_emulator.messages import Message, copied
from spanner_backup_emulator.tasks.messages import pb

RETENTION = timedelta(days=31)
"""A task that is older is deleted whether it was dispatched or not (documented, see CreateQueue):
https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#cloudtasks ."""

NO_ANSWER_SHOWN = 504
"""What a retry is told about an attempt that got no answer: recorded for a missed deadline, else inferred."""

_COMPUTED = frozenset({"host", "content-length"})
_RESERVED = ("x-google-", "x-appengine-", "x-cloudtasks-")


@dataclass(slots=True, eq=False)
class Job:
    """A task that has not ended, and what Google's message doesn't say about it."""

    lane: "Lane"
    task: Message  # Google's Task, in the full view.
    sequence: int  # Its place in the order of creation, unique for good; a name may be used again.
    expires: datetime
    due: datetime | None = None  # When its next attempt is to be made; None while one is on its way, and at the end.
    execution_count: int = 0  # Attempts answered with anything but 5xx.
    status: int | None = None  # The last attempt's HTTP status; None while that has no answer.

    def headers(self) -> dict[str, str]:
        """The headers of the next attempt, without those that the HTTP client computes."""
        task = self.task
        kept = {
            name: value
            for name, value in task.http_request.headers.items()
            if name.lower() not in _COMPUTED and not name.lower().startswith(_RESERVED)
        }
        about = {
            "QueueName": self.lane.queue.name.rpartition("/")[2],
            "TaskName": task.name.rpartition("/")[2],
            "TaskRetryCount": task.dispatch_count,
            "TaskExecutionCount": self.execution_count,
            "TaskETA": f"{task.schedule_time.seconds}.{task.schedule_time.nanos // 1000:06}",
        }
        if self.status is not None:
            about |= {"TaskPreviousResponse": self.status or NO_ANSWER_SHOWN, "TaskRetryReason": ""}
        return kept | {f"X-CloudTasks-{name}": str(value) for name, value in about.items()}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One HTTP request that is to be sent now; its outcome goes back to `State.dispatched`."""

    number: int  # Unique within the state.
    job: Job
    task: Message  # Google's Task, in the full view, as it was when the attempt began.
    attempt: int  # 1 for the first; a duplicate has its original's.
    time: datetime
    headers: dict[str, str]
    forced: bool  # Whether RunTask asked for it.


class Lane:
    """A queue, the tasks in it, and what they wait for.

    The heap holds one entry per time that a task was scheduled. An entry is skipped when the task has ended, is
    on its way, or is due at another time by now; so nothing is ever searched for in the heap.

    Tokens that come in at equal intervals up to a burst's size are the same as one instant, that at which there is a
    token. Each token taken moves it one interval on, and a rest leaves it `size - 1` intervals behind at most. So
    nothing drifts. An interval longer than a task lives is the same as one just that long, and can't overflow.

    Attributes:
        jobs: Its tasks by name, in the order of creation.
        in_flight: The numbers of the dispatches that have no outcome yet.
        forced: What RunTask lets go at once, and since when.
    """

    def __init__(self, now: datetime, queue: Message) -> None:
        self.jobs: dict[str, Job] = {}
        self.in_flight: set[int] = set()
        self.forced: list[tuple[datetime, Job]] = []
        self._due: list[tuple[datetime, int, Job]] = []
        self.queue = pb.Queue()
        self.configure(now, queue)

    def configure(self, now: datetime, queue: Message) -> Message:
        """Takes the settings and gives them back; a new rate starts with all tokens of a burst."""
        limits = queue.rate_limits
        if limits != self.queue.rate_limits:
            self._interval = timedelta(seconds=min(1 / limits.max_dispatches_per_second, RETENTION.total_seconds()))
            self._rest: timedelta = (limits.max_burst_size - 1) * self._interval
            self._token_at = now - self._rest
        self.queue = queue
        return queue

    def change(self, field: str, value: object) -> Message:
        """Sets one field of the queue, and gives the queue."""
        self.queue = copied(self.queue)
        setattr(self.queue, field, value)
        return self.queue

    def put(self, job: Job, due: datetime) -> None:
        """Keeps a task that waits for its time."""
        job.due = due
        self.jobs[job.task.name] = job
        heapq.heappush(self._due, (due, job.sequence, job))

    def clear(self) -> list[str]:
        """Drops all tasks, and gives their names; what is on its way stays on its way."""
        dropped = list(self.jobs)
        self.jobs, self._due, self.forced = {}, [], []
        return dropped

    def next_at(self) -> datetime | None:
        """The earliest time at which something may go, as things stand; it may have passed."""
        if self.forced:
            return self.forced[0][0]
        room = len(self.in_flight) < self.queue.rate_limits.max_concurrent_dispatches
        if self.queue.state == pb.Queue.PAUSED or not room:
            return None
        while self._due and self._due[0][0] != self._due[0][2].due:
            heapq.heappop(self._due)
        return max(self._due[0][0], self._token_at) if self._due else None

    def take(self, now: datetime) -> Iterator[tuple[Job, bool]]:
        """What goes now, and whether RunTask asked for it; each is to be in flight before the next is taken.

        RunTask needs no running queue and no room in the limits, and costs no token (inferred).
        """
        while self.forced:
            _, job = self.forced.pop(0)
            if self.jobs.get(job.task.name) is job:
                yield job, True
        while (at := self.next_at()) is not None and at <= now:
            _, _, job = heapq.heappop(self._due)
            self._token_at = max(self._token_at, now - self._rest) + self._interval
            yield job, False


def retry_after(config: Message, attempts: int, elapsed: timedelta) -> timedelta | None:
    """How long after its last failure a task is due again; None once every limit that is set has been reached.

    There were so many `attempts`, one at least; the first began `elapsed` ago. That both limits must be reached is
    documented; that an unlimited one then doesn't count is inferred.
    """
    limits = [attempts >= config.max_attempts] if config.max_attempts != -1 else []
    if limit := config.max_retry_duration.ToTimedelta():
        limits.append(elapsed >= limit)
    if limits and all(limits):
        return None
    least: timedelta = config.min_backoff.ToTimedelta()
    most: timedelta = config.max_backoff.ToTimedelta()
    doublings: int = min(attempts - 1, config.max_doublings)
    steps = attempts - doublings  # 1 while it doubles; then it grows by what the last doubling reached
    try:
        return min(least * ((1 << doublings) * steps), most)
    except OverflowError:
        return most
