"""The methods of Pub/Sub that have one answer, and how each is answered from the state."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.settings import invalid
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.rpc import table

Work: TypeAlias = Callable[[State, datetime, Message], Message | None]

PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX = 100, 1_000  # Of the lists; the service's own default is not documented.


def _list(response: Message, items: Callable[[State, str], Sequence[Message]]) -> Work:
    """How a list is answered: by one page of it, and a token that says how many items come before the next.

    The first field of a list's request names what it is a list of, and the first of its response is for the items.
    """

    def work(state: State, _now: datetime, request: Message) -> Message:
        found = items(state, getattr(request, request.DESCRIPTOR.fields[0].name))
        size, token = request.page_size, request.page_token
        if size < 0 or not (token == "" or token.isdecimal()):
            raise invalid(f"Invalid page_size {size} or page_token {token!r}.")
        start = int(token or 0)
        end = start + min(size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
        page = {response.DESCRIPTOR.fields[0].name: found[start:end]}
        return response(**page, next_page_token=str(end) if end < len(found) else "")

    return work


# What is not a method of the state's.
_READS: dict[str, Work] = {
    "GetTopic": lambda state, _, asked: state.topic(asked.topic),
    "GetSubscription": lambda state, _, asked: state.subscription(asked.subscription),
    "ListTopics": _list(pb.ListTopicsResponse, State.topics),
    "ListTopicSubscriptions": _list(pb.ListTopicSubscriptionsResponse, State.subscriptions_of),
    "ListSubscriptions": _list(pb.ListSubscriptionsResponse, State.subscriptions),
}
# A project's id may begin with a domain and a colon; any other colon begins a verb.
_PLACES = {
    "PROJECT": "projects/[^/]+",
    "TOPIC": "projects/[^/]+/topics/[^/:]+",
    "SUBSCRIPTION": "projects/[^/]+/subscriptions/[^/:]+",
}
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
