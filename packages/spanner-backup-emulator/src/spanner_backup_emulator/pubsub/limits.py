"""The service's limits on what is published, and the refusals of what is out of a range.

Documented: https://cloud.google.com/pubsub/quotas#resource_limits . The texts about ranges were observed on 2026-11-22
in Google's own emulator (0.8.20).
"""

from __future__ import annotations

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.pubsub.model import pb

MESSAGE_COUNT_MAX = 1_000
"""Messages in one publish."""

REQUEST_BYTES_MAX = 10_000_000
"""Of a publish as it is sent: Google's client counts the same, "max accepted size of PublishRequest".

https://github.com/googleapis/python-pubsub/blob/main/google/cloud/pubsub_v1/publisher/_batch/thread.py
"""

ATTRIBUTE_COUNT_MAX, ATTRIBUTE_KEY_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ORDERING_KEY_BYTES_MAX = 100, 256, 1_024, 1_024
"""Of one message; the bytes are those of UTF-8."""


def check_publish(request: pb.PublishRequest) -> None:
    """Refuses a publish that is empty, too large, or holds a message that is.

    Raises:
        ApiError: INVALID_ARGUMENT. The text for no message was seen in
            https://github.com/googleapis/google-api-nodejs-client/issues/519, for an empty one in
            https://github.com/google/go-cloud/issues/1408, for a large one in
            https://github.com/GoogleCloudPlatform/pubsub/issues/267; the others are inferred.
    """
    check_range("message_count", len(request.messages), 1, MESSAGE_COUNT_MAX)
    check_range("request_size", request.ByteSize(), 0, REQUEST_BYTES_MAX)
    for message in request.messages:
        attributes = message.attributes
        if not message.data and not attributes:
            raise ApiError(
                Code.INVALID_ARGUMENT,
                "One or more messages in the publish request is empty. "
                "Each message must contain either non-empty data, or at least one attribute.",
            )
        check_range("attribute_count", len(attributes), 0, ATTRIBUTE_COUNT_MAX)
        for key, value in attributes.items():
            if not key or key.startswith("goog"):
                raise ApiError(Code.INVALID_ARGUMENT, f"The attribute key {key!r} is empty or reserved.")
            check_range("attribute_key_size", len(key.encode()), 1, ATTRIBUTE_KEY_BYTES_MAX)
            check_range("attribute_value_size", len(value.encode()), 0, ATTRIBUTE_VALUE_BYTES_MAX)
        check_range("ordering_key_size", len(message.ordering_key.encode()), 0, ORDERING_KEY_BYTES_MAX)


def check_range(
    what: str, value: float, least: float, most: float, code: Code = Code.INVALID_ARGUMENT, unit: str = ""
) -> None:
    """Refuses a number out of its range."""
    if not least <= value <= most:
        size, bound, limit = ("small", "minimum", least) if value < least else ("large", "maximum", most)
        raise ApiError(
            code,
            f"The value for {what} is too {size}. You passed {value}{unit} in the request, "
            f"but the {bound} value is {limit}{unit}.",
        )


def check_seconds(what: str, value: float, least: float, most: float) -> None:
    """Refuses a time out of its range."""
    if not least <= value <= most:
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f"The value for {what} is out of bounds. You passed {value}s in the request, "
            f"but the value must be between {least}s and {most}s.",
        )
