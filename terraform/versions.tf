terraform {
  # 1.9: a variable's validation may look at another variable.
  required_version = ">= 1.9"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = ">= 2.7, < 3.0"
    }
    # 7.21: the first with direct egress (vpc_direct). What a provider doesn't know is an error, also if it is null.
    google = {
      source  = "hashicorp/google"
      version = ">= 7.21, < 9.0"
    }
    # For one resource: the service agents, which the other provider can't make.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 7.21, < 9.0"
    }
    time = {
      source  = "hashicorp/time"
      version = ">= 0.9, < 1.0"
    }
  }
}
