"""Histories in words: what somebody does and when, how Spanner's backups go, and what goes wrong at which place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from spanner_backup_emulator.spanner.plans import Plan
from tests.simulation.chance import Site
from tests.simulation.faults import Faults
from tests.simulation.history import INSTANCE, Deployment, History, Person, Publish, Step, backup_name, database_name

MINUTE_S, HOUR_S = 60.0, 3600.0
ORDERS, USERS = database_name("orders"), database_name("users")
NIGHTLY = backup_name("nightly")

SHORT, HOURLY = Plan(duration=timedelta(minutes=5)), Plan(duration=timedelta(hours=1))
LOST = Plan(duration=timedelta(minutes=30), cancel_duration=None)  # A cancel of it is accepted and lost.
SLOW_CANCEL = Plan(duration=timedelta(minutes=30), cancel_duration=timedelta(hours=3))
HANGS = Plan(duration=timedelta(days=20), cancel_duration=None)

HEAL_S = 60 * HOUR_S
"""Later than anything, so that each fault may happen, but before Spanner forgets the operations."""


def start(at_s: float = 1, **fields: object) -> Publish:
    """Somebody publishes a start; of the database of orders, unless an instance is given."""
    about = {} if "instance" in fields else {"database": ORDERS}
    return Publish(at_s, {"action": "start", **about, **fields})


def cancel(at_s: float, **target: object) -> Publish:
    """Somebody publishes a cancel; of the operation that was begun first, unless something else is named."""
    return Publish(at_s, {"action": "cancel", **(target or {"operation": "@0"})})


def follow(at_s: float, **fields: object) -> Publish:
    """Somebody publishes a follow."""
    return Publish(at_s, {"action": "follow", **fields})


def sweep(at_s: float, **fields: object) -> Publish:
    """Somebody publishes a sweep that deletes what was left behind."""
    return Publish(at_s, {"action": "sweep", "instance": INSTANCE, "if_created": "delete", **fields})


def create(at_s: float = 1, name: str = "nightly", database: str = "orders") -> Person:
    """Somebody begins a backup in the console."""
    return Person(at_s, "create", database, name)


def late(message: Publish, by_s: float) -> Publish:
    """The same message, delivered late."""
    return replace(message, late_s=by_s)


def twin(message: Publish) -> Publish:
    """The same message on the second topic, under the id that the one before it has on the first."""
    return replace(message, twin=True)


def story(
    *steps: Step,
    plans: tuple[Plan, ...] = (HOURLY,),
    at: Mapping[Site, str] | None = None,
    faults: Faults | None = None,
    deployment: Deployment | None = None,
    seed: int = 1,
) -> History:
    """What these steps make; `at` says which faults happen at which places, and no other does."""
    where = deployment or Deployment()
    by_database = dict.fromkeys(where.databases, plans)
    return History(seed, steps, HEAL_S, faults or Faults(), where, plans=by_database, only=at or {})
