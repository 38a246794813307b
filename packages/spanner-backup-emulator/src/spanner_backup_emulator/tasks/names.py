"""Resource names: what a well-formed one is, and how Cloud Tasks refuses the others.

The forms: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented.
The texts for a queue's name and for a task's id are recorded (see the package), the others inferred.
"""

from __future__ import annotations

import re

from spanner_backup_emulator.errors import ApiError, Code

_LOCATION = r"projects/[A-Za-z0-9:.\-]+/locations/[A-Za-z0-9\-]+"
_QUEUE = rf"{_LOCATION}/queues/[A-Za-z0-9\-]{{1,100}}"
_LOCATION_NAME = re.compile(_LOCATION)
_QUEUE_NAME = re.compile(_QUEUE)
_TASK_NAME = re.compile(rf"({_QUEUE})/tasks/([^/]*)")
_TASK_ID = re.compile(r"[A-Za-z0-9_\-]{1,500}")


def check_location(name: str) -> None:
    """Refuses what is not a location's name.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not _LOCATION_NAME.fullmatch(name):
        raise ApiError(Code.INVALID_ARGUMENT, "Invalid resource field value in the request.")


def check_queue(name: str) -> None:
    """Refuses what is not a queue's name.

    Raises:
        ApiError: INVALID_ARGUMENT.
    """
    if not _QUEUE_NAME.fullmatch(name):
        raise ApiError(
            Code.INVALID_ARGUMENT,
            'Queue name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>".',
        )


def queue_of(task_name: str) -> str:
    """The queue's name within a task's name.

    Raises:
        ApiError: INVALID_ARGUMENT, where it is not a task's name.
    """
    match = _TASK_NAME.fullmatch(task_name)
    if match is None:
        raise ApiError(
            Code.INVALID_ARGUMENT,
            'Task name must be formatted: "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>'
            '/tasks/<TASK_ID>".',
        )
    queue, task_id = match.groups()
    if not _TASK_ID.fullmatch(task_id):
        raise ApiError(
            Code.INVALID_ARGUMENT,
            f'Task ID "{task_id}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), '
            "or underscores (_). Task ID must between 1 and 500 characters.",
        )
    return str(queue)


def short(name: str) -> str:
    """The last part of a name, which is what the dispatch headers carry."""
    return name.rpartition("/")[2]
