"""The one port that carries gRPC and REST, when it closes."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
import time
import warnings
from typing import TYPE_CHECKING

from spanner_backup_emulator import front as one_port
from spanner_backup_emulator.serving import HOST

if TYPE_CHECKING:
    import pytest

LINGER_S = 0.2
"""How long a cut off direction takes to end: time to close in the middle of it."""


def test_a_connection_that_ends_as_the_server_closes_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off while it was cleaning up after its client, a connection lost the socket to the inner server."""
    lingering = []
    carry = one_port._pump  # noqa: SLF001 there is no other way to make it slow

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await carry(reader, writer)
        finally:
            lingering.append(writer.get_extra_info("peername"))
            await asyncio.sleep(LINGER_S)

    monkeypatch.setattr(one_port, "_pump", slow)
    with warnings.catch_warnings(record=True) as warned, socket.create_server((HOST, 0)) as inner:
        warnings.simplefilter("always")
        port = inner.getsockname()[1]
        front = one_port.Front(0)
        front.start(port, port)
        client = socket.create_connection((HOST, front.port))
        client.sendall(b"GET / HTTP/1.1\r\n")
        accepted, _ = inner.accept()
        # Closed with a reset, so that the connection fails rather than ends.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        _wait_until(lingering, 2)
        front.stop()
        accepted.close()
        gc.collect()

    assert [str(warning.message) for warning in warned if warning.category is ResourceWarning] == []


def _wait_until(lingering: list[object], count: int) -> None:
    end_s = time.monotonic() + 60
    while len(lingering) < count:
        assert time.monotonic() < end_s, "the connection did not end"
        time.sleep(0.005)
