# What somebody has to hear about, each with a runbook (runbooks/NAME.md) and with the time within which it comes. Alerts
# on the log match the line itself: a counter that was made a moment ago may be unknown to Cloud Monitoring for ten
# minutes, and the apply would fail. Alerts on backups that are missing are in alerts-missing.tf.

locals {
  _push_subscriptions = join(", ", [for subscription in google_pubsub_subscription.push : "\"${subscription.name}\""])

  # What was to be stopped and stays. It is no warning where the command says if_created: keep; with deleting switched off,
  # whatever is kept is somebody's to delete by hand.
  _kept  = var.allow_delete ? "(jsonPayload.outcome=\"COMPLETED_KEPT\" AND severity>=WARNING)" : "jsonPayload.outcome=\"COMPLETED_KEPT\""
  _stays = "jsonPayload.outcome=\"DELETE_BLOCKED\" OR ${local._kept}"
  # A sweep tells it again each hour, for as long as Spanner knows the operation.
  _by_sweep = "jsonPayload.trigger.action=\"sweep\""

  _refused = "jsonPayload.error.code=~\"^(PERMISSION_DENIED|UNAUTHENTICATED)$\""

  # How often people are notified of what the log repeats until they act: oftener, and it uses up what Google sends of one
  # policy, a notification in 5 minutes and 20 in a day. (That a day may be asked for is inferred.)
  # https://docs.cloud.google.com/monitoring/alerts/log-based-incidents (documented: the limits)
  _once_a_day = "86400s"

  _outcome_extractors = {
    backup    = "EXTRACT(jsonPayload.backup)"
    database  = "EXTRACT(jsonPayload.database)"
    message   = "EXTRACT(jsonPayload.message)"
    operation = "EXTRACT(jsonPayload.operation)"
    outcome   = "EXTRACT(jsonPayload.outcome)"
  }

  # Each outcome has a line of its own; the line that a delivery ends with names several, as `outcomes`.
  _log_alerts = {
    backup-failed = {
      title    = "A backup failed"
      severity = "ERROR"
      log      = "${local.log_lines} AND jsonPayload.outcome=\"FAILED\""
      extract  = local._outcome_extractors
    }
    command-rejected = {
      title    = "A command was rejected"
      severity = "WARNING"
      log      = "${local.log_lines} AND jsonPayload.outcome=\"REJECTED\" AND NOT (${local._by_sweep} AND ${local._refused})"
      extract  = local._outcome_extractors
    }
    delete-blocked = {
      title    = "A backup that nobody wants may still be there"
      severity = "ERROR"
      log      = "${local.log_lines} AND (jsonPayload.outcome=\"GAVE_UP\" OR jsonPayload.outcome=\"GONE\" OR (NOT ${local._by_sweep} AND (${local._stays})))"
      extract  = local._outcome_extractors
    }
    # Whoever follows a backup that somebody else cancelled is told COMPLETED_DESPITE_CANCEL, too, but the cancel may still
    # delete it. If it doesn't, the next sweep finds the backup.
    left-behind = {
      title    = "A sweep found a backup that was to be stopped"
      severity = "ERROR"
      log      = "${local.log_lines} AND ${local._by_sweep} AND (jsonPayload.outcome=\"COMPLETED_DESPITE_CANCEL\" OR ${local._stays})"
      extract  = local._outcome_extractors
      period   = local._once_a_day
    }
    # A start of many is told as STARTED if anything was started; what was left out makes the line a warning.
    not-started = {
      title    = "A start of many left databases out"
      severity = "ERROR"
      log      = "${local.log_lines} AND jsonPayload.outcome=\"STARTED\" AND severity>=WARNING"
      extract  = local._outcome_extractors
    }
    # What is tried again, as the right may come back: by the function, or by the next sweep. Any other command that is
    # REJECTED for it is command-rejected's.
    right-missing = {
      title    = "Google refuses the function a right"
      severity = "CRITICAL"
      log      = "${local.log_lines} AND ${local._refused} AND ((NOT jsonPayload.outcome:* AND NOT jsonPayload.outcomes=\"REJECTED\") OR (${local._by_sweep} AND jsonPayload.outcome=\"REJECTED\"))"
      extract  = { message = "EXTRACT(jsonPayload.error.message)" }
      period   = local._once_a_day
    }
    # https://docs.cloud.google.com/scheduler/docs/logging
    scheduler-failed = {
      title    = "A Cloud Scheduler job failed"
      severity = "CRITICAL"
      log      = "resource.type=\"cloud_scheduler_job\" AND resource.labels.job_id=~\"^${var.prefix}-(start|sweep)-\" AND severity>=ERROR"
      extract  = { job = "EXTRACT(resource.labels.job_id)" }
    }
  }

  # Not an alarm but a notice, for those who want to hear of each deletion on a channel of its own.
  _deletion_notice = length(var.deletion_channels) == 0 ? {} : {
    deletion = {
      title    = "A backup that was to be stopped is gone"
      severity = "WARNING"
      log      = "${local.log_lines} AND jsonPayload.outcome=\"COMPLETED_THEN_DELETED\""
      extract  = local._outcome_extractors
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

  # A task's attempts, by what Pub/Sub answered. The label's values are seen as numbers ("200") and as names ("OK"), so both
  # are looked for. https://docs.cloud.google.com/monitoring/api/metrics_gcp_c#gcp-cloudtasks (the label: documented)
  _queue_series   = "monitored_resource=\"cloud_tasks_queue\",queue_id=\"${google_cloud_tasks_queue.follow_ups.name}\""
  _attempts       = "cloudtasks_googleapis_com:queue_task_attempt_count"
  _attempts_good  = "${local._attempts}{${local._queue_series},response_code=~\"2..|(?i:ok)\"}"
  _attempts_bad   = "${local._attempts}{${local._queue_series},response_code!~\"2..|(?i:ok)\"}"
  _attempts_stuck = "${local._attempts}{${local._queue_series},response_code=~\"40.|(?i:permission_denied|unauthenticated|not_found|invalid_argument)\"}"

  _query_alerts = {
    # Looks are at most an hour apart, so a task that waits while none got through for 70 minutes is not being waited for.
    # The same 70 minutes again as duration: the first backup after a quiet day is no alarm.
    queue-stalled = {
      title    = "The queue is paused or stuck"
      severity = "CRITICAL"
      query    = "(max(cloudtasks_googleapis_com:queue_depth{${local._queue_series}}) > 0) unless (sum(increase(${local._attempts_good}[70m])) > 0)"
      duration = "4200s"
    }
    # A task is tried again after 5 minutes at most. So either every attempt of half an hour fails (Pub/Sub is away, the
    # account lost its right), or some fail with what never passes by itself (one task that can't be published).
    tasks-failing = {
      title    = "Follow-ups can't be published"
      severity = "CRITICAL"
      query    = "((sum(increase(${local._attempts_bad}[30m])) > 0) unless (sum(increase(${local._attempts_good}[30m])) > 0)) or (sum(increase(${local._attempts_stuck}[1h])) > 8)"
      duration = "900s"
    }
  }

  alerts = merge(
    { for name, alert in local._log_alerts : name => merge(local._no_condition, alert) },
    { for name, alert in local._deletion_notice : name => merge(local._no_condition, alert) },
    { for name, alert in local._metric_alerts : name => merge(local._no_condition, alert) },
    { for name, alert in local._query_alerts : name => merge(local._no_condition, alert) },
  )
  _no_condition = { duration = null, extract = null, log = null, metric = null, period = "300s", query = null, resource = null, threshold = null }

  # Several runbooks come to a follow-up that is lost, and say the same of it.
  runbook_names = merge(local._runbook_names, { lost = trimspace(templatefile("${path.module}/runbooks/lost-follow-ups.md", local._runbook_names)) })
  _runbook_names = {
    dead_letters     = google_pubsub_subscription.dead_letters.name
    function         = var.prefix
    project          = var.project_id
    queue            = google_cloud_tasks_queue.follow_ups.name
    region           = var.region
    scheduler_region = coalesce(var.scheduler_region, var.region)
  }
}

resource "google_monitoring_alert_policy" "alert" {
  for_each = { for name, alert in local.alerts : name => alert if !contains(var.alerts.disabled, name) }

  project               = var.project_id
  display_name          = "Backstop (${var.prefix}): ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = each.key == "deletion" ? var.deletion_channels : var.notification_channels
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
        filter           = conditions.value
        label_extractors = each.value.extract
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
      for_each = each.value.log != null ? [each.value.period] : []

      content {
        period = notification_rate_limit.value
      }
    }
  }
}
