# Every night a backup of each database of one instance, kept for 14 days.

module "backstop" {
  source = "../.."

  project_id = "example-project"
  region     = "europe-west1"
  instances  = { orders = {} }
  schedules  = { nightly = { instance = "orders", cron = "17 2 * * *" } }
}
