"""Makes the push attempts that the state asks for, and wakes whoever waits for its time to come."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from spanner_backup_emulator.dispatch import Dispatcher
from spanner_backup_emulator.pubsub.model import push_body

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.pubsub.model import Delivery
    from spanner_backup_emulator.pubsub.service import Service

WAIT_S_MAX = 60.0
"""Slept at most: a bound on what a wall clock that is set back can delay."""

_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class PushLoop:
    """One thread that advances the state when its next event is due, and a pool that posts.

    Whoever has posted a message goes on with the next, so that a message in a long row costs no change of threads.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sender = Dispatcher(name="pubsub-push")
        self._thread = threading.Thread(target=self._run, name="pubsub-push-loop")
        self._wakes_at: datetime | None = None

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
                    self._submit(delivery)
                service.changed.notify_all()
                self._wakes_at = at = service.state.next_event_at()
                pause_s = WAIT_S_MAX if at is None else (at - service.endpoint.clock()).total_seconds()
                service.due.wait(min(max(pause_s, 0.0), WAIT_S_MAX))

    def _submit(self, delivery: Delivery) -> None:
        self._sender.submit(*self._request(delivery), functools.partial(self._go_on, delivery))

    def _request(self, delivery: Delivery) -> tuple[str, dict[str, str], bytes, float]:
        settings = delivery.subscription
        config, headers = settings.push_config, dict(_HEADERS)
        if config.HasField("oidc_token"):
            now, token = self._service.endpoint.clock(), config.oidc_token
            audience = token.audience or config.push_endpoint
            headers["Authorization"] = self._service.signer.identity(now, token.service_account_email, audience)
        return config.push_endpoint, headers, push_body(delivery), settings.ack_deadline_seconds

    def _go_on(self, delivery: Delivery, status: int) -> None:
        """Notes how a push ended, and then pushes what has waited for that."""
        while (following := self._done(delivery, status)) is not None:
            delivery = following
            status = self._sender.post(*self._request(delivery))

    def _done(self, delivery: Delivery, status: int) -> Delivery | None:
        service = self._service
        with service.changed:
            if service.closing:
                return None
            now = service.endpoint.clock()
            service.state.delivered(now, delivery, status)
            first, *more = service.state.advance(now) or (None,)
            for other in more:
                self._submit(other)
            next_at = service.state.next_event_at()
            if next_at is not None and (self._wakes_at is None or next_at < self._wakes_at):
                service.due.notify()
            service.changed.notify_all()
            return first
