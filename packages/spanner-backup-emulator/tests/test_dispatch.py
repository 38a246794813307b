"""The shared sender posts once, bounded in time, and leaves nothing behind."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest
from receiver import Receiver

from spanner_backup_emulator.dispatch import CONNECT_S_MIN, NO_ANSWER, Dispatcher, is_sendable


@pytest.mark.parametrize("status", [200, 204, 302, 404, 503])
def test_the_status_comes_back_and_the_request_is_sent_once(receiver: Receiver, status: int) -> None:
    """One call is one request, redirects included."""
    dispatcher = Dispatcher()
    receiver.statuses = [status]
    assert dispatcher.post(f"{receiver.origin}/x?a=b", {"X-Extra": "e"}, b"body", 5) == status

    dispatcher.close()
    assert [(path, headers["X-Extra"], body) for _, path, headers, body in receiver.got] == [("/x?a=b", "e", b"body")]


def test_requests_in_a_row_share_a_connection_until_the_peer_closes_it() -> None:
    """The third comes after the peer has gone without a word, and is sent once, on a new connection."""
    dispatcher = Dispatcher()
    requests: list[bytes] = []

    def serve(count: int) -> None:
        peer, _ = listening.accept()
        with peer:
            for _ in range(count):
                requests.append(peer.recv(1000).partition(b" HTTP")[0])
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with dispatcher.connection(url, 5) as connection:
            for count in (2, 1):
                thread = threading.Thread(target=serve, args=(count,))
                thread.start()
                for _ in range(count):
                    assert dispatcher.send(connection, url, {}, b"") == 204
                thread.join()
    dispatcher.close()

    assert requests == [b"POST /"] * 3


def test_an_answer_that_is_not_read_to_its_end_is_no_answer_to_the_next_request() -> None:
    """102 says that another answer will come; the connection is given up."""
    dispatcher = Dispatcher()

    def serve() -> None:
        for answer in (b"102 Processing", b"204 No Content"):
            peer, _ = listening.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 " + answer + b"\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread = threading.Thread(target=serve)
        thread.start()
        with dispatcher.connection(url, 5) as connection:
            statuses = [dispatcher.send(connection, url, {}, b"") for _ in range(2)]
        thread.join()
    dispatcher.close()

    assert statuses == [102, 204]


def test_a_connection_that_nobody_takes_is_asked_for_again(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wait that doubles; nothing has been sent by then."""
    dispatcher, connect = Dispatcher(), http.client.HTTPConnection.connect
    waits: list[float | None] = []

    def slow(connection: http.client.HTTPConnection) -> None:
        waits.append(connection.timeout)
        if len(waits) < 3:
            raise TimeoutError
        connect(connection)

    monkeypatch.setattr(http.client.HTTPConnection, "connect", slow)
    assert dispatcher.post(receiver.url, {}, b"", 5) == 200
    dispatcher.close()

    assert (waits, len(receiver.got)) == ([CONNECT_S_MIN, 2 * CONNECT_S_MIN, 4 * CONNECT_S_MIN], 1)


def test_no_listener_is_status_0() -> None:
    """A refused connection is an outcome, not an exception."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dispatcher = Dispatcher()

        assert dispatcher.post(f"http://127.0.0.1:{unused.getsockname()[1]}/", {}, b"", 5) == NO_ANSWER
    dispatcher.close()


def test_a_silent_peer_is_status_0_after_the_timeout() -> None:
    """The timeout is the caller's."""
    dispatcher = Dispatcher()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert dispatcher.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"", 0.05) == NO_ANSWER
    dispatcher.close()


def test_closing_cuts_off_a_request_in_flight_and_ends_the_threads() -> None:
    """A shutdown does not wait for the slowest endpoint."""
    dispatcher = Dispatcher(name="cut-off")
    statuses: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dispatcher.submit(f"http://127.0.0.1:{silent.getsockname()[1]}/", {}, b"", 60, statuses.append)
        peer, _ = silent.accept()
        dispatcher.close()
        peer.close()

    assert statuses == [NO_ANSWER]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cut-off")]
    assert dispatcher.post("http://127.0.0.1:1/", {}, b"", 1) == NO_ANSWER
    dispatcher.submit("http://127.0.0.1:1/", {}, b"", 1, statuses.append)
    assert len(statuses) == 1


@pytest.mark.parametrize(
    "url", ["https://pubsub.googleapis.com/", "ftp://h/", "http://", "http://h:x/", "h", "http://h:0/"]
)
def test_anything_but_plain_http_is_refused(url: str) -> None:
    """An emulator can't be made to call Google."""
    dispatcher = Dispatcher()

    assert not is_sendable(url)
    with pytest.raises(ValueError, match="not an http URL"):
        dispatcher.post(url, {}, b"", 1)
    dispatcher.close()


def test_a_failing_callback_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the emulator's bookkeeping is not swallowed by the pool."""
    dispatcher = Dispatcher()

    called = threading.Event()

    def fail(_status: int) -> None:
        called.set()
        raise KeyError("bug")

    dispatcher.submit(receiver.url, {}, b"", 5, fail)
    assert called.wait(60)
    dispatcher.close()

    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize(("path", "header"), [("/a b", "x"), ("/\u00e4", "x"), ("/200", "a\r\nb")])
def test_what_http_cannot_carry_is_status_0(receiver: Receiver, path: str, header: str) -> None:
    """A bad character ends in an outcome, so the caller's slot is given back."""
    dispatcher = Dispatcher()
    assert dispatcher.post(receiver.origin + path, {"X-Extra": header}, b"", 5) == NO_ANSWER
    dispatcher.close()

    assert receiver.got == []
