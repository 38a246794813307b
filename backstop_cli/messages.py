"""Commands out and outcomes in, by Google's Pub/Sub clients."""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from backstop_cli.clients import call, client

PULL_S_MAX = 30.0
"""Of one pull; longer than Pub/Sub lets one wait for a message."""

PAUSE_S = 1.0
"""After a pull that failed, before the connection is taken up again."""

EXPIRES = timedelta(days=1)
"""The shortest that Pub/Sub allows: a subscription whose command was killed is gone a day later.

https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period (documented)
"""

KEPT = timedelta(minutes=10)
"""The shortest that Pub/Sub keeps what nobody has pulled (documented, same page)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One outcome."""

    id: str  # The same for every telling of it.
    time: str  # When it was told.
    data: dict[str, Any]  # The document.

    @property
    def outcome(self) -> str:
        """What it tells."""
        return str(self.data.get("outcome", ""))

    @property
    def said(self) -> tuple[str, str]:
        """What it tells, and the severity, empty if it is the usual one."""
        return self.outcome, str(self.data.get("severity", ""))

    @property
    def message_id(self) -> str:
        """The command's message."""
        return str(self.data.get("trigger", {}).get("message_id", ""))


def publish(topic: str, command: object) -> str:
    """Publishes a command, and returns its message's id once Pub/Sub has it."""
    publisher = client("google.pubsub_v1", "PublisherClient", "PUBSUB")
    message = {"data": json.dumps(command).encode()}
    return str(call(publisher.publish, {"topic": topic, "messages": [message]}).message_ids[0])


class Subscription:
    """Outcomes as they are told, while the context lasts: by a temporary subscription, or one that exists."""

    def __init__(self, topic: str, name: str = "") -> None:
        """Takes full names; without one of a subscription, a temporary one is made, and removed at the end."""
        self._topic, self._own = topic, not name
        project = "/".join(topic.split("/")[:2])
        self.name = name or f"{project}/subscriptions/backstop-cli-{secrets.token_hex(6)}"
        self._events: queue.Queue[Event | Exception] = queue.Queue()
        self._seen: set[tuple[str, str]] = set()
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        """Begins to receive: what is told from now on is not missed."""
        self._client = client("google.pubsub_v1", "SubscriberClient", "PUBSUB")
        if self._own:
            request = {
                "name": self.name,
                "topic": self._topic,
                "message_retention_duration": KEPT,
                "expiration_policy": {"ttl": EXPIRES},
            }
            call(self._client.create_subscription, request)
        threading.Thread(target=self._pull, name="outcomes", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes what is its own; where that fails, it expires."""
        self._stop.set()
        if self._own:
            from google.api_core.exceptions import GoogleAPIError

            with contextlib.suppress(GoogleAPIError):
                call(self._client.delete_subscription, {"subscription": self.name}, seconds=5)

    def next(self, seconds: float) -> Event | None:
        """The next outcome; None if none comes in time."""
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(event, Exception):
            raise event
        return event

    def _pull(self) -> None:
        """Receives until it is told to stop. A connection that is lost is taken up again, as long as it takes."""
        from google.api_core import exceptions

        for_good = (exceptions.NotFound, exceptions.PermissionDenied, exceptions.FailedPrecondition)
        request = {"subscription": self.name, "max_messages": 100}
        while not self._stop.is_set():
            try:
                answer = self._client.pull(request=request, timeout=PULL_S_MAX, retry=None)
                # First taken: if the acknowledgement fails, they come again, and what was seen is passed over.
                for one in answer.received_messages:
                    self._take(one.message)
                ids = [one.ack_id for one in answer.received_messages]
                if ids:
                    self._client.acknowledge(subscription=self.name, ack_ids=ids, timeout=PULL_S_MAX)
            except exceptions.DeadlineExceeded:
                continue
            except for_good as error:
                self._events.put(error)
                return
            except exceptions.GoogleAPIError:
                self._stop.wait(PAUSE_S)

    def _take(self, message: Any) -> None:
        """Passes on what is an outcome and is new."""
        attributes = dict(message.attributes)
        event_id = attributes.get("ce-id", message.message_id)
        try:
            data = json.loads(message.data)
        except ValueError:
            return
        if not isinstance(data, dict) or "outcome" not in data or not isinstance(data.get("trigger", {}), dict):
            return
        event = Event(event_id, attributes.get("ce-time", ""), data)
        # Two commands may tell the same end of one operation: to each it is its own.
        if (event.id, event.message_id) not in self._seen:
            self._seen.add((event.id, event.message_id))
            self._events.put(event)
