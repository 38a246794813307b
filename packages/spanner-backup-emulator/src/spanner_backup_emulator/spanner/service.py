"""The gRPC services on top of the state: DatabaseAdmin, InstanceAdmin and google.longrunning.Operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from spanner_backup_emulator.spanner.rpcs import RPCS

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.serving import Endpoint
    from spanner_backup_emulator.spanner.rpcs import Rpc
    from spanner_backup_emulator.spanner.state import State


def register(server: grpc.Server, endpoint: Endpoint, state: State) -> None:
    """Adds all services to a server; a method not in the table answers UNIMPLEMENTED, as gRPC does by itself."""

    def handler(rpc: Rpc) -> grpc.RpcMethodHandler[Any, Any]:
        def call(request: Message, context: grpc.ServicerContext) -> Message:
            return endpoint.answer(rpc.name, context, lambda now: state.apply(now, request), rpc.resource_of(request))

        return grpc.unary_unary_rpc_method_handler(call, rpc.request.FromString, rpc.response.SerializeToString)

    for service in {rpc.service for rpc in RPCS}:
        handlers = {rpc.name: handler(rpc) for rpc in RPCS if rpc.service == service}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
