"""What must hold of a plan's clock and of its eyes: Scheduler jobs, counters, alerts and the dashboard."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backstop.commands import Start, Sweep
from backstop.events import Outcome
from backstop.lifecycle import State
from backstop.wire import parse_command
from tests.terraform.subjects import SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.terraform.plans import Plan, Resource

Fact = Callable[["Plan", str], None]
REGISTERED: dict[str, Fact] = {}


def fact(it: Fact) -> Fact:
    """Marks a function as a fact that must hold of each plan."""
    REGISTERED[it.__name__] = it
    return it


LOG_FIELDS = {"backup", "database", "message", "operation", "outcome", "requested_by", "state"}
"""Fields of the log's lines that the module counts on; a test looks for each in a line that was printed."""

TOLD_OF_DELETIONS = {"fleet", "switched"}
"""The subjects whose deletions are told on a channel of its own."""

KEPT = (Outcome.COMPLETED, Outcome.COMPLETED_DESPITE_CANCEL, Outcome.COMPLETED_KEPT)
"""Outcomes that say that the backup is there."""

ALERTS = {
    "backup-failed",
    "command-rejected",
    "dead-letters",
    "delete-blocked",
    "not-started",
    "oldest-message",
    "queue-growing",
    "queue-stalled",
    "scheduler-failed",
    "tasks-failing",
}

BLOCKED = {Outcome.DELETE_BLOCKED, Outcome.GAVE_UP, Outcome.GONE}

RUNBOOK_CHARACTERS_MIN = 200
"""Three lines that say what happened and what to do; less is a title."""


@fact
def each_job_publishes_a_command_that_the_function_understands(plan: Plan, _: str) -> None:
    """The payload goes to the commands topic, is a start or a sweep to the function's own parser, and names the job."""
    topic = plan.one("google_pubsub_topic", "commands").text("id")
    for found in plan.all("google_cloud_scheduler_job"):
        assert found.text("pubsub_target", 0, "topic_name") == topic
        command = parse_command(base64.b64decode(found.text("pubsub_target", 0, "data"), validate=True))
        assert isinstance(command, Start if found.name == "start" else Sweep), found.address
        assert command.requested_by == found.text("name")


@fact
def every_instance_is_swept(plan: Plan, _: str) -> None:
    """Each instance that the function may touch has one running sweep, at least every hour."""
    swept = [payload(found)["instance"] for found in plan.all("google_cloud_scheduler_job", "sweep")]
    assert sorted(map(str, swept)) == granted_instances(plan)
    for found in plan.all("google_cloud_scheduler_job", "sweep"):
        assert found.get("paused") is False
        assert re.fullmatch(r"(\d+|\*/\d+) \* \* \* \*", found.text("schedule"))


def granted_instances(plan: Plan) -> list[str]:
    """The instances on which the function has rights."""
    return sorted(
        f"projects/{found.text('project')}/instances/{found.text('instance')}"
        for found in plan.all("google_spanner_instance_iam_member", "runtime_handles_backups")
    )


@fact
def schedules_say_what_was_asked_for(plan: Plan, subject: str) -> None:
    """Cron, time zone, pause and every field of the command arrive as they were written."""
    if subject != "fleet":
        return
    jobs = plan.by_index("google_cloud_scheduler_job", "start")
    nightly, weekly = jobs["orders-nightly"], jobs["accounts-nightly"]
    assert payload(nightly) == {
        "action": "start",
        "instance": "projects/example-shop/instances/orders",
        "databases": ["orders-*"],
        "cancel_after": "6h",
        "start_within": "2h",
        "requested_by": "backstop-start-orders-nightly",
    }
    assert (nightly.get("schedule"), nightly.get("time_zone"), nightly.get("paused")) == ("5 1 * * *", "Etc/UTC", False)
    assert payload(weekly) == {
        "action": "start",
        "database": "projects/example-shop/instances/customers-eu/databases/accounts",
        "retention": "35d",
        "requested_by": "backstop-start-accounts-nightly",
    }
    assert weekly.get("time_zone") == "Europe/Rome"
    assert jobs["ledger-hourly"].get("paused") is True
    sweep = plan.by_index("google_cloud_scheduler_job", "sweep")["orders"]
    assert (payload(sweep)["cancel_after"], payload(sweep)["if_created"]) == ("12h", "delete")


@fact
def filters_name_fields_that_the_log_line_has(plan: Plan, _: str) -> None:
    """Every filter and extractor on the log reads fields that exist, of this function and of its jobs and no others."""
    function = plan.one("google_cloudfunctions2_function")
    for where, text in (*_log_filters(plan), *_extractors(plan)):
        if "job_id" in text:
            continue
        named = set(re.findall(r"jsonPayload\.([A-Za-z_]+)", text))
        assert named, f"{where}: reads nothing"
        assert named <= LOG_FIELDS, f"{where}: no such fields {named - LOG_FIELDS}"
    for where, text in _log_filters(plan):
        if 'resource.type="cloud_scheduler_job"' in text:
            jobs = [found.text("name") for found in plan.all("google_cloud_scheduler_job")]
            pattern = re.search(r'resource\.labels\.job_id=~"([^"]+)"', text)
            assert pattern is not None, where
            assert all(re.search(pattern[1], job) for job in jobs if "-start-" in job or "alert" in where)
            assert not re.search(pattern[1], f"another-{function.text('name')}-start-nightly")
            continue
        assert 'resource.type="cloud_run_revision"' in text, where
        assert f'resource.labels.service_name="{function.text("name")}"' in text, where
        assert f'resource.labels.location="{function.text("location")}"' in text, where


@fact
def filters_look_for_outcomes_that_exist(plan: Plan, subject: str) -> None:
    """Each outcome that an alert looks for is one that the function can report, and the right one."""
    looks_for = {
        str(found.index): set(re.findall(r'outcome="([A-Z_]+)"', _condition(found, "matched_log", "filter")))
        for found in plan.all("google_monitoring_alert_policy", "alert")
        if found.get("conditions", 0, "condition_matched_log")
    }
    assert looks_for == {
        "backup-failed": {Outcome.FAILED},
        "command-rejected": {Outcome.REJECTED},
        "delete-blocked": BLOCKED | (set() if SUBJECTS[subject].may_delete else {Outcome.COMPLETED_KEPT}),
        "not-started": {Outcome.STARTED},
        "scheduler-failed": set(),
        **({"deletion": {Outcome.COMPLETED_THEN_DELETED}} if subject in TOLD_OF_DELETIONS else {}),
    }


@fact
def each_deletion_is_told_to_those_who_asked_for_it(plan: Plan, subject: str) -> None:
    """The notice goes to channels of its own, and no alarm goes there; without channels there is no notice."""
    told = plan.by_index("google_monitoring_alert_policy", "alert")
    assert ("deletion" in told) == (subject in TOLD_OF_DELETIONS)
    for name, found in told.items():
        channels = found.texts("notification_channels")
        assert any("/1111" in channel for channel in channels) == (name == "deletion"), name


@fact
def counters_match_every_value_that_they_count(plan: Plan, _: str) -> None:
    """The counters' patterns match each outcome and each state, and not a field that is empty."""
    for name, field, values in (("outcomes", "outcome", Outcome), ("looks", "state", State)):
        metric = plan.one("google_logging_metric", name)
        pattern = re.search(rf'jsonPayload\.{field}=~"([^"]+)"', metric.text("filter"))
        assert pattern is not None
        assert all(re.search(pattern[1], value) for value in values)
        assert not re.search(pattern[1], "")
        assert metric.text("label_extractors", field) == f"EXTRACT(jsonPayload.{field})"
        keys = {label["key"] for label in metric.blocks("metric_descriptor", 0, "labels")}
        assert keys == set(metric.texts("label_extractors"))
    schedule = plan.one("google_logging_metric", "outcomes").text("label_extractors", "schedule")
    for job in plan.all("google_cloud_scheduler_job"):
        assert extracted(schedule, payload(job)) == (job.index if job.name == "start" else "")


@fact
def every_alert_exists_and_says_what_to_do(plan: Plan, subject: str) -> None:
    """The listed alerts are there, each notifies, and each has a runbook without a hole in it."""
    policies = plan.all("google_monitoring_alert_policy", "alert")
    expected = ALERTS - ({"queue-growing"} if subject == "switched" else set())
    expected |= {"deletion"} if subject in TOLD_OF_DELETIONS else set()
    assert {str(found.index) for found in policies} == expected
    for found in plan.all("google_monitoring_alert_policy"):
        runbook = found.text("documentation", 0, "content")
        assert len(runbook) > RUNBOOK_CHARACTERS_MIN, found.address
        assert not re.search(
            r"\$\{(?!log\.extracted_label\.(backup|database|job|message|operation|outcome)\})", runbook
        )
        limited = bool(found.get("alert_strategy", 0, "notification_rate_limit"))
        assert limited == bool(found.get("conditions", 0, "condition_matched_log")), "for log lines, and only these"


@fact
def alerts_watch_this_deployments_own_resources(plan: Plan, subject: str) -> None:
    """Subscriptions, queue and thresholds in the alerts' filters are the ones that are deployed."""
    found = plan.by_index("google_monitoring_alert_policy", "alert")
    pushes = {push.text("name") for push in plan.all("google_pubsub_subscription", "push")}
    letters = plan.one("google_pubsub_subscription", "dead_letters").text("name")
    queue = plan.one("google_cloud_tasks_queue").text("name")
    assert _condition(found["dead-letters"], "threshold", "filter").endswith(f'subscription_id="{letters}"')
    assert found["dead-letters"].number("conditions", 0, "condition_threshold", 0, "threshold_value") == 0
    oldest = _condition(found["oldest-message"], "threshold", "filter")
    assert "oldest_unacked_message_age" in oldest
    assert set(re.findall(r'"([^"/]+-push)"', oldest)) == pushes
    stalled = _condition(found["queue-stalled"], "prometheus_query_language", "query")
    assert set(re.findall(r'queue_id="([^"]+)"', stalled)) == {queue}
    assert "[70m]" in stalled, "looks are up to an hour apart"
    assert 'response_code=~"2' in stalled, "what fails is no sign of life"
    failing = _condition(found["tasks-failing"], "prometheus_query_language", "query")
    assert set(re.findall(r'queue_id="([^"]+)"', failing)) == {queue}
    assert {"response_code!~", "response_code=~"} <= set(re.findall(r"response_code..", failing))
    if subject == "fleet":
        growing = _condition(found["queue-growing"], "threshold", "filter")
        assert growing.endswith(f'queue_id="{queue}"')
        assert found["queue-growing"].number("conditions", 0, "condition_threshold", 0, "threshold_value") == 50


@fact
def each_schedule_that_runs_is_missed_when_it_stops(plan: Plan, subject: str) -> None:
    """Each has an alert on its own job and its own databases, after its own longest time between two turns and 6 h."""
    hours = {
        "fleet": {"accounts-nightly": 30, "consents-weekly": 174, "orders-nightly": 30},
        "calendar": {
            "keepsake": 174,
            "monthly": 750,
            "nightly": 30,
            "often": 12,
            "rome": 30,
            "weekly": 174,
            "workdays": 78,
        },
        "minimal": {"nightly": 30},
        "switched": {"yearly": 8790},
    }[subject]
    alerts = plan.by_index("google_monitoring_alert_policy", "no_backup")
    assert set(alerts) == set(hours)
    jobs = plan.by_index("google_cloud_scheduler_job", "start")
    for name, found in alerts.items():
        asked = [_query(found, number) for number in range(3)]
        # In the order of their titles: what began and did not complete, what ran and did not begin, what ran no more.
        assert re.findall(r"\[(\d+)m\]", asked[0]) == [f"{60 * (hours[name] - 6)}", f"{60 * hours[name]}"]
        assert all(f"offset {60 * late}m" in text for late, text in zip((6, 2, hours[name] - 4), asked, strict=True))
        for metric, texts in (("outcomes", asked[:2]), ("runs", asked[1:])):
            series = re.sub("[^A-Za-z0-9]", "_", plan.one("google_logging_metric", metric).text("name"))
            assert all(f"logging_googleapis_com:user_{series}{{" in text for text in texts)
        assert set(re.findall(r'outcome=~?"([A-Z_|]+)"', " ".join(asked))) == {Outcome.STARTED, "|".join(KEPT)}
        assert set(re.findall(r'job_id="([^"]+)"', " ".join(asked))) == {jobs[name].text("name")}
        assert re.findall(r'schedule="([^"]+)"', " ".join(asked)) == [name] * 3
        (wanted,) = set(re.findall(r'database=~"([^"]+)"', " ".join(asked)))
        command = payload(jobs[name])
        target = str(command.get("database") or f"{command['instance']}/databases/orders-1")
        assert re.fullmatch(wanted, target)
        if "databases" in command or "database" in command:
            assert not re.fullmatch(wanted, f"{target.rpartition('/')[0]}/another")
        assert not re.fullmatch(wanted, target.replace("/instances/", "/instances/x"))


def _query(found: Resource, number: int) -> str:
    inner = ("conditions", number, "condition_prometheus_query_language", 0)
    assert found.get(*inner, "disable_metric_validation") is True
    return found.text(*inner, "query")


@fact
def the_dashboard_draws_what_is_deployed(plan: Plan, subject: str) -> None:
    """Eight tiles side by side, over this deployment's own counters, queue, subscriptions and function."""
    if subject == "switched":
        assert not plan.all("google_monitoring_dashboard")
        return
    board = json.loads(plan.one("google_monitoring_dashboard").text("dashboard_json"))["mosaicLayout"]
    places = {(tile["xPos"], tile["yPos"]) for tile in board["tiles"]}
    assert len(places) == len(board["tiles"]) == 8
    assert all(tile["xPos"] + tile["width"] <= board["columns"] for tile in board["tiles"])
    drawn = " ".join(
        data["timeSeriesQuery"]["timeSeriesFilter"]["filter"]
        for tile in board["tiles"]
        for data in tile["widget"]["xyChart"]["dataSets"]
    )
    for name in ("looks", "outcomes"):
        metric = plan.one("google_logging_metric", name)
        assert f'metric.type="logging.googleapis.com/user/{metric.text("name")}"' in drawn
    for found in plan.all("google_pubsub_subscription"):
        assert f'"{found.text("name")}"' in drawn
    assert f'queue_id="{plan.one("google_cloud_tasks_queue").text("name")}"' in drawn
    assert f'service_name="{plan.one("google_cloudfunctions2_function").text("name")}"' in drawn


def extracted(extractor: str, line: Mapping[str, object]) -> str:
    """What a label extractor takes from a line of the log.

    https://docs.cloud.google.com/logging/docs/logs-based-metrics/labels (documented)
    """
    read = re.fullmatch(r'(?:REGEXP_)?EXTRACT\(jsonPayload\.(\w+)(?:, "(.+)")?\)', extractor)
    assert read is not None, extractor
    found = re.search(read[2] or "(.*)", str(line.get(read[1], "")))
    return found[1] if found else ""


def payload(found: Resource) -> dict[str, object]:
    """The command that a Scheduler job publishes."""
    command = json.loads(base64.b64decode(found.text("pubsub_target", 0, "data")))
    assert isinstance(command, dict)
    return command


def _condition(found: Resource, kind: str, field: str) -> str:
    return found.text("conditions", 0, f"condition_{kind}", 0, field)


def _log_filters(plan: Plan) -> Iterator[tuple[str, str]]:
    for metric in plan.all("google_logging_metric"):
        yield metric.address, metric.text("filter")
    for policy in plan.all("google_monitoring_alert_policy"):
        if policy.get("conditions", 0, "condition_matched_log"):
            yield policy.address, _condition(policy, "matched_log", "filter")


def _extractors(plan: Plan) -> Iterator[tuple[str, str]]:
    path = ("conditions", 0, "condition_matched_log", 0)
    policies = plan.all("google_monitoring_alert_policy")
    found = [metric.texts("label_extractors") for metric in plan.all("google_logging_metric")]
    found += [it.texts(*path, "label_extractors") for it in policies if it.get(*path[:3])]
    return ((key, text) for texts in found for key, text in texts.items())
