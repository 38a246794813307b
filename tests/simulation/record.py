"""All that the checker may look at: what happened, as the services saw it, and which calls were let fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.spanner.history import Event
from tests.simulation.history import MORE_COMMANDS, Deployment


def command_key(topic: str, message_id: str) -> str:
    """What tells two commands apart: the id, and the topic where it isn't the usual one."""
    return f"{message_id} of {topic}" if topic == MORE_COMMANDS else message_id


@dataclass(frozen=True, slots=True)
class Published:
    """A message that somebody published for the function.

    Attributes:
        at: When, by Spanner's clock: the true time, whatever the message says.
        topic: Where.
        message: The message.
        odd: What is wrong with it; empty: nothing.
    """

    at: datetime
    topic: str
    message: pb.PubsubMessage
    odd: str = ""

    @property
    def key(self) -> str:
        """As in `command_key`."""
        return command_key(self.topic, self.message.message_id)


@dataclass(frozen=True, slots=True)
class Logged:
    """One line in the log that says that a backup is about to be deleted.

    Attributes:
        delivery: Which delivery wrote it.
        backup: Which backup.
        why: Why.
        calls: How many calls there were before it.
    """

    delivery: int
    backup: str
    why: str
    calls: int


@dataclass(slots=True)
class Call:
    """One call of the function's.

    Attributes:
        number: Its place among all calls.
        delivery: Which delivery made it.
        method: The RPC.
        resource: What it is about.
        at: When, by Spanner's clock.
        since: How many of Spanner's events were there before it.
        until: How many after its effect; as before where it had none.
    """

    number: int
    delivery: int
    method: str
    resource: str
    at: datetime
    since: int
    until: int


@dataclass(slots=True)
class Delivery:
    """One delivery to the function.

    Attributes:
        number: Its place among all deliveries.
        message: What was delivered.
        topic: Where it came from.
        attempt: The how-manieth of its copy, from 1.
        begin: When, by Spanner's clock.
        now: The same by the function's clock.
        end: When it was answered, or died.
        status: The answer; 0: none.
        calls: How many calls it made, those included that came to nothing.
        spanner_calls: How many of them to Spanner.
        refused: The calls that a fault refused, before or after their effect, each with its code.
    """

    number: int
    message: pb.PubsubMessage
    topic: str
    attempt: int
    begin: datetime
    now: datetime
    end: datetime
    status: int = 0
    calls: int = 0
    spanner_calls: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Told:
    """One outcome that was published.

    Attributes:
        at: When, by Spanner's clock.
        delivery: Which delivery told it.
        message: What was published.
    """

    at: datetime
    delivery: int
    message: pb.PubsubMessage


@dataclass(frozen=True, slots=True)
class Waiting:
    """One follow-up that was handed to the queue.

    Attributes:
        at: When, by Spanner's clock.
        delivery: Which delivery did it.
        name: The task's.
        due: When it is to be published, by the queue's clock.
        data: The follow-up.
    """

    at: datetime
    delivery: int
    name: str
    due: datetime
    data: bytes


@dataclass(slots=True)
class Record:
    """Everything that happened.

    Attributes:
        deployment: What the operator chose.
        function_skew_s: How far the function's clock was ahead, in seconds.
        events: Spanner's own record.
        databases: What each operation backs up.
        calls: What the function did to the services, in order.
        deliveries: What was delivered to the function, in order.
        published: What people published on the topics for commands, in order.
        told: The outcomes.
        logged: The lines about deletions.
        tasks: The follow-ups that were made, in order.
        dispatched: When each task was done with, by name; those that were purged have none.
        purged: The names of tasks that a purge dropped.
        forgotten: The names that the queue forgot too early.
        dead: The last delivery of each message that became a dead letter.
        healed_at: When the faults stopped.
        quiet_from: From when on nothing went wrong any more, which may have been earlier.
        ended_at: When nothing was left to do.
        unfinished: What was left to do when the history was stopped all the same.
        raised: What the function raised and shouldn't have.
        counts: How often each fault took effect.
        republished: The message that replaced a lost command, by that one's key.
        unreadable: The operations that don't say when they started.
        unexplained: The operations that end without an answer or an error.
        misread: The backups that Spanner once said something wrong about.
        faults_known: Whether it says of every fault where it was; over the wire nobody can.
        last_sweep: The message of the sweep after which nothing lost may be left.
    """

    deployment: Deployment
    function_skew_s: float
    events: Sequence[Event] = ()
    databases: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    logged: list[Logged] = field(default_factory=list)
    tasks: list[Waiting] = field(default_factory=list)
    dispatched: dict[str, datetime] = field(default_factory=dict)
    purged: dict[str, datetime] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    dead: list[Delivery] = field(default_factory=list)
    healed_at: datetime | None = None
    quiet_from: datetime | None = None
    ended_at: datetime | None = None
    unfinished: str = ""
    raised: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    republished: dict[str, str] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    unexplained: set[str] = field(default_factory=set)
    misread: set[str] = field(default_factory=set)
    faults_known: bool = True
    last_sweep: str = ""
