"""Three months of a deployment's life as Cloud Monitoring would have seen them, quiet or with one thing broken."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from typing import NamedTuple

from tests.terraform.plans import Json
from tests.terraform.promql import Series, World, counter

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


class Schedule(NamedTuple):
    """One schedule: what the module is told, when it runs, and from which day to which it has which databases."""

    told: dict[str, Json]
    turns: list[float]
    databases: Mapping[str, tuple[int, int]]


def _at(hour: float, *days: int) -> list[float]:
    return [day * DAY + hour * HOUR for day in days or range(QUARTER_DAYS)]


ALWAYS = (0, QUARTER_DAYS)

SCHEDULES: Mapping[str, Schedule] = {
    "nightly": Schedule(
        {"databases": ["orders-*", "user?"], "cron": "5 1 * * *"},
        _at(1.08),
        {"orders-eu": ALWAYS, "orders-old": (0, 40), "orders-new": (50, QUARTER_DAYS), "users": ALWAYS},
    ),
    # A second schedule of a database that has one, as for a backup that is kept for a year.
    "keepsake": Schedule(
        {"database": "orders-eu", "cron": "45 13 * * 6"}, _at(13.75, *range(5, QUARTER_DAYS, 7)), {"orders-eu": ALWAYS}
    ),
    "rome": Schedule(
        {"database": "accounts", "cron": "25 2 * * *", "time_zone": "Europe/Rome"},
        [at - HOUR * (SUMMER_DAY <= at // DAY < WINTER_DAY) for at in _at(1.42)],
        {"accounts": ALWAYS},
    ),
    "workdays": Schedule(
        {"database": "reports", "cron": "0 3 * * 1-5"},
        [at for at in _at(3.0) if at // DAY % 7 < 5],
        {"reports": ALWAYS},
    ),
    "weekly": Schedule(
        {"database": "archive", "cron": "45 1 * * 0"}, _at(1.75, *range(6, QUARTER_DAYS, 7)), {"archive": ALWAYS}
    ),
    "monthly": Schedule({"database": "ledger", "cron": "25 3 1 * *"}, _at(3.42, 0, 31, 61), {"ledger": ALWAYS}),
    "often": Schedule(
        {"database": "events", "cron": "10 */6 * * *"},
        sorted(at + part * 6 * HOUR for at in _at(0.17) for part in range(4)),
        {"events": ALWAYS},
    ),
}
"""One of each kind; the quarter begins with a Monday that is the first of a month."""


class Broken(NamedTuple):
    """What breaks on a day, for a schedule and a database or for all.

    Its job doesn't run (`turn`), its command comes to nothing (`begin`), a backup that began never completes (`end`),
    and at most a warning is `told`, Pub/Sub refuses what tasks publish (`refused`), or the queue is paused (`paused`).
    """

    what: str = ""
    schedule: str = ""
    database: str = ""
    day: float = 0
    told: str = ""

    def hits(self, what: str, at: float, schedule: str = "", database: str = "") -> bool:
        """Whether this is broken at that time."""
        meant = self.schedule in ("", schedule) and self.database in ("", database)
        return self.what == what and meant and at >= self.day * DAY


class Quarter:
    """What happens, with one thing broken or none; how long each backup takes is drawn by the seed."""

    def __init__(self, broken: Broken, seed: int = 1) -> None:
        self._broken, self._chance = broken, random.Random(seed)
        self._outcomes: dict[tuple[str, ...], list[float]] = {}
        self._attempts: dict[str, list[float]] = {"200": [], "503": [], "403": []}
        self._runs: dict[str, list[float]] = {}
        self._waiting: list[tuple[float, int]] = []

    def world(self) -> World:
        """The time series."""
        for name, schedule in SCHEDULES.items():
            for turn in schedule.turns:
                if not self._broken.hits("turn", turn, name):
                    self._runs.setdefault(name, []).extend((turn, turn + 1))
                    self._turn(name, turn)
        changes = sorted(self._waiting)
        job, function = {"monitored_resource": "cloud_scheduler_job"}, {"monitored_resource": "cloud_run_revision"}
        names = ("schedule", "database", "outcome", "severity")
        return {
            OUTCOMES: [
                counter({**function, **dict(zip(names, labels, strict=True))}, sorted(at))
                for labels, at in self._outcomes.items()
            ],
            RUNS: [counter({**job, "job_id": f"backstop-start-{name}"}, sorted(at)) for name, at in self._runs.items()],
            ATTEMPTS: [counter({**QUEUE, "response_code": code}, sorted(at)) for code, at in self._attempts.items()],
            DEPTH: [Series(QUEUE, [at for at, _ in changes], list(itertools.accumulate(by for _, by in changes)))],
        }

    def _turn(self, schedule: str, turn: float) -> None:
        for database, (first, last) in SCHEDULES[schedule].databases.items():
            if not first * DAY <= turn < last * DAY or self._broken.hits("begin", turn, schedule, database):
                continue
            begin = turn + self._chance.uniform(5, 90)
            # Spanner: 1 to 4 hours, after up to half an hour of queueing; small ones are quicker.
            end = begin + self._chance.uniform(0.4, 4.5) * HOUR
            about = (schedule, f"{INSTANCE}/databases/{database}")
            self._outcomes.setdefault((*about, "STARTED", "INFO"), []).append(begin)
            self._looks(begin, end)
            is_broken = self._broken.hits("end", turn, schedule, database)
            told = (self._broken.told, "WARNING") if is_broken else ("COMPLETED", "INFO")
            self._outcomes.setdefault((*about, *told), []).append(end)

    def _looks(self, begin: float, end: float) -> None:
        at = begin
        while at < end:
            at += self._chance.uniform(5 * MINUTE, HOUR)
            self._waiting.append((begin, 1))
            begin = self._attempted(at)
            self._waiting.append((begin, -1))

    def _attempted(self, due: float) -> float:
        """Tries a task until it got through, or for a day, which is longer than anything waits for here."""
        pause, end = 1.0, due + DAY
        # Pub/Sub hiccups for some seconds in one look of fifty.
        blip = due + 20 if self._chance.random() < 0.02 else due
        while due < end:
            refused = self._broken.hits("refused", due)
            if self._broken.hits("paused", due):
                due += MINUTE
            elif refused or due < blip:
                self._attempts["403" if refused else "503"].append(due)
                due += pause
                pause = min(2 * pause, 300.0)
            else:
                break
        self._attempts["200"].append(due)
        return due
