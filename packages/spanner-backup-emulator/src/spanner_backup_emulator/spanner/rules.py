"""What the arguments of a call must be like.

The form of names is documented at https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import stamp, time_in, time_of
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.plans import parse_duration

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.messages import Message

RETENTION_MIN = timedelta(hours=6)
RETENTION_MAX = timedelta(days=366)
"""Documented: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups."""

_INSTANCE = r"projects/[^/]+/instances/[^/]+"
_FORMS = {
    "instance name": re.compile(_INSTANCE),
    "database name": re.compile(rf"{_INSTANCE}/databases/[^/]+"),
    "backup id": re.compile(r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]"),
    "backup schedule id": re.compile(r"[a-z][a-z0-9_\-]{0,58}[a-z0-9]"),
    "database id": re.compile(r"[a-z][a-z0-9_\-]{0,28}[a-z0-9]"),
}


def instance_of(name: str) -> str:
    """The instance that holds the database or backup of this full name."""
    return "/".join(name.split("/", 4)[:4])


def check_form(what: str, text: str) -> None:
    """Refuses what no instance, database, backup or schedule may be called."""
    if _FORMS[what].fullmatch(text) is None:
        raise refusals.invalid(f"Invalid {what}: {text}")


def check_source_database(parent: str, database: str) -> None:
    """Refuses a database of another instance than the backup's.

    That it must be the same is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups; code inferred.
    """
    check_form("database name", database)
    if instance_of(database) != parent:
        raise refusals.invalid(f"Database {database} is not in instance {parent}.")


def checked_expire_time(name: str, now: datetime, origin: datetime, request: Message) -> Message:
    """Refuses an expire_time that is missing, too close, too far or past, by the server's clock.

    Args:
        name: The backup's.
        now: The server's time.
        origin: The create_time that the window counts from: for an update the backup's own
            (https://docs.cloud.google.com/sdk/gcloud/reference/spanner/backups/update-metadata, documented), for a
            copy the source's
            (https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/copy,
            documented).
        request: What has the expire_time.
    """
    expire_time = time_in(request, "expire_time")
    in_window = expire_time is not None and origin + RETENTION_MIN <= expire_time <= origin + RETENTION_MAX
    if expire_time is None or not in_window or expire_time <= now:
        given = request.expire_time.ToJsonString() if expire_time else "missing"
        raise refusals.EXPIRE_TIME(name, stamp(origin).ToJsonString(), given)
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
        raise refusals.VERSION_TIME_IN_FUTURE(name)
    if database.HasField("create_time") and version_time < time_of(database.create_time):
        raise refusals.VERSION_TIME_TOO_EARLY(name)
    if version_time < now - parse_duration(database.version_retention_period):
        raise refusals.VERSION_TIME_TOO_OLD(name)
    return stamp(version_time)


def check_unused(backup: Message) -> None:
    """Refuses to delete a backup that a restore or a copy needs."""
    if backup.referencing_databases:
        raise refusals.BEING_RESTORED(backup.name, len(backup.referencing_databases))
    if backup.referencing_backups:
        raise refusals.BEING_COPIED(backup.name, len(backup.referencing_backups))


def check_schedule_retention(retention: timedelta) -> None:
    """Refuses a retention that no backup of a schedule may have, as that of one on demand."""
    if not RETENTION_MIN <= retention <= RETENTION_MAX:
        raise refusals.invalid(f"The retention of a backup schedule must be 6 hours to 366 days, and is {retention}.")
