"""What is told about how a command or an operation ended."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from backstop.follow_ups import Trigger, target
from backstop.lifecycle import Outcome
from backstop.names import BackupName, DatabaseName, OperationName

if TYPE_CHECKING:
    from backstop.commands import Command
    from backstop.ports import Backup, Operation

BILLED_MIN = timedelta(hours=24)
"""A backup that completed is billed for at least this long, and one that was cancelled for nothing.

https://cloud.google.com/spanner/docs/backup#pricing (documented)
"""


OF_COMMANDS = frozenset({Outcome.DRY_RUN, Outcome.REJECTED, Outcome.NOTHING_TO_CANCEL, Outcome.GAVE_UP})
"""What is told of one command, and not of the operation itself: another command's is another event."""

_DELETES = frozenset({Outcome.COMPLETED_THEN_DELETED})


class Billed(Struct, frozen=True, omit_defaults=True):
    """What Spanner will charge for at least.

    Attributes:
        hours_min: For how many hours.
        size_bytes: For how much; None if it is nothing, or not known.
    """

    hours_min: int
    size_bytes: int | None = None


class ErrorText(Struct, frozen=True):
    """Google's own words.

    Attributes:
        code: The canonical code's name.
        message: The text.
    """

    code: str
    message: str


class Databases(Struct, frozen=True):
    """What a start of many databases came to.

    Attributes:
        started: The ids of the databases whose backup was started.
        not_started: For each id whose backup was not started, why not.
    """

    started: tuple[str, ...]
    not_started: dict[str, str]


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One outcome, with all that is known.

    Attributes:
        outcome: What it is.
        detail: One sentence that a person can act on.
        trigger: The command on whose behalf.
        subject: The full name of what the outcome is about.
        field: Where the mistake is, in a message that could not be understood or a request that Google refuses.
        operation: The attempt.
        backup: The backup that it makes or made.
        database: What it backs up.
        error: What Google said.
        create_time: When the operation, and so the backup, was started.
        end_time: When the operation ended.
        expire_time: When Spanner removes the backup by itself.
        size_bytes: The backup's size, as Spanner says it now; None if it doesn't.
        freed_bytes: What its deletion frees.
        steps: How many looks the chain took.
        billed: What it costs at least.
        databases: For a start of many: what became of each.
        severity: The log's, where it isn't the outcome's usual one.
    """

    outcome: Outcome
    detail: str
    trigger: Trigger
    subject: str
    field: str | None = None
    operation: OperationName | None = None
    backup: BackupName | None = None
    database: DatabaseName | None = None
    error: ErrorText | None = None
    create_time: datetime | None = None
    end_time: datetime | None = None
    expire_time: datetime | None = None
    size_bytes: int | None = None
    freed_bytes: int | None = None
    steps: int | None = None
    billed: Billed | None = None
    databases: Databases | None = None
    severity: str | None = None

    @property
    def event_id(self) -> str:
        """The same for every telling of the same outcome, so that a reader can drop the second one."""
        command = f"{self.trigger.topic} {self.trigger.message_id}"
        about = self.operation or command
        if self.outcome in OF_COMMANDS:
            about = f"{self.operation} {command}"
        return hashlib.sha256(f"{about}\n{self.outcome}".encode()).hexdigest()[:32]

    @property
    def event_type(self) -> str:
        """The CloudEvents type: `backstop.backup.` and the outcome in lower-case words."""
        return "backstop.backup." + self.outcome.lower().replace("_", "-")


def of_operation(
    outcome: Outcome,
    detail: str,
    trigger: Trigger,
    operation: Operation,
    *,
    found: Backup | None = None,
    steps: int | None = None,
    error: ErrorText | None = None,
) -> Result:
    """An outcome about one operation.

    Args:
        outcome: What it is.
        detail: One sentence.
        trigger: The command on whose behalf.
        operation: The operation as it was last seen.
        found: The backup as it was last seen; None takes the operation's response.
        steps: How many looks the chain took.
        error: What Google said, where it isn't the operation's own error.
    """
    backup = found or operation.response
    if error is None and operation.error is not None:
        error = ErrorText(operation.error.code, operation.error.message)
    return Result(
        outcome=outcome,
        detail=detail,
        trigger=trigger,
        subject=operation.backup,
        operation=operation.name,
        backup=operation.backup,
        database=operation.database,
        error=error,
        create_time=operation.start_time,
        end_time=operation.end_time,
        expire_time=backup.expire_time if backup else None,
        size_bytes=(backup.size_bytes or None) if backup else None,
        freed_bytes=(backup.freeable_size_bytes or None) if backup and outcome in _DELETES else None,
        steps=steps,
        billed=_billed(outcome, backup),
    )


def of_command(
    outcome: Outcome,
    detail: str,
    trigger: Trigger,
    command: Command,
    error: ErrorText | None = None,
    severity: str | None = None,
) -> Result:
    """An outcome of a command that came to no operation."""
    subject = target(command)
    return Result(
        outcome=outcome,
        detail=detail,
        trigger=trigger,
        subject=subject,
        operation=getattr(command, "operation", None),
        backup=getattr(command, "backup", None),
        database=getattr(command, "database", None),
        error=error,
        severity=severity,
    )


def _billed(outcome: Outcome, backup: Backup | None) -> Billed | None:
    if outcome is Outcome.CANCELLED:
        return Billed(hours_min=0)
    if outcome is Outcome.COMPLETED_THEN_DELETED:
        hours = int(BILLED_MIN.total_seconds() // 3600)
        return Billed(hours_min=hours, size_bytes=(backup.exclusive_size_bytes or None) if backup else None)
    return None


ATTRIBUTE_BYTES_MAX = 1024
"""Of an event's attribute. https://cloud.google.com/pubsub/quotas#resource_limits (documented)"""

TEXT_BYTES_MAX = 4096
"""Of a shortened detail. What each of many databases has met is told in as many bytes as an attribute: with 1,500
databases that is a sixth of what a message may hold."""


def shortened(result: Result) -> Result:
    """An outcome whose texts are cut, so that it fits into a message."""
    databases = result.databases
    if databases is not None:
        why = {name: cut(text, ATTRIBUTE_BYTES_MAX) for name, text in databases.not_started.items()}
        databases = replace(databases, not_started=why)
    return replace(result, detail=cut(result.detail, TEXT_BYTES_MAX), databases=databases)


def cut(text: str, bytes_max: int) -> str:
    """The beginning of a text that has at most so many bytes in UTF-8."""
    data = text.encode()
    return text if len(data) <= bytes_max else data[: bytes_max - 3].decode(errors="ignore") + "…"
