"""The RPCs of Pub/Sub's two services: which there are, and how each is answered from the state."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.tokens import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of a service.

    Attributes:
        service: The service's short name.
        name: The method's.
        request: The request's class.
        field: The request's field that names what it is about.
        verb: The HTTP method of it over REST.
        path: Its path there, with a group `name` for the field.
        work: Answers a request from the state; None is an empty answer.
    """

    service: str
    name: str
    request: Message
    field: str
    verb: str
    path: re.Pattern[str]
    work: Work


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
            return rpc.work(self.state, now, request)

        try:
            return self.endpoint.run(rpc.name, work, attrgetter(rpc.field)(request))
        finally:
            self.notify()

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

_METHODS = """
Publisher CreateTopic PUT {name=projects/*/topics/*}
Publisher UpdateTopic PATCH {topic.name=projects/*/topics/*}
Publisher GetTopic GET {topic=projects/*/topics/*}
Publisher ListTopics GET {project=projects/*}/topics
Publisher ListTopicSubscriptions GET {topic=projects/*/topics/*}/subscriptions
Publisher DeleteTopic DELETE {topic=projects/*/topics/*}
Publisher Publish POST {topic=projects/*/topics/*}:publish
Subscriber CreateSubscription PUT {name=projects/*/subscriptions/*}
Subscriber UpdateSubscription PATCH {subscription.name=projects/*/subscriptions/*}
Subscriber GetSubscription GET {subscription=projects/*/subscriptions/*}
Subscriber ListSubscriptions GET {project=projects/*}/subscriptions
Subscriber DeleteSubscription DELETE {subscription=projects/*/subscriptions/*}
Subscriber ModifyPushConfig POST {subscription=projects/*/subscriptions/*}:modifyPushConfig
Subscriber Pull POST {subscription=projects/*/subscriptions/*}:pull
Subscriber Acknowledge POST {subscription=projects/*/subscriptions/*}:acknowledge
Subscriber ModifyAckDeadline POST {subscription=projects/*/subscriptions/*}:modifyAckDeadline
Subscriber Seek POST {subscription=projects/*/subscriptions/*}:seek
"""


def _rpc(service: str, name: str, verb: str, path: str) -> Rpc:
    """A method that is in the table; the braces are around a field of its request and what the field is like."""
    request = getattr(pb, f"{name}Request", None) or getattr(pb, name.removeprefix("Create"))
    before, field, pattern, after = re.split("[{=}]", path)
    # A project's id may begin with a domain and a colon; any other colon begins a verb.
    pattern = pattern.replace("projects/*", "projects/[^/]+").replace("*", "[^/:]+")
    work = _READS.get(name) or getattr(State, re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return Rpc(service, name, request, field, verb, re.compile(f"/v1/{before}(?P<name>{pattern}){after}"), work)


RPCS = {rpc.name: rpc for rpc in (_rpc(*line.split()) for line in _METHODS.strip().splitlines())}
"""The methods with one answer, by name; StreamingPull is the only other one."""
