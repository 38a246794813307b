"""The queues of one emulated service: how they are made, changed and deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import copied, filled
from spanner_backup_emulator.tasks import checks, names, pacing
from spanner_backup_emulator.tasks.lane import Lane
from spanner_backup_emulator.tasks.messages import pb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.tasks.model import Settings

T = TypeVar("T")

QUEUE_PAGE_SIZE_MAX = 9800
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#listqueuesrequest, documented."""

# Recorded, see the package.
NO_QUEUE = "Queue does not exist. If you just created the queue, wait at least a minute for the queue to initialize."
NO_ENTITY = "Requested entity was not found."
QUEUE_EXISTED = "The queue cannot be created because a queue with this name existed too recently."

RATE_LIMITS = pb.RateLimits(max_dispatches_per_second=500, max_concurrent_dispatches=1000)
RETRY_CONFIG = pb.RetryConfig(
    max_attempts=100, min_backoff=timedelta(milliseconds=100), max_backoff=timedelta(hours=1), max_doublings=16
)
"""What a new queue shows, as widely seen in the output of `gcloud tasks queues describe`."""

SETTINGS = pb.FieldMask(paths=["rate_limits", "retry_config", "stackdriver_logging_config"])
"""What an update can change, but for the burst size; any value for the rest, which is for output only, is ignored.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#updatequeuerequest, documented.
"""


class Queues:
    """All queues.

    Attributes:
        lanes: By their names, in the order of creation.
        tombstones: Until when names can't be used again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.lanes: dict[str, Lane] = {}
        self.tombstones: dict[str, datetime] = {}

    def lane(self, name: str) -> Lane:
        """The lane of that queue, or the refusal."""
        names.check_queue(name)
        lane = self.lanes.get(name)
        if lane is None:
            raise ApiError(Code.NOT_FOUND, NO_QUEUE)
        return lane

    def create(self, now: datetime, request: Message) -> Message:
        """Makes a queue."""
        queue = _new(request.queue)
        names.check_location(request.parent)
        self._settle(queue)
        if not queue.name.startswith(f"{request.parent}/"):
            message = f"The queue name must start with the parent '{request.parent}'."  # Inferred.
            raise ApiError(Code.INVALID_ARGUMENT, message)
        if queue.name in self.lanes:
            raise ApiError(Code.ALREADY_EXISTS, "Queue already exists")  # Recorded.
        return self._add(now, queue)

    def update(self, now: datetime, request: Message) -> Message:
        """Changes a queue, or makes it."""
        new = _new(request.queue, request.update_mask.paths)
        lane = self.lanes.get(new.name)
        queue = copied(lane.queue) if lane is not None else _new(pb.Queue(name=new.name))
        _merge(new, queue, request.update_mask)
        self._settle(queue)
        if lane is None:
            return self._add(now, queue)
        lane.configure(now, queue)
        return queue

    def list(self, _: datetime, request: Message) -> Message:
        """Reads one page, by name."""
        if request.filter:
            raise ApiError(Code.UNIMPLEMENTED, "This emulator has no filters.")
        names.check_location(request.parent)
        prefix = f"{request.parent}/"
        left = sorted(name for name in self.lanes if name.startswith(prefix) and name > request.page_token)
        page, more = cut(left, request.page_size, QUEUE_PAGE_SIZE_MAX)
        queues = [self.lanes[name].queue for name in page]
        return pb.ListQueuesResponse(queues=queues, next_page_token=page[-1] if more else "")

    def delete(self, now: datetime, name: str) -> Lane:
        """Removes a queue, and gives its lane."""
        names.check_queue(name)
        lane = self.lanes.pop(name, None)
        if lane is None:
            raise ApiError(Code.NOT_FOUND, NO_ENTITY)
        self.tombstones[name] = now + self._settings.queue_tombstone_period
        return lane

    def _add(self, now: datetime, queue: Message) -> Message:
        if queue.name in self.tombstones:
            raise ApiError(Code.FAILED_PRECONDITION, QUEUE_EXISTED)
        self.lanes[queue.name] = Lane(now, queue)
        return queue

    def _settle(self, queue: Message) -> None:
        """Sets what the service decides, the burst size; or refuses the queue's settings."""
        checks.check_queue(queue)
        limits = queue.rate_limits
        limits.max_burst_size = self._settings.max_burst_size or pacing.burst_size(limits.max_dispatches_per_second)


def _new(given: Message, paths: Iterable[str] = ()) -> Message:
    """The queue as a new one would be; zero and absent mean the service's default."""
    checks.check_supported(given, paths)
    queue = copied(given)
    queue.rate_limits.CopyFrom(filled(given.rate_limits, RATE_LIMITS))
    queue.retry_config.CopyFrom(filled(given.retry_config, RETRY_CONFIG))
    queue.state = pb.Queue.RUNNING
    queue.ClearField("purge_time")
    return queue


def _merge(new: Message, queue: Message, mask: Message) -> None:
    """Takes over those settings of the new queue that the field mask names; all, where it is empty."""
    for path in mask.paths:
        if not pb.FieldMask(paths=[path]).IsValidForDescriptor(queue.DESCRIPTOR):
            raise ApiError(Code.INVALID_ARGUMENT, f"Invalid field path in update mask: {path}")  # Inferred.
    chosen = pb.FieldMask()
    chosen.Intersect(mask if mask.paths else SETTINGS, SETTINGS)
    chosen.MergeMessage(new, queue, replace_message_field=True)


def cut(items: list[T], size: int, size_max: int) -> tuple[list[T], bool]:
    """The first page of the items, and whether there are more; no size, or a larger one (inferred), is the maximum."""
    if size < 0:
        raise ApiError(Code.INVALID_ARGUMENT, "Page size cannot be negative.")  # Inferred.
    count = min(size or size_max, size_max)
    return items[:count], len(items) > count


def drop_past(tombstones: dict[str, datetime], now: datetime) -> None:
    """Drops the entries whose time is over; they were added in the order of their times."""
    while (name := next(iter(tombstones), None)) is not None and tombstones[name] <= now:
        del tombstones[name]
