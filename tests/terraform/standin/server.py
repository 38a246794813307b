"""Serves providers' schemas to the real `terraform`, which then needs to install nothing and to reach nobody."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from tests.terraform.standin.computed import computed, write_archive
from tests.terraform.standin.schema import Block, encode, load, problems
from tests.terraform.standin.wire import UNKNOWN, Request, Value, dynamic, field, message

HOST = "127.0.0.1"
THREADS = 8
"""Terraform asks for ten resources at a time at most; more threads would only wait for the interpreter."""

ERROR = 1
"""The protocol's Diagnostic.Severity."""


class Provider:
    """One provider: answers the calls of init, validate, test and plan. It applies nothing."""

    def __init__(self, schema: Block, directory: Path) -> None:
        self._blocks: Block = {**schema["data_sources"], **schema["resources"]}
        self._encoded = encode(schema)
        self._directory = directory

    def handlers(self) -> dict[str, Callable[[Request], bytes]]:
        """The calls that are answered, by name."""
        nothing = ("ValidateProviderConfig", "ConfigureProvider", "StopProvider")
        return {
            **dict.fromkeys(nothing, lambda _: b""),
            "GetProviderSchema": lambda _: self._encoded,
            "ValidateDataResourceConfig": self._validate,
            "ValidateResourceConfig": self._validate,
            "UpgradeResourceState": lambda request: message(1, field(2, Request(request.bytes(3)).bytes(1))),
            "ReadResource": lambda request: message(1, request.bytes(2)),
            "PlanResourceChange": lambda request: self._answer(request.text(1), request.value(3)),
            "ReadDataSource": lambda request: self._answer(request.text(1), request.value(2)),
        }

    def _validate(self, request: Request) -> bytes:
        """Says what is wrong with a configuration."""
        return b"".join(
            message(
                1,
                field(1, ERROR)
                + field(2, "Invalid value")
                + field(3, f"{'.'.join(map(str, path))} {text}.")
                + message(4, b"".join(message(1, _step(step)) for step in path)),
            )
            for path, text in problems(self._blocks[request.text(1)], request.value(2) or {})
        )

    def _answer(self, name: str, value: dict[str, Value] | None) -> bytes:
        """What was asked for and what Google would fill in; an archive is written now already."""
        if value is None:
            return dynamic(1, value)
        if name == "archive_file":
            write_archive(value, self._directory)
        try:
            for where, result in computed(name, value).items():
                *blocks, key = where.split(".")
                at = value
                for block in blocks:
                    inner = at[block]
                    assert isinstance(inner, list)
                    assert isinstance(inner[0], dict)
                    at = inner[0]
                at[key] = result
        except KeyError:  # one of the inputs isn't known yet, so neither is the result
            value["id"] = UNKNOWN if value["id"] is None else value["id"]
        return dynamic(1, value)


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
            schema = load(Path(__file__).with_name(f"{name}.json"))
            server = grpc.server(ThreadPoolExecutor(THREADS))
            handlers = {
                call: grpc.unary_unary_rpc_method_handler(
                    lambda request, _context, answer=answer: answer(request),
                    request_deserializer=Request,
                    response_serializer=bytes,
                )
                for call, answer in Provider(schema, directory).handlers().items()
            }
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers),))
            address = {"Network": "tcp", "String": f"{HOST}:{server.add_insecure_port(f'{HOST}:0')}"}
            server.start()
            stack.callback(_stop, server)
            attach[f"registry.terraform.io/{schema['_meta']['provider']}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": address,
            }
        yield {
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "TF_REATTACH_PROVIDERS": json.dumps(attach),
        }
