"""Random histories about the race that Backstop exists for, and what gets in the way of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from spanner_backup_emulator.spanner.plans import Plan
from tests.simulation.faults import Faults
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish, Step, database_name

LOOK_MIN = tuple(timedelta(seconds=seconds) for seconds in (10, 120, 600, 1800))
"""The longer ones cost less to simulate; how often to look is the benchmark's business."""

GIVE_UP_AFTER = (timedelta(days=3), timedelta(hours=12), timedelta(hours=6))

HANG_PART = 0.02
"""A backup that hangs where others took minutes costs hundreds of looks, so there are few of them."""

TAKEN_OVER_PART = 0.03
"""How often a schedule takes over the name of a backup that was deleted while it was being made."""

SCHEDULED_PART = 0.2
"""How often a native schedule backs the same database up at the same time."""

STALL = timedelta(days=20)


def deployment(random: Random) -> Deployment:
    """What an operator may have chosen."""
    return Deployment(
        look_min=random.choice(LOOK_MIN),
        give_up_after=random.choice(GIVE_UP_AFTER),
        allow_delete=random.random() < 0.93,
        one_topic=random.random() < 0.1,
        dead_letter_after=random.choice((5, 10, 10, None)),
        exists_before_pending=random.random() < 0.5,
        late_cancel_refused=random.random() < 0.5,
        brief_answers=random.random() < 0.2,
    )


def history(random: Random, seed: int, faults: Faults) -> History:
    """One backup that is to be stopped, and that is done, or about to be, when somebody lays hands on it."""
    length_s = round(random.uniform(600, 7200), 3)
    plan = Plan(duration=timedelta(seconds=length_s), cancel_duration=_cancel_duration(random))
    if random.random() < HANG_PART:
        return _hanging(random, seed)
    if random.random() < TAKEN_OVER_PART:
        return _taken_over(random, seed, faults)
    steps: list[Step] = [_begin(random)]
    if not _has_limit(steps[0]):
        steps.append(_cancel(random, steps[0].at_s + random.uniform(0.05, 1.05) * length_s))
    if random.random() < SCHEDULED_PART:
        steps.append(Person(random.uniform(2, length_s), "schedule", "orders", "daily"))
    at_s = max(steps[-1].at_s, length_s)
    for _ in range(random.randint(0, 3)):
        at_s += random.choice((1.0, 60.0, 1200.0)) * random.uniform(0.1, 2)
        steps.append(_meddle(random, at_s))
    steps = sorted((_rounded(step) for step in steps), key=lambda step: step.at_s)
    later = replace(plan, duration=timedelta(minutes=20))
    return History(
        seed=seed,
        steps=tuple(steps),
        heal_s=round(steps[-1].at_s + random.choice((60.0, 3600.0, 10_000.0)), 3),
        faults=faults,
        deployment=deployment(random),
        plans={"orders": (plan, *(later,) * 5)},
    )


def _rounded(step: Step) -> Step:
    return replace(step, at_s=round(step.at_s, 3))


def _cancel_duration(random: Random) -> timedelta | None:
    return random.choice((None, timedelta(seconds=5), timedelta(minutes=20), timedelta(hours=3)))


def _begin(random: Random) -> Step:
    if random.random() < 0.5:
        return Person(1.0, "create", "orders", "nightly")
    body: dict[str, object] = {"action": "start", "database": database_name("orders"), "backup_id": "nightly"}
    if random.random() < 0.5:
        body["cancel_after"] = random.choice(("0s", "5m", "30m"))
    return Publish(1.0, body)


def _has_limit(step: Step) -> bool:
    return isinstance(step, Publish) and "cancel_after" in step.body


def _cancel(random: Random, at_s: float) -> Step:
    """Somebody has it stopped, or stops it and leaves the rest to a sweep."""
    field, value = random.choice((("operation", "@0"), ("backup", "@0"), ("database", database_name("orders"))))
    target: dict[str, object] = {field: value}
    if random.random() < 0.3:
        target["include_scheduled"] = True
    if random.random() < 0.2:
        return Person(at_s, "cancel")
    if random.random() < 0.2:
        return Publish(at_s, {"action": "follow", **target, "cancel_after": random.choice(("5m", "30m"))})
    return Publish(at_s, {"action": "cancel", **target})


def _meddle(random: Random, at_s: float) -> Step:
    """Somebody lays hands on the backup, or has what is left of it swept up."""
    length_s = round(random.uniform(600, 30_000), 3)
    if random.random() < 0.35:
        sweep = {"action": "sweep", "instance": INSTANCE, "if_created": "delete"}
        return Publish(at_s, sweep | random.choice(({}, {"cancel_after": "10m"})))
    verb = random.choice(("copy", "restore", "recreate", "recreate", "delete", "schedule", "create"))
    return Person(at_s, verb, "orders", "nightly", length_s)


def _taken_over(random: Random, seed: int, faults: Faults) -> History:
    """A backup that somebody deletes as it is being made, a schedule's of the same name, and who asks for the first."""
    deleted_s = random.uniform(2, 300)
    taken_s = deleted_s + random.choice((1.0, 60.0)) * random.uniform(0.1, 2)
    steps: tuple[Step, ...] = (
        _begin(random),
        Person(deleted_s, "delete", "orders", "nightly"),
        Person(taken_s, "schedule", "orders", "nightly"),
        _cancel(random, random.uniform(2, 600)),
    )
    ordered = sorted((_rounded(step) for step in steps), key=lambda step: step.at_s)
    return History(
        seed=seed,
        steps=tuple(ordered),
        heal_s=1000.0,
        faults=faults,
        deployment=deployment(random),
        plans={"orders": (Plan(duration=timedelta(hours=1), cancel_duration=_cancel_duration(random)),)},
    )


def _hanging(random: Random, seed: int) -> History:
    """A short backup, and after it one that never ends."""
    start = {"action": "start", "database": database_name("orders")}
    short = Plan(duration=timedelta(seconds=random.uniform(1, 3600)))
    return History(
        seed=seed,
        steps=(Publish(1.0, start), Publish(4000.0, start)),
        heal_s=5000.0,
        plans={"orders": (short, Plan(duration=STALL))},
    )
