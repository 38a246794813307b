"""The emulator as a server, for tests and programs in the same process."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Self

import grpc

from spanner_backup_emulator.serving import HOST, Endpoint, start_grpc, wall_clock
from spanner_backup_emulator.spanner.behind import Behind
from spanner_backup_emulator.spanner.rest import answer
from spanner_backup_emulator.spanner.service import register
from spanner_backup_emulator.spanner.state import State
from spanner_backup_emulator.web import WebServer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from datetime import datetime, timedelta
    from types import TracebackType

    from spanner_backup_emulator.faults import Faults
    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.spanner.history import Event
    from spanner_backup_emulator.spanner.plans import Plan


class SpannerEmulator:
    """A server on loopback while the context lasts; the methods are for test authors and take the lock themselves.

    Attributes:
        state: What the server serves; hold `lock` to touch it.
        faults: What to inject, by the RPC's name; hold `lock` to touch it.
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
        """Makes a server that does not listen yet.

        Args:
            port: Where to listen; 0 for any free port.
            clock: What time it is.
            state: What to serve; None for an empty state that accepts any database.
            faults: What to inject; None for nothing so far.
            behind: The address of Google's emulator, which answers everything but backups; empty for none.
            rest_port: Where to listen for REST; 0 for any free port, None for nowhere.
            host: The address to listen on.
        """
        self._endpoint = Endpoint(clock, faults)
        self._host, self._port, self._rest_port, self._behind = host, port, rest_port, behind
        self._closing = ExitStack()
        self.state = state or State()
        self.faults = self._endpoint.faults

    def start(self) -> Self:
        """Starts to listen."""
        more: tuple[Behind, ...] = ()
        if self._behind:
            more = (Behind(self._behind, self._endpoint, self.state),)
            self._closing.callback(more[0].close)
        server, self._port = start_grpc(
            lambda server: register(server, self._endpoint, self.state), self._port, interceptors=more, host=self._host
        )
        self._closing.callback(lambda: server.stop(grace=None).wait())
        if self._rest_port is not None:
            channel = self._closing.enter_context(grpc.insecure_channel(self.address))
            web = WebServer(partial(answer, channel), self._rest_port, self._host)
            self._closing.callback(web.stop)
            self._rest_port = web.server_port
        return self

    def close(self) -> None:
        """Stops listening and drops the calls under way; doing it twice does no harm."""
        self._closing.close()

    def __enter__(self) -> Self:
        """Starts."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.close()

    @property
    def address(self) -> str:
        """What `SPANNER_EMULATOR_HOST` should be."""
        return f"{self._host}:{self._port}"

    @property
    def rest_address(self) -> str:
        """Where REST is, `host:port`."""
        return f"{self._host}:{self._rest_port}"

    @property
    def lock(self) -> threading.RLock:
        """Held while a call is answered."""
        return self._endpoint.lock

    def now(self) -> datetime:
        """What time it is here."""
        return self._endpoint.clock()

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
