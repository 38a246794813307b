"""What the handlers' tests expect of events: each is compared as a whole, field by field and word by word."""

from __future__ import annotations

import json

from spanner_backup_emulator.pubsub.model import published_at
from spanner_backup_emulator.spanner.plans import Plan
from tests.unit.handlers_world import COMMANDS, NIGHTLY, ORDERS, World
from tests.unit.times import HOUR, SECOND

WINS = Plan(duration=2 * HOUR, cancel_duration=5 * SECOND)
LOSES = Plan(duration=2 * HOUR, cancel_duration=None)
COMPLETE = {"end_time": "2026-11-22T04:00:00Z", "expire_time": "2026-12-06T02:00:00Z", "size_bytes": 5_000_000_000}
DELETED = {"freed_bytes": 5_000_000_000, "billed": {"hours_min": 24, "size_bytes": 5_000_000_000}}
LATE = "{backup} was complete before it could be stopped, and "


def of_nightly(world: World, outcome: str, detail: str, /, **more: object) -> dict[str, object]:
    """An event about the first operation.

    Args:
        world: Where it was published.
        outcome: What it is.
        detail: The sentence; {backup} and {operation} stand for their full names.
        more: The fields that not every event has.
    """
    operation = next(event.operation for event in world.spanner.history if event.operation)
    names = {"operation": operation, "backup": NIGHTLY, "database": ORDERS, "create_time": "2026-11-22T02:00:00Z"}
    return of_command(world, outcome, detail.format(**names), NIGHTLY, **names, **more)


def of_command(world: World, outcome: str, detail: str, subject: str, /, **more: object) -> dict[str, object]:
    """An event about the command that was published last."""
    (*_, message) = world.pubsub.published(COMMANDS)
    published, command = published_at(message).isoformat().replace("+00:00", "Z"), json.loads(message.data)
    trigger = {"message_id": message.message_id, "publish_time": published, "topic": COMMANDS}
    trigger["action"] = command["action"]
    return {"outcome": outcome, "detail": detail, "trigger": trigger, "subject": subject, **more}
