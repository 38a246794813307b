"""Sends the HTTP requests that the Pub/Sub and Cloud Tasks emulators owe to their users' endpoints."""

import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from contextlib import contextmanager, suppress
from http.client import OK, HTTPConnection, HTTPException
from urllib.parse import urlsplit

CONCURRENCY = 64
"""Requests in flight at once: a few endpoints at a busy one's 16, yet few enough for threads."""

ANSWER_BYTES_MAX = 65_536
"""Read of an answer's body, so that its sender can finish writing; only the status matters."""

CONNECT_S_MIN = 0.05
"""Waited for a connection at first, then twice as long each time. A peer whose queue is full says nothing, that of
Python's `http.server` holds five, and TCP itself waits a second before it asks again."""

NO_ANSWER = 0
"""The status of an attempt without an HTTP answer: refused, past its deadline, cut off, or can't be sent."""

logger = logging.getLogger(__name__)


def is_sendable(url: str) -> bool:
    """Whether a dispatcher posts to this URL: plain HTTP only, so that no emulator ever calls Google."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class Dispatcher:
    """A bounded pool of senders.

    A request is sent once, whatever becomes of it. A connection is kept only for who has the next request at once: one
    that waits may be closed by the peer in the moment of its use, and then nobody knows whether the request arrived.
    """

    def __init__(self, concurrency: int = CONCURRENCY, name: str = "dispatch") -> None:
        self._pool = futures.ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._open: set[HTTPConnection] = set()
        self._closed = False

    @contextmanager
    def connection(self, url: str, timeout_s: float) -> Iterator[HTTPConnection]:
        """A connection for `send`, which opens it; it is closed in the end, and cut off when the dispatcher closes.

        Args:
            url: An `http` URL, see `is_sendable`.
            timeout_s: For connecting, and again for each silence of the peer.

        Raises:
            ValueError: The URL is not one to send to.
        """
        if not is_sendable(url):
            raise ValueError(f"not an http URL: {url!r}")
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        with self._lock:
            self._open.add(connection)
        try:
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()

    def send(
        self, connection: HTTPConnection, url: str, headers: Mapping[str, str], body: bytes, method: str = "POST"
    ) -> int:
        """Sends in the caller's thread; the HTTP status, also of a redirect, or `NO_ANSWER`.

        Args:
            connection: Where to.
            url: The URL that the connection is for.
            headers: Sent as they are; Host and Content-Length are added.
            body: The bytes.
            method: The HTTP method.
        """
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            self._connect(connection)
            connection.request(method, target, body or None, dict(headers))
            answer = connection.getresponse()
        except (OSError, HTTPException, ValueError):
            connection.close()
            return NO_ANSWER  # ValueError: a character that can't be in a request line or a header
        with suppress(OSError, HTTPException):
            answer.read(ANSWER_BYTES_MAX)
        if not answer.isclosed() or answer.status < OK:  # There is more than is read.
            connection.close()
        answer.close()
        return answer.status

    def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float, method: str = "POST") -> int:
        """Sends one request on a connection of its own, see `connection` and `send`."""
        with self.connection(url, timeout_s) as connection:
            return self.send(connection, url, {**headers, "Connection": "close"}, body, method)

    def submit(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        done: Callable[[int], None],
        method: str = "POST",
    ) -> None:
        """Posts in the pool and then calls `done` there with the status; after `close` it does neither."""
        self.run(lambda: done(self.post(url, headers, body, timeout_s, method)))

    def run(self, work: Callable[[], None]) -> None:
        """Does something in the pool; after `close` it doesn't."""

        def logged() -> None:
            try:
                work()
            except Exception:
                logger.exception("the outcome of a request could not be recorded")

        with self._lock:
            if not self._closed:
                self._pool.submit(logged)

    def close(self) -> None:
        """Cuts off what is in flight, drops what waits, and returns once all threads have ended."""
        with self._lock:
            self._closed = True
            for sock in [connection.sock for connection in self._open]:
                if sock is not None:
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _connect(self, connection: HTTPConnection) -> None:
        """Connects where the peer hasn't been met or has gone, within the timeout, and asks earlier than TCP would."""
        if connection.sock is not None and _has_ended(connection.sock):
            connection.close()
        timeout_s, wait_s = connection.timeout or 0.0, CONNECT_S_MIN
        end_s = time.monotonic() + timeout_s
        while connection.sock is None:
            self._leave_if_closed()
            connection.timeout = max(min(wait_s, end_s - time.monotonic()), 0.0)
            try:
                connection.connect()
            except TimeoutError:
                if time.monotonic() >= end_s:
                    raise
            finally:
                connection.timeout = timeout_s
            wait_s *= 2
        connection.sock.settimeout(timeout_s)
        self._leave_if_closed()

    def _leave_if_closed(self) -> None:
        """Ends a request whose connection was not yet there to be cut off when the dispatcher closed."""
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the dispatcher is closed")


def _has_ended(sock: socket.socket) -> bool:
    """Whether a peer that has nothing to say has said something: the end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
