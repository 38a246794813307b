"""What Google's clients meet in production, on this machine: a service behind TLS, and those who give out tokens."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import pytest

from demo.stack import ROOT

ACCOUNT = "backstop@demo-project.iam.gserviceaccount.com"


class Google(grpc.GenericRpcHandler):
    """A server with a certificate that knows of nothing.

    Attributes:
        address: Where it listens.
        callers: Whose token came with each call.
        headers: All that came with the last one.
        refused: The tokens that it doesn't take.
    """

    def __init__(self, key: bytes, certificate: bytes) -> None:
        self.callers: list[str] = []
        self.headers: dict[str, Any] = {}
        self.refused: set[str] = set()
        self._server = grpc.server(ThreadPoolExecutor(1), handlers=[self])
        port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
        self.address = f"localhost:{port}"
        self._server.start()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Takes any call, and knows nothing."""
        self.headers = dict(handler_call_details.invocation_metadata)
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.callers.append(token)

        def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if token in self.refused:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            context.abort(grpc.StatusCode.NOT_FOUND, "nothing is here")

        return grpc.unary_unary_rpc_method_handler(refuse)

    def stop(self) -> None:
        """Hangs up."""
        self._server.stop(None)


class Tokens:
    """Everybody who gives out tokens: the metadata server, OAuth's endpoint, the exchange of tokens, and IAM.

    Attributes:
        asked: What was asked for, each path with the form or JSON that came with it.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def count(self, text: str) -> int:
        """How often a path with this text was asked for."""
        return sum(text in path for path, _ in self.asked)

    def _answer(self, path: str) -> object:
        if path.endswith("/token") or path == "/exchange":
            name = {"/token": "oauth", "/exchange": "exchanged"}.get(path, "metadata")
            return {
                "access_token": f"{name}-{self.count(path)}",
                "expires_in": 3600,
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            }
        if path.endswith(":generateAccessToken"):
            return {"accessToken": f"as-{path.rpartition('/')[2]}", "expireTime": "2099-01-01T00:00:00Z"}
        if "/service-accounts/" in path:
            return {"email": ACCOUNT, "scopes": [], "aliases": ["default"]}
        return "googleapis.com" if "universe" in path else "demo-project"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                """As the metadata server."""
                self.do_POST()

            def do_POST(self) -> None:
                """As the others."""
                path = self.path.partition("?")[0]
                asked = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                tokens.asked.append((path, asked))
                answer = tokens._answer(path)
                body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                self.send_response(200)
                self.send_header("Metadata-Flavor", "Google")
                self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
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


def certificate(directory: Path) -> tuple[Path, Path]:
    """A key and a certificate that nobody has signed, for this machine."""
    openssl = shutil.which("openssl")
    if openssl is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not installed")
        pytest.skip("openssl is not installed")
    key, signed = directory / "key.pem", directory / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(signed)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, signed


def run(program: str, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 whatever the program prints
    """Has a new process run a program, with this environment and nothing else; returns what it prints last."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout.splitlines()[-1])
