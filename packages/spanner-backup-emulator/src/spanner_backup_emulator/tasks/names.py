"""Resource names: what a well-formed one is, and how Cloud Tasks refuses the others.

The forms: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#task, documented.
The texts for a queue's name and for a task's id are recorded (see the package), the others inferred.
"""

from __future__ import annotations

import re

from spanner_backup_emulator.errors import ApiError, Code

_LOCATION = r"projects/[A-Za-z0-9:.\-]+/locations/[A-Za-z0-9\-]+"
_QUEUE = rf"{_LOCATION}/queues/[A-Za-z0-9\-]{{1,100}}"
_LOCATION_NAME, _QUEUE_NAME = re.compile(_LOCATION), re.compile(_QUEUE)
_TASK_NAME, _TASK_ID = re.compile(rf"({_QUEUE})/tasks/([^/]*)"), re.compile(r"[A-Za-z0-9_\-]{1,500}")

_QUEUE_FORM = "projects/<PROJECT_ID>/locations/<LOCATION_ID>/queues/<QUEUE_ID>"


def _match(pattern: re.Pattern[str], name: str, refusal: str) -> re.Match[str]:
    match = pattern.fullmatch(name)
    if match is None:
        raise ApiError(Code.INVALID_ARGUMENT, refusal)
    return match


def check_location(name: str) -> None:
    """Refuses what is not a location's name."""
    _match(_LOCATION_NAME, name, "Invalid resource field value in the request.")


def check_queue(name: str) -> None:
    """Refuses what is not a queue's name."""
    _match(_QUEUE_NAME, name, f'Queue name must be formatted: "{_QUEUE_FORM}".')


def queue_of(task_name: str) -> str:
    """The queue's name within a task's name, or the refusal of what is none."""
    queue, task_id = _match(
        _TASK_NAME, task_name, f'Task name must be formatted: "{_QUEUE_FORM}/tasks/<TASK_ID>".'
    ).groups()
    _match(
        _TASK_ID,
        task_id,
        f'Task ID "{task_id}" can contain only letters ([A-Za-z]), numbers ([0-9]), hyphens (-), '
        "or underscores (_). Task ID must between 1 and 500 characters.",
    )
    return str(queue)
