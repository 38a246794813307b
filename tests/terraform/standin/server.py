"""Serves providers' schemas to the real `terraform`, which then needs to install nothing and to reach nobody."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from tests.terraform.standin import schema as schemas
from tests.terraform.standin.computed import COMPUTED, write_archive
from tests.terraform.standin.wire import UNKNOWN, Request, Value, dynamic, field, message

HERE = Path(__file__).parent
HOST = "127.0.0.1"
THREADS = 8
"""Terraform asks for ten resources at a time at most; more threads would only wait for the interpreter."""

ERROR = 1
"""The protocol's Diagnostic.Severity."""


class Provider:
    """One provider: answers the calls of init, validate, test and plan. It applies nothing."""

    def __init__(self, schema: schemas.Schema, directory: Path) -> None:
        self.schema = schema
        self._directory = directory
        self._encoded = schema.encode()

    def handlers(self) -> dict[str, Callable[[Request], bytes]]:
        """The calls that are answered, by name."""
        nothing: Callable[[Request], bytes] = lambda _: b""  # noqa: E731  # five calls share this answer
        return {
            "GetProviderSchema": lambda _: self._encoded,
            "ValidateProviderConfig": nothing,
            "ConfigureProvider": nothing,
            "StopProvider": nothing,
            "ValidateDataResourceConfig": self.validate,
            "ValidateResourceConfig": self.validate,
            "UpgradeResourceState": lambda request: message(1, field(2, Request(request.bytes(3)).bytes(1))),
            "ReadResource": lambda request: message(1, request.bytes(2)),
            "PlanResourceChange": self.plan,
            "ReadDataSource": self.read,
        }

    def validate(self, request: Request) -> bytes:
        """Says what is wrong with a configuration."""
        config = request.value(2) or {}
        return b"".join(
            message(
                1,
                field(1, ERROR)
                + field(2, "Invalid value")
                + field(3, f"{'.'.join(map(str, path))} {text}.")
                + message(4, b"".join(message(1, _step(step)) for step in path)),
            )
            for path, text in self.schema.block(request.text(1)).problems(config)
        )

    def plan(self, request: Request) -> bytes:
        """Answers with what was asked for and what Google would fill in; an archive is written now already."""
        return dynamic(1, self._read(request.text(1), request.value(3)))

    def read(self, request: Request) -> bytes:
        """Reads a data source."""
        return dynamic(1, self._read(request.text(1), request.value(2)))

    def _read(self, name: str, config: dict[str, Value] | None) -> Value:
        if name == "archive_file" and config is not None:
            write_archive(config, self._directory)
        return self._filled(name, config)

    def _filled(self, name: str, value: dict[str, Value] | None) -> Value:
        if value is None or name not in COMPUTED:
            return value
        texts = {key: given for key, given in value.items() if isinstance(given, str)}
        try:
            computed = COMPUTED[name](texts)
        except KeyError:  # one of the inputs isn't known yet, so neither is the result
            return {key: UNKNOWN if key == "id" and given is None else given for key, given in value.items()}
        for where, result in computed.items():
            *blocks, key = where.split(".")
            at = value
            for block in blocks:
                inner = at[block]
                assert isinstance(inner, list)
                assert isinstance(inner[0], dict)
                at = inner[0]
            at[key] = result
        return value


def _step(step: str | int) -> bytes:
    return field(3, step) if isinstance(step, int) else field(1, step)


def _stop(server: grpc.Server) -> None:
    server.stop(None).wait()


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[dict[str, str]]:
    """Serves the providers that the module needs; archives are written to `directory`.

    Yields:
        The environment variables that make `terraform` use them.
    """
    attach: dict[str, object] = {}
    with contextlib.ExitStack() as stack:
        for name in ("google", "google-beta", "archive", "time"):
            provider = Provider(schemas.load(HERE / f"{name}.json"), directory)
            server = grpc.server(ThreadPoolExecutor(THREADS))
            handlers = {
                call: grpc.unary_unary_rpc_method_handler(
                    lambda request, _context, answer=answer: answer(request),
                    request_deserializer=Request,
                    response_serializer=bytes,
                )
                for call, answer in provider.handlers().items()
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
            port = server.add_insecure_port(f"{HOST}:0")
            server.start()
            stack.callback(_stop, server)
            attach[provider.schema.source] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "tcp", "String": f"{HOST}:{port}"},
            }
        yield {
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "TF_REATTACH_PROVIDERS": json.dumps(attach),
        }
