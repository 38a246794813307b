# Alarms by e-mail and to Slack, a notice of each deletion for the auditors, and the outcomes for a program of yours.

variable "slack_token" {
  description = "Token of the Slack app, which Cloud Monitoring's console gets for you when you add a Slack channel there; null: no Slack."
  type        = string
  default     = null
  sensitive   = true
}

resource "google_monitoring_notification_channel" "on_call" {
  project      = "example-project"
  display_name = "Databases, on call"
  type         = "email"
  labels       = { email_address = "databases-on-call@example.com" }
}

resource "google_monitoring_notification_channel" "auditors" {
  project      = "example-project"
  display_name = "Auditors"
  type         = "email"
  labels       = { email_address = "audit@example.com" }
}

# https://docs.cloud.google.com/monitoring/support/notification-options#slack
resource "google_monitoring_notification_channel" "slack" {
  count = var.slack_token == null ? 0 : 1

  project      = "example-project"
  display_name = "Slack, databases"
  type         = "slack"
  labels       = { channel_name = "#databases" }

  sensitive_labels {
    auth_token = var.slack_token
  }
}

module "backstop" {
  source = "../.."

  project_id = "example-project"
  region     = "europe-west1"
  instances  = { orders = {} }
  schedules  = { nightly = { instance = "orders", cron = "17 2 * * *" } }

  notification_channels = toset(concat(
    [google_monitoring_notification_channel.on_call.id],
    google_monitoring_notification_channel.slack[*].id,
  ))
  deletion_channels = [google_monitoring_notification_channel.auditors.id]
}

# What ended, for a program: a pull subscription with the outcomes that end a backup. Behind it goes whatever you have: a
# worker that writes to a ticket system, a BigQuery subscription in place of this one (bigquery_config) for a history of all
# backups, or a push to a service of yours that posts the field `detail` to a chat.
# https://docs.cloud.google.com/pubsub/docs/subscription-message-filter
resource "google_pubsub_subscription" "ends" {
  project = "example-project"
  name    = "backstop-ends"
  topic   = module.backstop.results_topic
  filter  = "attributes.ce-type != \"backstop.backup.started\" AND attributes.ce-type != \"backstop.backup.cancel-requested\""

  expiration_policy {
    ttl = ""
  }
}
