"""An emulator of the part of the Cloud Spanner API that makes, cancels and deletes backups.

Google's own Spanner emulator answers UNIMPLEMENTED to every backup call
(https://github.com/GoogleCloudPlatform/cloud-spanner-emulator, documented), so the race between a cancel and a
backup's completion can't be tried there. Here the test decides who wins it. `SPANNER.md` says, method by
method, what is emulated, and what of it Google documents.
"""
