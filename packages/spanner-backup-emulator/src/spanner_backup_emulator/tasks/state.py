"""Cloud Tasks, as a pure state: every change is a call, and every call says what time it is.

Rules of this file:

- No clock, no randomness, no I/O, no threads: the same calls give the same answers, under any clock.
- A task lives in its lane (lane.py) until it ends; then only its name is left, as a tombstone with a time.
- A dispatch is handed out by `advance` and comes back through `dispatched`. In between its task may be deleted,
  purged, run again, or replaced by another of the same name: the outcome then counts for what is on its way
  and for the history, and for nothing else. Which task it was is told by its job, never by its name.
- The first 2xx ends a task. A failure schedules the next attempt only if it is the latest attempt's and
  nothing has scheduled one yet; so a task that was sent twice is still retried once.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2, documented, unless a line says otherwise.
"""

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spanner_backup_emulator.dispatch import NO_ANSWER
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message, copied, set_time, time_of
from spanner_backup_emulator.tasks import checks
from spanner_backup_emulator.tasks.checks import refuse_if
from spanner_backup_emulator.tasks.lane import RETENTION, Dispatch, Job, Lane, retry_after
from spanner_backup_emulator.tasks.messages import pb

QUEUE_PAGE_SIZE_MAX, TASK_PAGE_SIZE_MAX = 9800, 1000
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#listqueuesrequest and #listtasksrequest,
documented."""

HISTORY_LENGTH_MAX = 100_000
"""Entries kept for the authors of tests: more than any test makes, yet a bound for a server left running."""

# Recorded, see the package; that DeleteTask and RunTask tell of a recent end as GetTask does is inferred.
NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
NO_ENTITY = "Requested entity was not found."
QUEUE_EXISTED = "The queue cannot be created because a queue with this name existed too recently."
TASK_ENDED = (
    "The task no longer exists, though a task with this name existed recently. "
    "The task either successfully completed or was deleted."
)

# Seen in https://github.com/stackkit/laravel-google-cloud-tasks-queue/issues/104 .
TASK_EXISTED = (
    "The task cannot be created because a task with this name existed too recently. For more information about "
    "task de-duplication see https://cloud.google.com/tasks/docs/reference/rest/v2/"
    "projects.locations.queues.tasks/create#body.request_body.FIELDS.task."
)

_CODES = {code.http_status: code for code in reversed(Code)} | {409: Code.ABORTED, 500: Code.INTERNAL}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test may choose about the service.

    Names stay taken "up to" so long, so the emulator takes all of it (documented, #createtaskrequest and #cloudtasks).
    """

    tombstone_period: timedelta = timedelta(hours=24)  # How long a task's name stays taken after its end.
    queue_tombstone_period: timedelta = timedelta(days=3)  # And a deleted queue's.
    auto_create_queues: bool = False  # Whether CreateTask makes the queue it names; the real service does not.
    max_burst_size: int | None = None  # The token bucket's size, for every queue; None for the service's own choice.


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dispatch of the task of that full name ended: with an HTTP status, or given up with `NO_ANSWER`."""

    task: str
    attempt: int
    dispatch_time: datetime
    response_time: datetime
    status: int


class State:
    """All queues and tasks of one emulated service; `now` must not go back from call to call.

    Attributes:
        methods: What can be asked: how each of Google's requests is answered, by its class.
        created: Every task as it was created, oldest first.
        history: How every dispatch ended, in the order of the answers.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.created: deque[Message] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.history: deque[Outcome] = deque(maxlen=HISTORY_LENGTH_MAX)
        self._lanes: dict[str, Lane] = {}
        self._queue_tombstones: dict[str, datetime] = {}
        self._tombstones: dict[str, datetime] = {}
        self._sequences, self._numbers = itertools.count(1), itertools.count(1)
        self._twice = 0
        self.methods: dict[Message, Callable[[datetime, Message], Message]] = {
            pb.CreateTaskRequest: self._create_task,
            pb.GetTaskRequest: lambda _, request: _seen(self._find(request.name).task, request),
            pb.RunTaskRequest: self._run_task,
            pb.DeleteTaskRequest: self._delete_task,
            pb.ListTasksRequest: self._list_tasks,
            pb.CreateQueueRequest: self._create_queue,
            pb.UpdateQueueRequest: self._update_queue,
            pb.GetQueueRequest: lambda _, request: self._lane(request.name).queue,
            pb.ListQueuesRequest: self._list_queues,
            pb.DeleteQueueRequest: self._delete_queue,
            pb.PauseQueueRequest: lambda _, request: self._lane(request.name).change("state", pb.Queue.PAUSED),
            pb.ResumeQueueRequest: lambda _, request: self._lane(request.name).change("state", pb.Queue.RUNNING),
            pb.PurgeQueueRequest: self._purge_queue,
        }

    def apply(self, now: datetime, request: Message) -> Message:
        """Answers one of Google's requests with Google's answer, which isn't to be changed, or with an ApiError."""
        self._expire(now)
        return self.methods[type(request)](now, request)

    # What the dispatcher does.

    def advance(self, now: datetime) -> list[Dispatch]:
        """Hands out what is to be sent now; each of them must come back through `dispatched`."""
        self._expire(now)
        dispatches: list[Dispatch] = []
        for lane in self._lanes.values():
            for job, forced in lane.take(now):
                dispatches += self._send(now, job, forced=forced)
        return dispatches

    def dispatched(self, now: datetime, dispatch: Dispatch, status: int) -> None:
        """Takes note of a dispatch's outcome: the HTTP status, or `NO_ANSWER`."""
        job, name = dispatch.job, dispatch.task.name
        self.history.append(Outcome(name, dispatch.attempt, dispatch.time, now, status))
        job.lane.in_flight.discard(dispatch.number)
        if job.lane.jobs.get(name) is not job:
            return
        if 200 <= status < 300:
            self._end(now, job)
        else:
            self._fail(now, dispatch, status)

    def next_event_at(self) -> datetime | None:
        """When `advance` has something to hand out, as things stand; None is not before a call, or an outcome."""
        return min((at for lane in self._lanes.values() if (at := lane.next_at())), default=None)

    # What the author of a test can do and see.

    def dispatch_twice_next(self, count: int = 1) -> None:
        """Lets each of the next dispatches go out twice, as at-least-once delivery allows."""
        self._twice += count

    def forget_name(self, task_name: str) -> bool:
        """Frees the name of a task that has ended, as the service may before its time; whether there was one."""
        return self._tombstones.pop(task_name, None) is not None

    def pending(self) -> tuple[Message, ...]:
        """The tasks that have not ended, by queue, in the order of creation."""
        return tuple(job.task for lane in self._lanes.values() for job in lane.jobs.values())

    def in_flight_count(self) -> int:
        """How many dispatches have no outcome yet."""
        return sum(len(lane.in_flight) for lane in self._lanes.values())

    def _create_task(self, now: datetime, request: Message) -> Message:
        task, parent = checks.new_task(request, now), request.parent
        if self.settings.auto_create_queues and parent not in self._lanes:
            self._update_queue(now, pb.UpdateQueueRequest(queue=pb.Queue(name=parent)))
        lane = self._lane(parent)
        sequence = next(self._sequences)
        if not task.name:  # It gets an id like the service's own: digits without an order.
            digest = hashlib.blake2b(f"{parent} {sequence}".encode(), digest_size=8).digest()
            task.name = f"{parent}/tasks/{int.from_bytes(digest):020d}"
        refuse_if(task.ByteSize() > checks.TASK_BYTES_MAX, "Task size too large")
        refuse_if(task.name in lane.jobs, "Requested entity already exists", Code.ALREADY_EXISTS)  # Recorded.
        refuse_if(task.name in self._tombstones, TASK_EXISTED, Code.ALREADY_EXISTS)
        task.view = pb.Task.FULL
        lane.put(Job(lane, task, sequence, time_of(task.create_time) + RETENTION), time_of(task.schedule_time))
        self.created.append(task)
        return _seen(task, request)

    def _run_task(self, now: datetime, request: Message) -> Message:
        job = self._find(request.name)
        job.lane.forced.append((now, job))
        return _seen(job.task, request)

    def _delete_task(self, now: datetime, request: Message) -> Message:
        self._end(now, self._find(request.name))
        return pb.Empty()

    def _list_tasks(self, _: datetime, request: Message) -> Message:
        checks.check_queue_name(request.parent)
        token = request.page_token or "0"
        refuse_if(not token.isdecimal(), "Invalid page token.")  # Inferred.
        after, lane = int(token), self._lane(request.parent)
        left = [job for job in lane.jobs.values() if job.sequence > after]
        size = checks.page_size(request.page_size, TASK_PAGE_SIZE_MAX)
        token = str(left[size - 1].sequence) if len(left) > size else ""
        return pb.ListTasksResponse(tasks=[_seen(job.task, request) for job in left[:size]], next_page_token=token)

    def _find(self, name: str) -> Job:
        """The task of that name, or the refusal."""
        refusal = TASK_ENDED if name in self._tombstones else NO_ENTITY
        jobs = self._lane(checks.queue_of(name), refusal).jobs
        refuse_if(name not in jobs, refusal, Code.NOT_FOUND)
        return jobs[name]

    def _send(self, now: datetime, job: Job, *, forced: bool) -> list[Dispatch]:
        """Begins an attempt; a duplicate is the same attempt under another number."""
        headers = job.headers()
        task = copied(job.task)
        task.dispatch_count += 1
        task.last_attempt.CopyFrom(pb.Attempt(schedule_time=task.schedule_time))
        set_time(task.last_attempt.dispatch_time, now)
        if task.dispatch_count == 1:
            task.first_attempt.dispatch_time.CopyFrom(task.last_attempt.dispatch_time)
        job.task, job.due, job.status = task, None, None
        copies = 2 if self._twice else 1
        self._twice -= copies - 1
        numbers = [next(self._numbers) for _ in range(copies)]
        job.lane.in_flight.update(numbers)
        return [Dispatch(number, job, task, task.dispatch_count, now, headers, forced) for number in numbers]

    def _fail(self, now: datetime, dispatch: Dispatch, status: int) -> None:
        """Schedules the next attempt, or ends the task; see the rules at the top for outcomes that do neither.

        5xx doesn't count as executed (documented):
        https://firebase.google.com/docs/reference/functions/firebase-functions.tasks.taskcontext
        """
        job, answered = dispatch.job, status != NO_ANSWER
        job.status = status
        job.execution_count += answered and status < 500
        job.task = task = copied(job.task)
        task.response_count += answered
        task.last_attempt.CopyFrom(dispatch.task.last_attempt)
        set_time(task.last_attempt.response_time, now)
        code = _CODES.get(status, Code.INTERNAL if status >= 500 else Code.UNKNOWN)
        # As in https://github.com/googleapis/nodejs-tasks/issues/487 .
        task.last_attempt.response_status.code = code
        task.last_attempt.response_status.message = f"{code.name}({code.value}): HTTP status code {status}"
        if job.due is not None or dispatch.attempt != task.dispatch_count:
            return
        config = task.retry_config if task.HasField("retry_config") else job.lane.queue.retry_config
        delay = retry_after(config, dispatch.attempt, now - time_of(task.first_attempt.dispatch_time))
        if delay is None:
            self._end(now, job)
            return
        due = delay + (dispatch.time if dispatch.forced else now)  # After RunTask it counts from that call.
        set_time(task.schedule_time, due)
        job.lane.put(job, due)

    def _end(self, now: datetime, job: Job) -> None:
        del job.lane.jobs[job.task.name]
        job.due = None
        self._bury(now, (job.task.name,))

    def _bury(self, now: datetime, task_names: Iterable[str]) -> None:
        """Keeps names taken; those of a purged or deleted queue's tasks too (inferred)."""
        self._tombstones |= dict.fromkeys(task_names, now + self.settings.tombstone_period)

    def _expire(self, now: datetime) -> None:
        """Drops tombstones and tasks whose time is over; the oldest come first in each."""
        for tombstones in (self._queue_tombstones, self._tombstones):
            while (name := next(iter(tombstones), None)) is not None and tombstones[name] <= now:
                del tombstones[name]
        for lane in self._lanes.values():
            while (oldest := next(iter(lane.jobs.values()), None)) and oldest.expires <= now:
                self._end(now, oldest)

    def _create_queue(self, now: datetime, request: Message) -> Message:
        queue = checks.new_queue(request.queue)
        checks.check_location(request.parent)
        checks.settle(queue, self.settings.max_burst_size)
        inside = queue.name.startswith(f"{request.parent}/")
        refuse_if(not inside, f"The queue name must start with the parent '{request.parent}'.")  # Inferred.
        refuse_if(queue.name in self._lanes, "Queue already exists", Code.ALREADY_EXISTS)  # Recorded.
        return self._add_queue(now, queue)

    def _update_queue(self, now: datetime, request: Message) -> Message:
        """Changes a queue, or makes it."""
        new = checks.new_queue(request.queue, request.update_mask.paths)
        lane = self._lanes.get(new.name)
        queue = copied(lane.queue) if lane is not None else checks.new_queue(pb.Queue(name=new.name))
        checks.merge(new, queue, request.update_mask)
        checks.settle(queue, self.settings.max_burst_size)
        return self._add_queue(now, queue) if lane is None else lane.configure(now, queue)

    def _add_queue(self, now: datetime, queue: Message) -> Message:
        refuse_if(queue.name in self._queue_tombstones, QUEUE_EXISTED, Code.FAILED_PRECONDITION)
        self._lanes[queue.name] = Lane(now, queue)
        return queue

    def _list_queues(self, _: datetime, request: Message) -> Message:
        refuse_if(request.filter, "This emulator has no filters.", Code.UNIMPLEMENTED)
        checks.check_location(request.parent)
        prefix = f"{request.parent}/"
        left = sorted(name for name in self._lanes if name.startswith(prefix) and name > request.page_token)
        size = checks.page_size(request.page_size, QUEUE_PAGE_SIZE_MAX)
        token = left[size - 1] if len(left) > size else ""
        return pb.ListQueuesResponse(queues=[self._lanes[name].queue for name in left[:size]], next_page_token=token)

    def _purge_queue(self, now: datetime, request: Message) -> Message:
        """Drops a queue's tasks; unlike the service, which may take a minute, at once."""
        lane = self._lane(request.name)
        self._bury(now, lane.clear())
        return lane.change("purge_time", now)

    def _delete_queue(self, now: datetime, request: Message) -> Message:
        lane = self._lane(request.name, NO_ENTITY)
        self._bury(now, lane.clear())
        del self._lanes[request.name]
        self._queue_tombstones[request.name] = now + self.settings.queue_tombstone_period
        return pb.Empty()

    def _lane(self, name: str, refusal: str = NO_QUEUE) -> Lane:
        """The queue of that name at work, or the refusal."""
        checks.check_queue_name(name)
        refuse_if(name not in self._lanes, refusal, Code.NOT_FOUND)
        return self._lanes[name]


def _seen(task: Message, request: Message) -> Message:
    """The task in the view that is asked for; the body is only in the full one."""
    if request.response_view == pb.Task.FULL:
        return task
    shown = copied(task)
    shown.http_request.ClearField("body")
    shown.view = pb.Task.BASIC
    return shown
