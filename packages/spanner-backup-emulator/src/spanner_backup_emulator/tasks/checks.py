"""What CreateTask, CreateQueue and UpdateQueue refuse before they look at anything that is kept.

The texts are recorded (see the package) unless a line says otherwise.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.tasks import names

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.tasks.model import HttpRequest, RateLimits, RetryConfig
    from spanner_backup_emulator.tasks.requests import CreateTask

SCHEDULE_AHEAD_MAX = timedelta(hours=720)
"""30 days, recorded."""

DISPATCH_DEADLINE_MIN = timedelta(seconds=15)
DISPATCH_DEADLINE_MAX = timedelta(minutes=30)
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented."""

TASK_BYTES_MAX = 1_048_569
"""Recorded on 2026-08-23 as the serialised size of the task as stored, for HTTP tasks:
https://github.com/aertje/cloud-tasks-emulator/blob/main/internal/engine/tasksize.go . The reference still says
100 KB (#cloudtasks, CreateTask), the quotas page 1 MB: https://docs.cloud.google.com/tasks/docs/quotas#limits ."""

URL_LENGTH_MAX = 2083
HEADERS_BYTES_MAX = 80_000
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#httprequest, documented ("80KB")."""

RATE_MAX = 500.0
CONCURRENCY_MAX = 5000
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits, documented."""

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#httprequest, documented."""

ATTEMPTS_UNLIMITED = -1

_ON_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])([:/?#]|$)")


def _refuse(*rules: tuple[bool, str]) -> None:
    """Refuses with the text of the first rule that is broken."""
    for broken, message in rules:
        if broken:
            raise ApiError(Code.INVALID_ARGUMENT, message)


def check_create_task(now: datetime, request: CreateTask) -> HttpRequest:
    """Refuses a task that no queue could take.

    Returns:
        Its HTTP request.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    names.check_queue(request.parent)
    if request.name:
        queue = names.queue_of(request.name)
        message = f"The queue name from request ('{request.parent}') must be the same as the queue name in "
        _refuse((queue != request.parent, f"{message}the named task ('{queue}')."))
    if request.http_request is None:
        # Inferred; of v2beta3, whose field is called payload_type, the like is seen in
        # https://github.com/GoogleCloudPlatform/python-docs-samples/issues/2140 .
        raise ApiError(Code.INVALID_ARGUMENT, "Task.message_type is not set.")
    _check_http_request(request.http_request)
    deadline = request.dispatch_deadline
    refused = deadline is not None and not DISPATCH_DEADLINE_MIN <= deadline <= DISPATCH_DEADLINE_MAX
    _refuse((refused, "Task.dispatchDeadline must be between [15s, 30m]."))
    due = request.schedule_time
    if due is not None and due - now > SCHEDULE_AHEAD_MAX:
        # The service writes the time in Pacific time.
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f"The Task.scheduleTime, {due.isoformat()}, is too far in the future. Schedule time must be no more "
            "than 720h in the future.",
        )
    if request.retry_config is not None:
        check_retry_config(request.retry_config)
    _refuse((_task_bytes(request, request.http_request) > TASK_BYTES_MAX, "Task size too large"))
    return request.http_request


def _check_http_request(request: HttpRequest) -> None:
    """Refuses a URL or headers that can't be; the texts about a length, the body and the headers are inferred.

    The refusal of a token is seen in https://github.com/googleapis/nodejs-tasks/issues/353 . Emulators speak plain
    HTTP, so this one lets a token go to this machine, which can't be mistaken for one of Google's.
    """
    url = request.url
    open_token = request.token is not None and not url.startswith("https://") and not _ON_THIS_MACHINE.match(url)
    _refuse(
        (not url, "HttpRequest.url is required."),
        (not url.startswith(("http://", "https://")), "HttpTarget.url must start with 'http://' or 'https://'."),
        (len(url) > URL_LENGTH_MAX, f"HttpRequest.url must be no more than {URL_LENGTH_MAX} characters."),
        (
            bool(request.body) and request.method not in METHODS_WITH_BODY,
            "HttpRequest.body is only allowed for POST, PUT and PATCH.",
        ),
        (open_token, "HttpRequest.url must start with 'https://' for request with HttpRequest.authorization_header"),
        (_headers_bytes(request) >= HEADERS_BYTES_MAX, "The size of HttpRequest.headers must be less than 80KB."),
    )


def _headers_bytes(request: HttpRequest) -> int:
    return sum(len(name.encode()) + len(value.encode()) for name, value in request.headers.items())


def _task_bytes(request: CreateTask, http_request: HttpRequest) -> int:
    """The size that counts, without the few bytes per field that the service's own encoding adds."""
    return len(request.name) + len(http_request.url.encode()) + _headers_bytes(http_request) + len(http_request.body)


def check_rate_limits(limits: RateLimits) -> None:
    """Refuses rate limits out of range; zero can't come in by the wire, where it means the default.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    rate, concurrent = limits.max_dispatches_per_second, limits.max_concurrent_dispatches
    _refuse(
        (not rate > 0, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (rate > RATE_MAX, "RateLimits.maxDispatchesPerSecond must be less than or equal to 500."),
        (concurrent < 1, "RateLimits.maxConcurrentDispatches cannot be negative."),
        (concurrent > CONCURRENCY_MAX, "RateLimits.maxConcurrentDispatches must be less than or equal to 5000."),
    )


def check_retry_config(config: RetryConfig) -> None:
    """Refuses retry settings out of range; the text about the duration is inferred.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    none, least, most = timedelta(), config.min_backoff, config.max_backoff
    _refuse(
        (config.max_attempts < ATTEMPTS_UNLIMITED, "RetryConfig.maxAttempts must be greater or equal to -1."),
        (config.max_doublings < 0, "RetryConfig.maxDoublings cannot be negative."),
        (least < none, "RetryConfig.minBackoff cannot be negative."),
        (most < least, "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff."),
        (config.max_retry_duration < none, "RetryConfig.maxRetryDuration cannot be negative."),
    )
