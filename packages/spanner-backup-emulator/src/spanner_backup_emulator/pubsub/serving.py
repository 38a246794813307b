"""The gRPC handlers of Pub/Sub."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import grpc

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.service import RPCS
from spanner_backup_emulator.rpc import abort, encoded
from spanner_backup_emulator.rpc import register as register_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanner_backup_emulator.pubsub.service import Service
    from spanner_backup_emulator.rpc import Rpc


def register(server: grpc.Server, service: Service) -> None:
    """Adds Publisher and Subscriber to a gRPC server."""

    def answer(rpc: Rpc, request: Message, context: grpc.ServicerContext) -> Message | None:
        if rpc.name == "Pull":
            context.add_callback(service.notify)
        return service.call(rpc, request, context.is_active)

    register_all(server, RPCS, answer)
    stream = grpc.stream_stream_rpc_method_handler(
        partial(_streaming_pull, service), pb.StreamingPullRequest.FromString, encoded
    )
    handler = grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", {"StreamingPull": stream})
    server.add_generic_rpc_handlers((handler,))


def _streaming_pull(
    service: Service, requests: Iterator[pb.StreamingPullRequest], context: grpc.ServicerContext
) -> Iterator[pb.StreamingPullResponse]:
    """Sends in this thread and receives in another; both end with the call."""
    context.add_callback(service.notify)
    first = next(requests, None)
    if first is None:
        return
    refusals: list[ApiError] = []
    received_all = threading.Event()

    def receive() -> None:
        try:
            for request in requests:
                service.take(first.subscription, request)
        except ApiError as error:
            refusals.append(error)
        except grpc.RpcError:
            pass  # The call is over, which the sending side sees for itself.
        finally:
            received_all.set()
            service.streams.discard(threading.current_thread())
            service.notify()

    receiver = threading.Thread(target=receive, name="pubsub-stream")
    service.streams.add(receiver)
    receiver.start()
    try:
        yield from service.stream(first, lambda: context.is_active() and not received_all.is_set())
    except ApiError as error:
        abort(context, error)
    if refusals:
        abort(context, refusals[0])
