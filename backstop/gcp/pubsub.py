"""Events into the log and into Pub/Sub, one at a time: a delivery isn't answered before its event is accepted.

The generated client publishes in the calling thread and returns with Pub/Sub's message id. The one of Google's samples
collects messages in a thread of its own, which stands still once an instance has answered and loses its processor.
https://cloud.google.com/run/docs/configuring/billing-settings (documented)
"""

from datetime import UTC, datetime

from backstop.errors import CallError, TransientError
from backstop.events import Event, cut
from backstop.gcp import logs
from backstop.gcp.calls import Budget, Service
from backstop.wire import encode_event

_service = Service("google.pubsub_v1", "PublisherClient", "PUBSUB")


class PubSubEvents:
    """The `Events` port, for one delivery."""

    def __init__(self, topic: str, trace: str, budget: Budget) -> None:
        """Takes the topic's full name; empty writes to the log alone."""
        self._topic, self._trace, self._budget = topic, trace, budget

    def publish(self, event: Event) -> None:
        """Logs an event and publishes it; one that is refused for its size or form, once more and shortened.

        Every other refusal counts as transient: an outcome must not be lost.
        """
        logs.write(logs.event(event, self._trace))
        if not self._topic:
            return
        for one in (event, cut(event)):
            data, attributes = encode_event(one, datetime.now(UTC))
            message = {"data": data, "attributes": attributes}
            try:
                _service.call("publish", {"topic": self._topic, "messages": [message]}, self._budget)
            except CallError as error:
                if error.code != "INVALID_ARGUMENT":
                    why = f"could not publish the outcome: {error.failure.message}"
                    raise TransientError(error.code, why) from error
                refused = error.failure.message
            else:
                return
        why = f"Pub/Sub refuses this outcome, even shortened: {refused}"
        logs.write(logs.event(event, self._trace, severity="ERROR", message=why))

    def announce_deletion(self, event: Event) -> None:
        """Logs what is about to be deleted and why."""
        logs.write(logs.event(event, self._trace, severity="NOTICE", outcome=None))
