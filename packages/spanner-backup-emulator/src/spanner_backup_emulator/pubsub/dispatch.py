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

PUSH_COUNT_MAX = 100
"""On one connection: an endpoint that serves one connection after the other comes to the next in time."""

_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class PushLoop:
    """A pool that posts, and one thread that sees to what becomes due while nothing else happens.

    Whoever changes the state has what is due pushed at once, and whoever has posted a message goes on with the next: in
    a long row it costs no change of threads and no new connection.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sender = Dispatcher(name="pubsub-push")
        self._thread = threading.Thread(target=self._run, name="pubsub-push-loop")
        self._earlier = threading.Condition(service.endpoint.lock)
        self._wakes_at: datetime | None = None

    def start(self) -> None:
        """Starts pushing."""
        self._service.push = self._push_due
        self._thread.start()

    def stop(self) -> None:
        """Cuts off what is in flight and returns once all threads have ended; the service must be closing."""
        with self._earlier:
            self._earlier.notify()
        self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        service = self._service
        with self._earlier:
            while not service.closing:
                service.notify()
                self._wakes_at = at = service.state.next_event_at()
                pause_s = WAIT_S_MAX if at is None else (at - service.endpoint.clock()).total_seconds()
                self._earlier.wait(min(max(pause_s, 0.0), WAIT_S_MAX))

    def _push_due(self) -> None:
        for delivery in self._due():
            self._submit(delivery)

    def _due(self) -> list[Delivery]:
        """What is to be pushed now; wakes the thread if something is due before it would look again."""
        service = self._service
        found = [] if service.closing else service.state.advance(service.endpoint.clock())
        at = service.state.next_event_at()
        if at is not None and (self._wakes_at is None or at < self._wakes_at):
            self._earlier.notify()
        return found

    def _submit(self, delivery: Delivery) -> None:
        self._sender.run(functools.partial(self._push, delivery))

    def _push(self, delivery: Delivery) -> None:
        """Pushes a message, and on the same connection what may be pushed then."""
        settings, following = delivery.subscription, None
        config, deadline_s = settings.push_config, settings.ack_deadline_seconds
        endpoint, now = config.push_endpoint, self._service.endpoint.clock
        with self._sender.connection(endpoint, deadline_s) as connection:
            for _ in range(PUSH_COUNT_MAX):
                headers = _HEADERS | self._service.signer.headers(now(), config, endpoint)
                status = self._sender.send(connection, endpoint, headers, push_body(delivery))
                following = self._done(delivery, status)
                if following is None or following.subscription is not settings:
                    break
                delivery = following
        if following is not None:
            self._submit(following)

    def _done(self, delivery: Delivery, status: int) -> Delivery | None:
        """Notes how a push ended; returns what is to be pushed next by who asks."""
        service = self._service
        with service.changed:
            if not service.closing:
                service.state.delivered(service.endpoint.clock(), delivery, status)
            first, *more = self._due() or (None,)
            for other in more:
                self._submit(other)
            service.changed.notify_all()
            return first
