"""One TCP port for gRPC and for HTTP/1.1.

An HTTP/2 client that knows whom it talks to, as every gRPC client does, begins with a fixed preface, `PRI * HTTP/2.0`
(https://www.rfc-editor.org/rfc/rfc9113#section-3.4); no HTTP/1.1 method begins with PRI. So the first bytes say which
of two inner servers a connection is for, and after that it is only carried.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

from spanner_backup_emulator.serving import HOST

PREFACE_START = b"PRI"
"""How every HTTP/2 connection begins, and no HTTP/1.1 request does."""

CONNECTION_COUNT_MAX = 256
"""Connections at once: far more than tests hold open, and a bound all the same."""

CHUNK_BYTES = 65_536
"""Carried at a time, per direction."""


class Front:
    """Listens on one port and carries each connection to the server it is for, in one thread.

    Attributes:
        port: The port.
    """

    def __init__(self, port: int, host: str = HOST) -> None:
        self._socket = socket.create_server((host, port))
        self.port: int = self._socket.getsockname()[1]
        self._connections: set[asyncio.Task[None]] = set()

    def start(self, grpc_port: int, rest_port: int) -> None:
        """Starts accepting connections for these two inner servers."""
        self._grpc_port, self._rest_port = grpc_port, rest_port
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="emulator-front")
        self._thread.start()

    def stop(self) -> None:
        """Cuts all connections off and returns once the thread has ended."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._socket)
        await self._stop.wait()
        server.close()
        # A connection may be on its way from the listening socket to its task, so this looks more than once.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            while self._connections:
                self._connections.pop().cancel()  # Once only: a second time would cut off the cleaning up.
            await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None and len(self._connections) < CONNECTION_COUNT_MAX and not self._stop.is_set():
            self._connections.add(task)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._carry(reader, writer)
            self._connections.discard(task)
        await _drop(writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(len(PREFACE_START))
        port = self._grpc_port if start == PREFACE_START else self._rest_port
        inner_reader, inner_writer = await asyncio.open_connection(HOST, port)
        inner_writer.write(start)
        pumps = (asyncio.create_task(_pump(reader, inner_writer)), asyncio.create_task(_pump(inner_reader, writer)))
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            inner_writer.transport.abort()  # First, as the wait below may itself be cut off.
            await asyncio.gather(*pumps, return_exceptions=True)
            await _drop(inner_writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carries one direction up to its end, no faster than it is read at the other side."""
    while data := await reader.read(CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _drop(writer: asyncio.StreamWriter) -> None:
    """Closes a connection whose bytes have been carried, or that is cut off, and waits until its socket is closed."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
