"""The alerts on metrics, tried on made-up quarters: quiet ones don't alarm, and what breaks is told in time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.terraform.plans import REPOSITORY, Plan
from tests.terraform.promql import Query, Series, compiled
from tests.terraform.quarters import (
    ATTEMPTS,
    DAY,
    HOUR,
    MINUTE,
    OUTCOMES,
    QUARTER_DAYS,
    RUNS,
    SCHEDULES,
    TURNS,
    Quarter,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.terraform.promql import World

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
        for number, condition in enumerate(policy.blocks("conditions")):
            if condition["condition_prometheus_query_language"]:
                inner = ("conditions", number, "condition_prometheus_query_language", 0)
                title = f": {condition['display_name']}" if policy.name == "no_backup" else ""
                assert policy.text(*inner, "evaluation_interval") == f"{STEP:.0f}s"
                asks = Condition(policy.text(*inner, "query"), float(policy.text(*inner, "duration")[:-1]))
                found[f"{policy.index}{title}"] = asks
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


def test_each_kind_of_missing_backup_is_asked_for_each_schedule(conditions: Mapping[str, Condition]) -> None:
    """Three conditions for each schedule, and two for the queue."""
    expected = {f"{name}: {title}" for name in SCHEDULES for title in (NOT_RUN, NOT_BEGUN, NOT_DONE)}

    assert set(conditions) == expected | {"queue-stalled", "tasks-failing"}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_quiet_quarter_has_no_alarm(conditions: Mapping[str, Condition], seed: int) -> None:
    """Summer time, databases that come and go, hiccups of Pub/Sub, slow backups after quick ones: all silent."""
    world = Quarter(seed=seed).world()

    alarms = {
        name: alarm(compiled(condition.query, world), condition.duration_s, 0, QUARTER_DAYS * DAY)
        for name, condition in conditions.items()
    }
    assert {name: at for name, at in alarms.items() if at is not None} == {}


def test_a_quarter_is_as_it_should_be() -> None:
    """The silence isn't that of an empty world: every series has something to tell."""
    world = Quarter().world()
    counts = {metric: sum(len(one.times) for one in world[metric]) for metric in (OUTCOMES, RUNS)}

    assert counts[OUTCOMES] > 1000
    assert counts[RUNS] == 2 * sum(map(len, TURNS.values()))
    assert len(_series(world, ATTEMPTS, {"response_code": "503"}).times) > 50


def _from(day: float) -> Callable[[str, str, float], bool]:
    return lambda _schedule, _database, at: at >= day * DAY


def _of(schedule: str, database: str = "", day: float = 0) -> Callable[[str, str, float], bool]:
    return lambda this, one, at: this == schedule and database in (one, "") and at >= day * DAY


def _last(day: float, metric: str, **labels: str) -> Callable[[World], float]:
    """The time of a series' last event before a day."""
    return lambda world: max(at for at in _series(world, metric, labels).times if at < day * DAY)


def _first(day: float, metric: str, **labels: str) -> Callable[[World], float]:
    """The time of a series' first event after a day began."""
    return lambda world: min(at for at in _series(world, metric, labels).times if at >= day * DAY)


def _backup(day: float, database: str) -> Callable[[World], float]:
    """The time of a database's last backup before a day."""
    return _last(day, OUTCOMES, database=f"/{database}", outcome="COMPLETED")


def _series(world: World, metric: str, labels: Mapping[str, str]) -> Series:
    (found,) = (one for one in world[metric] if all(one.labels[name].endswith(value) for name, value in labels.items()))
    return found


class Breakage(NamedTuple):
    """Something that breaks: which condition tells of it, counted from when, within how long."""

    quarter: Quarter
    condition: str
    since: Callable[[World], float]
    within_s: float


def _day_20(_: World) -> float:
    return 20.07 * DAY


LATE = 20 * MINUTE
"""Ten minutes that a condition must hold, and five each until it is asked and until Cloud Monitoring has the points."""

BREAKAGES: Mapping[str, Breakage] = {
    "the tasks account loses its right": Breakage(
        Quarter(refused=_from(20.07)), "tasks-failing", _first(20, ATTEMPTS, response_code="403"), 25 * MINUTE
    ),
    "the queue is paused": Breakage(Quarter(paused=_from(20.07)), "queue-stalled", _day_20, 2 * HOUR + 35 * MINUTE),
    "tasks fail and nothing else happens": Breakage(
        Quarter(refused=_from(20.07)), "queue-stalled", _day_20, 2 * HOUR + 35 * MINUTE
    ),
    "a nightly job is deleted": Breakage(
        Quarter(no_turn=_of("nightly", day=20)),
        f"nightly: {NOT_RUN}",
        _last(20, RUNS, job_id="-nightly"),
        26 * HOUR + LATE,
    ),
    "a weekly job is deleted": Breakage(
        Quarter(no_turn=_of("weekly", day=20)),
        f"weekly: {NOT_RUN}",
        _last(20, RUNS, job_id="-weekly"),
        170 * HOUR + LATE,
    ),
    "the commands of a job are lost": Breakage(
        Quarter(no_begin=_of("nightly", day=20)),
        f"nightly: {NOT_BEGUN}",
        _first(20, RUNS, job_id="-nightly"),
        2 * HOUR + LATE,
    ),
    "the commands of a job are lost from the first": Breakage(
        Quarter(no_begin=_of("weekly")), f"weekly: {NOT_BEGUN}", _first(0, RUNS, job_id="-weekly"), 2 * HOUR + LATE
    ),
    "one database of many gets no backup": Breakage(
        Quarter(no_end=_of("nightly", "orders-eu", 20)),
        f"nightly: {NOT_DONE}",
        _backup(20, "orders-eu"),
        30 * HOUR + LATE,
    ),
    "a new database never gets one": Breakage(
        Quarter(no_end=_of("nightly", "orders-new")),
        f"nightly: {NOT_DONE}",
        _first(0, OUTCOMES, database="/orders-new", outcome="STARTED"),
        6 * HOUR + LATE,
    ),
    "a weekly database fails beside nightly ones": Breakage(
        Quarter(no_end=_of("weekly", "archive", 20)), f"weekly: {NOT_DONE}", _backup(20, "archive"), 174 * HOUR + LATE
    ),
    "the database of workdays fails": Breakage(
        Quarter(no_end=_of("workdays", "reports", 23)),
        f"workdays: {NOT_DONE}",
        _backup(23, "reports"),
        78 * HOUR + LATE,
    ),
    "one that is made every six hours fails": Breakage(
        Quarter(no_end=_of("often", "events", 20)), f"often: {NOT_DONE}", _backup(20.25, "events"), 12 * HOUR + LATE
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_breaks_is_told_in_time(conditions: Mapping[str, Condition], breakage: Breakage) -> None:
    """The condition that is about it holds within the stated time, and not before anything broke."""
    world = breakage.quarter.world()
    condition = conditions[breakage.condition]
    since, within_s = breakage.since(world), breakage.within_s

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
    policy = watched.by_index("google_monitoring_alert_policy", "alert")[name]
    inner = ("conditions", 0, "condition_threshold", 0)
    limit, duration_s = policy.number(*inner, "threshold_value"), float(policy.text(*inner, "duration")[:-1])

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
    for name, stated in {
        "tasks-failing": "25 min",
        "queue-stalled": "2 h 35 min",
        "dead-letters": "10 min",
        "oldest-message": "25 min",
        "queue-growing": "25 min",
    }.items():
        assert table[name].startswith(stated), name
    assert "2 h 20 min" in table["no-backup"]
    assert "6 h 20 min" in table["no-backup"]
