"""What the arguments of a call must be like."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.names import instance_of, is_backup_id, is_database, is_database_id, is_instance

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.spanner.records import Backup, Database

RETENTION_MIN = timedelta(hours=6)
RETENTION_MAX = timedelta(days=366)
"""Documented: https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups."""


def check_parent(parent: str) -> None:
    """Refuses what is no instance's name."""
    if not is_instance(parent):
        raise refusals.invalid(f"Invalid instance name: {parent}")


def check_backup_id(backup_id: str) -> None:
    """Refuses an id that no backup may have."""
    if not is_backup_id(backup_id):
        raise refusals.invalid(f"Invalid backup id: {backup_id}")


def check_database_id(database_id: str) -> None:
    """Refuses an id that no database may have."""
    if not is_database_id(database_id):
        raise refusals.invalid(f"Invalid database id: {database_id}")


def check_source_database(parent: str, database: str) -> None:
    """Refuses a database of another instance than the backup's.

    That it must be the same is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups; code inferred.
    """
    if not is_database(database):
        raise refusals.invalid(f"Invalid database name: {database}")
    if instance_of(database) != parent:
        raise refusals.invalid(f"Database {database} is not in instance {parent}.")


def checked_expire_time(name: str, now: datetime, origin: datetime, expire_time: datetime | None) -> datetime:
    """Refuses an expire_time that is missing, too close, too far or past, by the server's clock.

    Args:
        name: The backup's.
        now: The server's time.
        origin: The create_time that the window counts from: for an update the backup's own
            (https://docs.cloud.google.com/sdk/gcloud/reference/spanner/backups/update-metadata, documented), for a
            copy the source's
            (https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/copy,
            documented).
        expire_time: As requested.
    """
    in_window = expire_time is not None and origin + RETENTION_MIN <= expire_time <= origin + RETENTION_MAX
    if expire_time is None or not in_window or expire_time <= now:
        raise refusals.bad_expire_time(name, origin, expire_time)
    return expire_time


def check_version_time(name: str, now: datetime, database: Database, version_time: datetime | None) -> None:
    """Refuses to back up the future, or a past that the database does not keep or did not have."""
    if version_time is None:
        return
    if version_time > now:
        raise refusals.version_time_in_future(name)
    if database.create_time is not None and version_time < database.create_time:
        raise refusals.version_time_too_early(name)
    if version_time < now - database.version_retention:
        raise refusals.version_time_too_old(name)


def check_unused(backup: Backup) -> None:
    """Refuses to delete a backup that a restore or a copy needs."""
    if backup.referencing_databases or backup.referencing_backups:
        raise refusals.in_use(backup.name, len(backup.referencing_databases), len(backup.referencing_backups))


def check_schedule_retention(retention: timedelta) -> None:
    """Refuses a retention that no backup of a schedule may have, as that of one on demand."""
    if not RETENTION_MIN <= retention <= RETENTION_MAX:
        raise refusals.invalid(f"The retention of a backup schedule must be 6 hours to 366 days, and is {retention}.")
