output "alert_policies" {
  description = "Alert policies, by the name that alerts.disabled uses; the alerts on missing backups by no-backup/SCHEDULE."
  value = merge(
    { for name, policy in google_monitoring_alert_policy.alert : name => policy.name },
    { for name, policy in google_monitoring_alert_policy.no_backup : "no-backup/${name}" => policy.name },
  )
}

output "commands_topic" {
  description = "Topic to publish commands to, projects/P/topics/T. What is published there is delivered: the output waits for the subscription and for every grant."
  value       = google_pubsub_topic.commands.id

  depends_on = [
    google_pubsub_subscription.push,
    time_sleep.message_grants,
  ]
}

output "dead_letters_subscription" {
  description = "Subscription that holds dead letters, projects/P/subscriptions/S; pull it when the alert says so."
  value       = google_pubsub_subscription.dead_letters.id

  depends_on = [google_pubsub_topic_iam_member.agent_publishes_dead_letters]
}

output "function_uri" {
  description = "Address of the function; only Pub/Sub's pushes may call it."
  value       = google_cloudfunctions2_function.function.service_config[0].uri

  depends_on = [google_cloud_run_service_iam_member.push_invokes_function]
}

output "log_filter" {
  description = "Filter for the function's log lines, one for each delivery; add jsonPayload.database or jsonPayload.operation to it."
  value       = local.log_lines
}

output "queue" {
  description = "Cloud Tasks queue that holds follow-ups until they are due, projects/P/locations/L/queues/Q."
  value       = google_cloud_tasks_queue.follow_ups.id

  depends_on = [google_cloud_tasks_queue_iam_member.runtime_makes_tasks]
}

output "results_topic" {
  description = "Topic that outcomes are published to as CloudEvents, projects/P/topics/T; subscribe to it."
  value       = google_pubsub_topic.results.id

  depends_on = [google_pubsub_topic_iam_member.runtime_publishes_results]
}

output "service_accounts" {
  description = "E-mail addresses of the four identities: build, push, runtime and tasks."
  value = {
    build   = google_service_account.build.email
    push    = google_service_account.push.email
    runtime = google_service_account.runtime.email
    tasks   = google_service_account.tasks.email
  }
}
