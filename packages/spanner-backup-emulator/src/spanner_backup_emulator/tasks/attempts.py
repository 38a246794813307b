"""What an attempt at a task sends, and what is shown of its end.

https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler, documented; that User-Agent shows in the
task as stored, and the values of the two headers of a retry, are recorded (see the package).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.dispatch import NO_ANSWER
from spanner_backup_emulator.errors import HTTP_STATUSES, Code
from spanner_backup_emulator.tasks.messages import pb

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.tasks.lane import Job

USER_AGENT = "Google-Cloud-Tasks"

_COMPUTED = frozenset({"host", "content-length", "user-agent"})
_RESERVED = ("x-google-", "x-appengine-", "x-cloudtasks-")

NO_ANSWER_SHOWN = 504
"""What a retry is told about an attempt that got no answer: recorded for a missed deadline, else inferred."""

_CODES = {status: code for code, status in reversed(HTTP_STATUSES.items())}


def headers(job: Job) -> dict[str, str]:
    """The headers of the next attempt at a task, without those that the HTTP client computes."""
    task = job.task
    kept = {
        name: value
        for name, value in task.http_request.headers.items()
        if name.lower() not in _COMPUTED and not name.lower().startswith(_RESERVED)
    }
    about = {
        "QueueName": job.lane.queue.name.rpartition("/")[2],
        "TaskName": task.name.rpartition("/")[2],
        "TaskRetryCount": task.dispatch_count,
        "TaskExecutionCount": job.execution_count,
        "TaskETA": f"{task.schedule_time.seconds}.{task.schedule_time.nanos // 1000:06}",
    }
    if job.status is not None:
        about |= {"TaskPreviousResponse": job.status or NO_ANSWER_SHOWN, "TaskRetryReason": ""}
    return kept | {"User-Agent": USER_AGENT} | {f"X-CloudTasks-{name}": str(value) for name, value in about.items()}


def http_status(code: Code) -> int:
    """The status that an injected fault of that code stands for; a missed deadline is no answer at all."""
    return NO_ANSWER if code is Code.DEADLINE_EXCEEDED else HTTP_STATUSES[code]


def response_status(status: int) -> Message:
    """What a failed attempt shows, as in https://github.com/googleapis/nodejs-tasks/issues/487 ."""
    code = _CODES.get(status, Code.INTERNAL if status >= 500 else Code.UNKNOWN)
    return pb.Status(code=code, message=f"{code.name}({code.value}): HTTP status code {status}")
