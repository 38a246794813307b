"""The RPCs of Pub/Sub's two services: which there are, and how each is answered from the state."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.rest import answer
from spanner_backup_emulator.rpc import table
from spanner_backup_emulator.tokens import KEYS_PATH, Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from spanner_backup_emulator.rpc import Rpc
    from spanner_backup_emulator.serving import Endpoint

    Work = Callable[[State, datetime, Message], Message | None]

PULL_WAIT_S = 10.0
"""A pull that finds nothing waits this long; the service only says that it is bounded (documented).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions/pull
"""

STREAM_BATCH_COUNT_MAX = 100
"""Messages in one response of a stream, so that a response of full messages stays a fraction of a publish."""

PAGE_SIZE_DEFAULT = 100
"""Of the lists, where a client asks for none; the service's own is not documented."""

PAGE_SIZE_MAX = 1_000
"""Of the lists."""


class Service:
    """Answers RPCs from the state.

    Attributes:
        endpoint: The lock, the clock and the faults.
        state: Read and changed under the endpoint's lock only.
        changed: Notified, under the same lock, whenever the state may have changed.
        push: Pushes what is due, under the same lock; whoever pushes puts it here.
        closing: Set, under the lock, when nothing is to wait any more.
        signer: Makes the tokens that pushes carry.
        streams: The threads that receive what clients send on their streams; each ends with its call.
    """

    def __init__(self, endpoint: Endpoint, state: State) -> None:
        self.endpoint = endpoint
        self.state = state
        self.changed = threading.Condition(endpoint.lock)
        self.push: Callable[[], None] = lambda: None
        self.closing = False
        self.streams: set[threading.Thread] = set()
        self.signer = Signer()

    def call(self, rpc: Rpc, request: Message, alive: Callable[[], bool] = lambda: True) -> Message | None:
        """Answers one RPC with its response, None for an empty one, as long as the client is alive.

        A pull on behalf of nobody would lose its messages until their ack deadline.

        Raises:
            ApiError: The refusal.
        """

        def work(now: datetime) -> Message | None:
            if rpc.name == "Pull":
                return self._pull(request, 0.0 if request.return_immediately else PULL_WAIT_S, alive)
            return WORKS[rpc.name](self.state, now, request)

        try:
            return self.endpoint.run(rpc.name, work, rpc.resource_of(request))
        finally:
            self.notify()

    def rest(self, verb: str, target: str, body: bytes) -> bytes:
        """Answers over HTTP: the same methods, and the keys of the tokens."""
        if target == KEYS_PATH:
            return self.signer.answer(verb, target, body)
        return answer(RPCS, self.call, verb, target, body)

    def close(self) -> None:
        """Lets nobody wait any more."""
        with self.changed:
            self.closing = True
            self.notify()

    def join(self) -> None:
        """Returns once the threads of the streams have ended, which the end of their calls brings about."""
        for thread in list(self.streams):
            thread.join()

    def notify(self) -> None:
        """Pushes what is due, and wakes everybody who waits for a change."""
        with self.changed:
            self.push()
            self.changed.notify_all()

    def stream(self, first: pb.StreamingPullRequest, alive: Callable[[], bool]) -> Iterator[pb.StreamingPullResponse]:
        """Yields responses with messages until the client has gone or the server is closing.

        Raises:
            ApiError: The refusal; also when the subscription ceases to exist.
        """
        with self.changed:
            self.endpoint.faults.check("StreamingPull", "before", first.subscription)
            self.state.subscription(first.subscription)  # A client that has already ended its side is refused too.
        ask = pb.PullRequest(subscription=first.subscription, max_messages=STREAM_BATCH_COUNT_MAX)
        while alive() and not self.closing:
            with self.changed:
                received = self._pull(ask, None, alive, first.stream_ack_deadline_seconds).received_messages
            if received:
                yield pb.StreamingPullResponse(received_messages=received)

    def take(self, subscription: str, request: pb.StreamingPullRequest) -> None:
        """Does what a later request of a stream asks: acknowledgements and new deadlines.

        Raises:
            ApiError: The refusal, which ends the stream.
        """
        ids, seconds = request.modify_deadline_ack_ids, request.modify_deadline_seconds
        if len(ids) != len(seconds):
            raise ApiError(Code.INVALID_ARGUMENT, "There must be one modify_deadline_seconds for each ack id.")
        with self.changed:
            now = self.endpoint.clock()
            if request.ack_ids:
                self.state.acknowledge(now, pb.AcknowledgeRequest(subscription=subscription, ack_ids=request.ack_ids))
            for ack_id, deadline_s in zip(ids, seconds, strict=True):
                ask = pb.ModifyAckDeadlineRequest(subscription=subscription, ack_ids=[ack_id])
                ask.ack_deadline_seconds = deadline_s
                self.state.modify_ack_deadline(now, ask)
            self.notify()

    def _pull(
        self, request: pb.PullRequest, wait_s: float | None, alive: Callable[[], bool], ack_deadline_s: int = 0
    ) -> pb.PullResponse:
        """Pulls until there is something, the time is up, or nobody waits; gives the lock away meanwhile."""
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        while alive() and not self.closing:
            response = self.state.pull(self.endpoint.clock(), request, ack_deadline_s)
            if response.received_messages:
                self.notify()
                return response
            left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                break
            self.changed.wait(left_s)
        return pb.PullResponse()


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
