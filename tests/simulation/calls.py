"""What may happen to each call that the function makes, put where the ports ask for planned faults."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from backstop.errors import UnhandledOperationError
from backstop.operations import Backup, Listing, Operation, Unhandled
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Faults as PlannedFaults
from spanner_backup_emulator.messages import time_of
from spanner_backup_emulator.spanner import refusals
from tests.simulation.chance import CALL, READ
from tests.simulation.record import Call, Logged, Told, Waiting
from tests.support.ports import EventsPort, SpannerPort

if TYPE_CHECKING:
    from backstop.events import Event
    from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
    from spanner_backup_emulator.faults import When
    from spanner_backup_emulator.pubsub.state import State as PubSub
    from tests.simulation.chance import Site
    from tests.simulation.record import Delivery
    from tests.simulation.world import World

LATENCY = timedelta(microseconds=80_139)
"""How long a call takes that nothing is wrong with; not a whole number of milliseconds, as Spanner's times are none."""

DELIVERY_S_MAX = 50.0
"""The function's own budget for all calls of a delivery (`backstop.gcp.calls`); then calls fail without being made."""

SLOW_S_MIN = 1.0

NESTED_DEPTH_MAX = 2
"""How many deliveries may be worked on inside one another; three are enough for any two to overlap a third."""

ELSEWHERE = frozenset({"CreateTask", "Publish"})
"""The calls that go to other services than Spanner."""

DENIED_MESSAGE = "Caller is missing IAM permission."


class CrashedError(BaseException):
    """The instance died. Nothing in the function can catch it."""


@dataclass(slots=True)
class Work:
    """A delivery that is being worked on.

    Attributes:
        delivery: What is recorded of it.
        site: Where its decisions fall.
        tasks: How many follow-ups it has made.
        fault: What happens after the effect of the present call.
        blurred: Whether the present call is to see a create_time that is a microsecond off.
    """

    delivery: Delivery
    site: Site
    tasks: int = 0
    fault: str = ""
    blurred: bool = False


class CallFaults(PlannedFaults):
    """Decides before and after each call whether it happens, and whether the function learns of it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def check(self, method: str, when: When, resource: str = "") -> None:
        """Lets the call pass, or raises what the function is to see."""
        if when == "before":
            self._before(method, resource)
        else:
            self._after(method, resource)

    def _before(self, method: str, resource: str) -> None:
        world, work = self._world, self._world.working[-1]
        record = world.record
        work.delivery.calls += 1
        work.delivery.spanner_calls += method not in ELSEWHERE
        work.fault = ""
        since = world.now
        world.now += LATENCY
        world.let_people_act(since)
        if (world.now - work.delivery.begin).total_seconds() > DELIVERY_S_MAX:
            record.counts["time used up"] += 1
            raise _refused(work, method, Code.DEADLINE_EXCEEDED, f"the delivery's {DELIVERY_S_MAX:.0f} s are used up")
        if world.denied_until > world.now and method not in ELSEWHERE:
            record.counts["role taken away"] += 1
            raise _refused(work, method, Code.PERMISSION_DENIED, DENIED_MESSAGE)
        if method == "GetBackup":
            self._misread(work, resource)
        if method == "GetOperation":
            self._overlook(work, resource)
        site = (CALL, *work.site, work.delivery.calls)
        fault = world.chance.at(site) or ""
        if fault == "slow":
            since = world.now
            world.now += timedelta(seconds=world.chance.spread(site, SLOW_S_MIN, world.history.faults.slow_s_max))
            world.let_people_act(since)
            record.counts["slow"] += 1
        elif fault == "interleave":
            if len(world.working) <= NESTED_DEPTH_MAX:
                world.meanwhile()
        elif fault.endswith(" before"):
            self._raise(fault, method)
        else:
            work.fault = fault
        events = len(world.spanner.history)
        call = Call(len(record.calls), work.delivery.number, method, resource, world.now, events, events)
        record.calls.append(call)
        world.calling[len(world.working) - 1] = call

    def _misread(self, work: Work, backup: str) -> None:
        """Lets a backup be seen wrongly; that one is not there that is, is said once of each."""
        record = self._world.record
        fault = self._world.chance.at((READ, *work.site, work.delivery.calls))
        work.blurred = fault == "blurred"
        if fault is None or backup not in self._world.spanner.backups:
            return
        record.counts["a create_time was a microsecond off"] += work.blurred
        if fault == "missing" and backup not in self._world.missed:
            record.counts["a backup was not found once"] += 1
            self._world.missed.add(backup)
        elif not work.blurred:
            return
        record.misread.add(backup)
        if not work.blurred:
            work.delivery.refused.append(("GetBackup", "NOT_FOUND"))
            raise refusals.missing("Backup", backup)

    def _overlook(self, work: Work, operation: str) -> None:
        """Lets an operation that is there not be found by a poll, once of each."""
        world = self._world
        fault = world.chance.at((READ, *work.site, work.delivery.calls))
        begun = (
            {event.operation for event in world.spanner.history}
            if fault == "missing" and b'"kind":"poll"' in work.delivery.message.data
            else set()
        )
        if operation in begun - world.missed:
            world.record.counts["an operation was not found once"] += 1
            world.missed.add(operation)
            work.delivery.refused.append(("GetOperation", "NOT_FOUND"))
            raise refusals.missing("Operation", operation)

    def _after(self, method: str, resource: str) -> None:
        world, work = self._world, self._world.working[-1]
        record = world.record
        call = world.calling[len(world.working) - 1]
        call.until = len(world.spanner.history)
        if method == "CreateTask":
            task = world.tasks.created[-1]
            work.tasks += 1
            depth, number = work.site[1] + 1, work.tasks
            world.labels.setdefault(resource, (work.site[0], depth, number))
            due = time_of(task.schedule_time)
            record.tasks.append(Waiting(world.now, work.delivery.number, task.name, due, task.http_request.body))
        elif method == "Publish":
            record.told.append(Told(world.now, work.delivery.number, world.last_result()))
        if work.fault:
            self._raise(work.fault, method)

    def _raise(self, fault: str, method: str) -> None:
        self._world.record.counts[fault] += 1
        what, _, _ = fault.rpartition(" ")
        if what == "crash":
            raise CrashedError
        message = DENIED_MESSAGE if what == "PERMISSION_DENIED" else "injected fault"
        raise _refused(self._world.working[-1], method, Code[what], message)


def _refused(work: Work, method: str, code: Code, message: str) -> ApiError:
    """Writes down that a call is refused, and how."""
    work.delivery.refused.append((method, code.name))
    return ApiError(code, message)


class WorldSpanner(SpannerPort):
    """The port to Spanner, whose answers may be odd; it writes down what is said to the log."""

    def __init__(self, world: World) -> None:
        super().__init__(world.spanner, lambda: world.now, CallFaults(world))
        self._world = world

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation; one that can't be read is left alone."""
        operation = super().get_operation(name)
        if name in self._world.record.unreadable:
            raise UnhandledOperationError(_unreadable(operation))
        return self._brief(operation)

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the operations; those that can't be read are left alone."""
        listing = super().list_operations(instance, database=database, backup=backup)
        record = self._world.record
        unreadable = record.unreadable
        if not unreadable and not record.unexplained and not self._world.history.deployment.brief_answers:
            return listing
        return Listing(
            tuple(self._brief(one) for one in listing.operations if one.name not in unreadable),
            (*listing.unhandled, *(_unreadable(one) for one in listing.operations if one.name in unreadable)),
        )

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        backup = super().get_backup(name)
        if not self._world.working[-1].blurred:
            return backup
        return replace(backup, create_time=backup.create_time + timedelta(microseconds=1))

    def _brief(self, operation: Operation) -> Operation:
        if operation.response is None:
            return operation
        if operation.name in self._world.record.unexplained:
            return replace(operation, response=None, unexplained=True)
        if not self._world.history.deployment.brief_answers:
            return operation
        return replace(operation, response=replace(operation.response, schedules=()))


class WorldEvents(EventsPort):
    """The results topic, and the log's lines about deletions."""

    def __init__(self, world: World, topic: str, pubsub: PubSub, faults: CallFaults) -> None:
        super().__init__(pubsub, lambda: world.pubsub_now, topic, faults)
        self._world = world

    def announce_deletion(self, event: Event) -> None:
        """Records what is about to be deleted and why."""
        record = self._world.record
        assert event.backup is not None
        number = self._world.working[-1].delivery.number
        record.logged.append(Logged(number, event.backup, event.detail, len(record.calls)))


def _unreadable(operation: Operation) -> Unhandled:
    return Unhandled(
        operation.name,
        operation.backup,
        operation.database,
        is_copy=False,
        done=operation.done,
        why="it has no start time",
    )
