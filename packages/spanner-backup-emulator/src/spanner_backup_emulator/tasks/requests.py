"""What can be asked of the state: one frozen class per RPC, with only what the emulator acts on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks.model import Queue, Task

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from spanner_backup_emulator.tasks.model import HttpRequest, RetryConfig


@dataclass(frozen=True, slots=True)
class _Named:
    """What needs nothing but a task's or a queue's full name."""

    name: str


@dataclass(frozen=True, slots=True)
class _Listing:
    """One page of what is in a queue or a location.

    Attributes:
        parent: The full name of the queue or the location.
        page_size: 0 for as many as allowed.
        page_token: Empty for the first page.
    """

    parent: str
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Adds a task to a queue.

    Attributes:
        parent: The queue's full name.
        http_request: What to send; None when the client has set no message at all.
        name: The task's full name; empty for a generated one.
        schedule_time: When it is due; None for now.
        dispatch_deadline: How long the target has to answer; None for the default.
        retry_config: Overrides the queue's.
    """

    parent: str
    http_request: HttpRequest | None
    name: str = ""
    schedule_time: datetime | None = None
    dispatch_deadline: timedelta | None = None
    retry_config: RetryConfig | None = None


class GetTask(_Named):
    """Reads one task."""


class ListTasks(_Listing):
    """Reads a queue's tasks, a page at a time."""


class DeleteTask(_Named):
    """Takes a task out of its queue."""


class RunTask(_Named):
    """Dispatches a task at once, whatever its queue's state and limits."""


@dataclass(frozen=True, slots=True)
class CreateQueue:
    """Makes a queue; state and purge time of the given one are ignored, they are the service's."""

    parent: str
    queue: Queue


@dataclass(frozen=True, slots=True)
class UpdateQueue:
    """Changes a queue, or makes it.

    Attributes:
        queue: The new values.
        paths: Which of them to take, as in a field mask; empty for all.
    """

    queue: Queue
    paths: tuple[str, ...] = ()


class GetQueue(_Named):
    """Reads one queue."""


class ListQueues(_Listing):
    """Reads a location's queues, a page at a time."""


class DeleteQueue(_Named):
    """Removes a queue with its tasks."""


class PauseQueue(_Named):
    """Stops a queue's dispatches; tasks can still be added."""


class ResumeQueue(_Named):
    """Starts a queue's dispatches again."""


class PurgeQueue(_Named):
    """Deletes all tasks of a queue."""


@dataclass(frozen=True, slots=True)
class TaskPage:
    """The answer to ListTasks; an empty token means that there is no more."""

    tasks: tuple[Task, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class QueuePage:
    """The answer to ListQueues; an empty token means that there is no more."""

    queues: tuple[Queue, ...]
    next_page_token: str


AboutTask = CreateTask | GetTask | RunTask
AboutQueue = CreateQueue | UpdateQueue | GetQueue | PauseQueue | ResumeQueue | PurgeQueue
Removal = DeleteTask | DeleteQueue
Request = AboutTask | AboutQueue | Removal | ListTasks | ListQueues
Response = Task | Queue | TaskPage | QueuePage | None
