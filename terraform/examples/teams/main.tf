# Two teams in one project, each with a deployment of its own. Neither can command, or forge a follow-up for, what belongs to
# the other: topics, queue, accounts and roles are its own, and each function turns down the other's instances by name.

module "payments" {
  source = "../.."

  project_id = "example-project"
  region     = "europe-west1"
  prefix     = "payments"
  instances  = { ledger = {} }
  schedules  = { nightly = { instance = "ledger", cron = "5 1 * * *" } }
  publishers = ["group:payments@example.com"]
  labels     = { team = "payments" }
}

module "shop" {
  source = "../.."

  project_id = "example-project"
  region     = "europe-west1"
  prefix     = "shop"
  instances  = { orders = {} }
  schedules  = { nightly = { instance = "orders", cron = "35 1 * * *" } }
  publishers = ["group:shop@example.com"]
  labels     = { team = "shop" }
}
