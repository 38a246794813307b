# Three instances in two projects, daily and weekly backups, alerts to people, and a team that may publish commands.

module "backstop" {
  source = "../.."

  project_id = "example-operations"
  region     = "europe-west1"
  labels     = { team = "databases" }

  instances = {
    orders    = { project = "example-shop" }
    customers = { project = "example-shop", name = "customers-eu", databases = ["accounts", "consents"] }
    ledger    = {}
  }

  schedules = {
    # Stopped when it runs into the morning, and not started at noon after a night's outage.
    orders-nightly   = { instance = "orders", databases = ["orders-*"], cron = "5 1 * * *", cancel_after = "6h", start_within = "2h" }
    accounts-nightly = { instance = "customers", database = "accounts", cron = "25 1 * * *", time_zone = "Europe/Rome", retention = "35d" }
    consents-weekly  = { instance = "customers", database = "consents", cron = "45 1 * * 0", retention = "366d" }
    ledger-hourly    = { instance = "ledger", cron = "10 * * * *", retention = "3d", alert_after_h = 3, paused = true }
  }

  sweeps = {
    orders = { cancel_after = "12h", if_created = "delete" }
    ledger = { cron = "*/15 * * * *", cancel_after = "4h" }
  }

  notification_channels = var.notification_channels
  # Whoever has to account for deletions hears of each, and of nothing else.
  deletion_channels = ["projects/example-operations/notificationChannels/1111"]
  publishers        = ["group:database-team@example.com", "serviceAccount:ci@example-shop.iam.gserviceaccount.com"]

  alerts = { oldest_message_s = 600, queue_depth = 50 }
}

variable "notification_channels" {
  description = "Cloud Monitoring channels of the people on call."
  type        = set(string)
  default     = []
}

output "commands_topic" {
  description = "Topic to publish commands to."
  value       = module.backstop.commands_topic
}

output "results_topic" {
  description = "Topic to subscribe to for outcomes."
  value       = module.backstop.results_topic
}
