"""Mistakes that somebody could make in the module, each with the fact that must notice it.

A mistake that no fact notices is a hole in the tests; test_terraform_mistakes.py plants every one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from tests.terraform.plans import Json

if TYPE_CHECKING:
    from collections.abc import Sequence


TERRAFORM = "terraform"
"""The mistake is noticed by terraform itself, before any fact is asked."""

REFUSALS = "refusals"
"""The mistake is noticed because terraform no longer refuses what it should: the module, with `variables`."""


class Mistake(msgspec.Struct, frozen=True):
    """One mistake: what is written instead of what, and who notices.

    Attributes:
        title: What somebody did wrong.
        file: Where, below terraform/.
        old: What stands there; exactly once, or every time where `every` is set.
        new: What is written instead.
        noticed_by: The fact that fails; TERRAFORM where it refuses the plan, REFUSALS where it should have.
        subject: The deployment in which it shows.
        every: Whether it is made everywhere in the file.
        variables: What should have been refused.
    """

    title: str
    file: str
    old: str
    new: str
    noticed_by: str
    subject: str = "lean"
    every: bool = False
    variables: Mapping[str, Json] | None = None


GRANTS = "only_the_listed_grants_are_made"
PUSH = "every_push_names_its_topic_to_the_function"
LETTERS = "dead_letters_are_kept_for_somebody_to_read"
TOLD = "the_function_is_told_its_own_topics_and_queue"
FIELDS = "filters_name_fields_that_the_log_line_has"
OWN = "alerts_watch_this_deployments_own_resources"
ARCHIVE = "the_archive_holds_what_runs_and_nothing_else"
ROLES = "the_roles_hold_what_the_function_calls_and_no_more"
JOBS = "each_job_publishes_a_command_that_the_function_understands"
SCHEDULES = "schedules_say_what_was_asked_for"
MISSED = "a_daily_schedule_is_missed_when_it_stops"
DASHBOARD = "the_dashboard_draws_what_is_deployed"

MISTAKES: Sequence[Mistake] = (
    # Who may do what.
    Mistake(
        "the internet may call the function",
        "function.tf",
        '"ALLOW_INTERNAL_ONLY"',
        '"ALLOW_ALL"',
        "the_public_is_let_in_nowhere",
    ),
    Mistake(
        "everybody may invoke the function",
        "function.tf",
        "google_service_account.push.member",
        '"allUsers"',
        "the_public_is_let_in_nowhere",
    ),
    Mistake("the function may invoke itself", "function.tf", "push.member", "runtime.member", GRANTS),
    Mistake("the agent may sign as the function", "function.tf", "push.name", "runtime.name", GRANTS),
    Mistake(
        "the function publishes follow-ups itself",
        "pubsub.tf",
        "google_service_account.tasks.member",
        "google_service_account.runtime.member",
        "nobody_but_the_tasks_account_publishes_follow_ups",
    ),
    Mistake(
        "publishers of commands may publish follow-ups",
        "pubsub.tf",
        "google_pubsub_topic.commands.name\n",
        "google_pubsub_topic.follow_ups.name\n",
        "nobody_but_the_tasks_account_publishes_follow_ups",
        subject="fleet",
    ),
    Mistake("the function may publish nowhere", "pubsub.tf", "topic.results.name", "topic.dead_letters.name", GRANTS),
    Mistake(
        "the tasks account administers the topic",
        "pubsub.tf",
        'topic.follow_ups.name\n  role    = "roles/pubsub.publisher"',
        'topic.follow_ups.name\n  role    = "roles/pubsub.admin"',
        GRANTS,
    ),
    Mistake(
        "the agent can't acknowledge what it moves",
        "pubsub.tf",
        '"roles/pubsub.subscriber"',
        '"roles/pubsub.viewer"',
        GRANTS,
    ),
    Mistake("the function administers the queue", "queue.tf", "cloudtasks.enqueuer", "cloudtasks.admin", GRANTS),
    Mistake("the function may act as the build", "queue.tf", "account.tasks.name", "account.build.name", GRANTS),
    Mistake(
        "the build reads every bucket",
        "source.tf",
        'resource "google_storage_bucket_iam_member" "build_reads_source" {\n  bucket = local.source_archive.bucket',
        'resource "google_project_iam_member" "build_reads_source" {\n  project = var.project_id',
        TERRAFORM,
    ),
    Mistake("the build may write the source", "source.tf", "storage.objectViewer", "storage.objectAdmin", GRANTS),
    Mistake(
        "an instance's grant is missing",
        "spanner.tf",
        "for_each = local.instances\n",
        "for_each = local._whole_instances\n",
        GRANTS,
        subject="fleet",
    ),
    Mistake(
        "naming databases changes nothing",
        "spanner.tf",
        "instance if instance.databases == null }",
        "instance }",
        GRANTS,
        subject="fleet",
    ),
    Mistake(
        "another project's instance is looked for at home",
        "spanner.tf",
        "project = coalesce(instance.project, var.project_id)",
        "project = var.project_id",
        GRANTS,
        subject="fleet",
    ),
    Mistake(
        "the role may drop databases",
        "spanner.tf",
        '"spanner.databases.list",',
        '"spanner.databases.list",\n      "spanner.databases.drop",',
        ROLES,
    ),
    Mistake("the role can't cancel", "spanner.tf", '      "spanner.backupOperations.cancel",\n', "", ROLES),
    Mistake("the role can't shorten a backup's life", "spanner.tf", ', "spanner.backups.update"]', "]", ROLES),
    Mistake(
        "the function believes that it may delete",
        "function.tf",
        "tostring(var.allow_delete)",
        '"true"',
        ROLES,
        "switched",
    ),
    Mistake(
        "a role of one's own is not used",
        "spanner.tf",
        "each.value.role != null ? each.value.role",
        "each.value.role == null ? each.value.name",
        TERRAFORM,
        "switched",
    ),
    Mistake(
        "the function runs as the push account",
        "function.tf",
        "service_account_email = google_service_account.runtime.email",
        "service_account_email = google_service_account.push.email",
        "each_identity_does_its_own_part",
    ),
    Mistake(
        "two identities are one",
        "accounts.tf",
        "${var.prefix}-tasks",
        "${var.prefix}-run",
        "each_identity_does_its_own_part",
    ),
    # Messages.
    Mistake("the address is not the run.app one", "pubsub.tf", "[0].uri}/", "[0].gcf_uri}/", TERRAFORM),
    Mistake("the topic is not in the path", "pubsub.tf", "[0].uri}/${each.value}", "[0].uri}/", PUSH),
    Mistake(
        "the topics are swapped",
        "pubsub.tf",
        "topic   = each.value\n",
        "topic   = google_pubsub_topic.results.id\n",
        PUSH,
    ),
    Mistake(
        "pushes are not signed by the push account", "pubsub.tf", "account.push.email", "account.runtime.email", PUSH
    ),
    Mistake(
        "the audience has the topic in it",
        "pubsub.tf",
        "audience              = google_cloudfunctions2_function.function.service_config[0].uri",
        'audience              = "${google_cloudfunctions2_function.function.service_config[0].uri}/${each.value}"',
        PUSH,
    ),
    Mistake(
        "the ack deadline is within the timeout",
        "pubsub.tf",
        "ack_deadline_seconds       = var.ack_deadline_s",
        "ack_deadline_seconds       = 60",
        "no_message_is_pushed_again_while_the_function_works_on_it",
    ),
    Mistake(
        "the timeout is above the ack deadline",
        "function.tf",
        "timeout_seconds                  = var.timeout_s",
        "timeout_seconds                  = 540",
        "no_message_is_pushed_again_while_the_function_works_on_it",
    ),
    Mistake("subscriptions expire", "pubsub.tf", 'ttl = ""', 'ttl = "2678400s"', "no_subscription_expires", every=True),
    Mistake("a message is retried at once", "pubsub.tf", '"10s"', '"0s"', "retries_back_off"),
    Mistake(
        "dead letters go round in a circle",
        "pubsub.tf",
        "dead_letter_topic     = google_pubsub_topic.dead_letters.id",
        "dead_letter_topic     = google_pubsub_topic.commands.id",
        LETTERS,
    ),
    Mistake(
        "nobody keeps dead letters",
        "pubsub.tf",
        "topic   = google_pubsub_topic.dead_letters.id",
        "topic   = google_pubsub_topic.results.id",
        LETTERS,
    ),
    Mistake("dead letters after one attempt", "pubsub.tf", "= var.dead_letter_after", "= 1", TERRAFORM),
    Mistake("no dead letters at all", "pubsub.tf", "  dead_letter_policy {", "  dead_letter_polices {", TERRAFORM),
    Mistake(
        "tasks give up",
        "queue.tf",
        "max_attempts  = -1",
        "max_attempts  = 3",
        "a_task_never_gives_up",
    ),
    Mistake(
        "looks outrun Spanner's quota",
        "queue.tf",
        "max_dispatches_per_second = var.looks_per_second",
        "max_dispatches_per_second = 500",
        "looks_stay_within_spanners_quota",
    ),
    # The function.
    Mistake(
        "results and follow-ups are swapped",
        "function.tf",
        "BACKSTOP_RESULTS_TOPIC         = google_pubsub_topic.results.id",
        "BACKSTOP_RESULTS_TOPIC         = google_pubsub_topic.follow_ups.id",
        TOLD,
    ),
    Mistake(
        "the queue is named by its short name", "function.tf", "queue.follow_ups.id", "queue.follow_ups.name", TOLD
    ),
    Mistake(
        "tasks carry the wrong account",
        "function.tf",
        "BACKSTOP_TASKS_SERVICE_ACCOUNT = google_service_account.tasks.email",
        "BACKSTOP_TASKS_SERVICE_ACCOUNT = google_service_account.runtime.email",
        TOLD,
    ),
    Mistake(
        "requests wait for a thread", "function.tf", "tostring(var.concurrency)", '"1"', "each_request_has_a_thread"
    ),
    Mistake(
        "the wrong function is started", "function.tf", '"on_message"', '"main"', "each_identity_does_its_own_part"
    ),
    Mistake("the archive has no requirements", "source.tf", '["main.py", "requirements.txt"]', '["main.py"]', ARCHIVE),
    Mistake(
        "the archive takes what it finds",
        "source.tf",
        '"backstop/**/*.py"',
        '"{backstop,terraform}/**"',
        ARCHIVE,
    ),
    Mistake("every archive has one name", "source.tf", "backstop-${local.source_hash}.zip", "backstop.zip", ARCHIVE),
    Mistake(
        "a destroy switches APIs off for everybody",
        "main.tf",
        "disable_on_destroy = false",
        "disable_on_destroy = true",
        "everything_is_in_the_one_project",
        subject="fleet",
    ),
    Mistake(
        "the name of the topic comes before its rights",
        "outputs.tf",
        "    google_pubsub_topic_iam_member.publishers,\n",
        "",
        "outputs_wait_for_their_grants",
    ),
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
        'local._instance_path[schedule.instance], "databases",',
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
        "alerts.tf",
        '"/[^A-Za-z0-9]/", "_"',
        '"/[^A-Za-z0-9]/", "-"',
        MISSED,
    ),
    Mistake("failed backups count as backups", "alerts.tf", 'outcome=\\"COMPLETED\\"', 'outcome=~\\".+\\"', MISSED),
    Mistake("a paused schedule is missed", "alerts.tf", " && !schedule.paused", "", MISSED, subject="fleet"),
    Mistake(
        "the dashboard draws another queue",
        "dashboard.tf",
        "${google_cloud_tasks_queue.follow_ups.name}",
        "default",
        DASHBOARD,
    ),
    Mistake("a tile hides another", "dashboard.tf", "floor(index / 2)", "floor(index / 4)", DASHBOARD),
    # What should be refused.
    Mistake(
        "a message may be pushed again too soon",
        "pubsub.tf",
        "var.ack_deadline_s > var.timeout_s",
        "var.ack_deadline_s > 0",
        REFUSALS,
        variables={"ack_deadline_s": 60, "timeout_s": 120},
    ),
    Mistake(
        "everybody may be a publisher",
        "variables.tf",
        "^(user|group|serviceAccount|domain|principal|principalSet):.+$",
        "^.+$",
        REFUSALS,
        variables={"publishers": ["allUsers"]},
    ),
    Mistake(
        "a retention below Spanner's is let through",
        "variables.tf",
        "seconds >= 21600",
        "seconds >= 3600",
        REFUSALS,
        every=True,
        variables={"retention": "1h"},
    ),
    Mistake(
        "a sweep of nobody's instance is let through",
        "variables.tf",
        "alltrue([for key in keys(var.sweeps) : contains(keys(var.instances), key)])",
        "length(var.sweeps) >= 0",
        REFUSALS,
        variables={"sweeps": {"nobody": {}}},
    ),
)
