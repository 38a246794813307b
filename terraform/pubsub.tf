# Four topics and their subscriptions. Commands and follow-ups are pushed to the function, each through a subscription
# of its own, so that a backlog of commands can't delay a look at a backup that is to be cancelled.

locals {
  # The subscriptions that push, by the topic they belong to.
  pushed = {
    commands   = google_pubsub_topic.commands.id
    follow-ups = google_pubsub_topic.follow_ups.id
  }
}

resource "google_pubsub_topic" "commands" {
  project      = var.project_id
  name         = "${var.prefix}-commands"
  labels       = var.labels
  kms_key_name = var.kms_keys.topics

  dynamic "message_storage_policy" {
    for_each = length(var.message_regions) > 0 ? [var.message_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "follow_ups" {
  project      = var.project_id
  name         = "${var.prefix}-follow-ups"
  labels       = var.labels
  kms_key_name = var.kms_keys.topics

  dynamic "message_storage_policy" {
    for_each = length(var.message_regions) > 0 ? [var.message_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "results" {
  project      = var.project_id
  name         = "${var.prefix}-results"
  labels       = var.labels
  kms_key_name = var.kms_keys.topics

  dynamic "message_storage_policy" {
    for_each = length(var.message_regions) > 0 ? [var.message_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic" "dead_letters" {
  project      = var.project_id
  name         = "${var.prefix}-dead-letters"
  labels       = var.labels
  kms_key_name = var.kms_keys.topics

  dynamic "message_storage_policy" {
    for_each = length(var.message_regions) > 0 ? [var.message_regions] : []

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "publishers" {
  for_each = var.publishers

  project = var.project_id
  topic   = google_pubsub_topic.commands.name
  role    = "roles/pubsub.publisher"
  member  = each.value
}

# Cloud Scheduler publishes as its agent, which has the right on every topic as long as nobody takes its role away. Said
# here, on this one topic, the schedules don't depend on that.
# https://docs.cloud.google.com/iam/docs/roles-permissions/cloudscheduler
resource "google_pubsub_topic_iam_member" "scheduler_publishes_commands" {
  project = var.project_id
  topic   = google_pubsub_topic.commands.name
  role    = "roles/pubsub.publisher"
  member  = local.agents["cloudscheduler"]

  depends_on = [google_project_service_identity.agent]
}

# The only one who is given follow-ups to publish. The function doesn't publish them: it makes tasks, and they do.
resource "google_pubsub_topic_iam_member" "tasks_publish_follow_ups" {
  project = var.project_id
  topic   = google_pubsub_topic.follow_ups.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.tasks.member
}

resource "google_pubsub_topic_iam_member" "runtime_publishes_results" {
  project = var.project_id
  topic   = google_pubsub_topic.results.name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.runtime.member
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushed

  project = var.project_id
  name    = "${var.prefix}-${each.key}-push"
  topic   = each.value
  labels  = var.labels

  ack_deadline_seconds       = var.ack_deadline_s
  message_retention_duration = "${var.message_retention_s}s"

  # Without this a subscription that was idle for 31 days is deleted, and a quarterly backup never starts again.
  expiration_policy {
    ttl = ""
  }

  push_config {
    # The function reads the topic from the path: a push body doesn't name it.
    push_endpoint = "${google_cloudfunctions2_function.function.service_config[0].uri}/${each.value}"

    oidc_token {
      service_account_email = google_service_account.push.email
      audience              = google_cloudfunctions2_function.function.service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = var.dead_letter_after
  }

  lifecycle {
    precondition {
      condition     = var.ack_deadline_s > var.timeout_s
      error_message = "ack_deadline_s (${var.ack_deadline_s}) must be above timeout_s (${var.timeout_s}): a message that is pushed again while the function still works on it is done twice at once."
    }
  }

  # A push that may not call the function counts as a failed attempt.
  depends_on = [google_cloud_run_service_iam_member.push_invokes_function]
}

# Dead letters that nobody holds are lost: a topic without a subscription keeps nothing.
resource "google_pubsub_subscription" "dead_letters" {
  project = var.project_id
  name    = "${var.prefix}-dead-letters-pull"
  topic   = google_pubsub_topic.dead_letters.id
  labels  = var.labels

  ack_deadline_seconds = 60
  # The longest there is: a dead letter is somebody's backup.
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }
}

# Pub/Sub itself moves dead letters: it publishes there, and acknowledges here. Without both it doesn't even count attempts.
# https://docs.cloud.google.com/pubsub/docs/handling-failures
resource "google_pubsub_topic_iam_member" "agent_publishes_dead_letters" {
  project = var.project_id
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.agents["pubsub"]

  depends_on = [google_project_service_identity.agent]
}

resource "google_pubsub_subscription_iam_member" "agent_forwards_dead_letters" {
  for_each = google_pubsub_subscription.push

  project      = var.project_id
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.agents["pubsub"]

  depends_on = [google_project_service_identity.agent]
}
