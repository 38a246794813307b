"""The one port that carries gRPC and answers HTTP/1.1, when it closes."""

from __future__ import annotations

import gc
import http.client
import socket
import struct
import threading
import warnings
from typing import Any

import pytest

from spanner_backup_emulator.serving import HOST
from spanner_backup_emulator.web import PREFACE_START, WebServer

NOTHING = struct.pack("ii", 1, 0)
"""What `SO_LINGER` is when a socket is closed with a reset, so that its connection fails rather than ends."""


@pytest.mark.parametrize("client_leaves", [False, True])
def test_a_connection_that_ends_as_the_server_closes_leaves_no_socket_behind(client_leaves: bool) -> None:  # noqa: FBT001
    """Whether the client goes first or not, and though the inner server never closes its side."""
    with warnings.catch_warnings(record=True) as warned, socket.create_server((HOST, 0)) as inner:
        warnings.simplefilter("always")
        server = WebServer()
        server.start(lambda *_: b"", inner.getsockname()[1])
        with socket.create_connection((HOST, server.server_port)) as client:
            client.sendall(PREFACE_START)
            accepted, _ = inner.accept()
            assert accepted.recv(len(PREFACE_START), socket.MSG_WAITALL) == PREFACE_START
            if client_leaves:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOTHING)
                client.close()
            server.stop()
            assert client_leaves or client.recv(1) == b""
        accepted.close()
        gc.collect()

    assert [str(warning.message) for warning in warned if warning.category is ResourceWarning] == []
    assert [thread.name for thread in threading.enumerate() if f"-{server.server_port}" in thread.name] == []


def test_a_client_that_says_nothing_or_goes_at_once_harms_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """The next request is answered, nothing is printed, and the silent client's connection ends with the server."""
    server = WebServer()
    server.start(lambda *_: b"{}")
    with socket.create_connection((HOST, server.server_port)) as silent:
        with socket.create_connection((HOST, server.server_port)) as hasty:
            hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOTHING)
        connection = http.client.HTTPConnection(HOST, server.server_port)
        connection.request("GET", "/v1/anything")
        assert connection.getresponse().read() == b"{}"
        connection.close()
        server.stop()
        assert silent.recv(1) == b""

    assert capfd.readouterr() == ("", "")


def test_a_connection_that_came_as_the_server_stopped_held_it_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was accepted, its thread had not begun, and so nobody cut it off."""
    begin, accepted, stopping = WebServer.process_request_thread, threading.Event(), threading.Event()

    def late(self: WebServer, request: Any, address: Any) -> None:  # noqa: ANN401 - socketserver's types
        accepted.set()
        stopping.wait()
        begin(self, request, address)

    monkeypatch.setattr(WebServer, "process_request_thread", late)
    server = WebServer()
    server.start(lambda *_: b"{}")
    stopper = threading.Thread(target=server.stop, daemon=True)
    with socket.create_connection((HOST, server.server_port)):
        assert accepted.wait(60)
        stopper.start()
        threading.Timer(0.3, stopping.set).start()
        stopper.join(30)
        assert not stopper.is_alive()
