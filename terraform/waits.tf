# A grant works some time after it was made: 2 minutes as a rule, 7 or more at times. What needs one waits that long;
# otherwise the first build would fail, and the first command would be rejected.
# https://docs.cloud.google.com/iam/docs/access-change-propagation

resource "time_sleep" "build_grants" {
  create_duration = "${var.grants_wait_s}s"

  # A new grant is a new wait.
  triggers = { bucket = local.source_archive.bucket }

  depends_on = [
    google_project_iam_member.build_reads_copy,
    google_project_iam_member.build_writes_images,
    google_project_iam_member.build_writes_logs,
    google_storage_bucket_iam_member.build_reads_source,
  ]
}

resource "time_sleep" "message_grants" {
  create_duration = "${var.grants_wait_s}s"

  triggers = {
    databases = join(" ", keys(local._databases))
    function  = google_cloudfunctions2_function.function.id
    instances = join(" ", [for key, path in local.instance_path : path])
  }

  depends_on = [
    google_cloud_run_service_iam_member.push_invokes_function,
    google_cloud_tasks_queue_iam_member.runtime_makes_tasks,
    google_pubsub_subscription_iam_member.agent_forwards_dead_letters,
    google_pubsub_topic_iam_member.agent_publishes_dead_letters,
    google_pubsub_topic_iam_member.publishers,
    google_pubsub_topic_iam_member.runtime_publishes_results,
    google_pubsub_topic_iam_member.scheduler_publishes_commands,
    google_pubsub_topic_iam_member.tasks_publish_follow_ups,
    google_service_account_iam_member.agent_signs_as_push,
    google_service_account_iam_member.agent_signs_as_tasks,
    google_service_account_iam_member.runtime_acts_as_tasks,
    google_spanner_database_iam_member.runtime_backs_up_database,
    google_spanner_instance_iam_member.runtime_backs_up_databases,
    google_spanner_instance_iam_member.runtime_handles_backups,
  ]
}
