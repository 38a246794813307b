# The function, and who may call it.

locals {
  _in_network = var.vpc_direct.network != null || var.vpc_direct.subnetwork != null

  _look_s = {
    for bound, text in { max = var.look_max, min = var.look_min } : bound => sum([
      for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]
    ])
  }
}

resource "google_cloudfunctions2_function" "function" {
  project     = var.project_id
  location    = var.region
  name        = var.prefix
  description = "Starts and stops Cloud Spanner backups and leaves nothing behind."
  labels      = var.labels

  kms_key_name = var.kms_keys.function

  build_config {
    runtime           = var.runtime
    entry_point       = "on_message"
    docker_repository = var.docker_repository
    worker_pool       = var.worker_pool
    # Since 2024 a new project's default build account may lack the rights to build.
    service_account = google_service_account.build.id

    source {
      storage_source {
        bucket = local.source_archive.bucket
        object = local.source_archive.object
      }
    }
  }

  service_config {
    service_account_email = google_service_account.runtime.email

    # Pub/Sub of the same project counts as internal when it calls the run.app address.
    # https://docs.cloud.google.com/run/docs/securing/ingress
    ingress_settings = "ALLOW_INTERNAL_ONLY"

    # Less than a whole CPU can't serve more than one request at a time.
    # https://docs.cloud.google.com/functions/docs/configuring/concurrency
    available_cpu                    = "1"
    available_memory                 = var.memory
    max_instance_request_concurrency = var.concurrency
    max_instance_count               = var.max_instances
    min_instance_count               = 0
    timeout_seconds                  = var.timeout_s

    binary_authorization_policy   = var.binary_authorization_policy
    vpc_connector                 = var.vpc_connector.name
    vpc_connector_egress_settings = var.vpc_connector.egress
    direct_vpc_egress             = local._in_network ? "VPC_EGRESS_${coalesce(var.vpc_direct.egress, "ALL_TRAFFIC")}" : null

    dynamic "direct_vpc_network_interface" {
      for_each = local._in_network ? [var.vpc_direct] : []

      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.subnetwork
        tags       = direct_vpc_network_interface.value.tags
      }
    }

    environment_variables = {
      BACKSTOP_ALLOW_DELETE     = tostring(var.allow_delete)
      BACKSTOP_ALLOW_SCHEDULED  = tostring(var.allow_scheduled)
      BACKSTOP_ALLOW_WEAKER_KEY = tostring(var.allow_weaker_key)
      BACKSTOP_CANCEL_AFTER_MIN = var.cancel_after_min
      BACKSTOP_FOLLOW_UPS_TOPIC = google_pubsub_topic.follow_ups.id
      BACKSTOP_GIVE_UP_AFTER    = var.give_up_after
      # What may be commanded is what the module was told of, whatever else the account can reach.
      BACKSTOP_INSTANCES             = join(",", sort(values(local.instance_path)))
      BACKSTOP_LOOK_MAX              = var.look_max
      BACKSTOP_LOOK_MIN              = var.look_min
      BACKSTOP_RESULTS_TOPIC         = google_pubsub_topic.results.id
      BACKSTOP_RETENTION             = var.retention
      BACKSTOP_TASKS_QUEUE           = google_cloud_tasks_queue.follow_ups.id
      BACKSTOP_TASKS_SERVICE_ACCOUNT = google_service_account.tasks.email
      # The platform sets this by itself; saying it keeps plans empty.
      LOG_EXECUTION_ID = "true"
      # The server's threads; fewer than the concurrency would make requests wait inside the instance.
      THREADS = tostring(var.concurrency)
    }
  }

  lifecycle {
    precondition {
      condition     = local._look_s.max >= local._look_s.min
      error_message = "look_max (${var.look_max}) must not be shorter than look_min (${var.look_min})."
    }

    precondition {
      condition     = var.kms_keys.function == null || var.docker_repository != null
      error_message = "kms_keys.function needs docker_repository: an image that is encrypted with your key lies in a repository of yours with the same key."
    }
  }

  depends_on = [google_project_service.api, time_sleep.build_grants]
}

# On the Cloud Run service beneath the function: that is what checks the caller. Nobody else is let in.
resource "google_cloud_run_service_iam_member" "push_invokes_function" {
  project  = var.project_id
  location = google_cloudfunctions2_function.function.location
  service  = google_cloudfunctions2_function.function.name
  role     = "roles/run.invoker"
  member   = google_service_account.push.member

  lifecycle {
    # A function that is made again is a new service, without the grant.
    replace_triggered_by = [google_cloudfunctions2_function.function.id]
  }
}

# Pub/Sub signs the push as the push account. Projects whose agent is older than April 2021 need it said.
# https://docs.cloud.google.com/pubsub/docs/authenticate-push-subscriptions
resource "google_service_account_iam_member" "agent_signs_as_push" {
  service_account_id = google_service_account.push.name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.agents["pubsub"]

  depends_on = [google_project_service_identity.agent]
}
