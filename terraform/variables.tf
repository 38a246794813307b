# How Backstop itself is deployed and watched; what it looks after is in variables-spanner.tf.

variable "ack_deadline_s" {
  description = "Seconds that Pub/Sub waits for the function's answer before it pushes a message again, 10 to 600. It must be above timeout_s."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = var.ack_deadline_s >= 10 && var.ack_deadline_s <= 600 && floor(var.ack_deadline_s) == var.ack_deadline_s
    error_message = "ack_deadline_s must be a whole number of seconds, 10 to 600: Pub/Sub allows no other."
  }
}

variable "alerts" {
  description = "What the alerts wait for: seconds that the oldest unacknowledged message may be old (oldest_message_s), tasks that may wait in the queue (queue_depth), and the alerts to leave out (disabled), by name."
  type = object({
    disabled         = optional(set(string), [])
    oldest_message_s = optional(number, 900)
    queue_depth      = optional(number, 200)
  })
  default  = {}
  nullable = false

  validation {
    condition = length(setsubtract(var.alerts.disabled, [
      "backup-failed", "command-rejected", "dead-letters", "delete-blocked", "left-behind", "no-backup", "not-started",
      "oldest-message", "queue-growing", "queue-stalled", "right-missing", "scheduler-failed", "tasks-failing",
    ])) == 0
    error_message = "alerts.disabled may name backup-failed, command-rejected, dead-letters, delete-blocked, left-behind, no-backup, not-started, oldest-message, queue-growing, queue-stalled, right-missing, scheduler-failed and tasks-failing."
  }

  validation {
    condition     = var.alerts.oldest_message_s >= 60 && var.alerts.oldest_message_s <= 86400
    error_message = "alerts.oldest_message_s must be 60 to 86400 seconds: below a minute every retry would wake somebody, and a day is a whole night without backups."
  }

  validation {
    condition     = var.alerts.queue_depth >= 1
    error_message = "alerts.queue_depth must be at least 1: every backup that is followed is one waiting task."
  }
}

variable "allow_delete" {
  description = "Whether Backstop may delete a backup that completed although it was cancelled. Without it such a backup stays until it expires, is billed until then, and is reported as COMPLETED_KEPT."
  type        = bool
  default     = true
  nullable    = false
}

variable "allow_scheduled" {
  description = "Whether a command may stop and delete what native backup schedules made. Without it a command that says include_scheduled is refused."
  type        = bool
  default     = false
  nullable    = false
}

variable "allow_weaker_key" {
  description = "Whether a start may ask for Google's default encryption, which is weaker than a database's own key. Without it such a start is refused."
  type        = bool
  default     = false
  nullable    = false
}

variable "binary_authorization_policy" {
  description = "Binary Authorization policy for the function's image: default, or projects/P/platforms/cloudRun/policies/N; null asks for none."
  type        = string
  default     = null

  validation {
    condition     = var.binary_authorization_policy == null || can(regex("^(default|projects/[^/]+/platforms/cloudRun/policies/[^/]+)$", var.binary_authorization_policy))
    error_message = "binary_authorization_policy must be default or look like projects/P/platforms/cloudRun/policies/N."
  }
}

variable "cancel_after_min" {
  description = "The shortest cancel_after that a sweep may ask for, 0s to 7d; a shorter one is refused. A sweep stops everybody's backups, so this is what a publisher's mistake can cost."
  type        = string
  default     = "1h"
  nullable    = false

  validation {
    condition = try(alltrue([
      for text in [var.cancel_after_min] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 0 && seconds <= 604800
      ])
    ]), false)
    error_message = "cancel_after_min must be a duration of 0s to 7d, such as 1h."
  }
}

variable "concurrency" {
  description = "Messages that one instance of the function handles at a time, 1 to 80. The work is waiting for Google's answers, so 8 share one CPU well."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 80 && floor(var.concurrency) == var.concurrency
    error_message = "concurrency must be a whole number, 1 to 80: each is a thread with memory of its own."
  }
}

variable "dashboard" {
  description = "Whether to make the dashboard."
  type        = bool
  default     = true
  nullable    = false
}

variable "dead_letter_after" {
  description = "Deliveries that must fail before a message becomes a dead letter, 5 to 100."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.dead_letter_after >= 5 && var.dead_letter_after <= 100 && floor(var.dead_letter_after) == var.dead_letter_after
    error_message = "dead_letter_after must be a whole number, 5 to 100: Pub/Sub allows no other, and the function puts a message back itself from the 4th attempt on."
  }
}

variable "deletion_channels" {
  description = "Cloud Monitoring channels that get a notice of each deletion, projects/P/notificationChannels/N; without any there is none."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for channel in var.deletion_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))
    ])
    error_message = "deletion_channels must look like projects/P/notificationChannels/N, which is a channel's id and not its address."
  }
}

variable "docker_repository" {
  description = "Artifact Registry repository for the function's image, projects/P/locations/L/repositories/R; null uses gcf-artifacts, which Google makes."
  type        = string
  default     = null

  validation {
    condition     = var.docker_repository == null || can(regex("^projects/[^/]+/locations/[^/]+/repositories/[^/]+$", var.docker_repository))
    error_message = "docker_repository must look like projects/P/locations/L/repositories/R."
  }
}

variable "enable_apis" {
  description = "Whether to enable the Google APIs that Backstop needs; they stay enabled when it is destroyed."
  type        = bool
  default     = true
  nullable    = false
}

variable "give_up_after" {
  description = "How long after a backup's start Backstop stops following it and reports GAVE_UP, 1h to 7d."
  type        = string
  default     = "3d"
  nullable    = false

  validation {
    condition = try(alltrue([
      for text in [var.give_up_after] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 3600 && seconds <= 604800
      ])
    ]), false)
    error_message = "give_up_after must be a duration of 1h to 7d, such as 3d: Spanner forgets an operation 7 days after its end."
  }
}

variable "grants_wait_s" {
  description = "Seconds that the first build and the first message wait for new grants to work, 0 to 900. Google: typically 2 minutes, at times 7 or more."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.grants_wait_s >= 0 && var.grants_wait_s <= 900 && floor(var.grants_wait_s) == var.grants_wait_s
    error_message = "grants_wait_s must be a whole number of seconds, 0 to 900."
  }
}

variable "kms_keys" {
  description = "Your own encryption keys, projects/P/locations/L/keyRings/R/cryptoKeys/K: for the source's bucket, for the function (with a docker_repository that has the same key), for the topics. Who needs which key: docs/security.md."
  type = object({
    bucket   = optional(string)
    function = optional(string)
    topics   = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition = alltrue([
      for key in values(var.kms_keys) : key == null || can(regex("^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$", key))
    ])
    error_message = "kms_keys must look like projects/P/locations/L/keyRings/R/cryptoKeys/K, without a version."
  }
}

variable "labels" {
  description = "Labels for everything that can carry them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for key, value in var.labels : can(regex("^[a-z][a-z0-9_-]{0,62}$", key)) && can(regex("^[a-z0-9_-]{0,63}$", value))
    ])
    error_message = "labels must have keys of 1 to 63 and values of up to 63 lower-case letters, digits, underscores and hyphens; keys start with a letter."
  }
}

variable "look_max" {
  description = "The longest time between two looks at a running backup, up to 1h."
  type        = string
  default     = "1h"
  nullable    = false

  validation {
    condition = try(alltrue([
      for text in [var.look_max] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 10 && seconds <= 3600
      ])
    ]), false)
    error_message = "look_max must be a duration of 10s to 1h, such as 30m: the alert on a stalled queue counts on a look in every hour."
  }
}

variable "look_min" {
  description = "The shortest time between two looks at a running backup, 10s or more."
  type        = string
  default     = "10s"
  nullable    = false

  validation {
    condition = try(alltrue([
      for text in [var.look_min] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 10 && seconds <= 3600
      ])
    ]), false)
    error_message = "look_min must be a duration of 10s to 1h: looking more often spends Spanner's administrative quota."
  }
}

variable "looks_per_second" {
  description = "Follow-ups that may be due in one second, above 0 and up to 1.5. A look makes up to 3 calls and Spanner allows 5 a second in a project."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.looks_per_second > 0 && var.looks_per_second <= 1.5
    error_message = "looks_per_second must be above 0 and at most 1.5: Spanner allows 5 administrative requests a second and a look makes up to 3."
  }
}

variable "max_instances" {
  description = "Instances of the function that may run at a time, 1 to 20. Spanner's quota is small, so more would only wait for it."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 20 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances must be a whole number, 1 to 20."
  }
}

variable "memory" {
  description = "Memory of one instance of the function. The process takes about 150 MB; the rest is room for concurrency."
  type        = string
  default     = "512Mi"
  nullable    = false

  validation {
    condition     = can(regex("^(256Mi|512Mi|1Gi|2Gi)$", var.memory))
    error_message = "memory must be 256Mi, 512Mi, 1Gi or 2Gi."
  }
}

variable "message_regions" {
  description = "Regions in which Pub/Sub may store messages, such as [\"europe-west1\"]; empty: the organisation's policy decides."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for region in var.message_regions : can(regex("^[a-z]+-[a-z]+[0-9]+$", region))])
    error_message = "message_regions must be regions such as europe-west1."
  }
}

variable "message_retention_s" {
  description = "Seconds that Pub/Sub keeps a message that the function doesn't take, 600 to 2678400 (31 days)."
  type        = number
  default     = 604800
  nullable    = false

  validation {
    condition     = var.message_retention_s >= 600 && var.message_retention_s <= 2678400 && floor(var.message_retention_s) == var.message_retention_s
    error_message = "message_retention_s must be a whole number of seconds, 600 to 2678400: Pub/Sub allows no other."
  }
}

variable "notification_channels" {
  description = "Cloud Monitoring channels that alerts notify, projects/P/notificationChannels/N. Without any, alerts only show in the console."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[^/]+$", channel))
    ])
    error_message = "notification_channels must look like projects/P/notificationChannels/N, which is a channel's id and not its address."
  }
}

variable "prefix" {
  description = "Start of every name that the module gives, and the name of the function; two deployments in a project need two."
  type        = string
  default     = "backstop"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.prefix))
    error_message = "prefix must be 3 to 20 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen: service accounts have at most 30 characters."
  }
}

variable "project_id" {
  description = "Project that Backstop runs in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project_id))
    error_message = "project_id must be a project's id (6 to 30 lower-case letters, digits and hyphens), not its number or name."
  }
}

variable "publishers" {
  description = "Who may publish commands: users, groups, service accounts, by IAM member. Cloud Scheduler needs no entry."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for member in var.publishers : can(regex("^(user|group|serviceAccount|domain|principal|principalSet):.+$", member))
    ])
    error_message = "publishers must be IAM members such as user:U, group:G or serviceAccount:S; allUsers and allAuthenticatedUsers would let anybody stop your backups."
  }
}

variable "queue_name" {
  description = "Name of the Cloud Tasks queue; null derives it from prefix. Give another after a destroy: Google may hold a deleted queue's name for 3 days."
  type        = string
  default     = null

  validation {
    condition     = var.queue_name == null || can(regex("^[A-Za-z0-9-]{1,100}$", var.queue_name))
    error_message = "queue_name must be 1 to 100 letters, digits and hyphens."
  }
}

variable "region" {
  description = "Region of the function, its queue and its bucket, such as europe-west1."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region must be a region such as europe-west1, not a zone or a multi-region."
  }
}

variable "retention" {
  description = "How long a backup is kept if its command doesn't say, 6h to 366d."
  type        = string
  default     = "14d"
  nullable    = false

  validation {
    condition = try(alltrue([
      for text in [var.retention] : can(regex(local.duration, text)) && alltrue([
        for seconds in [sum([for part in regexall(local.duration_part, text) : part[0] * local.duration_unit[part[1]]])] : seconds >= 21600 && seconds <= 31622400
      ])
    ]), false)
    error_message = "retention must be a duration of 6h to 366d, such as 14d: Spanner allows no other."
  }
}

variable "role_id" {
  description = "Start of the ids of the two Spanner roles that the module makes; null derives it from prefix. Give another after a destroy: Google holds a deleted role's id for up to 37 days."
  type        = string
  default     = null

  validation {
    condition     = var.role_id == null || can(regex("^[A-Za-z0-9_.]{3,50}$", var.role_id))
    error_message = "role_id must be 3 to 50 letters, digits, underscores and full stops."
  }
}

variable "runtime" {
  description = "Python of the function, python311 or newer. The tests run on 3.11 to 3.14; Google supports 3.13 until 2029-10 and 3.11 until 2027-10."
  type        = string
  default     = "python313"
  nullable    = false

  validation {
    condition     = can(regex("^python31[1-9]$", var.runtime))
    error_message = "runtime must be python311 or newer, such as python312."
  }
}

variable "scheduler_region" {
  description = "Region of the Cloud Scheduler jobs, for regions that have no Cloud Scheduler; null is region."
  type        = string
  default     = null

  validation {
    condition     = var.scheduler_region == null || can(regex("^[a-z]+-[a-z]+[0-9]+$", var.scheduler_region))
    error_message = "scheduler_region must be a region such as europe-west1."
  }
}

variable "source_archive" {
  description = "Archive of the function that somebody else built, as { bucket, object }; null makes one from this repository."
  type = object({
    bucket = string
    object = string
  })
  default = null
}

variable "timeout_s" {
  description = "Seconds that the function may take for one message, 60 to 540. Its calls to Google give up well before."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.timeout_s >= 60 && var.timeout_s <= 540 && floor(var.timeout_s) == var.timeout_s
    error_message = "timeout_s must be a whole number of seconds, 60 to 540."
  }
}

variable "vpc_connector" {
  description = "Serverless VPC Access connector that the function's calls go through (name: projects/P/locations/L/connectors/C), and which of them (egress: ALL_TRAFFIC, or PRIVATE_RANGES_ONLY); without a name they don't."
  type = object({
    egress = optional(string)
    name   = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.vpc_connector.name == null || can(regex("^projects/[^/]+/locations/[^/]+/connectors/[^/]+$", var.vpc_connector.name))
    error_message = "vpc_connector.name must look like projects/P/locations/L/connectors/C."
  }

  validation {
    condition     = var.vpc_connector.egress == null || (var.vpc_connector.name != null && contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], coalesce(var.vpc_connector.egress, "-")))
    error_message = "vpc_connector.egress must be ALL_TRAFFIC or PRIVATE_RANGES_ONLY, with a name."
  }
}

variable "vpc_direct" {
  description = "Network that the function's calls go through without a connector (network, subnetwork: one of them or both, by name or projects/P/...), tags that firewalls know it by (tags), and which of the calls (egress: ALL_TRAFFIC, the default, or PRIVATE_RANGES_ONLY); without a network they don't. The subnetwork needs Private Google Access."
  type = object({
    egress     = optional(string)
    network    = optional(string)
    subnetwork = optional(string)
    tags       = optional(list(string), [])
  })
  default  = {}
  nullable = false

  validation {
    condition = (
      can(regex("^(projects/[^/]+/global/networks/)?[a-z][a-z0-9-]*$", coalesce(var.vpc_direct.network, "none"))) &&
      can(regex("^(projects/[^/]+/regions/[^/]+/subnetworks/)?[a-z][a-z0-9-]*$", coalesce(var.vpc_direct.subnetwork, "none")))
    )
    error_message = "vpc_direct.network and vpc_direct.subnetwork must be names, or look like projects/P/global/networks/N and projects/P/regions/R/subnetworks/S."
  }

  validation {
    condition = (var.vpc_direct.egress == null && length(var.vpc_direct.tags) == 0) || (
      (var.vpc_direct.network != null || var.vpc_direct.subnetwork != null) &&
      contains(["ALL_TRAFFIC", "PRIVATE_RANGES_ONLY"], coalesce(var.vpc_direct.egress, "ALL_TRAFFIC"))
    )
    error_message = "vpc_direct.egress must be ALL_TRAFFIC or PRIVATE_RANGES_ONLY, and it and tags need a network or a subnetwork."
  }

  validation {
    condition     = var.vpc_connector.name == null || (var.vpc_direct.network == null && var.vpc_direct.subnetwork == null)
    error_message = "vpc_direct and vpc_connector exclude each other: the function goes one way or the other."
  }
}

variable "worker_pool" {
  description = "Private pool of Cloud Build that builds the function, projects/P/locations/L/workerPools/W; null uses Google's."
  type        = string
  default     = null

  validation {
    condition     = var.worker_pool == null || can(regex("^projects/[^/]+/locations/[^/]+/workerPools/[^/]+$", var.worker_pool))
    error_message = "worker_pool must look like projects/P/locations/L/workerPools/W."
  }
}
