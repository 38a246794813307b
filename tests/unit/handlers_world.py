"""What the handlers' tests share: the emulators' pure states behind the ports, one clock, and a few verbs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from backstop.descriptions import read_backup
from backstop.dispatch import deliver
from backstop.execute import Report
from backstop.followups import FollowUp
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup
from backstop.ports import Ports, Settings
from backstop.wire import Delivery, parse_follow_up
from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.pubsub.model import pb as pubsub
from spanner_backup_emulator.pubsub.model import published_at
from spanner_backup_emulator.pubsub.state import State as PubSubState
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb, unpacked
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.state import State as SpannerState
from spanner_backup_emulator.tasks.messages import pb as wire
from spanner_backup_emulator.tasks.state import State as TasksState
from tests.support.ports import EventsPort, QueuePort, SpannerPort, create_request, publish_of
from tests.unit.times import DAY, HOUR, MICROSECOND, MINUTE, SECOND, START

# Those who take their world from here take their times, too.
__all__ = ["DAY", "HOUR", "MICROSECOND", "MINUTE", "SECOND", "START", "World"]

PROJECT = "projects/demo-project"
INSTANCE = InstanceName(f"{PROJECT}/instances/main")
ORDERS, USERS = DatabaseName(f"{INSTANCE}/databases/orders"), DatabaseName(f"{INSTANCE}/databases/users")
SCHEDULE = f"{ORDERS}/backupSchedules/nightly"
NIGHTLY = BackupName(f"{INSTANCE}/backups/nightly")
MISSING = OperationName(f"{NIGHTLY}/operations/missing")

COMMANDS, FOLLOW_UPS, RESULTS = (f"{PROJECT}/topics/{topic}" for topic in ("commands", "follow-ups", "results"))
_QUEUE = f"{PROJECT}/locations/europe-west1/queues/backstop"

LOOK_COUNT_MAX = 1000
"""Polls of one test: far more than any chain takes, so a chain that doesn't end is seen."""


class World:
    """A function with all that is around it; the clock moves only when it is told to.

    Attributes:
        now: The time, for everybody.
        spanner: The emulated backups.
        tasks: The emulated queue.
        pubsub: The emulated topics.
        faults: What to inject into the function's own calls, and how often each was made.
        settings: What the operator chose.
        port: What the function sees of Spanner, for tests in which it sees something odd.
        last: What was delivered last.
    """

    def __init__(
        self, plan: Plan | None = None, *, databases: Iterable[str] = (ORDERS,), settings: Settings | None = None
    ) -> None:
        self.now = START
        self.spanner = SpannerState(databases=databases, strict=True, default_plan=plan)
        self.tasks = TasksState()
        self.tasks.apply(self.now, wire.UpdateQueueRequest(queue={"name": _QUEUE}))
        self.pubsub = PubSubState()
        for topic in (COMMANDS, FOLLOW_UPS, RESULTS):
            self.pubsub.create_topic(self.now, pubsub.Topic(name=topic))
        self.faults = Faults()
        self.settings = settings or Settings(FOLLOW_UPS)
        self.port: type[SpannerPort] = SpannerPort
        self.last: Delivery | None = None

    @property
    def ports(self) -> Ports:
        """The outside world, as a delivery sees it."""
        return Ports(
            self.port(self.spanner, self.clock, self.faults),
            QueuePort(self.tasks, self.clock, _QUEUE, FOLLOW_UPS, self.faults),
            EventsPort(self.pubsub, self.clock, RESULTS, self.faults),
        )

    def clock(self) -> datetime:
        """The time."""
        return self.now

    def tick(self, span: timedelta) -> None:
        """Lets time pass, with nothing delivered."""
        self.now += span

    # What the function is told.

    def publish(self, command: dict[str, object]) -> Delivery:
        """Publishes a command, now, without delivering it; Pub/Sub cuts its times to milliseconds."""
        message = pubsub.PubsubMessage(data=json.dumps(command).encode())
        cut = self.now.replace(microsecond=self.now.microsecond // 1000 * 1000)
        self.pubsub.publish(cut, pubsub.PublishRequest(topic=COMMANDS, messages=[message]))
        return _delivery(self.pubsub.published(COMMANDS)[-1], COMMANDS)

    def deliver(self, delivery: Delivery) -> Report:
        """Delivers a message, for the first time or again."""
        self.last = delivery
        return deliver(delivery, self.now, self.ports, self.settings)

    def send(self, **command: object) -> Report:
        """Publishes a command and delivers it at once."""
        return self.deliver(self.publish(command))

    def again(self, attempt: int | None = 2) -> Report:
        """Delivers the last message once more.

        Args:
            attempt: How often it was delivered, this time included; None as of a subscription without dead letters.
        """
        assert self.last is not None
        return self.deliver(replace(self.last, delivery_attempt=attempt))

    def look(self) -> Report:
        """Waits until the next follow-up is due and delivers it; two at the same moment are an error."""
        due = self.tasks.next_event_at()
        assert due is not None, "no follow-up is waiting"
        self.now = max(self.now, due)
        (dispatch,) = self.tasks.advance(self.now)
        self.pubsub.publish(self.now, publish_of(dispatch.task))
        self.tasks.dispatched(self.now, dispatch, 200)
        return self.deliver(_delivery(self.pubsub.published(FOLLOW_UPS)[-1], FOLLOW_UPS))

    def looks(self) -> list[Report]:
        """Delivers follow-ups, each when it is due, until there are none."""
        reports: list[Report] = []
        while self.tasks.pending():
            reports.append(self.look())
            assert len(reports) < LOOK_COUNT_MAX, "the chain does not end"
        return reports

    # What the function did.

    @property
    def results(self) -> list[dict[str, Any]]:
        """The outcomes that were told, as their readers see them."""
        return [json.loads(message.data) for message in self.pubsub.published(RESULTS)]

    @property
    def outcomes(self) -> list[str]:
        """The outcomes alone."""
        return [result["outcome"] for result in self.results]

    @property
    def detail(self) -> str:
        """What the last outcome says."""
        return str(self.results[-1]["detail"])

    @property
    def ends(self) -> list[tuple[str, str]]:
        """The outcomes, each with the name of its operation."""
        return [(result["outcome"], result.get("operation", "")) for result in self.results]

    @property
    def event_ids(self) -> list[str]:
        """The id of each event, by which its readers drop doubles."""
        return [message.attributes["ce-id"] for message in self.pubsub.published(RESULTS)]

    @property
    def waiting(self) -> list[tuple[str, FollowUp]]:
        """The follow-ups that wait, each with the name of its task."""
        return [
            (task.name.rpartition("/")[2], parse_follow_up(publish_of(task).messages[0].data))
            for task in self.tasks.pending()
        ]

    @property
    def calls(self) -> Counter[str]:
        """How often each RPC was called by the function."""
        return self.faults.calls

    @property
    def begun(self) -> int:
        """How many backups were ever started, by whomever."""
        return sum(event.what is What.BACKUP_STARTED for event in self.spanner.history)

    # What others do.

    def start_by_hand(self, backup_id: str = "nightly", database: str = ORDERS) -> OperationName:
        """Starts a backup the way the console does."""
        request = create_request(database, backup_id, self.now + 14 * DAY)
        return OperationName(self.spanner.apply(self.now, request).name)

    def start_scheduled(self, backup_id: str = "scheduled", database: str = ORDERS) -> OperationName:
        """Starts a backup the way a native schedule does."""
        return OperationName(self.spanner.start_scheduled_backup(self.now, database, SCHEDULE, backup_id).name)

    def cancel_by_hand(self, operation: str) -> None:
        """Cancels an operation the way gcloud does."""
        self.spanner.apply(self.now, pb.CancelOperationRequest(name=operation))

    def delete_by_hand(self, backup: str) -> None:
        """Deletes a backup the way the console does."""
        self.spanner.apply(self.now, pb.DeleteBackupRequest(name=backup))

    def backup(self, name: str = NIGHTLY) -> Backup:
        """A backup as it is now."""
        return read_backup(self.spanner.apply(self.now, pb.GetBackupRequest(name=name)))

    def exists(self, name: str = NIGHTLY) -> bool:
        """Whether a backup is there now."""
        try:
            self.backup(name)
        except ApiError:
            return False
        return True

    def cancelled(self, operation: str) -> bool:
        """Whether Spanner has received a cancel for an operation."""
        described = self.spanner.apply(self.now, pb.GetOperationRequest(name=operation))
        return unpacked(described.metadata).HasField("cancel_time") is True


def _delivery(message: pubsub.PubsubMessage, topic: str) -> Delivery:
    """The first delivery of a message, by a subscription that has a dead-letter policy and so counts."""
    return Delivery(message.data, dict(message.attributes), message.message_id, published_at(message), topic, 1)
