"""What the three emulators have in common as servers."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Self

import grpc

from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.serving import HOST, Endpoint, start_grpc, wall_clock
from spanner_backup_emulator.web import Answer, WebServer


class Emulator(ABC):
    """A server on loopback while the context lasts.

    Attributes:
        endpoint: The lock, the clock and the faults.
        faults: What to inject, by the RPC's name, and the counts of calls; hold `lock` while calls are being made.
    """

    def __init__(
        self, port: int = 0, clock: Callable[[], datetime] = wall_clock, faults: Faults | None = None, host: str = HOST
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
            port: Where to listen; 0 for any free port.
            clock: What time it is.
            faults: What to inject; None for nothing so far.
            host: The address to listen on.
        """
        self.endpoint = Endpoint(clock, faults)
        self.faults = self.endpoint.faults
        self._host, self._port = host, port
        self._closing = ExitStack()

    @property
    def address(self) -> str:
        """`host:port`: what the variable should be by which Google's clients find an emulator."""
        return f"{self._host}:{self._port}"

    @property
    def lock(self) -> threading.RLock:
        """Held while a call is answered."""
        return self.endpoint.lock

    def start(self) -> Self:
        """Starts to listen."""
        with ExitStack() as closing:
            self._open(closing)
            self._closing = closing.pop_all()
        return self

    def close(self) -> None:
        """Stops, drops what is under way, and leaves no thread and no socket; doing it twice does no harm."""
        self._closing.close()

    def __enter__(self) -> Self:
        """Starts."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stops."""
        self.close()

    @abstractmethod
    def _open(self, closing: ExitStack) -> None:
        """Starts everything, and notes how to stop it."""

    def _open_port(
        self,
        closing: ExitStack,
        register: Callable[[grpc.Server], None],
        answer: Answer,
        options: tuple[tuple[str, int], ...] = (),
    ) -> Callable[[], None]:
        """Listens on one port for gRPC and for HTTP/1.1.

        Args:
            closing: Where to note how to stop it.
            register: Adds the gRPC services.
            answer: Answers over HTTP.
            options: gRPC's own settings for the server, by name.

        Returns:
            What cuts all connections off. Note it last: a client is to see that, and nothing of what is stopped then.
        """
        web = WebServer(self._port, self._host)
        self._port = web.server_port
        server, grpc_port = start_grpc(register, 0, options)
        web.start(answer, grpc_port)
        closing.callback(lambda: server.stop(grace=None).wait())
        return web.stop
