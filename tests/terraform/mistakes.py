"""Mistakes that somebody could make in the module, by the fact that must notice them.

A mistake that no fact notices is a hole in the tests; test_terraform_mistakes.py plants every one of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

TERRAFORM = "terraform"
"""Terraform itself refuses the plan, before any fact is asked."""

REFUSALS = "refusals"
"""Terraform no longer refuses what it should."""

_CHANGE = re.compile("«(.*?)→(.*?)»", re.DOTALL)


class Mistake(NamedTuple):
    """One mistake.

    Attributes:
        title: What somebody did wrong.
        file: Where, below terraform/.
        change: What stands there, with «old→new» where the mistake is. It is made wherever this text stands.
        subject: The deployment in which it shows.
    """

    title: str
    file: str
    change: str
    subject: str = "fleet"

    @property
    def old(self) -> str:
        """The text as it is."""
        return _CHANGE.sub(lambda it: it[1], self.change)

    @property
    def new(self) -> str:
        """The text with the mistake in it."""
        return _CHANGE.sub(lambda it: it[2], self.change)


MISTAKES: Mapping[str, Sequence[Mistake]] = {
    "each_job_publishes_a_command_that_the_function_understands": [
        Mistake("jobs publish follow-ups", "scheduler.tf", "«commands→follow_ups».id"),
        Mistake("a field has another name", "scheduler.tf", "«cancel_after→cancelAfter» ="),
        Mistake(
            "a database is named without its instance", "scheduler.tf", "«local.instance_path[schedule.instance], →»"
        ),
    ],
    "every_instance_is_swept": [
        Mistake(
            "only instances with a sweep are swept",
            "scheduler.tf",
            "for key in keys(«local.instances→var.sweeps») : key => merge(",
        )
    ],
    "schedules_say_what_was_asked_for": [
        Mistake("retention is forgotten", "scheduler.tf", "«retention    = schedule.retention→»"),
        Mistake("every schedule is in UTC", "scheduler.tf", '«each.value.time_zone→"Etc/UTC"»'),
        Mistake("pausing does nothing", "scheduler.tf", "«each.value.paused→false»"),
        Mistake("what a sweep was told is overridden", "scheduler.tf", "«try(var.sweeps[key], {})→{}»"),
    ],
    "filters_name_fields_that_the_log_line_has": [
        Mistake("a filter reads a field that doesn't exist", "metrics.tf", "jsonPayload.«outcome→result»=~"),
        Mistake(
            "an extractor reads a field that doesn't exist", "alerts.tf", "EXTRACT(jsonPayload.«backup→backup_id»)"
        ),
        Mistake("filters match every function", "metrics.tf", '«"resource.labels.service_name=\\"${var.prefix}\\"",→»'),
    ],
    "filters_look_for_outcomes_that_exist": [
        Mistake("an alert waits for an outcome that isn't", "alerts.tf", "«DELETE_BLOCKED→BLOCKED»"),
        Mistake("what gave up alarms nobody", "alerts.tf", '«"GAVE_UP", →»'),
    ],
    "each_deletion_is_told_to_those_who_asked_for_it": [
        Mistake(
            "alarms go where deletions are told",
            "alerts.tf",
            '«each.key == "deletion" ? var.deletion_channels : var.notification_channels→setunion(var.deletion_channels, var.notification_channels)»',
            "switched",
        )
    ],
    "counters_match_every_value_that_they_count": [
        Mistake("outcomes with an underscore aren't counted", "metrics.tf", "^[A-Z«_→»]+$")
    ],
    "every_alert_exists_and_says_what_to_do": [
        Mistake(
            "an alert is lost",
            "alerts.tf",
            "«{ for name, alert in local._query_alerts : name => merge(local._no_condition, alert) },→»",
        ),
        Mistake(
            "an alert has no runbook",
            "alerts.tf",
            '«templatefile("${path.module}/runbooks/${each.key}.md", local.runbook_names)→"See the log."»',
        ),
    ],
    "alerts_watch_this_deployments_own_resources": [
        Mistake(
            "dead letters are looked for in the wrong place",
            "alerts.tf",
            '=\\"${google_pubsub_«subscription→topic».dead',
        ),
        Mistake("a stalled queue is called after ten minutes", "alerts.tf", "[«70m→10m»]"),
        Mistake("attempts that fail are signs of life", "alerts.tf", "«_attempts_good→_attempts}{»}[70m]"),
    ],
    "each_schedule_that_runs_is_missed_when_it_stops": [
        Mistake("a missing backup is looked for by another name", "alerts-missing.tf", '/[^A-Za-z0-9]/", "«_→-»'),
        Mistake(
            "failed backups count as backups",
            "alerts-missing.tf",
            "COMPLETED|«COMPLETED_DESPITE_CANCEL|COMPLETED_KEPT→FAILED»",
        ),
        Mistake("any database's backup is a schedule's", "alerts-missing.tf", '«schedule.database→".*"» :'),
        Mistake("a pattern is no expression", "alerts-missing.tf", '"*", "«.→»*")'),
        Mistake("a paused schedule is missed", "alerts-missing.tf", "« && !schedule.paused→»"),
        Mistake("a week is a day", "alerts-missing.tf", "72 : «168→24»"),
    ],
    "the_dashboard_draws_what_is_deployed": [
        Mistake(
            "the dashboard draws another queue", "dashboard.tf", "«${google_cloud_tasks_queue.follow_ups.name}→default»"
        ),
        Mistake("a tile hides another", "dashboard.tf", "floor(index / «2→4»)"),
    ],
    "only_the_listed_grants_are_made": [
        Mistake(
            "the tasks account administers the topic",
            "pubsub.tf",
            'follow_ups.name\n  role    = "roles/pubsub.«publisher→admin»',
        ),
        Mistake("the function administers the queue", "queue.tf", "«enqueuer→admin»"),
        Mistake(
            "the function may act as the build",
            "queue.tf",
            'account.«tasks→build».name\n  role               = "roles/iam.serviceAccountUser',
        ),
        Mistake("the build may write the source", "source.tf", 'role   = "roles/storage.«objectViewer→objectAdmin»'),
        Mistake("an instance's grant is missing", "spanner.tf", "local.«instances→_whole_instances»\n"),
        Mistake("naming databases changes nothing", "spanner.tf", "«if instance.databases == null →»}"),
        Mistake(
            "another project's instance is looked for at home",
            "spanner.tf",
            "«coalesce(instance.project, var.project_id)→var.project_id»",
        ),
    ],
    "no_condition_is_wider_than_it_says": [
        Mistake(
            "the build reads every bucket",
            "source.tf",
            "projects/_/buckets/«gcf-v2-sources-${data.google_project.project.number}-${var.region}→»\\",
        )
    ],
    "nobody_but_the_tasks_account_publishes_follow_ups": [
        Mistake("the function publishes follow-ups itself", "pubsub.tf", "google_service_account.«tasks→runtime»"),
        Mistake(
            "publishers of commands may publish follow-ups",
            "pubsub.tf",
            '«commands→follow_ups».name\n  role    = "roles/pubsub.publisher"\n  member  = each',
        ),
    ],
    "the_public_is_let_in_nowhere": [
        Mistake("the internet may call the function", "function.tf", "«ALLOW_INTERNAL_ONLY→ALLOW_ALL»"),
        Mistake("everybody may invoke the function", "function.tf", '«google_service_account.push.member→"allUsers"»'),
    ],
    "every_push_names_its_topic_to_the_function": [
        Mistake("the topic is not in the path", "pubsub.tf", "uri}/«${each.value}→»"),
        Mistake("the topics are swapped", "pubsub.tf", "topic   = «each.value→google_pubsub_topic.results.id»"),
        Mistake("pushes are not signed by the push account", "pubsub.tf", "account.«push→runtime»"),
        Mistake(
            "the audience has the topic in it",
            "pubsub.tf",
            ' «google_cloudfunctions2_function.function.service_config[0].uri→"${google_cloudfunctions2_function.function.service_config[0].uri}/${each.value}"»',
        ),
    ],
    "no_message_is_pushed_again_while_the_function_works_on_it": [
        Mistake("the ack deadline is within the timeout", "pubsub.tf", "      = «var.ack_deadline_s→60»"),
        Mistake("the timeout is above the ack deadline", "function.tf", "«var.timeout_s→540»"),
    ],
    "retries_back_off": [Mistake("a message is retried at once", "pubsub.tf", '"«10s→0s»"')],
    "no_subscription_expires": [Mistake("subscriptions expire", "pubsub.tf", 'ttl = "«→2678400s»"')],
    "dead_letters_are_kept_for_somebody_to_read": [
        Mistake("dead letters go round in a circle", "pubsub.tf", "    = google_pubsub_topic.«dead_letters→commands»"),
        Mistake("nobody keeps dead letters", "pubsub.tf", "topic   = google_pubsub_topic.«dead_letters→results».id"),
    ],
    "looks_stay_within_spanners_quota": [
        Mistake("looks outrun Spanner's quota", "queue.tf", "«var.looks_per_second→500»")
    ],
    "a_task_never_gives_up": [Mistake("tasks give up", "queue.tf", "max_attempts  = «-1→3»")],
    "the_function_is_told_its_own_topics_and_queue": [
        Mistake("results and follow-ups are swapped", "function.tf", "google_pubsub_topic.«results→follow_ups»"),
        Mistake("the queue is named by its short name", "function.tf", "queue.follow_ups.«id→name»"),
        Mistake("tasks carry the wrong account", "function.tf", "google_service_account.«tasks→runtime»"),
    ],
    "each_request_has_a_thread": [
        Mistake("requests wait for a thread", "function.tf", '«tostring(var.concurrency)→"1"»')
    ],
    "each_identity_does_its_own_part": [
        Mistake("the function runs as the push account", "function.tf", "google_service_account.«runtime→push»"),
        Mistake("two identities are one", "accounts.tf", "prefix}-«tasks→run»"),
        Mistake("the wrong function is started", "function.tf", "«on_message→main»"),
    ],
    "the_roles_hold_what_the_function_calls_and_no_more": [
        Mistake("the role may drop databases", "spanner.tf", 'databases.list",«→\n      "spanner.databases.drop",»'),
        Mistake("the role can't cancel", "spanner.tf", '«"spanner.backupOperations.cancel",→»'),
        Mistake("the role can't shorten a backup's life", "spanner.tf", '«, "spanner.backups.update"→»]'),
        Mistake(
            "the function believes that it may delete", "function.tf", '«tostring(var.allow_delete)→"true"»', "switched"
        ),
    ],
    "the_archive_holds_what_runs_and_nothing_else": [
        Mistake("the archive has no requirements", "source.tf", '«, "requirements.txt"→»]'),
        Mistake("the archive takes what it finds", "source.tf", "«backstop/**/*.py→{backstop,terraform}/**»"),
        Mistake("every archive has one name", "source.tf", "backstop«-${local.source_hash}→»"),
    ],
    "everything_is_in_the_one_project": [
        Mistake("a destroy switches APIs off for everybody", "main.tf", "disable_on_destroy = «false→true»")
    ],
    "the_function_may_do_what_the_module_was_told_and_no_more": [
        Mistake("every instance may be commanded", "function.tf", '«join(",", sort(values(local.instance_path)))→""»'),
        Mistake("schedules' backups may be deleted", "function.tf", '«tostring(var.allow_scheduled)→"true"»'),
    ],
    "what_an_organisation_asks_for_is_off_or_everywhere": [
        Mistake(
            "results lie in another region",
            "pubsub.tf",
            'prefix}-results"\n  labels       = var.labels\n«  kms_key_name = var.kms_keys.topics\n→»',
            "switched",
        )
    ],
    "outputs_wait_for_their_grants": [
        Mistake("the name of the topic comes before its rights", "outputs.tf", "«time_sleep.message_grants,→»")
    ],
    TERRAFORM: [
        Mistake(
            "the command is not encoded",
            "scheduler.tf",
            "data       = «base64encode(jsonencode(local._starts[each.key]))→jsonencode(local._starts[each.key])»",
        ),
        Mistake("a runbook names what nobody fills in", "runbooks/dead-letters.md", "${«dead_letters→subscription»}"),
        Mistake(
            "a role of one's own is not used",
            "spanner.tf",
            "«!= null ? each.value.role→== null ? each.value.name»",
            "switched",
        ),
        Mistake("the address is not the run.app one", "pubsub.tf", "[0].«uri→gcf_uri»}/"),
        Mistake("dead letters after one attempt", "pubsub.tf", "«var.dead_letter_after→1»"),
        Mistake("no dead letters at all", "pubsub.tf", "«dead_letter_policy→dead_letter_polices»"),
    ],
    REFUSALS: [
        Mistake("a message may be pushed again too soon", "pubsub.tf", "> «var.timeout_s→0»"),
        Mistake(
            "everybody may be a publisher",
            "variables.tf",
            "«^(user|group|serviceAccount|domain|principal|principalSet):→^»",
        ),
        Mistake("a retention below Spanner's is let through", "variables.tf", ">= «21600→3600»"),
        Mistake(
            "a sweep of nobody's instance is let through",
            "variables-spanner.tf",
            "«alltrue([for key in keys(var.sweeps) : contains(keys(var.instances), key)])→length(var.sweeps) >= 0»",
        ),
    ],
}
