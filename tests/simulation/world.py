"""One world: the emulators' pure states, the function's real handlers, people, and time that only jumps.

The world goes from one thing that is due to the next, until nothing is left to do. The function is called through
its own front door, `backstop.dispatch.receive`, with the bytes that Pub/Sub would push.

Every service has a clock of its own, at a fixed distance from Spanner's, which is the one that everything here and
in the record is told by.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from datetime import datetime, timedelta

from backstop.dispatch import receive
from backstop.ports import Ports, Settings
from spanner_backup_emulator.dispatch import NO_ANSWER
from spanner_backup_emulator.pubsub.model import Delivery as Push
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.pubsub.state import State as PubSub
from spanner_backup_emulator.spanner.state import State as Spanner
from spanner_backup_emulator.tasks.messages import pb as wire
from spanner_backup_emulator.tasks.state import State as Tasks
from tests.simulation import envelopes, people
from tests.simulation.arrivals import Arrivals
from tests.simulation.backup_counts import count_backups
from tests.simulation.calls import CallFaults, CrashedError, Work, WorldEvents, WorldSpanner
from tests.simulation.chance import ANSWER, COMMAND, DISPATCH, FOLLOW_UP, Chance, Site
from tests.simulation.faults import FORGED
from tests.simulation.history import (
    BEGIN,
    COMMANDS,
    DEAD,
    FOLLOW_UPS,
    INSTANCE,
    MORE_COMMANDS,
    QUEUE,
    RESULTS,
    History,
    Person,
    database_name,
)
from tests.simulation.lost import body_of, delivery_of, lost_commands
from tests.simulation.record import Call, Delivery, Published, Record, command_key
from tests.support.ports import QueuePort, databases_of, publish_of

ACK_DEADLINE_S = 180
"""As the Terraform module has it: longer than the function may run."""

DELIVERIES_MAX = 10_000
"""A history that needs more is a loop. The wildest that ended took 3,847: a start of many under the most frequent
crashes, with task names forgotten."""

MEANWHILE_MAX = timedelta(seconds=40)
"""How long a delivery may hang in the middle until something else happens."""

DELAY_S_MIN = 1.0

HOLD_UP = frozenset({"deny", "pause"})
"""What people do that lasts until somebody undoes it."""

FOLLOW_UP_ATTRIBUTES = {"backstop-kind": "follow-up"}

ANSWER_OK, ANSWER_AGAIN, ANSWER_BUG = 204, 503, 500
PUBLISH_FAILED = 503


class World:
    """A history while it happens.

    Attributes:
        history: What was written down before.
        record: What has happened.
        chance: What goes wrong.
        now: The time, by Spanner's clock.
        spanner: The service.
        tasks: The service.
        working: The deliveries that are being worked on; each began in the middle of the one before.
        calling: The call that each of them is making.
        labels: Where the decisions about a task or a message fall, by its name or key.
        denied_until: Until when the function has no role.
        missed: The backups that GetBackup once didn't find, although they were there.
    """

    def __init__(self, history: History) -> None:
        deployment, faults = history.deployment, history.faults
        self.history = history
        self.record = Record(deployment, faults.function_skew_s)
        self.now = BEGIN
        self.chance = Chance(history.seed, faults, lambda: self.now, history.only)
        self.spanner = Spanner(
            databases=[database_name(database) for database in deployment.databases],
            strict=True,
            exists_before_pending=deployment.exists_before_pending,
            late_cancel_refused=deployment.late_cancel_refused,
            id_seed=history.seed,
        )
        for database, plans in history.plans.items():
            self.spanner.queue_plans(database_name(database), *plans)
        self.tasks = Tasks()
        self.tasks.apply(self.tasks_now, wire.UpdateQueueRequest(queue={"name": QUEUE}))
        self.denied_until = BEGIN
        self.missed: set[str] = set()
        self.working: list[Work] = []
        self.calling: dict[int, Call] = {}
        self.labels: dict[str, Site] = {}
        self._pubsub = PubSub(message_id_first=10**15 + history.seed % 10**12 * 1000)
        self._pubsub_skew = timedelta(seconds=faults.pubsub_skew_s)
        self._function_skew = timedelta(seconds=faults.function_skew_s)
        self._follow_ups = COMMANDS if deployment.one_topic else FOLLOW_UPS
        self._set_pubsub_up()
        self._settings = Settings(
            follow_ups_topic=self._follow_ups,
            poll_min=deployment.look_min,
            give_up_after=deployment.give_up_after,
            allow_delete=deployment.allow_delete,
        )
        call_faults = CallFaults(self)
        self._ports = Ports(
            spanner=WorldSpanner(self),
            queue=QueuePort(self.tasks, lambda: self.tasks_now, QUEUE, self._follow_ups, call_faults),
            events=WorldEvents(self, RESULTS, self._pubsub, call_faults),
        )
        self._steps = deque((number, step) for number, step in enumerate(history.steps) if step is not None)
        self._ready: deque[Push] = deque()
        self._attempts: Counter[Site] = Counter()
        self._poisoned: dict[str, Site] = {}
        self._odd: dict[str, str] = {}
        self._arrivals = Arrivals()
        self._dead_seen = 0
        self._number = 0
        self._swept = False

    @property
    def pubsub_now(self) -> datetime:
        """The time by Pub/Sub's clock."""
        return self.now + self._pubsub_skew

    @property
    def tasks_now(self) -> datetime:
        """The time by Cloud Tasks' clock, which is Spanner's."""
        return self.now

    def next_number(self) -> int:
        """A number that was not used before."""
        self._number += 1
        return self._number

    def run(self) -> Record:
        """Lets everything happen."""
        record = self.record
        heal_at = BEGIN + timedelta(seconds=self.history.heal_s)
        while len(record.deliveries) < DELIVERIES_MAX:
            due = self._next_at()
            if record.healed_at is None and (due is None or due >= heal_at):
                self.now = max(self.now, heal_at)
                self._heal()
                continue
            if due is None:
                if self._swept or not lost_commands(record):
                    break
                self._sweep()
                continue
            self.now = max(self.now, due)
            self._do_due()
        else:
            record.unfinished = f"{DELIVERIES_MAX} deliveries were not enough"
        self._note_databases()
        record.ended_at = self.now
        record.events = list(self.spanner.history)
        count_backups(record, self.spanner.plan_of)
        return record

    def publish(self, request: pb.PublishRequest, site: Site, label: Site, late_s: float = 0.0) -> pb.PubsubMessage:
        """Publishes a message, which may come late, twice, or kill whoever works on it."""
        topic, fault, faults = request.topic, self.chance.at(site), self.history.faults
        if late_s:
            self._pubsub.delay_next(topic, after=timedelta(seconds=late_s))
        elif fault == "duplicate":
            after_s = self.chance.spread(site, DELAY_S_MIN, faults.duplicate_s_max)
            self._pubsub.duplicate_next(topic, after=timedelta(seconds=after_s))
        elif fault == "restamp" and body_of(request.messages[0].data).get("action") == "start":
            after_s = self.chance.spread(site, DELAY_S_MIN, faults.restamp_s_max)
            self._pubsub.restamp_next(topic, timedelta(seconds=after_s))
        elif fault == "delay":
            after_s = self.chance.spread(site, DELAY_S_MIN, faults.delay_s_max)
            self._pubsub.delay_next(topic, after=timedelta(seconds=after_s))
        self._pubsub.publish(self.pubsub_now, request)
        message = self._pubsub.published(topic)[-1]
        key = command_key(topic, message.message_id)
        self.labels[key] = label
        if fault == "poison":
            self._poisoned[key] = site
        return message

    def publish_command(
        self, number: int, data: bytes, *, topic: str = COMMANDS, odd: str = "", late_s: float = 0.0
    ) -> str:
        """Publishes what somebody wrote, and writes down when; returns its key."""
        attributes = FOLLOW_UP_ATTRIBUTES if odd == FORGED else {}
        at, site, label = self.now, (COMMAND, number, 0, 0), (number, 0, 0)
        request = pb.PublishRequest(topic=topic, messages=[{"data": data, "attributes": attributes}])
        message = self.publish(request, site, label, late_s)
        published = Published(at, topic, message, odd)
        self.record.published.append(published)
        self._odd[published.key] = odd
        return published.key

    def use_id_again(self, topic: str) -> bool:
        """Gives the next message of a topic the id of the latest command; False if there is none that it can have."""
        used = {message.message_id for message in self._pubsub.published(topic)}
        latest = [message.message_id for message in self._pubsub.published(COMMANDS)[-1:]]
        if not latest or latest[0] in used:
            return False
        self._pubsub.reuse_id(topic, latest[0])
        return True

    def meanwhile(self) -> None:
        """Lets people do what is due, and one other delivery be worked on, in the middle of a delivery."""
        due = self._next_at()
        if due is None or due - self.now > MEANWHILE_MAX:
            return
        self.now = max(self.now, due)
        self.record.counts["interleave"] += 1
        self.let_people_act(self.now)
        self._dispatch()
        self._collect()
        if self._ready:
            self._deliver(self._ready.popleft())

    def last_result(self) -> pb.PubsubMessage:
        """The outcome that was told last."""
        return self._pubsub.published(RESULTS)[-1]

    def _set_pubsub_up(self) -> None:
        for topic in dict.fromkeys((COMMANDS, MORE_COMMANDS, self._follow_ups, RESULTS, DEAD)):
            self._pubsub.create_topic(self.pubsub_now, pb.Topic(name=topic))
        after = self.history.deployment.dead_letter_after
        for topic in dict.fromkeys((COMMANDS, MORE_COMMANDS, self._follow_ups)):
            subscription = pb.Subscription(
                name=topic.replace("/topics/", "/subscriptions/"),
                topic=topic,
                push_config={"push_endpoint": f"http://function/{topic}"},
                ack_deadline_seconds=ACK_DEADLINE_S,
                retry_policy={},
                dead_letter_policy=after and {"dead_letter_topic": DEAD, "max_delivery_attempts": after},
            )
            self._pubsub.create_subscription(self.pubsub_now, subscription)

    def _next_at(self) -> datetime | None:
        """When something is next to be done."""
        if self._ready:
            return self.now
        moments = []
        if self._steps:
            moments.append(BEGIN + timedelta(seconds=self._steps[0][1].at_s))
        if (at := self._pubsub.next_event_at()) is not None:
            moments.append(at - self._pubsub_skew)
        if (at := self.tasks.next_event_at()) is not None:
            moments.append(at)
        return min(moments, default=None)

    def _do_due(self) -> None:
        self.let_people_act(self.now)
        self._dispatch()
        self._collect()
        while self._ready:
            self._deliver(self._ready.popleft())

    def _dispatch(self) -> None:
        """Publishes the follow-ups that are due."""
        for dispatch in self.tasks.advance(self.tasks_now):
            task = dispatch.task
            site = (DISPATCH, *self.labels[task.name], dispatch.attempt)
            fault = self.chance.at(site)
            if fault == "publish fails":
                self.record.counts[fault] += 1
                self.tasks.dispatched(self.tasks_now, dispatch, PUBLISH_FAILED)
                continue
            for copy in range(2 if fault == "twice" else 1):
                label = self.labels[task.name]
                self.publish(publish_of(task), (FOLLOW_UP, *label, dispatch.attempt, copy), label)
            self.tasks.dispatched(self.tasks_now, dispatch, ANSWER_OK)
            self.record.dispatched[task.name] = self.now
            if fault == "twice":
                self.record.counts[fault] += 1
            elif fault == "forget" and self.tasks.forget_name(task.name):
                self.record.counts[fault] += 1
                self.record.forgotten.add(task.name)

    def let_people_act(self, since: datetime) -> None:
        """Has people do what was due until now, each thing at its own time, but none before `since`."""
        now = self.now
        while self._steps and (due := BEGIN + timedelta(seconds=self._steps[0][1].at_s)) <= now:
            number, step = self._steps.popleft()
            self.now = max(due, since)
            people.act(self, number, step)
        self.now = now

    def _collect(self) -> None:
        """Takes what Pub/Sub pushes now."""
        self._ready.extend(self._pubsub.advance(self.pubsub_now))

    def _deliver(self, pushed: Push) -> None:
        message, topic = pushed.message, pushed.subscription.topic
        label = self.labels.get(command_key(topic, message.message_id), (-1, 0, 0))
        self._attempts[label] += 1
        delivery = Delivery(
            number=len(self.record.deliveries),
            message=message,
            topic=topic,
            attempt=pushed.attempt,
            begin=self.now,
            now=self.now + self._function_skew,
            end=self.now,
        )
        self.record.deliveries.append(delivery)
        self._arrivals.count(self, pushed, delivery)
        work = Work(delivery, (*label, self._attempts[label]))
        self.working.append(work)
        try:
            delivery.status = self._answer(pushed, delivery, work.site)
        except CrashedError:
            delivery.status = NO_ANSWER
        finally:
            self.working.pop()
        delivery.end = self.now
        self._pubsub.delivered(self.pubsub_now, pushed, delivery.status)
        self._notice_dead_letters()

    def _answer(self, pushed: Push, delivery: Delivery, site: Site) -> int:
        key = command_key(delivery.topic, pushed.message.message_id)
        poison = self._poisoned.get(key)
        dies_early = poison is not None and self.chance.spread(poison, 1.0, 4.0) < 2.0
        if dies_early:
            raise CrashedError
        body = envelopes.pushed_body(pushed, self._odd.get(key, ""))
        try:
            _, report = receive(body, "/" + delivery.topic, {}, delivery.now, self._ports, self._settings)
        except Exception as error:  # noqa: BLE001 any exception is a finding
            self.record.raised.append(f"{type(error).__name__}: {error}")
            return ANSWER_BUG
        if poison is not None:
            raise CrashedError
        if self.chance.at((ANSWER, *site)):
            self.record.counts["crash before the answer"] += 1
            raise CrashedError
        return ANSWER_AGAIN if report.retry else ANSWER_OK

    def _heal(self) -> None:
        """Stops all faults; what they have left behind stays."""
        self.record.healed_at = self.now
        self.record.quiet_from = self.now if self._may_be_held_up() else self.chance.last_at or BEGIN
        self._note_databases()
        self.chance.heal()
        self._poisoned.clear()
        self.denied_until = self.now
        self.tasks.apply(self.tasks_now, wire.ResumeQueueRequest(name=QUEUE))

        for lost in lost_commands(self.record):
            command = body_of(lost.message.data)
            if command.get("action") in {"cancel", "follow"} and not lost.odd:
                self.record.republished[lost.key] = publish_now(self, lost.message.data)

    def _may_be_held_up(self) -> bool:
        """Whether something may go wrong until the faults stop, and not at given places alone."""
        stopped = any(isinstance(step, Person) and step.verb in HOLD_UP for step in self.history.steps)
        return self.history.only is None or stopped

    def _note_databases(self) -> None:
        self.record.databases.update(databases_of(self.spanner, self.now, INSTANCE))

    def _sweep(self) -> None:
        """Has somebody clean up after the chains that were lost."""
        self._swept = True
        command = {"action": "sweep", "instance": INSTANCE, "if_created": "delete", "include_scheduled": True}
        self.record.last_sweep = publish_now(self, json.dumps(command).encode())

    def _notice_dead_letters(self) -> None:
        dead = self._pubsub.published(DEAD)
        for letter in dead[self._dead_seen :]:
            self.record.dead.append(delivery_of(letter, self.record.deliveries))
            self.record.counts["dead letter"] += 1
        self._dead_seen = len(dead)


def publish_now(world: World, data: bytes) -> str:
    """Publishes one more command, after those of the history."""
    return world.publish_command(len(world.history.steps) + world.next_number(), data)
