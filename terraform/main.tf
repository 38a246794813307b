# What every other file leans on: the project, its APIs, and the names that several files must agree on.

data "google_project" "project" {
  project_id = var.project_id
}

locals {
  # Google's own identities in the project, which call and publish on the module's behalf.
  # https://docs.cloud.google.com/iam/docs/service-agents
  agents = {
    for service in ["cloudscheduler", "cloudtasks", "pubsub"] :
    service => "serviceAccount:service-${data.google_project.project.number}@gcp-sa-${service}.iam.gserviceaccount.com"
  }

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

# In a fresh project an agent appears at some first use, and IAM refuses a member that doesn't exist: so each that is
# granted something is made now. Making one that exists does nothing, and destroying it neither.
# https://registry.terraform.io/providers/hashicorp/google-beta/latest/docs/resources/project_service_identity
resource "google_project_service_identity" "agent" {
  for_each = local.agents
  provider = google-beta

  project = var.project_id
  service = "${each.key}.googleapis.com"

  depends_on = [google_project_service.api]
}
