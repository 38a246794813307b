"""The scenarios that are searched exhaustively: each goes well, until something fails at one of its places."""

from __future__ import annotations

from datetime import timedelta

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.records import Status
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish, Step, database_name

ORDERS = database_name("orders")
MINUTE_S, HOUR_S = 60.0, 3600.0
HEAL_S = 60 * HOUR_S
"""Later than anything, so that each fault may happen, but before Spanner forgets the operations."""

HOURLY = Plan(duration=timedelta(hours=1), cancel_duration=timedelta(seconds=5))
SLOW_CANCEL = Plan(duration=timedelta(minutes=30), cancel_duration=timedelta(hours=3))
HANGS = Plan(duration=timedelta(days=20), cancel_duration=None)
FAILS = Plan(duration=timedelta(minutes=30), error=Status(Code.INTERNAL, "It broke."))
SCARCE = Deployment(look_min=timedelta(minutes=10), give_up_after=timedelta(hours=12))
"""Few looks, so that every place of a history can be tried."""
HASTY = Deployment(look_min=timedelta(minutes=30), give_up_after=timedelta(hours=4))


def _of(*steps: Step, plan: Plan = HOURLY, deployment: Deployment = SCARCE) -> History:
    plans = dict.fromkeys(("orders", "orders2", "users"), (plan,) * 6)
    return History(1, steps, HEAL_S, deployment=deployment, plans=plans, only={})


def _publish(at_s: float, action: str, **fields: object) -> Publish:
    return Publish(at_s, {"action": action, **fields})


SCENARIOS: dict[str, History] = {
    "a start runs to its end": _of(_publish(1, "start", database=ORDERS)),
    "a start with a name runs to its end": _of(_publish(1, "start", database=ORDERS, backup_id="nightly")),
    "a start fails": _of(_publish(1, "start", database=ORDERS), plan=FAILS),
    "a start is stopped at once": _of(_publish(1, "start", database=ORDERS, cancel_after="0s")),
    "a start is stopped at its limit, and completes all the same": _of(
        _publish(1, "start", database=ORDERS, backup_id="nightly", cancel_after="10m"), plan=SLOW_CANCEL
    ),
    "a start hangs until it is given up": _of(_publish(1, "start", database=ORDERS), plan=HANGS, deployment=HASTY),
    "a start finds its slot taken": _of(
        Person(1, "create", "orders", "by-hand"), _publish(MINUTE_S, "start", database=ORDERS)
    ),
    "a start of every database": _of(_publish(1, "start", instance=INSTANCE)),
    "a start of many that are stopped at once": _of(_publish(1, "start", instance=INSTANCE, cancel_after="0s")),
    "a cancel takes hold": _of(
        Person(1, "create", "orders", "by-hand"), _publish(10 * MINUTE_S, "cancel", database=ORDERS)
    ),
    "a cancel loses the race": _of(
        Person(1, "create", "orders", "by-hand"), _publish(10 * MINUTE_S, "cancel", database=ORDERS), plan=SLOW_CANCEL
    ),
    "a cancel comes within the grace": _of(
        Person(1, "create", "orders", "by-hand"), _publish(35 * MINUTE_S, "cancel", operation="@0"), plan=SLOW_CANCEL
    ),
    "a cancel loses the race, and a copy blocks the delete": _of(
        Person(1, "create", "orders", "by-hand"),
        _publish(10 * MINUTE_S, "cancel", operation="@0"),
        Person(30 * MINUTE_S + 2, "copy", "orders", "by-hand", 2 * HOUR_S),
        plan=SLOW_CANCEL,
    ),
    "a cancel loses the race, and the name is used again": _of(
        Person(1, "create", "orders", "by-hand"),
        _publish(10 * MINUTE_S, "cancel", operation="@0"),
        Person(30 * MINUTE_S + 2, "recreate", "orders", "by-hand"),
        plan=SLOW_CANCEL,
    ),
    "a cancel finds a scheduled backup beside the one that is meant": _of(
        Person(1, "create", "orders", "by-hand"),
        Person(2, "schedule", "orders", "nightly"),
        _publish(10 * MINUTE_S, "cancel", database=ORDERS),
        plan=SLOW_CANCEL,
    ),
    "two commands follow one operation": _of(
        _publish(1, "start", database=ORDERS, backup_id="nightly"),
        _publish(10 * MINUTE_S, "cancel", operation="@0"),
        plan=SLOW_CANCEL,
    ),
    "a follow watches to a limit": _of(
        Person(1, "create", "orders", "by-hand"),
        _publish(MINUTE_S, "follow", database=ORDERS, cancel_after="10m"),
        plan=SLOW_CANCEL,
    ),
    "a sweep cleans up": _of(
        Person(1, "create", "orders", "by-hand"),
        Person(2, "cancel"),
        _publish(3, "start", database=database_name("users")),
        _publish(40 * MINUTE_S, "sweep", instance=INSTANCE, cancel_after="10m", if_created="delete"),
        plan=SLOW_CANCEL,
    ),
}
