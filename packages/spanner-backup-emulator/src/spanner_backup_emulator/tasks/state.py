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

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

from spanner_backup_emulator.dispatch import NO_ANSWER
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import copied, filled, set_time, time_of
from spanner_backup_emulator.tasks import attempts, checks, names, pacing
from spanner_backup_emulator.tasks.lane import Job
from spanner_backup_emulator.tasks.messages import METHODS, pb
from spanner_backup_emulator.tasks.model import RETENTION, Dispatch, Outcome, Settings
from spanner_backup_emulator.tasks.queues import NO_ENTITY, RETRY_CONFIG, Queues, cut, drop_past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from spanner_backup_emulator.messages import Message

OUTPUT_ONLY = ("dispatch_count", "response_count", "first_attempt", "last_attempt", "view")
DISPATCH_DEADLINE_DEFAULT_S = 600
"""Of a task: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented."""

TASK_PAGE_SIZE_MAX = 1000
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#listtasksrequest, documented."""

HISTORY_LENGTH_MAX = 100_000
"""Entries kept for the authors of tests: more than any test makes, yet a bound for a server left running."""

# Recorded, see the package; that DeleteTask and RunTask tell of a recent end as GetTask does is inferred.
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


class State:
    """All queues and tasks of one emulated service; `now` must not go back from call to call.

    Attributes:
        settings: What was chosen about the service.
        methods: What can be asked: how each of Google's requests is answered, by its class.
        created: Every task as it was created, oldest first.
        history: How every dispatch ended, in the order of the answers.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.created: deque[Message] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.history: deque[Outcome] = deque(maxlen=HISTORY_LENGTH_MAX)
        self._queues = Queues(self.settings)
        self._tombstones: dict[str, datetime] = {}
        self._sequence = 0
        self._number = 0
        self._twice = 0
        self.methods: dict[Message, Callable[[datetime, Message], Message]] = {
            pb.CreateTaskRequest: self._create_task,
            pb.GetTaskRequest: lambda _, request: _seen(self._find(request.name).task, request),
            pb.RunTaskRequest: self._run_task,
            pb.DeleteTaskRequest: self._delete_task,
            pb.ListTasksRequest: self._list_tasks,
            pb.CreateQueueRequest: self._queues.create,
            pb.UpdateQueueRequest: self._queues.update,
            pb.GetQueueRequest: lambda _, request: self._queues.lane(request.name).queue,
            pb.ListQueuesRequest: self._queues.list,
            pb.DeleteQueueRequest: self._delete_queue,
            pb.PauseQueueRequest: lambda _, request: self._queues.lane(request.name).change("state", pb.Queue.PAUSED),
            pb.ResumeQueueRequest: lambda _, request: self._queues.lane(request.name).change("state", pb.Queue.RUNNING),
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
        for lane in self._queues.lanes.values():
            while (job := lane.take_forced()) is not None:
                dispatches += self._send(now, job, forced=True)
            while (job := lane.take_due(now)) is not None:
                dispatches += self._send(now, job, forced=False)
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
        times = [at for lane in self._queues.lanes.values() if (at := lane.next_at()) is not None]
        return min(times, default=None)

    # What the author of a test can do and see.

    def dispatch_twice_next(self, count: int = 1) -> None:
        """Lets each of the next dispatches go out twice, as at-least-once delivery allows."""
        self._twice += count

    def forget_name(self, task_name: str) -> bool:
        """Frees the name of a task that has ended, as the service may before its time; whether there was one."""
        return self._tombstones.pop(task_name, None) is not None

    def pending(self) -> tuple[Message, ...]:
        """The tasks that have not ended, by queue, in the order of creation."""
        return tuple(job.task for lane in self._queues.lanes.values() for job in lane.jobs.values())

    def in_flight_count(self) -> int:
        """How many dispatches have no outcome yet."""
        return sum(len(lane.in_flight) for lane in self._queues.lanes.values())

    # Tasks.

    def _create_task(self, now: datetime, request: Message) -> Message:
        given = request.task
        due = max(time_of(given.schedule_time), now) if given.HasField("schedule_time") else now
        checks.check_create_task(request, due, now)
        task = _stored(given, due, now)
        if self.settings.auto_create_queues and request.parent not in self._queues.lanes:
            self._queues.update(now, pb.UpdateQueueRequest(queue=pb.Queue(name=request.parent)))
        lane = self._queues.lane(request.parent)
        self._sequence += 1
        task.name = task.name or f"{request.parent}/tasks/{_generated_id(request.parent, self._sequence)}"
        if task.ByteSize() > checks.TASK_BYTES_MAX:
            raise ApiError(Code.INVALID_ARGUMENT, "Task size too large")
        if task.name in lane.jobs:
            raise ApiError(Code.ALREADY_EXISTS, "Requested entity already exists")  # Recorded.
        if task.name in self._tombstones:
            raise ApiError(Code.ALREADY_EXISTS, TASK_EXISTED)
        task.view = pb.Task.FULL
        lane.put(Job(lane, task, self._sequence, now.replace(microsecond=0) + RETENTION), due)
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
        names.check_queue(request.parent)
        if not (request.page_token or "0").isdecimal():
            raise ApiError(Code.INVALID_ARGUMENT, "Invalid page token.")  # Inferred.
        after = int(request.page_token or 0)
        left = [job for job in self._queues.lane(request.parent).jobs.values() if job.sequence > after]
        page, more = cut(left, request.page_size, TASK_PAGE_SIZE_MAX)
        tasks = [_seen(job.task, request) for job in page]
        return pb.ListTasksResponse(tasks=tasks, next_page_token=str(page[-1].sequence) if more else "")

    def _find(self, name: str) -> Job:
        """The task of that name, or the refusal."""
        lane = self._queues.lanes.get(names.queue_of(name))
        job = lane.jobs.get(name) if lane is not None else None
        if job is None:
            raise ApiError(Code.NOT_FOUND, TASK_ENDED if name in self._tombstones else NO_ENTITY)
        return job

    def _send(self, now: datetime, job: Job, *, forced: bool) -> list[Dispatch]:
        """Begins an attempt; a duplicate is the same attempt under another number."""
        sent = attempts.headers(job)
        task = copied(job.task)
        task.dispatch_count += 1
        task.last_attempt.CopyFrom(pb.Attempt(schedule_time=task.schedule_time))
        set_time(task.last_attempt.dispatch_time, now)
        if task.dispatch_count == 1:
            task.first_attempt.dispatch_time.CopyFrom(task.last_attempt.dispatch_time)
        job.task, job.due, job.status = task, None, None
        copies = 2 if self._twice else 1
        self._twice -= copies - 1
        numbers = range(self._number + 1, self._number + 1 + copies)
        self._number += copies
        job.lane.in_flight.update(numbers)
        return [Dispatch(number, job, task, task.dispatch_count, now, sent, forced) for number in numbers]

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
        task.last_attempt.response_status.CopyFrom(attempts.response_status(status))
        if job.due is not None or dispatch.attempt != task.dispatch_count:
            return
        config = task.retry_config if task.HasField("retry_config") else job.lane.queue.retry_config
        if pacing.exhausted(config, dispatch.attempt, now - time_of(task.first_attempt.dispatch_time)):
            self._end(now, job)
            return
        since = dispatch.time if dispatch.forced else now  # After RunTask it counts from that call.
        due = since + pacing.backoff(config, dispatch.attempt)
        set_time(task.schedule_time, due)
        job.lane.put(job, due)

    def _end(self, now: datetime, job: Job) -> None:
        del job.lane.jobs[job.task.name]
        self._bury(now, (job.task.name,))

    def _bury(self, now: datetime, task_names: Iterable[str]) -> None:
        """Keeps names taken; those of a purged or deleted queue's tasks too (inferred)."""
        self._tombstones |= dict.fromkeys(task_names, now + self.settings.tombstone_period)

    def _expire(self, now: datetime) -> None:
        """Drops tombstones and tasks whose time is over; the oldest come first in each."""
        drop_past(self._queues.tombstones, now)
        drop_past(self._tombstones, now)
        for lane in self._queues.lanes.values():
            while (oldest := next(iter(lane.jobs.values()), None)) and oldest.expires <= now:
                self._end(now, oldest)

    # Queues.

    def _purge_queue(self, now: datetime, request: Message) -> Message:
        """Drops a queue's tasks; unlike the service, which may take a minute, at once."""
        lane = self._queues.lane(request.name)
        self._bury(now, lane.clear())
        return lane.change("purge_time", now)

    def _delete_queue(self, now: datetime, request: Message) -> Message:
        self._bury(now, self._queues.delete(now, request.name).clear())
        return pb.Empty()


def _stored(given: Message, due: datetime, now: datetime) -> Message:
    """A task as the service keeps it, but for the name that it may have to be given."""
    task = copied(given)
    for name in OUTPUT_ONLY:
        task.ClearField(name)
    set_time(task.schedule_time, due)
    set_time(task.create_time, now.replace(microsecond=0))  # Shown to the second.
    if not given.HasField("dispatch_deadline"):
        task.dispatch_deadline.seconds = DISPATCH_DEADLINE_DEFAULT_S
    if given.HasField("retry_config"):
        task.retry_config.CopyFrom(filled(given.retry_config, RETRY_CONFIG))
        checks.check_retry_config(task.retry_config)
    request = task.http_request
    if request.http_method not in METHODS:
        request.http_method = "POST"  # Documented of one that is unspecified.
    for name in [name for name in request.headers if name.lower() == "user-agent"]:
        del request.headers[name]
    request.headers["User-Agent"] = attempts.USER_AGENT
    return task


def _seen(task: Message, request: Message) -> Message:
    """The task in the view that is asked for; the body is only in the full one."""
    if request.response_view == pb.Task.FULL:
        return task
    shown = copied(task)
    shown.http_request.ClearField("body")
    shown.view = pb.Task.BASIC
    return shown


def _generated_id(queue_name: str, sequence: int) -> str:
    """An id like the service's own: digits without an order."""
    digest = hashlib.blake2b(f"{queue_name} {sequence}".encode(), digest_size=8).digest()
    return f"{int.from_bytes(digest):020d}"
