"""An emulated Pub/Sub on a port of its own, for tests and for the demo."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.pubsub.model import AT_ONCE, Outcome, pb
from spanner_backup_emulator.pubsub.service import Service
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.serving import HOST, wall_clock

GRPC_BYTES_MAX = 20_000_000
"""Of one gRPC message: twice the largest publish, so that the state refuses it and not the transport."""

_OPTIONS = (("grpc.max_receive_message_length", GRPC_BYTES_MAX), ("grpc.max_send_message_length", -1))


class PubSubEmulator(Emulator):
    """Google's clients reach it through `PUBSUB_EMULATOR_HOST`, REST through `http://` and the same address.

    The helpers are for authors of tests: they speak of what the service would hide, and raise what they find wrong.
    `StreamingPull` is checked for faults when a stream begins; REST and gRPC calls count alike.
    """

    def __init__(
        self,
        port: int = 0,
        clock: Callable[[], datetime] = wall_clock,
        faults: Faults | None = None,
        state: State | None = None,
        host: str = HOST,
    ) -> None:
        super().__init__(port, clock, faults, host)
        self._state = state if state is not None else State()
        self._service = Service(self.endpoint, self._state)

    def _open(self, closing: ExitStack) -> None:
        register = functools.partial(self._service.register, closing)
        cut = self._open_port(closing, register, self._service.rest, _OPTIONS)
        self._service.start()
        closing.callback(self._service.close)
        closing.callback(cut)

    def create_topic(self, name: str) -> str:
        """Creates a topic and returns its name."""
        with self._changing() as now:
            return self._state.create_topic(now, pb.Topic(name=name)).name

    def create_push_subscription(self, name: str, topic: str, endpoint: str, **settings: object) -> str:
        """Creates a subscription that posts to an http URL, with more fields of Google's `Subscription`."""
        push = {"push_endpoint": endpoint}
        with self._changing() as now:
            asked = pb.Subscription(name=name, topic=topic, push_config=push, **settings)
            return self._state.create_subscription(now, asked).name

    def create_pull_subscription(self, name: str, topic: str) -> str:
        """Creates a subscription to pull from, and returns its name."""
        return self.create_push_subscription(name, topic, "")

    def publish(self, topic: str, data: bytes = b"", **attributes: str) -> str:
        """Publishes one message and returns its id."""
        message = pb.PubsubMessage(data=data, attributes=attributes)
        with self._changing() as now:
            return self._state.publish(now, pb.PublishRequest(topic=topic, messages=[message])).message_ids[0]

    def published(self, topic: str) -> list[pb.PubsubMessage]:
        """The latest messages of a topic, the oldest first; they are not to be changed."""
        with self.lock:
            return self._state.published(topic)

    def outcomes(self, subscription: str | None = None) -> list[Outcome]:
        """How the latest push attempts ended, of one subscription or of all, the oldest first."""
        with self.lock:
            return [
                outcome
                for outcome in self._state.outcomes
                if subscription is None or outcome.delivery.subscription.name == subscription
            ]

    def duplicate_next(self, topic: str, count: int = 1, after: timedelta = AT_ONCE) -> None:
        """Makes each of the next `count` messages of a topic arrive twice, the second copy due `after` the first."""
        with self.lock:
            self._state.duplicate_next(topic, count, after)

    def delay_next(self, topic: str, count: int = 1, *, after: timedelta) -> None:
        """Makes each of the next `count` messages of a topic arrive late."""
        with self.lock:
            self._state.delay_next(topic, count, after=after)

    def redeliver(self, message_id: str, after: timedelta = AT_ONCE) -> None:
        """Sends a message once more to each subscription of its topic.

        Raises:
            KeyError: No such message is remembered.
        """
        with self._changing() as now:
            self._state.redeliver(now, message_id, after)

    def undelivered_count(self, subscription: str | None = None) -> int:
        """How many messages one subscription, or else all that push, have yet to get acknowledged."""
        with self.lock:
            return self._state.undelivered_count(subscription)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is left to push, copies that are due later included; False if that took too long."""
        with self.lock:
            return self._service.changed.wait_for(lambda: self._state.undelivered_count() == 0, timeout_s)

    def wake(self) -> None:
        """Makes the emulator look at its clock; for a test that has just moved it."""
        self._service.notify()

    @contextmanager
    def _changing(self) -> Iterator[datetime]:
        """Holds the lock, and tells everybody that the state may have changed."""
        with self.lock:
            yield self.endpoint.clock()
            self._service.notify()
