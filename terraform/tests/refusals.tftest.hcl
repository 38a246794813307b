# Every variable that is checked refuses something; tests/terraform has a case for each single check.

mock_provider "archive" {}
mock_provider "google" {}
mock_provider "google-beta" {}
mock_provider "time" {}

variables {
  project_id = "example-project"
  region     = "europe-west1"
  instances  = { orders = {} }
}

run "bad_values_are_refused" {
  command = plan

  variables {
    ack_deadline_s              = 5
    alerts                      = { disabled = ["everything"] }
    binary_authorization_policy = "mine"
    cancel_after_min            = "8d"
    concurrency                 = 0
    dead_letter_after           = 4
    docker_repository           = "images"
    give_up_after               = "8d"
    grants_wait_s               = -1
    instances                   = { Orders = {} }
    kms_keys                    = { topics = "key" }
    labels                      = { Team = "x" }
    look_max                    = "2h"
    look_min                    = "9s"
    looks_per_second            = 2
    max_instances               = 0
    memory                      = "64Mi"
    message_regions             = ["europe"]
    message_retention_s         = 60
    notification_channels       = ["somebody@example.com"]
    prefix                      = "Backstop"
    project_id                  = "123456"
    publishers                  = ["allUsers"]
    queue_name                  = "looks_2"
    region                      = "europe"
    retention                   = "5h"
    role_id                     = "spanner-backups"
    runtime                     = "python39"
    scheduler_region            = "eu"
    timeout_s                   = 600
    vpc_connector               = { name = "connector" }
    worker_pool                 = "pool"
  }

  expect_failures = [
    var.ack_deadline_s,
    var.alerts,
    var.binary_authorization_policy,
    var.cancel_after_min,
    var.concurrency,
    var.dead_letter_after,
    var.docker_repository,
    var.give_up_after,
    var.grants_wait_s,
    var.instances,
    var.kms_keys,
    var.labels,
    var.look_max,
    var.look_min,
    var.looks_per_second,
    var.max_instances,
    var.memory,
    var.message_regions,
    var.message_retention_s,
    var.notification_channels,
    var.prefix,
    var.project_id,
    var.publishers,
    var.queue_name,
    var.region,
    var.retention,
    var.role_id,
    var.runtime,
    var.scheduler_region,
    var.timeout_s,
    var.vpc_connector,
    var.worker_pool,
  ]
}

# These look at the instances and the connector too, so those have to be good.
run "what_contradicts_another_variable_is_refused" {
  command = plan

  variables {
    schedules  = { nightly = { instance = "nobody", cron = "0 2 * * *" } }
    sweeps     = { nobody = {} }
    vpc_direct = { egress = "ALL_TRAFFIC" }
  }

  expect_failures = [var.schedules, var.sweeps, var.vpc_direct]
}
