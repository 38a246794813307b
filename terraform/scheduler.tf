# The clock: a job for each schedule, which publishes a start, and one for each instance, which publishes a sweep.

locals {
  # A command is the JSON that a person would publish. Fields that are null are left out. Each says which job asks: the
  # function repeats it in every outcome, and so a schedule's own backups are told from another's of the same database.
  _starts = {
    for key, schedule in var.schedules : key => {
      for field, value in {
        action = "start"
        database = schedule.database == null ? null : join("/", [
          local.instance_path[schedule.instance], "databases", schedule.database,
        ])
        instance     = schedule.database == null ? local.instance_path[schedule.instance] : null
        databases    = local._patterns[key]
        retention    = schedule.retention
        cancel_after = schedule.cancel_after
        if_created   = schedule.if_created
        start_within = schedule.start_within
        requested_by = "${var.prefix}-start-${key}"
      } : field => value if value != null
    }
  }

  # Of which databases: those that may be backed up, unless the schedule says so itself.
  _patterns = {
    for key, schedule in var.schedules : key => schedule.database != null || schedule.databases != null
    ? schedule.databases : try(sort(local.instances[schedule.instance].databases), null)
  }

  instance_path = {
    for key, instance in local.instances : key => "projects/${instance.project}/instances/${instance.name}"
  }

  # Every instance has a sweep; var.sweeps only says where one differs.
  sweeps = {
    for key in keys(local.instances) : key => merge(
      {
        cancel_after      = "24h"
        cron              = null
        if_created        = "keep"
        include_scheduled = false
        paused            = false
        time_zone         = "Etc/UTC"
      },
      { for field, value in try(var.sweeps[key], {}) : field => value if value != null },
    )
  }

  _seconds = {
    for text in concat([var.cancel_after_min], [for sweep in local.sweeps : sweep.cancel_after]) : text => sum([
      for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]
    ])...
  }

  # Hourly, each instance at a minute of its own, so that a fleet doesn't spend Spanner's quota in one second.
  _sweep_cron = {
    for key in keys(local.instances) : key => "${parseint(substr(sha256(key), 0, 6), 16) % 60} * * * *"
  }
}

resource "google_cloud_scheduler_job" "start" {
  for_each = var.schedules

  project     = var.project_id
  region      = coalesce(var.scheduler_region, var.region)
  name        = "${var.prefix}-start-${each.key}"
  description = "Starts backups of ${local.instance_path[each.value.instance]}."
  schedule    = each.value.cron
  time_zone   = each.value.time_zone
  paused      = each.value.paused

  pubsub_target {
    topic_name = google_pubsub_topic.commands.id
    data       = base64encode(jsonencode(local._starts[each.key]))
  }

  # Publishing is one request; these are for the minute in which Pub/Sub can't take it.
  retry_config {
    retry_count          = 5
    min_backoff_duration = "5s"
    max_backoff_duration = "300s"
  }

  # A command before its subscription exists would reach nobody, and one before the grants work would be rejected.
  depends_on = [google_pubsub_subscription.push, time_sleep.message_grants]
}

resource "google_cloud_scheduler_job" "sweep" {
  for_each = local.sweeps

  project     = var.project_id
  region      = coalesce(var.scheduler_region, var.region)
  name        = "${var.prefix}-sweep-${each.key}"
  description = "Looks for backups of ${local.instance_path[each.key]} that nobody follows any more."
  schedule    = coalesce(each.value.cron, local._sweep_cron[each.key])
  time_zone   = each.value.time_zone
  paused      = each.value.paused

  pubsub_target {
    topic_name = google_pubsub_topic.commands.id
    data = base64encode(jsonencode({
      action            = "sweep"
      instance          = local.instance_path[each.key]
      cancel_after      = each.value.cancel_after
      if_created        = each.value.if_created
      include_scheduled = each.value.include_scheduled
      requested_by      = "${var.prefix}-sweep-${each.key}"
    }))
  }

  retry_config {
    retry_count          = 5
    min_backoff_duration = "5s"
    max_backoff_duration = "300s"
  }

  lifecycle {
    precondition {
      condition     = local._seconds[each.value.cancel_after][0] >= local._seconds[var.cancel_after_min][0]
      error_message = "sweeps[*].cancel_after (${each.value.cancel_after}) must not be shorter than cancel_after_min (${var.cancel_after_min}): the function would refuse it."
    }

    precondition {
      condition     = !each.value.include_scheduled || var.allow_scheduled
      error_message = "sweeps[*].include_scheduled needs allow_scheduled: the function would refuse it."
    }
  }

  depends_on = [google_pubsub_subscription.push, time_sleep.message_grants]
}
