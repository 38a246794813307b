"""What requests may say: the forms of names, the bounds of what is set, and the defaults of what isn't.

The texts are recorded (see the package) unless a line says otherwise. The forms of names are documented:
https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task .
"""

import math
import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, copied, filled, set_time, time_in
from spanner_backup_emulator.tasks.messages import METHODS, pb

OUTPUT_ONLY = ("dispatch_count", "response_count", "first_attempt", "last_attempt", "view")

USER_AGENT = "Google-Cloud-Tasks"
"""Of every attempt; that it shows in the task as stored is recorded."""

SCHEDULE_AHEAD_MAX = timedelta(hours=720)
"""30 days, recorded."""

DISPATCH_DEADLINE_MIN, DISPATCH_DEADLINE_MAX = timedelta(seconds=15), timedelta(minutes=30)
DISPATCH_DEADLINE_DEFAULT = timedelta(minutes=10)
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented."""

TASK_BYTES_MAX = 1_048_569
"""Recorded on 2026-08-23 as the serialised size of the task as stored, for HTTP tasks:
https://github.com/aertje/cloud-tasks-emulator/blob/main/internal/engine/tasksize.go . The reference still says
100 KB (#cloudtasks, CreateTask), the quotas page 1 MB: https://docs.cloud.google.com/tasks/docs/quotas#limits ."""

URL_LENGTH_MAX, HEADERS_BYTES_MAX = 2083, 80_000
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#httprequest, documented ("80KB")."""

RATE_MAX, CONCURRENCY_MAX, BURST_SIZE_MIN, BURST_SIZE_MAX = 500.0, 5000, 10, 100
"""https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits, documented, but for the burst
size. The service chooses that: queues of 0.25/s and 1/s show 10, those of 500/s show 100, the rest is inferred."""

RATE_LIMITS = pb.RateLimits(max_dispatches_per_second=500, max_concurrent_dispatches=1000)
RETRY_CONFIG = pb.RetryConfig(
    max_attempts=100, min_backoff=timedelta(milliseconds=100), max_backoff=timedelta(hours=1), max_doublings=16
)
"""What a new queue shows, as widely seen in the output of `gcloud tasks queues describe`."""

CHANGEABLE = pb.FieldMask(paths=["rate_limits", "retry_config", "stackdriver_logging_config"])
"""What an update can change, but for the burst size; any value for the rest, which is for output only, is ignored:
https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#updatequeuerequest, documented."""

_UNSUPPORTED_QUEUE_FIELDS = frozenset({"app_engine_routing_override", "http_target"})
_ON_THIS_MACHINE = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\])([:/?#]|$)")
_LOCATION = re.compile(r"projects/[A-Za-z0-9:.\-]+/locations/[A-Za-z0-9\-]+")
_QUEUE = re.compile(rf"{_LOCATION.pattern}/queues/[A-Za-z0-9\-]{{1,100}}")
_TASK, _TASK_ID = re.compile(rf"({_QUEUE.pattern})/tasks/([^/]*)"), re.compile(r"[A-Za-z0-9_\-]{1,500}")
_QUEUE_FORM = "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>"


def refuse_if(wrong: object, text: str, code: Code = Code.INVALID_ARGUMENT) -> None:
    """Refuses with that text, if something is wrong."""
    if wrong:
        raise ApiError(code, text)


def check_location(name: str) -> None:
    """Refuses what is not a location's name; the text is inferred."""
    refuse_if(not _LOCATION.fullmatch(name), "Invalid resource field value in the request.")


def check_queue_name(name: str) -> None:
    """Refuses what is not a queue's name."""
    refuse_if(not _QUEUE.fullmatch(name), f'Queue name must be formatted: "{_QUEUE_FORM}".')


def queue_of(task_name: str) -> str:
    """The queue's name within a task's name, or the refusal of what is none; only the text about the id is recorded."""
    match = _TASK.fullmatch(task_name)
    queue, task_id = match.groups() if match else ("", "")
    refuse_if(not queue, f'Task name must be formatted: "{_QUEUE_FORM}/tasks/<TASK_ID>".')
    allowed = "letters ([A-Za-z]), numbers ([0-9]), hyphens (-), or underscores (_)"
    text = f'Task ID "{task_id}" can contain only {allowed}. Task ID must between 1 and 500 characters.'
    refuse_if(not _TASK_ID.fullmatch(task_id), text)
    return queue


def new_task(request: Message, now: datetime) -> Message:
    """The task as the service keeps it, but for a name where none is given; or the refusal of what can't be."""
    given, parent = request.task, request.parent
    on_app_engine = given.HasField("app_engine_http_request")
    refuse_if(on_app_engine, "This emulator has no App Engine targets.", Code.UNIMPLEMENTED)
    check_queue_name(parent)
    queue = queue_of(given.name) if given.name else parent
    text = f"The queue name from request ('{parent}') must be the same as the queue name in the named task ('{queue}')."
    refuse_if(queue != parent, text)
    # Inferred; of v2beta3, whose field is called payload_type, the like is seen in
    # https://github.com/GoogleCloudPlatform/python-docs-samples/issues/2140 .
    refuse_if(not given.HasField("http_request"), "Task.message_type is not set.")
    _check_http_request(given.http_request)
    task = copied(given)
    for name in OUTPUT_ONLY:
        task.ClearField(name)
    if not task.HasField("dispatch_deadline"):
        task.dispatch_deadline.FromTimedelta(DISPATCH_DEADLINE_DEFAULT)
    in_range = DISPATCH_DEADLINE_MIN <= task.dispatch_deadline.ToTimedelta() <= DISPATCH_DEADLINE_MAX
    refuse_if(not in_range, "Task.dispatchDeadline must be between [15s, 30m].")
    due = max(time_in(given, "schedule_time") or now, now)
    far = f"The Task.scheduleTime, {due.isoformat()}, is too far in the future."  # The service writes Pacific time.
    refuse_if(due - now > SCHEDULE_AHEAD_MAX, f"{far} Schedule time must be no more than 720h in the future.")
    set_time(task.schedule_time, due)
    set_time(task.create_time, now.replace(microsecond=0))  # Shown to the second.
    if task.HasField("retry_config"):
        task.retry_config.CopyFrom(filled(given.retry_config, RETRY_CONFIG))
        check_retry_config(task.retry_config)
    if task.http_request.http_method not in METHODS:
        task.http_request.http_method = "POST"  # Documented of one that is unspecified.
    headers = task.http_request.headers
    for name in [name for name in headers if name.lower() == "user-agent"]:
        del headers[name]
    headers["User-Agent"] = USER_AGENT
    return task


def _check_http_request(request: Message) -> None:
    """Refuses a URL or headers that can't be; the texts about a length, the body and the headers are inferred.

    The refusal of a token is seen in https://github.com/googleapis/nodejs-tasks/issues/353 . Emulators speak plain
    HTTP, so this one lets a token go to this machine, which can't be mistaken for one of Google's.
    """
    url: str = request.url
    takes_body = METHODS.get(request.http_method, "POST") in METHODS_WITH_BODY
    has_token = request.WhichOneof("authorization_header") is not None
    is_open = not url.startswith("https://") and not _ON_THIS_MACHINE.match(url)
    headers_bytes = sum(len(name.encode()) + len(value.encode()) for name, value in request.headers.items())
    for_authorized = "for request with HttpRequest.authorization_header"
    refuse_if(not url, "HttpRequest.url is required.")
    refuse_if(not url.startswith(("http://", "https://")), "HttpTarget.url must start with 'http://' or 'https://'.")
    refuse_if(len(url) > URL_LENGTH_MAX, f"HttpRequest.url must be no more than {URL_LENGTH_MAX} characters.")
    refuse_if(request.body and not takes_body, "HttpRequest.body is only allowed for POST, PUT and PATCH.")
    refuse_if(is_open and has_token, f"HttpRequest.url must start with 'https://' {for_authorized}")
    refuse_if(headers_bytes >= HEADERS_BYTES_MAX, "The size of HttpRequest.headers must be less than 80KB.")


def new_queue(given: Message, paths: Iterable[str] = ()) -> Message:
    """The queue as a new one would be; zero and absent mean the service's default.

    Refuses what this emulator's queues don't have, in the queue that is given or in the mask of an update.
    """
    for path in (*paths, *(field.name for field, _ in given.ListFields())):
        unsupported = path.partition(".")[0] in _UNSUPPORTED_QUEUE_FIELDS
        refuse_if(unsupported, f"This emulator has no Queue.{path}.", Code.UNIMPLEMENTED)
    queue = copied(given)
    queue.rate_limits.CopyFrom(filled(given.rate_limits, RATE_LIMITS))
    queue.retry_config.CopyFrom(filled(given.retry_config, RETRY_CONFIG))
    queue.state = pb.Queue.RUNNING
    queue.ClearField("purge_time")
    return queue


def merge(new: Message, queue: Message, mask: Message) -> None:
    """Takes over those settings of the new queue that the field mask names; all, where it is empty."""
    for path in mask.paths:
        known = pb.FieldMask(paths=[path]).IsValidForDescriptor(queue.DESCRIPTOR)
        refuse_if(not known, f"Invalid field path in update mask: {path}")  # Inferred.
    chosen = pb.FieldMask()
    chosen.Intersect(mask if mask.paths else CHANGEABLE, CHANGEABLE)
    chosen.MergeMessage(new, queue, replace_message_field=True)


def settle(queue: Message, burst_size: int | None) -> None:
    """Sets the burst size, or refuses a name that is none, or settings out of range; zero is the default by now."""
    check_queue_name(queue.name)
    rate, concurrent = queue.rate_limits.max_dispatches_per_second, queue.rate_limits.max_concurrent_dispatches
    refuse_if(not rate > 0, "RateLimits.maxDispatchesPerSecond cannot be negative.")
    refuse_if(rate > RATE_MAX, "RateLimits.maxDispatchesPerSecond must be less than or equal to 500.")
    refuse_if(concurrent < 1, "RateLimits.maxConcurrentDispatches cannot be negative.")
    refuse_if(concurrent > CONCURRENCY_MAX, "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.")
    check_retry_config(queue.retry_config)
    queue.rate_limits.max_burst_size = burst_size or min(BURST_SIZE_MAX, max(BURST_SIZE_MIN, math.ceil(rate)))


def check_retry_config(config: Message) -> None:
    """Refuses retry settings out of range; the text about the duration is inferred."""
    none, least, most = timedelta(), config.min_backoff.ToTimedelta(), config.max_backoff.ToTimedelta()
    refuse_if(config.max_attempts < -1, "RetryConfig.maxAttempts must be greater or equal to -1.")
    refuse_if(config.max_doublings < 0, "RetryConfig.maxDoublings cannot be negative.")
    refuse_if(least < none, "RetryConfig.minBackoff cannot be negative.")
    refuse_if(most < least, "RetryConfig.minBackoff must be less than or equal to RetryConfig.maxBackoff.")
    refuse_if(config.max_retry_duration.ToTimedelta() < none, "RetryConfig.maxRetryDuration cannot be negative.")


def page_size(given: int, most: int) -> int:
    """How much a page may hold; no size, or a larger one (inferred), is the maximum."""
    refuse_if(given < 0, "Page size cannot be negative.")  # Inferred.
    return min(given or most, most)
