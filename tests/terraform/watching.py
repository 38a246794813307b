"""What must hold of a plan's clock and of its eyes: Scheduler jobs, counters, alerts and the dashboard."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from backstop.commands import Start, Sweep
from backstop.dispatch import ROLE_MISSING
from backstop.events import Outcome
from backstop.lifecycle import State
from backstop.wire import parse_command
from tests.terraform.plans import Plan, Resource

Fact = Callable[[Plan, str], None]
REGISTERED: dict[str, Fact] = {}


def fact(it: Fact) -> Fact:
    """Marks a function as a fact that must hold of each plan."""
    REGISTERED[it.__name__] = it
    return it


FUNCTION, QUEUE, JOB = "google_cloudfunctions2_function", "google_cloud_tasks_queue", "google_cloud_scheduler_job"
POLICY = "google_monitoring_alert_policy"

LOG_FIELDS = {"backup", "database", "error", "message", "operation", "outcome", "outcomes"}
LOG_FIELDS |= {"requested_by", "state", "trigger"}
"""Fields of the log's lines that the module counts on; a test looks for each in a line that was printed."""

TOLD_OF_DELETIONS = {"fleet", "switched"}
"""The subjects whose deletions are told on a channel of its own."""

TOLD_AGAIN = {"left-behind", "right-missing"}
"""What the log repeats each hour or oftener, until somebody acts: a notification a day is enough."""

ON_METRICS = {"dead-letters", "oldest-message", "queue-growing", "queue-stalled", "tasks-failing"}

HOURS: Mapping[str, Mapping[str, int]] = {
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
}
"""After how long each schedule that runs is missed: its own longest time between two turns, and 6 hours."""


def environment_of(plan: Plan) -> dict[str, str]:
    """The function's environment."""
    return {**plan.one(FUNCTION)["service_config.environment_variables"]}


def payload(found: Resource) -> dict[str, Any]:
    """The command that a Scheduler job publishes."""
    return {**json.loads(base64.b64decode(found["pubsub_target.data"]))}


def granted_instances(plan: Plan) -> list[str]:
    """The instances on which the function has rights."""
    bound = plan.all("google_spanner_instance_iam_member", "runtime_handles_backups")
    return sorted(f"projects/{found['project']}/instances/{found['instance']}" for found in bound)


@fact
def each_job_publishes_a_command_that_the_function_understands(plan: Plan, _: str) -> None:
    """The payload goes to the commands topic, is a start or a sweep to the function's own parser, and names the job."""
    for found in plan.all(JOB):
        assert found["pubsub_target.topic_name"] == plan.one("google_pubsub_topic", "commands")["id"]
        command = parse_command(base64.b64decode(found["pubsub_target.data"], validate=True))
        assert isinstance(command, Start if found.name == "start" else Sweep), found.address
        assert command.requested_by == found["name"]


@fact
def every_instance_is_swept(plan: Plan, _: str) -> None:
    """Each instance that the function may touch has one running sweep, at least every hour."""
    sweeps = plan.all(JOB, "sweep")
    assert sorted(payload(found)["instance"] for found in sweeps) == granted_instances(plan)
    for found in sweeps:
        assert found["paused"] is False
        assert re.fullmatch(r"(\d+|\*/\d+) \* \* \* \*", found["schedule"])


@fact
def schedules_say_what_was_asked_for(plan: Plan, subject: str) -> None:
    """Cron, time zone, pause and every field of the command arrive as they were written."""
    if subject != "fleet":
        return
    jobs = plan.by_index(JOB, "start")
    nightly, weekly = jobs["orders-nightly"], jobs["accounts-nightly"]
    assert payload(nightly) == {
        "action": "start",
        "instance": "projects/example-shop/instances/orders",
        "databases": ["orders-*"],
        "cancel_after": "6h",
        "start_within": "2h",
        "requested_by": "backstop-start-orders-nightly",
    }
    assert (nightly["schedule"], nightly["time_zone"], nightly["paused"]) == ("5 1 * * *", "Etc/UTC", False)
    assert payload(weekly) == {
        "action": "start",
        "database": "projects/example-shop/instances/customers-eu/databases/accounts",
        "retention": "35d",
        "requested_by": "backstop-start-accounts-nightly",
    }
    assert weekly["time_zone"] == "Europe/Rome"
    assert jobs["ledger-hourly"]["paused"] is True
    sweep = payload(plan.by_index(JOB, "sweep")["orders"])
    assert (sweep["cancel_after"], sweep["if_created"]) == ("12h", "delete")


def log_alerts(plan: Plan) -> dict[str, Resource]:
    """The alerts on lines of the log, by name."""
    found = plan.by_index(POLICY, "alert")
    return {name: policy for name, policy in found.items() if policy["conditions.condition_matched_log"]}


@fact
def filters_read_what_the_log_has_of_this_deployment(plan: Plan, _: str) -> None:
    """Every filter and extractor on the log reads fields that exist, of this function and of its jobs and no others."""
    function, metrics = plan.one(FUNCTION), plan.all("google_logging_metric")
    alerts = [it["conditions.condition_matched_log.0"] for it in log_alerts(plan).values()]
    filters = [it["filter"] for it in (*(metric.values for metric in metrics), *alerts)]
    extractors = [it["label_extractors"] or {} for it in (*(metric.values for metric in metrics), *alerts)]
    for text in (*filters, *(text for texts in extractors for text in texts.values())):
        named = set(re.findall(r"jsonPayload\.([A-Za-z_]+)", text))
        assert re.search(r"job_id|\(severity\)", text) or (named and named <= LOG_FIELDS), (
            f"reads {named or 'nothing'}: {text}"
        )
    starts = [found["name"] for found in plan.all(JOB, "start")]
    for text in filters:
        if 'resource.type="cloud_scheduler_job"' in text:
            (pattern,) = re.findall(r'resource\.labels\.job_id=~"([^"]+)"', text)
            assert all(re.search(pattern, job) for job in starts)
            assert not re.search(pattern, f"another-{function['name']}-start-nightly")
        else:
            assert text.startswith(
                'resource.type="cloud_run_revision"'
                f' AND resource.labels.service_name="{function["name"]}"'
                f' AND resource.labels.location="{function["location"]}" AND '
            )


@fact
def filters_look_for_outcomes_that_exist(plan: Plan, subject: str) -> None:
    """Each outcome that an alert looks for is one that the function can report, and the right one."""
    stays = {Outcome.DELETE_BLOCKED, Outcome.COMPLETED_KEPT}
    filters = {it: found["conditions.condition_matched_log.filter"] for it, found in log_alerts(plan).items()}
    assert {name: set(re.findall(r'outcome="([A-Z_]+)"', text)) for name, text in filters.items()} == {
        "backup-failed": {Outcome.FAILED},
        "command-rejected": {Outcome.REJECTED},
        "delete-blocked": stays | {Outcome.GAVE_UP, Outcome.GONE},
        "left-behind": stays | {Outcome.COMPLETED_DESPITE_CANCEL},
        "not-started": {Outcome.STARTED},
        "right-missing": {Outcome.REJECTED},  # Of a sweep, which the next one may be allowed.
        "scheduler-failed": set(),
        **({"deletion": {Outcome.COMPLETED_THEN_DELETED}} if subject in TOLD_OF_DELETIONS else {}),
    }
    # Where deleting is switched off, everything that is kept is somebody's to delete, whatever its severity.
    for name in ("delete-blocked", "left-behind"):
        assert ("severity>=WARNING" in filters[name]) is (subject != "switched")
    (codes,) = re.findall(r"\^\((.+)\)\$", filters["right-missing"])
    assert set(codes.split("|")) == ROLE_MISSING


@fact
def each_deletion_is_told_to_those_who_asked_for_it(plan: Plan, _: str) -> None:
    """The notice goes to channels of its own, and no alarm goes there."""
    for name, found in plan.by_index(POLICY, "alert").items():
        channels = found["notification_channels"] or []
        assert any("/1111" in channel for channel in channels) == (name == "deletion"), name


@fact
def counters_match_every_value_that_they_count(plan: Plan, _: str) -> None:
    """The counters' patterns match each outcome, state and schedule, and not an empty field; a label names no other."""
    for name, field, values in (("outcomes", "outcome", Outcome), ("looks", "state", State)):
        metric = plan.one("google_logging_metric", name)
        (pattern,) = re.findall(rf'jsonPayload\.{field}=~"([^"]+)"', metric["filter"])
        assert all(re.search(pattern, value) for value in values)
        assert not re.search(pattern, "")
        assert metric["label_extractors"][field] == f"EXTRACT(jsonPayload.{field})"
        said = {label["key"]: label["description"] for label in metric["metric_descriptor.0"]["labels"]}
        assert set(said) == set(metric["label_extractors"])
        assert set(re.findall(r"\b[A-Z_]{3,}\b", said[field])) <= {*values}, said[field]
    schedule = plan.one("google_logging_metric", "outcomes")["label_extractors.schedule"]
    for job in plan.all(JOB):
        assert extracted(schedule, payload(job)) == (job.index if job.name == "start" else "")


def extracted(extractor: str, line: Mapping[str, object]) -> str:
    """What a label extractor takes from a line of the log.

    https://docs.cloud.google.com/logging/docs/logs-based-metrics/labels (documented)
    """
    ((field, pattern),) = re.findall(r'^(?:REGEXP_)?EXTRACT\(jsonPayload\.(\w+)(?:, "(.+)")?\)$', extractor)
    found = re.search(pattern or "(.*)", str(line.get(field, "")))
    return found[1] if found else ""


@fact
def every_alert_exists_and_says_what_to_do(plan: Plan, subject: str) -> None:
    """The listed alerts are there, each notifies, and each has a runbook without a hole in it."""
    expected = {*ON_METRICS, *log_alerts(plan)} - ({"queue-growing"} if subject == "switched" else set())
    assert set(plan.by_index(POLICY, "alert")) == expected
    for found in plan.all(POLICY):
        runbook = found["documentation.content"]
        assert "gcloud" in runbook, f"{found.address} says nothing to do"
        labels = "backup|database|job|message|operation|outcome"
        assert not re.search(rf"\$\{{(?!log\.extracted_label\.({labels})\}})", runbook)
        limits = [it["period"] for it in found["alert_strategy.notification_rate_limit"]]
        often = "86400s" if found.index in TOLD_AGAIN else "300s"
        assert limits == [often for _ in found["conditions.condition_matched_log"]], "for log lines, and only these"


@fact
def alerts_watch_this_deployments_own_resources(plan: Plan, subject: str) -> None:
    """Subscriptions, queue and thresholds in the alerts' filters are the ones that are deployed."""
    found = plan.by_index(POLICY, "alert")
    levels = {name: found[name]["conditions.condition_threshold"] for name in found}
    queries = {name: found[name]["conditions.condition_prometheus_query_language"] for name in found}
    pushes = {push["name"] for push in plan.all("google_pubsub_subscription", "push")}
    letters = plan.one("google_pubsub_subscription", "dead_letters")["name"]
    queue = plan.one(QUEUE)["name"]
    assert levels["dead-letters"][0]["filter"].endswith(f'subscription_id="{letters}"')
    assert levels["dead-letters"][0]["threshold_value"] == 0
    assert "oldest_unacked_message_age" in levels["oldest-message"][0]["filter"]
    assert set(re.findall(r'"([^"/]+-push)"', levels["oldest-message"][0]["filter"])) == pushes
    stalled, failing = (queries[name][0]["query"] for name in ("queue-stalled", "tasks-failing"))
    assert set(re.findall(r'queue_id="([^"]+)"', stalled + failing)) == {queue}
    assert "[70m]" in stalled, "looks are up to an hour apart"
    assert 'response_code=~"2' in stalled, "what fails is no sign of life"
    assert {"response_code!~", "response_code=~"} <= set(re.findall(r"response_code..", failing))
    if subject == "fleet":
        assert levels["queue-growing"][0]["filter"].endswith(f'queue_id="{queue}"')
        assert levels["queue-growing"][0]["threshold_value"] == 50


@fact
def each_schedule_that_runs_is_missed_when_it_stops(plan: Plan, subject: str) -> None:
    """Each has an alert on its own job, its own databases and its own time."""
    alerts, jobs = plan.by_index(POLICY, "no_backup"), plan.by_index(JOB, "start")
    series = {
        name: f"logging_googleapis_com:user_{re.sub('[^A-Za-z0-9]', '_', metric['name'])}{{"
        for name, metric in ((it.name, it) for it in plan.all("google_logging_metric"))
    }
    assert set(alerts) == set(HOURS[subject])
    for name, hours in HOURS[subject].items():
        inner = [alerts[name][f"conditions.{number}.condition_prometheus_query_language.0"] for number in range(3)]
        assert all(it["disable_metric_validation"] for it in inner)
        # In the order of their titles: what began and did not complete, what ran and did not begin, what ran no more.
        asked = [it["query"] for it in inner]
        together = " ".join(asked)
        assert re.findall(r"\[(\d+)m\]", asked[0]) == [f"{60 * (hours - 6)}", f"{60 * hours}"]
        assert all(f"offset {60 * late}m" in text for late, text in zip((6, 2, hours - 4), asked, strict=True))
        assert all(series["outcomes"] in text for text in asked[:2])
        assert all(series["runs"] in text for text in asked[1:])
        # Only a COMPLETED that is no warning says that the backup is there.
        counted = set(re.findall(r'outcome=~?"(.+?)"(.*?)}', together))
        assert counted == {(Outcome.STARTED, ""), (Outcome.COMPLETED, ',severity="INFO"')}
        assert set(re.findall(r'job_id="([^"]+)"', together)) == {jobs[name]["name"]}
        assert re.findall(r'schedule="([^"]+)"', together) == [name] * 3
        (wanted,) = set(re.findall(r'database=~"([^"]+)"', together))
        command = payload(jobs[name])
        target = str(command.get("database") or f"{command['instance']}/databases/orders-1")
        assert re.fullmatch(wanted, target)
        if "databases" in command or "database" in command:
            assert not re.fullmatch(wanted, f"{target.rpartition('/')[0]}/another")
        assert not re.fullmatch(wanted, target.replace("/instances/", "/instances/x"))


@fact
def the_dashboard_draws_what_is_deployed(plan: Plan, subject: str) -> None:
    """Eight tiles side by side, over this deployment's own counters, queue, subscriptions and function."""
    if subject == "switched":
        assert not plan.all("google_monitoring_dashboard")
        return
    text = plan.one("google_monitoring_dashboard")["dashboard_json"]
    board = json.loads(text)["mosaicLayout"]
    assert len({(tile["xPos"], tile["yPos"]) for tile in board["tiles"]}) == len(board["tiles"]) == 8
    assert all(tile["xPos"] + tile["width"] <= board["columns"] for tile in board["tiles"])
    drawn = text.replace('\\"', '"')
    for name in ("looks", "outcomes"):
        metric = plan.one("google_logging_metric", name)
        assert f'metric.type="logging.googleapis.com/user/{metric["name"]}"' in drawn
    for found in plan.all("google_pubsub_subscription"):
        assert f'"{found["name"]}"' in drawn
    assert f'queue_id="{plan.one(QUEUE)["name"]}"' in drawn
    assert f'service_name="{plan.one(FUNCTION)["name"]}"' in drawn
