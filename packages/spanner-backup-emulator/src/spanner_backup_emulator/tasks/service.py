"""Between the wire and the state: parse, apply, show. Nothing is decided here but what is not supported."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.cloud.tasks_v2 import types
from google.protobuf import empty_pb2
from google.rpc import status_pb2

from spanner_backup_emulator import rpc as table
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.rpc import Method
from spanner_backup_emulator.tasks import model, requests, statuses

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from spanner_backup_emulator.serving import Endpoint
    from spanner_backup_emulator.tasks.state import State

    Parse = Callable[[Any], requests.Request]
    Show = Callable[[Any, Any], Any]

SERVICE = "google.cloud.tasks.v2.CloudTasks"

_STATES = {model.QueueState.RUNNING: types.Queue.State.RUNNING, model.QueueState.PAUSED: types.Queue.State.PAUSED}

_METHODS = {int(method): method.name for method in types.HttpMethod.__members__.values() if method}

UNSUPPORTED_QUEUE_FIELDS = ("app_engine_routing_override", "http_target", "stackdriver_logging_config")


def register(server: grpc.Server, endpoint: Endpoint, state: State, changed: Callable[[], None]) -> None:
    """Adds the service; an RPC that is not in the table answers UNIMPLEMENTED, as gRPC does by itself.

    The client library ships no servicer classes, so the handlers are made from its message types.

    Args:
        server: The server, not yet started.
        endpoint: The lock, the clock and the faults.
        state: What is served.
        changed: Called with the lock held after every call that may have changed the state.
    """

    def apply(now: datetime, request: requests.Request) -> Any:  # noqa: ANN401 - one of many types
        response = state.apply(now, request)
        changed()
        return response

    table.register(server, SERVICE, METHODS, endpoint, apply, _resource)


def _resource(_: Method, request: Any) -> str:  # noqa: ANN401 - a proto-plus message
    """The name that a fault is matched with: the task's or the queue's, else the parent's."""
    inner = getattr(request, "task", None) or getattr(request, "queue", None) or request
    return str(getattr(inner, "name", "") or getattr(request, "parent", ""))


# From the wire.


def _parse_create_task(request: types.CreateTaskRequest) -> requests.CreateTask:
    task = request.task
    if "app_engine_http_request" in task:
        raise ApiError(Code.UNIMPLEMENTED, "This emulator has no App Engine targets.")
    return requests.CreateTask(
        parent=request.parent,
        http_request=_parse_http_request(task.http_request) if "http_request" in task else None,
        name=task.name,
        schedule_time=_time(task, "schedule_time"),
        dispatch_deadline=_span(task, "dispatch_deadline"),
        retry_config=_parse_retry_config(task.retry_config) if "retry_config" in task else None,
    )


def _parse_http_request(request: types.HttpRequest) -> model.HttpRequest:
    method = _METHODS.get(int(request.http_method), "POST")  # documented: POST where it is unspecified
    token: model.OAuthToken | model.OidcToken | None = None
    if "oauth_token" in request:
        token = model.OAuthToken(request.oauth_token.service_account_email, request.oauth_token.scope)
    elif "oidc_token" in request:
        token = model.OidcToken(request.oidc_token.service_account_email, request.oidc_token.audience)
    return model.HttpRequest(request.url, dict(request.headers), request.body, token, method)


def _time(message: Any, field: str) -> datetime | None:  # noqa: ANN401 - a proto-plus message
    """A field as an ordinary datetime, to the microsecond; the library gives one with nanoseconds."""
    if field not in message:
        return None
    time: datetime = getattr(message, field)
    return datetime.combine(time.date(), time.timetz())


def _span(message: Any, field: str) -> timedelta | None:  # noqa: ANN401 - a proto-plus message
    """A field as a timedelta, which is what the library gives in spite of its annotations."""
    span: timedelta | None = getattr(message, field) if field in message else None
    return span


def _parse_retry_config(config: types.RetryConfig) -> model.RetryConfig:
    """Zero counts and absent durations mean the service's default."""
    default = model.RetryConfig()
    least, most = _span(config, "min_backoff"), _span(config, "max_backoff")
    return model.RetryConfig(
        max_attempts=config.max_attempts or default.max_attempts,
        max_retry_duration=_span(config, "max_retry_duration") or default.max_retry_duration,
        min_backoff=default.min_backoff if least is None else least,
        max_backoff=default.max_backoff if most is None else most,
        max_doublings=config.max_doublings or default.max_doublings,
    )


def _parse_queue(queue: types.Queue) -> model.Queue:
    """Zero and absent mean the service's default."""
    for name in UNSUPPORTED_QUEUE_FIELDS:
        if name in queue:
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator has no Queue.{name}.")
    default = model.RateLimits()
    limits = model.RateLimits(
        max_dispatches_per_second=queue.rate_limits.max_dispatches_per_second or default.max_dispatches_per_second,
        max_concurrent_dispatches=queue.rate_limits.max_concurrent_dispatches or default.max_concurrent_dispatches,
    )
    return model.Queue(queue.name, limits, _parse_retry_config(queue.retry_config))


def _parse_update_queue(request: types.UpdateQueueRequest) -> requests.UpdateQueue:
    paths = tuple(request.update_mask.paths)
    for path in paths:
        if path.partition(".")[0] in UNSUPPORTED_QUEUE_FIELDS:
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator has no Queue.{path}.")
    return requests.UpdateQueue(_parse_queue(request.queue), paths)


def _parse_list_queues(request: types.ListQueuesRequest) -> requests.ListQueues:
    if request.filter:
        raise ApiError(Code.UNIMPLEMENTED, "This emulator has no filters.")
    return requests.ListQueues(request.parent, request.page_size, request.page_token)


# To the wire.


def show_task(task: model.Task, view: types.Task.View) -> types.Task:
    """A task as the service shows it; the body only in the full view."""
    full = view == types.Task.View.FULL
    sent = task.http_request
    request = types.HttpRequest(
        url=sent.url,
        http_method=types.HttpMethod.__members__[sent.method],
        headers=sent.headers,
        body=sent.body if full else b"",
    )
    match sent.token:
        case model.OAuthToken(email, scope):
            request.oauth_token = types.OAuthToken(service_account_email=email, scope=scope)
        case model.OidcToken(email, audience):
            request.oidc_token = types.OidcToken(service_account_email=email, audience=audience)
    first, last = task.first_attempt, task.last_attempt
    return types.Task(
        name=task.name,
        http_request=request,
        schedule_time=task.schedule_time,
        create_time=task.create_time,
        dispatch_deadline=task.dispatch_deadline,
        dispatch_count=task.dispatch_count,
        response_count=task.response_count,
        first_attempt=types.Attempt(dispatch_time=first.dispatch_time) if first is not None else None,
        last_attempt=_show_attempt(last) if last is not None else None,
        view=types.Task.View.FULL if full else types.Task.View.BASIC,
        retry_config=_show_retry_config(task.retry_config) if task.retry_config is not None else None,
    )


def _show_attempt(attempt: model.Attempt) -> types.Attempt:
    answered = attempt.response_time is not None
    status = status_pb2.Status(code=statuses.to_code(attempt.status), message=statuses.describe(attempt.status))
    return types.Attempt(
        schedule_time=attempt.schedule_time,
        dispatch_time=attempt.dispatch_time,
        response_time=attempt.response_time,
        response_status=status if answered else None,
    )


def _show_retry_config(config: model.RetryConfig) -> types.RetryConfig:
    return types.RetryConfig(
        max_attempts=config.max_attempts,
        max_retry_duration=config.max_retry_duration or None,
        min_backoff=config.min_backoff,
        max_backoff=config.max_backoff,
        max_doublings=config.max_doublings,
    )


def show_queue(queue: model.Queue) -> types.Queue:
    """A queue as the service shows it."""
    return types.Queue(
        name=queue.name,
        rate_limits=types.RateLimits(
            max_dispatches_per_second=queue.rate_limits.max_dispatches_per_second,
            max_burst_size=queue.rate_limits.max_burst_size,
            max_concurrent_dispatches=queue.rate_limits.max_concurrent_dispatches,
        ),
        retry_config=_show_retry_config(queue.retry_config),
        state=_STATES[queue.state],
        purge_time=queue.purge_time,
    )


def _show_task_page(request: types.ListTasksRequest, page: requests.TaskPage) -> types.ListTasksResponse:
    tasks = [show_task(task, request.response_view) for task in page.tasks]
    return types.ListTasksResponse(tasks=tasks, next_page_token=page.next_page_token)


def _show_queue_page(_: types.ListQueuesRequest, page: requests.QueuePage) -> types.ListQueuesResponse:
    return types.ListQueuesResponse(
        queues=[show_queue(queue) for queue in page.queues], next_page_token=page.next_page_token
    )


def _show_task(request: Any, task: model.Task) -> types.Task:  # noqa: ANN401 - three request types
    return show_task(task, request.response_view)


def _show_queue(_: object, queue: model.Queue) -> types.Queue:
    return show_queue(queue)


def _show_nothing(_: object, __: None) -> empty_pb2.Empty:
    return empty_pb2.Empty()


def _by_name(request: Callable[[str], requests.Request]) -> Parse:
    return lambda message: request(message.name)


METHODS = {
    "CreateTask": Method(types.CreateTaskRequest, _parse_create_task, _show_task),
    "GetTask": Method(types.GetTaskRequest, _by_name(requests.GetTask), _show_task),
    "RunTask": Method(types.RunTaskRequest, _by_name(requests.RunTask), _show_task),
    "DeleteTask": Method(types.DeleteTaskRequest, _by_name(requests.DeleteTask), _show_nothing),
    "ListTasks": Method(
        types.ListTasksRequest,
        lambda message: requests.ListTasks(message.parent, message.page_size, message.page_token),
        _show_task_page,
    ),
    "CreateQueue": Method(
        types.CreateQueueRequest,
        lambda message: requests.CreateQueue(message.parent, _parse_queue(message.queue)),
        _show_queue,
    ),
    "UpdateQueue": Method(types.UpdateQueueRequest, _parse_update_queue, _show_queue),
    "GetQueue": Method(types.GetQueueRequest, _by_name(requests.GetQueue), _show_queue),
    "ListQueues": Method(types.ListQueuesRequest, _parse_list_queues, _show_queue_page),
    "DeleteQueue": Method(types.DeleteQueueRequest, _by_name(requests.DeleteQueue), _show_nothing),
    "PauseQueue": Method(types.PauseQueueRequest, _by_name(requests.PauseQueue), _show_queue),
    "ResumeQueue": Method(types.ResumeQueueRequest, _by_name(requests.ResumeQueue), _show_queue),
    "PurgeQueue": Method(types.PurgeQueueRequest, _by_name(requests.PurgeQueue), _show_queue),
}
"""Each RPC that is served: the type of its request, how that is read, and how the answer is shown."""
