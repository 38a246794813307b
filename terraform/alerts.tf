# What somebody has to hear about, each with a runbook (runbooks/NAME.md). Alerts on the log line match the line itself:
# a counter that was made a moment ago may be unknown to Cloud Monitoring for ten minutes, and the apply would fail.

locals {
  _push_subscriptions = join(", ", [for subscription in google_pubsub_subscription.push : "\"${subscription.name}\""])

  # With deleting switched off, what is kept is somebody's to delete by hand.
  _blocked = concat(["DELETE_BLOCKED", "GAVE_UP", "GONE"], var.allow_delete ? [] : ["COMPLETED_KEPT"])

  _log_alerts = {
    backup-failed = {
      title    = "A backup failed"
      severity = "ERROR"
      outcomes = ["FAILED"]
    }
    command-rejected = {
      title    = "A command was rejected"
      severity = "WARNING"
      outcomes = ["REJECTED"]
    }
    delete-blocked = {
      title    = "A backup that nobody wants may still be there"
      severity = "ERROR"
      outcomes = local._blocked
    }
  }

  _metric_alerts = {
    dead-letters = {
      title     = "A message became a dead letter"
      severity  = "CRITICAL"
      metric    = "pubsub.googleapis.com/subscription/num_undelivered_messages"
      resource  = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""
      threshold = 0
      duration  = "0s"
    }
    oldest-message = {
      title     = "Commands or follow-ups wait"
      severity  = "CRITICAL"
      metric    = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
      resource  = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=one_of(${local._push_subscriptions})"
      threshold = var.alerts.oldest_message_s
      duration  = "300s"
    }
    queue-growing = {
      title     = "More follow-ups wait than backups can be running"
      severity  = "WARNING"
      metric    = "cloudtasks.googleapis.com/queue/depth"
      resource  = "resource.type=\"cloud_tasks_queue\" AND resource.labels.queue_id=\"${google_cloud_tasks_queue.follow_ups.name}\""
      threshold = var.alerts.queue_depth
      duration  = "900s"
    }
  }

  _queue_labels = "{monitored_resource=\"cloud_tasks_queue\",queue_id=\"${google_cloud_tasks_queue.follow_ups.name}\"}"

  _query_alerts = {
    # Looks are at most an hour apart, so a task that waits while none was tried for 70 minutes is not being waited for.
    # The same 70 minutes again as duration: the first backup after a quiet day is no alarm.
    queue-stalled = {
      title    = "The queue is paused or stuck"
      severity = "CRITICAL"
      query    = "(max(cloudtasks_googleapis_com:queue_depth${local._queue_labels}) > 0) unless (sum(increase(cloudtasks_googleapis_com:queue_task_attempt_count${local._queue_labels}[70m])) > 0)"
      duration = "4200s"
    }
  }

  alerts = merge(
    {
      for name, alert in local._log_alerts : name => merge(local._no_condition, alert, {
        # A sweep may tell several outcomes in one line; a field that is a list matches if one of its values does.
        log = join(" ", [
          "${local.log_lines} AND",
          "(${join(" OR ", [for outcome in alert.outcomes : "jsonPayload.outcome=\"${outcome}\" OR jsonPayload.outcomes=\"${outcome}\""])})",
        ])
      })
    },
    { for name, alert in local._metric_alerts : name => merge(local._no_condition, alert) },
    { for name, alert in local._query_alerts : name => merge(local._no_condition, alert) },
  )
  _no_condition = { duration = null, log = null, metric = null, query = null, resource = null, threshold = null }

  runbook_names = {
    dead_letters = google_pubsub_subscription.dead_letters.name
    function     = var.prefix
    project      = var.project_id
    queue        = google_cloud_tasks_queue.follow_ups.name
    region       = var.region
  }
}

resource "google_monitoring_alert_policy" "alert" {
  for_each = { for name, alert in local.alerts : name => alert if !contains(var.alerts.disabled, name) }

  project               = var.project_id
  display_name          = "Backstop (${var.prefix}): ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  user_labels           = var.labels

  documentation {
    mime_type = "text/markdown"
    content   = templatefile("${path.module}/runbooks/${each.key}.md", local.runbook_names)
  }

  dynamic "conditions" {
    for_each = each.value.log != null ? [each.value.log] : []

    content {
      display_name = each.value.title

      condition_matched_log {
        filter = conditions.value
        label_extractors = {
          backup    = "EXTRACT(jsonPayload.backup)"
          database  = "EXTRACT(jsonPayload.database)"
          message   = "EXTRACT(jsonPayload.message)"
          operation = "EXTRACT(jsonPayload.operation)"
          outcome   = "EXTRACT(jsonPayload.outcome)"
        }
      }
    }
  }

  dynamic "conditions" {
    for_each = each.value.metric != null ? [each.value.metric] : []

    content {
      display_name = each.value.title

      condition_threshold {
        filter          = "metric.type=\"${conditions.value}\" AND ${each.value.resource}"
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.threshold
        duration        = each.value.duration

        aggregations {
          alignment_period   = "300s"
          per_series_aligner = "ALIGN_MAX"
        }
      }
    }
  }

  dynamic "conditions" {
    for_each = each.value.query != null ? [each.value.query] : []

    content {
      display_name = each.value.title

      condition_prometheus_query_language {
        query                     = conditions.value
        duration                  = each.value.duration
        evaluation_interval       = "300s"
        disable_metric_validation = true
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    # Required for alerts on log lines, and refused for others.
    dynamic "notification_rate_limit" {
      for_each = each.value.log != null ? ["300s"] : []

      content {
        period = notification_rate_limit.value
      }
    }
  }
}

locals {
  # Yesterday's backup may have taken one hour and today's may take four, plus half an hour of queueing.
  _alert_after_h_daily = 30

  # Every day is what "* * *" in the last three fields says; of other schedules only their author knows the rhythm.
  _alert_after_h = {
    for key, schedule in var.schedules : key => coalesce(
      schedule.alert_after_h,
      can(regex("^\\S+ +\\S+ +\\* +\\* +\\*$", schedule.cron)) ? local._alert_after_h_daily : 0,
    )
  }

  _watched = {
    for key, schedule in var.schedules : key => schedule
    if local._alert_after_h[key] > 0 && !schedule.paused && !contains(var.alerts.disabled, "no-backup")
  }

  # https://docs.cloud.google.com/monitoring/promql/promql-mapping
  _outcomes_metric = "logging_googleapis_com:user_${replace(google_logging_metric.outcomes.name, "/[^A-Za-z0-9]/", "_")}"

  _completed = {
    for key, schedule in local._watched : key => join("", [
      local._outcomes_metric, "{monitored_resource=\"cloud_run_revision\",outcome=\"COMPLETED\",",
      schedule.database != null
      ? "database=\"${local._instance_path[schedule.instance]}/databases/${schedule.database}\"}"
      : "database=~\"${local._instance_path[schedule.instance]}/databases/.+\"}",
    ])
  }

  # Of one database: no completed backup in that time. Of several: none of any of them, or a database that had one in
  # the last seven spans and has none in this one.
  _no_backup_queries = {
    for key, schedule in local._watched : key => join(" or ", concat(
      ["(sum(increase(${local._completed[key]}[${local._alert_after_h[key]}h])) or vector(0)) == 0"],
      schedule.database != null ? [] : [join(" unless ", [
        "(sum by (database) (increase(${local._completed[key]}[${7 * local._alert_after_h[key]}h])) > 0)",
        "(sum by (database) (increase(${local._completed[key]}[${local._alert_after_h[key]}h])) > 0)",
      ])],
    ))
  }
}

resource "google_monitoring_alert_policy" "no_backup" {
  for_each = local._watched

  project               = var.project_id
  display_name          = "Backstop (${var.prefix}): No completed backup by ${each.key} in ${local._alert_after_h[each.key]} h"
  combiner              = "OR"
  severity              = "CRITICAL"
  notification_channels = var.notification_channels
  user_labels           = var.labels

  documentation {
    mime_type = "text/markdown"
    content = templatefile("${path.module}/runbooks/no-backup.md", merge(local.runbook_names, {
      hours    = local._alert_after_h[each.key]
      instance = local._instance_path[each.value.instance]
      job      = google_cloud_scheduler_job.start[each.key].name
      schedule = each.key
    }))
  }

  conditions {
    display_name = "No completed backup in ${local._alert_after_h[each.key]} h"

    condition_prometheus_query_language {
      query                     = local._no_backup_queries[each.key]
      duration                  = "600s"
      evaluation_interval       = "300s"
      disable_metric_validation = true
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
