"""What Cloud Tasks keeps: queues, tasks, attempts. Frozen values without behaviour."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime, timedelta

TOMBSTONE_PERIOD = timedelta(hours=24)
"""How long the name of a task stays taken after its end: up to this, so the emulator takes all of it.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest, documented.
"""

QUEUE_TOMBSTONE_PERIOD = timedelta(days=3)
"""How long the name of a deleted queue may stay taken.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#cloudtasks (DeleteQueue), documented.
"""

RETENTION = timedelta(days=31)
"""A task that is older is deleted whether it was dispatched or not.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#cloudtasks (CreateQueue), documented.
"""

DISPATCH_DEADLINE_DEFAULT = timedelta(minutes=10)
"""How long the target has to answer an HTTP task that says nothing about it.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented.
"""

NO_ANSWER = 0
"""The status of an attempt that got no HTTP answer: refused, cut off, or past its deadline."""


@dataclass(frozen=True, slots=True)
class OAuthToken:
    """The access token that a task asks for."""

    service_account_email: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class OidcToken:
    """The identity token that a task asks for."""

    service_account_email: str
    audience: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The HTTP request that a task is.

    Attributes:
        url: Where it goes.
        headers: Name to value, as stored.
        body: The bytes.
        token: What the service puts into the Authorization header.
        method: Which HTTP method.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    token: OAuthToken | OidcToken | None = None
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class RateLimits:
    """How fast a queue dispatches; the defaults are what a new queue shows.

    https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits; the fields are
    documented, the defaults are widely seen in the output of `gcloud tasks queues describe`.
    """

    max_dispatches_per_second: float = 500.0
    max_concurrent_dispatches: int = 1000
    max_burst_size: int = 100


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """When a failed attempt is made again; the defaults are what a new queue shows.

    https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#retryconfig, as for `RateLimits`.

    Attributes:
        max_attempts: The first one included; -1 for no limit.
        max_retry_duration: Counted from the first attempt; zero for no limit.
        min_backoff: Before the first retry.
        max_backoff: Before any retry, at most.
        max_doublings: How often the backoff doubles before it grows by equal steps.
    """

    max_attempts: int = 100
    max_retry_duration: timedelta = timedelta()
    min_backoff: timedelta = timedelta(milliseconds=100)
    max_backoff: timedelta = timedelta(hours=1)
    max_doublings: int = 16


class QueueState(enum.Enum):
    """Whether a queue dispatches; DISABLED exists only for queues made by App Engine's queue.yaml."""

    RUNNING = enum.auto()
    PAUSED = enum.auto()


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, as its owner sees it."""

    name: str
    rate_limits: RateLimits = RateLimits()
    retry_config: RetryConfig = RetryConfig()
    state: QueueState = QueueState.RUNNING
    purge_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task.

    Attributes:
        schedule_time: When it was due.
        dispatch_time: When it went out.
        response_time: When its answer came; None while it is on its way.
        status: The HTTP status, or `NO_ANSWER`; meaningless without a response time.
    """

    schedule_time: datetime
    dispatch_time: datetime
    response_time: datetime | None = None
    status: int = NO_ANSWER


@dataclass(frozen=True, slots=True)
class Task:
    """A task that has not ended.

    Attributes:
        name: The full name.
        queue: The full name of its queue.
        sequence: Its place in the order of creation, unique for good; a name may be used again.
        http_request: What is sent.
        schedule_time: When its next attempt is due, or its current one was.
        create_time: When it was created.
        dispatch_deadline: How long the target has to answer.
        retry_config: Overrides the queue's.
        waiting: Whether its next attempt is still to come; False while one is on its way.
        dispatch_count: Attempts sent.
        response_count: Attempts answered.
        execution_count: Attempts answered with anything but 5xx.
        first_attempt: The first one, with its times of schedule and dispatch only.
        last_attempt: The last one.
    """

    name: str
    queue: str
    sequence: int
    http_request: HttpRequest
    schedule_time: datetime
    create_time: datetime
    dispatch_deadline: timedelta = DISPATCH_DEADLINE_DEFAULT
    retry_config: RetryConfig | None = None
    waiting: bool = True
    dispatch_count: int = 0
    response_count: int = 0
    execution_count: int = 0
    first_attempt: Attempt | None = None
    last_attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One HTTP request that is to be sent now; its outcome goes back to `State.dispatched`.

    Attributes:
        number: Unique within the state.
        task: The task as it was when the attempt began.
        attempt: 1 for the first; a duplicate has its original's.
        time: When it was handed out.
        begun: When the first attempt was handed out.
        headers: All that go onto the wire.
        forced: Whether RunTask asked for it.
    """

    number: int
    task: Task
    attempt: int
    time: datetime
    begun: datetime
    headers: dict[str, str]
    forced: bool = False


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

    Attributes:
        tombstone_period: How long a task's name stays taken after its end.
        queue_tombstone_period: How long a deleted queue's name stays taken.
        auto_create_queues: Whether CreateTask makes the queue it names; the real service does not.
        max_burst_size: The token bucket's size, for every queue; None for the service's own choice.
    """

    tombstone_period: timedelta = TOMBSTONE_PERIOD
    queue_tombstone_period: timedelta = QUEUE_TOMBSTONE_PERIOD
    auto_create_queues: bool = False
    max_burst_size: int | None = None
