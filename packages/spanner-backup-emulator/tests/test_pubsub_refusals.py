"""The pure state keeps the service's rules for names, sizes and settings."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pubsub_world import (
    DEAD,
    PULL,
    PULLING,
    PUSH,
    PUSHING,
    T0,
    TOPIC,
    Briefly,
    acknowledging,
    having,
    publishing,
    retrying,
    state_with,
)

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.pubsub.model import pb

NO_TOPIC, NONE, NEW = "projects/p/topics/none", "projects/p/subscriptions/none", "projects/p/subscriptions/new"
INVALID, MISSING = Code.INVALID_ARGUMENT, Code.NOT_FOUND


def test_a_subscription_outlives_its_topic() -> None:
    """It shows that the topic is gone, and still delivers what it has."""
    state = state_with(PUSHING)
    state.publish_one(T0)
    state.delete_topic(T0, pb.DeleteTopicRequest(topic=TOPIC))

    assert state.subscription(PUSH).topic == "_deleted-topic_"
    assert len(state.advance(T0)) == 1
    assert state.refusal(publishing({"data": b"x"}))[0] == Code.NOT_FOUND


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

    code, message = Briefly().refusal(pb.Topic(name=name))

    about = "Refer to https://cloud.google.com/pubsub/docs/admin#resource_names for more information."
    assert (code, message) == (INVALID, f"Invalid resource name given (name={name}). {about}")


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (pb.Topic(name=TOPIC), Code.ALREADY_EXISTS, "Resource already exists in the project (resource=commands)."),
        (pb.DeleteTopicRequest(topic=NO_TOPIC), MISSING, "Resource not found (resource=none)."),
        (publishing(topic=NO_TOPIC), MISSING, "Resource not found (resource=none)."),
        (publishing(), INVALID, "message_count is too small"),
        (publishing(*[{"data": b"x"}] * 1_001), INVALID, "You passed 1001"),
        (publishing({}), INVALID, "messages in the publish request is empty."),
        (publishing({"ordering_key": "k"}), INVALID, "messages in the publish request is empty."),
        (publishing({"data": bytes(10_000_000)}), INVALID, "in the request, but the maximum value is 10000000."),
        (publishing({"attributes": {f"k{i}": "" for i in range(101)}}), INVALID, "attribute_count"),
        (publishing({"attributes": {"": "v"}}), INVALID, "empty or reserved"),
        (publishing({"attributes": {"google": "v"}}), INVALID, "empty or reserved"),
        (publishing({"attributes": {"ä" * 129: "v"}}), INVALID, "You passed 258"),
        (publishing({"attributes": {"k": "v" * 1_025}}), INVALID, "You passed 1025"),
        (publishing({"data": b"x", "ordering_key": "k" * 1_025}), INVALID, "ordering_key_size"),
        (PULLING, Code.ALREADY_EXISTS, "(resource=pull)"),
        (having(PULLING, name=TOPIC), INVALID, "Invalid resource name given"),
        (pb.Subscription(name=NEW, topic=NO_TOPIC), MISSING, "(resource=none)"),
        (pb.UpdateSubscriptionRequest(subscription={"name": NONE}), MISSING, "(resource=none)"),
        (pb.DeleteSubscriptionRequest(subscription=NONE), MISSING, "(resource=none)"),
        (pb.PullRequest(subscription=NONE, max_messages=1), MISSING, "(resource=none)"),
        (pb.PullRequest(subscription=PULL), INVALID, "No max_messages specified"),
        (pb.PullRequest(subscription=PUSH, max_messages=1), Code.FAILED_PRECONDITION, "not supported for push sub"),
        (acknowledging(), INVALID, "No ack ids specified."),
        (acknowledging("x"), INVALID, "(ack_id=x)"),
        (pb.ModifyAckDeadlineRequest(subscription=PULL, ack_deadline_seconds=601), INVALID, "between 0s and 600s"),
    ],
)
def test_what_is_refused(request_: Message, code: Code, text: str) -> None:
    """Each refusal has its code and names what is wrong."""
    state = state_with(PUSHING, PULLING)

    found = state.refusal(request_)

    assert found[0] == code
    assert text in found[1]
    assert state.undelivered_count(PULL) == 0


def letters(attempts: int, topic: str = DEAD) -> dict[str, object]:
    """A dead letter policy, as a setting."""
    return {"dead_letter_policy": {"dead_letter_topic": topic, "max_delivery_attempts": attempts}}


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"ack_deadline_seconds": 9}, INVALID, "between 10s and 600s"),
        ({"ack_deadline_seconds": 601}, INVALID, "You passed 601s"),
        ({"message_retention_duration": timedelta(seconds=599.5)}, INVALID, "You passed 599.5s"),
        ({"message_retention_duration": timedelta(days=32)}, INVALID, "between 600s and 2678400s"),
        ({"retry_policy": retrying(-1, 0)}, INVALID, "The value for minimum_backoff is out of bounds."),
        ({"retry_policy": retrying(0, 601)}, INVALID, "You passed 601s in the request, but the value must be between"),
        ({"retry_policy": retrying(20, 10)}, INVALID, "maximum_backoff is too small. You passed 10s in the request"),
        (letters(4), Code.OUT_OF_RANGE, "the minimum value is 5"),
        (letters(101), Code.OUT_OF_RANGE, "the maximum value is 100"),
        (letters(5, NO_TOPIC), MISSING, "(resource=none)"),
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
        found = state.refusal(request)
        assert found[0] == code
        assert text in found[1]
    assert state.subscriptions("projects/p") == before


def test_a_publish_is_all_or_nothing() -> None:
    """A bad message in a batch lets none through."""
    state = state_with(PULLING)

    assert state.refusal(publishing({"data": b"good"}, {}))[0] == Code.INVALID_ARGUMENT
    assert state.published(TOPIC) == []
