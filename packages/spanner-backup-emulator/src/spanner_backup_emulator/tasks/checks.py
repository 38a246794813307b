"""What CreateTask, CreateQueue and UpdateQueue refuse, whatever else is kept.

The texts are recorded (see the package) unless a line says otherwise.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.tasks import names
from spanner_backup_emulator.tasks.messages import METHODS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from spanner_backup_emulator.messages import Message

SCHEDULE_AHEAD_MAX = timedelta(hours=720)
"""30 days, recorded."""

FOR_AUTHORIZED = "for request with HttpRequest.authorization_header"
TOO_FAR = "is too far in the future. Schedule time must be no more than 720h in the future."
"""After the time, which the service writes in Pacific time."""

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

UNSUPPORTED_QUEUE_FIELDS = ("app_engine_routing_override", "http_target")

_ON_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])([:/?#]|$)")


def _refuse(*rules: tuple[bool, str]) -> None:
    """Refuses with the text of the first rule that is broken."""
    for broken, message in rules:
        if broken:
            raise ApiError(Code.INVALID_ARGUMENT, message)


def check_create_task(request: Message, due: datetime, now: datetime) -> None:
    """Refuses a task that no queue could take."""
    task = request.task
    if task.HasField("app_engine_http_request"):
        raise ApiError(Code.UNIMPLEMENTED, "This emulator has no App Engine targets.")
    names.check_queue(request.parent)
    if task.name:
        queue = names.queue_of(task.name)
        message = f"The queue name from request ('{request.parent}') must be the same as the queue name in "
        _refuse((queue != request.parent, f"{message}the named task ('{queue}')."))
    # Inferred; of v2beta3, whose field is called payload_type, the like is seen in
    # https://github.com/GoogleCloudPlatform/python-docs-samples/issues/2140 .
    _refuse((not task.HasField("http_request"), "Task.message_type is not set."))
    _check_http_request(task.http_request)
    deadline = task.dispatch_deadline.ToTimedelta() if task.HasField("dispatch_deadline") else DISPATCH_DEADLINE_MIN
    in_range = DISPATCH_DEADLINE_MIN <= deadline <= DISPATCH_DEADLINE_MAX
    _refuse(
        (not in_range, "Task.dispatchDeadline must be between [15s, 30m]."),
        (due - now > SCHEDULE_AHEAD_MAX, f"The Task.scheduleTime, {due.isoformat()}, {TOO_FAR}"),
    )


def _check_http_request(request: Message) -> None:
    """Refuses a URL or headers that can't be; the texts about a length, the body and the headers are inferred.

    The refusal of a token is seen in https://github.com/googleapis/nodejs-tasks/issues/353 . Emulators speak plain
    HTTP, so this one lets a token go to this machine, which can't be mistaken for one of Google's.
    """
    url = request.url
    takes_body = METHODS.get(request.http_method, "POST") in METHODS_WITH_BODY
    has_token = request.WhichOneof("authorization_header") is not None
    is_open = not url.startswith("https://") and not _ON_THIS_MACHINE.match(url)
    headers_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in request.headers.items())
    _refuse(
        (not url, "HttpRequest.url is required."),
        (not url.startswith(("http://", "https://")), "HttpTarget.url must start with 'http://' or 'https://'."),
        (len(url) > URL_LENGTH_MAX, f"HttpRequest.url must be no more than {URL_LENGTH_MAX} characters."),
        (bool(request.body) and not takes_body, "HttpRequest.body is only allowed for POST, PUT and PATCH."),
        (is_open and has_token, f"HttpRequest.url must start with 'https://' {FOR_AUTHORIZED}"),
        (headers_bytes >= HEADERS_BYTES_MAX, "The size of HttpRequest.headers must be less than 80KB."),
    )


def check_supported(queue: Message, paths: Iterable[str] = ()) -> None:
    """Refuses what this emulator's queues don't have."""
    for path in (*paths, *(name for name in UNSUPPORTED_QUEUE_FIELDS if queue.HasField(name))):
        if path.partition(".")[0] in UNSUPPORTED_QUEUE_FIELDS:
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator has no Queue.{path}.")


def check_queue(queue: Message) -> None:
    """Refuses a name that is none, and settings out of range; zero can't come in, as it means the default."""
    names.check_queue(queue.name)
    rate, concurrent = queue.rate_limits.max_dispatches_per_second, queue.rate_limits.max_concurrent_dispatches
    _refuse(
        (not rate > 0, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (rate > RATE_MAX, "RateLimits.maxDispatchesPerSecond must be less than or equal to 500."),
        (concurrent < 1, "RateLimits.maxConcurrentDispatches cannot be negative."),
        (concurrent > CONCURRENCY_MAX, "RateLimits.maxConcurrentDispatches must be less than or equal to 5000."),
    )
    check_retry_config(queue.retry_config)


def check_retry_config(config: Message) -> None:
    """Refuses retry settings out of range; the text about the duration is inferred."""
    none, least, most = timedelta(), config.min_backoff.ToTimedelta(), config.max_backoff.ToTimedelta()
    _refuse(
        (config.max_attempts < -1, "RetryConfig.maxAttempts must be greater or equal to -1."),
        (config.max_doublings < 0, "RetryConfig.maxDoublings cannot be negative."),
        (least < none, "RetryConfig.minBackoff cannot be negative."),
        (most < least, "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff."),
        (config.max_retry_duration.ToTimedelta() < none, "RetryConfig.maxRetryDuration cannot be negative."),
    )
