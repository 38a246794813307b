"""The emulator as a server: gRPC and REST in front, one timer, and a pool that pushes what is due."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from datetime import datetime, timedelta

import grpc

from spanner_backup_emulator.dispatch import Dispatcher
from spanner_backup_emulator.emulator import Emulator
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import AT_ONCE, Delivery, Outcome, pb, push_body
from spanner_backup_emulator.pubsub.service import RPCS, WORKS
from spanner_backup_emulator.pubsub.settings import REQUEST_BYTES_MAX, invalid
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.rest import answer
from spanner_backup_emulator.rpc import Rpc, abort, encoded, register
from spanner_backup_emulator.serving import HOST, THREAD_COUNT_MAX, wall_clock
from spanner_backup_emulator.tokens import KEYS_PATH, Signer

# A pull that finds nothing waits this long; the service only says that it is bounded (documented).
# https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
PULL_WAIT_S = 10.0
STREAM_BATCH_COUNT_MAX = 100  # Messages in one response of a stream, which so stays a fraction of a publish.
WAIT_S_MAX = 60.0  # Slept at most: a bound on what a wall clock that is set back can delay.
PUSH_COUNT_MAX = 100  # On one connection: an endpoint that serves one after the other comes to the next in time.

# Twice the largest publish comes through, so that the state refuses it and not the transport.
_OPTIONS = (("grpc.max_receive_message_length", 2 * REQUEST_BYTES_MAX), ("grpc.max_send_message_length", -1))
_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class PubSubEmulator(Emulator):
    """Google's clients reach it through `PUBSUB_EMULATOR_HOST`, REST through `http://` and the same address.

    The helpers are for authors of tests: they speak of what the service would hide, and raise what they find wrong.
    `StreamingPull` is checked for faults when a stream begins; REST and gRPC calls count alike.

    Whoever changes the state has what is due pushed at once, and whoever has posted a message goes on with the next: in
    a long row it costs no change of threads and no new connection. The timer sees to what becomes due while nothing
    else happens.
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
        self._changed = threading.Condition(self.lock)
        self._shut = False
        self._signer = Signer()
        self._sender = Dispatcher(name="pubsub-push")
        self._timer = threading.Thread(target=self._push_in_time, name="pubsub-timer")
        self._earlier = threading.Condition(self.lock)  # Wakes the timer before it would look by itself.
        self._wakes_at: datetime | None = None

    def _open(self, closing: contextlib.ExitStack) -> None:
        receivers = closing.enter_context(futures.ThreadPoolExecutor(THREAD_COUNT_MAX, "pubsub-stream"))
        stream = grpc.stream_stream_rpc_method_handler(
            functools.partial(self._streaming_pull, receivers), pb.StreamingPullRequest.FromString, encoded
        )
        handler = grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", {"StreamingPull": stream})

        def register_all(server: grpc.Server) -> None:
            register(server, RPCS, self._call)
            server.add_generic_rpc_handlers((handler,))

        cut = self._open_port(closing, register_all, self._rest, _OPTIONS)
        self._timer.start()
        closing.callback(self._stop)
        closing.callback(cut)

    def _stop(self) -> None:
        """Lets nobody wait any more, cuts off the pushes in flight, and returns once their threads have ended."""
        with self.lock:
            self._shut = True
            self._changed.notify_all()
            self._earlier.notify()
        self._timer.join()
        self._sender.close()

    def create_topic(self, name: str) -> str:
        """Creates a topic and returns its name."""
        with self._changing() as now:
            return self._state.create_topic(now, pb.Topic(name=name)).name

    def create_push_subscription(self, name: str, topic: str, endpoint: str, **settings: object) -> str:
        """Creates a subscription that posts to an http URL, with more fields of Google's `Subscription`."""
        asked = pb.Subscription(name=name, topic=topic, push_config={"push_endpoint": endpoint}, **settings)
        with self._changing() as now:
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
            return [one for one in self._state.outcomes if subscription in {None, one.delivery.subscription.name}]

    def duplicate_next(self, topic: str, count: int = 1, after: timedelta = AT_ONCE) -> None:
        """Makes each of the next `count` messages of a topic arrive twice, the second copy due `after` the first."""
        with self.lock:
            self._state.duplicate_next(topic, count, after)

    def delay_next(self, topic: str, count: int = 1, *, after: timedelta) -> None:
        """Makes each of the next `count` messages of a topic arrive late."""
        with self.lock:
            self._state.delay_next(topic, count, after=after)

    def redeliver(self, message_id: str, after: timedelta = AT_ONCE) -> None:
        """Sends a message once more to each subscription of its topic; a KeyError if it isn't remembered."""
        with self._changing() as now:
            self._state.redeliver(now, message_id, after)

    def undelivered_count(self, subscription: str | None = None) -> int:
        """How many messages one subscription, or else all that push, have yet to get acknowledged."""
        with self.lock:
            return self._state.undelivered_count(subscription)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is left to push, copies that are due later included; False if that took too long."""
        with self.lock:
            return self._changed.wait_for(lambda: self._state.undelivered_count() == 0, timeout_s)

    def wake(self) -> None:
        """Pushes what is due and wakes who waits, by the clock as it is; for a test that has just moved it."""
        with self.lock:
            self._submit(self._due())

    @contextlib.contextmanager
    def _changing(self) -> Iterator[datetime]:
        """Holds the lock, and sees to what follows from a change."""
        with self.lock:
            yield self.endpoint.clock()
            self.wake()

    def _rest(self, verb: str, target: str, body: bytes) -> bytes:
        """Answers over HTTP: the same methods, and the keys of the tokens."""
        if target == KEYS_PATH:
            return self._signer.answer(verb, target, body)
        return answer(RPCS, self._call, verb, target, body)

    def _call(self, rpc: Rpc, request: Message, context: grpc.ServicerContext | None = None) -> Message | None:
        """Answers as long as the client is there: a pull for nobody would lose its messages until their deadline."""

        def work(now: datetime) -> Message | None:
            if rpc.name == "Pull":
                wait_s = 0.0 if request.return_immediately else PULL_WAIT_S
                return self._pull(request, wait_s, lambda: context is None or context.is_active())
            return WORKS[rpc.name](self._state, now, request)

        if context is not None and rpc.name == "Pull":
            context.add_callback(self.wake)
        try:
            return self.endpoint.run(rpc.name, work, rpc.resource_of(request))
        finally:
            self.wake()

    def _pull(
        self, request: pb.PullRequest, wait_s: float | None, alive: Callable[[], bool], ack_deadline_s: int = 0
    ) -> pb.PullResponse:
        """Pulls until there is something, the time is up, or nobody waits; gives the lock away meanwhile."""

        def found() -> pb.PullResponse | None:
            if self._shut or not alive():
                return pb.PullResponse()
            response = self._state.pull(self.endpoint.clock(), request, ack_deadline_s)
            return response if response.received_messages else None

        return self._changed.wait_for(found, wait_s) or pb.PullResponse()

    def _streaming_pull(
        self, receivers: futures.Executor, requests: Iterator[pb.StreamingPullRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.StreamingPullResponse]:
        """Sends in this thread and receives in another; both end with the call."""
        context.add_callback(self.wake)
        first = next(requests, None)
        if first is None:
            return
        name = first.subscription
        receiving = receivers.submit(self._receive, name, requests)
        receiving.add_done_callback(lambda _: self.wake())

        def alive() -> bool:
            return context.is_active() and not receiving.done()

        try:
            with self.lock:
                self.faults.check("StreamingPull", "before", name)
                self._state.subscription(name)  # A client that has already ended its side is refused too.
            ask = pb.PullRequest(subscription=name, max_messages=STREAM_BATCH_COUNT_MAX)
            while alive() and not self._shut:
                with self._changing():
                    received = self._pull(ask, None, alive, first.stream_ack_deadline_seconds).received_messages
                if received:
                    yield pb.StreamingPullResponse(received_messages=received)
            if receiving.done():
                receiving.result()
        except ApiError as error:
            abort(context, error)

    def _receive(self, name: str, requests: Iterator[pb.StreamingPullRequest]) -> None:
        """Does what the later requests of a stream ask: acknowledgements and new deadlines; a refusal ends it."""
        with contextlib.suppress(grpc.RpcError):  # The call is over, which the sending side sees for itself.
            for request in requests:
                ids, deadlines_s = request.modify_deadline_ack_ids, request.modify_deadline_seconds
                if len(ids) != len(deadlines_s):
                    raise invalid("There must be one modify_deadline_seconds for each ack id.")
                with self._changing() as now:
                    if request.ack_ids:
                        done = pb.AcknowledgeRequest(subscription=name, ack_ids=request.ack_ids)
                        self._state.acknowledge(now, done)
                    for ack_id, deadline_s in zip(ids, deadlines_s, strict=True):
                        ask = pb.ModifyAckDeadlineRequest(subscription=name, ack_ids=[ack_id])
                        ask.ack_deadline_seconds = deadline_s
                        self._state.modify_ack_deadline(now, ask)

    def _push_in_time(self) -> None:
        """Pushes what becomes due."""
        with self._earlier:
            while not self._shut:
                self.wake()
                self._wakes_at = at = self._state.next_event_at()
                pause_s = WAIT_S_MAX if at is None else (at - self.endpoint.clock()).total_seconds()
                self._earlier.wait(min(max(pause_s, 0.0), WAIT_S_MAX))

    def _due(self) -> list[Delivery]:
        """What is to be pushed now; wakes who waits, and the timer if something is due before it would look."""
        self._changed.notify_all()
        found = self._state.advance(self.endpoint.clock()) if self._timer.is_alive() and not self._shut else []
        at = self._state.next_event_at()
        if at is not None and (self._wakes_at is None or at < self._wakes_at):
            self._earlier.notify()
        return found

    def _submit(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._sender.run(functools.partial(self._push, delivery))

    def _push(self, delivery: Delivery) -> None:
        """Pushes a message, and on the same connection what may be pushed then."""
        settings, following = delivery.subscription, [delivery]
        config, endpoint = settings.push_config, settings.push_config.push_endpoint
        with self._sender.connection(endpoint, settings.ack_deadline_seconds) as connection:
            for _ in range(PUSH_COUNT_MAX):
                headers = _HEADERS | self._signer.headers(self.endpoint.clock(), config, endpoint)
                status = self._sender.send(connection, endpoint, headers, push_body(delivery))
                following = self._pushed(delivery, status)
                if not following or following[0].subscription is not settings:
                    break
                (delivery,) = following
        self._submit(following)

    def _pushed(self, delivery: Delivery, status: int) -> list[Delivery]:
        """Notes how a push ended; returns what is to be pushed next by who asks, one delivery at most."""
        with self.lock:
            if not self._shut:
                self._state.delivered(self.endpoint.clock(), delivery, status)
            due = self._due()
            self._submit(due[1:])
            return due[:1]
