"""Outcomes into Pub/Sub, one at a time: a delivery isn't answered before its outcome is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backstop.errors import CallError, TransientError
from backstop.gcp.calls import Budget, Service
from backstop.messages import encode_result

if TYPE_CHECKING:
    from backstop.results import Result


_service = Service("pubsub.googleapis.com", "PUBSUB_EMULATOR_HOST")


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
            _service.call("Publish", {"topic": self._topic, "messages": [message]}, self._budget)
        except CallError as error:
            raise TransientError(error.code, f"could not publish the outcome: {error.message}") from error
