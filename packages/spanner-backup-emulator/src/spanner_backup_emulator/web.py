"""HTTP/1.1 for the emulators, and gRPC on the same port: bytes in, JSON out, and Google's JSON for a refusal.

An HTTP/2 client that knows whom it talks to, as every gRPC client does, begins with a fixed preface, `PRI * HTTP/2.0`
(https://www.rfc-editor.org/rfc/rfc9113#section-3.4); no HTTP/1.1 method begins with PRI. So the first bytes say whether
a connection is to be answered here, or carried to a gRPC server.
"""

import json
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import TroubleError
from spanner_backup_emulator.serving import HOST

Answer: TypeAlias = Callable[[str, str, bytes], bytes]
"""From the HTTP method, the target and the body to the JSON of the response; a refusal is an ApiError."""

PREFACE_START = b"PRI"
"""How every HTTP/2 connection begins, and no HTTP/1.1 request does."""

CONNECTION_COUNT_MAX = 256
"""Connections at once: far more than tests hold open, and a bound all the same."""

CHUNK_BYTES = 65_536
"""Carried at a time, per direction."""

POLL_S = 0.05
"""How often the server looks whether it is to stop."""

BODY_BYTES_MAX = 10_485_760
"""Of a request; seen in https://github.com/standard-ai/hedwig-rust/issues/18."""

IDLE_S_MAX = 60.0
"""A kept connection that is silent this long is closed."""


def invalid_json(why: str) -> ApiError:
    """The refusal of a body that can't be understood."""
    return ApiError(Code.INVALID_ARGUMENT, f"Invalid JSON payload received. {why}")


def no_such_page(target: str) -> ApiError:
    """The refusal of a path that nothing answers."""
    return ApiError(Code.NOT_FOUND, f"The requested URL {target} was not found on this server.")


class WebServer(ThreadingHTTPServer):
    """It listens from the first and serves from `start` to `stop`; each connection has a thread, which ends with it."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, port: int = 0, host: str = HOST) -> None:
        super().__init__((host, port), _Handler)
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(POLL_S,), name=f"emulator-web-{self.server_port}"
        )

    def start(self, answer: Answer, grpc_port: int | None = None) -> None:
        """Serves; what gRPC's clients say is carried to that port, and None makes them unwelcome."""
        self.answer, self.grpc_port = answer, grpc_port
        self._thread.start()

    def stop(self) -> None:
        """Cuts all connections off and returns once the threads and the sockets are gone."""
        self.shutdown()
        for connection in list(self._open):
            with suppress(OSError):  # It may be closed meanwhile.
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.server_close()

    def verify_request(self, request: Any, _address: object) -> bool:  # noqa: ANN401 - socketserver's types
        """Whether there is room for a connection; from now on, before its thread begins, `stop` cuts it off."""
        if len(self._open) >= CONNECTION_COUNT_MAX:
            return False
        self._open.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the same
        """Ends a connection."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's types
        """Says nothing of a client that has gone."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "emulator"
    disable_nagle_algorithm = True
    server: WebServer

    def handle(self) -> None:
        """Answers here or carries, as the first bytes say."""
        port = self.server.grpc_port
        start = self.connection.recv(len(PREFACE_START), socket.MSG_PEEK | socket.MSG_WAITALL)
        if port is not None and start == PREFACE_START:
            self._carry(port)
        elif len(start) == len(PREFACE_START):
            self.connection.settimeout(IDLE_S_MAX)
            super().handle()

    def _carry(self, port: int) -> None:
        with socket.create_connection((HOST, port)) as inner:
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(
                target=_pump, args=(inner, self.connection), name=f"emulator-web-{self.server.server_port}-back"
            )
            back.start()
            _pump(self.connection, inner)
            back.join()

    def _do(self) -> None:
        if self.command == "GET" and self.path == "/":
            self._send(200, "text/plain", b"Ok\n")  # what Google's own emulator answers to a health check
            return
        try:
            body = self.server.answer(self.command, self.path, self._body())
        except ApiError as error:
            status = error.code.http_status
            shown = {"error": {"code": status, "message": error.message, "status": error.code.name}}
            self._send(status, "application/json; charset=UTF-8", json.dumps(shown).encode())
        except TroubleError:
            self.close_connection = True  # Whatever the trouble, who wants no more than a status gets none.
        else:
            self._send(200, "application/json; charset=UTF-8", body)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - http.server's names

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise invalid_json("A body needs a Content-Length.")
        if int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            raise ApiError(Code.INVALID_ARGUMENT, f"Request payload size exceeds the limit: {BODY_BYTES_MAX} bytes.")
        return self.rfile.read(int(length))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Says nothing: what was called is counted with the faults."""


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carries one direction up to its end, no faster than it is read at the other side; then the other one ends, too.

    Neither end of HTTP/2 closes half a connection.
    """
    with suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
