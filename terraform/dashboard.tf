# One page: how backups end, what is running, and whether the parts that carry messages keep up.

locals {
  _outcomes_type = "logging.googleapis.com/user/${google_logging_metric.outcomes.name}"
  _looks_type    = "logging.googleapis.com/user/${google_logging_metric.looks.name}"

  _service      = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.prefix}\""
  _queue        = "resource.type=\"cloud_tasks_queue\" AND resource.labels.queue_id=\"${google_cloud_tasks_queue.follow_ups.name}\""
  _pushes       = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=one_of(${local._push_subscriptions})"
  _dead_letters = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id=\"${google_pubsub_subscription.dead_letters.name}\""

  # One line each: what to draw, how to align it, and what to tell apart by.
  _tiles = [
    { title = "Outcomes", plot = "STACKED_BAR", type = local._outcomes_type, resource = "resource.type=\"cloud_run_revision\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.outcome"] },
    { title = "Backups that are being followed", plot = "LINE", type = "cloudtasks.googleapis.com/queue/depth", resource = local._queue, align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = [] },
    { title = "Looks, by what was seen (RUNNING, CANCELLING, …)", plot = "STACKED_BAR", type = local._looks_type, resource = "resource.type=\"cloud_run_revision\"", align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.state"] },
    { title = "Oldest message that waits (s)", plot = "LINE", type = "pubsub.googleapis.com/subscription/oldest_unacked_message_age", resource = local._pushes, align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = ["resource.label.subscription_id"] },
    { title = "Follow-ups that are late (ms, 99th percentile)", plot = "LINE", type = "cloudtasks.googleapis.com/queue/task_attempt_delays", resource = local._queue, align = "ALIGN_PERCENTILE_99", reduce = "REDUCE_MAX", by = [] },
    { title = "Dead letters", plot = "LINE", type = "pubsub.googleapis.com/subscription/num_undelivered_messages", resource = local._dead_letters, align = "ALIGN_MAX", reduce = "REDUCE_MAX", by = [] },
    { title = "Function: latency (ms, 99th percentile)", plot = "LINE", type = "run.googleapis.com/request_latencies", resource = local._service, align = "ALIGN_PERCENTILE_99", reduce = "REDUCE_MAX", by = [] },
    { title = "Function: answers, by class (5xx: tried again)", plot = "STACKED_BAR", type = "run.googleapis.com/request_count", resource = local._service, align = "ALIGN_DELTA", reduce = "REDUCE_SUM", by = ["metric.label.response_code_class"] },
  ]

  _tile_width  = 24
  _tile_height = 16
}

resource "google_monitoring_dashboard" "backstop" {
  count = var.dashboard ? 1 : 0

  project = var.project_id

  dashboard_json = jsonencode({
    displayName = "Backstop (${var.prefix})"
    mosaicLayout = {
      columns = 2 * local._tile_width
      tiles = [for index, tile in local._tiles : {
        width  = local._tile_width
        height = local._tile_height
        xPos   = (index % 2) * local._tile_width
        yPos   = floor(index / 2) * local._tile_height
        widget = {
          title = tile.title
          xyChart = {
            dataSets = [{
              plotType = tile.plot
              timeSeriesQuery = {
                timeSeriesFilter = {
                  filter = "metric.type=\"${tile.type}\" AND ${tile.resource}"
                  aggregation = {
                    alignmentPeriod    = "300s"
                    perSeriesAligner   = tile.align
                    crossSeriesReducer = tile.reduce
                    groupByFields      = tile.by
                  }
                }
              }
            }]
          }
        }
      }]
    }
  })
}
