"""Outcomes into Pub/Sub, through Google's generated client: no batching, no threads of its own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backstop.errors import CallError, TransientError
from backstop.gcp.calls import Budget, Once, our_errors
from backstop.messages import encode_result

if TYPE_CHECKING:
    from google.pubsub_v1.services.publisher import PublisherClient

    from backstop.results import Result


def _make_client() -> PublisherClient:
    from google.pubsub_v1.services.publisher import PublisherClient  # noqa: PLC0415 at first use only

    address = os.environ.get("PUBSUB_EMULATOR_HOST")
    if not address:
        return PublisherClient()
    import grpc  # noqa: PLC0415

    transport = PublisherClient.get_transport_class("grpc")
    return PublisherClient(transport=transport(channel=grpc.insecure_channel(address)))


_client = Once(_make_client)


class PubSubResults:
    """The `Results` port, for one delivery."""

    def __init__(self, topic: str, budget: Budget) -> None:
        """Takes the topic's full name; empty tells nobody, and the log line still does."""
        self._topic = topic
        self._budget = budget

    def publish(self, result: Result) -> None:
        """Tells one outcome. Every refusal counts as transient: an outcome must not be lost."""
        if not self._topic:
            return
        data, attributes = encode_result(result, datetime.now(UTC))
        message = {"data": data, "attributes": attributes}
        try:
            with our_errors():
                _client().publish(request={"topic": self._topic, "messages": [message]}, **self._budget.repeatable())
        except CallError as error:
            raise TransientError(error.code, f"could not publish the outcome: {error.message}") from error
