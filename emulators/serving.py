"""What the emulators' servers share: a lock, a clock, faults, and a gRPC server on loopback."""

from __future__ import annotations

import signal
import threading
from concurrent import futures
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from emulators.errors import ApiError
from emulators.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

HOST = "127.0.0.1"
"""Emulators have no authentication, so they listen on loopback only."""

THREAD_COUNT_MAX = 32
"""Calls served at once; a streaming pull holds one thread, so it is more than the tests ever hold."""


STOP_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM})
"""What ends a command."""


def hold_stop_signals() -> None:
    """Blocks the signals that end a command, to be called before any thread starts.

    A handler would run only once the main thread wakes up, and a signal that one of gRPC's threads happens to receive
    doesn't wake it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


def wait_for_stop_signal() -> None:
    """Sleeps until one of the signals held comes."""
    signal.sigwait(STOP_SIGNALS)


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

    def answer(
        self, method: str, context: grpc.ServicerContext, work: Callable[[datetime], T], resource: str = ""
    ) -> T:
        """Runs one call's work like `run`; a refusal ends the RPC with its code, text and details."""
        try:
            return self.run(method, work, resource)
        except ApiError as error:
            abort(context, error)

    def run(self, method: str, work: Callable[[datetime], T], resource: str = "") -> T:
        """Runs one call's work under the lock, with the faults before and after it.

        Raises:
            ApiError: A refusal, injected or not; anything else that `work` raises is a bug.
        """
        with self.lock:
            self.faults.check(method, "before", resource)
            result = work(self.clock())
            self.faults.check(method, "after", resource)
            return result


def abort(context: grpc.ServicerContext, error: ApiError) -> NoReturn:
    """Ends the RPC the way Google's front end does: status, text, and `grpc-status-details-bin`."""
    if error.resource is not None:
        detail = any_pb2.Any()
        detail.Pack(
            error_details_pb2.ResourceInfo(
                resource_type=error.resource.resource_type,
                resource_name=error.resource.resource_name,
                description=error.resource.description,
            )
        )
        status = status_pb2.Status(code=int(error.code), message=error.message, details=[detail])
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_STATUS[int(error.code)], error.message)


_STATUS = {status.value[0]: status for status in grpc.StatusCode}


def start_grpc(
    register: Callable[[grpc.Server], None], port: int, options: tuple[tuple[str, int], ...] = ()
) -> tuple[grpc.Server, int]:
    """Starts a gRPC server on loopback.

    Args:
        register: Adds the servicers.
        port: The port, 0 for any free one.
        options: gRPC's own settings for the server, by name.

    Returns:
        The running server and its port.
    """
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREAD_COUNT_MAX), options=(("grpc.so_reuseport", 0), *options)
    )
    register(server)
    bound = server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    return server, bound
