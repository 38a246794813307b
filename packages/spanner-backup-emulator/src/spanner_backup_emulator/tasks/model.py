"""What Google's messages don't have: a dispatch and its outcome, and what a test may choose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.tasks.lane import Job

RETENTION = timedelta(days=31)
"""A task that is older is deleted whether it was dispatched or not.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#cloudtasks (CreateQueue), documented.
"""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One HTTP request that is to be sent now; its outcome goes back to `State.dispatched`.

    Attributes:
        number: Unique within the state.
        job: What it is an attempt at.
        task: Google's Task, in the full view, as it was when the attempt began.
        attempt: 1 for the first; a duplicate has its original's.
        time: When it was handed out.
        headers: All that go onto the wire.
        forced: Whether RunTask asked for it.
    """

    number: int
    job: Job
    task: Message
    attempt: int
    time: datetime
    headers: dict[str, str]
    forced: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a dispatch ended, for the author of a test.

    Attributes:
        task: The full name.
        attempt: 1 for the first.
        dispatch_time: When it went out.
        response_time: When its answer came, or was given up.
        status: The HTTP status, or `NO_ANSWER`.
    """

    task: str
    attempt: int
    dispatch_time: datetime
    response_time: datetime
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What a test may choose about the service.

    Names stay taken "up to" so long, so the emulator takes all of it (documented, #createtaskrequest and #cloudtasks):
    https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2

    Attributes:
        tombstone_period: How long a task's name stays taken after its end.
        queue_tombstone_period: How long a deleted queue's name stays taken.
        auto_create_queues: Whether CreateTask makes the queue it names; the real service does not.
        max_burst_size: The token bucket's size, for every queue; None for the service's own choice.
    """

    tombstone_period: timedelta = timedelta(hours=24)
    queue_tombstone_period: timedelta = timedelta(days=3)
    auto_create_queues: bool = False
    max_burst_size: int | None = None
