"""The function's token: from the metadata server, kept while it is good, and sent to nobody but Google."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import grpc
import pytest

from backstop.errors import CallError, RefusedError, TransientError
from backstop.gcp import calls, sign_in
from backstop.gcp.calls import Budget, Service
from backstop.gcp.sign_in import SignIn
from emulators.spanner.server import SpannerEmulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
READ = "GetOperation", {"name": "projects/demo-project/instances/i1/backups/b1/operations/o1"}


class Metadata:
    """A metadata server, as Google documents it.

    Attributes:
        asked: How often a token was asked for, in the way that Google asks for.
        answer: What it answers, if not a token.
        takes_s: How long it takes to answer.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.answer: tuple[int, bytes] | None = None
        self.takes_s = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        metadata = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """Gives a new token each time, good for an hour."""
                if self.path != PATH or self.headers["Metadata-Flavor"] != "Google":
                    self.send_error(403)
                    return
                metadata.asked += 1
                time.sleep(metadata.takes_s)
                token = {"access_token": f"token-{metadata.asked}", "expires_in": 3600, "token_type": "Bearer"}
                status, body = metadata.answer or (200, json.dumps(token).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        return Handler

    def stop(self) -> None:
        """Goes away."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[Metadata]:
    """The server, and nobody signed in."""
    server = Metadata()
    monkeypatch.setenv("GCE_METADATA_HOST", server.address)
    monkeypatch.setattr(calls, "_SIGN_IN", SignIn())
    yield server
    server.stop()


def test_a_token_is_asked_for_once_and_kept_until_shortly_before_its_end(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata server is asked once an hour, and never too late."""
    now_s = time.time()
    monkeypatch.setattr(sign_in, "time", SimpleNamespace(time=lambda: now_s, monotonic=lambda: now_s))
    account = SignIn()

    assert [account.token(1.0), account.token(1.0)] == ["token-1", "token-1"]
    now_s += 3600 - sign_in.RENEW_S - 1
    assert account.token(1.0) == "token-1"
    now_s += 2
    assert account.token(1.0) == "token-2"
    assert metadata.asked == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b"not now"), "answered 503"),
        ((200, b"not JSON"), "could not sign in"),
        ((200, b'{"access_token": "x"}'), "expires_in"),
    ],
)
def test_a_sign_in_that_fails_is_tried_again_after_a_second(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes], said: str
) -> None:
    """Until then everybody is told the same failure; then somebody asks anew."""
    now_s = time.time()
    monkeypatch.setattr(sign_in, "time", SimpleNamespace(time=lambda: now_s, monotonic=lambda: now_s))
    account = SignIn()
    metadata.answer = answer

    for _ in range(2):
        with pytest.raises(TransientError, match=said) as caught:
            account.token(1.0)
        assert caught.value.code == "UNAVAILABLE"

    assert metadata.asked == 1
    metadata.answer = None
    now_s += sign_in.FAILED_S
    assert account.token(1.0) == "token-2"


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A metadata server that accepts and says nothing, and nobody signed in."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(calls, "_SIGN_IN", SignIn())
        yield


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("repeat", [True, False])
def test_signing_in_is_part_of_a_call_s_time_however_many_threads_wait_for_it(
    *, repeat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait beside each other, and nobody waits longer than a call may take."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 1.0)
    monkeypatch.setattr(sign_in, "ANSWER_S_MAX", 0.7)
    service = Service("localhost:1", "NO_EMULATOR")

    def seconds(_: int) -> float:
        began_s = time.monotonic()
        with pytest.raises(TransientError, match="UNAVAILABLE: could not sign in"):
            service.call(*READ, Budget(), repeat=repeat)
        return time.monotonic() - began_s

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(seconds, range(8))) < calls.CALL_S_MAX + 1.0


def test_a_service_has_what_signing_in_has_left_of_a_call_s_time(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow sign-in and then a service that says nothing are one call, not two."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 1.2)
    metadata.takes_s = 0.9
    began_s = time.monotonic()

    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
        Service(f"127.0.0.1:{server.getsockname()[1]}", "NO_EMULATOR").call(*READ, Budget(), repeat=False)

    assert 1.1 < time.monotonic() - began_s < 1.8


@pytest.mark.usefixtures("silence")
def test_nobody_waits_longer_for_a_token_than_they_may() -> None:
    """Neither for the metadata server, nor for a thread that waits for it already, nor at all without time."""
    account = SignIn()
    with ThreadPoolExecutor(1) as other:
        asking = other.submit(account.token, 0.8)
        while not account._lock.locked():  # noqa: SLF001 nothing else shows that the other one waits
            time.sleep(0.001)
        with pytest.raises(TransientError, match="another thread still waits"):
            account.token(0.1)
        assert not asking.done()
        with pytest.raises(TransientError, match="timed out"):
            asking.result()

    with pytest.raises(TransientError, match="no time is left"):
        SignIn().token(-0.1)


def test_no_metadata_server_is_a_transient_fault_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of Google's machines nobody gives a token, and the log says why."""
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")

    with pytest.raises(TransientError, match="could not sign in"):
        SignIn().token(1.0)


def test_an_emulator_is_told_no_token(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is plain, and everybody on the way could read it."""
    with SpannerEmulator() as emulator:
        monkeypatch.setenv("SPANNER_EMULATOR_HOST", emulator.address)
        with pytest.raises(CallError, match="NOT_FOUND"):
            Service("spanner.googleapis.com", "SPANNER_EMULATOR_HOST").call(*READ, Budget())

    assert metadata.asked == 0


class Google(grpc.GenericRpcHandler):
    """A server with a certificate.

    Attributes:
        callers: Who called, in the order of the calls.
        refused: Whom it doesn't let in.
    """

    def __init__(self, key: bytes, certificate: bytes) -> None:
        self.callers: list[object] = []
        self.refused: set[object] = set()
        self._server = grpc.server(ThreadPoolExecutor(1), handlers=[self])
        self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Takes any call, and knows nothing."""
        caller = dict(handler_call_details.invocation_metadata).get("authorization")
        self.callers.append(caller)

        def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if caller in self.refused:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing is here")

        return grpc.unary_unary_rpc_method_handler(refuse)

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop(None)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key and a certificate that nobody has signed, for this machine."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    key, signed = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(signed)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, signed


@pytest.fixture
def google(certificate: tuple[Path, Path]) -> Iterator[Google]:
    """A service with that certificate."""
    key, signed = certificate
    server = Google(key.read_bytes(), signed.read_bytes())
    yield server
    server.stop()


def roots(monkeypatch: pytest.MonkeyPatch, pem: bytes | None) -> None:
    """Has gRPC trust this certificate, or those that it comes with."""
    trusted = grpc.ssl_channel_credentials(pem)
    monkeypatch.setattr(grpc, "ssl_channel_credentials", lambda: trusted)


def test_google_is_told_the_token_and_only_over_tls(
    metadata: Metadata, google: Google, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way that a call takes in production, against servers on this machine."""
    roots(monkeypatch, certificate[1].read_bytes())
    service = Service(f"127.0.0.1:{google.port}", "NO_EMULATOR")

    for _ in range(2):
        with pytest.raises(CallError, match="NOT_FOUND: nothing is here"):
            service.call(*READ, Budget())

    assert google.callers == ["Bearer token-1", "Bearer token-1"]
    assert metadata.asked == 1


@pytest.mark.parametrize("repeat", [True, False])
def test_a_token_that_google_refuses_is_replaced_at_once(
    *, repeat: bool, metadata: Metadata, google: Google, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has come of such a call, so that one that must not be repeated is made again too; and others know."""
    roots(monkeypatch, certificate[1].read_bytes())
    service = Service(f"127.0.0.1:{google.port}", "NO_EMULATOR")
    google.refused = {"Bearer token-1"}

    for _ in range(2):
        with pytest.raises(CallError, match="NOT_FOUND: nothing is here"):
            service.call(*READ, Budget(), repeat=repeat)

    assert google.callers == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
    assert metadata.asked == 2


@pytest.mark.usefixtures("metadata")
def test_a_second_token_that_is_refused_ends_the_call(
    google: Google, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It isn't the token then."""
    roots(monkeypatch, certificate[1].read_bytes())
    google.refused = {"Bearer token-1", "Bearer token-2"}

    with pytest.raises(RefusedError, match="UNAUTHENTICATED: who are you"):
        Service(f"127.0.0.1:{google.port}", "NO_EMULATOR").call(*READ, Budget())

    assert google.callers == ["Bearer token-1", "Bearer token-2"]


def test_a_refused_token_that_somebody_has_replaced_already_costs_no_other(metadata: Metadata) -> None:
    """Many threads may be refused with one token; it is asked for anew once."""
    account = SignIn()
    refused = account.token(1.0)

    assert [account.token(1.0, refused), account.token(1.0, refused)] == ["token-2", "token-2"]
    assert metadata.asked == 2


@pytest.mark.usefixtures("metadata")
def test_somebody_who_can_t_prove_to_be_google_is_told_nothing(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that no authority has signed ends the call before the token is sent."""
    monkeypatch.setattr(calls, "CALL_S_MAX", 1.0)
    roots(monkeypatch, None)

    with pytest.raises(TransientError, match="CERTIFICATE_VERIFY_FAILED"):
        Service(f"127.0.0.1:{google.port}", "NO_EMULATOR").call(*READ, Budget())

    assert google.callers == []
