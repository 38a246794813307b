"""Which operation a command means. Spanner's list is the record; nothing here asks it, the caller did."""

from __future__ import annotations

import fnmatch
import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from backstop.lifecycle import GRACE
from backstop.names import BackupId

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
    return BackupId.derived(database.database_id, suffix)


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


def ran(operation: Operation, published: datetime) -> bool:
    """Whether an operation ran when a command was published.

    What a command means is decided by how things stood then, and not by when it arrives: brought again hours later,
    it must not turn to another operation. What was started after it was published can't be meant in any case.
    """
    return operation.start_time <= published and (operation.end_time is None or operation.end_time > published)


def running(operations: Sequence[Operation], published: datetime) -> list[Operation]:
    """The operations that a cancel published then can mean, the newest first: they ran, and there is a use in it.

    There is none for what has ended since without a backup.
    """
    meant = [
        operation
        for operation in operations
        if ran(operation, published) and (not operation.done or operation.response is not None)
    ]
    return sorted(meant, key=lambda operation: operation.start_time, reverse=True)


def lately_ended(
    operations: Sequence[Operation], published: datetime, *, include_scheduled: bool = False
) -> Operation | None:
    """The operation that a cancel published then means if it means no `running` one; None if there was no race either.

    It is one that ran then and has come to nothing since, or else one that lost the race because it ended within the
    grace before: of several the newest, and one made on demand rather than by a schedule unless those are included.
    """
    ended = [
        operation
        for operation in operations
        if operation.end_time is not None
        and operation.start_time <= published
        and operation.end_time >= published - GRACE
    ]
    return max(
        ended,
        key=lambda operation: (
            ran(operation, published),
            include_scheduled or not is_scheduled(operation),
            # Had the command come before, it would have been cancelled for it.
            ran(operation, published) and operation.cancel_time is not None,
            operation.start_time,
        ),
        default=None,
    )


def newest(operations: Sequence[Operation], published: datetime) -> Operation | None:
    """The operation that a `follow` published then means: the newest that ran, or else the one started last."""
    meant = [operation for operation in operations if operation.start_time <= published]
    return max(meant, key=lambda operation: (ran(operation, published), operation.start_time), default=None)


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
    idle = [pattern for pattern in patterns if not any(fnmatch.fnmatchcase(name, pattern) for name in ids)]
    return found, idle
