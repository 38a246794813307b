"""What a request may say: names, sizes, and settings, with the defaults of what it leaves out.

What would do nothing here is refused. Documented at https://cloud.google.com/pubsub/quotas#resource_limits and
https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription ; the texts about ranges and
update masks were observed on 2026-11-22 in Google's own emulator (0.8.20). A refusal is an ApiError, INVALID_ARGUMENT
where nothing else is said.
"""

import re

from spanner_backup_emulator.dispatch import is_sendable
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, copied
from spanner_backup_emulator.pubsub.filters import compile_filter
from spanner_backup_emulator.pubsub.model import pb

DELETED_TOPIC = "_deleted-topic_"  # What a subscription shows once its topic is gone.

# Of a publish as it is sent: Google's client counts the same, "max accepted size of PublishRequest".
# https://github.com/googleapis/python-pubsub/blob/main/google/cloud/pubsub_v1/publisher/_batch/thread.py
REQUEST_BYTES_MAX, MESSAGE_COUNT_MAX = 10_000_000, 1_000
# Of one message; the bytes are those of UTF-8.
ATTRIBUTE_COUNT_MAX, ATTRIBUTE_KEY_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ORDERING_KEY_BYTES_MAX = 100, 256, 1_024, 1_024
# Of a subscription, and of its unacknowledged messages.
ACK_DEADLINE_DEFAULT_S, ACK_DEADLINE_MIN_S, ACK_DEADLINE_MAX_S = 10, 10, 600
RETENTION_DEFAULT_S, RETENTION_MIN_S, RETENTION_MAX_S = 7 * 86_400, 600, 31 * 86_400
# Of a retry policy: the default of its minimum, and the most of both, which is the default of its maximum.
BACKOFF_MIN_DEFAULT_S, BACKOFF_MAX_S = 10, 600
# Of a dead letter policy; 0 stands for the least.
DELIVERY_ATTEMPTS_MIN, DELIVERY_ATTEMPTS_MAX = 5, 100

# 3 to 255 characters, a letter first, never "goog" at the start (documented).
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_NAME = re.compile(r"projects/[^/]+(/(?P<kind>topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254})?")

# Labels, tags and expiration are kept and shown: without them a message arrives all the same.
_UNSUPPORTED = re.compile(
    r"\.(message_storage_policy|kms_key_name|schema_settings|ingestion_data_source_settings|message_transforms"
    "|Topic.message_retention_duration|bigquery_config|cloud_storage_config|bigtable_config"
    "|enable_exactly_once_delivery|no_wrapper|snapshot)$"
)

_IMMUTABLE = frozenset({"name", "topic", "filter", "enable_message_ordering"})


def invalid(text: str) -> ApiError:
    """The refusal of what should not have been said."""
    return ApiError(Code.INVALID_ARGUMENT, text)


def missing(name: str) -> ApiError:
    """The refusal of a name that nothing has; seen in https://github.com/ScaleSec/project_lockdown/issues/57."""
    return ApiError(Code.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")


def taken(name: str) -> ApiError:
    """The refusal of a second resource of one name; seen in https://github.com/argoproj/argo-events/issues/339."""
    own = name.rpartition("/")[2]
    return ApiError(Code.ALREADY_EXISTS, f"Resource already exists in the project (resource={own}).")


def check_name(name: str, kind: str | None) -> None:
    """Refuses what can't be the full name of one of the `topics` or `subscriptions`, or of a project for None.

    The text was seen in https://github.com/googleapis/google-cloud-java/issues/3333.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["kind"] != kind:
        more = "Refer to https://cloud.google.com/pubsub/docs/admin#resource_names for more information."
        raise invalid(f"Invalid resource name given (name={name}). {more}")


def check_publish(request: pb.PublishRequest) -> None:
    """Refuses a publish that is empty, too large, or holds a message that is.

    The text for no message was seen in https://github.com/googleapis/google-api-nodejs-client/issues/519, for an empty
    one in https://github.com/google/go-cloud/issues/1408, for a large one in
    https://github.com/GoogleCloudPlatform/pubsub/issues/267; the others are inferred.
    """
    check_range("message_count", len(request.messages), 1, MESSAGE_COUNT_MAX)
    check_range("request_size", request.ByteSize(), 0, REQUEST_BYTES_MAX)
    for message in request.messages:
        attributes = message.attributes
        if not message.data and not attributes:
            rule = "Each message must contain either non-empty data, or at least one attribute."
            raise invalid(f"One or more messages in the publish request is empty. {rule}")
        check_range("attribute_count", len(attributes), 0, ATTRIBUTE_COUNT_MAX)
        for key, value in attributes.items():
            if not key or key.startswith("goog"):
                raise invalid(f"The attribute key {key!r} is empty or reserved.")
            check_range("attribute_key_size", len(key.encode()), 1, ATTRIBUTE_KEY_BYTES_MAX)
            check_range("attribute_value_size", len(value.encode()), 0, ATTRIBUTE_VALUE_BYTES_MAX)
        check_range("ordering_key_size", len(message.ordering_key.encode()), 0, ORDERING_KEY_BYTES_MAX)


def check_range(
    what: str, value: float, least: float, most: float, code: Code = Code.INVALID_ARGUMENT, unit: str = ""
) -> None:
    """Refuses a number out of its range."""
    if not least <= value <= most:
        size, bound, limit = ("small", "minimum", least) if value < least else ("large", "maximum", most)
        passed = f"You passed {value}{unit} in the request, but the {bound} value is {limit}{unit}."
        raise ApiError(code, f"The value for {what} is too {size}. {passed}")


def check_seconds(what: str, value: float, least: float, most: float) -> None:
    """Refuses a time out of its range."""
    if not least <= value <= most:
        passed = f"You passed {value}s in the request, but the value must be between {least}s and {most}s."
        raise invalid(f"The value for {what} is out of bounds. {passed}")


def check_supported(given: Message) -> None:
    """Refuses by name the fields that are not emulated, as UNIMPLEMENTED."""
    for field, _ in given.ListFields():
        if _UNSUPPORTED.search(field.full_name):
            raise ApiError(Code.UNIMPLEMENTED, f"This emulator does not support {field.name}.")


def subscription(given: pb.Subscription) -> pb.Subscription:
    """What is kept of the settings that were given for a subscription: all of them, defaults filled in."""
    check_supported(given)
    check_supported(given.push_config)
    endpoint = given.push_config.push_endpoint
    if endpoint and not is_sendable(endpoint):
        raise invalid(f"Invalid push endpoint given (endpoint={endpoint}). This emulator pushes to http URLs only.")
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
        policy, bounds = kept.dead_letter_policy, (DELIVERY_ATTEMPTS_MIN, DELIVERY_ATTEMPTS_MAX)
        policy.max_delivery_attempts = policy.max_delivery_attempts or DELIVERY_ATTEMPTS_MIN
        check_range("max_delivery_attempts", policy.max_delivery_attempts, *bounds, Code.OUT_OF_RANGE)
    return kept


def merged(kept: Message, given: Message, mask: Message) -> Message:
    """The settings with the fields that a mask names, whole ones only, as they were given."""
    changed = copied(kept)
    kind, fields = changed.DESCRIPTOR.name, changed.DESCRIPTOR.fields_by_name
    rpc = f"Update{kind}Request"
    wrong = f"Invalid update_mask provided in the {rpc}:"
    if not mask.paths:
        raise invalid(f"The update_mask in the {rpc} must be set, and must contain a non-empty paths list.")
    for path in mask.paths:
        if path not in fields:
            note = "Note that field paths must be of the form 'push_config' rather than 'pushConfig'."
            raise invalid(f"{wrong} {path} is not a known {kind} field. {note}")
        if path in _IMMUTABLE:
            raise invalid(f"{wrong} the {path} field in the {kind} is not mutable.")
    mask.MergeMessage(given, changed, replace_message_field=True, replace_repeated_field=True)
    return changed


def _settle(settings: Message, field: str, default_s: int, least_s: int, most_s: int) -> float:
    """Gives a duration its default, checks it, and says how many seconds it is."""
    duration = getattr(settings, field)
    if not settings.HasField(field):
        duration.seconds = default_s
    seconds: float = duration.seconds + duration.nanos / 1e9 if duration.nanos else duration.seconds
    check_seconds(field, seconds, least_s, most_s)
    return seconds
