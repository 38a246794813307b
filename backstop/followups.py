"""The function's messages to itself. They carry intent and bookkeeping; what is true, Spanner says at every poll."""

import enum
import hashlib
from datetime import datetime
from typing import Literal, assert_never

from msgspec import Struct

from backstop.commands import Cancel, Follow, IfCreated, Start, Sweep
from backstop.errors import BadMessageError
from backstop.events import Outcome, Trigger
from backstop.names import DatabaseName, InstanceName, OperationName

# The version of the format. A revision reads its own and must know the former one while messages are under way.
VERSION = 1


class Intent(enum.StrEnum):
    """Whether the backup is wanted."""

    KEEP = "KEEP"
    CANCEL = "CANCEL"


class _FollowUp(Struct, tag_field="kind", frozen=True, kw_only=True, omit_defaults=True):
    """What every follow-up says."""

    trigger: Trigger  # The command on whose behalf.
    step: int  # How many follow-ups there were, this one included.
    failures: int = 0  # How often in a row Google has refused what it asks for.


class Poll(_FollowUp, frozen=True, kw_only=True, tag="poll"):
    """Poll this operation."""

    operation: OperationName
    intent: Intent
    give_up_at: datetime  # When the chain ends, whatever has become of the operation.
    database: DatabaseName | None = None  # None where Spanner could not be asked.
    unwanted_from: datetime | None = None  # An end no earlier, by Spanner's clock, is one of an unwanted backup.
    if_created: IfCreated = IfCreated.DELETE  # What to do with a backup that is not wanted and completed all the same.
    include_scheduled: bool = False  # Whether one made by a native schedule may be stopped and deleted.
    expected_seconds: int | None = None  # How long it should take from its start, judging by earlier ones.
    expected_spread: float = 0.0  # How far off that may be, as a standard deviation of the logarithm.
    percent: int | None = None  # The highest progress seen, 0 to 100.
    percent_seconds: int = 0  # How long after the operation's start it was first seen.
    seen_running: bool = False  # Whether a delivery of this command has seen the operation run.
    missing: Literal["operation", "backup"] | None = None  # What the last poll did not find.
    told: tuple[Outcome, ...] = ()  # The outcomes on the way that this chain has published.


class Retry(_FollowUp, frozen=True, kw_only=True, tag="retry"):
    """Carry out this command, as it was given, which could not be carried out before."""

    command: Start | Cancel | Follow | Sweep


class FanOut(_FollowUp, frozen=True, kw_only=True, tag="fan-out"):
    """List an instance's databases, then start the backups of those that are left, one a delivery."""

    command: Start  # As it was given, for the whole instance.
    left: tuple[str, ...] | None = None  # The ids of those still to be started, in order; None: still to be listed.
    started: tuple[str, ...] = ()  # The ids of those whose backup was started.
    refused: dict[str, str] = {}  # For each id whose backup was not started, why not.

    def __post_init__(self) -> None:
        """Checks what a follow-up of ours always holds, as whoever may publish to its topic can write another."""
        if self.command.instance is None:
            raise BadMessageError("command.instance", None, "must be given in a fan-out")
        for database_id in self.left or ():
            try:
                self.database(database_id)
            except ValueError as error:
                raise BadMessageError("left", database_id, "must be the ids of databases") from error

    @property
    def instance(self) -> InstanceName:
        """The instance that the command is for."""
        assert self.command.instance is not None  # noqa: S101 a fan-out is only made of such commands
        return self.command.instance

    def database(self, database_id: str) -> DatabaseName:
        """The instance's database of that id."""
        return DatabaseName(f"{self.instance}/databases/{database_id}")


FollowUp = Poll | Retry | FanOut


def identity(follow_up: FollowUp, again: str = "") -> str:
    """The name under which a follow-up can exist only once: 64 hexadecimal digits, a valid task id.

    It is a hash of the command's topic and message id, what the chain is about, and the step. Two deliveries of one
    message make the same follow-up; the chains of different commands never do. Hashed, as Cloud Tasks asks for, because
    names with a common prefix slow a queue down.
    https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest (documented)

    Args:
        follow_up: What is to be named.
        again: For what is retried: the period in which it is due. A retry of the same that still waits has the same
            name, however many deliveries make one, and one that has come and gone hasn't.
    """
    match follow_up:
        case Poll():
            about = f"poll {follow_up.operation} {follow_up.step}"
        case Retry():
            about = f"retry {follow_up.command.target}"
        case FanOut():
            about = f"fan-out {follow_up.instance} {follow_up.step}"
        case _:
            assert_never(follow_up)
    text = f"{follow_up.trigger.topic}\n{follow_up.trigger.message_id}\n{about}\n{again}"
    return hashlib.sha256(text.encode()).hexdigest()
