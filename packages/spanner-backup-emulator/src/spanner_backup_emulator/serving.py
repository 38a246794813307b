"""What the emulators' servers share: a lock, a clock, faults, and a gRPC server on loopback."""

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from concurrent import futures
from datetime import UTC, datetime
from typing import TypeVar

import grpc

from spanner_backup_emulator.faults import Faults

T = TypeVar("T")

HOST = "127.0.0.1"
"""Emulators have no authentication, so they listen on loopback unless somebody says otherwise."""

PORTS = range(10_000, 32_768)
"""Below those that Linux gives to clients: one of these may connect while a function starts, or is being replaced.

https://docs.kernel.org/networking/ip-sysctl.html ip_local_port_range (documented)
"""

THREAD_COUNT_MAX = 32
"""Calls served at once; a streaming pull holds one thread, so it is more than the tests ever hold."""


def wall_clock() -> datetime:
    """The time now, aware, UTC."""
    return datetime.now(UTC)


class Endpoint:
    """Serialises the calls to one emulator's state and injects its faults.

    Attributes:
        lock: Held while the state is read or changed; helpers that need it say so.
        clock: Where `now` comes from.
        faults: What to inject, and the counts.
    """

    def __init__(self, clock: Callable[[], datetime] = wall_clock, faults: Faults | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.faults = faults or Faults()

    def run(self, method: str, work: Callable[[datetime], T], resource: str = "") -> T:
        """Runs one call's work under the lock, with the faults before and after it.

        Raises:
            ApiError: A refusal, injected or not.
            TroubleError: An injected trouble; anything else that `work` raises is a bug.
        """
        with self.lock:
            self.faults.check(method, "before", resource)
            result = work(self.clock())
            self.faults.check(method, "after", resource)
            return result


def start_grpc(
    register: Callable[[grpc.Server], None],
    port: int,
    options: tuple[tuple[str, int], ...] = (),
    interceptors: tuple[grpc.ServerInterceptor, ...] = (),
    host: str = HOST,
) -> tuple[grpc.Server, int]:
    """Starts a gRPC server.

    Args:
        register: Adds the servicers.
        port: The port, 0 for any free one.
        options: gRPC's own settings for the server, by name.
        interceptors: See the calls before the servicers do.
        host: The address to listen on.

    Returns:
        The running server and its port.
    """
    threads = futures.ThreadPoolExecutor(THREAD_COUNT_MAX)
    server = grpc.server(threads, interceptors=[*interceptors], options=(("grpc.so_reuseport", 0), *options))
    register(server)
    bound = server.add_insecure_port(f"{host}:{port}")
    server.start()
    return server, bound


def free_port() -> int:
    """A port on loopback that nobody listens on, and that no client is given before somebody does."""
    while True:
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as listener:
            listener.bind((HOST, port))
            return port
