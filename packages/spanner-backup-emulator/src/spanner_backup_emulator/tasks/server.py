"""The emulator as a server: gRPC in front, one timer, and a pool that sends what is due."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from google.cloud.tasks_v2 import types

from spanner_backup_emulator.dispatch import NO_ANSWER, Dispatcher, is_sendable
from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.rpc import Rpc, register
from spanner_backup_emulator.serving import HOST, wall_clock
from spanner_backup_emulator.tasks import attempts
from spanner_backup_emulator.tasks.messages import METHODS, pb
from spanner_backup_emulator.tasks.state import State
from spanner_backup_emulator.tokens import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack
    from datetime import datetime

    import grpc

    from spanner_backup_emulator.faults import Faults
    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.tasks.model import Dispatch, Outcome, Settings

SERVICE = "google.cloud.tasks.v2.CloudTasks"

DISPATCH = "Dispatch"
"""What faults call the sending of a task: `before`, it is never sent; `after`, its answer is lost."""

CLOCK_CHECK_S = 1.0
"""The timer looks at the wall clock at least this often, because a wall clock can be set."""

FOREIGN_CLOCK_CHECK_S = 0.01
"""The timer looks at any other clock this often: it may run faster, or stand until a test moves it."""

logger = logging.getLogger(__name__)


class TasksEmulator(Emulator):
    """Google's client reaches it by its address; over HTTP it shows the keys of its tokens.

    The methods below its life cycle are for the authors of tests. Any fault can be planned by the RPC's name; the
    dispatches themselves go by `DISPATCH`.

    Attributes:
        state: The queues and tasks; while the emulator runs, read it with `endpoint.lock` held.
    """

    def __init__(
        self,
        port: int = 0,
        queues: Iterable[str] = (),
        clock: Callable[[], datetime] = wall_clock,
        faults: Faults | None = None,
        settings: Settings | None = None,
        host: str = HOST,
    ) -> None:
        """Prepares the emulator.

        Args:
            port: Where to listen, 0 for any free port.
            queues: Full names of queues that are there from the start; an ApiError if one is no name.
            clock: Where `now` comes from.
            faults: What to inject.
            settings: What to choose about the service.
            host: The address to listen on.
        """
        self.state = State(settings)
        super().__init__(port, clock, faults, host)
        for name in queues:
            self.state.apply(clock(), pb.UpdateQueueRequest(queue={"name": name}))
        self._changed = threading.Condition(self.endpoint.lock)
        self._shut = False
        self._signer = Signer()
        self._check_s = CLOCK_CHECK_S if clock is wall_clock else FOREIGN_CLOCK_CHECK_S
        self._dispatcher = Dispatcher(name="tasks-dispatch")
        self._timer = threading.Thread(target=self._dispatch_when_due, name="tasks-timer")

    def _open(self, closing: ExitStack) -> None:
        rpcs = [
            Rpc(SERVICE, kind.DESCRIPTOR.name.removesuffix("Request"), kind, _resource) for kind in self.state.methods
        ]
        cut = self._open_port(closing, lambda server: register(server, rpcs, self._answer), self._signer.answer)
        closing.callback(self._dispatcher.close)
        self._timer.start()
        closing.callback(self._stop)
        closing.callback(cut)

    def _stop(self) -> None:
        with self._changed:
            self._shut = True
            self._changed.notify_all()
        self._timer.join()

    def dispatch_twice_next(self, count: int = 1) -> None:
        """Lets each of the next dispatches go out twice, as at-least-once delivery allows."""
        with self._changed:
            self.state.dispatch_twice_next(count)

    def forget_name(self, task_name: str) -> bool:
        """Frees the name of a task that has ended before its time; whether there was one to free."""
        with self._changed:
            return self.state.forget_name(task_name)

    def pending(self) -> tuple[Any, ...]:
        """The tasks that have not ended, as the client library shows them."""
        with self._changed:
            return tuple(types.Task.wrap(task) for task in self.state.pending())

    def created(self) -> tuple[Any, ...]:
        """Every task as it was created, oldest first, as the client library shows it."""
        with self._changed:
            return tuple(types.Task.wrap(task) for task in self.state.created)

    def outcomes(self) -> tuple[Outcome, ...]:
        """How every dispatch ended, in the order of the answers."""
        with self._changed:
            return tuple(self.state.history)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits, so long at most, until every task has ended and every answer is in; whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self.state.pending() or self.state.in_flight_count()), timeout_s)

    def _answer(self, rpc: Rpc, request: Message, _: grpc.ServicerContext) -> Message:
        def work(now: datetime) -> Message:
            answer = self.state.apply(now, request)
            self._changed.notify_all()
            return answer

        return self.endpoint.run(rpc.name, work, rpc.resource_of(request))

    def _dispatch_when_due(self) -> None:
        """Sends what is due, then sleeps until the next task is, or until something changes."""
        with self._changed:
            while not self._shut:
                for dispatch in self.state.advance(self.endpoint.clock()):
                    self._send(dispatch)
                due = self.state.next_event_at()
                left_s = None if due is None else (due - self.endpoint.clock()).total_seconds()
                self._changed.wait(None if left_s is None else min(max(left_s, 0), self._check_s))

    def _send(self, dispatch: Dispatch) -> None:
        """Hands a dispatch to the pool; with the lock held."""
        task, request = dispatch.task, dispatch.task.http_request
        try:
            self.faults.check(DISPATCH, "before", task.name)
        except ApiError as fault:
            self._record(dispatch, attempts.http_status(fault.code))
            return
        if not is_sendable(request.url):
            logger.warning("%s is not sent: emulators send plain HTTP only, not to %s", task.name, request.url)
            self._record(dispatch, NO_ANSWER)
            return
        self._dispatcher.submit(
            request.url,
            dispatch.headers | self._signer.headers(self.endpoint.clock(), request, request.url),
            request.body,
            task.dispatch_deadline.ToTimedelta().total_seconds(),
            partial(self._answered, dispatch),
            METHODS[request.http_method],
        )

    def _answered(self, dispatch: Dispatch, status: int) -> None:
        """Takes note of an answer, in a thread of the pool; what was cut off by closing is not one."""
        with self._changed:
            if self._shut:
                return
            try:
                self.faults.check(DISPATCH, "after", dispatch.task.name)
            except ApiError as fault:
                status = attempts.http_status(fault.code)
            self._record(dispatch, status)

    def _record(self, dispatch: Dispatch, status: int) -> None:
        self.state.dispatched(self.endpoint.clock(), dispatch, status)
        self._changed.notify_all()


def _resource(request: Message) -> str:
    """The name that a fault is matched with: the task's or the queue's, else the parent's."""
    inner = getattr(request, "task", None) or getattr(request, "queue", None) or request
    return str(getattr(inner, "name", "") or getattr(request, "parent", ""))
