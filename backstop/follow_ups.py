"""The function's messages to itself. They carry intent and bookkeeping; what is true, Spanner says at every look."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, assert_never

from msgspec import Struct

from backstop.commands import Cancel, Command, Follow, IfCreated, Start, Sweep
from backstop.errors import BadMessageError
from backstop.lifecycle import Intent
from backstop.names import DatabaseName, InstanceName, OperationName
from backstop.pacing import HISTORY_SPREAD

VERSION: Literal[1] = 1
"""The version of the format. A revision reads its own and must know the former one while messages are under way."""


class Trigger(Struct, frozen=True):
    """The command that started it all.

    Attributes:
        message_id: Pub/Sub's id of the command's message, unique within its topic.
        publish_time: When Pub/Sub accepted it, by Google's clock; the time that decides what the command can mean.
        topic: The topic's full name; empty if the push didn't say.
    """

    message_id: str
    publish_time: datetime
    topic: str = ""


class Look(Struct, tag="look", tag_field="kind", frozen=True, kw_only=True, omit_defaults=True):
    """Look at this operation again.

    Attributes:
        trigger: The command on whose behalf.
        step: How many looks came before, this one included.
        operation: The attempt.
        database: What it backs up; None where Spanner could not be asked.
        intent: Whether the backup is wanted.
        cancel_at: An end no earlier than this, by Spanner's clock, is one of an unwanted backup; None: it is wanted.
        if_created: What becomes of a backup that is not wanted and completed all the same.
        include_scheduled: Whether one made by a native schedule may be stopped and deleted.
        give_up_at: When the chain ends, whatever has become of the operation.
        expected_seconds: How long it should take from its start, judging by earlier ones; None: nothing is known.
        expected_spread: How far off that may be, as a standard deviation of the logarithm.
        percent: The highest progress seen, 0 to 100.
        percent_seconds: How long after the operation's start it was first seen.
        seen_running: Whether a delivery of this command has seen the operation run.
        missing: What the last poll did not find.
        blocked: Whether `DELETE_BLOCKED` has been reported.
        failures: How many looks in a row Google has refused.
        v: The version of the format.
    """

    trigger: Trigger
    step: int
    operation: OperationName
    intent: Intent
    give_up_at: datetime
    database: DatabaseName | None = None
    cancel_at: datetime | None = None
    if_created: IfCreated = IfCreated.DELETE
    include_scheduled: bool = False
    expected_seconds: int | None = None
    expected_spread: float = HISTORY_SPREAD
    percent: int | None = None
    percent_seconds: int = 0
    seen_running: bool = False
    missing: Literal["operation", "backup"] | None = None
    blocked: bool = False
    failures: int = 0
    v: Literal[1] = VERSION


class PutBack(Struct, tag="put-back", tag_field="kind", frozen=True, kw_only=True, omit_defaults=True):
    """Carry out this command, which could not be carried out before.

    Attributes:
        trigger: The message that the command came in.
        step: How often it has been put back, this time included.
        command: The command as it was given.
        failures: How often in a row.
        v: The version of the format.
    """

    trigger: Trigger
    step: int
    command: Start | Cancel | Follow | Sweep
    failures: int = 0
    v: Literal[1] = VERSION


class FanOut(Struct, tag="fan-out", tag_field="kind", frozen=True, kw_only=True, omit_defaults=True):
    """List an instance's databases, then start the backups of those that are left, one a delivery.

    Attributes:
        trigger: The message that the command came in.
        step: How many deliveries came before, this one included.
        command: The command as it was given, for the whole instance.
        left: The ids of the databases still to be started, in order; None: they are still to be listed.
        started: The ids of those whose backup was started.
        refused: For each id whose backup was not started, why not.
        failures: How often in a row Google has refused to list them or to look at the next one.
        v: The version of the format.
    """

    trigger: Trigger
    step: int
    command: Start
    left: tuple[str, ...] | None = None
    started: tuple[str, ...] = ()
    refused: dict[str, str] = {}
    failures: int = 0
    v: Literal[1] = VERSION

    def __post_init__(self) -> None:
        """Checks what a follow-up of ours always holds, as whoever may publish to its topic can write another."""
        if self.command.instance is None:
            raise BadMessageError("command.instance", None, "must be given in a fan-out")
        for database_id in self.left or ():
            try:
                DatabaseName(f"{self.command.instance}/databases/{database_id}")
            except ValueError as error:
                raise BadMessageError("left", database_id, "must be the ids of databases") from error

    @property
    def instance(self) -> InstanceName:
        """The instance that the command is for."""
        assert self.command.instance is not None  # noqa: S101 a fan-out is only made of such commands
        return self.command.instance


FollowUp = Look | PutBack | FanOut


def identity(follow_up: FollowUp, again: str = "") -> str:
    """The name under which a follow-up can exist only once.

    It is a hash of the command's topic and message id, what the chain is about, and the step. Two deliveries of one
    message make the same follow-up; the chains of different commands never do. Hashed, as Cloud Tasks asks for, because
    names with a common prefix slow a queue down.
    https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#createtaskrequest (documented)

    Args:
        follow_up: What is to be named.
        again: For what is put back: the period in which it is due. A put-back of the same that still waits has the
            same name, however many deliveries make one, and one that has come and gone hasn't.

    Returns:
        64 hexadecimal digits: a valid task id.
    """
    match follow_up:
        case Look(operation=operation, step=step):
            about = f"look {operation}\n{step}"
        case PutBack(command=command):
            about = f"put-back {target(command)}"
        case FanOut(instance=instance, step=step):
            about = f"fan-out {instance}\n{step}"
        case _:
            assert_never(follow_up)
    text = f"{follow_up.trigger.topic}\n{follow_up.trigger.message_id}\n{about}\n{again}"
    return hashlib.sha256(text.encode()).hexdigest()


def target(command: Command) -> str:
    """The full name of what a command is about."""
    match command:
        case Start(database=database, instance=instance):
            return str(database or instance)
        case Cancel(operation=operation, backup=backup, database=database):
            return str(operation or backup or database)
        case Follow(operation=operation, backup=backup, database=database):
            return str(operation or backup or database)
        case Sweep(instance=instance):
            return str(instance)
        case _:
            assert_never(command)
