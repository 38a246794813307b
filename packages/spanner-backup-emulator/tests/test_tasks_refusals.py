"""What Cloud Tasks refuses, through the unmodified client: a table of requests, codes and texts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from test_tasks_server import LOCATION, QUEUE, Client, connect

from spanner_backup_emulator.tasks.server import TasksEmulator

ABSENT = f"{LOCATION}/queues/absent"
URL = "http://127.0.0.1:1/"

BAD = exceptions.InvalidArgument
GONE = exceptions.NotFound
UNABLE = exceptions.MethodNotImplemented


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """The official client of an emulator with one queue that sends nothing."""
    with TasksEmulator(queues=[QUEUE]) as emulator, grpc.insecure_channel(emulator.address) as channel:
        client = connect(channel)
        client.pause_queue(name=QUEUE)
        yield client


def http(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a message
    """A task with an HTTP request."""
    return {"http_request": {"url": URL, **changes}}


FAR = datetime.now(UTC) + timedelta(days=31)
"""Beyond the 30 days, however long after this line the test runs."""

CREATE_TASK = [
    (QUEUE, {}, BAD, "Task.message_type is not set"),
    ("queues/q", http(), BAD, "Queue name must be formatted"),
    (f"{QUEUE}/", http(), BAD, "Queue name must be formatted"),
    (f"{LOCATION}/queues/under_score", http(), BAD, "Queue name must be formatted"),
    (f"{LOCATION}/queues/{'q' * 101}", http(), BAD, "Queue name must be formatted"),
    (ABSENT, http(), GONE, "Queue does not exist. If you just created the queue"),
    (QUEUE, {"name": "tasks/a", **http()}, BAD, "Task name must be formatted"),
    (QUEUE, {"name": f"{QUEUE}/tasks/", **http()}, BAD, 'Task ID "" can contain only'),
    (QUEUE, {"name": f"{QUEUE}/tasks/a b", **http()}, BAD, 'Task ID "a b" can contain only'),
    (QUEUE, {"name": f"{QUEUE}/tasks/{'a' * 501}", **http()}, BAD, "between 1 and 500 characters"),
    (QUEUE, {"name": f"{ABSENT}/tasks/a", **http()}, BAD, f"('{QUEUE}') must be the same as"),
    (QUEUE, http(url=""), BAD, "HttpRequest.url is required."),
    (QUEUE, http(url="127.0.0.1:1/"), BAD, "HttpTarget.url must start with 'http://' or 'https://'."),
    (QUEUE, http(url=URL + "a" * 2083), BAD, "HttpRequest.url must be no more than 2083 characters"),
    (
        QUEUE,
        http(url="http://example.com/", oauth_token={"service_account_email": "a@p.iam"}),
        BAD,
        "HttpRequest.url must start with 'https://' for request with HttpRequest.authorization_header",
    ),
    (QUEUE, http(headers={"a": "b" * 80_000}), BAD, "HttpRequest.headers must be less than 80KB"),
    (QUEUE, http(body=b"x" * 1_048_570), BAD, "Task size too large"),
    (QUEUE, http(http_method="GET", body=b"x"), BAD, "HttpRequest.body is only allowed for POST, PUT and PATCH"),
    (QUEUE, {"app_engine_http_request": {"relative_uri": "/"}}, UNABLE, "no App Engine targets"),
    (QUEUE, {"dispatch_deadline": timedelta(seconds=14), **http()}, BAD, "must be between [15s, 30m]."),
    (QUEUE, {"dispatch_deadline": timedelta(seconds=1801), **http()}, BAD, "must be between [15s, 30m]."),
    (QUEUE, {"schedule_time": FAR, **http()}, BAD, "Schedule time must be no more than 720h in the future."),
    (QUEUE, {"retry_config": {"max_attempts": -2}, **http()}, BAD, "RetryConfig.maxAttempts must be greater"),
]


@pytest.mark.parametrize(("parent", "task", "error", "text"), CREATE_TASK)
def test_create_task_refuses(
    client: Client, parent: str, task: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Each bad task is refused with the service's code and text."""
    with pytest.raises(error) as caught:
        client.create_task(request={"parent": parent, "task": task})

    assert text in str(caught.value)


@pytest.mark.parametrize(
    "task",
    [
        {"name": f"{QUEUE}/tasks/{'a' * 500}", **http()},
        {"dispatch_deadline": timedelta(seconds=15), **http()},
        {"dispatch_deadline": timedelta(minutes=30), **http()},
        {"schedule_time": FAR - timedelta(days=1, hours=1), **http()},
        http(url=URL + "a" * (2083 - len(URL))),
        http(headers={"a": "b" * 79_998}),
        http(oauth_token={"service_account_email": "a@p.iam"}),
        http(url="https://example.com/", oidc_token={"service_account_email": "a@p.iam"}),
    ],
)
def test_create_task_takes_what_is_just_allowed(client: Client, task: dict[str, Any]) -> None:
    """The other side of each limit."""
    assert client.create_task(request={"parent": QUEUE, "task": task}).name


CREATE_QUEUE = [
    (LOCATION, {"name": QUEUE}, exceptions.AlreadyExists, "Queue already exists"),
    (LOCATION, {"name": "q"}, BAD, "Queue name must be formatted"),
    ("projects/p", {"name": ABSENT}, BAD, "Invalid resource field value in the request."),
    ("projects/p/locations/other", {"name": ABSENT}, BAD, "must start with the parent"),
    (LOCATION, {"name": ABSENT, "rate_limits": {"max_dispatches_per_second": -1}}, BAD, "cannot be negative"),
    (LOCATION, {"name": ABSENT, "rate_limits": {"max_dispatches_per_second": 501}}, BAD, "or equal to 500."),
    (LOCATION, {"name": ABSENT, "rate_limits": {"max_concurrent_dispatches": -1}}, BAD, "cannot be negative"),
    (LOCATION, {"name": ABSENT, "rate_limits": {"max_concurrent_dispatches": 5001}}, BAD, "or equal to 5000."),
    (LOCATION, {"name": ABSENT, "retry_config": {"max_attempts": -2}}, BAD, "greater or equal to -1."),
    (LOCATION, {"name": ABSENT, "retry_config": {"max_doublings": -1}}, BAD, "maxDoublings cannot be negative."),
    (LOCATION, {"name": ABSENT, "retry_config": {"min_backoff": timedelta(-1)}}, BAD, "minBackoff cannot be"),
    (LOCATION, {"name": ABSENT, "retry_config": {"min_backoff": timedelta(1)}}, BAD, "RetryConfig.maxBackoff."),
    (LOCATION, {"name": ABSENT, "retry_config": {"max_retry_duration": timedelta(-1)}}, BAD, "maxRetryDuration"),
    (LOCATION, {"name": ABSENT, "http_target": {"http_method": "POST"}}, UNABLE, "no Queue.http_target"),
]


@pytest.mark.parametrize(("parent", "queue", "error", "text"), CREATE_QUEUE)
def test_create_queue_refuses(
    client: Client, parent: str, queue: dict[str, Any], error: type[Exception], text: str
) -> None:
    """Each bad queue is refused with the service's code and text."""
    with pytest.raises(error) as caught:
        client.create_queue(request={"parent": parent, "queue": queue})

    assert text in str(caught.value)


OTHERS = [
    *((method, {"name": f"{QUEUE}/tasks/absent"}, GONE) for method in ("get_task", "run_task", "delete_task")),
    *((method, {"name": f"{ABSENT}/tasks/a"}, GONE) for method in ("get_task", "run_task", "delete_task")),
    *((method, {"name": ""}, BAD) for method in ("get_task", "run_task", "delete_task")),
    *((f"{verb}_queue", {"name": ABSENT}, GONE) for verb in ("get", "delete", "pause", "resume", "purge")),
    *((f"{verb}_queue", {"name": "q"}, BAD) for verb in ("get", "delete", "pause", "resume", "purge")),
    ("list_tasks", {"parent": ABSENT}, GONE),
    ("list_tasks", {"parent": ""}, BAD),
    ("list_queues", {"parent": ""}, BAD),
    ("list_queues", {"parent": LOCATION, "page_size": -1}, BAD),
    ("list_queues", {"parent": LOCATION, "filter": "state: PAUSED"}, UNABLE),
    ("update_queue", {"queue": {"name": ""}}, BAD),
    ("update_queue", {"queue": {"name": QUEUE}, "update_mask": {"paths": ["speed"]}}, BAD),
    ("update_queue", {"queue": {"name": QUEUE}, "update_mask": {"paths": ["http_target.headers"]}}, UNABLE),
    ("batch_create_tasks", {"parent": QUEUE}, UNABLE),
    ("batch_delete_tasks", {"parent": QUEUE}, UNABLE),
    ("get_cmek_config", {"name": f"{LOCATION}/cmekConfig"}, UNABLE),
    ("update_cmek_config", {"cmek_config": {}}, UNABLE),
    ("get_iam_policy", {"resource": QUEUE}, UNABLE),
    ("set_iam_policy", {"resource": QUEUE}, UNABLE),
    ("test_iam_permissions", {"resource": QUEUE}, UNABLE),
]


@pytest.mark.parametrize(("method", "request_", "error"), OTHERS)
def test_the_other_methods_refuse(
    client: Client, method: str, request_: dict[str, Any], error: type[Exception]
) -> None:
    """What there is not, what is no name, and what is not supported."""
    with pytest.raises(error):
        getattr(client, method)(request=request_)
