"""The methods of a service: one table for its gRPC server, for REST, and for what a fault is matched with."""

import os
import re
import socket
import stat
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, NoReturn

import grpc
from google.rpc import status_pb2

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Trouble, TroubleError
from spanner_backup_emulator.messages import Message

CALL_S_MAX = 60.0
"""For one call to an emulator."""

GARBLED = b"\xff" * 8
"""No message: it begins with a field whose number has no end."""

_STATUS = {status.value[0]: status for status in grpc.StatusCode}
_NOWHERE = re.compile("(?!)")
_SHOWN_PATH = re.compile(r"(.*)\{([\w.]+)=(\w+)\}(.*)")


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method that has one answer."""

    service: str  # The full name of its service.
    name: str
    request: Message  # The class of its request, and below that of its answer.
    resource_of: Callable[[Message], str]  # The full name of what a request is about.
    method: str = ""  # What Python calls it.
    response: Message = None
    verb: str = ""  # REST's, and REST's path, whose group `name` is the value of a field.
    path: re.Pattern[str] = _NOWHERE
    field: str = ""  # That field.
    body: str = ""  # Which field the body is; empty where the body is the request itself.


def table(classes: object, places: Mapping[str, str], text: str) -> Iterator[Rpc]:
    """Reads a table of methods.

    A line with one word names the service of the lines below it, which are of this form:

        CreateBackup Operation POST {parent=INSTANCE}/backups body=backup new=/backups/{0.backup_id}

    That is the method, its answer, REST's verb and path, the field that the body is, and how the name of what is made
    follows from its parent's. In the braces are a field of the request and the kind of name that it has.

    Args:
        classes: Where the messages are; the request of a method without one of its own is like its answer.
        places: A pattern for each kind of names.
        text: The lines.
    """
    service = ""
    for name, *words in map(str.split, text.strip().splitlines()):
        if not words:
            service = name
            continue
        answer, verb, shown = words[:3]
        more = dict(word.split("=", 1) for word in words[3:])
        before, field, place, after = _SHOWN_PATH.fullmatch(shown).groups()  # type: ignore[union-attr] # it is a path
        yield Rpc(
            service=service,
            name=name,
            method=re.sub(r"\B(?=[A-Z])", "_", name).lower(),
            request=getattr(classes, f"{name}Request", None) or getattr(classes, answer),
            resource_of=f"{{0.{field}}}{more['new']}".format if "new" in more else attrgetter(field),
            response=getattr(classes, answer),
            verb=verb,
            path=re.compile(f"/v1/{before}(?P<name>{places[place]}){after}"),
            field=field,
            body=more.get("body", ""),
        )


def register(
    server: grpc.Server, rpcs: Iterable[Rpc], answer: Callable[[Rpc, Message, grpc.ServicerContext], Message | None]
) -> None:
    """Adds methods to a server, which is not yet started; to all others gRPC answers UNIMPLEMENTED by itself.

    Args:
        server: The server.
        rpcs: The methods.
        answer: Answers a request; None is an answer without anything in it, an ApiError a refusal.
    """

    def call(rpc: Rpc, request: Message, context: grpc.ServicerContext) -> Message | bytes | None:
        try:
            return answer(rpc, request, context)
        except ApiError as error:
            abort(context, error)
        except TroubleError as error:
            return _trouble(error.trouble, context)

    services: defaultdict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = defaultdict(dict)
    for rpc in rpcs:
        services[rpc.service][rpc.name] = grpc.unary_unary_rpc_method_handler(
            partial(call, rpc), rpc.request.FromString, encoded
        )
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def called(channel: grpc.Channel, rpc: Rpc, request: Message) -> Message:
    """Has the server at the other end answer a request.

    Raises:
        ApiError: The refusal.
    """
    call: grpc.UnaryUnaryMultiCallable[Message, Message] = channel.unary_unary(
        f"/{rpc.service}/{rpc.name}", rpc.request.SerializeToString, rpc.response.FromString
    )
    try:
        return call(request, timeout=CALL_S_MAX)
    except grpc.RpcError as error:
        raise ApiError(Code[error.code().name], error.details() or "") from None


def encoded(message: Message | bytes | None) -> bytes:
    """The bytes of an answer."""
    if message is None or isinstance(message, bytes):
        return message or b""
    made: bytes = message.SerializeToString()
    return made


def abort(context: grpc.ServicerContext, error: ApiError) -> NoReturn:
    """Ends the RPC the way Google's front end does: status, text, and `grpc-status-details-bin`."""
    if error.detail is not None:
        status = status_pb2.Status(code=int(error.code), message=error.message)
        status.details.add().Pack(error.detail)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(_STATUS[int(error.code)], error.message)


def _trouble(trouble: Trouble, context: grpc.ServicerContext) -> bytes:
    """What a client gets in the place of an answer."""
    if trouble in {Trouble.BARE, Trouble.GARBLED}:
        return GARBLED if trouble is Trouble.GARBLED else b""
    over = threading.Event()
    if trouble is Trouble.CUT:
        _cut(context.peer())
    if context.add_callback(over.set):
        over.wait()  # For the client's time limit or its end, or for that of this server.
    return b""  # Nobody hears it.


def _cut(peer: str) -> None:
    """Breaks a client's connection; gRPC can't, so its socket is looked for among the open files of this process."""
    port = int(peer.rpartition(":")[2])
    for file in Path("/dev/fd").iterdir():
        with suppress(OSError):  # It may be closed meanwhile.
            if not stat.S_ISSOCK(os.fstat(int(file.name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(file.name))) as connection:
                if connection.family in {socket.AF_INET, socket.AF_INET6} and connection.getpeername()[1] == port:
                    connection.shutdown(socket.SHUT_RDWR)
