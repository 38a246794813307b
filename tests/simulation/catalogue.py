"""The scenarios that are searched exhaustively: each goes well, until something fails at one of its places."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.simulation.history import INSTANCE, Deployment, History, Person, Step
from tests.simulation.story import (
    HANGS,
    HOUR_S,
    HOURLY,
    MINUTE_S,
    ORDERS,
    SLOW_CANCEL,
    USERS,
    cancel,
    create,
    follow,
    start,
    story,
    sweep,
)

SOON_CANCELLED = replace(HOURLY, cancel_duration=timedelta(seconds=5))
FAILS = Plan(duration=timedelta(minutes=30), error=Status(Code.INTERNAL, "It broke."))
SCARCE = Deployment(look_min=timedelta(minutes=10), give_up_after=timedelta(hours=12))
"""Few polls, so that every place of a history can be tried."""
HASTY = Deployment(look_min=timedelta(minutes=30), give_up_after=timedelta(hours=4))


def _of(*steps: Step, plan: Plan = SOON_CANCELLED, deployment: Deployment = SCARCE) -> History:
    return story(*steps, plans=(plan,) * 6, deployment=deployment)


SCENARIOS: dict[str, History] = {
    "a start runs to its end": _of(start()),
    "a start with a name runs to its end": _of(start(backup_id="nightly")),
    "a start fails": _of(start(), plan=FAILS),
    "a start is stopped at once": _of(start(cancel_after="0s")),
    "a start is stopped at its limit, and completes all the same": _of(
        start(backup_id="nightly", cancel_after="10m"), plan=SLOW_CANCEL
    ),
    "a start hangs until it is given up": _of(start(), plan=HANGS, deployment=HASTY),
    "a start finds its slot taken": _of(create(), start(MINUTE_S)),
    "a start of every database": _of(start(instance=INSTANCE)),
    "a start of many that are stopped at once": _of(start(instance=INSTANCE, cancel_after="0s")),
    "a cancel takes hold": _of(create(), cancel(10 * MINUTE_S, database=ORDERS)),
    "a cancel loses the race": _of(create(), cancel(10 * MINUTE_S, database=ORDERS), plan=SLOW_CANCEL),
    "a cancel comes within the grace": _of(create(), cancel(35 * MINUTE_S), plan=SLOW_CANCEL),
    "a cancel loses the race, and a copy blocks the delete": _of(
        create(), cancel(10 * MINUTE_S), Person(30 * MINUTE_S + 2, "copy", length_s=2 * HOUR_S), plan=SLOW_CANCEL
    ),
    "a cancel loses the race, and the name is used again": _of(
        create(), cancel(10 * MINUTE_S), Person(30 * MINUTE_S + 2, "recreate"), plan=SLOW_CANCEL
    ),
    "a cancel finds a scheduled backup beside the one that is meant": _of(
        create(1, "by-hand"),
        Person(2, "schedule", name="nightly"),
        cancel(10 * MINUTE_S, database=ORDERS),
        plan=SLOW_CANCEL,
    ),
    "two commands follow one operation": _of(start(backup_id="nightly"), cancel(10 * MINUTE_S), plan=SLOW_CANCEL),
    "a follow watches to a limit": _of(
        create(), follow(MINUTE_S, database=ORDERS, cancel_after="10m"), plan=SLOW_CANCEL
    ),
    "a sweep cleans up": _of(
        create(),
        Person(2, "cancel"),
        start(3, database=USERS),
        sweep(40 * MINUTE_S, cancel_after="10m"),
        plan=SLOW_CANCEL,
    ),
}
