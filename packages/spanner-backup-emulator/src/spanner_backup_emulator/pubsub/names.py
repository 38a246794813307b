"""Names of topics and subscriptions, and the refusals that are about names."""

from __future__ import annotations

import re

from spanner_backup_emulator.errors import ApiError, Code

DELETED_TOPIC = "_deleted-topic_"
"""What a subscription shows once its topic is gone (documented).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.subscriptions#Subscription
"""

# 3 to 255 characters, a letter first, never "goog" at the start (documented).
# https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names
_NAME = re.compile(r"projects/[^/]+(/(?P<kind>topics|subscriptions)/(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254})?")


def check(name: str, kind: str | None) -> None:
    """Refuses a name that can't be that of a resource.

    Args:
        name: The full name.
        kind: `topics`, `subscriptions`, or None for a project.

    Raises:
        ApiError: INVALID_ARGUMENT; the text was seen in
            https://github.com/googleapis/google-cloud-java/issues/3333.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["kind"] != kind:
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f"Invalid resource name given (name={name}). "
            "Refer to https://cloud.google.com/pubsub/docs/admin#resource_names for more information.",
        )


def missing(name: str) -> ApiError:
    """The refusal of a name that nothing has; seen in https://github.com/ScaleSec/project_lockdown/issues/57."""
    return ApiError(Code.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")


def taken(name: str) -> ApiError:
    """The refusal of a second resource of one name; seen in https://github.com/argoproj/argo-events/issues/339."""
    return ApiError(
        Code.ALREADY_EXISTS, f"Resource already exists in the project (resource={name.rpartition('/')[2]})."
    )
