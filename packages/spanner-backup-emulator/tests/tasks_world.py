"""What the tests of Cloud Tasks' pure state share: one queue, a fixed time, and a few verbs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.tasks.lane import Dispatch
from spanner_backup_emulator.tasks.messages import pb
from spanner_backup_emulator.tasks.state import Settings, State

LOCATION = "projects/p/locations/l"
QUEUE = f"{LOCATION}/queues/q"
NAME = f"{QUEUE}/tasks/a"
NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
POST = {"url": "http://127.0.0.1:1/x", "headers": {"Content-Type": "application/json"}, "body": b"{}"}


def make_state(settings: Settings | None = None, **queue: Any) -> State:  # noqa: ANN401 - fields of a message
    """A state with one queue."""
    state = State(settings)
    state.apply(NOW, pb.CreateQueueRequest(parent=LOCATION, queue={"name": QUEUE, **queue}))
    return state


def creation(name: str = NAME, **task: Any) -> Message:  # noqa: ANN401 - fields of a message
    """What makes a task in that queue."""
    return pb.CreateTaskRequest(parent=QUEUE, task={"name": name, "http_request": POST, **task})


def create(state: State, now: datetime = NOW, name: str = NAME, due: datetime | None = None) -> Message:
    """A task in that queue."""
    return state.apply(now, creation(name, schedule_time=due or now))


def only(dispatches: list[Dispatch]) -> Dispatch:
    """The one dispatch that there is."""
    (dispatch,) = dispatches
    return dispatch


def send_next(state: State) -> Dispatch:
    """The one dispatch that is next, when it is due."""
    at = state.next_event_at()
    assert at is not None
    return only(state.advance(at))


def finish(state: State, now: datetime, status: int = 200) -> None:
    """Sends what is due and answers it at once."""
    for dispatch in state.advance(now):
        state.dispatched(now, dispatch, status)


def finish_all(state: State, status: int) -> None:
    """Does so until nothing is left to be sent."""
    while (at := state.next_event_at()) is not None:
        finish(state, at, status)


def refusal(state: State, now: datetime, request: Message) -> Code:
    """The code that a request is refused with."""
    with pytest.raises(ApiError) as caught:
        state.apply(now, request)
    return caught.value.code
