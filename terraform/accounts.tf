# Four identities, none with a key. What each may do stands beside the resource it is for:
# pubsub.tf, queue.tf, function.tf, source.tf and spanner.tf.

resource "google_service_account" "build" {
  project      = var.project_id
  account_id   = "${var.prefix}-build"
  display_name = "Backstop: builds the function's image"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "push" {
  project      = var.project_id
  account_id   = "${var.prefix}-push"
  display_name = "Backstop: calls the function for Pub/Sub"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "runtime" {
  project      = var.project_id
  account_id   = "${var.prefix}-run"
  display_name = "Backstop: the function itself"

  depends_on = [google_project_service.api]
}

resource "google_service_account" "tasks" {
  project      = var.project_id
  account_id   = "${var.prefix}-tasks"
  display_name = "Backstop: publishes follow-ups when they are due"

  depends_on = [google_project_service.api]
}
