"""What may happen to each call that the function makes, put where the ports ask for planned faults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from emulators.errors import ApiError, Code
from emulators.faults import Faults as PlannedFaults
from tests.simulation.chance import CALL
from tests.simulation.record import Call, Told, Waiting

if TYPE_CHECKING:
    from emulators.faults import When
    from tests.simulation.chance import Site
    from tests.simulation.record import Delivery
    from tests.simulation.world import World

LATENCY = timedelta(milliseconds=80)
"""How long a call takes that nothing is wrong with."""

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
    """

    delivery: Delivery
    site: Site
    tasks: int = 0
    fault: str = ""


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
        world.now += LATENCY
        if (world.now - work.delivery.begin).total_seconds() > DELIVERY_S_MAX:
            record.counts["time used up"] += 1
            raise _refused(work, method, Code.DEADLINE_EXCEEDED, f"the delivery's {DELIVERY_S_MAX:.0f} s are used up")
        if world.denied_until > world.now and method not in ELSEWHERE:
            record.counts["role taken away"] += 1
            raise _refused(work, method, Code.PERMISSION_DENIED, DENIED_MESSAGE)
        site = (CALL, *work.site, work.delivery.calls)
        fault = world.chance.at(site) or ""
        if fault == "slow":
            world.now += timedelta(seconds=world.chance.spread(site, SLOW_S_MIN, world.history.faults.slow_s_max))
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
            record.tasks.append(
                Waiting(world.now, work.delivery.number, task.name, task.schedule_time, task.http_request.body)
            )
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
