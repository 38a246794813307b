"""The Cloud Tasks emulator as a server: the unmodified client on one side, a real receiver on the other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport
from receiver import WAIT_S, Receiver

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.tasks.server import DISPATCH, TasksEmulator

LOCATION = "projects/p/locations/l"
QUEUE = f"{LOCATION}/queues/q"
NAME = f"{QUEUE}/tasks/a"
FULL = tasks_v2.Task.View.FULL

Client = Any
"""`CloudTasksClient`; its annotations know neither the dicts it takes nor the datetimes it gives."""


def connect(channel: grpc.Channel) -> Client:
    """The official client, made the way Backstop makes it under CLOUD_TASKS_EMULATOR_HOST."""
    return tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


@pytest.fixture
def emulator() -> Iterator[TasksEmulator]:
    """A running emulator with one queue."""
    with TasksEmulator(queues=[QUEUE]) as emulator:
        yield emulator


@pytest.fixture
def client(emulator: TasksEmulator) -> Iterator[Client]:
    """The official client of that emulator."""
    with closing(grpc.insecure_channel(emulator.address)) as channel:
        yield connect(channel)


def task(receiver: Receiver, name: str = NAME, **changes: Any) -> Any:  # noqa: ANN401 - a message and its fields
    """A task for that receiver."""
    request = tasks_v2.HttpRequest(
        url=receiver.url, headers={"Content-Type": "application/json", "Host": "elsewhere"}, body=b'{"messages": []}'
    )
    return tasks_v2.Task(name=name, http_request=request, **changes)


def test_a_task_arrives_with_its_body_and_headers(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """The request is the task's own, with what Cloud Tasks says about it."""
    created = client.create_task(parent=QUEUE, task=task(receiver))
    assert emulator.wait_until_idle(WAIT_S)

    ((_, path, headers, body),) = receiver.got
    assert path == "/v1/projects/p/topics/t:publish?x=1"
    assert body == b'{"messages": []}'
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{receiver.server_port}"
    assert headers["User-Agent"] == "Google-Cloud-Tasks"
    about = {name: value for name, value in headers.items() if name.startswith("X-CloudTasks-")}
    assert about == {
        "X-CloudTasks-QueueName": "q",
        "X-CloudTasks-TaskName": "a",
        "X-CloudTasks-TaskRetryCount": "0",
        "X-CloudTasks-TaskExecutionCount": "0",
        "X-CloudTasks-TaskETA": f"{created.schedule_time.timestamp():.6f}",
    }
    assert "Authorization" not in headers


def test_a_task_goes_out_when_it_is_due(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """Never early; a millisecond or two late on an idle machine, a quarter of a second allowed for a loaded one."""
    due = datetime.now(UTC) + timedelta(milliseconds=700)
    client.create_task(parent=QUEUE, task=task(receiver, schedule_time=due))
    client.create_task(parent=QUEUE, task=task(receiver, name="", schedule_time=due - timedelta(milliseconds=350)))
    assert emulator.wait_until_idle(WAIT_S)

    late = [arrival - due for arrival, *_ in receiver.got]
    assert timedelta(milliseconds=-350) <= late[0] < timedelta(milliseconds=-100)
    assert timedelta() <= late[1] < timedelta(milliseconds=250)


def test_what_is_created_is_what_is_shown(client: Client, receiver: Receiver) -> None:
    """The body comes back in the full view only, the times as the service cuts them."""
    due = datetime.now(UTC) + timedelta(hours=1)
    sent = task(receiver, schedule_time=due)
    created = client.create_task(request={"parent": QUEUE, "task": sent, "response_view": FULL})
    basic = client.get_task(name=NAME)

    assert (created.name, created.view, basic.view) == (NAME, FULL, tasks_v2.Task.View.BASIC)
    assert created.schedule_time == due
    assert created.create_time.microsecond == 0
    assert created.dispatch_deadline == timedelta(minutes=10)
    assert created.http_request.http_method == tasks_v2.HttpMethod.POST
    assert (created.http_request.body, basic.http_request.body) == (b'{"messages": []}', b"")
    assert dict(basic.http_request.headers)["User-Agent"] == "Google-Cloud-Tasks"
    (listed,) = client.list_tasks(request={"parent": QUEUE, "response_view": FULL})
    assert listed == created


def test_the_same_name_is_refused_through_the_client(
    emulator: TasksEmulator, client: Client, receiver: Receiver
) -> None:
    """Once alive, once ended, until it is forgotten; the receiver gets each task once."""
    client.create_task(parent=QUEUE, task=task(receiver, schedule_time=datetime.now(UTC) + timedelta(hours=1)))
    with pytest.raises(exceptions.AlreadyExists, match="Requested entity already exists"):
        client.create_task(parent=QUEUE, task=task(receiver))
    client.run_task(name=NAME)
    assert emulator.wait_until_idle(WAIT_S)
    with pytest.raises(exceptions.AlreadyExists, match="existed too recently"):
        client.create_task(parent=QUEUE, task=task(receiver))
    assert emulator.forget_name(NAME)
    client.create_task(parent=QUEUE, task=task(receiver))
    assert emulator.wait_until_idle(WAIT_S)

    assert len(receiver.got) == 2
    assert [created.name for created in emulator.created()] == [NAME, NAME]


def test_a_failed_attempt_is_shown_and_made_again(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """A redirect and a 503 are failures; the third attempt ends the task."""
    client.update_queue(queue={"name": QUEUE, "retry_config": {"min_backoff": timedelta(milliseconds=10)}})
    receiver.statuses = [302, 503]
    client.create_task(parent=QUEUE, task=task(receiver))
    assert emulator.wait_until_idle(WAIT_S)

    assert [(outcome.attempt, outcome.status) for outcome in emulator.outcomes()] == [(1, 302), (2, 503), (3, 200)]
    *_, headers, _ = receiver.got[2]
    assert headers["X-CloudTasks-TaskRetryCount"] == "2"
    assert headers["X-CloudTasks-TaskExecutionCount"] == "1"
    assert headers["X-CloudTasks-TaskPreviousResponse"] == "503"


def test_the_last_attempt_says_how_it_ended(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """While a task waits for its retry, it shows the answer to the attempt before, and its times."""
    client.update_queue(queue={"name": QUEUE, "retry_config": {"min_backoff": timedelta(hours=1)}})
    receiver.statuses = [503]
    client.create_task(parent=QUEUE, task=task(receiver))
    while not (shown := client.get_task(name=NAME)).response_count:
        threading.Event().wait(0.01)

    assert shown.last_attempt.response_status.code == Code.UNAVAILABLE
    assert shown.last_attempt.response_status.message == "UNAVAILABLE(14): HTTP status code 503"
    assert shown.last_attempt.response_time >= shown.last_attempt.dispatch_time == shown.first_attempt.dispatch_time
    assert "schedule_time" not in shown.first_attempt
    client.delete_task(name=NAME)
    assert emulator.wait_until_idle(WAIT_S)


def test_a_task_can_be_sent_twice(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """At-least-once on demand: two equal requests for one task, and the next task once again."""
    emulator.dispatch_twice_next(1)
    client.create_task(parent=QUEUE, task=task(receiver))
    assert emulator.wait_until_idle(WAIT_S)
    client.create_task(parent=QUEUE, task=task(receiver, name=""))
    assert emulator.wait_until_idle(WAIT_S)

    names = [headers["X-CloudTasks-TaskName"] for _, _, headers, _ in receiver.got]
    assert names[:2] == ["a", "a"]
    assert len(names) == 3


def test_a_paused_queue_sends_when_it_is_resumed(emulator: TasksEmulator, client: Client, receiver: Receiver) -> None:
    """Nothing arrives while it is paused, and a purge leaves nothing to arrive."""
    assert client.pause_queue(name=QUEUE).state == tasks_v2.Queue.State.PAUSED
    client.create_task(parent=QUEUE, task=task(receiver))
    assert not emulator.wait_until_idle(0.05)
    assert receiver.got == []
    assert [waiting.name for waiting in emulator.pending()] == [NAME]
    assert client.resume_queue(name=QUEUE).state == tasks_v2.Queue.State.RUNNING
    assert emulator.wait_until_idle(WAIT_S)
    client.create_task(parent=QUEUE, task=task(receiver, "", schedule_time=datetime.now(UTC) + timedelta(hours=1)))
    assert client.purge_queue(name=QUEUE).purge_time

    assert emulator.wait_until_idle(WAIT_S)
    assert len(receiver.got) == 1


def test_queues_are_managed_through_the_client(client: Client) -> None:
    """Create, get, list, update, delete, with the service's defaults for what is not said."""
    logs = {"sampling_ratio": 0.5}
    queue = {"name": f"{LOCATION}/queues/b", "stackdriver_logging_config": logs}
    made = client.create_queue(parent=LOCATION, queue=queue)
    assert (made.rate_limits.max_dispatches_per_second, made.rate_limits.max_burst_size) == (500, 100)
    assert (made.retry_config.max_attempts, made.retry_config.max_doublings) == (100, 16)
    backoffs = made.retry_config.min_backoff, made.retry_config.max_backoff
    assert backoffs == (timedelta(milliseconds=100), timedelta(hours=1))
    assert "max_retry_duration" not in made.retry_config
    changed = client.update_queue(
        queue={"name": made.name, "rate_limits": {"max_dispatches_per_second": 5}},
        update_mask={"paths": ["rate_limits.max_dispatches_per_second"]},
    )
    assert changed.rate_limits.max_dispatches_per_second == 5
    assert client.get_queue(name=made.name) == changed
    assert changed.stackdriver_logging_config.sampling_ratio == 0.5
    listed = client.list_queues(request={"parent": LOCATION, "page_size": 1})
    assert [queue.name for queue in listed] == [made.name, QUEUE]
    client.delete_queue(name=made.name)

    with pytest.raises(exceptions.NotFound):
        client.get_queue(name=made.name)


def test_faults_hit_calls_and_dispatches_and_are_counted(
    emulator: TasksEmulator, client: Client, receiver: Receiver
) -> None:
    """A lost answer to CreateTask, a dispatch that is never sent, one whose answer is lost: all happened."""
    client.update_queue(queue={"name": QUEUE, "retry_config": {"min_backoff": timedelta(milliseconds=10)}})
    emulator.faults.plan(
        Fault("CreateTask", Code.DEADLINE_EXCEEDED, "after", resource=NAME),
        Fault(DISPATCH, Code.UNAVAILABLE, "before", resource=NAME),
        Fault(DISPATCH, Code.DEADLINE_EXCEEDED, "after"),
    )
    with pytest.raises(exceptions.DeadlineExceeded, match="injected fault"):
        client.create_task(parent=QUEUE, task=task(receiver), retry=None)
    assert emulator.wait_until_idle(WAIT_S)

    assert [outcome.status for outcome in emulator.outcomes()] == [503, 0, 200]
    assert len(receiver.got) == 2
    assert emulator.faults.calls["CreateTask"] == 1
    assert emulator.faults.calls[DISPATCH] == 3
    assert emulator.faults.injected["CreateTask", Code.DEADLINE_EXCEEDED, "after"] == 1


def test_nothing_is_sent_to_the_outside(
    emulator: TasksEmulator, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """A task with an https URL, as it would be in production, fails here and says why."""
    client.update_queue(queue={"name": QUEUE, "retry_config": {"max_attempts": 1}})
    request = {"url": "https://pubsub.googleapis.com/v1/projects/p/topics/t:publish"}
    client.create_task(parent=QUEUE, task={"http_request": request})
    assert emulator.wait_until_idle(WAIT_S)

    assert [outcome.status for outcome in emulator.outcomes()] == [0]
    assert "emulators send plain HTTP only" in caplog.text


def test_another_clock_is_followed(receiver: Receiver) -> None:
    """Under a clock that a test moves, a task of tomorrow goes out as soon as the clock says so."""
    offset = [timedelta()]
    start = datetime.now(UTC)
    with (
        TasksEmulator(queues=[QUEUE], clock=lambda: start + offset[0]) as emulator,
        grpc.insecure_channel(emulator.address) as channel,
    ):
        client = connect(channel)
        client.create_task(parent=QUEUE, task=task(receiver, schedule_time=start + timedelta(days=1)))
        assert not emulator.wait_until_idle(0.05)
        offset[0] = timedelta(days=1)

        assert emulator.wait_until_idle(WAIT_S)
    assert len(receiver.got) == 1


def test_closing_cuts_off_what_is_on_its_way(receiver: Receiver) -> None:
    """An emulator whose task hangs closes soon, leaves no thread, and counts nothing more."""
    before = set(threading.enumerate())
    receiver.hold.clear()
    with TasksEmulator(queues=[QUEUE]) as emulator:
        with grpc.insecure_channel(emulator.address) as channel:
            client = connect(channel)
            client.create_task(parent=QUEUE, task=task(receiver))
            receiver.wait_for(1)
        started = datetime.now(UTC)

    assert datetime.now(UTC) - started < timedelta(seconds=WAIT_S / 2)
    assert emulator.outcomes() == ()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("tasks-")]


def test_a_bad_queue_name_is_refused_before_anything_starts() -> None:
    """The mistake is the author's, and shows at once."""
    with pytest.raises(ApiError, match="Queue name must be formatted"):
        TasksEmulator(queues=["q"])


def test_the_command_serves_the_queues_that_it_names(receiver: Receiver) -> None:
    """It prints where it is and what to export, and ends without a warning."""
    command = [sys.executable, "-W", "error", "-m", "spanner_backup_emulator.tasks", "--port", "0", "--queue", QUEUE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        assert process.stdout.readline() == f"export CLOUD_TASKS_EMULATOR_HOST={address}\n"
        try:
            with grpc.insecure_channel(address) as channel:
                connect(channel).create_task(parent=QUEUE, task=task(receiver))
        finally:
            process.terminate()
        _, errors = process.communicate(timeout=WAIT_S)

    assert (process.returncode, errors) == (0, "")
