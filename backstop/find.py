"""Which operation a command means. Spanner's list is the record; nothing here asks it, the caller did."""

from __future__ import annotations

import fnmatch
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from backstop.lifecycle import GRACE
from backstop.names import BACKUP_ID_LENGTH_MAX, BackupId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backstop.follow_ups import Trigger
    from backstop.names import BackupName, DatabaseName
    from backstop.ports import Operation

CLOCK_MARGIN = timedelta(seconds=10)
"""How far Pub/Sub's clock and Spanner's may disagree about which of two events came first."""


def derived_backup_id(database: DatabaseName, trigger: Trigger) -> BackupId:
    """The id of a backup whose command named none: the same for every delivery of the message, and no other.

    Returns:
        `<database>-<YYYYMMDD>-<HHMMSS>-<4 hex>`, with the time of publishing in UTC.
    """
    suffix = f"-{trigger.publish_time:%Y%m%d-%H%M%S}-{hashlib.sha256(trigger.message_id.encode()).hexdigest()[:4]}"
    return BackupId(database.database_id[: BACKUP_ID_LENGTH_MAX - len(suffix)] + suffix)


def own_attempt(
    operations: Sequence[Operation], backup: BackupName, database: DatabaseName, trigger: Trigger, *, derived: bool
) -> Operation | None:
    """The operation that an earlier delivery of the same start made; None if none did.

    It makes the same backup of the same database and was not started before the message was published. A derived id
    is proof by itself. Of several, the first is ours: what was started under the name later is somebody else's.
    """
    attempts = [
        operation
        for operation in operations
        if operation.backup == backup
        and operation.database == database
        and (derived or operation.start_time >= trigger.publish_time - CLOCK_MARGIN)
    ]
    return min(attempts, key=lambda operation: operation.start_time, default=None)


def running(operations: Sequence[Operation], published: datetime) -> list[Operation]:
    """The operations that a command published then can have meant and that still run, the newest first.

    What was started after the command was published can't be meant, however late the command arrives.
    """
    meant = [operation for operation in operations if not operation.done and operation.start_time <= published]
    return sorted(meant, key=lambda operation: operation.start_time, reverse=True)


def lately_ended(operations: Sequence[Operation], published: datetime) -> Operation | None:
    """The operation that lost the race against a cancel published then; None if there was no race.

    Of those that ended within the grace before it, or since, the newest; one made on demand rather than by a
    schedule, which is known of those that succeeded.
    """
    ended = [
        operation
        for operation in operations
        if operation.end_time is not None
        and operation.start_time <= published
        and operation.end_time >= published - GRACE
    ]
    return max(ended, key=lambda operation: (not is_scheduled(operation), operation.start_time), default=None)


def newest(operations: Sequence[Operation], published: datetime) -> Operation | None:
    """The operation that a `follow` published then means: one that runs, or else the one started last."""
    meant = [operation for operation in operations if operation.start_time <= published]
    return max(meant, key=lambda operation: (not operation.done, operation.start_time), default=None)


def is_scheduled(operation: Operation) -> bool:
    """Whether the operation's result says that a native schedule made it; while it runs, only the backup says so."""
    return operation.response is not None and bool(operation.response.schedules)


def matching(databases: Sequence[DatabaseName], patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which databases of an instance a start means.

    Args:
        databases: All of the instance's databases.
        patterns: Shell-style patterns for their ids; none means all.

    Returns:
        The ids that match, in the databases' order, and the patterns that match nothing.
    """
    ids = [database.database_id for database in databases]
    wanted = patterns or ["*"]
    found = [database_id for database_id in ids if any(fnmatch.fnmatchcase(database_id, p) for p in wanted)]
    idle = [pattern for pattern in patterns if not fnmatch.filter(ids, pattern)]
    return found, idle
