"""What people have met, what attacks have found, and what the simulation found itself: each as its smallest history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from tests.simulation.chance import CALL, COMMAND, READ, Site
from tests.simulation.faults import EPOCH, FAR_FUTURE, FORGED, FORGED_SOURCE, NO_ID, NO_TIME, Faults
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish
from tests.simulation.story import (
    HANGS,
    HOUR_S,
    HOURLY,
    LOST,
    MINUTE_S,
    NIGHTLY,
    ORDERS,
    SHORT,
    SLOW_CANCEL,
    USERS,
    cancel,
    create,
    follow,
    late,
    start,
    story,
    sweep,
    twin,
)

GOOD_ONE = create(1, "good")
"""A backup that is complete 5 minutes later."""

LATE_SEED = 5
"""With this one the first command's duplicate comes long after its end."""

MANY = 600
"""Databases of one start, with a reason for each why it wasn't started, that would not fit one follow-up uncut."""

COPIED = Person(30 * MINUTE_S + 2, "copy", "orders", "nightly", 30 * HOUR_S)
ANSWER_LOST: dict[Site, str] = {(CALL, 0, 0, 0, 1, 2): "ABORTED after", (CALL, 0, 0, 0, 2, 1): "crash before"}


class Case(NamedTuple):
    """What was met.

    Attributes:
        history: How.
        told: What is to be told, in order; empty where that isn't the point.
        defect: Which planted defect brings it back; empty where no seam would take it.
    """

    history: History
    told: str = ""
    defect: str = ""


def _forged(odd: str) -> Case:
    poll = {
        "v": 1,
        "kind": "poll",
        "trigger": {"message_id": "1", "publish_time": "2026-11-22T00:00:00Z"},
        "step": 1,
        "operation": "@0",
        "intent": "CANCEL",
        "unwanted_from": "2026-11-22T00:00:00Z",
        "give_up_at": "2026-12-22T00:00:00Z",
    }
    believed = "the topic that a body names is believed" if odd == FORGED_SOURCE else ""
    return Case(story(GOOD_ONE, Publish(600, poll, odd=odd), plans=(SHORT,)), "REJECTED", believed)


def _turned_down(odd: str, message: Publish) -> Case:
    believed = "a publish time that can't be is believed" if odd in {EPOCH, FAR_FUTURE} else ""
    return Case(story(create(), replace(message, odd=odd)), "REJECTED", believed)


def _very_many() -> Case:
    names = tuple(f"database-number-{number:04}" for number in range(MANY))
    held = (create(1 + number / 100, f"held-{number:04}", name) for number, name in enumerate(names))
    history = story(
        *held, start(60, instance=INSTANCE), plans=(replace(HANGS, error=None),), deployment=Deployment(databases=names)
    )
    return Case(history, "REJECTED", "what a start of many carries has no bound")


CASES = {
    # A good backup is left alone.
    "a cancel that overtakes its start leaves the good backup before it alone": Case(
        story(
            GOOD_ONE, late(start(600, backup_id="nightly"), 120), cancel(601, database=ORDERS), plans=(SHORT, HOURLY)
        ),
        "NOTHING_TO_CANCEL STARTED COMPLETED",
        "a cancel by database may be late by the grace",
    ),
    "a cancel beside a running operation that can't be read leaves the good backup alone": Case(
        story(GOOD_ONE, Person(600, "obscure", name="nightly"), cancel(660, database=ORDERS), plans=(SHORT, HOURLY)),
        "REJECTED",
        "an operation that can't be read is overlooked",
    ),
    "a cancel that names a backup leaves it alone where an operation of that name can't be read": Case(
        story(
            create(),
            Person(400, "delete", name="nightly"),
            Person(401, "obscure", name="nightly"),
            cancel(460, backup=NIGHTLY),
            plans=(SHORT, HOURLY),
        ),
        "REJECTED",
    ),
    "a start does not take over the backup of its name that a person began 8 s before": Case(
        story(create(), start(9, backup_id="nightly", cancel_after="10m")),
        "REJECTED",
        "a start takes any backup of its name for its own",
    ),
    "a start does not take over a person's backup of its name that is complete": Case(
        story(create(), late(start(9, backup_id="nightly", cancel_after="0s"), 400), plans=(SHORT,)), "REJECTED"
    ),
    "a native schedule's backup is not taken for the one that a start of its name was to make": Case(
        story(
            start(backup_id="nightly", cancel_after="0s"),
            Person(1.5, "schedule", name="nightly"),
            at={(COMMAND, 0, 0, 0): "delay"},
        ),
        defect="a start takes any backup of its name for its own",
    ),
    "a backup of which nobody knows what its operation made stays": Case(
        story(create(), cancel(10 * MINUTE_S), Person(11 * MINUTE_S, "muddle"), plans=(LOST,)),
        "CANCEL_REQUESTED COMPLETED_KEPT",
        "nothing guards a backup of which holds: nobody knows what its operation made",
    ),
    "a body that names another topic than its push is no follow-up": _forged(FORGED_SOURCE),
    "a command that claims to be a follow-up is none": _forged(FORGED),
    # A command means what its publisher meant.
    "a cancel finds the start before it although Pub/Sub's clock is 3 s behind": Case(
        story(
            GOOD_ONE, start(600), cancel(601, database=ORDERS), plans=(SHORT, HOURLY), faults=Faults(pubsub_skew_s=-3.0)
        ),
        "STARTED CANCEL_REQUESTED CANCELLED CANCELLED",
        "a cancel finds nothing that began since by any clock",
    ),
    "a cancel that comes a second time stops nothing that began after it": Case(
        story(cancel(60, database=ORDERS), create(65), plans=(LOST,), at={(COMMAND, 0, 0, 0): "duplicate"}, seed=2),
        "NOTHING_TO_CANCEL REJECTED",
        "a late command stops what began after it",
    ),
    "a cancel that comes late leaves alone what somebody began after it and cancelled in vain": Case(
        story(
            late(cancel(1, database=ORDERS), 9 * MINUTE_S),
            create(5),
            Person(15, "cancel", "orders", "nightly"),
            plans=(LOST,),
        ),
        "REJECTED",
        "somebody's cancel lifts the doubt",
    ),
    "a cancel that comes a second time leaves the next backup alone": Case(
        story(
            create(60, "first"),
            cancel(61, database=ORDERS),
            create(64, "second"),
            plans=(HOURLY,),
            at={(COMMAND, 1, 0, 0): "duplicate"},
            faults=Faults(pubsub_skew_s=-5.0, function_skew_s=-300.0),
            seed=4,
        ),
        "CANCEL_REQUESTED CANCELLED REJECTED",
        "a doubled cancel goes on to the next backup",
    ),
    "a cancel in the same millisecond as its start finds it": Case(
        story(start(), cancel(1.160778, database=ORDERS)),
        "STARTED CANCEL_REQUESTED CANCELLED CANCELLED",
        "a cancel finds nothing that began since by any clock",
    ),
    "a cancel finds the operation that it names, although a faster clock stamped it": Case(
        story(create(1, "by-hand"), cancel(3), faults=Faults(pubsub_skew_s=-5.0)),
        defect="an operation that is named is too young for the command",
    ),
    "a follow that is delivered twice keeps to the operation that ran when it was published": Case(
        story(
            Person(1, "schedule", name="daily"),
            create(2, "by-hand"),
            follow(MINUTE_S, database=ORDERS, cancel_after="30m", include_scheduled=True),
            plans=(replace(HOURLY, duration=timedelta(hours=9)), replace(SHORT, duration=timedelta(minutes=10))),
            at={(COMMAND, 2, 0, 0): "duplicate"},
            seed=3,
        ),
        defect="a command means what runs when it arrives, and not when it was published",
    ),
    "two commands of two topics with one id have a chain each": Case(
        story(start(), twin(cancel(60, database=ORDERS)), plans=(LOST,)),
        "STARTED CANCEL_REQUESTED COMPLETED_DESPITE_CANCEL COMPLETED_THEN_DELETED",
        "a chain's names leave the topic out",
    ),
    "two starts of two topics with one id make a backup each": Case(
        story(start(), twin(start(1.2, database=USERS))), "STARTED STARTED COMPLETED COMPLETED"
    ),
    **{
        f"a command is turned down once: {odd}": _turned_down(odd, message)
        for odd, message in (
            (NO_TIME, cancel(60, database=ORDERS)),
            (EPOCH, cancel(60, database=ORDERS)),
            (FAR_FUTURE, start(60)),
            (NO_ID, start(60)),
        )
    },
    # A message that comes again does what it has done.
    "a start that comes again with another publish time makes one backup": Case(
        story(start(), plans=(SHORT,), at={(COMMAND, 0, 0, 0): "restamp"}, seed=LATE_SEED),
        "STARTED COMPLETED STARTED",
        "a derived name is looked for with the time in it",
    ),
    "a start whose backup a person keeps for longer is known when it comes again": Case(
        story(
            start(backup_id="nightly"),
            Person(700, "extend", name="nightly"),
            plans=(SHORT,),
            at={(COMMAND, 0, 0, 0): "duplicate"},
            seed=LATE_SEED,
        ),
        "STARTED COMPLETED STARTED",
    ),
    "a start whose first delivery died is followed, although a role is missing at the second": Case(
        story(start(), at={(CALL, 0, 0, 0, 1, 3): "crash before", (CALL, 0, 0, 0, 2, 1): "PERMISSION_DENIED before"}),
        defect="a command that was begun is rejected when a role is missing",
    ),
    **{
        f"a start whose backup somebody deletes is followed, although {s} s later a schedule took over its name": Case(
            story(
                start(backup_id="nightly"),
                Person(3, "delete", name="nightly"),
                Person(s, "schedule", name="nightly"),
                plans=(SLOW_CANCEL,),
                at=ANSWER_LOST,
            ),
            defect="a start doesn't look for what it has started before",
        )
        for s in (5, 20)
    },
    "the first of many starts is retried under a name of its own": Case(
        story(
            start(instance=INSTANCE),
            at={(CALL, 0, 2, 1, 1, 4): "crash before", (CALL, 0, 2, 1, 2, 1): "RESOURCE_EXHAUSTED before"},
        ),
        defect="the next of many starts is retried under a name of its own",
    ),
    "a start of very many that are all turned down sums them up": _very_many(),
    # What Spanner says once may be wrong, or too late.
    "an operation that is not found once is polled again": Case(
        story(start(), at={(READ, 0, 1, 1, 1, 1): "missing"}),
        "STARTED COMPLETED",
        "the rule of MISSING under KEEP is another",
    ),
    "an operation that is to be stopped and is not found once is polled again": Case(
        story(create(), cancel(60), at={(READ, 1, 1, 1, 1, 1): "missing"}),
        "CANCEL_REQUESTED CANCELLED",
        "the rule of MISSING under CANCEL is another",
    ),
    "a backup that is not found once is not told as gone": Case(
        story(
            create(),
            cancel(60, database=ORDERS),
            plans=(LOST,),
            at={(READ, 1, 1, 1, 1, 2): "missing"},
            deployment=Deployment(look_min=timedelta(minutes=45)),
        ),
        "CANCEL_REQUESTED COMPLETED_THEN_DELETED",
        "a backup that can't be found once counts as gone",
    ),
    "a backup that was deleted is told of as gone, whoever has its name now": Case(
        story(
            start(backup_id="nightly", cancel_after="5m"),
            Person(30 * MINUTE_S + 2, "recreate", name="nightly"),
            plans=(SLOW_CANCEL,),
        ),
        defect="nothing guards a backup of which holds: it is gone, and its name was used again",
    ),
    "a cancel that Spanner refuses as too late still has its end": Case(
        story(
            create(), cancel(300.72, database=ORDERS), plans=(SHORT,), deployment=Deployment(late_cancel_refused=True)
        ),
        "COMPLETED_THEN_DELETED",
        "a refusal to cancel is an error",
    ),
    "a sweep that Spanner refuses as too late leaves the operation to the next one": Case(
        story(
            create(), sweep(300.8, cancel_after="2m"), plans=(SHORT,), deployment=Deployment(late_cancel_refused=True)
        ),
        "NOTHING_TO_CANCEL",
    ),
    # Every chain ends, and costs what it should.
    "a backup that stays blocked is left to expire as early as can be": Case(
        story(
            create(),
            cancel(10 * MINUTE_S),
            COPIED,
            plans=(LOST,),
            deployment=Deployment(give_up_after=timedelta(hours=4)),
        ),
        "CANCEL_REQUESTED DELETE_BLOCKED GAVE_UP",
        "the rule of UNDELETABLE under CANCEL is another",
    ),
    "a backup that stays blocked and expires soon is left alone": Case(
        story(
            start(backup_id="nightly", cancel_after="10m", retention="6h"),
            COPIED,
            plans=(LOST,),
            deployment=Deployment(give_up_after=timedelta(hours=7)),
        ),
        "STARTED CANCEL_REQUESTED DELETE_BLOCKED GAVE_UP",
        "the rule of LEFT_TO_EXPIRE under CANCEL is another",
    ),
    "a command that comes late has its full time before it is given up": Case(
        story(create(1, "by-hand"), follow(HOUR_S, operation="@0"), plans=(HANGS,)),
        defect="giving up is counted from the operation's start alone",
    ),
    "a follow that comes before tonight's backup is not told how last night's ended": Case(
        story(create(1, "last-night"), follow(14 * HOUR_S, database=ORDERS)), "REJECTED", "a follow is of any night"
    ),
    "a clock that is four minutes behind has no poll made over and over": Case(
        story(start(cancel_after="10m"), faults=Faults(function_skew_s=-240.0))
    ),
    "a backup that hangs where another took minutes is polled a few hundred times": Case(
        story(start(), start(HOUR_S), plans=(replace(SHORT, duration=timedelta(minutes=10)), HANGS)),
        defect="what hangs is polled as if it were about to end",
    ),
}
