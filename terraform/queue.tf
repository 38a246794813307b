# The timer. A task is due when a backup is to be looked at again, and publishes the follow-up as its own account.

resource "google_cloud_tasks_queue" "follow_ups" {
  project  = var.project_id
  location = var.region
  name     = local.queue_name

  # Spanner allows 5 administrative requests a second in a project, and a look makes up to 3.
  # https://docs.cloud.google.com/spanner/quotas
  rate_limits {
    max_dispatches_per_second = var.looks_per_second
    max_concurrent_dispatches = 10
  }

  # A task that gives up is a backup that nobody looks at again, so it never does: attempts have no end, and neither has
  # the time for them, unless max_retry_duration were set.
  retry_config {
    max_attempts  = -1
    min_backoff   = "1s"
    max_backoff   = "300s"
    max_doublings = 8
  }

  stackdriver_logging_config {
    sampling_ratio = 1
  }

  depends_on = [google_project_service.api]
}

resource "google_cloud_tasks_queue_iam_member" "runtime_makes_tasks" {
  project  = var.project_id
  location = google_cloud_tasks_queue.follow_ups.location
  name     = google_cloud_tasks_queue.follow_ups.name
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.runtime.member
}

# Whoever makes a task that carries an account's token must be allowed to act as that account.
# https://docs.cloud.google.com/tasks/docs/creating-http-target-tasks
resource "google_service_account_iam_member" "runtime_acts_as_tasks" {
  service_account_id = google_service_account.tasks.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.runtime.member
}

# Cloud Tasks makes the token. Its agent has the right in every project that enabled the API by itself; here it is said,
# on this one account, so that a project whose administrators took the agent's role away works too.
# https://docs.cloud.google.com/tasks/docs/creating-http-target-tasks
resource "google_service_account_iam_member" "agent_signs_as_tasks" {
  service_account_id = google_service_account.tasks.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.agents["cloudtasks"]

  depends_on = [google_project_service_identity.agent]
}
