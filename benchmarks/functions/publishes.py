"""The least that a function can do to tell something: one message published with the official client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import functions_framework
import grpc
from google.pubsub_v1.services.publisher import PublisherClient

if TYPE_CHECKING:
    from flask import Request

TOPIC = os.environ["BACKSTOP_RESULTS_TOPIC"]
CHANNEL = grpc.insecure_channel(os.environ["PUBSUB_EMULATOR_HOST"])
CLIENT = PublisherClient(transport=PublisherClient.get_transport_class("grpc")(channel=CHANNEL))


@functions_framework.http
def on_message(request: Request) -> tuple[str, int]:
    """Publishes what it was given."""
    CLIENT.publish(request={"topic": TOPIC, "messages": [{"data": request.get_data()}]})
    return "", 204
