# What every other file leans on: the project, its APIs, and the names that several files must agree on.

data "google_project" "project" {
  project_id = var.project_id
}

locals {
  # https://docs.cloud.google.com/iam/docs/service-agents
  pubsub_agent = "serviceAccount:service-${data.google_project.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com"

  queue_name = coalesce(var.queue_name, "${var.prefix}-follow-ups")

  apis = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtasks.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "spanner.googleapis.com",
    "storage.googleapis.com",
  ])
}

resource "google_project_service" "api" {
  for_each = var.enable_apis ? local.apis : toset([])

  project = var.project_id
  service = each.value

  # Others in the project may use the same API; taking Backstop away must not take it from them.
  disable_on_destroy = false
}
