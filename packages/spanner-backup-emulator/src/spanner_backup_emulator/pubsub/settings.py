"""The settings of topics and subscriptions: defaults, bounds, and what is refused so that no setting does nothing.

Documented: https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions . The texts about update masks
were observed on 2026-11-22 in Google's own emulator (0.8.20).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.dispatch import is_sendable
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, copied
from spanner_backup_emulator.pubsub.filters import compile_filter
from spanner_backup_emulator.pubsub.limits import check_range, check_seconds
from spanner_backup_emulator.pubsub.model import pb

if TYPE_CHECKING:
    from google.protobuf.field_mask_pb2 import FieldMask  # noqa: TID251 a type only

T = TypeVar("T", pb.Topic, pb.Subscription)

ACK_DEADLINE_DEFAULT_S, ACK_DEADLINE_MIN_S, ACK_DEADLINE_MAX_S = 10, 10, 600
"""Of a subscription."""

RETENTION_DEFAULT_S, RETENTION_MIN_S, RETENTION_MAX_S = 7 * 86_400, 600, 31 * 86_400
"""Of unacknowledged messages."""

BACKOFF_MIN_DEFAULT_S, BACKOFF_MAX_S = 10, 600
"""Of a retry policy: the default of its minimum, and the most of both, which is the default of its maximum."""

DELIVERY_ATTEMPTS_MIN, DELIVERY_ATTEMPTS_MAX = 5, 100
"""Of a dead letter policy; 0 stands for the least."""

# Labels, tags and expiration are kept and shown: without them a message arrives all the same.
_UNSUPPORTED = re.compile(
    r"\.(message_storage_policy|kms_key_name|schema_settings|ingestion_data_source_settings|message_transforms"
    "|Topic.message_retention_duration|bigquery_config|cloud_storage_config|bigtable_config"
    "|enable_exactly_once_delivery|no_wrapper|snapshot)$"
)

_IMMUTABLE = frozenset({"name", "topic", "filter", "enable_message_ordering"})


def check_supported(given: Message) -> None:
    """Refuses by name the fields that are not emulated.

    Raises:
        ApiError: UNIMPLEMENTED.
    """
    for field, _ in given.ListFields():
        if _UNSUPPORTED.search(field.full_name):
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator does not support {field.name}.")


def subscription(given: pb.Subscription) -> pb.Subscription:
    """What is kept of the settings that were given for a subscription: all of them, defaults filled in.

    Raises:
        ApiError: UNIMPLEMENTED, INVALID_ARGUMENT, for the delivery attempts OUT_OF_RANGE.
    """
    check_supported(given)
    check_supported(given.push_config)
    endpoint = given.push_config.push_endpoint
    if endpoint and not is_sendable(endpoint):
        text = f"Invalid push endpoint given (endpoint={endpoint}). This emulator pushes to http URLs only."
        raise ApiError(Code.INVALID_ARGUMENT, text)
    compile_filter(given.filter)
    kept = pb.Subscription(push_config={})
    kept.MergeFrom(given)
    kept.state = pb.Subscription.State.ACTIVE  # type: ignore[assignment] # which is a number here
    kept.ack_deadline_seconds = deadline_s = kept.ack_deadline_seconds or ACK_DEADLINE_DEFAULT_S
    check_seconds("ack_deadline_seconds", deadline_s, ACK_DEADLINE_MIN_S, ACK_DEADLINE_MAX_S)
    _settle(kept, "message_retention_duration", RETENTION_DEFAULT_S, RETENTION_MIN_S, RETENTION_MAX_S)
    if kept.HasField("retry_policy"):
        least_s = _settle(kept.retry_policy, "minimum_backoff", BACKOFF_MIN_DEFAULT_S, 0, BACKOFF_MAX_S)
        most_s = _settle(kept.retry_policy, "maximum_backoff", BACKOFF_MAX_S, 0, BACKOFF_MAX_S)
        check_range("maximum_backoff", most_s, least_s, BACKOFF_MAX_S, unit="s")
    if kept.HasField("dead_letter_policy"):
        policy = kept.dead_letter_policy
        policy.max_delivery_attempts = attempts = policy.max_delivery_attempts or DELIVERY_ATTEMPTS_MIN
        bounds = DELIVERY_ATTEMPTS_MIN, DELIVERY_ATTEMPTS_MAX
        check_range("max_delivery_attempts", attempts, *bounds, Code.OUT_OF_RANGE)
    return kept


def merged(kept: T, given: T, mask: FieldMask) -> T:
    """The settings with the fields that a mask names, whole ones only, as they were given.

    Raises:
        ApiError: INVALID_ARGUMENT, a field is unknown or can't be changed.
    """
    changed: Message = copied(kept)
    kind, fields = changed.DESCRIPTOR.name, changed.DESCRIPTOR.fields_by_name
    rpc = f"Update{kind}Request"
    if not mask.paths:
        message = f"The update_mask in the {rpc} must be set, and must contain a non-empty paths list."
        raise ApiError(Code.INVALID_ARGUMENT, message)
    for path in mask.paths:
        if path not in fields:
            raise ApiError(
                Code.INVALID_ARGUMENT,
                f"Invalid update_mask provided in the {rpc}: {path} is not a known {kind} "
                "field. Note that field paths must be of the form 'push_config' rather than 'pushConfig'.",
            )
        if path in _IMMUTABLE:
            message = f"Invalid update_mask provided in the {rpc}: the {path} field in the {kind} is not mutable."
            raise ApiError(Code.INVALID_ARGUMENT, message)
    mask.MergeMessage(given, changed, replace_message_field=True, replace_repeated_field=True)
    return changed  # type: ignore[no-any-return] # it is as `kept`


def _settle(settings: Message, field: str, default_s: int, least_s: int, most_s: int) -> float:
    """Gives a duration its default, checks it, and says how many seconds it is."""
    duration = getattr(settings, field)
    if not settings.HasField(field):
        duration.seconds = default_s
    seconds: float = duration.seconds + duration.nanos / 1e9 if duration.nanos else duration.seconds
    check_seconds(field, seconds, least_s, most_s)
    return seconds
