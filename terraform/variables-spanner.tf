# What Backstop looks after: instances, and by the clock the backups to start and the sweeps.

variable "instances" {
  description = "Spanner instances to look after, by a short name that schedules and sweeps use. Each may give its id (name, if it is not the key), its project (if it is another), the only databases that may be backed up (databases; null: all), or an existing role to bind to the instance in place of the two that the module makes (role)."
  type = map(object({
    databases = optional(set(string))
    name      = optional(string)
    project   = optional(string)
    role      = optional(string)
  }))
  nullable = false

  validation {
    condition     = length(var.instances) > 0
    error_message = "instances must name at least one instance, such as { orders = {} }."
  }

  validation {
    condition     = alltrue([for key in keys(var.instances) : can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", key))])
    error_message = "The keys of instances must be 2 to 63 lower-case letters, digits and hyphens, starting with a letter: they become part of job names."
  }

  validation {
    condition = alltrue([
      for key, instance in var.instances : can(regex("^[a-z][a-z0-9-]{0,62}[a-z0-9]$", coalesce(instance.name, key)))
    ])
    error_message = "instances[*].name must be a Spanner instance id: 2 to 64 lower-case letters, digits and hyphens, without the project."
  }

  validation {
    condition = alltrue([
      for instance in var.instances : instance.project == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", instance.project))
    ])
    error_message = "instances[*].project must be a project id: 6 to 30 lower-case letters, digits and hyphens."
  }

  validation {
    condition = alltrue(flatten([
      for instance in var.instances : [
        for database in coalesce(instance.databases, []) : can(regex("^[a-z][a-z0-9_-]{0,28}[a-z0-9]$", database))
      ]
    ]))
    error_message = "instances[*].databases must be database ids: 2 to 30 lower-case letters, digits, hyphens and underscores; patterns belong into schedules."
  }

  validation {
    condition     = alltrue([for instance in var.instances : instance.role == null || instance.databases == null])
    error_message = "instances[*] may give role or databases, not both: what a role of yours allows is bound to the whole instance."
  }

  validation {
    condition = alltrue([
      for instance in var.instances :
      instance.role == null || can(regex("^((projects|organizations)/[^/]+/)?roles/[A-Za-z0-9_.]+$", instance.role))
    ])
    error_message = "instances[*].role must be a role's full name, such as projects/P/roles/R, organizations/O/roles/R or roles/spanner.backupAdmin."
  }
}

variable "schedules" {
  description = "Backups to start by the clock, by a name of yours. Each names an instance (a key of instances) and either one database or patterns for several (databases, such as [\"orders-*\"]; neither: all that the instance gives), when (cron, time_zone), how long the backup is kept (retention), when to stop one that still runs (cancel_after) and what becomes of it if that comes too late (if_created: delete or keep), how late it may still start (start_within), and after how many hours without a completed backup to alert (alert_after_h; without it 6 more than the longest time between two turns, 30 for every day; 0 is never)."
  type = map(object({
    alert_after_h = optional(number)
    cancel_after  = optional(string)
    cron          = string
    database      = optional(string)
    databases     = optional(list(string))
    if_created    = optional(string)
    instance      = string
    paused        = optional(bool, false)
    retention     = optional(string)
    start_within  = optional(string)
    time_zone     = optional(string, "Etc/UTC")
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for key in keys(var.schedules) : can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", key))])
    error_message = "The keys of schedules must be 2 to 63 lower-case letters, digits and hyphens, starting with a letter: they become part of job names."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : contains(keys(var.instances), schedule.instance)])
    error_message = "schedules[*].instance must be a key of instances."
  }

  validation {
    condition     = alltrue([for schedule in var.schedules : schedule.database == null || schedule.databases == null])
    error_message = "schedules[*] may give database (one) or databases (patterns), not both."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules :
      schedule.database == null || can(regex("^[a-z][a-z0-9_-]{0,28}[a-z0-9]$", schedule.database))
    ])
    error_message = "schedules[*].database must be one database id; patterns belong into databases."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules : schedule.databases == null || (
        length(coalesce(schedule.databases, [])) > 0 && length(coalesce(schedule.databases, [])) <= 100 &&
        alltrue([for pattern in coalesce(schedule.databases, []) : can(regex("^[][a-z0-9_*?!-]{1,60}$", pattern))])
      )
    ])
    error_message = "schedules[*].databases must be 1 to 100 patterns such as orders-*, of 1 to 60 characters; leave it out for all databases."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules : try(
        var.instances[schedule.instance].databases == null || schedule.database == null ||
        contains(var.instances[schedule.instance].databases, schedule.database), true
      )
    ])
    error_message = "schedules[*].database must be one of its instance's databases, where these are named."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules : can(regex("^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$", schedule.cron))
    ])
    error_message = "schedules[*].cron must have five fields (minute, hour, day of month, month, day of week), such as 17 2 * * *."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules : can(regex("^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2})$", schedule.time_zone))
    ])
    error_message = "schedules[*].time_zone must be a name of the tz database, such as Europe/Rome or Etc/UTC."
  }

  validation {
    condition = try(alltrue([
      for text in [for schedule in var.schedules : schedule.retention if schedule.retention != null] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 21600 && seconds <= 31622400
      ])
    ]), false)
    error_message = "schedules[*].retention must be a duration of 6h to 366d, such as 14d: Spanner allows no other."
  }

  validation {
    condition = try(alltrue([
      for text in [for schedule in var.schedules : schedule.cancel_after if schedule.cancel_after != null] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 0 && seconds <= 604800
      ])
    ]), false)
    error_message = "schedules[*].cancel_after must be a duration of up to 7d, such as 6h."
  }

  validation {
    condition = try(alltrue([
      for text in [for schedule in var.schedules : schedule.start_within if schedule.start_within != null] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 1 && seconds <= 2678400
      ])
    ]), false)
    error_message = "schedules[*].start_within must be a duration of 1s to 31d, such as 2h."
  }

  validation {
    condition = alltrue([
      for schedule in var.schedules : schedule.if_created == null || contains(["delete", "keep"], coalesce(schedule.if_created, "-"))
    ])
    error_message = "schedules[*].if_created must be delete or keep."
  }

  validation {
    condition = alltrue([
      for hours in [for schedule in var.schedules : schedule.alert_after_h if schedule.alert_after_h != null] :
      hours >= 0 && hours <= 8784 && floor(hours) == hours
    ])
    error_message = "schedules[*].alert_after_h must be a whole number of hours up to 8784 (366 days)."
  }
}

variable "sweeps" {
  description = "How an instance's sweep differs from the default, by the key of the instance: hourly at a minute derived from the key (cron, time_zone), stop what has run for 24h (cancel_after), report what completed although it was cancelled (if_created: keep; delete deletes it), leave native schedules' backups alone (include_scheduled), running (paused)."
  type = map(object({
    cancel_after      = optional(string)
    cron              = optional(string)
    if_created        = optional(string)
    include_scheduled = optional(bool)
    paused            = optional(bool)
    time_zone         = optional(string)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for key in keys(var.sweeps) : contains(keys(var.instances), key)])
    error_message = "The keys of sweeps must be keys of instances."
  }

  validation {
    condition = alltrue([
      for sweep in var.sweeps : sweep.cron == null || can(regex("^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$", sweep.cron))
    ])
    error_message = "sweeps[*].cron must have five fields (minute, hour, day of month, month, day of week), such as 41 * * * *."
  }

  validation {
    condition = try(alltrue([
      for text in [for sweep in var.sweeps : sweep.cancel_after if sweep.cancel_after != null] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 3600 && seconds <= 604800
      ])
    ]), false)
    error_message = "sweeps[*].cancel_after must be a duration of 1h to 7d, such as 24h: a sweep stops everybody's backups, and most take 1 to 4 hours."
  }

  validation {
    condition     = alltrue([for sweep in var.sweeps : contains(["delete", "keep"], coalesce(sweep.if_created, "keep"))])
    error_message = "sweeps[*].if_created must be delete or keep."
  }

  validation {
    condition = alltrue([
      for sweep in var.sweeps : can(regex("^(UTC|[A-Z][A-Za-z_]+(/[A-Za-z0-9_+-]+){1,2})$", coalesce(sweep.time_zone, "UTC")))
    ])
    error_message = "sweeps[*].time_zone must be a name of the tz database, such as Europe/Rome or Etc/UTC."
  }
}
