"""The emulator as a server: gRPC in front, one timer, and a pool that sends what is due."""

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any

import grpc
from google.cloud.tasks_v2 import types

from spanner_backup_emulator.dispatch import NO_ANSWER, Dispatcher, is_sendable
from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Faults, When
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.rpc import Rpc, register
from spanner_backup_emulator.serving import HOST, wall_clock
from spanner_backup_emulator.tasks.lane import Dispatch
from spanner_backup_emulator.tasks.messages import METHODS, pb
from spanner_backup_emulator.tasks.state import Outcome, Settings, State
from spanner_backup_emulator.tokens import Signer

SERVICE = "google.cloud.tasks.v2.CloudTasks"

DISPATCH = "Dispatch"
"""What faults call the sending of a task: `before`, it is never sent; `after`, its answer is lost."""

CLOCK_CHECK_S, FOREIGN_CLOCK_CHECK_S = 1.0, 0.01
"""The timer looks at the wall clock at least this often, because a wall clock can be set; and at any other clock this
often, because it may run faster, or stand until a test moves it."""

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
        """Prepares an emulator with the queues of these full names; an ApiError says that one is none."""
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
        names = {kind: kind.DESCRIPTOR.name.removesuffix("Request") for kind in self.state.methods}
        rpcs = [Rpc(SERVICE, name, kind, _resource) for kind, name in names.items()]
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
            return tuple(map(types.Task.wrap, self.state.pending()))

    def created(self) -> tuple[Any, ...]:
        """Every task as it was created, oldest first, as the client library shows it."""
        with self._changed:
            return tuple(map(types.Task.wrap, self.state.created))

    def outcomes(self) -> tuple[Outcome, ...]:
        """How every dispatch ended, in the order of the answers."""
        with self._changed:
            return tuple(self.state.history)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits, so long at most, until every task has ended and every answer is in; whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self.state.pending() or self.state.in_flight_count()), timeout_s)

    def _answer(self, rpc: Rpc, request: Message, _: grpc.ServicerContext) -> Message:
        with self._changed:
            self._changed.notify_all()  # Whoever waits goes on when the lock is free, and finds what was changed.
            return self.endpoint.run(rpc.name, lambda now: self.state.apply(now, request), rpc.resource_of(request))

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
        status = self._fault("before", dispatch)
        if status is None and not is_sendable(request.url):
            logger.warning("%s is not sent: emulators send plain HTTP only, not to %s", task.name, request.url)
            status = NO_ANSWER
        if status is not None:
            self._record(dispatch, status)
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
            if not self._shut:
                fault = self._fault("after", dispatch)
                self._record(dispatch, status if fault is None else fault)

    def _fault(self, when: When, dispatch: Dispatch) -> int | None:
        """The status that a planned fault stands for, if one fits; a missed deadline is no answer at all."""
        try:
            self.faults.check(DISPATCH, when, dispatch.task.name)
        except ApiError as fault:
            return NO_ANSWER if fault.code is Code.DEADLINE_EXCEEDED else fault.code.http_status
        return None

    def _record(self, dispatch: Dispatch, status: int) -> None:
        self.state.dispatched(self.endpoint.clock(), dispatch, status)
        self._changed.notify_all()


def _resource(request: Message) -> str:
    """The name that a fault is matched with: the task's or the queue's, else the parent's."""
    inner = getattr(request, "task", None) or getattr(request, "queue", None) or request
    return str(getattr(inner, "name", "") or getattr(request, "parent", ""))
