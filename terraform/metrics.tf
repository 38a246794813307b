# Counters on log lines: of outcomes, of looks, and of the schedules' own turns. Labels stay few, because each combination
# of values is a time series that is paid for.

locals {
  log_lines = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.prefix}\"",
    "resource.labels.location=\"${var.region}\"",
  ])
}

resource "google_logging_metric" "outcomes" {
  project     = var.project_id
  name        = "${var.prefix}/outcomes"
  description = "How commands and backups ended, by outcome, severity, database and schedule."
  filter      = "${local.log_lines} AND jsonPayload.outcome=~\"^[A-Z_]+$\""

  label_extractors = {
    database = "EXTRACT(jsonPayload.database)"
    outcome  = "EXTRACT(jsonPayload.outcome)"
    # What a schedule's job asked for says so; what people ask for has no such label, whatever they say.
    schedule = "REGEXP_EXTRACT(jsonPayload.requested_by, \"^${var.prefix}-start-([a-z0-9-]+)$\")"
    # A field of the log's own. https://docs.cloud.google.com/logging/docs/logs-based-metrics/labels (documented)
    severity = "EXTRACT(severity)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "database"
      description = "Full name of the database; empty where a command names none."
    }

    labels {
      key         = "outcome"
      description = "COMPLETED, FAILED and so on."
    }

    labels {
      key         = "schedule"
      description = "The schedule that asked for it, as its command says; empty where none did."
    }

    labels {
      key         = "severity"
      description = "INFO, WARNING or ERROR: a COMPLETED that is a WARNING was not found."
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_logging_metric" "looks" {
  project     = var.project_id
  name        = "${var.prefix}/looks"
  description = "Looks at a backup's operation, by what was seen."
  filter      = "${local.log_lines} AND jsonPayload.state=~\"^[A-Z_]+$\""

  label_extractors = {
    state = "EXTRACT(jsonPayload.state)"
  }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "state"
      description = "RUNNING, CANCELLING, COMPLETE, CANCELLED, FAILED and so on."
    }
  }

  depends_on = [google_project_service.api]
}

# A turn of a schedule, as Cloud Scheduler writes it: the job's own log, not the audit log of who changed it.
# https://docs.cloud.google.com/scheduler/docs/logging
resource "google_logging_metric" "runs" {
  project     = var.project_id
  name        = "${var.prefix}/runs"
  description = "Turns of the jobs that start backups, by job."
  filter = join(" AND ", [
    "resource.type=\"cloud_scheduler_job\"",
    "resource.labels.job_id=~\"^${var.prefix}-start-\"",
    "log_id(\"cloudscheduler.googleapis.com/executions\")",
    "severity<ERROR",
  ])

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.api]
}
