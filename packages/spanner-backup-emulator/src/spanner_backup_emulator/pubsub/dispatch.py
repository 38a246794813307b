"""Makes the push attempts that the state asks for, and wakes whoever waits for its time to come."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING

from spanner_backup_emulator.dispatch import Dispatcher
from spanner_backup_emulator.pubsub.model import push_body

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.pubsub.model import Delivery, pb
    from spanner_backup_emulator.pubsub.service import Service

WAIT_S_MAX = 60.0
"""Slept at most: a bound on what a wall clock that is set back can delay."""

PUSH_COUNT_MAX = 100
"""On one connection: an endpoint that serves one connection after the other comes to the next in time."""

_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class PushLoop:
    """One thread that advances the state when its next event is due, and a pool that posts.

    Whoever has posted a message goes on with the next, so that one in a long row costs no change of threads and no new
    connection.
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
        self._sender.run(functools.partial(self._push, delivery))

    def _push(self, delivery: Delivery) -> None:
        """Pushes a message, and on the same connection what may be pushed then."""
        settings, following = delivery.subscription, None
        endpoint, deadline_s = settings.push_config.push_endpoint, settings.ack_deadline_seconds
        with self._sender.connection(endpoint, deadline_s) as connection:
            for _ in range(PUSH_COUNT_MAX):
                headers = self._headers(settings.push_config)
                status = self._sender.send(connection, endpoint, headers, push_body(delivery))
                following = self._done(delivery, status)
                if following is None or following.subscription is not settings:
                    break
                delivery = following
        if following is not None:
            self._submit(following)

    def _headers(self, config: pb.PushConfig) -> dict[str, str]:
        if not config.HasField("oidc_token"):
            return _HEADERS
        now, token = self._service.endpoint.clock(), config.oidc_token
        audience = token.audience or config.push_endpoint
        return {**_HEADERS, "Authorization": self._service.signer.identity(now, token.service_account_email, audience)}

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
