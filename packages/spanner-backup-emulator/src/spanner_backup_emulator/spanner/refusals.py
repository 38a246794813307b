"""Every refusal of the emulated service, with its code, its text, and where that text comes from.

"Documented" means Google's documentation says so, "observed" that a public thread or an official client's test shows
the service doing it, "inferred" that nobody says so and a client should not rely on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError, Code, ResourceInfo
from spanner_backup_emulator.spanner.messages import stamp

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.spanner.messages import Message

_PACKAGES = {
    "Backup": "type.googleapis.com/google.spanner.admin.database.v1",
    "Database": "type.googleapis.com/google.spanner.admin.database.v1",
    "Instance": "type.googleapis.com/google.spanner.admin.instance.v1",
}
"""Whose refusals carry a ResourceInfo."""


def invalid(message: str) -> ApiError:
    """INVALID_ARGUMENT with a text of our own (inferred: only the code is Google's)."""
    return ApiError(Code.INVALID_ARGUMENT, message)


def missing(kind: str, name: str) -> ApiError:
    """There is no backup, database, instance, operation or schedule of that name.

    Of databases and instances the text is observed (https://github.com/googleapis/google-cloud-cpp/issues/6020,
    https://github.com/vdesabou/kafka-docker-playground/issues/8725), of a backup the code
    (https://github.com/googleapis/python-spanner/blob/main/samples/samples/backup_sample.py); the rest is inferred.
    """
    return ApiError(Code.NOT_FOUND, f"{kind} not found: {name}", _info(kind, name, "does not exist"))


def exists(kind: str, name: str) -> ApiError:
    """The name is taken.

    Of backups text and detail are observed
    (https://github.com/GoogleCloudPlatform/terraform-google-cloud-spanner/issues/30), the others inferred from that.
    """
    return ApiError(Code.ALREADY_EXISTS, f"{kind} already exists: {name}", _info(kind, name, "already exists"))


def _info(kind: str, name: str, what: str) -> ResourceInfo | None:
    package = _PACKAGES.get(kind)
    return ResourceInfo(f"{package}.{kind}", name, f"{kind} {what}.") if package else None


def instance_has_backups(name: str) -> ApiError:
    """An instance with backups can't be deleted (documented, the text is inferred).

    https://docs.cloud.google.com/spanner/docs/backup
    """
    return ApiError(Code.FAILED_PRECONDITION, f"Cannot delete instance {name} because it contains backups.")


def too_many_pending(backup: str, database: str) -> ApiError:
    """The database's one slot for a pending on-demand backup is taken.

    The limit is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/create, the text is
    observed:
    https://github.com/GoogleCloudPlatform/dotnet-docs-samples/blob/main/spanner/api/Spanner.Samples.Tests/SpannerFixture.cs.
    """
    return ApiError(
        Code.FAILED_PRECONDITION,
        f"Cannot create backup ({backup}) for database ({database}) because the maximum number of pending backups (1)"
        " for the database has been reached. Please retry the operation once the pending backups complete.",
    )


def bad_expire_time(name: str, create_time: datetime, request: Message) -> ApiError:
    """The expire_time is outside the window, for creation and update alike.

    Observed: https://github.com/GoogleCloudPlatform/dotnet-docs-samples/issues/1046. What it says of a missing time
    is inferred.
    """
    given = request.expire_time.ToJsonString() if request.HasField("expire_time") else "missing"
    return ApiError(
        Code.INVALID_ARGUMENT,
        f"Invalid request for backup {name}. `expire_time` is either missing, in the wrong format, or is not within the"
        " minimum and maximum expire times supported. `expire_time` must be a Unix Epoch Time (UTC time since"
        " 1970-01-01 00:00:00) with microseconds granularity, and be at least 6 hours and at most 366 days from the"
        " time the CreateBackup request is processed. The CreateBackup request was processed at `create_time`"
        f" ({stamp(create_time).ToJsonString()}), and the input `expire_time` is {given}.",
    )


def version_time_in_future(name: str) -> ApiError:
    """The version_time is still to come.

    The phrase is observed, the rest inferred:
    https://github.com/googleapis/google-cloud-cpp/blob/main/google/cloud/spanner/admin/integration_tests/backup_extra_integration_test.cc.
    """
    return invalid(f"Invalid request for backup {name}. Cannot create a backup with a future version time.")


def version_time_too_early(name: str) -> ApiError:
    """The version_time is from before the database (phrase observed in the same test, the rest inferred)."""
    return invalid(
        f"Invalid request for backup {name}. Cannot create a backup with a version time that is earlier than the"
        " creation time of the database."
    )


def version_time_too_old(name: str) -> ApiError:
    """The version_time is from before what the database still keeps.

    The code is observed, the text inferred:
    https://github.com/googleapis/python-spanner/blob/main/tests/system/test_backup_api.py.
    """
    return invalid(
        f"Invalid request for backup {name}. The version time is older than the database's version retention period."
    )


def in_use(name: str, databases: int, backups: int) -> ApiError:
    """A restore or a copy still needs the backup.

    The rule is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups; the text for databases
    is observed (https://github.com/googleapis/google-cloud-ruby/issues/18975), the one for backups inferred from
    it.
    """
    if not databases:
        return ApiError(
            Code.FAILED_PRECONDITION,
            f"Backup {name} cannot be deleted at the moment because it is still in use by {backups} backups for pending"
            " copy activity. Please try deleting the backup once the copies have completed.",
        )
    return ApiError(
        Code.FAILED_PRECONDITION,
        f"Backup {name} cannot be deleted at the moment because it is still in use by {databases} databases for pending"
        " restore activity. Please try deleting the backup once the restore or post-restore optimize operations have"
        " completed on these databases. The databases using this backup are displayed in the UI in the Backups table"
        " `In use by` column, and returned by the GetBackup API.",
    )


def source_pending(name: str) -> ApiError:
    """The backup to copy isn't finished.

    Observed: https://github.com/GoogleCloudPlatform/dotnet-docs-samples/issues/1623.
    """
    return ApiError(
        Code.FAILED_PRECONDITION,
        f"Cannot copy source backup {name} because the backup is still being created. Please retry the operation once"
        " the pending backup is complete.",
    )


def backup_pending(name: str, verb: str) -> ApiError:
    """The backup to restore or update isn't finished.

    That such calls may fail like this is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups#state; text inferred.
    """
    return ApiError(Code.FAILED_PRECONDITION, f"Cannot {verb} backup {name} because the backup is still being created.")


def database_not_ready(name: str) -> ApiError:
    """The database is still being restored (inferred)."""
    return ApiError(Code.FAILED_PRECONDITION, f"Database {name} is not ready.")


def drop_blocked(name: str) -> ApiError:
    """A backup of the database is being made.

    The rule is documented at https://docs.cloud.google.com/spanner/docs/backup, the text is inferred.
    """
    return ApiError(Code.FAILED_PRECONDITION, f"Database {name} cannot be dropped while a backup of it is pending.")


def cancel_unsupported() -> ApiError:
    """Restores can't be cancelled (observed: https://github.com/googleapis/java-spanner/issues/1713)."""
    return ApiError(Code.UNIMPLEMENTED, "Operation is not implemented, or supported, or enabled.")


def cancel_too_late(name: str) -> ApiError:
    """The operation has ended (code and text inferred; Google documents only that a cancel is best effort)."""
    return ApiError(Code.FAILED_PRECONDITION, f"Operation {name} has already completed.")


def too_many_schedules(database: str, count: int) -> ApiError:
    """A database may have so many; the code and the words are inferred."""
    return ApiError(Code.RESOURCE_EXHAUSTED, f"{database} already has {count} backup schedules.")
