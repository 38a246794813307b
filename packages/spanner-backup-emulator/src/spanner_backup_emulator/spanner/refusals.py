"""Every refusal of the emulated service, with its code, its text, and where that text comes from.

"Documented" means Google's documentation says so, "observed" that a public thread or an official client's test shows
the service doing it, "inferred" that nobody says so and a client should not rely on it.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from cronsim import CronSim, CronSimError

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, stamp, time_in, time_of
from spanner_backup_emulator.spanner.messages import INSTANCE, TYPE_PREFIX, pb
from spanner_backup_emulator.spanner.plans import parse_duration

T = TypeVar("T")

RETENTION_MIN, RETENTION_MAX = timedelta(hours=6), timedelta(days=366)
"""Documented: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups."""

_FORMS = {
    "instance name": INSTANCE,
    "database name": rf"{INSTANCE}/databases/[^/]+",
    "backup id": r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]",
    "backup schedule id": r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]",
    "database id": r"[a-z][a-z0-9_\-]{0,28}[a-z0-9]",
}
"""Documented on the same page."""

_CRON = frozenset("0123456789*,/-")
"""What the times of schedules are written with; the names and letters that some crons know besides are refused."""


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


def found(kind: str, held: Mapping[str, T], name: str) -> T:
    """What is held by that name, or the refusal."""
    if name not in held:
        raise missing(kind, name)
    return held[name]


def exists(kind: str, name: str) -> ApiError:
    """The name is taken.

    Of backups text and detail are observed
    (https://github.com/GoogleCloudPlatform/terraform-google-cloud-spanner/issues/30), the others inferred from that.
    """
    return ApiError(Code.ALREADY_EXISTS, f"{kind} already exists: {name}", _info(kind, name, "already exists"))


def _info(kind: str, name: str, what: str) -> Message:
    """The detail that refusals about backups, databases and instances carry."""
    if kind not in {"Backup", "Database", "Instance"}:
        return None
    resource_type = TYPE_PREFIX + getattr(pb, kind).DESCRIPTOR.full_name
    return pb.ResourceInfo(resource_type=resource_type, resource_name=name, description=f"{kind} {what}.")


def check_form(what: str, text: str) -> None:
    """Refuses what no instance, database, backup or schedule may be called."""
    if re.fullmatch(_FORMS[what], text) is None:
        raise invalid(f"Invalid {what}: {text}")


def checked_expire_time(name: str, now: datetime, origin: datetime, request: Message) -> Message:
    """Refuses an expire_time that is missing, too close, too far or past, by the server's clock.

    The window counts from `origin`, a create_time: for an update the backup's own
    (https://docs.cloud.google.com/sdk/gcloud/reference/spanner/backups/update-metadata, documented), for a copy the
    source's (https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/copy, documented).
    """
    expire_time = time_in(request, "expire_time")
    earliest, latest = origin + RETENTION_MIN, origin + RETENTION_MAX
    if expire_time is None or expire_time <= now or not earliest <= expire_time <= latest:
        given = request.expire_time.ToJsonString() if expire_time else "missing"
        raise EXPIRE_TIME(name, stamp(origin).ToJsonString(), given)
    return stamp(expire_time)


def checked_version_time(name: str, now: datetime, database: Message, request: Message) -> Message:
    """Refuses to back up the future, or a past that the database does not keep or did not have; now is always right.

    That version_time defaults to the time of the call is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
    """
    version_time = time_in(request, "version_time")
    if version_time is None:
        return stamp(now)
    if version_time > now:
        raise VERSION_TIME_IN_FUTURE(name)
    if database.HasField("create_time") and version_time < time_of(database.create_time):
        raise VERSION_TIME_TOO_EARLY(name)
    if version_time < now - parse_duration(database.version_retention_period):
        raise VERSION_TIME_TOO_OLD(name)
    return stamp(version_time)


def next_time(cron: str, after: datetime) -> datetime:
    """The first time after another that a schedule's text names, in UTC.

    The text has five fields; each is `*`, a number, a range, a list of these, or one of these with a step, as in
    `0 2/12 * * *`, which is at 2 and at 14 h. Where both kinds of days are given, either will do, as for cron. A text
    that names no time is refused.
    """
    with suppress(CronSimError, StopIteration):
        times = CronSim(cron, after.astimezone(UTC))
        if len(fields := cron.split()) == 5 and _CRON.issuperset("".join(fields)):
            return next(times)
    raise invalid(f"Invalid cron spec: {cron!r}")


def _refusal(code: Code, text: str) -> Callable[..., ApiError]:
    """What makes a refusal of what goes into its text."""
    return lambda *said: ApiError(code, text.format(*said))


_not_now, _bad = partial(_refusal, Code.FAILED_PRECONDITION), partial(_refusal, Code.INVALID_ARGUMENT)

INSTANCE_HAS_BACKUPS = _not_now("Cannot delete instance {} because it contains backups.")
"""Documented, the text is inferred: https://docs.cloud.google.com/spanner/docs/backup."""

TOO_MANY_PENDING = _not_now(
    "Cannot create backup ({}) for database ({}) because the maximum number of pending backups (1) for the database has"
    " been reached. Please retry the operation once the pending backups complete."
)
"""The limit is documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/create, the text is observed:
https://github.com/GoogleCloudPlatform/dotnet-docs-samples/blob/main/spanner/api/Spanner.Samples.Tests/SpannerFixture.cs."""

EXPIRE_TIME = _bad(
    "Invalid request for backup {}. `expire_time` is either missing, in the wrong format, or is not within the minimum"
    " and maximum expire times supported. `expire_time` must be a Unix Epoch Time (UTC time since 1970-01-01 00:00:00)"
    " with microseconds granularity, and be at least 6 hours and at most 366 days from the time the CreateBackup"
    " request is processed. The CreateBackup request was processed at `create_time` ({}), and the input `expire_time`"
    " is {}."
)
"""For creation and update alike; observed: https://github.com/GoogleCloudPlatform/dotnet-docs-samples/issues/1046. What
it says of a missing time is inferred."""

VERSION_TIME_IN_FUTURE = _bad("Invalid request for backup {}. Cannot create a backup with a future version time.")
"""The phrase is observed, the rest inferred:
https://github.com/googleapis/google-cloud-cpp/blob/main/google/cloud/spanner/admin/integration_tests/backup_extra_integration_test.cc."""

VERSION_TIME_TOO_EARLY = _bad(
    "Invalid request for backup {}. Cannot create a backup with a version time that is earlier than the creation time"
    " of the database."
)
"""The phrase is observed in the same test, the rest inferred."""

VERSION_TIME_TOO_OLD = _bad(
    "Invalid request for backup {}. The version time is older than the database's version retention period."
)
"""The code is observed, the text inferred:
https://github.com/googleapis/python-spanner/blob/main/tests/system/test_backup_api.py."""

BEING_RESTORED = _not_now(
    "Backup {} cannot be deleted at the moment because it is still in use by {} databases for pending restore activity."
    " Please try deleting the backup once the restore or post-restore optimize operations have completed on these"
    " databases. The databases using this backup are displayed in the UI in the Backups table `In use by` column, and"
    " returned by the GetBackup API."
)
"""The rule is documented at https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups,
the text is observed: https://github.com/googleapis/google-cloud-ruby/issues/18975."""

BEING_COPIED = _not_now(
    "Backup {} cannot be deleted at the moment because it is still in use by {} backups for pending copy activity."
    " Please try deleting the backup once the copies have completed."
)
"""The rule is documented there, too, and the text inferred from that."""

SOURCE_PENDING = _not_now(
    "Cannot copy source backup {} because the backup is still being created. Please retry the operation once the"
    " pending backup is complete."
)
"""Observed: https://github.com/GoogleCloudPlatform/dotnet-docs-samples/issues/1623."""

BACKUP_PENDING = _not_now("Cannot {} backup {} because the backup is still being created.")
"""That a restore or an update may fail like this is documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups#state; the text is inferred."""

DATABASE_NOT_READY = _not_now("Database {} is not ready.")
"""It is still being restored (inferred)."""

DROP_BLOCKED = _not_now("Database {} cannot be dropped while a backup of it is pending.")
"""The rule is documented at https://docs.cloud.google.com/spanner/docs/backup, the text is inferred."""

CANCEL_UNSUPPORTED = _refusal(Code.UNIMPLEMENTED, "Operation is not implemented, or supported, or enabled.")
"""Restores can't be cancelled (observed: https://github.com/googleapis/java-spanner/issues/1713)."""

CANCEL_TOO_LATE = _not_now("Operation {} has already completed.")
"""Code and text are inferred; Google documents only that a cancel is best effort."""

TOO_MANY_SCHEDULES = _refusal(Code.RESOURCE_EXHAUSTED, "{} already has {} backup schedules.")
"""The code and the words are inferred."""

SCHEDULE_RETENTION = _bad("The retention of a backup schedule must be 6 hours to 366 days, and is {}.")
"""The window is that of backups on demand; that no schedule may have another one is inferred, as is the text."""
