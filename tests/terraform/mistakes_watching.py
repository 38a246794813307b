"""Mistakes that somebody could make in the clock and the eyes of the module: jobs, counters, alerts, dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.terraform.mistake import TERRAFORM, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELDS = "filters_name_fields_that_the_log_line_has"
OWN = "alerts_watch_this_deployments_own_resources"
JOBS = "each_job_publishes_a_command_that_the_function_understands"
SCHEDULES = "schedules_say_what_was_asked_for"
MISSED = "each_schedule_that_runs_is_missed_when_it_stops"
DASHBOARD = "the_dashboard_draws_what_is_deployed"

WATCHING_MISTAKES: Sequence[Mistake] = (
    # The clock.
    Mistake(
        "jobs publish follow-ups",
        "scheduler.tf",
        "topic_name = google_pubsub_topic.commands.id",
        "topic_name = google_pubsub_topic.follow_ups.id",
        JOBS,
        every=True,
    ),
    Mistake(
        "the command is not encoded",
        "scheduler.tf",
        "base64encode(jsonencode(local._starts[each.key]))",
        "jsonencode(local._starts[each.key])",
        TERRAFORM,
    ),
    Mistake(
        "a field has another name",
        "scheduler.tf",
        "cancel_after = schedule.cancel_after",
        "cancelAfter = schedule.cancel_after",
        JOBS,
        subject="fleet",
    ),
    Mistake(
        "a database is named without its instance",
        "scheduler.tf",
        'local.instance_path[schedule.instance], "databases",',
        '"databases",',
        JOBS,
        subject="fleet",
    ),
    Mistake(
        "retention is forgotten",
        "scheduler.tf",
        "        retention    = schedule.retention\n",
        "",
        SCHEDULES,
        subject="fleet",
    ),
    Mistake(
        "every schedule is in UTC",
        "scheduler.tf",
        "time_zone   = each.value.time_zone",
        'time_zone   = "Etc/UTC"',
        SCHEDULES,
        every=True,
        subject="fleet",
    ),
    Mistake(
        "pausing does nothing",
        "scheduler.tf",
        "paused      = each.value.paused",
        "paused      = false",
        SCHEDULES,
        every=True,
        subject="fleet",
    ),
    Mistake(
        "what a sweep was told is overridden",
        "scheduler.tf",
        "try(var.sweeps[key], {})",
        "{}",
        SCHEDULES,
        subject="fleet",
    ),
    Mistake(
        "only instances with a sweep are swept",
        "scheduler.tf",
        "sweeps = {\n    for key in keys(local.instances)",
        "sweeps = {\n    for key in keys(var.sweeps)",
        "every_instance_is_swept",
    ),
    # The eyes.
    Mistake(
        "a filter reads a field that doesn't exist",
        "metrics.tf",
        "jsonPayload.outcome=~",
        "jsonPayload.result=~",
        FIELDS,
    ),
    Mistake(
        "an extractor reads a field that doesn't exist",
        "alerts.tf",
        "EXTRACT(jsonPayload.backup)",
        "EXTRACT(jsonPayload.backup_id)",
        FIELDS,
    ),
    Mistake(
        "filters match every function",
        "metrics.tf",
        '    "resource.labels.service_name=\\"${var.prefix}\\"",\n',
        "",
        FIELDS,
    ),
    Mistake(
        "an alert waits for an outcome that isn't",
        "alerts.tf",
        '"DELETE_BLOCKED", ',
        '"BLOCKED", ',
        "filters_look_for_outcomes_that_exist",
    ),
    Mistake("what gave up alarms nobody", "alerts.tf", '"GAVE_UP", ', "", "filters_look_for_outcomes_that_exist"),
    Mistake(
        "outcomes with an underscore aren't counted",
        "metrics.tf",
        "^[A-Z_]+$",
        "^[A-Z]+$",
        "counters_match_every_value_that_they_count",
    ),
    Mistake(
        "an alert is lost",
        "alerts.tf",
        "    { for name, alert in local._query_alerts : name => merge(local._no_condition, alert) },\n",
        "",
        "every_alert_exists_and_says_what_to_do",
    ),
    Mistake(
        "an alert has no runbook",
        "alerts.tf",
        'content   = templatefile("${path.module}/runbooks/${each.key}.md", local.runbook_names)',
        'content   = "See the log."',
        "every_alert_exists_and_says_what_to_do",
    ),
    Mistake(
        "a runbook names what nobody fills in",
        "runbooks/dead-letters.md",
        "${dead_letters}",
        "${subscription}",
        TERRAFORM,
    ),
    Mistake(
        "dead letters are looked for in the wrong place",
        "alerts.tf",
        'subscription_id=\\"${google_pubsub_subscription.dead_letters.name}\\""\n      threshold = 0',
        'subscription_id=\\"${google_pubsub_topic.dead_letters.name}\\""\n      threshold = 0',
        OWN,
    ),
    Mistake("a stalled queue is called after ten minutes", "alerts.tf", "[70m]", "[10m]", OWN),
    Mistake(
        "a missing backup is looked for by another name",
        "alerts-missing.tf",
        '"/[^A-Za-z0-9]/", "_"',
        '"/[^A-Za-z0-9]/", "-"',
        MISSED,
    ),
    Mistake(
        "failed backups count as backups",
        "alerts-missing.tf",
        '"COMPLETED|COMPLETED_DESPITE_CANCEL|COMPLETED_KEPT',
        '"COMPLETED|FAILED',
        MISSED,
    ),
    Mistake(
        "any database's backup is a schedule's",
        "alerts-missing.tf",
        'schedule.database != null ? schedule.database : "(',
        'schedule.database != null ? ".*" : "(',
        MISSED,
        subject="fleet",
    ),
    Mistake("a pattern is no expression", "alerts-missing.tf", '"*", ".*")', '"*", "*")', MISSED, subject="fleet"),
    Mistake("a paused schedule is missed", "alerts-missing.tf", " && !schedule.paused", "", MISSED, subject="fleet"),
    Mistake("a week is a day", "alerts-missing.tf", "72 : 168", "72 : 24", MISSED, subject="fleet"),
    Mistake("attempts that fail are signs of life", "alerts.tf", "_attempts_good}[70m]", "_attempts}{}[70m]", OWN),
    Mistake(
        "alarms go where deletions are told",
        "alerts.tf",
        'each.key == "deletion" ? var.deletion_channels : var.notification_channels',
        "setunion(var.deletion_channels, var.notification_channels)",
        "each_deletion_is_told_to_those_who_asked_for_it",
        subject="switched",
    ),
    Mistake(
        "the dashboard draws another queue",
        "dashboard.tf",
        "${google_cloud_tasks_queue.follow_ups.name}",
        "default",
        DASHBOARD,
    ),
    Mistake("a tile hides another", "dashboard.tf", "floor(index / 2)", "floor(index / 4)", DASHBOARD),
)
