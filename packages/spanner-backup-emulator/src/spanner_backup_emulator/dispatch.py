"""Sends the HTTP requests that the Pub/Sub and Cloud Tasks emulators owe to their users' endpoints."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import threading
from concurrent import futures
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONCURRENCY = 64
"""Requests in flight at once: a few endpoints at a busy one's 16, yet few enough for threads."""

ANSWER_BYTES_MAX = 65_536
"""Read of an answer's body, so that its sender can finish writing; only the status matters."""

NO_CONNECTION = 0
"""The status of a request that got no answer: refused, timed out, cut off, or can't be sent."""

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

    Each request has a connection of its own: one call is then exactly one request on the wire, where a kept
    connection that the peer has just closed would have to be tried again and could deliver twice.
    """

    def __init__(self, concurrency: int = CONCURRENCY, name: str = "dispatch") -> None:
        self._pool = futures.ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._open: set[http.client.HTTPConnection] = set()
        self._closed = False

    def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float, method: str = "POST") -> int:
        """Sends in the caller's thread and waits for the answer; redirects are not followed.

        Args:
            url: An `http` URL, see `is_sendable`.
            headers: Sent as they are; Host, Content-Length and Connection are added.
            body: The bytes.
            timeout_s: For connecting, and again for each silence of the peer.
            method: The HTTP method.

        Returns:
            The HTTP status, or `NO_CONNECTION`.

        Raises:
            ValueError: The URL is not one to send to.
        """
        if not is_sendable(url):
            raise ValueError(f"not an http URL: {url!r}")
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
        with self._lock:
            if self._closed:
                return NO_CONNECTION
            self._open.add(connection)
        try:
            connection.connect()
            self._leave_if_closed()
            connection.request(method, target, body or None, {**headers, "Connection": "close"})
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError):
            return NO_CONNECTION  # ValueError: a character that can't be in a request line or a header
        else:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer.read(ANSWER_BYTES_MAX)
            answer.close()
            return answer.status
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()

    def submit(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        done: Callable[[int], None],
        method: str = "POST",
    ) -> None:
        """Sends in the pool and then calls `done` there with the status; after `close` it does neither."""

        def run() -> None:
            try:
                done(self.post(url, headers, body, timeout_s, method))
            except Exception:
                logger.exception("the outcome of a request to %s could not be recorded", url)

        with self._lock:
            if not self._closed:
                self._pool.submit(run)

    def close(self) -> None:
        """Cuts off what is in flight, drops what waits, and returns once all threads have ended."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                if connection.sock is not None:
                    with contextlib.suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _leave_if_closed(self) -> None:
        """Ends a request whose connection was not yet there to be cut off when the dispatcher closed."""
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("the dispatcher is closed")
