"""Mistakes that somebody could make in the module, each with the fact that must notice it.

A mistake that no fact notices is a hole in the tests; test_terraform_mistakes.py plants every one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.terraform.mistake import REFUSALS, TERRAFORM, Mistake
from tests.terraform.mistakes_watching import WATCHING_MISTAKES

if TYPE_CHECKING:
    from collections.abc import Sequence

GRANTS = "only_the_listed_grants_are_made"
PUSH = "every_push_names_its_topic_to_the_function"
LETTERS = "dead_letters_are_kept_for_somebody_to_read"
TOLD = "the_function_is_told_its_own_topics_and_queue"
ARCHIVE = "the_archive_holds_what_runs_and_nothing_else"
ROLES = "the_roles_hold_what_the_function_calls_and_no_more"

MISTAKES: Sequence[Mistake] = (
    *WATCHING_MISTAKES,
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
        'topic   = google_pubsub_topic.commands.name\n  role    = "roles/pubsub.publisher"\n  member  = each.value',
        'topic   = google_pubsub_topic.follow_ups.name\n  role    = "roles/pubsub.publisher"\n  member  = each.value',
        "nobody_but_the_tasks_account_publishes_follow_ups",
        subject="fleet",
    ),
    Mistake(
        "the tasks account administers the topic",
        "pubsub.tf",
        'topic.follow_ups.name\n  role    = "roles/pubsub.publisher"',
        'topic.follow_ups.name\n  role    = "roles/pubsub.admin"',
        GRANTS,
    ),
    Mistake("the function administers the queue", "queue.tf", "cloudtasks.enqueuer", "cloudtasks.admin", GRANTS),
    Mistake(
        "the function may act as the build",
        "queue.tf",
        'account.tasks.name\n  role               = "roles/iam.serviceAccountUser"',
        'account.build.name\n  role               = "roles/iam.serviceAccountUser"',
        GRANTS,
    ),
    Mistake(
        "the build reads every bucket",
        "source.tf",
        'startsWith(\\"projects/_/buckets/gcf-v2-sources-${data.google_project.project.number}-${var.region}\\")',
        'startsWith(\\"projects/_/buckets/\\")',
        "no_condition_is_wider_than_it_says",
    ),
    Mistake(
        "the build may write the source",
        "source.tf",
        'bucket = local.source_archive.bucket\n  role   = "roles/storage.objectViewer"',
        'bucket = local.source_archive.bucket\n  role   = "roles/storage.objectAdmin"',
        GRANTS,
    ),
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
    Mistake("tasks give up", "queue.tf", "max_attempts  = -1", "max_attempts  = 3", "a_task_never_gives_up"),
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
    Mistake("the archive takes what it finds", "source.tf", '"backstop/**/*.py"', '"{backstop,terraform}/**"', ARCHIVE),
    Mistake("every archive has one name", "source.tf", "backstop-${local.source_hash}.zip", "backstop.zip", ARCHIVE),
    Mistake(
        "every instance may be commanded",
        "function.tf",
        'join(",", sort(values(local.instance_path)))',
        '""',
        "the_function_may_do_what_the_module_was_told_and_no_more",
    ),
    Mistake(
        "schedules' backups may be deleted",
        "function.tf",
        "tostring(var.allow_scheduled)",
        '"true"',
        "the_function_may_do_what_the_module_was_told_and_no_more",
    ),
    Mistake(
        "results lie in another region",
        "pubsub.tf",
        'var.prefix}-results"\n  labels       = var.labels\n  kms_key_name = var.kms_keys.topics\n',
        'var.prefix}-results"\n  labels       = var.labels\n',
        "what_an_organisation_asks_for_is_off_or_everywhere",
        subject="switched",
    ),
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
        "    time_sleep.message_grants,\n",
        "",
        "outputs_wait_for_their_grants",
    ),
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
        "variables-spanner.tf",
        "alltrue([for key in keys(var.sweeps) : contains(keys(var.instances), key)])",
        "length(var.sweeps) >= 0",
        REFUSALS,
        variables={"sweeps": {"nobody": {}}},
    ),
)
