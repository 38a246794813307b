"""What the emulators' servers share: a lock, a clock, faults, and a gRPC server on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import threading
from concurrent import futures
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import grpc
from google.rpc import status_pb2

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.faults import Faults, Trouble, TroubleError

if TYPE_CHECKING:
    from collections.abc import Callable

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


def abort(context: grpc.ServicerContext, error: ApiError) -> NoReturn:
    """Ends the RPC the way Google's front end does: status, text, and `grpc-status-details-bin`."""
    if error.detail is not None:
        status = status_pb2.Status(code=int(error.code), message=error.message)
        status.details.add().Pack(error.detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_STATUS[int(error.code)], error.message)


_STATUS = {status.value[0]: status for status in grpc.StatusCode}


class _Troubles(grpc.ServerInterceptor):
    """Gives the client what a planned trouble says in the place of an answer."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the methods that have one answer."""
        inner = continuation(handler_call_details)
        if inner is None or inner.unary_unary is None:
            return inner
        work, serialize = inner.unary_unary, inner.response_serializer

        def answer(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 any method's
            try:
                return work(request, context)
            except TroubleError as error:
                return _trouble(error.trouble, context)

        def encode(response: Any) -> bytes:  # noqa: ANN401 the same
            return response if isinstance(response, bytes) or serialize is None else serialize(response)

        return grpc.unary_unary_rpc_method_handler(answer, inner.request_deserializer, encode)


GARBLED = b"\xff" * 8
"""No message: it begins with a field whose number has no end."""


def _trouble(trouble: Trouble, context: grpc.ServicerContext) -> bytes:
    """Answers with the bytes that the trouble has in the place of a message, if it has any."""
    if trouble is Trouble.BARE:
        return b""
    if trouble is Trouble.GARBLED:
        return GARBLED
    over = threading.Event()
    if trouble is Trouble.CUT:
        _cut(context.peer())
    if context.add_callback(over.set):
        over.wait()  # For the client's time limit or its end, or for that of this server.
    return b""  # Nobody hears it.


def _cut(peer: str) -> None:
    """Breaks a client's connection; gRPC can't, so its socket is looked for among the open files of this process."""
    port = int(peer.rpartition(":")[2])
    for file in Path("/dev/fd").iterdir():
        with suppress(OSError):  # It may be closed meanwhile.
            if not stat.S_ISSOCK(os.fstat(int(file.name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as connection:
                if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.getpeername()[1] == port:
                    connection.shutdown(socket.SHUT_RDWR)


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
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=THREAD_COUNT_MAX),
        interceptors=[_Troubles(), *interceptors],
        options=(("grpc.so_reuseport", 0), *options),
    )
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
