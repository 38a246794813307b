"""What is published about a command or an operation: the outcomes, and an event with all that is known of one."""

import enum
import hashlib
from datetime import datetime
from typing import Any, Self

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from backstop.commands import Command
from backstop.errors import shortened
from backstop.names import BackupName, DatabaseName, OperationName
from backstop.operations import Backup, Failure, Operation

# A backup that completed is billed for at least this long, and one that was cancelled for nothing.
# https://cloud.google.com/spanner/docs/backup#pricing (documented)
BILLED_HOURS_MIN = 24

# Of an event's attribute. https://cloud.google.com/pubsub/quotas#resource_limits (documented)
ATTRIBUTE_BYTES_MAX = 1024

TEXT_BYTES_MAX = 4096  # Of a shortened detail. Why each of many databases was not started has an attribute's length.


# fmt: off
class Outcome(enum.StrEnum):
    """How a command or an operation ended, or a step on the way that somebody may be waiting for.

    Each with the log's severity (INFO; WARNING, somebody may want to look; ERROR, somebody must), what it means, and
    what to do about it. `make diagram` makes the README's table of them.
    """

    STARTED = "STARTED", "INFO", "Spanner accepted the backup, and Backstop follows it; for an instance start, the list of those started", "wait"
    CANCEL_REQUESTED = "CANCEL_REQUESTED", "INFO", "Spanner accepted the cancel; the backup may complete all the same", "wait"
    COMPLETED = "COMPLETED", "INFO", "the backup exists and is kept", "nothing"
    CANCELLED = "CANCELLED", "INFO", "the cancel won: this attempt left no backup, and nothing is billed for it", "nothing"
    COMPLETED_THEN_DELETED = "COMPLETED_THEN_DELETED", "INFO", "the cancel came too late, and the backup is deleted; a day of it is billed", "nothing"
    COMPLETED_KEPT = "COMPLETED_KEPT", "WARNING", "the cancel came too late, and the backup stays; `detail` says why", "decide about the backup"
    COMPLETED_DESPITE_CANCEL = "COMPLETED_DESPITE_CANCEL", "WARNING", "a cancel that this command did not ask for came too late; `detail` says whether the backup is there", "decide about the backup"
    FAILED = "FAILED", "WARNING", "Spanner gave up; `error` has its words", "read them, start again"
    GONE = "GONE", "WARNING", "Spanner doesn't know the operation, or has forgotten it", "check the name, look whether the backup exists"
    DELETE_BLOCKED = "DELETE_BLOCKED", "WARNING", "a restore or a copy still needs the backup; published once, then tried again; after a sweep, only by the next sweep", "wait"
    GAVE_UP = "GAVE_UP", "ERROR", "the time is up; `detail` says what stood in the way, and when a backup that could not be deleted expires", "look into it"
    NOTHING_TO_CANCEL = "NOTHING_TO_CANCEL", "INFO", "nothing ran when the command was published; `detail` says what ended last and how to delete it", "check the name"
    REJECTED = "REJECTED", "ERROR", "the message is invalid, it is unclear which operation it means, or Google refused; `detail` and `error` say why", "correct it, or name the operation, and publish again"
    DRY_RUN = "DRY_RUN", "INFO", "what would have been done", "nothing"
    # fmt: on

    severity: str
    meaning: str
    to_do: str

    def __new__(cls, name: str, severity: str = "", meaning: str = "", to_do: str = "") -> Self:
        """Keeps what is the same for each event of an outcome beside its name."""
        outcome = str.__new__(cls, name)
        outcome._value_, outcome.severity, outcome.meaning, outcome.to_do = name, severity, meaning, to_do
        return outcome


# The outcomes after which another one follows; every other one is the last word on its command.
ON_THE_WAY = frozenset({Outcome.STARTED, Outcome.CANCEL_REQUESTED, Outcome.DELETE_BLOCKED})

# What is told of one command, and not of the operation itself: another command's is another event.
OF_COMMANDS = frozenset({Outcome.DRY_RUN, Outcome.REJECTED, Outcome.NOTHING_TO_CANCEL, Outcome.GAVE_UP})


class Trigger(Struct, frozen=True, omit_defaults=True):
    """The command on whose behalf something is done."""

    message_id: str  # Pub/Sub's id of the command's message, unique within its topic.
    publish_time: datetime  # When Pub/Sub accepted it, by Google's clock; it decides what the command can mean.
    topic: str = ""  # The topic's full name; empty if the push didn't say.
    action: str = ""  # What the command asks for, such as `start`; empty of a message that can't be understood.
    requested_by: str = ""  # Who asked, as the command claims.
    reason: str = ""  # Why, likewise.


class Billed(Struct, frozen=True, omit_defaults=True):
    """What Spanner will charge for at least: so many hours of so many bytes."""

    hours_min: int
    size_bytes: int | None = None  # None if it is nothing, or unknown.


class Databases(Struct, frozen=True):
    """What a start of many came to, by the databases' ids."""

    started: tuple[str, ...]
    not_started: dict[str, str]  # Each with why not.


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One outcome, with all that is known."""

    outcome: Outcome
    detail: str  # One sentence that a person can act on.
    trigger: Trigger
    subject: str  # The full name of what the outcome is about.
    field: str | None = None  # Where the mistake is, in a message or in a request that Google refuses.
    operation: OperationName | None = None
    backup: BackupName | None = None
    database: DatabaseName | None = None
    error: Failure | None = None  # What Google said.
    create_time: datetime | None = None  # When the operation, and so the backup, was started.
    end_time: datetime | None = None  # When the operation ended.
    expire_time: datetime | None = None  # When Spanner deletes the backup by itself.
    size_bytes: int | None = None  # The backup's size, as Spanner says it now.
    freed_bytes: int | None = None  # What its deletion frees.
    steps: int | None = None  # How many polls it took.
    billed: Billed | None = None  # What it costs at least.
    databases: Databases | None = None  # For a start of many.
    severity: str | None = None  # The log's, where it isn't the outcome's usual one.

    @property
    def event_id(self) -> str:
        """The same for every publishing of the same outcome, so that a reader can drop the second one."""
        command = f"{self.trigger.topic} {self.trigger.message_id}"
        about = f"{self.operation} {command}" if self.outcome in OF_COMMANDS else self.operation or command
        return hashlib.sha256(f"{about}\n{self.outcome}".encode()).hexdigest()[:32]

    @property
    def log_severity(self) -> str:
        """Whether somebody has to look."""
        usual = self.outcome.severity
        partly = usual == "INFO" and self.databases is not None and self.databases.not_started
        return self.severity or ("WARNING" if partly else usual)


def on_behalf_of(trigger: Trigger) -> dict[str, object]:
    """A command as it is told in events and in the log: who claims to have asked for it, and why, stand beside it."""
    said: dict[str, object] = to_builtins(trigger, enc_hook=str)
    claims: dict[str, object] = {claim: said.pop(claim) for claim in ("requested_by", "reason") if claim in said}
    return {"trigger": said, **claims}


def of_operation(
    outcome: Outcome,
    detail: str,
    trigger: Trigger,
    operation: Operation,
    found: Backup | None = None,
    **more: Any,  # noqa: ANN401 fields of an event
) -> Event:
    """An outcome of one operation as it was last seen, with its backup as found, or else as the operation says."""
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
        error=more.pop("error", None) or operation.error,
        create_time=operation.start_time,
        end_time=operation.end_time,
        expire_time=backup.expire_time if backup else None,
        size_bytes=(backup.size_bytes or None) if backup else None,
        freed_bytes=freed_bytes,
        billed=billed,
        **more,
    )


def of_command(outcome: Outcome, detail: str, trigger: Trigger, command: Command, **more: Any) -> Event:  # noqa: ANN401 as above
    """An outcome of a command that came to no operation."""
    named = {field: getattr(command, field, None) for field in ("operation", "backup", "database")}
    return Event(outcome=outcome, detail=detail, trigger=trigger, subject=command.target, **{**named, **more})


def cut(event: Event) -> Event:
    """An event whose texts are shortened, so that it fits into a message."""
    databases = event.databases
    if databases is not None:
        why = {name: shortened(text, ATTRIBUTE_BYTES_MAX) for name, text in databases.not_started.items()}
        databases = replace(databases, not_started=why)
    return replace(event, detail=shortened(event.detail, TEXT_BYTES_MAX), databases=databases)
