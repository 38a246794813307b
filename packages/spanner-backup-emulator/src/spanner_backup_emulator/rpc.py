"""One table for a gRPC service: how each of its methods is read, and how its answer is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from spanner_backup_emulator.serving import Endpoint


class Method(NamedTuple):
    """One method that has one answer.

    Attributes:
        request: The class of Google's request.
        parse: Makes a request to the state out of it.
        show: Makes Google's answer out of the request and the state's answer.
    """

    request: Any
    parse: Callable[[Any], Any]
    show: Callable[[Any, Any], Any]


def register(
    server: grpc.Server,
    service: str,
    methods: Mapping[str, Method],
    endpoint: Endpoint,
    apply: Callable[[datetime, Any], Any],
    resource_of: Callable[[Method, Any], str],
) -> None:
    """Adds a service; a method that is not in the table answers UNIMPLEMENTED, as gRPC does by itself.

    Args:
        server: The server, not yet started.
        service: Its full name.
        methods: By name.
        endpoint: The lock, the clock and the faults.
        apply: Answers a request to the state; called with the lock held.
        resource_of: The name that a fault is matched with.
    """

    def handler(name: str, method: Method) -> grpc.RpcMethodHandler[Any, Any]:
        def call(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - Google's messages have no types
            def work(now: datetime) -> Any:  # noqa: ANN401 - the same
                return method.show(request, apply(now, method.parse(request)))

            return endpoint.answer(name, context, work, resource_of(method, request))

        read = getattr(method.request, "deserialize", None) or method.request.FromString
        return grpc.unary_unary_rpc_method_handler(call, request_deserializer=read, response_serializer=serialized)

    handlers = {name: handler(name, method) for name, method in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def serialized(message: Any) -> bytes:  # noqa: ANN401 - a message of either of Google's two kinds
    """The message's bytes."""
    made: bytes = (
        message.SerializeToString() if hasattr(message, "SerializeToString") else type(message).serialize(message)
    )
    return made
