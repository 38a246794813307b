# What the function may do to Spanner: two roles of its own in each project that has instances, bound to the
# instances (and databases) that were named. The predefined roles fit badly: backupWriter can neither cancel nor
# delete, backupAdmin may hand out rights.

locals {
  instances = {
    for key, instance in var.instances : key => merge(instance, {
      name    = coalesce(instance.name, key)
      project = coalesce(instance.project, var.project_id)
    })
  }

  _own_roles   = { for key, instance in local.instances : key => instance if instance.role == null }
  role_id      = coalesce(var.role_id, replace(var.prefix, "-", "_"))
  role_project = toset([for instance in local._own_roles : instance.project])

  # Each permission is there for a call that the function makes.
  # https://docs.cloud.google.com/spanner/docs/iam
  instance_permissions = concat(
    [
      "spanner.backupOperations.cancel",
      "spanner.backupOperations.get",
      "spanner.backupOperations.list",
      "spanner.backups.create",
      "spanner.backups.get",
      "spanner.backups.list",
      "spanner.databases.list",
    ],
    # Deleting what slipped through, and shortening the life of what can't be deleted.
    var.allow_delete ? ["spanner.backups.delete", "spanner.backups.update"] : [],
  )
  database_permissions = ["spanner.databases.createBackup"]

  # Where the right to back up a database is bound: on the instance, or only on the databases that were named.
  _whole_instances = { for key, instance in local._own_roles : key => instance if instance.databases == null }
  _databases = merge([
    for key, instance in local._own_roles : {
      for database in coalesce(instance.databases, []) : "${key}/${database}" => {
        database = database, instance = instance.name, project = instance.project
      }
    }
  ]...)
}

resource "google_project_iam_custom_role" "instance" {
  for_each = local.role_project

  project     = each.value
  role_id     = "${local.role_id}_instance"
  title       = "Backstop on an instance"
  description = "Start, watch and cancel backups${var.allow_delete ? ", and delete those that were cancelled too late" : ""}."
  permissions = local.instance_permissions

  depends_on = [google_project_service.api]
}

resource "google_project_iam_custom_role" "database" {
  for_each = local.role_project

  project     = each.value
  role_id     = "${local.role_id}_database"
  title       = "Backstop on a database"
  description = "Be the source of a backup."
  permissions = local.database_permissions

  depends_on = [google_project_service.api]
}

resource "google_spanner_instance_iam_member" "runtime_handles_backups" {
  for_each = local.instances

  project  = each.value.project
  instance = each.value.name
  role     = each.value.role != null ? each.value.role : google_project_iam_custom_role.instance[each.value.project].id
  member   = google_service_account.runtime.member
}

resource "google_spanner_instance_iam_member" "runtime_backs_up_databases" {
  for_each = local._whole_instances

  project  = each.value.project
  instance = each.value.name
  role     = google_project_iam_custom_role.database[each.value.project].id
  member   = google_service_account.runtime.member
}

resource "google_spanner_database_iam_member" "runtime_backs_up_database" {
  for_each = local._databases

  project  = each.value.project
  instance = each.value.instance
  database = each.value.database
  role     = google_project_iam_custom_role.database[each.value.project].id
  member   = google_service_account.runtime.member
}
