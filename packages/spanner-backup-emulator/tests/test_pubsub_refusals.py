"""The pure state keeps the service's rules for names, sizes and settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from pubsub_world import DEAD, PULL, PULLING, PUSH, PUSHING, T0, TOPIC, having, publish, refusal, retrying, state_with

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub.model import Message, pb
from spanner_backup_emulator.pubsub.state import State

NO_TOPIC, NONE, NEW = "projects/p/topics/none", "projects/p/subscriptions/none", "projects/p/subscriptions/new"


def publishing(*messages: Mapping[str, object], topic: str = TOPIC) -> pb.PublishRequest:
    """A publish."""
    return pb.PublishRequest(topic=topic, messages=messages)


def acknowledging(*ids: str) -> pb.AcknowledgeRequest:
    """An acknowledgement."""
    return pb.AcknowledgeRequest(subscription=PULL, ack_ids=ids)


def test_a_subscription_outlives_its_topic() -> None:
    """It shows that the topic is gone, and still delivers what it has."""
    state = state_with(PUSHING)
    publish(state, T0)
    state.delete_topic(T0, pb.DeleteTopicRequest(topic=TOPIC))

    assert state.subscription(PUSH).topic == "_deleted-topic_"
    assert len(state.advance(T0)) == 1
    assert refusal(state, publishing({"data": b"x"}))[0] == Code.NOT_FOUND


def test_topics_and_subscriptions_are_listed_by_project_and_name() -> None:
    """A project sees its own only."""
    state = state_with(PUSHING, PULLING)
    state.create_topic(T0, pb.Topic(name="projects/p2/topics/commands"))

    assert [topic.name for topic in state.topics("projects/p")] == [TOPIC, DEAD]
    assert [kept.name for kept in state.subscriptions("projects/p")] == [PULL, PUSH]
    assert state.subscriptions_of(TOPIC) == [PULL, PUSH]
    assert state.published(DEAD) == []
    with pytest.raises(ApiError, match="Invalid resource name given"):
        state.topics("p")


@pytest.mark.parametrize("own", ["ab", "1abc", "a b c", "googly", "a" * 256, "abc/d", ""])
def test_a_name_against_the_rules_is_refused(own: str) -> None:
    """The rules are the documented ones."""
    name = f"projects/p/topics/{own}"

    assert refusal(State(), pb.Topic(name=name)) == (
        Code.INVALID_ARGUMENT,
        (
            f"Invalid resource name given (name={name}). "
            "Refer to https://cloud.google.com/pubsub/docs/admin#resource_names for more information."
        ),
    )


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (pb.Topic(name=TOPIC), Code.ALREADY_EXISTS, "Resource already exists in the project (resource=commands)."),
        (pb.DeleteTopicRequest(topic=NO_TOPIC), Code.NOT_FOUND, "Resource not found (resource=none)."),
        (publishing(topic=NO_TOPIC), Code.NOT_FOUND, "Resource not found (resource=none)."),
        (publishing(), Code.INVALID_ARGUMENT, "message_count is too small"),
        (publishing(*[{"data": b"x"}] * 1_001), Code.INVALID_ARGUMENT, "You passed 1001"),
        (publishing({}), Code.INVALID_ARGUMENT, "One or more messages in the publish request is empty."),
        (
            publishing({"ordering_key": "k"}),
            Code.INVALID_ARGUMENT,
            "One or more messages in the publish request is empty.",
        ),
        (
            publishing({"data": bytes(9_999_999), "attributes": {"a": "b"}}),
            Code.INVALID_ARGUMENT,
            "in the request, but the maximum value is 10000000.",
        ),
        (publishing({"attributes": {f"k{i}": "" for i in range(101)}}), Code.INVALID_ARGUMENT, "attribute_count"),
        (publishing({"attributes": {"": "v"}}), Code.INVALID_ARGUMENT, "empty or reserved"),
        (publishing({"attributes": {"google": "v"}}), Code.INVALID_ARGUMENT, "empty or reserved"),
        (publishing({"attributes": {"ä" * 129: "v"}}), Code.INVALID_ARGUMENT, "You passed 258"),
        (publishing({"attributes": {"k": "v" * 1_025}}), Code.INVALID_ARGUMENT, "You passed 1025"),
        (publishing({"data": b"x", "ordering_key": "k" * 1_025}), Code.INVALID_ARGUMENT, "ordering_key_size"),
        (PULLING, Code.ALREADY_EXISTS, "(resource=pull)"),
        (having(PULLING, name=TOPIC), Code.INVALID_ARGUMENT, "Invalid resource name given"),
        (pb.Subscription(name=NEW, topic=NO_TOPIC), Code.NOT_FOUND, "(resource=none)"),
        (pb.UpdateSubscriptionRequest(subscription={"name": NONE}), Code.NOT_FOUND, "(resource=none)"),
        (pb.DeleteSubscriptionRequest(subscription=NONE), Code.NOT_FOUND, "(resource=none)"),
        (pb.PullRequest(subscription=NONE, max_messages=1), Code.NOT_FOUND, "(resource=none)"),
        (pb.PullRequest(subscription=PULL), Code.INVALID_ARGUMENT, "No max_messages specified"),
        (
            pb.PullRequest(subscription=PUSH, max_messages=1),
            Code.FAILED_PRECONDITION,
            "not supported for push subscriptions",
        ),
        (acknowledging(), Code.INVALID_ARGUMENT, "No ack ids specified."),
        (acknowledging("x"), Code.INVALID_ARGUMENT, "(ack_id=x)"),
        (
            pb.ModifyAckDeadlineRequest(subscription=PULL, ack_ids=["1-1"], ack_deadline_seconds=601),
            Code.INVALID_ARGUMENT,
            "between 0s and 600s",
        ),
    ],
)
def test_what_is_refused(request_: Message, code: Code, text: str) -> None:
    """Each refusal has its code and names what is wrong."""
    state = state_with(PUSHING, PULLING)

    found = refusal(state, request_)

    assert found[0] == code
    assert text in found[1]
    assert state.undelivered_count(PULL) == 0


def letters(attempts: int, topic: str = DEAD) -> dict[str, object]:
    """A dead letter policy, as a setting."""
    return {"dead_letter_policy": {"dead_letter_topic": topic, "max_delivery_attempts": attempts}}


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"ack_deadline_seconds": 9}, Code.INVALID_ARGUMENT, "between 10s and 600s"),
        ({"ack_deadline_seconds": 601}, Code.INVALID_ARGUMENT, "You passed 601s"),
        ({"message_retention_duration": timedelta(seconds=599.5)}, Code.INVALID_ARGUMENT, "You passed 599.5s"),
        ({"message_retention_duration": timedelta(days=32)}, Code.INVALID_ARGUMENT, "between 600s and 2678400s"),
        (
            {"retry_policy": {"minimum_backoff": timedelta(seconds=-1)}},
            Code.INVALID_ARGUMENT,
            "The value for minimum_backoff is out of bounds.",
        ),
        (
            {"retry_policy": {"maximum_backoff": timedelta(seconds=601)}},
            Code.INVALID_ARGUMENT,
            "You passed 601s in the request, but the value must be between 0s and 600s.",
        ),
        (
            {"retry_policy": retrying(20, 10)},
            Code.INVALID_ARGUMENT,
            "The value for maximum_backoff is too small. You passed 10s in the request, but the minimum value is 20s.",
        ),
        (letters(4), Code.OUT_OF_RANGE, "the minimum value is 5"),
        (letters(101), Code.OUT_OF_RANGE, "the maximum value is 100"),
        (letters(5, NO_TOPIC), Code.NOT_FOUND, "(resource=none)"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], code: Code, text: str) -> None:
    """On creation and on update alike, and the settings stay as they were."""
    state = state_with(PULLING)
    before = state.subscriptions("projects/p")
    given, mask = pb.Subscription(name=PULL, **settings), {"paths": settings}

    for request in (
        pb.Subscription(name=NEW, topic=TOPIC, **settings),
        pb.UpdateSubscriptionRequest(subscription=given, update_mask=mask),
    ):
        found = refusal(state, request)
        assert found[0] == code
        assert text in found[1]
    assert state.subscriptions("projects/p") == before


def test_a_publish_is_all_or_nothing() -> None:
    """A bad message in a batch lets none through."""
    state = state_with(PULLING)

    assert refusal(state, publishing({"data": b"good"}, {}))[0] == Code.INVALID_ARGUMENT
    assert state.published(TOPIC) == []
