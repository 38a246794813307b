"""Filters and ordering keys: which messages a subscription gets, and in which order."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from pubsub_world import LETTERS, PULL, PULLING, PUSHING, T0, TOPIC, after, having, publishing, state_with

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.pubsub.filters import compile_filter
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.state import State


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("", {}),
        ("attributes:domain", {"domain": ""}),
        ('attributes:"iana.org/tag"', {"iana.org/tag": "en"}),
        ('attributes.domain = "com"', {"domain": "com"}),
        ('attributes."a.b"="say \\"x\\""', {"a.b": 'say "x"'}),
        ('attributes.domain != "com"', {"domain": "org"}),
        ('attributes.domain != "com"', {}),
        ('hasPrefix(attributes.domain, "co")', {"domain": "com"}),
        ("NOT attributes:domain", {}),
        ("-attributes:domain", {"other": "x"}),
        ("attributes:a AND attributes:b AND NOT attributes:c", {"a": "", "b": ""}),
        ("attributes:a OR attributes:b", {"b": ""}),
        ("attributes:a AND (attributes:b OR attributes:c)", {"a": "", "c": ""}),
        ("NOT (attributes:a OR attributes:b)", {"c": ""}),
    ],
)
def test_a_filter_lets_through_what_it_says(text: str, attributes: dict[str, str]) -> None:
    """Each form of the language, with a message that it is for."""
    assert compile_filter(text)(attributes)


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("attributes:domain", {}),
        ('attributes.domain = "com"', {"domain": "COM"}),
        ('attributes.domain = "com"', {}),
        ('attributes.domain != "com"', {"domain": "com"}),
        ('hasPrefix(attributes.domain, "co")', {"domain": "eco"}),
        ('hasPrefix(attributes.domain, "")', {}),
        ("NOT attributes:domain", {"domain": ""}),
        ("attributes:a AND attributes:b", {"a": ""}),
        ("NOT attributes:a OR attributes:b", {"a": ""}),
    ],
)
def test_a_filter_holds_back_the_rest(text: str, attributes: dict[str, str]) -> None:
    """The same forms, with a message that they are not for."""
    assert not compile_filter(text)(attributes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("attributes:a AND attributes:b OR attributes:c", "parentheses"),
        ("(attributes:a", "'' stands where )"),
        ("attributes:a attributes:b", "the end"),
        ("data:a", "'data' is not expected"),
        ("attributes.a = b", "a quoted value"),
        ('attributes.a < "b"', "can't be read"),
        ("attributes:", "a key is expected"),
        ("NOT " * 60 + "attributes:a", "too deeply nested"),
        ('attributes.a = "' + "x" * 256 + '"', "longer than 256 bytes"),
    ],
)
def test_what_is_no_filter_is_refused(text: str, why: str) -> None:
    """A subscription with it is not made."""
    code, message = state_with(PULLING).refusal(having(PUSHING, filter=text))

    assert code is Code.INVALID_ARGUMENT
    assert why in message


def _publish(state: State, *messages: tuple[bytes, str]) -> None:
    state.publish(T0, publishing(*({"data": data, "ordering_key": key} for data, key in messages)))


def _data(pulled: list[pb.ReceivedMessage]) -> list[bytes]:
    return [one.message.data for one in pulled]


def test_a_message_that_a_filter_holds_back_is_not_owed() -> None:
    """The subscription has nothing of it: nothing to deliver and nothing to acknowledge."""
    state = state_with(having(PULLING, filter="attributes:wanted"))
    state.publish(T0, publishing({"data": b"no"}, {"data": b"yes", "attributes": {"wanted": ""}}))

    assert state.undelivered_count(PULL) == 1
    assert _data(state.take(T0)) == [b"yes"]


def test_messages_of_one_key_come_one_after_the_other() -> None:
    """The second comes once the first is acknowledged; other keys, and messages without one, don't wait."""
    state = state_with(having(PULLING, enable_message_ordering=True))
    _publish(state, (b"a1", "a"), (b"a2", "a"), (b"b1", "b"), (b"free", ""), (b"free too", ""))
    first = state.take(T0)
    state.settle(T0, first[0])

    assert _data(first) == [b"a1", b"b1", b"free", b"free too"]
    assert _data(state.take(T0)) == [b"a2"]
    assert state.take(T0) == []


def test_what_is_refused_comes_again_before_what_follows_it() -> None:
    """A later message of its key never overtakes it."""
    state = state_with(having(PULLING, enable_message_ordering=True, dead_letter_policy=LETTERS))
    _publish(state, (b"a1", "a"), (b"a2", "a"))
    (refused,) = state.take(T0)
    state.defer(T0, refused, 0)
    (again,) = state.take(after(1))
    state.settle(T0, again)

    assert (again.message.data, again.delivery_attempt) == (b"a1", 2)
    assert _data(state.take(after(1))) == [b"a2"]


def test_a_delayed_message_holds_up_those_behind_it() -> None:
    """And the next event is its time, not theirs."""
    state = state_with(having(PULLING, enable_message_ordering=True))
    state.delay_next(TOPIC, after=timedelta(seconds=5))
    _publish(state, (b"a1", "a"), (b"a2", "a"))

    assert state.next_event_at() == after(5)
    assert state.take(T0) == []
    assert _data(state.take(after(5))) == [b"a1"]


def test_pushes_of_one_key_are_one_at_a_time() -> None:
    """As the service pushes."""
    state = state_with(having(PUSHING, enable_message_ordering=True))
    _publish(state, (b"a1", "a"), (b"a2", "a"))
    (first,) = state.advance(T0)
    nothing = state.advance(T0)
    state.delivered(T0, first, 204)
    (second,) = state.advance(T0)

    assert (first.message.data, nothing, second.message.data) == (b"a1", [], b"a2")


def test_without_ordering_a_key_orders_nothing() -> None:
    """The subscription decides, not the message."""
    state = state_with(PULLING)
    _publish(state, (b"a1", "a"), (b"a2", "a"))

    assert _data(state.take(T0)) == [b"a1", b"a2"]


def test_the_official_client_filters_and_orders(publisher: PublisherClient, subscriber: SubscriberClient) -> None:
    """Both settings come back as they were given, and can't be changed."""
    name = PULL + "2"
    given = {"name": name, "topic": TOPIC, "filter": "attributes:wanted", "enable_message_ordering": True}
    subscriber.create_subscription(request=given)
    publisher.publish(TOPIC, b"no")
    publisher.publish(TOPIC, b"yes", wanted="1").result()
    shown = subscriber.get_subscription(subscription=name)
    (received,) = subscriber.pull(subscription=name, max_messages=10).received_messages

    assert (shown.filter, shown.enable_message_ordering) == ("attributes:wanted", True)
    assert received.message.data == b"yes"
    for path in ("filter", "enable_message_ordering"):
        with pytest.raises(exceptions.InvalidArgument, match="not mutable"):
            subscriber.update_subscription(request={"subscription": given, "update_mask": {"paths": [path]}})
