"""The alerts on metrics, tried on made-up quarters: quiet ones don't alarm, and what breaks is told in time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pytest

from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.promql import Query, Series, World, compiled
from tests.terraform.quarters import (
    ATTEMPTS,
    DAY,
    HOUR,
    MINUTE,
    OUTCOMES,
    QUARTER_DAYS,
    RUNS,
    SCHEDULES,
    Broken,
    Quarter,
)

STEP = 5 * MINUTE
"""How often Cloud Monitoring asks: the `evaluation_interval` of every condition."""

NOT_RUN, NOT_BEGUN = "The job ran no more", "The job ran and nothing began"
NOT_DONE = "A backup began and none completed"


class Condition(NamedTuple):
    """One condition of an alert: what it asks, and for how long it must hold."""

    query: str
    duration_s: float


@pytest.fixture(scope="module")
def watched(plans: Mapping[str, Plan]) -> Plan:
    """A deployment with a schedule of each kind."""
    return plans["calendar"]


@pytest.fixture(scope="module")
def conditions(watched: Plan) -> Mapping[str, Condition]:
    """Every condition that asks metrics in PromQL, by alert, or by schedule and title."""
    found: dict[str, Condition] = {}
    for policy in watched.all("google_monitoring_alert_policy"):
        for condition in policy["conditions"]:
            for asked in condition["condition_prometheus_query_language"]:
                title = f": {condition['display_name']}" if policy.name == "no_backup" else ""
                assert asked["evaluation_interval"] == f"{STEP:.0f}s"
                found[f"{policy.index}{title}"] = Condition(asked["query"], float(asked["duration"][:-1]))
    return found


def alarm(query: Query, duration_s: float, begin: float, end: float) -> float | None:
    """When the condition first held for its whole duration; None if it never did."""
    held_since: dict[object, float] = {}
    now = begin
    while now <= end:
        held = query(now)
        held_since = {labels: held_since.get(labels, now) for labels in held}
        if any(now - since >= duration_s for since in held_since.values()):
            return now
        now += STEP
    return None


@pytest.mark.parametrize("seed", [1, 2])
def test_a_quiet_quarter_has_no_alarm(conditions: Mapping[str, Condition], seed: int) -> None:
    """Summer time, databases that come and go, hiccups of Pub/Sub, slow backups after quick ones: all silent."""
    world = Quarter(Broken(), seed).world()

    alarms = {
        name: alarm(compiled(condition.query, world), condition.duration_s, 0, QUARTER_DAYS * DAY)
        for name, condition in conditions.items()
    }
    assert {name: at for name, at in alarms.items() if at is not None} == {}


def test_a_quarter_is_as_it_should_be() -> None:
    """The silence isn't that of an empty world: every series has something to tell."""
    world = Quarter(Broken()).world()
    counts = {metric: sum(len(one.times) for one in world[metric]) for metric in (OUTCOMES, RUNS)}

    assert counts[OUTCOMES] > 1000
    assert counts[RUNS] == 2 * sum(len(schedule.turns) for schedule in SCHEDULES.values())
    assert len(events(world, ATTEMPTS, "503")) > 50


def events(world: World, metric: str, *labels: str) -> Sequence[float]:
    """The times of the one series that has a label with each of these ends."""
    (found,) = (
        one for one in world[metric] if all(any(it.endswith(end) for it in one.labels.values()) for end in labels)
    )
    return found.times


class Breakage(NamedTuple):
    """Something that breaks: which condition tells of it, counted from which event before or after, within how long."""

    broken: Broken
    condition: str
    since: tuple[str, ...]
    within_s: float

    def begin(self, world: World) -> float:
        """When the time begins: with the break itself, the last such event before it, or the first one after it."""
        at = self.broken.day * DAY
        if not self.since:
            return at
        which, metric, *labels = self.since
        times = events(world, metric, *labels)
        return max(it for it in times if it < at) if which == "last" else min(it for it in times if it >= at)


LATE = 20 * MINUTE
"""Ten minutes that a condition must hold, and five each until it is asked and until Cloud Monitoring has the points."""


def _stalled(what: str) -> Breakage:
    return Breakage(Broken(what, day=20.07), "queue-stalled", (), 2 * HOUR + 35 * MINUTE)


def _not_run(schedule: str, within_h: float) -> Breakage:
    since = ("last", RUNS, f"-{schedule}")
    return Breakage(Broken("turn", schedule, day=20), f"{schedule}: {NOT_RUN}", since, within_h * HOUR + LATE)


def _not_begun(schedule: str, day: float) -> Breakage:
    since = ("first", RUNS, f"-{schedule}")
    return Breakage(Broken("begin", schedule, day=day), f"{schedule}: {NOT_BEGUN}", since, 2 * HOUR + LATE)


def _not_done(schedule: str, database: str, day: float, within_h: float, told: str = "") -> Breakage:
    which = ("last", OUTCOMES, "COMPLETED", "INFO") if day else ("first", OUTCOMES, "STARTED")
    since = (*which, schedule, f"/{database}")
    broken = Broken("end", schedule, database, day, told)
    return Breakage(broken, f"{schedule}: {NOT_DONE}", since, within_h * HOUR + LATE)


BREAKAGES: Mapping[str, Breakage] = {
    "the tasks account loses its right": Breakage(
        Broken("refused", day=20.07), "tasks-failing", ("first", ATTEMPTS, "403"), 25 * MINUTE
    ),
    "the queue is paused": _stalled("paused"),
    "tasks fail and nothing else happens": _stalled("refused"),
    "a nightly job is deleted": _not_run("nightly", 26),
    "a weekly job is deleted": _not_run("weekly", 170),
    "the commands of a job are lost": _not_begun("nightly", 20),
    "the commands of a job are lost from the first": _not_begun("weekly", 0),
    "the commands of one of two jobs of a database are lost": _not_begun("keepsake", 20),
    "one database of many gets no backup, though another schedule makes one": _not_done("nightly", "orders-eu", 20, 30),
    "a weekly backup fails, though there is one every night": _not_done("keepsake", "orders-eu", 20, 174),
    "a cancel deletes what the start's own outcome calls complete": _not_done(
        "nightly", "orders-eu", 20, 30, "COMPLETED_DESPITE_CANCEL"
    ),
    "somebody deletes what completed before it is looked at": _not_done("nightly", "orders-eu", 20, 30, "COMPLETED"),
    "a new database never gets one": _not_done("nightly", "orders-new", 0, 6),
    "a weekly database fails beside nightly ones": _not_done("weekly", "archive", 20, 174),
    "the database of workdays fails": _not_done("workdays", "reports", 23, 78),
    "one that is made every six hours fails": _not_done("often", "events", 20.25, 12),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_breaks_is_told_in_time(conditions: Mapping[str, Condition], breakage: Breakage) -> None:
    """The condition that is about it holds within the stated time, and not before anything broke."""
    world = Quarter(breakage.broken).world()
    condition = conditions[breakage.condition]
    since, within_s = breakage.begin(world), breakage.within_s

    told = alarm(compiled(condition.query, world), condition.duration_s, since - DAY, since + within_s + DAY)

    assert told is not None
    assert since < told <= since + within_s


LEVELS: Mapping[str, tuple[list[float], list[float], float]] = {
    "dead-letters": ([0, 0, 0, 0], [0, 1, 1, 1, 1], 10 * MINUTE),
    "oldest-message": ([0, 300, 20, 600, 0], [0, *range(300, 3600, 300)], 25 * MINUTE),
    "queue-growing": ([0, 60, 150, 90], [0, *[210] * 6], 25 * MINUTE),
}
"""For each alert on a level: quiet values and broken ones, one in 5 minutes, and when it must have alarmed."""


@pytest.mark.parametrize("name", LEVELS)
def test_a_level_alarms_when_it_stays_too_high(watched: Plan, name: str) -> None:
    """Dead letters at once, waiting messages and a growing queue when it lasts; what comes and goes is no alarm."""
    quiet, broken, within_s = LEVELS[name]
    alerts = watched.by_index("google_monitoring_alert_policy", "alert")
    threshold = alerts[name]["conditions.condition_threshold.0"]
    limit, duration_s = threshold["threshold_value"], float(threshold["duration"][:-1])

    def told(values: list[float]) -> float | None:
        level = Series({}, [number * STEP for number in range(len(values))], values)
        return alarm(compiled(f"max(level{{}}) > {limit:.0f}", {"level": [level]}), duration_s, 0, level.times[-1])

    assert told(quiet) is None
    at = told(broken)
    assert at is not None
    assert at <= within_s


def test_the_page_states_the_times() -> None:
    """The table of alerts names each alert, and the times that are tested here."""
    page = (REPOSITORY / "terraform" / "README.md").read_text()
    table = dict(re.findall(r"^\| `([a-z-]+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE))
    source = (REPOSITORY / "terraform" / "variables.tf").read_text()
    allowed = re.search(r"setsubtract\(var\.alerts\.disabled, \[(.*?)\]\)", source, re.DOTALL)
    assert allowed is not None

    assert set(re.findall(r'"([a-z-]+)"', allowed[1])) | {"deletion"} <= set(table)
    soon = {name for name in table if table[name].startswith("25 min")}
    assert soon == {"tasks-failing", "oldest-message", "queue-growing"}
    assert (table["queue-stalled"], table["dead-letters"]) == ("2 h 35 min", "10 min")
    assert "2 h 20 min" in table["no-backup"]
    assert "6 h 20 min" in table["no-backup"]
