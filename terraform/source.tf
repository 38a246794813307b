# What is deployed: an allow-list, so that tests and emulators can't reach production by being forgotten in a list.

locals {
  _root = "${path.module}/.."

  source_files = setunion(["main.py", "requirements.txt"], fileset(local._root, "backstop/**/*.py"))

  # Named by what is in it: the same content is the same object and no new build, on every machine.
  source_hash = sha256(join("\n", [
    for file in sort(local.source_files) : "${file} ${filesha256("${local._root}/${file}")}"
  ]))

  source_archive = var.source_archive != null ? var.source_archive : {
    bucket = google_storage_bucket.source[0].name
    object = google_storage_bucket_object.source[0].name
  }
}

# A resource and not a data source: it is written by whoever applies, who may sit elsewhere than who planned.
resource "archive_file" "source" {
  count = var.source_archive == null ? 1 : 0

  type             = "zip"
  output_path      = "${path.module}/build/backstop-${substr(local.source_hash, 0, 16)}.zip"
  output_file_mode = "0644"

  dynamic "source" {
    for_each = local.source_files

    content {
      filename = source.value
      content  = file("${local._root}/${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  count = var.source_archive == null ? 1 : 0

  project  = var.project_id
  name     = "${var.project_id}-${var.prefix}-source"
  location = var.region
  labels   = var.labels

  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  # It holds archives that can be made again from the repository, and nothing else.
  force_destroy = true

  dynamic "encryption" {
    for_each = var.kms_keys.bucket != null ? [var.kms_keys.bucket] : []

    content {
      default_kms_key_name = encryption.value
    }
  }

  # What was deployed before is kept for a quarter, to go back to.
  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 90
    }
  }

  depends_on = [google_project_service.api]
}

resource "google_storage_bucket_object" "source" {
  count = var.source_archive == null ? 1 : 0

  bucket = google_storage_bucket.source[0].name
  name   = "backstop-${local.source_hash}.zip"
  source = archive_file.source[0].output_path
}

# What a build needs, and no more: read the archive, write the image, write the log.
# https://docs.cloud.google.com/functions/docs/securing/build-custom-sa
#
# The archive is read twice. Cloud Functions copies it from the bucket above into one of its own, which doesn't exist
# before the first function of the region, and there the build fetches it: so that right can only be given on the
# project, and a condition holds it to the buckets of that name (with a key of yours, a hash is added to it).
# https://docs.cloud.google.com/functions/docs/building
# https://github.com/hashicorp/terraform-provider-google/issues/20571
resource "google_project_iam_member" "build_reads_copy" {
  project = var.project_id
  role    = "roles/storage.objectViewer"
  member  = google_service_account.build.member

  condition {
    title       = "${var.prefix}-build-source"
    description = "Only what Cloud Functions copied for its builds."
    expression  = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.project.number}-${var.region}\")"
  }
}

resource "google_storage_bucket_iam_member" "build_reads_source" {
  bucket = local.source_archive.bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

# On the project, because the repository of the images (gcf-artifacts) doesn't exist before the first build.
resource "google_project_iam_member" "build_writes_images" {
  project = var.project_id
  role    = "roles/artifactregistry.writer"
  member  = google_service_account.build.member
}

resource "google_project_iam_member" "build_writes_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}
