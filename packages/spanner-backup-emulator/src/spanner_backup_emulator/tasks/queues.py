"""The queues of one emulated service: how they are made, changed, paused, purged and deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.tasks import checks, names, pacing
from spanner_backup_emulator.tasks.lane import Lane
from spanner_backup_emulator.tasks.model import Queue, QueueState, RateLimits, RetryConfig
from spanner_backup_emulator.tasks.paging import cut, drop_past
from spanner_backup_emulator.tasks.requests import QueuePage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from spanner_backup_emulator.tasks.model import Settings, Task
    from spanner_backup_emulator.tasks.requests import CreateQueue, ListQueues, UpdateQueue

R = TypeVar("R", RateLimits, RetryConfig)

QUEUE_PAGE_SIZE_MAX = 9800
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#listqueuesrequest, documented."""

# Recorded, see the package.
NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
NO_ENTITY = "Requested entity was not found."
QUEUE_EXISTS = "Queue already exists"
QUEUE_EXISTED = "The queue cannot be created because a queue with this name existed too recently."

OUTPUT_ONLY = frozenset({"name", "state", "purge_time", "rate_limits.max_burst_size"})
"""Any value for these is ignored.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#updatequeuerequest, documented.
"""

_RATE_PATHS = {f"rate_limits.{name}": name for name in ("max_dispatches_per_second", "max_concurrent_dispatches")}
_RETRY_PATHS = {
    f"retry_config.{name}": name
    for name in ("max_attempts", "max_retry_duration", "min_backoff", "max_backoff", "max_doublings")
}


class Queues:
    """The queues by name, and the names that can't be used again yet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lanes: dict[str, Lane] = {}
        self._tombstones: dict[str, datetime] = {}

    def __iter__(self) -> Iterator[Lane]:
        """All lanes, in the order of creation."""
        return iter(self._lanes.values())

    def get(self, name: str) -> Lane | None:
        """The lane of that queue, where there is one."""
        return self._lanes.get(name)

    def lane(self, name: str) -> Lane:
        """The lane of that queue.

        Raises:
            ApiError: NOT_FOUND or INVALID_ARGUMENT.
        """
        names.check_queue(name)
        lane = self._lanes.get(name)
        if lane is None:
            raise ApiError(Code.NOT_FOUND, NO_QUEUE)
        return lane

    def expire(self, now: datetime) -> None:
        """Frees the names whose time is over."""
        drop_past(self._tombstones, now)

    def create(self, now: datetime, request: CreateQueue) -> Queue:
        """Makes a queue."""
        names.check_location(request.parent)
        name = request.queue.name
        queue = self._settle(Queue(name, request.queue.rate_limits, request.queue.retry_config))
        if not name.startswith(f"{request.parent}/"):
            message = f"The queue name must start with the parent '{request.parent}'."  # Inferred.
            raise ApiError(Code.INVALID_ARGUMENT, message)
        if name in self._lanes:
            raise ApiError(Code.ALREADY_EXISTS, QUEUE_EXISTS)
        return self._add(now, queue)

    def create_default(self, now: datetime, name: str) -> None:
        """Makes a queue with default settings, unless there is one."""
        if name not in self._lanes:
            self._add(now, self._settle(Queue(name)))

    def update(self, now: datetime, request: UpdateQueue) -> Queue:
        """Changes a queue, or makes it."""
        name = request.queue.name
        lane = self._lanes.get(name)
        old = lane.queue if lane is not None else Queue(name)
        queue = self._settle(_merge(old, request.queue, request.paths))
        if lane is None:
            return self._add(now, queue)
        lane.configure(now, queue)
        return queue

    def list(self, request: ListQueues) -> QueuePage:
        """Reads one page, by name."""
        names.check_location(request.parent)
        prefix = f"{request.parent}/"
        left = sorted(name for name in self._lanes if name.startswith(prefix) and name > request.page_token)
        page, more = cut(left, request.page_size, QUEUE_PAGE_SIZE_MAX)
        return QueuePage(tuple(self._lanes[name].queue for name in page), page[-1] if more else "")

    def set_state(self, name: str, state: QueueState) -> Queue:
        """Pauses or resumes a queue."""
        lane = self.lane(name)
        lane.queue = replace(lane.queue, state=state)
        return lane.queue

    def purge(self, now: datetime, name: str) -> tuple[Queue, Iterable[Task]]:
        """Drops a queue's tasks; unlike the service, which may take a minute, at once.

        Returns:
            The queue, and what was dropped.
        """
        lane = self.lane(name)
        lane.queue = replace(lane.queue, purge_time=now)
        return lane.queue, lane.clear()

    def delete(self, now: datetime, name: str) -> Iterable[Task]:
        """Removes a queue.

        Returns:
            The tasks that were in it.
        """
        names.check_queue(name)
        lane = self._lanes.pop(name, None)
        if lane is None:
            raise ApiError(Code.NOT_FOUND, NO_ENTITY)
        self._tombstones[name] = now + self._settings.queue_tombstone_period
        return lane.clear()

    def _add(self, now: datetime, queue: Queue) -> Queue:
        if queue.name in self._tombstones:
            raise ApiError(Code.FAILED_PRECONDITION, QUEUE_EXISTED)
        self._lanes[queue.name] = Lane(now, queue)
        return queue

    def _settle(self, queue: Queue) -> Queue:
        """The queue with what the service decides, the burst size; or the refusal of its settings."""
        names.check_queue(queue.name)
        checks.check_rate_limits(queue.rate_limits)
        checks.check_retry_config(queue.retry_config)
        burst = self._settings.max_burst_size or pacing.burst_size(queue.rate_limits.max_dispatches_per_second)
        return replace(queue, rate_limits=replace(queue.rate_limits, max_burst_size=burst))


def _merge(old: Queue, new: Queue, paths: tuple[str, ...]) -> Queue:
    """The old queue with those settings of the new one that the field mask names; all, where it is empty."""
    chosen: set[str] = set()
    for path in paths or ("rate_limits", "retry_config"):
        inner = {known for known in (*_RATE_PATHS, *_RETRY_PATHS) if known == path or known.startswith(f"{path}.")}
        if not inner and path not in OUTPUT_ONLY:
            raise ApiError(Code.INVALID_ARGUMENT, f"Invalid field path in update mask: {path}")  # Inferred.
        chosen |= inner
    return replace(
        old,
        rate_limits=_take(old.rate_limits, new.rate_limits, [_RATE_PATHS[path] for path in chosen & {*_RATE_PATHS}]),
        retry_config=_take(
            old.retry_config, new.retry_config, [_RETRY_PATHS[path] for path in chosen & {*_RETRY_PATHS}]
        ),
    )


def _take(old: R, new: R, fields: Iterable[str]) -> R:
    """The old value with these fields of the new one."""
    return replace(old, **{name: getattr(new, name) for name in fields})
