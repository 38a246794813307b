"""The headers of a task's HTTP request on the wire.

https://cloud.google.com/tasks/docs/creating-http-target-tasks#handler, documented; that User-Agent shows in the
task as stored, and the values of the two headers of a retry, are recorded (see the package).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks.model import NO_ANSWER

if TYPE_CHECKING:
    from spanner_backup_emulator.tasks.lane import Job

USER_AGENT = "Google-Cloud-Tasks"

_COMPUTED = frozenset({"host", "content-length", "user-agent"})
_RESERVED = ("x-google-", "x-appengine-", "x-cloudtasks-")

NO_ANSWER_SHOWN = 504
"""What a retry is told about an attempt that got no answer: recorded for a missed deadline, else inferred."""


def on_wire(job: Job) -> dict[str, str]:
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
        about |= {"TaskPreviousResponse": NO_ANSWER_SHOWN if job.status == NO_ANSWER else job.status}
        about |= {"TaskRetryReason": ""}
    return kept | {"User-Agent": USER_AGENT} | {f"X-CloudTasks-{name}": str(value) for name, value in about.items()}
