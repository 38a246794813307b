"""The checker's own reading of a record. It shares no code with the function: what messages mean is said here anew.

Everything comes from the services: Spanner's events, the messages that people published, those that were delivered,
and the outcomes that were told; and from whoever let calls fail, which ones that were.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.pubsub.model import published_at
from spanner_backup_emulator.spanner.history import What
from tests.simulation.reading import body_of, follow_up_data, key_in
from tests.simulation.record import Call, Delivery, Record, Told, Waiting, command_key

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
        unreadable: Whether it doesn't say when it started.
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
    unreadable: bool = False
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

    @property
    def handled(self) -> bool:
        """Whether it is one that Backstop deals with: no copy, and readable."""
        return not self.copied and not self.unreadable

    @property
    def good(self) -> bool:
        """Whether it ended with a backup."""
        return self.code == GOOD

    def running(self, at: datetime) -> bool:
        """Whether it ran then."""
        return self.start <= at and self.ended_after(at)

    def ended_after(self, at: datetime) -> bool:
        """Whether it ended after that, if it has ended."""
        return self.end is None or self.end > at


@dataclass(slots=True)
class Command:
    """A command as somebody published it.

    Attributes:
        id: What tells it apart from others.
        asked: When it was truly published, by Spanner's clock.
        at: When it says that it was, by Pub/Sub's clock and cut to milliseconds.
        body: Its fields; empty if it is no command that may do anything.
        odd: What is wrong with its envelope or form; empty: nothing.
        deliveries: When it was delivered.
    """

    id: str
    asked: datetime
    at: datetime
    body: dict[str, object]
    odd: str = ""
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def stamps(self) -> set[datetime]:
        """When it says that it was published; brought again it may say another time."""
        return {self.at, *(published_at(delivery.message) for delivery in self.deliveries)}

    @property
    def action(self) -> str:
        """What it asks for."""
        return str(self.body.get("action", ""))

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
        command: The command that it is for.
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
        command: The command that it is for.
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
        """What people published, each by its key; what is forged, or misses what it takes, is no command."""
        commands = {}
        for one in self.record.published:
            body = {} if one.odd else body_of(one.message.data)
            commands[one.key] = Command(one.key, one.at, published_at(one.message), body, one.odd)
        for delivery in self.record.deliveries:
            if (command := commands.get(command_key(delivery.topic, delivery.message.message_id))) is not None:
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
                    self._told_for(told, data["trigger"]),
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
            follow_ups.append(FollowUp(task, key_in(data), about, int(str(data["step"])), end))
        return follow_ups

    @cached_property
    def lost(self) -> set[str]:
        """The commands that lost a message: with a purged queue, or as a dead letter."""
        lost = {one.command for one in self.follow_ups if one.task.name in self.record.purged}
        return lost | {self.command_of(delivery) for delivery in self.record.dead}

    @cached_property
    def refusals(self) -> dict[str, set[str]]:
        """The codes with which calls were refused on behalf of each command: by faults, and by Spanner itself."""
        record = self.record
        refusals: defaultdict[str, set[str]] = defaultdict(set)
        by_delivery = [self.command_of(delivery) for delivery in record.deliveries]
        for command_id, delivery in zip(by_delivery, record.deliveries, strict=True):
            refusals[command_id].update(code for _, code in delivery.refused)
        for call, code in self.answers:
            if call.method == "CancelOperation" and code is Code.FAILED_PRECONDITION:
                continue  # It came too late, which is no reason to turn a command down.
            refusals[by_delivery[call.delivery]].add(code.name)
        return refusals

    @cached_property
    def answers(self) -> list[tuple[Call, Code]]:
        """What Spanner itself said to each call of the function's that reached it."""
        events = self.record.events
        answers = []
        for call in self.record.calls:
            later = (events[index] for index in range(call.since, len(events)))
            answer = next((event for event in later if event.what is What.CALLED), None)
            if answer is not None and answer.cause == call.method:
                answers.append((call, answer.code))
        return answers

    @cached_property
    def last_tried(self) -> dict[str, datetime]:
        """When each command was last tried to be carried out, be it that it had been put back."""
        return {
            self.command_of(delivery): delivery.end
            for delivery in self.record.deliveries
            if body_of(delivery.message.data).get("kind") != "poll"
        }

    @cached_property
    def users(self) -> dict[str, list[tuple[datetime, str]]]:
        """Who needed each backup to restore or to copy it, and from when on, by the backup's name."""
        users: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        for event in self.record.events:
            if event.what is What.REFERENCE_ADDED:
                users[event.resource].append((event.at, event.cause))
        return users

    def begin_of(self, outcome: Outcome) -> datetime:
        """When the delivery began that told an outcome."""
        told = outcome.told
        return told.at if told.delivery < 0 else self.record.deliveries[told.delivery].begin

    def command_behind(self, call: Call) -> str:
        """The command on whose behalf a call was made."""
        return self.command_of(self.record.deliveries[call.delivery])

    def command_of(self, delivery: Delivery) -> str:
        """The command that a delivery is about; a forged follow-up is about itself."""
        key = command_key(delivery.topic, delivery.message.message_id)
        body = body_of(delivery.message.data)
        return key if key in self.commands or "kind" not in body else key_in(body)

    def _told_for(self, told: Told, trigger: dict[str, str]) -> str:
        """The command that an outcome is for; one that names none that was published is for what was delivered."""
        key = command_key(trigger.get("topic", ""), trigger["message_id"])
        if key in self.commands or told.delivery < 0:
            return key
        return self.command_of(self.record.deliveries[told.delivery])

    def _read_events(self) -> None:
        calls = self._calls_by_event()
        by_uid: dict[int, Attempt] = {}
        for index, event in enumerate(self.record.events):
            call = calls.get(index)
            match event.what:
                case What.BACKUP_STARTED:
                    database = self.record.databases.get(event.operation, "")
                    made = Attempt(
                        event.operation,
                        event.resource,
                        event.uid,
                        database,
                        event.at,
                        event.cause,
                        event.operation in self.record.unreadable,
                        creator=call,
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
