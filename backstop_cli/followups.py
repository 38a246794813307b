"""Who follows what: the function's follow-ups, read out of the queue's tasks.

Reading a task's body takes `cloudtasks.tasks.fullView`. What a newer function writes into a follow-up is ignored here.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backstop_cli.clients import call, client

PAGE_SIZE = 1000
"""As large as Cloud Tasks makes them."""

_TARGETS = ("operation", "backup", "database", "instance")


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One follow-up that waits."""

    kind: str  # `poll` (once `look`) an operation, or carry a command out again or further.
    operation: str  # What it polls; empty for the other kinds.
    about: str  # What it is about: the operation, or the command's target.
    due: datetime | None  # When it will come.
    gives_up: datetime | None  # When the chain ends.
    intent: str  # KEEP or CANCEL.
    stops: datetime | None  # When the command wants it stopped if it still runs: its limit.
    blocked: bool  # Whether it has told that the backup can't be deleted yet.
    step: int  # How many there were before.
    action: str  # What the command asks for.
    message_id: str  # The command's message.
    requested_by: str  # Who asked, as the command claims.
    reason: str  # Why, likewise.


def waiting(queue: str) -> list[FollowUp]:
    """All follow-ups that wait in a queue, the next one first."""
    tasks = client("google.cloud.tasks_v2", "CloudTasksClient", "CLOUD_TASKS")
    request: dict[str, object] = {"parent": queue, "response_view": "FULL", "page_size": PAGE_SIZE}
    found: list[FollowUp] = []
    while True:
        page = call(tasks.list_tasks, request)
        found += (follow_up for task in page.tasks if (follow_up := read(task)) is not None)
        if not page.next_page_token:
            return sorted(found, key=lambda one: one.due or datetime.now(UTC))
        request["page_token"] = page.next_page_token


def read(task: Any) -> FollowUp | None:
    """Reads one task; None for one that publishes nothing that can be read."""
    try:
        (message,) = json.loads(task.http_request.body)["messages"]
        document = json.loads(base64.b64decode(message["data"]))
        trigger, command = document["trigger"], document.get("command", {})
        due, limit = task.schedule_time, document.get("unwanted_from")
        return FollowUp(
            kind="poll" if document["kind"] == "look" else document["kind"],
            operation=document.get("operation", ""),
            about=str(next((name for key in _TARGETS if (name := {**command, **document}.get(key))), "")),
            due=due.replace(tzinfo=UTC) if due and not due.tzinfo else due,
            gives_up=datetime.fromisoformat(given) if (given := document.get("give_up_at")) else None,
            intent=document.get("intent", ""),
            stops=datetime.fromisoformat(limit) if limit and document.get("intent") == "KEEP" else None,
            blocked="DELETE_BLOCKED" in document.get("told", ()),
            step=document["step"],
            action=trigger.get("action") or command.get("action", ""),
            message_id=trigger["message_id"],
            requested_by=trigger.get("requested_by") or command.get("requested_by", ""),
            reason=trigger.get("reason") or command.get("reason", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
