# Backups that are missing, one alert for each schedule, with the schedule's own period and databases. It has three
# conditions, and each needs something that happened before: the job runs no more, though it ran; the job ran, and nothing
# began; a database's backup began, and none of it completed. So nothing is said before a schedule's first turn, of a
# database that was dropped, or of one that another schedule looks after; and of two schedules of one database, each is
# missed for itself.
#
# Queries may look back up to two years. https://docs.cloud.google.com/monitoring/alerts/using-promql (documented)

locals {
  # What a backup may take, with its wait in Spanner's queue; and what today's may take longer than yesterday's.
  _slow_h = 6
  # The clock's own hour, when summer time begins, and one more.
  _late_h = 2

  _cron = { for key, schedule in var.schedules : key => split(" ", replace(trimspace(schedule.cron), "/ +/", " ")) }

  # The longest time between two turns of a schedule, never too short: a list of hours counts as one a day, a list of
  # weekdays as one a week.
  period_h = {
    for key, cron in local._cron : key => (
      cron[3] != "*" ? 8784 :
      cron[2] != "*" ? (can(regex("(29|3[01])", cron[2])) ? 1488 : 744) :
      cron[4] != "*" ? (can(regex("^(1-5|(?i:mon-fri))$", cron[4])) ? 72 : 168) :
      can(regex("^\\*$", cron[1])) ? 1 :
      can(regex("^\\*/[0-9]+$", cron[1])) ? min(24, tonumber(trimprefix(cron[1], "*/"))) : 24
    )
  }
  _alert_after_h = {
    for key, schedule in var.schedules : key => coalesce(schedule.alert_after_h, local.period_h[key] + local._slow_h)
  }
  # Where the limit is the operator's own, it is split in the same way.
  _slow_m   = { for key, hours in local._alert_after_h : key => min(60 * local._slow_h, 30 * hours) }
  _period_m = { for key, hours in local._alert_after_h : key => 60 * hours - local._slow_m[key] }

  _watched = {
    for key, schedule in var.schedules : key => schedule
    if local._alert_after_h[key] > 0 && !schedule.paused && !contains(var.alerts.disabled, "no-backup")
  }

  # https://docs.cloud.google.com/monitoring/promql/promql-mapping
  _promql = {
    for name, metric in { outcomes = google_logging_metric.outcomes, runs = google_logging_metric.runs } :
    name => "logging_googleapis_com:user_${replace(metric.name, "/[^A-Za-z0-9]/", "_")}"
  }

  # What the schedule asked for, of its databases as PromQL names them: a shell's pattern is a regular expression in other
  # letters.
  _of_schedule = {
    for key, schedule in local._watched : key => join("", [
      "monitored_resource=\"cloud_run_revision\",schedule=\"${key}\",database=~\"", local.instance_path[schedule.instance], "/databases/",
      schedule.database != null ? schedule.database : "(${join("|", [
        for pattern in coalesce(local._patterns[key], ["*"]) :
        replace(replace(replace(pattern, "[!", "[^"), "?", "."), "*", ".*")
      ])})",
      "\"",
    ])
  }
  _runs  = { for key in keys(local._watched) : key => "${local._promql.runs}{monitored_resource=\"cloud_scheduler_job\",job_id=\"${google_cloud_scheduler_job.start[key].name}\"}" }
  _begun = { for key, of in local._of_schedule : key => "${local._promql.outcomes}{${of},outcome=\"STARTED\"}" }
  # A COMPLETED that is a warning says that the backup was not found. A start says COMPLETED_DESPITE_CANCEL before the cancel
  # deletes its backup, and COMPLETED_KEPT may be said of another backup of the same name.
  _there = { for key, of in local._of_schedule : key => "${local._promql.outcomes}{${of},outcome=\"COMPLETED\",severity=\"INFO\"}" }

  no_backup_queries = {
    for key in keys(local._watched) : key => {
      "The job ran no more" = join(" unless ", [
        "(sum(increase(${local._runs[key]}[${local._period_m[key]}m] offset ${local._period_m[key] + 60 * local._late_h}m)) > 0)",
        "(sum(increase(${local._runs[key]}[${local._period_m[key] + 60 * local._late_h}m])) > 0)",
      ])
      "The job ran and nothing began" = join(" unless ", [
        "(sum(increase(${local._runs[key]}[${local._period_m[key]}m] offset ${60 * local._late_h}m)) > 0)",
        "(sum(increase(${local._begun[key]}[${local._period_m[key] + 60 * local._late_h}m])) > 0)",
      ])
      "A backup began and none completed" = join(" unless ", [
        "(sum by (database) (increase(${local._begun[key]}[${local._period_m[key]}m] offset ${local._slow_m[key]}m)) > 0)",
        "(sum by (database) (increase(${local._there[key]}[${local._period_m[key] + local._slow_m[key]}m])) > 0)",
      ])
    }
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
      instance = local.instance_path[each.value.instance]
      job      = google_cloud_scheduler_job.start[each.key].name
      schedule = each.key
    }))
  }

  dynamic "conditions" {
    for_each = local.no_backup_queries[each.key]

    content {
      display_name = conditions.key

      condition_prometheus_query_language {
        query                     = conditions.value
        duration                  = "600s"
        evaluation_interval       = "300s"
        disable_metric_validation = true
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
