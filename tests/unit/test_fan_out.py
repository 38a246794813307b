"""What a `start` of many databases does: a chain that starts one a delivery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backstop.dispatch import deliver
from backstop.errors import TransientError
from backstop.execute import Report
from backstop.followups import FanOut
from backstop.lifecycle import State
from backstop.wire import parse_follow_up
from emulators.errors import Code
from emulators.faults import Fault
from emulators.spanner.history import What
from emulators.spanner.plans import Plan
from tests.support.ports import publish_of
from tests.unit.handlers_world import HOUR, INSTANCE, MINUTE, ORDERS, START, USERS, World
from tests.unit.told import LOSES, of_command

if TYPE_CHECKING:
    from datetime import datetime

IDS = ("invoices", "orders-de", "orders-fr", "users")
DATABASES = [f"{INSTANCE}/databases/{name}" for name in IDS]
LONG = Plan(duration=HOUR)
NO_MATCH = "no database of the instance matches"
NO_TIME = START - START


def make_world() -> World:
    """An instance with four databases."""
    return World(LONG, databases=DATABASES)


def started(world: World) -> list[str]:
    """The databases whose backup was started, in order."""
    operations = [event.resource for event in world.spanner.history if event.what is What.BACKUP_STARTED]
    return [world.backup(name).database.rpartition("/")[2] for name in operations]


def run_chain(world: World) -> list[Report]:
    """Delivers the chain's steps only, up to its summary; the looks at what was started come much later."""
    reports: list[Report] = []
    while not reports or reports[-1].command != "fan-out" or reports[-1].next_poll is not None:
        reports.append(world.look())
    return reports


def summary(world: World) -> dict[str, object]:
    """The one result that tells of many."""
    (result,) = [result for result in world.results if "databases" in result]
    return result


def test_a_start_of_an_instance_starts_every_database_one_a_delivery_and_tells_of_all_at_the_end() -> None:
    """The first delivery lists, each of the next makes the calls of one start, and the last one sums up."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)

    report = world.look()
    assert started(world) == []
    assert report.note == "Starting the backups of 4 databases."
    world.look()
    assert started(world) == ["invoices"]
    run_chain(world)

    assert started(world) == list(IDS)
    assert world.outcomes == ["STARTED"] * 5
    assert summary(world)["databases"] == {"started": list(IDS), "not_started": {}}
    assert summary(world)["detail"] == "Started 4 backups."


def test_a_start_that_matches_no_database_is_rejected() -> None:
    """There is nothing to start and no chain; each pattern is named."""
    world = make_world()

    first = world.send(action="start", instance=INSTANCE, databases=["order", "x*"])
    listed = world.look()

    why = f"Started nothing, as no database of {INSTANCE} matches."
    databases = {"started": [], "not_started": {"order": NO_MATCH, "x*": NO_MATCH}}
    assert world.results == [of_command(world, "REJECTED", why, INSTANCE, databases=databases)]
    note = f"The databases of {INSTANCE} are listed next."
    assert first == Report("start", step=0, next_poll=NO_TIME, note=note)
    assert replace(listed, results=()) == Report("fan-out", step=1)
    assert not world.tasks.pending()


def test_a_dry_run_names_the_databases_and_starts_none() -> None:
    """One DRY_RUN says what would be started."""
    world = make_world()

    world.send(action="start", instance=INSTANCE, databases=["orders-*"], dry_run=True)
    report = world.look()

    would = "Would start a backup of each of 2 databases: orders-de, orders-fr."
    assert world.results == [of_command(world, "DRY_RUN", would, INSTANCE)]
    assert replace(report, results=()) == Report("fan-out", step=1)
    assert not world.tasks.pending()


def test_one_that_is_refused_does_not_keep_the_others_from_starting() -> None:
    """Each step is reported; the summary tells what was started and what was not, patterns that match nothing too."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.faults.plan(Fault("CreateBackup", Code.INVALID_ARGUMENT, message="bad"))
    world.send(action="start", instance=INSTANCE, databases=["*", "x", "y"])

    listed, refused = world.look(), world.look()
    (task,) = world.tasks.pending()
    next_one = parse_follow_up(publish_of(task).messages[0].data)
    second, summed_up = world.look(), world.look()

    databases = {"started": ["users"], "not_started": {"x": NO_MATCH, "y": NO_MATCH, "orders": "INVALID_ARGUMENT: bad"}}
    assert world.results[1:] == [
        of_command(world, "STARTED", "Started 1 backups. Not started: x, y, orders.", INSTANCE, databases=databases)
    ]
    assert listed == Report("fan-out", step=1, next_poll=NO_TIME, note="Starting the backups of 2 databases.")
    assert refused.note.startswith(f"Did not start {INSTANCE}/backups/orders-20261122-020000-")
    assert refused.note.endswith(": INVALID_ARGUMENT: bad.")
    assert replace(refused, note="") == Report("fan-out", database=ORDERS, step=2, next_poll=NO_TIME)
    assert isinstance(next_one, FanOut)
    assert (next_one.step, next_one.left, next_one.failures) == (3, ("users",), 0)
    operation = world.results[0]["operation"]
    assert replace(second, results=(), next_poll=None) == Report("fan-out", (), operation, USERS, State.RUNNING, step=3)
    assert replace(summed_up, results=()) == Report("fan-out", step=4)


def test_a_chain_of_which_nothing_was_started_ends_in_rejected() -> None:
    """Where every database is refused, the summary is no success."""
    world = make_world()
    world.faults.plan(Fault("CreateBackup", Code.PERMISSION_DENIED, times=None, message="no role"))

    world.send(action="start", instance=INSTANCE)
    world.looks()

    detail = "Started 0 backups. Not started: invoices, orders-de, orders-fr, users."
    databases = {"started": [], "not_started": dict.fromkeys(IDS, "PERMISSION_DENIED: no role")}
    assert world.results == [of_command(world, "REJECTED", detail, INSTANCE, databases=databases)]
    assert world.calls["CreateBackup"] == 4


def test_quota_in_the_middle_pauses_the_chain_and_loses_nothing() -> None:
    """Quota means later: the same database is tried again, after a minute, then two, and after a success one again."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.look()
    world.look()
    quota = Fault("CreateBackup", Code.RESOURCE_EXHAUSTED, times=2, message="slow down")
    world.faults.plan(quota)

    paused = [world.look(), world.look()]
    world.look()
    world.faults.plan(quota)
    paused.append(world.look())
    run_chain(world)

    assert {report.note for report in paused} == {"Put back: RESOURCE_EXHAUSTED: slow down."}
    for report, minutes in zip(paused, (1, 2, 1), strict=True):
        assert report.next_poll is not None
        assert abs(report.next_poll - minutes * MINUTE) <= 0.1 * minutes * MINUTE
    assert started(world) == list(IDS)
    assert summary(world)["databases"] == {"started": list(IDS), "not_started": {}}


def test_a_missing_role_in_the_middle_pauses_the_chain_and_loses_nothing() -> None:
    """An earlier message of the same step may have started the backup, so nothing is rejected."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.look()
    world.faults.plan(Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="no role"))

    report = world.look()
    run_chain(world)

    assert report.note == "Put back: PERMISSION_DENIED: no role."
    assert started(world) == list(IDS)
    assert world.outcomes == ["STARTED"] * 5


@pytest.mark.parametrize("method", ["CreateBackup", "CreateTask", "Publish"])
def test_a_step_that_is_lost_on_the_way_is_made_up_for(method: str) -> None:
    """A redelivered step finds what it has started, starts nothing twice, and goes on."""
    world = make_world()
    world.send(action="start", instance=INSTANCE, databases=["orders-*"])
    world.look()
    world.faults.plan(Fault(method, Code.UNAVAILABLE, "after"))

    refused = world.look()
    assert refused.retry
    world.again()
    world.looks()

    assert started(world) == ["orders-de", "orders-fr"]
    assert world.outcomes.count("COMPLETED") == 2
    assert summary(world)["databases"] == {"started": ["orders-de", "orders-fr"], "not_started": {}}


def test_a_started_backup_is_followed_even_if_its_first_look_could_not_be_scheduled() -> None:
    """The step that is put back attaches to it, and doesn't make a second chain of the rest."""
    world = make_world()
    world.send(action="start", instance=INSTANCE, databases=["orders-*"])
    world.look()
    world.faults.plan(Fault("CreateBackup", Code.UNAVAILABLE, "after"))
    assert world.look().retry
    assert world.last is not None

    class NoLooks:
        """A queue that takes everything but looks."""

        def schedule(self, identity: str, data: bytes, due: datetime) -> None:
            """Hands on what is no look."""
            if b'"kind":"look"' in data:
                raise TransientError("UNAVAILABLE", "not now")
            world.ports.queue.schedule(identity, data, due)

    fourth = replace(world.last, delivery_attempt=4)
    put_back = deliver(fourth, world.now, replace(world.ports, queue=NoLooks()), world.settings)
    assert put_back.note.startswith("Put back")
    world.looks()

    assert started(world) == ["orders-de", "orders-fr"]
    assert world.outcomes.count("COMPLETED") == 2


def test_a_chain_of_starts_that_google_refuses_to_the_end_gives_up_and_says_so() -> None:
    """Quota that never comes back ends at the give-up time."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.looks()

    assert world.outcomes == ["GAVE_UP"]
    assert "slow down" in world.detail
    assert started(world) == []
    assert summary(world)["databases"] == {
        "started": [],
        "not_started": dict.fromkeys(IDS, "RESOURCE_EXHAUSTED: slow down"),
    }


def test_a_start_of_many_that_comes_too_late_starts_none() -> None:
    """`start_within` holds for each database, and the summary says why."""
    world = make_world()
    delivery = world.publish({"action": "start", "instance": INSTANCE, "start_within": "1h"})

    world.tick(2 * HOUR)
    world.deliver(delivery)
    world.looks()

    assert world.outcomes == ["REJECTED"]
    assert started(world) == []
    assert "the message came 2h after it was published" in str(summary(world)["databases"])
