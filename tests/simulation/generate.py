"""A random history from a seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel, Status
from tests.simulation import moments, races
from tests.simulation.faults import EPOCH, FAR_FUTURE, FORGED, FORGED_SOURCE, NO_ID, NO_TIME, Faults, swarm
from tests.simulation.history import (
    DATABASES,
    GHOST,
    INSTANCE,
    History,
    Person,
    Publish,
    Step,
    backup_name,
    database_name,
)

BACKUPS = ("nightly", "before-migration")
"""So few names that people and commands meet under them."""

STEPS_MAX = 7
PLANS_PER_DATABASE = 6

DURATION_S_MIN, DURATION_S_MAX = 3 * 60.0, 4 * 3600.0
"""Real backups take 1 to 4 hours; shorter ones meet the grace of a cancel more often."""

CANCEL_SLOW_PART = 0.3
"""How many cancels are slow in any history: the race that they make possible is what all this is about."""

STALL = timedelta(days=20)

GAP_S_MIN, GAP_S_MAX = 2.0, 3600.0
"""Between two steps: close enough to race, far enough for one to be over before the next."""

HEAL_S_MIN, HEAL_S_MAX = 60.0, 12 * 3600.0
"""How much longer faults go on after the last step."""

RACE_PART = 0.3
"""How many histories are about one race."""

MOMENTS_PART = 0.2
"""How many are about two things that happen within moments; the others are about anything."""

TWIN_PART = 0.05
"""How many messages have the id of another topic's."""

CANCEL_AFTER = ("0s", "10m", "1h", "2h")


def history(seed: int) -> History:
    """The history of this seed."""
    random = Random(seed)
    faults = swarm(random)
    if random.random() < RACE_PART:
        return races.history(random, seed, faults)
    if random.random() < MOMENTS_PART / (1 - RACE_PART):
        return moments.history(random, seed, faults)
    steps: list[Step] = []
    at_s = 0.0
    mostly_people = random.random() < 0.3
    for number in range(random.randint(2, STEPS_MAX)):
        at_s = round(at_s + _log_uniform(random, GAP_S_MIN, GAP_S_MAX), 3)
        by_person = number > 0 and random.random() < (0.6 if mostly_people else 0.25)
        if number == 0:
            steps.append(random.choice((_start, _start, _start_many, _publish, _scheduled))(random, at_s))
        else:
            steps.append(_person(random, at_s) if by_person else _publish(random, at_s))
    chosen = races.deployment(random)
    if chosen.one_topic:
        steps = [step for step in steps if not (isinstance(step, Publish) and step.odd in {FORGED, FORGED_SOURCE})]
    return History(
        seed=seed,
        steps=tuple(steps),
        heal_s=round(at_s + _log_uniform(random, HEAL_S_MIN, HEAL_S_MAX), 3),
        faults=faults,
        deployment=chosen,
        plans={database: tuple(_plan(random, faults) for _ in range(PLANS_PER_DATABASE)) for database in DATABASES},
    )


def _log_uniform(random: Random, low: float, high: float) -> float:
    return low * math.exp(random.random() * math.log(high / low))


def _plan(random: Random, faults: Faults) -> Plan:
    duration = timedelta(seconds=round(_log_uniform(random, DURATION_S_MIN, DURATION_S_MAX), 3))
    if random.random() < faults.stall_rate:
        duration = STALL
    cancel: timedelta | None = timedelta(seconds=round(random.uniform(0, 20), 3))
    if random.random() < faults.cancel_lost_rate:
        cancel = None
    elif random.random() < max(faults.cancel_slow_rate, CANCEL_SLOW_PART):
        cancel = timedelta(seconds=round(_log_uniform(random, 60, 3 * 3600), 3))
    error = None
    if random.random() < faults.fail_rate:
        error = Status(random.choice((Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)), "It broke.")
    progress = ProgressModel.LINEAR
    if random.random() < faults.odd_progress_rate:
        progress = random.choice((ProgressModel.STUCK, ProgressModel.JUMPS, ProgressModel.BACKWARDS))
    removal = timedelta(0)
    if random.random() < faults.leftover_rate:
        removal = timedelta(seconds=round(_log_uniform(random, 1, 1800), 3))
    return Plan(
        duration=duration,
        queue_delay=timedelta(seconds=random.choice((0, 0, 0, 60, 600))),
        cancel_duration=cancel,
        error=error,
        progress=progress,
        removal_delay=removal,
    )


def _person(random: Random, at_s: float) -> Person:
    verb = random.choices(
        (
            "create", "cancel", "delete", "recreate", "restore", "copy", "schedule", "extend", "obscure",
            "purge", "pause", "resume", "deny",
        ),
        (3, 3, 2, 3, 2, 1, 3, 1, 1, 1, 1, 1, 1),
    )[0]  # fmt: skip
    length_s = round(_log_uniform(random, 60, 30 * 3600), 3)
    return Person(at_s, verb, random.choice(DATABASES), random.choice(("", *BACKUPS)), length_s)


def _scheduled(random: Random, at_s: float) -> Person:
    return Person(at_s, "schedule", random.choice(DATABASES), random.choice(BACKUPS))


def _publish(random: Random, at_s: float) -> Publish:
    makers = (_start, _start_many, _cancel, _follow, _sweep, _nonsense, _forged, _misses_a_field)
    message = random.choices(makers, (8, 2, 8, 2, 2, 1, 1, 1))[0](random, at_s)
    return replace(message, twin=not message.odd and random.random() < TWIN_PART)


def _maybe(random: Random, body: dict[str, object], chance: float, field: str, value: Callable[[], object]) -> None:
    if random.random() < chance:
        body[field] = value()


def _database(random: Random) -> str:
    return database_name(random.choices((*DATABASES, GHOST), (16, 3, 3, 1))[0])


def _stop(random: Random, body: dict[str, object], chance: float) -> None:
    """Adds what stopping takes."""
    _maybe(random, body, chance, "cancel_after", lambda: random.choice(CANCEL_AFTER))
    _maybe(random, body, 0.3, "if_created", lambda: random.choice(("delete", "keep")))


def _start(random: Random, at_s: float) -> Publish:
    body: dict[str, object] = {"action": "start", "database": _database(random)}
    _maybe(random, body, 0.5, "backup_id", lambda: random.choice(BACKUPS))
    _stop(random, body, 0.4)
    _maybe(random, body, 0.2, "retention", lambda: random.choice(("6h", "3d", "366d")))
    _maybe(random, body, 0.2, "start_within", lambda: random.choice(("30s", "1h")))
    _maybe(random, body, 0.05, "dry_run", lambda: True)
    return Publish(at_s, body)


def _start_many(random: Random, at_s: float) -> Publish:
    body: dict[str, object] = {"action": "start", "instance": INSTANCE}
    _maybe(random, body, 0.5, "databases", lambda: random.choice((["orders*"], ["users", "nobody"], ["none"])))
    _stop(random, body, 0.3)
    _maybe(random, body, 0.05, "dry_run", lambda: True)
    return Publish(at_s, body)


def _target(random: Random) -> dict[str, object]:
    kind = random.choice(("operation", "backup", "database"))
    if kind == "operation":
        return {"operation": f"@{random.randrange(4)}"}
    if kind == "backup":
        return {"backup": random.choice((f"@{random.randrange(4)}", *(backup_name(name) for name in BACKUPS)))}
    return {"database": _database(random)}


def _cancel(random: Random, at_s: float) -> Publish:
    body: dict[str, object] = {"action": "cancel", **_target(random)}
    _maybe(random, body, 0.3, "if_created", lambda: random.choice(("delete", "keep")))
    _maybe(random, body, 0.3, "include_scheduled", lambda: True)
    _maybe(random, body, 0.05, "dry_run", lambda: True)
    return Publish(at_s, body)


def _follow(random: Random, at_s: float) -> Publish:
    body: dict[str, object] = {"action": "follow", **_target(random)}
    _stop(random, body, 0.5)
    _maybe(random, body, 0.3, "include_scheduled", lambda: True)
    _maybe(random, body, 0.05, "dry_run", lambda: True)
    return Publish(at_s, body)


def _sweep(random: Random, at_s: float) -> Publish:
    body: dict[str, object] = {"action": "sweep", "instance": INSTANCE}
    _stop(random, body, 0.5)
    body.setdefault("if_created", "delete")
    _maybe(random, body, 0.3, "include_scheduled", lambda: True)
    _maybe(random, body, 0.1, "dry_run", lambda: True)
    return Publish(at_s, body)


def _nonsense(random: Random, at_s: float) -> Publish:
    raw = random.choice((b"", b"\xff", b"[1]", b'{"action": "erase"}', b'{"action": "cancel", "action": "start"}'))
    return Publish(at_s, raw=raw or b" ")


def _forged(random: Random, at_s: float) -> Publish:
    """A follow-up by somebody who may only publish commands, and would have a good backup deleted."""
    body: dict[str, object] = {
        "v": 1,
        "kind": "poll",
        "trigger": {"message_id": "1", "publish_time": "2026-11-22T00:00:00Z"},
        "step": 1,
        "operation": f"@{random.randrange(4)}",
        "intent": "CANCEL",
        "unwanted_from": "2026-11-22T00:00:00Z",
        "give_up_at": "2026-12-22T00:00:00Z",
    }
    return Publish(at_s, body, odd=random.choice((FORGED, FORGED_SOURCE)))


def _misses_a_field(random: Random, at_s: float) -> Publish:
    """A command whose envelope lacks something, or says what can't be."""
    message = random.choice((_start, _cancel))(random, at_s)
    return replace(message, odd=random.choice((NO_TIME, EPOCH, FAR_FUTURE, NO_ID)))
