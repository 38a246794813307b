"""What the tests of Cloud Tasks' pure state share: one queue, a fixed time, and a few verbs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.tasks.model import HttpRequest, Queue, Settings, Task
from spanner_backup_emulator.tasks.requests import CreateQueue, CreateTask, DeleteTask, GetTask, RunTask
from spanner_backup_emulator.tasks.state import State

if TYPE_CHECKING:
    from spanner_backup_emulator.tasks.model import Dispatch

LOCATION = "projects/p/locations/l"
QUEUE = f"{LOCATION}/queues/q"
NAME = f"{QUEUE}/tasks/a"
NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
POST = HttpRequest("http://127.0.0.1:1/x", {"Content-Type": "application/json"}, b"{}")


def make_state(queue: Queue | None = None, settings: Settings | None = None) -> State:
    """A state with one queue."""
    state = State(settings)
    state.apply(NOW, CreateQueue(LOCATION, queue or Queue(QUEUE)))
    return state


def create(state: State, now: datetime = NOW, name: str = NAME, due: datetime | None = None) -> Task:
    """A task in that queue."""
    return state.apply(now, CreateTask(QUEUE, POST, name, due))


def only(dispatches: list[Dispatch]) -> Dispatch:
    """The one dispatch that there is."""
    (dispatch,) = dispatches
    return dispatch


def finish(state: State, now: datetime, status: int = 200) -> None:
    """Sends what is due and answers it at once."""
    for dispatch in state.advance(now):
        state.dispatched(now, dispatch, status)


def refusal(state: State, now: datetime, request: CreateTask | GetTask | RunTask | CreateQueue | DeleteTask) -> Code:
    """The code that a request is refused with."""
    with pytest.raises(ApiError) as caught:
        state.apply(now, request)
    return caught.value.code
