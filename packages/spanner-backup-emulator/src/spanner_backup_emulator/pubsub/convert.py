"""Between Google's Pub/Sub types and ours; what is not emulated is refused by name, so that no setting is lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from google.pubsub_v1 import types

from spanner_backup_emulator.dispatch import is_sendable
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub.limits import DELIVERY_ATTEMPTS_MIN
from spanner_backup_emulator.pubsub.model import (
    ACK_DEADLINE_DEFAULT,
    RETENTION_DEFAULT,
    DeadLetterPolicy,
    Draft,
    OidcToken,
    RetryPolicy,
    Seek,
    Subscription,
    Topic,
)

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.model import Delivery

# Labels, tags and expiration are accepted: without them a message arrives all the same.
_TOPIC_UNSUPPORTED = (
    "message_storage_policy",
    "kms_key_name",
    "schema_settings",
    "message_retention_duration",
    "ingestion_data_source_settings",
    "message_transforms",
)
_SUBSCRIPTION_UNSUPPORTED = (
    "bigquery_config",
    "cloud_storage_config",
    "bigtable_config",
    "enable_exactly_once_delivery",
    "message_transforms",
)

_IMMUTABLE = frozenset({"name", "topic", "filter", "enable_message_ordering"})


def topic(given: types.Topic) -> Topic:
    """The settings that a client gave for a topic."""
    _refuse(given, _TOPIC_UNSUPPORTED)
    return Topic(given.name, dict(given.labels))


def updated_topic(current: Topic, request: types.UpdateTopicRequest) -> Topic:
    """The settings after an update, which is of the labels; other fields are refused as at the creation."""
    given, merged = request.topic, shown_topic(current)
    for path in _checked_paths(list(request.update_mask.paths), "Topic", set(types.Topic.meta.fields)):
        setattr(merged, path, getattr(given, path) if path in given else None)
    return topic(merged)


def shown_topic(topic: Topic) -> types.Topic:
    """A topic as a client sees it."""
    return types.Topic(name=topic.name, labels=dict(topic.labels))


def drafts(given: types.PublishRequest) -> tuple[Draft, ...]:
    """The messages that a client wants published."""
    return tuple(Draft(message.data, dict(message.attributes), message.ordering_key) for message in given.messages)


def subscription(given: types.Subscription) -> Subscription:
    """The settings that a client gave for a subscription, defaults filled in."""
    _refuse(given, _SUBSCRIPTION_UNSUPPORTED)
    retry, dead = given.retry_policy, given.dead_letter_policy
    return Subscription(
        name=given.name,
        topic=given.topic,
        push_endpoint=push_endpoint(given.push_config),
        oidc_token=oidc_token(given.push_config),
        filter=given.filter,
        ordered=given.enable_message_ordering,
        retains_acked=given.retain_acked_messages,
        ack_deadline=timedelta(seconds=given.ack_deadline_seconds) or ACK_DEADLINE_DEFAULT,
        retention=_duration(given, "message_retention_duration", RETENTION_DEFAULT),
        retry_policy=_retry_policy(retry) if "retry_policy" in given else None,
        # 0 attempts means the default, 5 (documented in the field's own description).
        dead_letter_policy=DeadLetterPolicy(dead.dead_letter_topic, dead.max_delivery_attempts or DELIVERY_ATTEMPTS_MIN)
        if "dead_letter_policy" in given
        else None,
        labels=dict(given.labels),
    )


def shown_subscription(subscription: Subscription) -> types.Subscription:
    """A subscription as a client sees it."""
    shown = types.Subscription(
        name=subscription.name,
        topic=subscription.topic,
        push_config=types.PushConfig(push_endpoint=subscription.push_endpoint),
        filter=subscription.filter,
        enable_message_ordering=subscription.ordered,
        retain_acked_messages=subscription.retains_acked,
        ack_deadline_seconds=int(subscription.ack_deadline.total_seconds()),
        message_retention_duration=subscription.retention,
        labels=dict(subscription.labels),
        state=types.Subscription.State.ACTIVE,
    )
    if (token := subscription.oidc_token) is not None:
        shown.push_config.oidc_token = types.PushConfig.OidcToken(
            service_account_email=token.service_account_email, audience=token.audience
        )
    if (retry := subscription.retry_policy) is not None:
        shown.retry_policy = types.RetryPolicy(minimum_backoff=retry.minimum, maximum_backoff=retry.maximum)
    if (dead := subscription.dead_letter_policy) is not None:
        shown.dead_letter_policy = types.DeadLetterPolicy(
            dead_letter_topic=dead.topic, max_delivery_attempts=dead.max_delivery_attempts
        )
    return shown


def updated(current: Subscription, request: types.UpdateSubscriptionRequest) -> Subscription:
    """The settings after an update."""
    given, merged = request.subscription, shown_subscription(current)
    for path in _checked_paths(list(request.update_mask.paths), "Subscription", set(types.Subscription.meta.fields)):
        setattr(merged, path, getattr(given, path) if path in given else None)
    return subscription(merged)


def _checked_paths(paths: list[str], kind: str, fields: set[str]) -> list[str]:
    """Refuses a mask of unknown or unchangeable fields; observed on 2026-11-22 in Google's own emulator (0.8.20)."""
    rpc = f"Update{kind}Request"
    if not paths:
        message = f"The update_mask in the {rpc} must be set, and must contain a non-empty paths list."
        raise ApiError(Code.INVALID_ARGUMENT, message)
    for path in paths:
        if path not in fields:
            raise ApiError(
                Code.INVALID_ARGUMENT,
                f"Invalid update_mask provided in the {rpc}: {path} is not a known {kind} "
                "field. Note that field paths must be of the form 'push_config' rather than 'pushConfig'.",
            )
        if path in _IMMUTABLE:
            message = f"Invalid update_mask provided in the {rpc}: the {path} field in the {kind} is not mutable."
            raise ApiError(Code.INVALID_ARGUMENT, message)
    return paths


def push_endpoint(config: types.PushConfig) -> str:
    """Where to push to; empty for a subscription that is to be pulled."""
    _refuse(config, ("no_wrapper",))
    if config.push_endpoint and not is_sendable(config.push_endpoint):
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f"Invalid push endpoint given (endpoint={config.push_endpoint}). This emulator pushes to http URLs only.",
        )
    return config.push_endpoint


def oidc_token(config: types.PushConfig) -> OidcToken | None:
    """What a push is to prove its sender with."""
    token = config.oidc_token
    return OidcToken(token.service_account_email, token.audience) if "oidc_token" in config else None


def received(delivery: Delivery) -> types.ReceivedMessage:
    """A pulled message as a client sees it."""
    message = delivery.message
    return types.ReceivedMessage(
        ack_id=delivery.ack_id,
        message=types.PubsubMessage(
            data=message.data,
            attributes=dict(message.attributes),
            message_id=message.message_id,
            publish_time=message.publish_time,
            ordering_key=message.ordering_key,
        ),
        delivery_attempt=delivery.attempt if delivery.shows_attempt else 0,
    )


def seek(given: types.SeekRequest) -> Seek:
    """Where a client wants a subscription to go on from."""
    _refuse(given, ("snapshot",))
    if "time" not in given:
        raise ApiError(Code.INVALID_ARGUMENT, "A seek must name a time or a snapshot.")  # The text is inferred.
    return Seek(given.subscription, given.time)  # type: ignore[arg-type]  # proto-plus makes a datetime of it


def _retry_policy(given: types.RetryPolicy) -> RetryPolicy:
    default = RetryPolicy()
    return RetryPolicy(
        _duration(given, "minimum_backoff", default.minimum), _duration(given, "maximum_backoff", default.maximum)
    )


def _duration(given: types.Subscription | types.RetryPolicy, field: str, default: timedelta) -> timedelta:
    value = getattr(given, field) if field in given else default
    return value if isinstance(value, timedelta) else default


def _refuse(
    given: types.Topic | types.Subscription | types.PushConfig | types.SeekRequest, fields: tuple[str, ...]
) -> None:
    for field in fields:
        if field in given:
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator does not support {field}.")
