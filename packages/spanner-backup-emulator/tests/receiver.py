"""An HTTP server that keeps what it gets, as the endpoint of pushes and of tasks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from spanner_backup_emulator.serving import wall_clock

WAIT_S = 60.0
"""A bound on waits for what happens at once; reaching it is a failure."""


class Got(NamedTuple):
    """A request."""

    arrival: datetime
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver(ThreadingHTTPServer):
    """A running receiver.

    Attributes:
        origin: Where it is.
        url: Where tasks and pushes go.
        got: What came, in its order.
        methods: The HTTP method of each.
        statuses: What it answers, in order; then 200.
        hold: While it is not set, no answer goes out.
    """

    block_on_close = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.url = f"{self.origin}/v1/projects/p/topics/t:publish?x=1"
        self.got: list[Got] = []
        self.methods: list[str] = []
        self.statuses: list[int] = []
        self.hold = threading.Event()
        self.hold.set()
        self.changed = threading.Condition()

    def wait_for(self, count: int) -> None:
        """Waits until so many requests have come."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, WAIT_S)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Keeps the request and answers."""
        server = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        with server.changed:
            server.methods.append(self.command)
            server.got.append(Got(wall_clock(), self.path, dict(self.headers), body))
            status = server.statuses.pop(0) if server.statuses else 200
            server.changed.notify_all()
        server.hold.wait(WAIT_S)
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    do_GET = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_POST  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on the test's output."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Runs a receiver."""
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.hold.set()
            server.shutdown()
            thread.join()
