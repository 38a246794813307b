# Durations are text here as in a command (45s, 30m, 6h, 14d, 1h30m), so that both are read the same way. Terraform has no
# functions of one's own, and a validation may not use what is computed from its variable: so each validation repeats
# the sum below, of the parts that `duration_part` finds.

locals {
  duration      = "^([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
  duration_part = "([0-9]+)([dhms])"
  duration_unit = { d = 86400, h = 3600, m = 60, s = 1 }
}
