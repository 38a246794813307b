"""The checker's own reading of a record. It shares no code with the function: what messages mean is said here anew.

Everything comes from the services: Spanner's events, the messages that people published, those that were delivered,
and the outcomes that were told; and from whoever let calls fail, which ones that were.
"""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from emulators.errors import Code
from emulators.spanner.history import What

if TYPE_CHECKING:
    from emulators.pubsub.model import Message
    from tests.simulation.record import Call, Delivery, Record, Told, Waiting

_UNITS_S = {"d": 86400, "h": 3600, "m": 60, "s": 1}

GOOD = "OK"
CANCELLED = "CANCELLED"


@dataclass(slots=True)
class Attempt:
    """One operation and its backup.

    Attributes:
        operation: The operation's name.
        backup: The backup's.
        uid: Which of the backups of that name.
        database: What was backed up; empty for a copy.
        start: When it started.
        maker: `CreateBackup`, `schedule`, or who copied another backup.
        creator: The function's call that started it; None: somebody else's.
        end: When it ended.
        code: How; empty while it runs.
        cancel_at: When a cancel was received.
        canceller: The function's call that asked for it; None: somebody else's.
        gone_at: When the backup ceased to be.
        deleter: The function's call that deleted it.
        forgotten_at: When Spanner forgot the operation.
    """

    operation: str
    backup: str
    uid: int
    database: str
    start: datetime
    maker: str
    creator: Call | None = None
    end: datetime | None = None
    code: str = ""
    cancel_at: datetime | None = None
    canceller: Call | None = None
    gone_at: datetime | None = None
    deleter: Call | None = None
    forgotten_at: datetime | None = None

    @property
    def scheduled(self) -> bool:
        """Whether a native schedule made it."""
        return self.maker == "schedule"

    @property
    def copied(self) -> bool:
        """Whether it is a copy of another backup, which is none of Backstop's business."""
        return self.maker not in {"CreateBackup", "schedule"}

    def running(self, at: datetime) -> bool:
        """Whether it ran then."""
        return self.start <= at and (self.end is None or self.end > at)


@dataclass(slots=True)
class Command:
    """A command as somebody published it.

    Attributes:
        message: The message.
        body: Its fields; empty if it is no command at all.
        deliveries: When it was delivered.
    """

    message: Message
    body: dict[str, object]
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The message's id."""
        return self.message.message_id

    @property
    def action(self) -> str:
        """What it asks for."""
        return str(self.body.get("action", ""))

    @property
    def at(self) -> datetime:
        """When it was published, by Pub/Sub's clock."""
        return self.message.publish_time

    @property
    def dry(self) -> bool:
        """Whether it asks for nothing to be done."""
        return self.body.get("dry_run") is True

    def span(self, name: str) -> timedelta | None:
        """A field that is a duration."""
        text = self.body.get(name)
        if not isinstance(text, str):
            return None
        return timedelta(seconds=sum(int(n) * _UNITS_S[unit] for n, unit in re.findall(r"(\d+)([dhms])", text)))

    @property
    def deletes(self) -> bool:
        """Whether it wants what completed all the same to be deleted."""
        default = "keep" if self.action == "sweep" else "delete"
        return self.body.get("if_created", default) == "delete" and not self.dry

    @property
    def includes_scheduled(self) -> bool:
        """Whether it is for what native schedules made, too."""
        return self.body.get("include_scheduled") is True


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome that was told.

    Attributes:
        told: When and by whom.
        id: Its `ce-id`.
        name: What it is.
        command: The message id of the command that it is for.
        operation: The operation that it is about; empty for none.
        detail: The sentence.
        error: The code that it says Google refused something with; empty for none.
        databases: Of a start of many: whether each database's backup was started, by its id; None if it doesn't say.
    """

    told: Told
    id: str
    name: str
    command: str
    operation: str
    detail: str
    error: str
    databases: dict[str, bool] | None

    @property
    def is_summary(self) -> bool:
        """Whether it is about the whole of a command."""
        return not self.operation


@dataclass(frozen=True, slots=True)
class FollowUp:
    """One follow-up that was handed to the queue.

    Attributes:
        task: What the queue knows.
        command: The message id of the command that it is for.
        about: Its kind, and the operation if it is a look.
        step: Its number in the chain.
        end: When it was published or purged; None: never.
    """

    task: Waiting
    command: str
    about: str
    step: int
    end: datetime | None


class Facts:
    """What the record says, read once."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.skew = timedelta(seconds=abs(record.function_skew_s))
        self.attempts: dict[str, Attempt] = {}
        self.expiries: list[tuple[Attempt, Call | None, datetime]] = []
        self._read_events()

    @cached_property
    def commands(self) -> dict[str, Command]:
        """What people published, by message id; forged follow-ups are no commands."""
        commands = {}
        for message in self.record.published:
            forged = message.attributes.get("backstop-kind") == "follow-up"
            commands[message.message_id] = Command(message, {} if forged else body_of(message.data))
        for delivery in self.record.deliveries:
            if (command := commands.get(delivery.message.message_id)) is not None:
                command.deliveries.append(delivery)
        return commands

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """What was told, in order."""
        outcomes = []
        for told in self.record.told:
            data = json.loads(told.message.data)
            outcomes.append(
                Outcome(
                    told,
                    told.message.attributes["ce-id"],
                    data["outcome"],
                    data["trigger"]["message_id"],
                    data.get("operation") or "",
                    data["detail"],
                    data["error"]["code"] if "error" in data else "",
                    _databases(data),
                )
            )
        return outcomes

    @cached_property
    def follow_ups(self) -> list[FollowUp]:
        """The follow-ups that were made, in order."""
        record = self.record
        follow_ups = []
        for task in record.tasks:
            data = follow_up_data(task)
            about = f"{data['kind']} {data.get('operation', '')}".strip()
            end = record.dispatched.get(task.name) or record.purged.get(task.name)
            trigger = data["trigger"]
            assert isinstance(trigger, dict)
            follow_ups.append(FollowUp(task, trigger["message_id"], about, int(str(data["step"])), end))
        return follow_ups

    @cached_property
    def lost(self) -> set[str]:
        """The commands that lost a message: with a purged queue, or as a dead letter."""
        lost = {one.command for one in self.follow_ups if one.task.name in self.record.purged}
        for message in self.record.dead:
            lost.add(message.message_id if message.message_id in self.commands else trigger_of(message))
        return lost

    @cached_property
    def refusals(self) -> dict[str, set[str]]:
        """The codes with which calls were refused on behalf of each command: by faults, and by Spanner itself."""
        record = self.record
        refusals: defaultdict[str, set[str]] = defaultdict(set)
        by_delivery = [self.command_of(delivery) for delivery in record.deliveries]
        for command_id, delivery in zip(by_delivery, record.deliveries, strict=True):
            refusals[command_id].update(code for _, code in delivery.refused)
        for call in record.calls:
            later = (record.events[index] for index in range(call.since, len(record.events)))
            answer = next((event for event in later if event.what is What.CALLED), None)
            if answer is not None and answer.cause == call.method:
                refusals[by_delivery[call.delivery]].add(answer.code.name)
        return refusals

    @cached_property
    def last_tried(self) -> dict[str, datetime]:
        """When each command was last tried to be carried out, be it that it had been put back."""
        return {
            self.command_of(delivery): delivery.end
            for delivery in self.record.deliveries
            if body_of(delivery.message.data).get("kind") != "look"
        }

    @cached_property
    def used_at(self) -> dict[str, datetime]:
        """When a restore or a copy first needed each backup, by its name."""
        added = [event for event in self.record.events if event.what is What.REFERENCE_ADDED]
        return {event.resource: event.at for event in reversed(added)}

    def command_behind(self, call: Call) -> str:
        """The message id of the command on whose behalf a call was made."""
        return self.command_of(self.record.deliveries[call.delivery])

    def command_of(self, delivery: Delivery) -> str:
        """The message id of the command that a delivery is about; a forged follow-up is about itself."""
        message_id = delivery.message.message_id
        return message_id if message_id in self.commands else trigger_of(delivery.message)

    def _read_events(self) -> None:
        calls = self._calls_by_event()
        by_uid: dict[int, Attempt] = {}
        for index, event in enumerate(self.record.events):
            call = calls.get(index)
            match event.what:
                case What.BACKUP_STARTED:
                    database = self.record.databases.get(event.operation, "")
                    made = Attempt(
                        event.operation, event.resource, event.uid, database, event.at, event.cause, creator=call
                    )
                    self.attempts[event.operation] = by_uid[event.uid] = made
                case What.CANCEL_RECEIVED if event.resource in self.attempts:
                    self.attempts[event.resource].cancel_at = event.at
                    self.attempts[event.resource].canceller = call
                case What.OPERATION_DONE if event.resource in self.attempts:
                    attempt = self.attempts[event.resource]
                    attempt.end = event.at
                    attempt.code = GOOD if event.code is Code.OK else event.code.name
                case What.BACKUP_DELETED | What.BACKUP_EXPIRED | What.BACKUP_REMOVED:
                    by_uid[event.uid].gone_at = event.at
                    by_uid[event.uid].deleter = call
                case What.EXPIRY_CHANGED:
                    self.expiries.append((by_uid[event.uid], call, event.at))
                case What.OPERATION_FORGOTTEN if event.resource in self.attempts:
                    self.attempts[event.resource].forgotten_at = event.at
                case _:
                    pass

    def _calls_by_event(self) -> dict[int, Call]:
        """Which of Spanner's events the function's calls caused."""
        events = self.record.events
        return {
            index: call
            for call in self.record.calls
            for index in range(call.since, call.until)
            if events[index].cause == call.method and events[index].what is not What.CALLED
        }


def _databases(data: dict[str, dict[str, list[str]]]) -> dict[str, bool] | None:
    told = data.get("databases")
    if told is None:
        return None
    return dict.fromkeys(told.get("not_started", ()), False) | dict.fromkeys(told.get("started", ()), True)


def follow_up_data(task: Waiting) -> dict[str, object]:
    """What a task would publish."""
    (message,) = json.loads(task.data)["messages"]
    body = json.loads(base64.b64decode(message["data"]))
    assert isinstance(body, dict)
    return body


@lru_cache(maxsize=1000)
def body_of(data: bytes) -> dict[str, object]:
    """A message's fields; none if it is no JSON object."""
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def trigger_of(message: Message) -> str:
    """The message id of the command that a message belongs to, as it says itself."""
    body = body_of(message.data)
    trigger = body.get("trigger") if "kind" in body else None
    return str(trigger["message_id"]) if isinstance(trigger, dict) else message.message_id
