"""Makes the push attempts that the state asks for, and wakes whoever waits for its time to come."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from spanner_backup_emulator.dispatch import Dispatcher
from spanner_backup_emulator.pubsub.model import push_body

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.model import Delivery
    from spanner_backup_emulator.pubsub.service import Service

WAIT_S_MAX = 60.0
"""Slept at most: a bound on what a wall clock that is set back can delay."""

_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class PushLoop:
    """One thread that advances the state when its next event is due, and a pool that posts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sender = Dispatcher(name="pubsub-push")
        self._thread = threading.Thread(target=self._run, name="pubsub-push-loop")

    def start(self) -> None:
        """Starts pushing."""
        self._thread.start()

    def stop(self) -> None:
        """Cuts off what is in flight and returns once all threads have ended; the service must be closing."""
        self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        service = self._service
        with service.changed:
            while not service.closing:
                for delivery in service.state.advance(service.endpoint.clock()):
                    self._post(delivery)
                service.changed.notify_all()
                service.changed.wait(self._pause_s())

    def _pause_s(self) -> float:
        """Until the next event; no time at all if it is due."""
        next_event_at = self._service.state.next_event_at()
        if next_event_at is None:
            return WAIT_S_MAX
        pause_s = (next_event_at - self._service.endpoint.clock()).total_seconds()
        return min(max(pause_s, 0.0), WAIT_S_MAX)

    def _post(self, delivery: Delivery) -> None:
        settings = delivery.subscription
        config, headers = settings.push_config, dict(_HEADERS)
        if config.HasField("oidc_token"):
            now, token = self._service.endpoint.clock(), config.oidc_token
            audience = token.audience or config.push_endpoint
            headers["Authorization"] = self._service.signer.identity(now, token.service_account_email, audience)
        done = functools.partial(self._done, delivery)
        timeout_s = settings.ack_deadline_seconds
        self._sender.submit(config.push_endpoint, headers, push_body(delivery), timeout_s, done)

    def _done(self, delivery: Delivery, status: int) -> None:
        service = self._service
        with service.changed:
            if not service.closing:
                service.state.delivered(service.endpoint.clock(), delivery, status)
            service.changed.notify_all()
