"""The pure state keeps the service's rules for names, sizes and settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pubsub_world import DEAD, PULL, PULLING, PUSH, PUSHING, T0, TOPIC, publish, refusal, state_with

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub.model import (
    Acknowledge,
    CreateSubscription,
    CreateTopic,
    DeadLetterPolicy,
    DeleteSubscription,
    DeleteTopic,
    Draft,
    ModifyAckDeadline,
    Publish,
    Pull,
    RetryPolicy,
    Subscription,
    Topic,
    UpdateSubscription,
)
from spanner_backup_emulator.pubsub.state import State


def test_a_subscription_outlives_its_topic() -> None:
    """It shows that the topic is gone, and still delivers what it has."""
    state = state_with(PUSHING)
    publish(state, T0)
    state.apply(T0, DeleteTopic(TOPIC))

    assert state.subscription(PUSH).topic == "_deleted-topic_"
    assert len(state.advance(T0)) == 1
    assert refusal(state, Publish(TOPIC, (Draft(b"x"),)))[0] == Code.NOT_FOUND


def test_topics_and_subscriptions_are_listed_by_project_and_name() -> None:
    """A project sees its own only."""
    state = state_with(PUSHING, PULLING)
    state.apply(T0, CreateTopic(Topic("projects/p2/topics/commands")))

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

    assert refusal(State(), CreateTopic(Topic(name))) == (
        Code.INVALID_ARGUMENT,
        (
            f"Invalid resource name given (name={name}). "
            "Refer to https://cloud.google.com/pubsub/docs/admin#resource_names for more information."
        ),
    )


def draft_with(**fields: object) -> Publish:
    """A publish of one message."""
    return Publish(TOPIC, (Draft(**fields),))  # type: ignore[arg-type] # the fields are the test's


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (CreateTopic(Topic(TOPIC)), Code.ALREADY_EXISTS, "Resource already exists in the project (resource=commands)."),
        (DeleteTopic("projects/p/topics/none"), Code.NOT_FOUND, "Resource not found (resource=none)."),
        (Publish("projects/p/topics/none", ()), Code.NOT_FOUND, "Resource not found (resource=none)."),
        (Publish(TOPIC, ()), Code.INVALID_ARGUMENT, "message_count is too small"),
        (Publish(TOPIC, (Draft(b"x"),) * 1_001), Code.INVALID_ARGUMENT, "You passed 1001"),
        (draft_with(), Code.INVALID_ARGUMENT, "One or more messages in the publish request is empty."),
        (draft_with(ordering_key="k"), Code.INVALID_ARGUMENT, "One or more messages in the publish request is empty."),
        (
            draft_with(data=bytes(9_999_999), attributes={"a": "b"}),
            Code.INVALID_ARGUMENT,
            "You passed 10000001 in the request, but the maximum value is 10000000.",
        ),
        (draft_with(attributes={f"k{i}": "" for i in range(101)}), Code.INVALID_ARGUMENT, "attribute_count"),
        (draft_with(attributes={"": "v"}), Code.INVALID_ARGUMENT, "empty or reserved"),
        (draft_with(attributes={"google": "v"}), Code.INVALID_ARGUMENT, "empty or reserved"),
        (draft_with(attributes={"ä" * 129: "v"}), Code.INVALID_ARGUMENT, "You passed 258"),
        (draft_with(attributes={"k": "v" * 1_025}), Code.INVALID_ARGUMENT, "You passed 1025"),
        (draft_with(data=b"x", ordering_key="k" * 1_025), Code.INVALID_ARGUMENT, "ordering_key_size"),
        (CreateSubscription(PULLING), Code.ALREADY_EXISTS, "(resource=pull)"),
        (CreateSubscription(replace(PULLING, name=TOPIC)), Code.INVALID_ARGUMENT, "Invalid resource name given"),
        (
            CreateSubscription(Subscription("projects/p/subscriptions/new", "projects/p/topics/none")),
            Code.NOT_FOUND,
            "(resource=none)",
        ),
        (UpdateSubscription(Subscription("projects/p/subscriptions/none", TOPIC)), Code.NOT_FOUND, "(resource=none)"),
        (DeleteSubscription("projects/p/subscriptions/none"), Code.NOT_FOUND, "(resource=none)"),
        (Pull("projects/p/subscriptions/none", 1), Code.NOT_FOUND, "(resource=none)"),
        (Pull(PULL, 0), Code.INVALID_ARGUMENT, "No max_messages specified"),
        (Pull(PUSH, 1), Code.FAILED_PRECONDITION, "not supported for push subscriptions"),
        (Acknowledge(PULL, ()), Code.INVALID_ARGUMENT, "No ack ids specified."),
        (Acknowledge(PULL, ("x",)), Code.INVALID_ARGUMENT, "(ack_id=x)"),
        (ModifyAckDeadline(PULL, ("1-1",), timedelta(seconds=601)), Code.INVALID_ARGUMENT, "between 0s and 600s"),
    ],
)
def test_what_is_refused(request_: object, code: Code, text: str) -> None:
    """Each refusal has its code and names what is wrong."""
    state = state_with(PUSHING, PULLING)

    found = refusal(state, request_)

    assert found[0] == code
    assert text in found[1]
    assert state.undelivered_count(PULL) == 0


def dead(attempts: int, topic: str = DEAD) -> DeadLetterPolicy:
    """A dead letter policy."""
    return DeadLetterPolicy(topic, attempts)


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        (replace(PULLING, ack_deadline=timedelta(seconds=9)), Code.INVALID_ARGUMENT, "between 10s and 600s"),
        (replace(PULLING, ack_deadline=timedelta(seconds=601)), Code.INVALID_ARGUMENT, "You passed 601s"),
        (replace(PULLING, retention=timedelta(seconds=599.5)), Code.INVALID_ARGUMENT, "You passed 599.5s"),
        (replace(PULLING, retention=timedelta(days=32)), Code.INVALID_ARGUMENT, "between 600s and 2678400s"),
        (
            replace(PULLING, retry_policy=RetryPolicy(timedelta(seconds=-1))),
            Code.INVALID_ARGUMENT,
            "The value for minimum_backoff is out of bounds.",
        ),
        (
            replace(PULLING, retry_policy=RetryPolicy(maximum=timedelta(seconds=601))),
            Code.INVALID_ARGUMENT,
            "You passed 601s in the request, but the value must be between 0s and 600s.",
        ),
        (
            replace(PULLING, retry_policy=RetryPolicy(timedelta(seconds=20), timedelta(seconds=10))),
            Code.INVALID_ARGUMENT,
            "The value for maximum_backoff is too small. You passed 10s in the request, but the minimum value is 20s.",
        ),
        (replace(PULLING, dead_letter_policy=dead(4)), Code.OUT_OF_RANGE, "the minimum value is 5"),
        (replace(PULLING, dead_letter_policy=dead(101)), Code.OUT_OF_RANGE, "the maximum value is 100"),
        (replace(PULLING, dead_letter_policy=dead(5, "projects/p/topics/none")), Code.NOT_FOUND, "(resource=none)"),
    ],
)
def test_settings_out_of_range_are_refused(settings: Subscription, code: Code, text: str) -> None:
    """On creation and on update alike, and the settings stay as they were."""
    state = state_with(PULLING)

    for request in (
        CreateSubscription(replace(settings, name="projects/p/subscriptions/new")),
        UpdateSubscription(settings),
    ):
        found = refusal(state, request)
        assert found[0] == code
        assert text in found[1]
    assert state.subscriptions("projects/p") == [PULLING]


def test_a_publish_is_all_or_nothing() -> None:
    """A bad message in a batch lets none through."""
    state = state_with(PULLING)

    assert refusal(state, Publish(TOPIC, (Draft(b"good"), Draft())))[0] == Code.INVALID_ARGUMENT
    assert state.published(TOPIC) == []
