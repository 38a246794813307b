"""What a `start` of many databases does: a chain that waits for its turn, lists them, and starts one a delivery."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backstop.execute import Report
from backstop.followups import FanOut
from backstop.lifecycle import State
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan
from tests.unit.handlers_world import INSTANCE, ORDERS, USERS, World
from tests.unit.said import LOSES, of_command
from tests.unit.times import HOUR, MINUTE, START

IDS = ("invoices", "orders-de", "orders-fr", "users")
DATABASES = [f"{INSTANCE}/databases/{name}" for name in IDS]
WOULD, NONE = "Would start a backup of each of", "No database matches"
NO_MATCH = "no database of the instance matches"
AT_ONCE = START - START
ALL: dict[str, object] = {"action": "start", "instance": INSTANCE}
SOME = ALL | {"databases": ["orders-*"]}


def make_world() -> World:
    """An instance with four databases."""
    return World(Plan(duration=HOUR), databases=DATABASES)


def started(world: World) -> list[str]:
    """The databases whose backup was started, in order."""
    operations = [event.resource for event in world.spanner.history if event.what is What.BACKUP_STARTED]
    return [world.backup(name).database.rpartition("/")[2] for name in operations]


def run_chain(world: World) -> list[Report]:
    """Delivers the chain's steps only, up to its summary; the polls of what was started come much later."""
    reports: list[Report] = []
    while not reports or reports[-1].command != "fan-out" or reports[-1].next_poll is not None:
        reports.append(world.look())
    return reports


def summary(world: World) -> dict[str, object]:
    """The one event that tells of many."""
    (result,) = [result for result in world.results if "databases" in result]
    return result


def test_a_start_of_an_instance_asks_nothing_of_spanner_before_the_queue_lets_it() -> None:
    """Hundreds of them may come in the same second; delivered twice, each waits in the queue once."""
    world = make_world()

    first = world.send(**ALL)
    world.again()

    assert world.calls == {"CreateTask": 2}
    assert len(world.tasks.pending()) == 1
    note = f"The databases of {INSTANCE} are listed next."
    assert first == Report("start", trigger=first.trigger, step=0, next_poll=AT_ONCE, note=note)


def test_a_start_of_an_instance_that_can_t_be_queued_is_refused() -> None:
    """Nothing is acknowledged that nobody remembers."""
    world = make_world()
    world.faults.plan(Fault("CreateTask", Code.PERMISSION_DENIED, times=3))

    assert world.send(**ALL).retry
    assert world.again(attempt=4).retry
    assert not world.again(attempt=5).retry
    run_chain(world)

    assert started(world) == list(IDS)


@pytest.mark.parametrize(
    ("databases", "dry_run", "outcome", "detail", "account"),
    [
        (
            ["order", "x*"],
            False,
            "REJECTED",
            f"Started nothing, as no database of {INSTANCE} matches.",
            {"databases": {"started": [], "not_started": {"order": NO_MATCH, "x*": NO_MATCH}}},
        ),
        (["orders-*", "x", "y"], True, "DRY_RUN", f"{WOULD} 2 databases: orders-de, orders-fr. {NONE} x, y.", {}),
    ],
)
def test_a_start_that_starts_none_has_no_chain(
    databases: list[str], outcome: str, detail: str, account: dict[str, object], *, dry_run: bool
) -> None:
    """Each pattern that matches nothing is named, or each database that would be started."""
    world = make_world()

    world.send(**ALL, databases=databases, dry_run=dry_run)
    report = world.look()

    assert world.results == [of_command(world, outcome, detail, INSTANCE, **account)]
    assert replace(report, trigger=None, events=()) == Report("fan-out", step=1)
    assert not world.tasks.pending()


def test_one_that_is_refused_does_not_keep_the_others_from_starting() -> None:
    """Each step starts one; the summary tells what was started and what was not, patterns that match nothing too."""
    world = World(LOSES, databases=(ORDERS, USERS))
    world.faults.plan(Fault("CreateBackup", Code.INVALID_ARGUMENT, message="bad"))
    world.send(**ALL, databases=["*", "x", "y"])

    listed, refused = world.look(), world.look()
    ((_, next_one),) = world.waiting
    second, summed_up = world.look(), world.look()

    account = {"started": ["users"], "not_started": {"x": NO_MATCH, "y": NO_MATCH, "orders": "INVALID_ARGUMENT: bad"}}
    detail = "Started 1 backups. Not started: x, y, orders."
    assert world.outcomes == ["STARTED", "STARTED"]
    assert world.results[1] == of_command(world, "STARTED", detail, INSTANCE, databases=account)
    reports = [replace(one, trigger=None, events=()) for one in (listed, refused, second, summed_up)]
    operation, note = world.results[0]["operation"], f"Did not start {INSTANCE}/backups/orders-20261122-020000-"
    assert refused.note.startswith(note)
    assert refused.note.endswith(": INVALID_ARGUMENT: bad.")
    assert [replace(one, next_poll=None) if one.operation else one for one in reports] == [
        Report("fan-out", step=1, next_poll=AT_ONCE, note="Starting the backups of 2 databases."),
        Report("fan-out", step=2, next_poll=AT_ONCE, note=refused.note, database=ORDERS),
        Report("fan-out", step=3, operation=operation, database=USERS, state=State.RUNNING),
        Report("fan-out", step=4),
    ]
    assert isinstance(next_one, FanOut)
    assert (next_one.step, next_one.left, next_one.failures) == (3, ("users",), 0)


def test_a_start_of_many_of_which_none_could_be_started_is_rejected() -> None:
    """Its summary says why of each."""
    world = make_world()
    world.faults.plan(Fault("CreateBackup", Code.PERMISSION_DENIED, times=None))
    world.send(**ALL)
    run_chain(world)

    assert (world.outcomes, set(world.results[0]["databases"]["not_started"])) == (["REJECTED"], set(IDS))


def test_quota_in_the_middle_pauses_the_chain_and_loses_nothing() -> None:
    """Quota means later: the same database is tried again, after a minute, then two, and after a success one again."""
    world = make_world()
    quota = [Fault(method, Code.RESOURCE_EXHAUSTED, times=2) for method in ("ListDatabases", "CreateBackup")]
    world.faults.plan(*quota)
    world.send(**ALL)

    waits = [world.look().next_poll for _ in range(6)]
    assert [later.failures for _, later in world.waiting] == [0, 0]
    run_chain(world)

    assert [round(wait / MINUTE) if wait else wait for wait in waits[:5]] == [1, 2, AT_ONCE, 1, 2]
    assert started(world) == list(IDS)
    assert summary(world)["databases"] == {"started": list(IDS), "not_started": {}}


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.PERMISSION_DENIED])
def test_a_list_that_google_refuses_for_good_is_rejected_in_its_words(code: Code) -> None:
    """Nothing was begun, so whoever published the start hears of it at once."""
    world = make_world()
    world.faults.plan(Fault("ListDatabases", code, message="no such thing"))

    world.send(**ALL)
    report = world.look()

    error = {"code": code.name, "message": "no such thing"}
    assert world.results == [of_command(world, "REJECTED", "Google refused: no such thing", INSTANCE, error=error)]
    assert not report.retry
    assert not world.tasks.pending()


@pytest.mark.parametrize(
    ("before", "attempt"),
    [
        (Fault("CreateTask", Code.UNAVAILABLE, "after"), 2),
        (Fault("CreateTask", Code.UNAVAILABLE, "after"), None),
        (Fault("ListDatabases", Code.RESOURCE_EXHAUSTED), 1),
    ],
    ids=["delivered again", "by a subscription that doesn't count", "retried"],
)
def test_a_missing_role_is_waited_for_where_the_list_may_have_been_made_before(
    before: Fault, attempt: int | None
) -> None:
    """A chain that goes on is not called rejected."""
    world = make_world()
    world.send(**ALL)
    world.faults.plan(before)
    refused = world.look()
    world.faults.plan(Fault("ListDatabases", Code.PERMISSION_DENIED, message="no role"))

    report = world.again(attempt) if refused.retry else world.look()
    run_chain(world)

    assert report.note == "To be retried: PERMISSION_DENIED: no role."
    assert started(world) == list(IDS)
    assert world.outcomes == ["STARTED"] * 5


@pytest.mark.parametrize("method", ["ListDatabases", "ListBackupOperations"])
def test_a_chain_of_starts_that_google_refuses_to_the_end_gives_up_and_says_so(method: str) -> None:
    """Which databases were meant is said as far as it is known."""
    world = make_world()
    world.faults.plan(Fault(method, Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.send(**ALL)
    world.looks()

    assert world.outcomes == ["GAVE_UP"]
    assert world.detail.startswith("Could not be carried out in time: RESOURCE_EXHAUSTED: slow down.")
    assert world.detail.endswith(f" Not known to be started: {', '.join(IDS)}.") is (method != "ListDatabases")
    assert ".." not in world.detail
    account = {"started": [], "not_started": dict.fromkeys(IDS, "RESOURCE_EXHAUSTED: slow down")}
    assert world.results[0].get("databases") == (None if method == "ListDatabases" else account)
