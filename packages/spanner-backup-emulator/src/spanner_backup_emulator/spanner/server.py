"""The emulator as a server, for tests and programs in the same process."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial

import grpc

from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.rest import answer
from spanner_backup_emulator.rpc import Rpc, called, register
from spanner_backup_emulator.serving import HOST, start_grpc, wall_clock
from spanner_backup_emulator.spanner.behind import Behind
from spanner_backup_emulator.spanner.history import Event
from spanner_backup_emulator.spanner.messages import RPCS
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.state import State
from spanner_backup_emulator.web import WebServer


class SpannerEmulator(Emulator):
    """What tests and programs in the same process use; the methods are for test authors and take the lock themselves.

    Attributes:
        state: What the server serves; hold `lock` to touch it.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        clock: Callable[[], datetime] = wall_clock,
        state: State | None = None,
        faults: Faults | None = None,
        behind: str = "",
        rest_port: int | None = None,
        host: str = HOST,
    ) -> None:
        """Makes a server that does not listen yet; what isn't said here is as for `Emulator`.

        Without a `state` it serves an empty one, which accepts any database. `behind` is the address of Google's
        emulator, if that is to answer everything but backups. `rest_port` is where to listen for REST: 0 for any free
        port, None for nowhere.
        """
        super().__init__(port, clock, faults, host)
        self._rest_port, self._behind = rest_port, behind
        self.state = state or State()

    def _open(self, closing: ExitStack) -> None:
        more = (Behind(self._behind, self.endpoint, self.state),) if self._behind else ()
        for behind in more:
            closing.callback(behind.close)
        methods = partial(register, rpcs=RPCS, answer=self._answer)
        server, self._port = start_grpc(methods, self._port, interceptors=more, host=self._host)
        closing.callback(lambda: server.stop(grace=None).wait())
        if self._rest_port is not None:
            # By way of the server beside it, so that faults and Google's emulator behind it apply alike.
            channel = closing.enter_context(grpc.insecure_channel(self.address))
            web = WebServer(self._rest_port, self._host)
            web.start(partial(answer, RPCS, partial(called, channel)))
            closing.callback(web.stop)
            self._rest_port = web.server_port

    def _answer(self, rpc: Rpc, request: Message, _: grpc.ServicerContext) -> Message:
        return self.endpoint.run(rpc.name, lambda now: self.state.apply(now, request), rpc.resource_of(request))

    @property
    def rest_address(self) -> str:
        """Where REST is, `host:port`."""
        return f"{self._host}:{self._rest_port}"

    def now(self) -> datetime:
        """What time it is here."""
        return self.endpoint.clock()

    def set_plan(self, resource: str, plan: Plan) -> None:
        """See `State.set_plan`."""
        with self.lock:
            self.state.set_plan(resource, plan)

    def queue_plans(self, resource: str, *plans: Plan) -> None:
        """See `State.queue_plans`."""
        with self.lock:
            self.state.queue_plans(resource, *plans)

    def add_database(self, name: str) -> None:
        """See `State.add_database`."""
        with self.lock:
            self.state.add_database(name)

    def start_scheduled_backup(self, database: str, schedule: str, backup_id: str) -> Message:
        """See `State.start_scheduled_backup`."""
        with self.lock:
            return self.state.start_scheduled_backup(self.now(), database, schedule, backup_id)

    def begin_restore(self, backup: str, database: str, duration: timedelta) -> Message:
        """See `State.begin_restore`."""
        with self.lock:
            return self.state.begin_restore(self.now(), backup, database, duration)

    def begin_copy(self, source: str, backup: str, duration: timedelta) -> Message:
        """See `State.begin_copy`."""
        with self.lock:
            return self.state.begin_copy(self.now(), source, backup, duration)

    def finish(self, operation: str) -> None:
        """See `State.finish`."""
        with self.lock:
            self.state.finish(self.now(), operation)

    def history(self) -> tuple[Event, ...]:
        """What has happened until now, oldest first."""
        with self.lock:
            self.state.advance(self.now())
            return tuple(self.state.history)
