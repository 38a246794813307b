"""The service's limits, and the refusals of what is beyond them.

Documented: https://cloud.google.com/pubsub/quotas#resource_limits ,
https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions . The texts for retry and dead letter
policies and for a count of messages were observed on 2026-11-22 in Google's own emulator (0.8.20).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub.filters import compile_filter

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.model import Draft, Publish, Subscription

MESSAGE_COUNT_MAX = 1_000
"""Messages in one publish."""

REQUEST_BYTES_MAX = 10_000_000
"""Data, attributes and ordering keys of one publish; the service counts its serialised bytes, a little more."""

ATTRIBUTE_COUNT_MAX = 100
"""Attributes of one message."""

ATTRIBUTE_KEY_BYTES_MAX = 256
"""The UTF-8 length of an attribute's key."""

ATTRIBUTE_VALUE_BYTES_MAX = 1_024
"""The UTF-8 length of an attribute's value."""

ORDERING_KEY_BYTES_MAX = 1_024
"""The UTF-8 length of an ordering key."""

ACK_DEADLINE_MIN, ACK_DEADLINE_MAX = timedelta(seconds=10), timedelta(seconds=600)
"""Of a subscription."""

RETENTION_MIN, RETENTION_MAX = timedelta(minutes=10), timedelta(days=31)
"""Of unacknowledged messages."""

BACKOFF_MAX = timedelta(seconds=600)
"""Of a retry policy; the least is 0."""

DELIVERY_ATTEMPTS_MIN, DELIVERY_ATTEMPTS_MAX = 5, 100
"""Of a dead letter policy."""


def check_publish(request: Publish) -> None:
    """Refuses a publish that is empty, too large, or holds a message that is.

    Raises:
        ApiError: INVALID_ARGUMENT. The text for an empty message was seen in
            https://github.com/google/go-cloud/issues/1408, that for a large one in
            https://github.com/GoogleCloudPlatform/pubsub/issues/267; the others are inferred.
    """
    if not request.messages:
        raise ApiError(Code.INVALID_ARGUMENT, "The value for message_count is too small. You passed 0 in the request.")
    _check_at_most("message_count", len(request.messages), MESSAGE_COUNT_MAX)
    _check_at_most("request_size", sum(_size(draft) for draft in request.messages), REQUEST_BYTES_MAX)
    for draft in request.messages:
        if not draft.data and not draft.attributes:
            raise ApiError(
                Code.INVALID_ARGUMENT,
                "One or more messages in the publish request is empty. "
                "Each message must contain either non-empty data, or at least one attribute.",
            )
        _check_at_most("attribute_count", len(draft.attributes), ATTRIBUTE_COUNT_MAX)
        for key, value in draft.attributes.items():
            if not key or key.startswith("goog"):
                raise ApiError(Code.INVALID_ARGUMENT, f"The attribute key {key!r} is empty or reserved.")
            _check_at_most("attribute_key_size", len(key.encode()), ATTRIBUTE_KEY_BYTES_MAX)
            _check_at_most("attribute_value_size", len(value.encode()), ATTRIBUTE_VALUE_BYTES_MAX)
        _check_at_most("ordering_key_size", len(draft.ordering_key.encode()), ORDERING_KEY_BYTES_MAX)


def check_subscription(subscription: Subscription) -> None:
    """Refuses settings out of their range.

    Raises:
        ApiError: INVALID_ARGUMENT, for the delivery attempts OUT_OF_RANGE.
    """
    compile_filter(subscription.filter)
    _check_between("ack_deadline_seconds", subscription.ack_deadline, ACK_DEADLINE_MIN, ACK_DEADLINE_MAX)
    _check_between("message_retention_duration", subscription.retention, RETENTION_MIN, RETENTION_MAX)
    if (retry := subscription.retry_policy) is not None:
        _check_between("minimum_backoff", retry.minimum, timedelta(0), BACKOFF_MAX)
        _check_between("maximum_backoff", retry.maximum, timedelta(0), BACKOFF_MAX)
        if retry.maximum < retry.minimum:
            raise ApiError(
                Code.INVALID_ARGUMENT,
                f"The value for maximum_backoff is too small. You passed {_seconds(retry.maximum)} in the request, "
                f"but the minimum value is {_seconds(retry.minimum)}.",
            )
    if (dead := subscription.dead_letter_policy) is not None:
        attempts = dead.max_delivery_attempts
        if attempts < DELIVERY_ATTEMPTS_MIN:
            raise ApiError(
                Code.OUT_OF_RANGE,
                f"The value for max_delivery_attempts is too small. You passed {attempts} in the request, "
                f"but the minimum value is {DELIVERY_ATTEMPTS_MIN}.",
            )
        _check_at_most("max_delivery_attempts", attempts, DELIVERY_ATTEMPTS_MAX, Code.OUT_OF_RANGE)


def check_lease(ack_deadline: timedelta) -> None:
    """Refuses to lease a message for a time out of range; 0 gives it back."""
    _check_between("ack_deadline_seconds", ack_deadline, timedelta(0), ACK_DEADLINE_MAX)


def _check_at_most(what: str, value: int, most: int, code: Code = Code.INVALID_ARGUMENT) -> None:
    if value > most:
        raise ApiError(
            code,
            f"The value for {what} is too large. You passed {value} in the request, but the maximum value is {most}.",
        )


def _check_between(what: str, value: timedelta, least: timedelta, most: timedelta) -> None:
    if not least <= value <= most:
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f"The value for {what} is out of bounds. You passed {_seconds(value)} in the request, "
            f"but the value must be between {_seconds(least)} and {_seconds(most)}.",
        )


def _seconds(value: timedelta) -> str:
    seconds = value.total_seconds()
    return f"{int(seconds) if seconds.is_integer() else seconds}s"


def _size(draft: Draft) -> int:
    attributes = sum(len(key.encode()) + len(value.encode()) for key, value in draft.attributes.items())
    return len(draft.data) + attributes + len(draft.ordering_key.encode())
