"""Three months of a deployment's life as Cloud Monitoring would have seen them, quiet or with one thing broken."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.terraform.promql import Series, World, counter

if TYPE_CHECKING:
    from tests.terraform.plans import Json

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
QUARTER_DAYS = 91
INSTANCE = "projects/example-project/instances/orders"

OUTCOMES = "logging_googleapis_com:user_backstop_outcomes"
RUNS = "logging_googleapis_com:user_backstop_runs"
ATTEMPTS = "cloudtasks_googleapis_com:queue_task_attempt_count"
DEPTH = "cloudtasks_googleapis_com:queue_depth"
QUEUE = {"monitored_resource": "cloud_tasks_queue", "queue_id": "backstop-follow-ups"}

SUMMER_DAY, WINTER_DAY = 30, 60
"""When a clock of Rome is put forward, and back."""


def _daily(hour: float) -> list[float]:
    return [day * DAY + hour * HOUR for day in range(QUARTER_DAYS)]


def _rome(hour: float) -> list[float]:
    shifted = range(SUMMER_DAY, WINTER_DAY)
    return [day * DAY + (hour - (1 if day in shifted else 0)) * HOUR for day in range(QUARTER_DAYS)]


SCHEDULES: dict[str, Json] = {
    "nightly": {"instance": "orders", "databases": ["orders-*", "user?"], "cron": "5 1 * * *"},
    "rome": {"instance": "orders", "database": "accounts", "cron": "25 2 * * *", "time_zone": "Europe/Rome"},
    "workdays": {"instance": "orders", "database": "reports", "cron": "0 3 * * 1-5"},
    "weekly": {"instance": "orders", "database": "archive", "cron": "45 1 * * 0"},
    "monthly": {"instance": "orders", "database": "ledger", "cron": "25 3 1 * *"},
    "often": {"instance": "orders", "database": "events", "cron": "10 */6 * * *"},
}
"""What the module is told; the quarter begins with a Monday that is the first of a month."""

TURNS: Mapping[str, list[float]] = {
    "nightly": _daily(1.08),
    "rome": _rome(1.42),
    "workdays": [turn for day, turn in enumerate(_daily(3.0)) if day % 7 < 5],
    "weekly": [turn for day, turn in enumerate(_daily(1.75)) if day % 7 == 6],
    "monthly": [day * DAY + 3.42 * HOUR for day in (0, 31, 61)],
    "often": [turn + part * 6 * HOUR for turn in _daily(0.17) for part in range(4)],
}

DATABASES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "nightly": {"orders-eu": (0, 91), "orders-old": (0, 40), "orders-new": (50, 91), "users": (0, 91)},
    "rome": {"accounts": (0, 91)},
    "workdays": {"reports": (0, 91)},
    "weekly": {"archive": (0, 91)},
    "monthly": {"ledger": (0, 91)},
    "often": {"events": (0, 91)},
}
"""For each schedule its databases, and from which day to which they are there."""

Broken = Callable[[str, str, float], bool]
"""Whether something is broken for a schedule and a database (or for all: empty) at a time."""


def _nothing(_schedule: str, _database: str, _at: float) -> bool:
    return False


@dataclass
class Quarter:
    """What happens; each of the first five may be broken.

    Attributes:
        no_turn: The job doesn't run.
        no_begin: The command comes to nothing.
        no_end: A backup that began never completes, and nobody says so.
        refused: Pub/Sub refuses what tasks publish.
        paused: The queue is paused.
        seed: Of how long each backup takes.
    """

    no_turn: Broken = _nothing
    no_begin: Broken = _nothing
    no_end: Broken = _nothing
    refused: Broken = _nothing
    paused: Broken = _nothing
    seed: int = 1
    _outcomes: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _attempts: dict[str, list[float]] = field(default_factory=lambda: {"200": [], "503": [], "403": []})
    _runs: dict[str, list[float]] = field(default_factory=dict)
    _waiting: list[tuple[float, int]] = field(default_factory=list)

    def world(self) -> World:
        """The time series."""
        chance = random.Random(self.seed)
        for schedule, turns in TURNS.items():
            for turn in turns:
                if not self.no_turn(schedule, "", turn):
                    self._runs.setdefault(schedule, []).extend((turn, turn + 1))
                    self._turn(schedule, turn, chance)
        changes = sorted(self._waiting)
        job, function = {"monitored_resource": "cloud_scheduler_job"}, {"monitored_resource": "cloud_run_revision"}
        return {
            OUTCOMES: [
                counter({**function, "database": f"{INSTANCE}/databases/{database}", "outcome": outcome}, sorted(at))
                for (database, outcome), at in self._outcomes.items()
            ],
            RUNS: [counter({**job, "job_id": f"backstop-start-{name}"}, sorted(at)) for name, at in self._runs.items()],
            ATTEMPTS: [counter({**QUEUE, "response_code": code}, sorted(at)) for code, at in self._attempts.items()],
            DEPTH: [Series(QUEUE, [at for at, _ in changes], list(itertools.accumulate(by for _, by in changes)))],
        }

    def _turn(self, schedule: str, turn: float, chance: random.Random) -> None:
        for database, (first, last) in DATABASES[schedule].items():
            if not first * DAY <= turn < last * DAY or self.no_begin(schedule, database, turn):
                continue
            begin = turn + chance.uniform(5, 90)
            # Spanner: 1 to 4 hours, after up to half an hour of queueing; small ones are quicker.
            end = begin + chance.uniform(0.4, 4.5) * HOUR
            self._outcomes.setdefault((database, "STARTED"), []).append(begin)
            self._looks(begin, end, chance)
            if not self.no_end(schedule, database, turn):
                self._outcomes.setdefault((database, "COMPLETED"), []).append(end)

    def _looks(self, begin: float, end: float, chance: random.Random) -> None:
        at = begin
        while at < end:
            at += chance.uniform(5 * MINUTE, HOUR)
            self._waiting.append((begin, 1))
            begin = self._attempted(at, chance)
            self._waiting.append((begin, -1))

    def _attempted(self, due: float, chance: random.Random) -> float:
        """Tries a task until it got through, or for a day, which is longer than anything waits for here."""
        pause, end = 1.0, due + DAY
        # Pub/Sub hiccups for some seconds in one look of fifty.
        blip = due + 20 if chance.random() < 0.02 else due
        while due < end:
            if self.paused("", "", due):
                due += MINUTE
            elif self.refused("", "", due) or due < blip:
                self._attempts["403" if self.refused("", "", due) else "503"].append(due)
                due += pause
                pause = min(2 * pause, 300.0)
            else:
                break
        self._attempts["200"].append(due)
        return due
