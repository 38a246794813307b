"""The RPCs of both services of Pub/Sub: how each is answered from the state, and what follows from it."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from datetime import datetime
from typing import TypeAlias

import grpc

from spanner_backup_emulator.dispatch import Dispatcher
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import Delivery, pb, push_body
from spanner_backup_emulator.pubsub.settings import invalid
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.rest import answer
from spanner_backup_emulator.rpc import Rpc, encoded, register, table
from spanner_backup_emulator.serving import THREAD_COUNT_MAX, Endpoint, abort
from spanner_backup_emulator.tokens import KEYS_PATH, Signer

Work: TypeAlias = Callable[[State, datetime, Message], Message | None]

PULL_WAIT_S = 10.0
"""A pull that finds nothing waits this long; the service only says that it is bounded (documented).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
"""

STREAM_BATCH_COUNT_MAX = 100
"""Messages in one response of a stream, so that a response of full messages stays a fraction of a publish."""

WAIT_S_MAX = 60.0
"""Slept at most: a bound on what a wall clock that is set back can delay."""

PUSH_COUNT_MAX = 100
"""On one connection: an endpoint that serves one connection after the other comes to the next in time."""

PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX = 100, 1_000
"""Of the lists; what the service's own default is, is not documented."""

_HEADERS = {"Content-Type": "application/json", "User-Agent": "CloudPubSub-Google"}


class Service:
    """Answers RPCs from the state, and makes the push attempts that it asks for; a refusal is an ApiError.

    Whoever changes the state has what is due pushed at once, and whoever has posted a message goes on with the next: in
    a long row it costs no change of threads and no new connection. One thread sees to what becomes due while nothing
    else happens.

    Attributes:
        changed: Notified, under the endpoint's lock, whenever the state may have changed.
    """

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        self.changed = threading.Condition(endpoint.lock)
        self._endpoint = endpoint
        self._state = state
        self._signer = Signer()
        self._closing = False
        self._sender = Dispatcher(name="pubsub-push")
        self._timer = threading.Thread(target=self._watch, name="pubsub-push-loop")
        self._earlier = threading.Condition(endpoint.lock)
        self._wakes_at: datetime | None = None

    def start(self) -> None:
        """Starts pushing."""
        self._timer.start()

    def close(self) -> None:
        """Lets nobody wait any more, cuts off the pushes in flight, and returns once their threads have ended."""
        with self.changed:
            self._closing = True
            self.changed.notify_all()
            self._earlier.notify()
        self._timer.join()
        self._sender.close()

    def notify(self) -> None:
        """Pushes what is due, and wakes everybody who waits for a change."""
        with self.changed:
            self._submit(self._due())

    def register(self, closing: contextlib.ExitStack, server: grpc.Server) -> None:
        """Adds Publisher and Subscriber to a gRPC server; `closing` waits for the threads that the calls end."""
        receivers = closing.enter_context(futures.ThreadPoolExecutor(THREAD_COUNT_MAX, "pubsub-stream"))
        register(server, RPCS, self._call)
        stream = grpc.stream_stream_rpc_method_handler(
            functools.partial(self._streaming_pull, receivers), pb.StreamingPullRequest.FromString, encoded
        )
        handler = grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", {"StreamingPull": stream})
        server.add_generic_rpc_handlers((handler,))

    def rest(self, verb: str, target: str, body: bytes) -> bytes:
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
            context.add_callback(self.notify)
        try:
            return self._endpoint.run(rpc.name, work, rpc.resource_of(request))
        finally:
            self.notify()

    def _pull(
        self, request: pb.PullRequest, wait_s: float | None, alive: Callable[[], bool], ack_deadline_s: int = 0
    ) -> pb.PullResponse:
        """Pulls until there is something, the time is up, or nobody waits; gives the lock away meanwhile."""

        def found() -> pb.PullResponse | None:
            if self._closing or not alive():
                return pb.PullResponse()
            response = self._state.pull(self._endpoint.clock(), request, ack_deadline_s)
            return response if response.received_messages else None

        return self.changed.wait_for(found, wait_s) or pb.PullResponse()

    def _streaming_pull(
        self, receivers: futures.Executor, requests: Iterator[pb.StreamingPullRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.StreamingPullResponse]:
        """Sends in this thread and receives in another; both end with the call."""
        context.add_callback(self.notify)
        first = next(requests, None)
        if first is None:
            return
        name = first.subscription
        receiving = receivers.submit(self._receive, name, requests)
        receiving.add_done_callback(lambda _: self.notify())

        def alive() -> bool:
            return context.is_active() and not receiving.done()

        try:
            with self.changed:
                self._endpoint.faults.check("StreamingPull", "before", name)
                self._state.subscription(name)  # A client that has already ended its side is refused too.
            ask = pb.PullRequest(subscription=name, max_messages=STREAM_BATCH_COUNT_MAX)
            while alive() and not self._closing:
                with self.changed:
                    received = self._pull(ask, None, alive, first.stream_ack_deadline_seconds).received_messages
                    self.notify()
                if received:
                    yield pb.StreamingPullResponse(received_messages=received)
            if receiving.done():
                receiving.result()
        except ApiError as error:
            abort(context, error)

    def _receive(self, subscription: str, requests: Iterator[pb.StreamingPullRequest]) -> None:
        """Does what the later requests of a stream ask: acknowledgements and new deadlines; a refusal ends it."""
        with contextlib.suppress(grpc.RpcError):  # The call is over, which the sending side sees for itself.
            for request in requests:
                self._take(subscription, request)

    def _take(self, subscription: str, request: pb.StreamingPullRequest) -> None:
        ids, seconds = request.modify_deadline_ack_ids, request.modify_deadline_seconds
        if len(ids) != len(seconds):
            raise invalid("There must be one modify_deadline_seconds for each ack id.")
        with self.changed:
            now = self._endpoint.clock()
            if request.ack_ids:
                self._state.acknowledge(now, pb.AcknowledgeRequest(subscription=subscription, ack_ids=request.ack_ids))
            for ack_id, deadline_s in zip(ids, seconds, strict=True):
                ask = pb.ModifyAckDeadlineRequest(subscription=subscription, ack_ids=[ack_id])
                ask.ack_deadline_seconds = deadline_s
                self._state.modify_ack_deadline(now, ask)
            self.notify()

    def _watch(self) -> None:
        """Sees to what becomes due."""
        with self._earlier:
            while not self._closing:
                self.notify()
                self._wakes_at = at = self._state.next_event_at()
                pause_s = WAIT_S_MAX if at is None else (at - self._endpoint.clock()).total_seconds()
                self._earlier.wait(min(max(pause_s, 0.0), WAIT_S_MAX))

    def _due(self) -> list[Delivery]:
        """What is to be pushed now; wakes the timer if something is due before it would look, and who waits."""
        pushes = self._timer.is_alive() and not self._closing
        found = self._state.advance(self._endpoint.clock()) if pushes else []
        at = self._state.next_event_at()
        if at is not None and (self._wakes_at is None or at < self._wakes_at):
            self._earlier.notify()
        self.changed.notify_all()
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
                headers = _HEADERS | self._signer.headers(self._endpoint.clock(), config, endpoint)
                status = self._sender.send(connection, endpoint, headers, push_body(delivery))
                following = self._done(delivery, status)
                if not following or following[0].subscription is not settings:
                    break
                (delivery,) = following
        self._submit(following)

    def _done(self, delivery: Delivery, status: int) -> list[Delivery]:
        """Notes how a push ended; returns what is to be pushed next by who asks, one delivery at most."""
        with self.changed:
            if not self._closing:
                self._state.delivered(self._endpoint.clock(), delivery, status)
            due = self._due()
            self._submit(due[1:])
            return due[:1]


def _list(response: Message, items: Callable[[State, str], Sequence[Message]]) -> Work:
    """How a list is answered: by one page of it, and a token that says how many items come before the next.

    The first field of a list's request names what it is a list of, and the first of its response is for the items.
    """

    def work(state: State, _now: datetime, request: Message) -> Message:
        found = items(state, getattr(request, request.DESCRIPTOR.fields[0].name))
        size, token = request.page_size, request.page_token
        if size < 0 or not (token == "" or token.isdecimal()):
            raise ApiError(Code.INVALID_ARGUMENT, f"Invalid page_size {size} or page_token {token!r}.")
        start = int(token or 0)
        end = start + min(size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        page = {response.DESCRIPTOR.fields[0].name: found[start:end]}
        return response(**page, next_page_token=str(end) if end < len(found) else "")

    return work


_READS: dict[str, Work] = {
    "GetTopic": lambda state, _, asked: state.topic(asked.topic),
    "GetSubscription": lambda state, _, asked: state.subscription(asked.subscription),
    "ListTopics": _list(pb.ListTopicsResponse, State.topics),
    "ListTopicSubscriptions": _list(pb.ListTopicSubscriptionsResponse, State.subscriptions_of),
    "ListSubscriptions": _list(pb.ListSubscriptionsResponse, State.subscriptions),
}
"""What is not a method of the state's."""

_PLACES = {
    "PROJECT": "projects/[^/]+",
    "TOPIC": "projects/[^/]+/topics/[^/:]+",
    "SUBSCRIPTION": "projects/[^/]+/subscriptions/[^/:]+",
}
"""A project's id may begin with a domain and a colon; any other colon begins a verb."""

_METHODS = """
google.pubsub.v1.Publisher
CreateTopic Topic PUT {name=TOPIC}
UpdateTopic Topic PATCH {topic.name=TOPIC}
GetTopic Topic GET {topic=TOPIC}
ListTopics ListTopicsResponse GET {project=PROJECT}/topics
ListTopicSubscriptions ListTopicSubscriptionsResponse GET {topic=TOPIC}/subscriptions
DeleteTopic Empty DELETE {topic=TOPIC}
Publish PublishResponse POST {topic=TOPIC}:publish
google.pubsub.v1.Subscriber
CreateSubscription Subscription PUT {name=SUBSCRIPTION}
UpdateSubscription Subscription PATCH {subscription.name=SUBSCRIPTION}
GetSubscription Subscription GET {subscription=SUBSCRIPTION}
ListSubscriptions ListSubscriptionsResponse GET {project=PROJECT}/subscriptions
DeleteSubscription Empty DELETE {subscription=SUBSCRIPTION}
ModifyPushConfig Empty POST {subscription=SUBSCRIPTION}:modifyPushConfig
Pull PullResponse POST {subscription=SUBSCRIPTION}:pull
Acknowledge Empty POST {subscription=SUBSCRIPTION}:acknowledge
ModifyAckDeadline Empty POST {subscription=SUBSCRIPTION}:modifyAckDeadline
Seek SeekResponse POST {subscription=SUBSCRIPTION}:seek
"""

RPCS = tuple(table(pb, _PLACES, _METHODS))
"""The methods with one answer; StreamingPull is the only other one."""

WORKS: dict[str, Work] = {rpc.name: _READS.get(rpc.name) or getattr(State, rpc.method) for rpc in RPCS}
"""How each is answered, by name."""
