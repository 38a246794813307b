"""Cloud Tasks, as a pure state: every change is a call, and every call says what time it is.

Rules of this file:

- No clock, no randomness, no I/O, no threads: the same calls give the same answers, under any clock.
- A task lives in its lane (lane.py) until it ends; then only its name is left, as a tombstone with a time.
- A dispatch is handed out by `advance` and comes back through `dispatched`. In between its task may be deleted,
  purged, run again, or replaced by another of the same name: the outcome then counts for what is on its way
  and for the history, and for nothing else. Which task it was is told by its sequence, never by its name.
- The first 2xx ends a task. A failure schedules the next attempt only if it is the latest attempt's and
  nothing has scheduled one yet; so a task that was sent twice is still retried once.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2, documented, unless a line says otherwise.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, overload

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.tasks import checks, headers, names, pacing
from spanner_backup_emulator.tasks.model import (
    DISPATCH_DEADLINE_DEFAULT,
    NO_ANSWER,
    RETENTION,
    Attempt,
    Dispatch,
    Outcome,
    QueueState,
    Settings,
    Task,
)
from spanner_backup_emulator.tasks.paging import cut, drop_past
from spanner_backup_emulator.tasks.queues import NO_ENTITY, Queues
from spanner_backup_emulator.tasks.requests import (
    AboutQueue,
    AboutTask,
    CreateQueue,
    CreateTask,
    DeleteQueue,
    DeleteTask,
    GetQueue,
    GetTask,
    ListQueues,
    ListTasks,
    PauseQueue,
    PurgeQueue,
    QueuePage,
    Removal,
    Request,
    Response,
    ResumeQueue,
    RunTask,
    TaskPage,
    UpdateQueue,
)

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.tasks.lane import Lane
    from spanner_backup_emulator.tasks.model import Queue

TASK_PAGE_SIZE_MAX = 1000
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#listtasksrequest, documented."""

HISTORY_LENGTH_MAX = 100_000
"""Entries kept for the authors of tests: more than any test makes, yet a bound for a server left running."""

# Recorded, see the package; that DeleteTask and RunTask tell of a recent end as GetTask does is inferred.
TASK_ENDED = (
    "The task no longer exists, though a task with this name existed recently. "
    "The task either successfully completed or was deleted."
)
TASK_EXISTS = "Requested entity already exists"

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
        created: Every task as it was created, oldest first.
        history: How every dispatch ended, in the order of the answers.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.created: deque[Task] = deque(maxlen=HISTORY_LENGTH_MAX)
        self.history: deque[Outcome] = deque(maxlen=HISTORY_LENGTH_MAX)
        self._queues = Queues(self.settings)
        self._tombstones: dict[str, datetime] = {}
        self._sequence = 0
        self._number = 0
        self._twice = 0

    # What a client can do.

    @overload
    def apply(self, now: datetime, request: AboutTask) -> Task: ...
    @overload
    def apply(self, now: datetime, request: AboutQueue) -> Queue: ...
    @overload
    def apply(self, now: datetime, request: ListTasks) -> TaskPage: ...
    @overload
    def apply(self, now: datetime, request: ListQueues) -> QueuePage: ...
    @overload
    def apply(self, now: datetime, request: Removal) -> None: ...

    def apply(self, now: datetime, request: Request) -> Response:
        """Answers one call.

        Args:
            now: The time of the call.
            request: What is asked.

        Returns:
            The answer.

        Raises:
            ApiError: The refusal.
        """
        self._expire(now)
        match request:
            case CreateTask() | GetTask() | RunTask() | DeleteTask() | ListTasks():
                return self._apply_to_task(now, request)
            case _:
                return self._apply_to_queue(now, request)

    def _apply_to_task(self, now: datetime, request: AboutTask | DeleteTask | ListTasks) -> Task | TaskPage | None:
        match request:
            case CreateTask():
                return self._create_task(now, request)
            case ListTasks():
                return self._list_tasks(request)
            case GetTask(name):
                return self._find(name)[1]
            case RunTask(name):
                lane, task = self._find(name)
                lane.force(now, task)
                return task
            case _:
                self._end(now, *self._find(request.name))
                return None

    def _apply_to_queue(
        self, now: datetime, request: AboutQueue | DeleteQueue | ListQueues
    ) -> Queue | QueuePage | None:
        match request:
            case CreateQueue():
                return self._queues.create(now, request)
            case UpdateQueue():
                return self._queues.update(now, request)
            case ListQueues():
                return self._queues.list(request)
            case GetQueue(name):
                return self._queues.lane(name).queue
            case PauseQueue(name) | ResumeQueue(name):
                paused = isinstance(request, PauseQueue)
                return self._queues.set_state(name, QueueState.PAUSED if paused else QueueState.RUNNING)
            case _:
                return self._empty_queue(now, request)

    # What the dispatcher does.

    def advance(self, now: datetime) -> list[Dispatch]:
        """Hands out what is to be sent now; each of them must come back through `dispatched`."""
        self._expire(now)
        dispatches: list[Dispatch] = []
        for lane in self._queues:
            while (task := lane.take_forced()) is not None:
                dispatches += self._send(now, lane, task, forced=True)
            while (task := lane.take_due(now)) is not None:
                dispatches += self._send(now, lane, task, forced=False)
        return dispatches

    def dispatched(self, now: datetime, dispatch: Dispatch, status: int) -> None:
        """Takes note of a dispatch's outcome.

        Args:
            now: When it was known.
            dispatch: What was sent.
            status: The HTTP status, or `NO_ANSWER`.
        """
        sent = dispatch.task
        self.history.append(Outcome(sent.name, dispatch.attempt, dispatch.time, now, status))
        lane = self._queues.get(sent.queue)
        if lane is None:
            return
        lane.in_flight.discard(dispatch.number)
        task = lane.tasks.get(sent.name)
        if task is None or task.sequence != sent.sequence:
            return
        if 200 <= status < 300:
            self._end(now, lane, task)
        else:
            self._fail(now, lane, _with_answer(task, dispatch, now, status), dispatch)

    def next_event_at(self) -> datetime | None:
        """The earliest time at which `advance` has something to hand out, as things stand; it may have passed.

        None means: not before something else happens (a call, or an outcome).
        """
        times = [at for lane in self._queues if (at := lane.next_at()) is not None]
        return min(times, default=None)

    # What the author of a test can do and see.

    def dispatch_twice_next(self, count: int = 1) -> None:
        """Lets each of the next dispatches go out twice, as at-least-once delivery allows."""
        self._twice += count

    def forget_name(self, task_name: str) -> bool:
        """Frees the name of a task that has ended, as the service may do well before 24 hours have passed.

        Returns:
            Whether the name was taken by a task that has ended.
        """
        return self._tombstones.pop(task_name, None) is not None

    def pending(self) -> tuple[Task, ...]:
        """The tasks that have not ended, by queue, in the order of creation."""
        return tuple(task for lane in self._queues for task in lane.tasks.values())

    def in_flight_count(self) -> int:
        """How many dispatches have no outcome yet."""
        return sum(len(lane.in_flight) for lane in self._queues)

    # Tasks.

    def _create_task(self, now: datetime, request: CreateTask) -> Task:
        http_request = checks.check_create_task(now, request)
        if self.settings.auto_create_queues:
            self._queues.create_default(now, request.parent)
        lane = self._queues.lane(request.parent)
        self._sequence += 1
        name = request.name or f"{request.parent}/tasks/{_generated_id(request.parent, self._sequence)}"
        if name in lane.tasks:
            raise ApiError(Code.ALREADY_EXISTS, TASK_EXISTS)
        if name in self._tombstones:
            raise ApiError(Code.ALREADY_EXISTS, TASK_EXISTED)
        task = Task(
            name=name,
            queue=request.parent,
            sequence=self._sequence,
            http_request=replace(http_request, headers=headers.stored(http_request.headers)),
            schedule_time=max(request.schedule_time or now, now),
            create_time=now.replace(microsecond=0),  # Shown to the second.
            dispatch_deadline=request.dispatch_deadline or DISPATCH_DEADLINE_DEFAULT,
            retry_config=request.retry_config,
        )
        lane.put(task)
        self.created.append(task)
        return task

    def _list_tasks(self, request: ListTasks) -> TaskPage:
        names.check_queue(request.parent)
        after = request.page_token or "0"
        if not after.isdecimal():
            raise ApiError(Code.INVALID_ARGUMENT, "Invalid page token.")  # Inferred.
        left = [task for task in self._queues.lane(request.parent).tasks.values() if task.sequence > int(after)]
        page, more = cut(left, request.page_size, TASK_PAGE_SIZE_MAX)
        return TaskPage(page, str(page[-1].sequence) if more else "")

    def _find(self, name: str) -> tuple[Lane, Task]:
        """The task of that name, or the refusal."""
        lane = self._queues.get(names.queue_of(name))
        task = lane.tasks.get(name) if lane is not None else None
        if lane is None or task is None:
            raise ApiError(Code.NOT_FOUND, TASK_ENDED if name in self._tombstones else NO_ENTITY)
        return lane, task

    def _send(self, now: datetime, lane: Lane, task: Task, *, forced: bool) -> list[Dispatch]:
        """Begins an attempt; a duplicate is the same attempt under another number."""
        wire = headers.on_wire(task)
        attempt = Attempt(task.schedule_time, now)
        first = task.first_attempt or attempt
        task = replace(
            task, waiting=False, dispatch_count=task.dispatch_count + 1, first_attempt=first, last_attempt=attempt
        )
        lane.tasks[task.name] = task
        copies = 2 if self._twice else 1
        self._twice -= copies - 1
        numbers = range(self._number + 1, self._number + 1 + copies)
        self._number += copies
        lane.in_flight.update(numbers)
        return [
            Dispatch(number, task, task.dispatch_count, now, first.dispatch_time, wire, forced) for number in numbers
        ]

    def _fail(self, now: datetime, lane: Lane, task: Task, dispatch: Dispatch) -> None:
        """Schedules the next attempt, or ends the task; see the rules at the top for outcomes that do neither."""
        lane.tasks[task.name] = task
        if task.waiting or dispatch.attempt != task.dispatch_count:
            return
        config = task.retry_config or lane.queue.retry_config
        if pacing.exhausted(config, task.dispatch_count, now - dispatch.begun):
            self._end(now, lane, task)
            return
        since = dispatch.time if dispatch.forced else now  # After RunTask it counts from that call.
        due = since + pacing.backoff(config, task.dispatch_count)
        lane.put(replace(task, waiting=True, schedule_time=due))

    def _end(self, now: datetime, lane: Lane, task: Task) -> None:
        del lane.tasks[task.name]
        self._bury(now, task.name)

    def _bury(self, now: datetime, task_name: str) -> None:
        self._tombstones[task_name] = now + self.settings.tombstone_period

    def _expire(self, now: datetime) -> None:
        """Drops tombstones and tasks whose time is over; the oldest come first in each."""
        self._queues.expire(now)
        drop_past(self._tombstones, now)
        for lane in self._queues:
            while (oldest := next(iter(lane.tasks.values()), None)) and oldest.create_time + RETENTION <= now:
                self._end(now, lane, oldest)

    def _empty_queue(self, now: datetime, request: PurgeQueue | DeleteQueue) -> Queue | None:
        """Purges or deletes a queue; its tasks' names stay taken, like those of deleted tasks (inferred)."""
        queue, dropped = (
            self._queues.purge(now, request.name)
            if isinstance(request, PurgeQueue)
            else (None, self._queues.delete(now, request.name))
        )
        for task in dropped:
            self._bury(now, task.name)
        return queue


def _with_answer(task: Task, dispatch: Dispatch, now: datetime, status: int) -> Task:
    """The task with a failed attempt's answer; 5xx doesn't count as executed.

    https://firebase.google.com/docs/reference/functions/firebase-functions.tasks.taskcontext, documented.
    """
    attempt = Attempt(dispatch.task.schedule_time, dispatch.time, now, status)
    return replace(
        task,
        response_count=task.response_count + (status != NO_ANSWER),
        execution_count=task.execution_count + (status != NO_ANSWER and status < 500),
        last_attempt=attempt,
    )


def _generated_id(queue_name: str, sequence: int) -> str:
    """An id like the service's own: digits without an order."""
    digest = hashlib.blake2b(f"{queue_name} {sequence}".encode(), digest_size=8).digest()
    return f"{int.from_bytes(digest):020d}"
