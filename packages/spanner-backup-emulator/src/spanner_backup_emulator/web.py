"""HTTP/1.1 for the emulators: bytes in, JSON out, and Google's JSON for a refusal."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import HTTP_STATUSES, ApiError, Code
from spanner_backup_emulator.faults import TroubleError
from spanner_backup_emulator.serving import HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[str, str, bytes], bytes]
    """From the HTTP method, the target and the body to the JSON of the response; a refusal is an ApiError."""

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
    """The inner HTTP/1.1 server; each connection has a thread, which ends with it."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, answer: Answer, port: int = 0, host: str = HOST) -> None:
        super().__init__((host, port), _Handler)
        self.answer = answer
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="emulator-web")
        self._thread.start()

    def stop(self) -> None:
        """Returns once the thread and the socket are gone."""
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "emulator"
    timeout = IDLE_S_MAX
    server: WebServer

    def _do(self) -> None:
        if self.command == "GET" and self.path == "/":
            self._send(200, "text/plain", b"Ok\n")  # what Google's own emulator answers to a health check
            return
        try:
            body = self.server.answer(self.command, self.path, self._body())
        except ApiError as error:
            status = HTTP_STATUSES[error.code]
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
