# What matters most, with providers that are mocked. `terraform test` runs these against the real providers' schemas too.

mock_provider "archive" {}

mock_provider "google-beta" {}
mock_provider "time" {}

mock_provider "google" {
  override_during = plan

  mock_data "google_project" {
    defaults = { number = "123456789012" }
  }
}

override_resource {
  target          = google_service_account.runtime
  override_during = plan
  values          = { email = "backstop-run@example-project.iam.gserviceaccount.com", member = "serviceAccount:backstop-run@example-project.iam.gserviceaccount.com", name = "projects/example-project/serviceAccounts/backstop-run@example-project.iam.gserviceaccount.com" }
}

override_resource {
  target          = google_service_account.push
  override_during = plan
  values          = { email = "backstop-push@example-project.iam.gserviceaccount.com", member = "serviceAccount:backstop-push@example-project.iam.gserviceaccount.com", name = "projects/example-project/serviceAccounts/backstop-push@example-project.iam.gserviceaccount.com" }
}

override_resource {
  target          = google_service_account.tasks
  override_during = plan
  values          = { email = "backstop-tasks@example-project.iam.gserviceaccount.com", member = "serviceAccount:backstop-tasks@example-project.iam.gserviceaccount.com", name = "projects/example-project/serviceAccounts/backstop-tasks@example-project.iam.gserviceaccount.com" }
}

override_resource {
  target          = google_service_account.build
  override_during = plan
  values          = { email = "backstop-build@example-project.iam.gserviceaccount.com", member = "serviceAccount:backstop-build@example-project.iam.gserviceaccount.com", id = "projects/example-project/serviceAccounts/backstop-build@example-project.iam.gserviceaccount.com" }
}

override_resource {
  target          = google_pubsub_topic.commands
  override_during = plan
  values          = { id = "projects/example-project/topics/backstop-commands" }
}

override_resource {
  target          = google_pubsub_topic.follow_ups
  override_during = plan
  values          = { id = "projects/example-project/topics/backstop-follow-ups" }
}

override_resource {
  target          = google_pubsub_topic.dead_letters
  override_during = plan
  values          = { id = "projects/example-project/topics/backstop-dead-letters" }
}

override_resource {
  target          = google_cloudfunctions2_function.function
  override_during = plan
  values          = { service_config = { uri = "https://backstop-1.run.app" } }
}

variables {
  project_id = "example-project"
  region     = "europe-west1"
  instances  = { orders = {}, users = { project = "another-project", databases = ["people"] } }
  publishers = ["group:database-team@example.com"]
  schedules  = { nightly = { instance = "orders", cron = "17 2 * * *" }, weekly = { instance = "users", cron = "0 3 * * 0" } }
}

run "only_pubsub_may_call_the_function" {
  command = plan

  assert {
    condition     = google_cloudfunctions2_function.function.service_config[0].ingress_settings == "ALLOW_INTERNAL_ONLY"
    error_message = "The function must refuse the internet."
  }

  assert {
    condition = (
      google_cloud_run_service_iam_member.push_invokes_function.role == "roles/run.invoker" &&
      google_cloud_run_service_iam_member.push_invokes_function.member == "serviceAccount:backstop-push@example-project.iam.gserviceaccount.com"
    )
    error_message = "Only the push account may invoke the function."
  }
}

run "messages_find_the_function" {
  command = plan

  assert {
    condition = toset([for push in google_pubsub_subscription.push : push.push_config[0].push_endpoint]) == toset([
      "https://backstop-1.run.app/projects/example-project/topics/backstop-commands",
      "https://backstop-1.run.app/projects/example-project/topics/backstop-follow-ups",
    ])
    error_message = "Commands and follow-ups must be pushed to the run.app address, with their topic in the path."
  }

  assert {
    condition = alltrue([
      for push in google_pubsub_subscription.push : push.push_config[0].oidc_token[0].service_account_email == "backstop-push@example-project.iam.gserviceaccount.com"
    ])
    error_message = "Pushes must be signed by the push account."
  }

  assert {
    condition = alltrue([
      for push in google_pubsub_subscription.push :
      push.ack_deadline_seconds > google_cloudfunctions2_function.function.service_config[0].timeout_seconds
    ])
    error_message = "A message must not be pushed again while the function still works on it."
  }
}

run "nothing_is_lost" {
  command = plan

  assert {
    condition = alltrue([
      for push in google_pubsub_subscription.push :
      push.dead_letter_policy[0].dead_letter_topic == google_pubsub_topic.dead_letters.id && push.expiration_policy[0].ttl == ""
    ])
    error_message = "Every push must have dead letters and must not expire."
  }

  assert {
    condition = (
      google_pubsub_subscription.dead_letters.topic == google_pubsub_topic.dead_letters.id &&
      google_pubsub_subscription.dead_letters.expiration_policy[0].ttl == ""
    )
    error_message = "Dead letters must be kept by a subscription."
  }

  assert {
    condition = (
      google_pubsub_topic_iam_member.agent_publishes_dead_letters.member == "serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com" &&
      length(google_pubsub_subscription_iam_member.agent_forwards_dead_letters) == 2
    )
    error_message = "Pub/Sub's agent must be able to move dead letters."
  }

  assert {
    condition     = google_cloud_tasks_queue.follow_ups.retry_config[0].max_attempts == -1
    error_message = "A task must never give up."
  }
}

run "rights_are_the_least" {
  command = plan

  assert {
    condition = (
      google_pubsub_topic_iam_member.tasks_publish_follow_ups.member == "serviceAccount:backstop-tasks@example-project.iam.gserviceaccount.com" &&
      google_pubsub_topic_iam_member.runtime_publishes_results.member == "serviceAccount:backstop-run@example-project.iam.gserviceaccount.com" &&
      toset([for grant in google_pubsub_topic_iam_member.publishers : grant.member]) == toset(["group:database-team@example.com"])
    )
    error_message = "Follow-ups are the tasks account's, results the function's, commands the publishers'."
  }

  assert {
    condition = (
      google_cloud_tasks_queue_iam_member.runtime_makes_tasks.role == "roles/cloudtasks.enqueuer" &&
      google_service_account_iam_member.runtime_acts_as_tasks.service_account_id == "projects/example-project/serviceAccounts/backstop-tasks@example-project.iam.gserviceaccount.com"
    )
    error_message = "The function may make tasks that act as the tasks account, and as nobody else."
  }

  assert {
    condition = (
      toset(keys(google_spanner_instance_iam_member.runtime_backs_up_databases)) == toset(["orders"]) &&
      toset(keys(google_spanner_database_iam_member.runtime_backs_up_database)) == toset(["users/people"])
    )
    error_message = "Where databases are named, only these may be backed up."
  }

  assert {
    condition     = toset(keys(google_project_iam_custom_role.instance)) == toset(["example-project", "another-project"])
    error_message = "Each project with instances needs roles of its own."
  }
}

run "deleting_can_be_switched_off" {
  command = plan

  variables {
    allow_delete = false
  }

  assert {
    condition = alltrue([
      for role in google_project_iam_custom_role.instance : !contains(role.permissions, "spanner.backups.delete")
    ])
    error_message = "Without allow_delete no role may delete."
  }

  assert {
    condition     = google_cloudfunctions2_function.function.service_config[0].environment_variables.BACKSTOP_ALLOW_DELETE == "false"
    error_message = "The function must know that it may not delete."
  }
}

run "every_instance_is_swept" {
  command = plan

  assert {
    condition     = toset(keys(google_cloud_scheduler_job.sweep)) == toset(["orders", "users"])
    error_message = "Every instance needs a sweep."
  }

  assert {
    condition = jsondecode(base64decode(google_cloud_scheduler_job.start["nightly"].pubsub_target[0].data)) == {
      action = "start", instance = "projects/example-project/instances/orders", requested_by = "backstop-start-nightly"
    }
    error_message = "The job must publish the start that the schedule describes."
  }

  assert {
    condition     = jsondecode(base64decode(google_cloud_scheduler_job.start["weekly"].pubsub_target[0].data)).databases == ["people"]
    error_message = "A schedule that names no database must ask for those that may be backed up, and for no other."
  }
}

run "an_ack_deadline_within_the_timeout_is_refused" {
  command = plan

  variables {
    ack_deadline_s = 120
    timeout_s      = 120
  }

  expect_failures = [google_pubsub_subscription.push]
}

run "looks_must_have_a_range" {
  command = plan

  variables {
    look_max = "20s"
    look_min = "30s"
  }

  expect_failures = [google_cloudfunctions2_function.function]
}
