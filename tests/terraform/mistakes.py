"""Mistakes that somebody could make in the module, by the fact that must notice them.

A mistake that no fact notices is a hole in the tests; test_terraform_mistakes.py plants every one of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

TERRAFORM = "terraform"
"""Terraform itself refuses the plan, before any fact is asked."""

REFUSALS = "refusals"
"""Terraform no longer refuses what it should."""

_CHANGE = re.compile("«(.*?)→(.*?)»")


class Mistake(NamedTuple):
    """One mistake: who must notice it, in which file below terraform/, and in the plan of which deployment.

    The old text stands there once or several times; the new one has the mistake in it.
    """

    noticed_by: str
    title: str
    file: str
    subject: str
    old: str
    new: str


def _read(text: str) -> Iterator[Mistake]:
    noticed_by = ""
    for line in re.sub(r" \|\n {6}", " | ", text).strip().splitlines():
        if line.startswith("  "):
            title, where, change = line[2:].split(" | ", 2)
            file, _, subject = where.partition(" in ")
            old, new = (_CHANGE.sub(rf"\{group}", change).replace("⏎", "\n") for group in (1, 2))
            yield Mistake(noticed_by, title, file, subject or "fleet", old, new)
        else:
            noticed_by = line


MISTAKES: Sequence[Mistake] = tuple(
    _read(r"""
each_job_publishes_a_command_that_the_function_understands
  jobs publish follow-ups | scheduler.tf | «commands→follow_ups».id
  a field has another name | scheduler.tf | «cancel_after→cancelAfter» =
  a database is named without its instance | scheduler.tf | «local.instance_path[schedule.instance], →»
  a job doesn't say who asks | scheduler.tf | «requested_by→reason» = "${var.prefix}-start-${key}
every_instance_is_swept
  only instances with a sweep are swept | scheduler.tf | for key in keys(«local.instances→var.sweeps») : key => merge(
schedules_say_what_was_asked_for
  retention is forgotten | scheduler.tf | «retention    = schedule.retention→»
  every schedule is in UTC | scheduler.tf | «each.value.time_zone→"Etc/UTC"»
  pausing does nothing | scheduler.tf | «each.value.paused→false»
  what a sweep was told is overridden | scheduler.tf | «try(var.sweeps[key], {})→{}»
filters_read_what_the_log_has_of_this_deployment
  a filter reads a field that doesn't exist | metrics.tf | jsonPayload.«outcome→result»=~
  an extractor reads a field that doesn't exist | alerts.tf | EXTRACT(jsonPayload.«backup→backup_id»)
  filters match every function | metrics.tf | «"resource.labels.service_name=\"${var.prefix}\"",→»
filters_look_for_outcomes_that_exist
  an alert waits for an outcome that isn't | alerts.tf | «DELETE_BLOCKED→BLOCKED»
  what gave up alarms nobody | alerts.tf | «jsonPayload.outcome=\"GAVE_UP\" OR →»
  what is kept where nobody may delete alarms only as a warning | alerts.tf in switched | «var.allow_delete→true» ? "(
  who isn't let in alarms nobody | alerts.tf | PERMISSION_DENIED«|UNAUTHENTICATED→»
each_deletion_is_told_to_those_who_asked_for_it
  alarms go where deletions are told | alerts.tf in switched |
      ? var.deletion_channels : var.«notification→deletion»_channels
counters_match_every_value_that_they_count
  schedules are looked for under another name | metrics.tf | \"^${var.prefix}-«start→run»-([a-z
  a label names a state that isn't | metrics.tf | RUNNING, CANCELLING, «COMPLETE→SUCCEEDED»
  outcomes with an underscore aren't counted | metrics.tf | outcome=~\"^[A-Z«_→»]+$
every_alert_exists_and_says_what_to_do
  somebody is woken each hour | alerts.tf | period   = «local._once_a_day→"3600s"»
  an alert is lost | alerts.tf | for name, alert in «local._query_alerts→{}»
  an alert has no runbook | alerts.tf | ${each.key}.md", local.runbook_names)«→ == "" ? "" : "See the log."»
alerts_watch_this_deployments_own_resources
  dead letters are looked for in the wrong place | alerts.tf | =\"${google_pubsub_«subscription→topic».dead
  a stalled queue is called after ten minutes | alerts.tf | [«70m→10m»]
  attempts that fail are signs of life | alerts.tf | «_attempts_good→_attempts}{»}[70m]
each_schedule_that_runs_is_missed_when_it_stops
  a missing backup is looked for by another name | alerts-missing.tf | /[^A-Za-z0-9]/", "«_→-»
  cancelled backups count as backups | alerts-missing.tf | outcome=«\"→~\"COMPLETED_DESPITE_CANCEL|»COMPLETED
  a backup that was not found counts as one | alerts-missing.tf | COMPLETED\"«,severity=\"INFO\"→»
  another schedule's backup counts as a schedule's | alerts-missing.tf | «schedule=\"${key}\",→»
  a schedule is looked for by its job's name | alerts-missing.tf | schedule=\"«→${var.prefix}-start-»${key}
  any database's backup is a schedule's | alerts-missing.tf | «schedule.database→".*"» :
  a pattern is no expression | alerts-missing.tf | "*", "«.→»*")
  a paused schedule is missed | alerts-missing.tf | « && !schedule.paused→»
  a week is a day | alerts-missing.tf | 72 : «168→24»
the_dashboard_draws_what_is_deployed
  the dashboard draws another queue | dashboard.tf | «${google_cloud_tasks_queue.follow_ups.name}→default»
  a tile hides another | dashboard.tf | floor(index / «2→4»)
what_is_fixed_is_as_it_was_decided
  a message is retried at once | pubsub.tf | "«10s→0s»"
  subscriptions expire | pubsub.tf | ttl = "«→2678400s»"
  tasks give up | queue.tf | max_attempts  = «-1→3»
  the internet may call the function | function.tf | «ALLOW_INTERNAL_ONLY→ALLOW_ALL»
  the wrong function is started | function.tf | «on_message→main»
  a destroy switches APIs off for everybody | main.tf | disable_on_destroy = «false→true»
only_the_listed_grants_are_made
  the tasks account administers the topic | pubsub.tf | follow_ups.name⏎  role    = "roles/pubsub.«publisher→admin»
  the function administers the queue | queue.tf | «enqueuer→admin»
  the function may act as the build | queue.tf | «tasks→build».name⏎  role               = "roles/iam.serviceAccountUser
  the build may write the source | source.tf | role   = "roles/storage.«objectViewer→objectAdmin»
  an instance's grant is missing | spanner.tf | local.«instances→_whole_instances»⏎
  naming databases changes nothing | spanner.tf | «if instance.databases == null →»}
  another project's instance is looked for at home | spanner.tf | «coalesce(instance.project, →(»var.project_id)
  the build reads every bucket | source.tf |
      buckets/«gcf-v2-sources-${data.google_project.project.number}-${var.region}→»\
  the function publishes follow-ups itself | pubsub.tf | google_service_account.«tasks→runtime»
  publishers of commands may publish follow-ups | pubsub.tf |
      «commands→follow_ups».name⏎  role    = "roles/pubsub.publisher"⏎  member  = each
  everybody may invoke the function | function.tf | «google_service_account.push.member→"allUsers"»
every_push_names_its_topic_to_the_function
  the topic is not in the path | pubsub.tf | uri}/«${each.value}→»
  the topics are swapped | pubsub.tf | topic   = «each.value→google_pubsub_topic.results.id»
  pushes are not signed by the push account | pubsub.tf | account.«push→runtime»
  the audience has the topic in it | pubsub.tf |
       «google_cloudfunctions2_function.function.→"${google_cloudfunctions2_function.function.»service_config[0].uri«→}/${each.value}"»⏎
a_message_is_pushed_once_at_a_time_and_kept_where_it_fails
  the ack deadline is within the timeout | pubsub.tf |       = «var.ack_deadline_s→60»
  the timeout is above the ack deadline | function.tf | «var.timeout_s→540»
  dead letters go round in a circle | pubsub.tf |     = google_pubsub_topic.«dead_letters→commands»
  nobody keeps dead letters | pubsub.tf | topic   = google_pubsub_topic.«dead_letters→results».id
the_function_keeps_within_its_quotas
  requests wait for a thread | function.tf | «tostring(var.concurrency)→"1"»
  looks outrun Spanner's quota | queue.tf | «var.looks_per_second→500»
the_function_is_told_its_own_topics_and_queue
  results and follow-ups are swapped | function.tf | google_pubsub_topic.«results→follow_ups»
  the queue is named by its short name | function.tf | queue.follow_ups.«id→name»
  tasks carry the wrong account | function.tf | google_service_account.«tasks→runtime»
each_identity_does_its_own_part
  the function runs as the push account | function.tf | google_service_account.«runtime→push»
  two identities are one | accounts.tf | prefix}-«tasks→run»
the_roles_hold_what_the_function_calls_and_no_more
  the role may drop databases | spanner.tf | databases.list",«→⏎      "spanner.databases.drop",»
  the role can't cancel | spanner.tf | «"spanner.backupOperations.cancel",→»
  the role can't shorten a backup's life | spanner.tf | «, "spanner.backups.update"→»]
  the function believes that it may delete | function.tf in switched | «tostring(var.allow_delete)→"true"»
the_archive_holds_what_runs_and_nothing_else
  the archive has no requirements | source.tf | «, "requirements.txt"→»]
  the archive takes what it finds | source.tf | «backstop/**/*.py→{backstop,terraform}/**»
  every archive has one name | source.tf | backstop«-${local.source_hash}→»
everything_is_in_the_one_project
  the queue is another project's | queue.tf | «var.project_id→"elsewhere"»⏎  location = var
the_function_may_do_what_the_module_was_told_and_no_more
  every instance may be commanded | function.tf | «join(",", sort(values(local.instance_path)))→""»
  schedules' backups may be deleted | function.tf | «tostring(var.allow_scheduled)→"true"»
what_an_organisation_asks_for_is_off_or_everywhere
  results lie in another region | pubsub.tf in switched |
      prefix}-results"⏎  labels       = var.labels⏎«  kms_key_name = var.kms_keys.topics⏎→»
  the network is entered elsewhere | function.tf in calendar | «direct_vpc_network_interface.value.subnetwork→null»
  only what is private goes through the network | function.tf in calendar | egress, "«ALL_TRAFFIC→PRIVATE_RANGES_ONLY»
outputs_wait_for_their_grants
  the name of the topic comes before its rights | outputs.tf | «time_sleep.message_grants,→»
terraform
  the command is not encoded | scheduler.tf | data       = «base64encode(→(»jsonencode(local._starts[each.key]))
  a runbook names what nobody fills in | runbooks/dead-letters.md | ${«dead_letters→subscription»}
  a role of one's own is not used | spanner.tf in switched | «!= null ? each.value.role→== null ? each.value.name»
  the address is not the run.app one | pubsub.tf | [0].«uri→gcf_uri»}/
  dead letters after one attempt | pubsub.tf | «var.dead_letter_after→1»
  no dead letters at all | pubsub.tf | «dead_letter_policy→dead_letter_polices»
refusals
  a message may be pushed again too soon | pubsub.tf | > «var.timeout_s→0»
  everybody may be a publisher | variables.tf | «^(user|group|serviceAccount|domain|principal|principalSet):→^»
  a retention below Spanner's is let through | variables.tf | >= «21600→3600»
  a sweep of nobody's instance is let through | variables-spanner.tf |
      for key in keys(var.sweeps) : «→true || »contains(keys(var.instances), key)
""")
)
"""For each fact its mistakes: title, file, what stands there; with «old→new» where the mistake is, ⏎ for a new line."""
