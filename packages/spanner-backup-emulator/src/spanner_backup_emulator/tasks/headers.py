"""The headers of a task's HTTP request, at rest and on the wire.

https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler, documented; that User-Agent shows in the
task as stored, and the values of the two headers of a retry, are recorded (see the package).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks import names
from spanner_backup_emulator.tasks.model import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanner_backup_emulator.tasks.model import Task

USER_AGENT = "Google-Cloud-Tasks"

_COMPUTED = frozenset({"host", "content-length", "user-agent"})
_RESERVED = ("x-google-", "x-appengine-", "x-cloudtasks-")

NO_ANSWER_SHOWN = 504
"""What a retry is told about an attempt that got no answer: recorded for a missed deadline, else inferred."""


def stored(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers as a task shows them: the client's, with the service's User-Agent."""
    kept = {name: value for name, value in headers.items() if name.lower() != "user-agent"}
    return {**kept, "User-Agent": USER_AGENT}


def on_wire(task: Task) -> dict[str, str]:
    """The headers of the next attempt at a task, without those that the HTTP client computes."""
    kept = {
        name: value
        for name, value in task.http_request.headers.items()
        if name.lower() not in _COMPUTED and not name.lower().startswith(_RESERVED)
    }
    added = {
        "User-Agent": USER_AGENT,
        "X-CloudTasks-QueueName": names.short(task.queue),
        "X-CloudTasks-TaskName": names.short(task.name),
        "X-CloudTasks-TaskRetryCount": str(task.dispatch_count),
        "X-CloudTasks-TaskExecutionCount": str(task.execution_count),
        "X-CloudTasks-TaskETA": f"{task.schedule_time.timestamp():.6f}",
    }
    if task.last_attempt is not None and task.last_attempt.response_time is not None:
        status = task.last_attempt.status
        added["X-CloudTasks-TaskPreviousResponse"] = str(NO_ANSWER_SHOWN if status == NO_ANSWER else status)
        added["X-CloudTasks-TaskRetryReason"] = ""
    return kept | added
