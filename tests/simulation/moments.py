"""Random histories in which two things happen within moments of one another, or of one another's end."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from random import Random

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.simulation.faults import Faults
from tests.simulation.history import INSTANCE, History, Person, Publish, Step, backup_name, database_name
from tests.simulation.races import deployment

ORDERS = database_name("orders")
MOMENT_S_MIN, MOMENT_S_MAX = 0.0002, 20.0
"""From less than the millisecond that publish times are cut to, to more than any two clocks differ by."""

RESTAMP_RATE = 0.5


def history(random: Random, seed: int, faults: Faults) -> History:
    """A history of one of the kinds below."""
    make = random.choice((_hurried, _overtaken, _same_name, _twins, _last_moment, _came_to_nothing, _scheduled))
    steps, plans = make(random)
    if make is _came_to_nothing:
        faults = replace(faults, restamp_rate=RESTAMP_RATE)
    ordered = sorted((replace(step, at_s=round(step.at_s, 6)) for step in steps), key=lambda step: step.at_s)
    return History(
        seed=seed,
        steps=tuple(ordered),
        heal_s=round(ordered[-1].at_s + random.choice((60.0, 3600.0)), 3),
        faults=faults,
        deployment=deployment(random),
        plans={"orders": plans},
    )


def moment_s(random: Random) -> float:
    """A short time, each order of magnitude as likely as another."""
    return MOMENT_S_MIN * math.exp(random.random() * math.log(MOMENT_S_MAX / MOMENT_S_MIN))


def _plan(random: Random, length_s: float) -> Plan:
    cancel = random.choice((None, timedelta(seconds=5), timedelta(minutes=20)))
    return Plan(duration=timedelta(seconds=round(length_s, 6)), cancel_duration=cancel)


def _start(at_s: float, **fields: object) -> Publish:
    return Publish(at_s, {"action": "start", "database": ORDERS, **fields})


def _cancel(random: Random, at_s: float, backup_id: str = "nightly") -> Publish:
    target = random.choice(({"database": ORDERS}, {"database": ORDERS}, {"backup": backup_name(backup_id)}))
    return Publish(at_s, {"action": "cancel", **target})


def _good_one(random: Random) -> tuple[Step, Plan, float]:
    """A backup that is complete, how it went, and a time soon after its end."""
    length_s = random.uniform(200, 2000)
    return Person(1.0, "create", "orders", "good"), _plan(random, length_s), 1 + length_s + random.uniform(2, 700)


def _hurried(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """Somebody starts a backup and has it stopped at once, by database or name."""
    before, plan, at_s = _good_one(random)
    begin = random.choice(
        (Person(at_s, "create", "orders", "nightly"), _start(at_s, backup_id="nightly"), _start(at_s))
    )
    latency_s = random.choice((0.0, 0.160278))
    steps = [before, begin, _cancel(random, at_s + latency_s + moment_s(random))]
    return steps[random.randrange(2) :], (plan, _plan(random, random.uniform(5, 4000)))


def _overtaken(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """A cancel overtakes its start, or meets an operation that can't be read, soon after a good backup's end."""
    before, plan, at_s = _good_one(random)
    begin: Step = replace(_start(at_s, backup_id="nightly"), late_s=round(random.uniform(5, 900), 3))
    if random.random() < 0.3:
        begin = Person(at_s, "obscure", "orders", "nightly")
    cancel = _cancel(random, at_s + moment_s(random), random.choice(("nightly", "good")))
    return [before, begin, cancel], (plan, _plan(random, 1800))


def _same_name(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """A start gives the name of a backup that somebody else began moments before, and has a limit."""
    limit = random.choice(("0s", "5m", "20m"))
    steps: list[Step] = [
        Person(60.0, "create", "orders", "nightly"),
        _start(60 + random.choice((-1, 1, 1, 1)) * moment_s(random), backup_id="nightly", cancel_after=limit),
    ]
    if random.random() < 0.3:
        steps.append(Person(random.uniform(100, 3000), "extend", "orders", "nightly"))
    return steps, (_plan(random, random.uniform(60, 3000)),)


def _twins(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """Two commands have one id, each in a topic of its own."""
    pair = random.choice((("cancel", "follow"), ("start", "cancel"), ("start", "start"), ("start", "follow")))
    at_s = 1.0
    steps: list[Step] = [] if pair[0] == "start" else [Person(at_s, "create", "orders", "by-hand")]
    for number, action in enumerate(pair):
        at_s += moment_s(random) if number else 60.0
        body = {"action": action, "database": ORDERS}
        if action == "start":
            body["database"] = database_name(random.choice(("orders", "users")))
        steps.append(Publish(at_s, body, twin=number > 0))
    return steps, (_plan(random, random.uniform(200, 3000)),) * 2


def _last_moment(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """A cancel, a limit or a sweep comes as the backup is about to be complete."""
    length_s = random.uniform(300, 3000)
    at_s = 1 + length_s - random.choice((0.02, 0.1, 0.18, 0.26, 3.0)) * random.uniform(0.9, 1.1)
    create = Person(1.0, "create", "orders", "nightly")
    sweep = Publish(at_s, {"action": "sweep", "instance": INSTANCE, "cancel_after": "2m", "if_created": "delete"})
    last = random.choice((_cancel(random, at_s), sweep, Publish(at_s, {"action": "cancel", "operation": "@0"})))
    return [create, last], (_plan(random, length_s),)


def _came_to_nothing(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """A start whose backup fails or is stopped soon, and that may come again."""
    length_s = random.uniform(5, 300)
    error = Status(Code.INTERNAL, "It broke.") if random.random() < 0.7 else None
    steps: list[Step] = [_start(1.0, **random.choice(({}, {"backup_id": "nightly"}, {"backup_id": "nightly"})))]
    if random.random() < 0.5:
        steps.append(Person(random.uniform(2, length_s + 2), random.choice(("cancel", "delete"))))
    return steps, (replace(_plan(random, length_s), error=error), _plan(random, 1800))


def _scheduled(random: Random) -> tuple[list[Step], tuple[Plan, ...]]:
    """Somebody names a native schedule's backup that has just been completed."""
    length_s = random.uniform(200, 2000)
    target = random.choice(({"operation": "@0"}, {"backup": backup_name("daily")}))
    cancel = Publish(1 + length_s + random.uniform(-60, 700), {"action": "cancel", **target})
    return [Person(1.0, "schedule", "orders", "daily"), cancel], (_plan(random, length_s),)
