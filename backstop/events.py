"""What is published about a command or an operation: the outcomes, and an event with all that is known of one."""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from backstop.errors import shortened
from backstop.names import BackupName, DatabaseName, OperationName
from backstop.operations import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstop.commands import Command
    from backstop.operations import Backup, Operation

BILLED_HOURS_MIN = 24
"""A backup that completed is billed for at least this long, and one that was cancelled for nothing.

https://cloud.google.com/spanner/docs/backup#pricing (documented)
"""

ATTRIBUTE_BYTES_MAX = 1024
"""Of an event's attribute. https://cloud.google.com/pubsub/quotas#resource_limits (documented)"""

TEXT_BYTES_MAX = 4096
"""Of a shortened detail. Why each of many databases was not started is told in as many bytes as an attribute has: with
1,500 databases that is a sixth of what a message may hold."""


class Outcome(enum.StrEnum):
    """How a command or an operation ended, or a step on the way that somebody may be waiting for."""

    STARTED = "STARTED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    COMPLETED_THEN_DELETED = "COMPLETED_THEN_DELETED"
    COMPLETED_KEPT = "COMPLETED_KEPT"
    COMPLETED_DESPITE_CANCEL = "COMPLETED_DESPITE_CANCEL"
    FAILED = "FAILED"
    GONE = "GONE"
    DELETE_BLOCKED = "DELETE_BLOCKED"
    GAVE_UP = "GAVE_UP"
    NOTHING_TO_CANCEL = "NOTHING_TO_CANCEL"
    REJECTED = "REJECTED"
    DRY_RUN = "DRY_RUN"


class About(NamedTuple):
    """What an outcome means, and how it is told.

    Attributes:
        severity: The log's: INFO; WARNING, somebody may want to look; ERROR, somebody must.
        meaning: What has happened.
        to_do: What the reader can do.
    """

    severity: str
    meaning: str
    to_do: str


OUTCOMES: Mapping[Outcome, About] = {
    Outcome.STARTED: About(
        "INFO", "Spanner accepted the backup, and Backstop follows it; or: of many, these were started", "wait"
    ),
    Outcome.CANCEL_REQUESTED: About(
        "INFO", "Spanner accepted the cancel; the backup may complete all the same", "wait"
    ),
    Outcome.COMPLETED: About("INFO", "the backup exists and is kept", "nothing"),
    Outcome.CANCELLED: About("INFO", "the cancel won: there is no backup, and nothing is billed", "nothing"),
    Outcome.COMPLETED_THEN_DELETED: About(
        "INFO", "the cancel came too late, and the backup is deleted; a day of it is billed", "nothing"
    ),
    Outcome.COMPLETED_KEPT: About(
        "WARNING", "the cancel came too late, and the backup stays; `detail` says why", "decide about the backup"
    ),
    Outcome.COMPLETED_DESPITE_CANCEL: About(
        "WARNING",
        "someone else's cancel came too late; that cancel's outcome says what became of the backup",
        "see there",
    ),
    Outcome.FAILED: About("WARNING", "Spanner gave up; `error` has its words", "read them, start again"),
    Outcome.GONE: About("WARNING", "Spanner doesn't know the operation, or no longer", "check the name"),
    Outcome.DELETE_BLOCKED: About(
        "WARNING", "a restore or a copy still needs the backup; published once, then tried again", "wait"
    ),
    Outcome.GAVE_UP: About(
        "ERROR",
        "the time is up: `detail` says what stood in the way; a backup that could not be deleted expires as early as"
        " Spanner allows",
        "look into it",
    ),
    Outcome.NOTHING_TO_CANCEL: About(
        "INFO",
        "nothing ran when the command was published; `detail` says what ended last and how to delete it",
        "check the name",
    ),
    Outcome.REJECTED: About(
        "ERROR",
        "the message is invalid, several operations may be meant, or Google refused; `detail` and `error` say why",
        "correct it, publish again",
    ),
    Outcome.DRY_RUN: About("INFO", "what would have been done", "nothing"),
}
"""Everything that is the same for each outcome; the table of the README is made of it."""

ON_THE_WAY = frozenset({Outcome.STARTED, Outcome.CANCEL_REQUESTED, Outcome.DELETE_BLOCKED})
"""The outcomes after which another one follows; every other one is the last word on its command."""

OF_COMMANDS = frozenset({Outcome.DRY_RUN, Outcome.REJECTED, Outcome.NOTHING_TO_CANCEL, Outcome.GAVE_UP})
"""What is told of one command, and not of the operation itself: another command's is another event."""


class Trigger(Struct, frozen=True, omit_defaults=True):
    """The command on whose behalf something is done.

    Attributes:
        message_id: Pub/Sub's id of the command's message, unique within its topic.
        publish_time: When Pub/Sub accepted it, by Google's clock; the time that decides what the command can mean.
        topic: The topic's full name; empty if the push didn't say.
        action: What the command asks for, such as `start`; empty of a message that can't be understood.
        requested_by: Who asked, as the command claims.
        reason: Why, likewise.
    """

    message_id: str
    publish_time: datetime
    topic: str = ""
    action: str = ""
    requested_by: str = ""
    reason: str = ""


class Billed(Struct, frozen=True, omit_defaults=True):
    """What Spanner will charge for at least: so many hours of so many bytes; no bytes if it is nothing, or unknown."""

    hours_min: int
    size_bytes: int | None = None


class Databases(Struct, frozen=True):
    """What a start of many came to: the ids of the databases that were started; of the others, each with why not."""

    started: tuple[str, ...]
    not_started: dict[str, str]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One outcome, with all that is known.

    Attributes:
        outcome: What it is.
        detail: One sentence that a person can act on.
        trigger: The command on whose behalf.
        subject: The full name of what the outcome is about.
        field: Where the mistake is, in a message that could not be understood or a request that Google refuses.
        operation: The attempt.
        backup: The backup that it makes or made.
        database: The database.
        error: What Google said.
        create_time: When the operation, and so the backup, was started.
        end_time: When the operation ended.
        expire_time: When Spanner deletes the backup by itself.
        size_bytes: The backup's size, as Spanner says it now; None if it doesn't.
        freed_bytes: What its deletion frees.
        steps: How many polls it took.
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
    error: Failure | None = None
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
        """The same for every publishing of the same outcome, so that a reader can drop the second one."""
        command = f"{self.trigger.topic} {self.trigger.message_id}"
        about = f"{self.operation} {command}" if self.outcome in OF_COMMANDS else self.operation or command
        return hashlib.sha256(f"{about}\n{self.outcome}".encode()).hexdigest()[:32]

    @property
    def log_severity(self) -> str:
        """Whether somebody has to look."""
        usual = OUTCOMES[self.outcome].severity
        partly = usual == "INFO" and self.databases is not None and self.databases.not_started
        return self.severity or ("WARNING" if partly else usual)


def of_operation(
    outcome: Outcome,
    detail: str,
    trigger: Trigger,
    operation: Operation,
    *,
    found: Backup | None = None,
    steps: int | None = None,
    error: Failure | None = None,
) -> Event:
    """An outcome of one operation, as it was last seen.

    Args:
        outcome: What it is.
        detail: One sentence.
        trigger: The command on whose behalf.
        operation: The operation.
        found: Its backup as it was last seen; None takes the operation's response.
        steps: How many polls it took.
        error: What Google said, where it isn't the operation's own error.
    """
    backup, billed, freed_bytes = found or operation.response, None, None
    if outcome is Outcome.CANCELLED:
        billed = Billed(0)
    if outcome is Outcome.COMPLETED_THEN_DELETED:
        billed = Billed(BILLED_HOURS_MIN, (backup.exclusive_size_bytes or None) if backup else None)
        freed_bytes = (backup.freeable_size_bytes or None) if backup else None
    return Event(
        outcome=outcome,
        detail=detail,
        trigger=trigger,
        subject=operation.backup,
        operation=operation.name,
        backup=operation.backup,
        database=operation.database,
        error=error or operation.error,
        create_time=operation.start_time,
        end_time=operation.end_time,
        expire_time=backup.expire_time if backup else None,
        size_bytes=(backup.size_bytes or None) if backup else None,
        freed_bytes=freed_bytes,
        steps=steps,
        billed=billed,
    )


def of_command(
    outcome: Outcome, detail: str, trigger: Trigger, command: Command, error: Failure | None = None
) -> Event:
    """An outcome of a command that came to no operation."""
    return Event(
        outcome=outcome,
        detail=detail,
        trigger=trigger,
        subject=command.target,
        operation=getattr(command, "operation", None),
        backup=getattr(command, "backup", None),
        database=getattr(command, "database", None),
        error=error,
    )


def cut(event: Event) -> Event:
    """An event whose texts are shortened, so that it fits into a message."""
    databases = event.databases
    if databases is not None:
        why = {name: shortened(text, ATTRIBUTE_BYTES_MAX) for name, text in databases.not_started.items()}
        databases = replace(databases, not_started=why)
    return replace(event, detail=shortened(event.detail, TEXT_BYTES_MAX), databases=databases)
