"""A night of a whole fleet, in virtual time: every database of every instance is told to start at 02:00.

`python -m benchmarks.fleet` prints the table. The function's own code runs on the emulators' pure states, each
instance with a Spanner of its own and all with one queue and one quota: 5 administrative calls a second, on average
over any 100 s. https://cloud.google.com/spanner/quotas (documented)
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from backstop.commands import Start
from backstop.dispatch import deliver
from backstop.events import ON_THE_WAY, Event, Outcome
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup, Listing, Operation
from backstop.ports import Ports, Settings
from backstop.wire import Delivery
from benchmarks.machine import quantile
from spanner_backup_emulator.faults import When
from spanner_backup_emulator.quota import WINDOW, Quota
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel
from spanner_backup_emulator.spanner.state import State as Spanner
from spanner_backup_emulator.tasks.messages import pb as wire
from spanner_backup_emulator.tasks.state import State as Tasks
from tests.support.ports import QueuePort, SpannerPort, publish_of

BEGIN = datetime(2026, 11, 22, 2, tzinfo=UTC)
PROJECT = "projects/benchmark"
COMMANDS, FOLLOW_UPS = f"{PROJECT}/topics/commands", f"{PROJECT}/topics/follow-ups"
QUEUE = f"{PROJECT}/locations/europe-west1/queues/backstop"

DATABASES = 20
"""In each instance, so that 500 of them have 10,000."""

SIZES = (1, 5, 50, 500)
"""Instances: 20, 100, 1,000 and 10,000 databases."""

RATE = 1.5
"""Dispatches a second. A poll makes at most 3 calls, so nothing that comes through the queue can be over the quota."""

SPREAD_S = 600.0
"""The other way to tell a fleet: its schedules lie on ten minutes instead of one."""

PUSH_S = 0.02
"""Between two commands that Pub/Sub pushes at once."""

CANCELLED = 0.05
VARIATION = 0.2
EARLIER = 7
SPLIT_S = 100
"""The length of the parts of the night that the plot shows."""


class Noted(Quota):
    """The quota, which notes when each call came."""

    def __init__(self, night: Night) -> None:
        """Takes what knows the time."""
        super().__init__(lambda: night.now)
        self._night = night
        self.calls_s: list[float] = []

    def check(self, method: str, when: When, resource: str = "") -> None:
        """Notes a call, unless it is refused."""
        super().check(method, when, resource)
        if when == "before":
            self.calls_s.append(self._night.now_s)


@dataclass
class Life:
    """One database's night.

    Attributes:
        length_s: How long its backup takes.
        earlier_s: How long those of the last nights took.
        cancel_at: When somebody cancels, as a part of the length; None if nobody does.
        started_s: When its start was told.
        ended_s: When its end was told, for the first time and for the last.
    """

    length_s: float
    earlier_s: tuple[float, ...]
    cancel_at: float | None
    started_s: float | None = None
    ended_s: list[float] = field(default_factory=list)


class Fleet:
    """All instances behind one port: each call goes to its own, and is counted."""

    def __init__(self, night: Night, instances: Sequence[InstanceName]) -> None:
        self._night = night
        self.quota = Noted(night)
        self.states = {instance: Spanner(id_seed=number) for number, instance in enumerate(instances)}
        self._ports = {
            instance: SpannerPort(state, lambda: night.now, self.quota) for instance, state in self.states.items()
        }

    def create_backup(self, database: DatabaseName, name: BackupName, expire_time: datetime, asked: Start) -> Operation:
        """Starts a backup."""
        return self._ports[database.instance].create_backup(database, name, expire_time, asked)

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        return self._ports[name.backup.instance].get_operation(name)

    def list_backups(self, instance: InstanceName, since: datetime) -> dict[str, bool]:
        """Nothing is swept here."""
        raise NotImplementedError

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads tonight's operations, and those of the nights before, which were made up."""
        found = self._ports[instance].list_operations(instance, database=database, backup=backup)
        earlier = [] if database is None else self._earlier(database)
        return Listing((*found.operations, *earlier), found.unhandled)

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped."""
        self._ports[name.backup.instance].cancel_operation(name)

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return self._ports[name.instance].get_backup(name)

    def delete_backup(self, name: BackupName) -> None:
        """Deletes a backup."""
        self._ports[name.instance].delete_backup(name)

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when a backup is removed by itself."""
        self._ports[name.instance].set_expire_time(name, expire_time)

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases."""
        return self._ports[instance].list_databases(instance)

    def _earlier(self, database: DatabaseName) -> list[Operation]:
        found = []
        for day, length_s in enumerate(self._night.lives[database].earlier_s, start=1):
            start_time = BEGIN - timedelta(days=day)
            backup = BackupName(f"{database.instance}/backups/{database.id}-{day}-days-ago")
            name = OperationName(f"{backup}/operations/_auto_op_{day}")
            made = Backup(backup, database, start_time, start_time + timedelta(days=14))
            end_time = start_time + timedelta(seconds=length_s)
            found.append(Operation(name, backup, database, start_time=start_time, end_time=end_time, response=made))
        return found


class Night:
    """The loop: from one thing that is due to the next, until nothing is.

    Attributes:
        now_s: Seconds since 02:00.
        lives: What each database's backup does.
        fleet: All of Spanner.
        deliveries: How many messages the function was given.
    """

    def __init__(self, instances: int, rate: float = RATE, told_within_s: float = 0.0, seed: int = 1) -> None:
        names = [InstanceName(f"{PROJECT}/instances/prod-{number}") for number in range(instances)]
        self.now_s = 0.0
        self.deliveries = 0
        self.lives: dict[DatabaseName, Life] = {}
        self.fleet = Fleet(self, names)
        self._chance = random.Random(seed)
        self._commands: list[tuple[float, int, bytes]] = []
        self._numbers = itertools.count()
        self._tasks = Tasks()
        limits = {"max_dispatches_per_second": rate, "max_concurrent_dispatches": 10}
        self._tasks.apply(BEGIN, wire.UpdateQueueRequest(queue={"name": QUEUE, "rate_limits": limits}))
        self._settings = Settings(follow_ups_topic=FOLLOW_UPS)
        queue = QueuePort(self._tasks, lambda: self.now, QUEUE, FOLLOW_UPS)
        self._ports = Ports(spanner=self.fleet, queue=queue, events=self)
        for number, name in enumerate(names):
            for database in range(DATABASES):
                self._add(DatabaseName(f"{name}/databases/d{database:02}"))
            at_s = number * max(PUSH_S, told_within_s / instances)
            self._publish(at_s, {"action": "start", "instance": name})

    @property
    def now(self) -> datetime:
        """The time."""
        return BEGIN + timedelta(seconds=self.now_s)

    def run(self) -> Night:
        """Lets it pass."""
        while True:
            due = self._tasks.next_event_at()
            task_s = math.inf if due is None else (due - BEGIN).total_seconds()
            command_s = self._commands[0][0] if self._commands else math.inf
            if math.isinf(min(task_s, command_s)):
                return self
            self.now_s = max(self.now_s, min(task_s, command_s))
            if command_s <= task_s:
                _, number, data = heapq.heappop(self._commands)
                self._deliver(data, {}, COMMANDS, f"command-{number}")
                continue
            for dispatch in self._tasks.advance(self.now):
                self._tasks.dispatched(self.now, dispatch, 200)
                (draft,) = publish_of(dispatch.task).messages
                self._deliver(draft.data, dict(draft.attributes), FOLLOW_UPS, dispatch.task.name)

    def announce_deletion(self, event: Event) -> None:
        """Takes a line of the log."""

    def publish(self, result: Event) -> None:
        """Takes an outcome, as the results topic does; who sees a start may cancel it later."""
        life = self.lives.get(result.database) if result.database is not None else None
        if life is None or result.database is None:
            return
        if result.outcome is Outcome.STARTED:
            life.started_s = self.now_s
            if life.cancel_at is not None:
                command = {"action": "cancel", "database": result.database}
                self._publish(self.now_s + life.cancel_at * life.length_s, command)
        elif result.outcome not in ON_THE_WAY:
            life.ended_s.append(self.now_s)

    def _add(self, database: DatabaseName) -> None:
        chance = self._chance
        median_s = 3600 * math.exp(chance.uniform(0, math.log(4)))
        length_s, *earlier_s = (median_s * math.exp(chance.gauss(0, VARIATION)) for _ in range(1 + EARLIER))
        cancel_at = chance.uniform(0.05, 0.95) if chance.random() < CANCELLED else None
        self.lives[database] = Life(length_s, tuple(earlier_s), cancel_at)
        wins_s = 30 * math.exp(chance.gauss(0, 1))
        state = self.fleet.states[database.instance]
        state.add_database(database)
        plan = Plan(
            duration=timedelta(seconds=length_s),
            cancel_duration=timedelta(seconds=wins_s) if chance.random() < 0.9 else None,
            progress=ProgressModel.LINEAR if chance.random() < 0.5 else ProgressModel.STUCK,
        )
        state.set_plan(database, plan)

    def _publish(self, at_s: float, command: dict[str, str]) -> None:
        heapq.heappush(self._commands, (at_s, next(self._numbers), json.dumps(command).encode()))

    def _deliver(self, data: bytes, attributes: dict[str, str], topic: str, message_id: str) -> None:
        self.deliveries += 1
        delivery = Delivery(data, attributes, message_id, self.now, topic, delivery_attempt=1)
        report = deliver(delivery, self.now, self._ports, self._settings)
        assert not report.retry, report.note


@dataclass(frozen=True, slots=True)
class Figures:
    """What a night came to.

    Attributes:
        databases: How many there were.
        most_per_s: Calls a second, in the 100 s with the most of them.
        refused: Calls over the quota.
        started_s: When the last backup was started.
        reported_s: When the last end was told.
        lag_s: From an end to its report, in the middle.
        lag_p99_s: And for one in a hundred, at least.
        messages: Deliveries for each backup.
        calls: Calls of Spanner's for each backup.
        per_s: Calls a second over the night, one value for each hundred seconds.
    """

    databases: int
    most_per_s: float
    refused: int
    started_s: float
    reported_s: float
    lag_s: float
    lag_p99_s: float
    messages: float
    calls: float
    per_s: list[float]


def measure(instances: int, rate: float = RATE, told_within_s: float = 0.0) -> Figures:
    """Lets a night pass for so many instances, all told at once or within some time.

    Raises:
        RuntimeError: The end of some backup was never told.
    """
    night = Night(instances, rate, told_within_s).run()
    lives = list(night.lives.values())
    if any(life.started_s is None or not life.ended_s for life in lives):
        raise RuntimeError("not every backup was started and reported")
    lags_s = [life.ended_s[0] - (life.started_s or 0.0) - life.length_s for life in lives if life.cancel_at is None]
    calls_s = night.fleet.quota.calls_s
    parts = [0] * (int(calls_s[-1] // SPLIT_S) + 1)
    for at_s in calls_s:
        parts[int(at_s // SPLIT_S)] += 1
    return Figures(
        databases=len(lives),
        most_per_s=night.fleet.quota.most / WINDOW.total_seconds(),
        refused=night.fleet.quota.refused,
        started_s=max(life.started_s or 0.0 for life in lives),
        reported_s=max(life.ended_s[-1] for life in lives),
        lag_s=statistics.median(lags_s),
        lag_p99_s=quantile(lags_s, 0.99),
        messages=night.deliveries / len(lives),
        calls=len(calls_s) / len(lives),
        per_s=[part / SPLIT_S for part in parts],
    )


def row(figures: Figures) -> tuple[str, ...]:
    """The table's row."""
    return (
        f"{figures.databases:,}",
        f"{figures.most_per_s:.2f}",
        str(figures.refused),
        _clock(figures.started_s),
        _clock(figures.reported_s),
        f"{figures.lag_s:.0f} s",
        f"{figures.lag_p99_s:.0f} s",
        f"{figures.messages:.1f}",
        f"{figures.calls:.1f}",
    )


def _clock(seconds: float) -> str:
    """What the clock says then, and on which day."""
    at = BEGIN + timedelta(seconds=seconds)
    days = (at.date() - BEGIN.date()).days
    return f"{at:%H:%M}" + (f" (+{days} d)" if days else "")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--instances", type=int, nargs="*", default=SIZES)
    parser.add_argument("--rate", type=float, default=RATE)
    options = parser.parse_args()
    print("databases  most/s  refused  started  reported  lag  p99  messages  calls")
    for instances in options.instances:
        print("  ".join(f"{cell:>9}" for cell in row(measure(instances, options.rate))))


if __name__ == "__main__":
    main()
