"""What the tests of whole outcomes share: each is compared field by field, and its sentence word by word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emulators.spanner.plans import Plan
from tests.unit.handlers_world import COMMANDS, HOUR, NIGHTLY, ORDERS, SECOND

if TYPE_CHECKING:
    from tests.unit.handlers_world import World

WINS = Plan(duration=2 * HOUR, cancel_duration=5 * SECOND)
LOSES = Plan(duration=2 * HOUR, cancel_duration=None)
COMPLETE = {"end_time": "2026-11-22T04:00:00Z", "expire_time": "2026-12-06T02:00:00Z", "size_bytes": 5_000_000_000}
DAY_BILLED = {"hours_min": 24, "size_bytes": 5_000_000_000}
CANCELLED_ERROR = {"code": "CANCELLED", "message": "The operation was cancelled."}


def of_nightly(world: World, outcome: str, detail: str, **more: object) -> dict[str, object]:
    """An outcome about the first operation.

    Args:
        world: Where it was told.
        outcome: What it is.
        detail: The sentence; {backup} and {operation} stand for their full names.
        more: The fields that not every outcome has.
    """
    operation = next(event.operation for event in world.spanner.history if event.operation)
    return {
        "outcome": outcome,
        "detail": detail.format(backup=NIGHTLY, operation=operation),
        "trigger": trigger(world),
        "subject": NIGHTLY,
        "operation": operation,
        "backup": NIGHTLY,
        "database": ORDERS,
        "create_time": "2026-11-22T02:00:00Z",
        **more,
    }


def of_command(world: World, outcome: str, detail: str, subject: str, **more: object) -> dict[str, object]:
    """An outcome about no operation."""
    return {"outcome": outcome, "detail": detail, "trigger": trigger(world), "subject": subject, **more}


def trigger(world: World) -> dict[str, Any]:
    """The command that was published last, as its outcomes name it."""
    (*_, message) = world.pubsub.published(COMMANDS)
    published = message.publish_time.isoformat().replace("+00:00", "Z")
    return {"message_id": message.message_id, "publish_time": published, "topic": COMMANDS}
