"""Outcomes into the log and into Pub/Sub, one at a time: a delivery isn't answered before its outcome is accepted.

The generated client publishes in the calling thread and returns with Pub/Sub's message id. The one of Google's samples
collects messages in a thread of its own, which stands still once an instance has answered and loses its processor.
https://cloud.google.com/run/docs/configuring/billing-settings (documented)
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backstop.errors import CallError, TransientError
from backstop.gcp import logs
from backstop.gcp.calls import Budget, Service
from backstop.messages import encode_result
from backstop.results import ATTRIBUTE_BYTES_MAX, cut, shortened

if TYPE_CHECKING:
    from backstop.results import Result

_service = Service("google.pubsub_v1", "PublisherClient", "PUBSUB")


class PubSubResults:
    """The `Results` port, for one delivery."""

    def __init__(self, topic: str, trace: str, budget: Budget) -> None:
        """Takes the topic's full name; empty tells only the log."""
        self._topic, self._trace, self._budget = topic, trace, budget

    def publish(self, result: Result) -> None:
        """Logs one outcome and publishes it; one that is refused for its size or form, once more and shortened.

        Every other refusal counts as transient: an outcome must not be lost.
        """
        logs.write(logs.outcome(result, self._trace))
        if not self._topic:
            return
        for one in (result, shortened(result)):
            try:
                self._publish(one)
            except CallError as error:
                if error.code != "INVALID_ARGUMENT":
                    raise TransientError(error.code, f"could not publish the outcome: {error.message}") from error
                refused = error.message
            else:
                return
        logs.write(logs.outcome(result, self._trace, f"Pub/Sub refuses this outcome, even shortened: {refused}"))

    def _publish(self, result: Result) -> None:
        data, attributes = encode_result(result, datetime.now(UTC))
        attributes = {name: cut(text, ATTRIBUTE_BYTES_MAX) for name, text in attributes.items()}
        message = {"data": data, "attributes": attributes}
        _service.call("publish", {"topic": self._topic, "messages": [message]}, self._budget)
