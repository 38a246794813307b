"""How a `start` of many databases begins: it waits for its turn in the queue, and then lists them."""

from __future__ import annotations

import pytest

from emulators.errors import Code
from emulators.faults import Fault
from tests.unit.handlers_world import INSTANCE, MINUTE
from tests.unit.test_fan_out import IDS, make_world, run_chain, started


def test_a_start_of_an_instance_asks_nothing_of_spanner_before_the_queue_lets_it() -> None:
    """Hundreds of them may come in the same second; delivered twice, each waits in the queue once."""
    world = make_world()

    first = world.send(action="start", instance=INSTANCE)
    world.again()

    assert world.calls == {"CreateTask": 2}
    assert len(world.tasks.pending()) == 1
    assert (first.step, first.note) == (0, f"The databases of {INSTANCE} are listed next.")


def test_a_start_of_an_instance_that_can_t_be_queued_is_refused() -> None:
    """Nothing is acknowledged that nobody remembers."""
    world = make_world()
    world.faults.plan(Fault("CreateTask", Code.PERMISSION_DENIED, times=3))

    assert world.send(action="start", instance=INSTANCE).retry
    assert world.again(attempt=4).retry
    assert not world.again(attempt=5).retry
    run_chain(world)

    assert started(world) == list(IDS)


@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.PERMISSION_DENIED])
def test_a_list_that_google_refuses_for_good_is_rejected_in_its_words(code: Code) -> None:
    """Nothing was begun, so whoever published the start hears of it at once."""
    world = make_world()
    world.faults.plan(Fault("ListDatabases", code, message="no such thing"))

    world.send(action="start", instance=INSTANCE)
    report = world.look()

    (result,) = world.results
    assert (result["outcome"], result["detail"]) == ("REJECTED", "Google refused: no such thing")
    assert result["error"] == {"code": code.name, "message": "no such thing"}
    assert "databases" not in result
    assert not report.retry
    assert not world.tasks.pending()


@pytest.mark.parametrize("attempt", [2, None])
def test_a_missing_role_is_waited_for_where_the_list_may_have_been_made_before(attempt: int | None) -> None:
    """A chain that goes on is not called rejected."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.faults.plan(Fault("CreateTask", Code.UNAVAILABLE, "after"))
    assert world.look().retry
    world.faults.plan(Fault("ListDatabases", Code.PERMISSION_DENIED, message="no role"))

    report = world.again(attempt)
    run_chain(world)

    assert report.note == "Put back: PERMISSION_DENIED: no role."
    assert started(world) == list(IDS)
    assert world.outcomes == ["STARTED"] * 5


def test_a_list_that_meets_quota_and_then_a_missing_role_is_waited_for() -> None:
    """What is put back may have been carried out before, so a role is waited for."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.faults.plan(Fault("ListDatabases", Code.RESOURCE_EXHAUSTED))
    world.faults.plan(Fault("ListDatabases", Code.PERMISSION_DENIED))

    notes = [world.look().note, world.look().note]
    run_chain(world)

    assert [note.partition(": ")[0] for note in notes] == ["Put back", "Put back"]
    assert started(world) == list(IDS)
    assert world.outcomes == ["STARTED"] * 5


def test_a_list_that_is_made_at_last_forgets_its_failures() -> None:
    """The waits after a later refusal start from the shortest again."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.faults.plan(Fault("ListDatabases", Code.RESOURCE_EXHAUSTED, times=3))
    for _ in range(4):
        world.look()
    world.faults.plan(Fault("ListBackupOperations", Code.RESOURCE_EXHAUSTED))

    report = world.look()

    assert report.next_poll is not None
    assert report.next_poll <= 1.1 * MINUTE


def test_a_list_that_meets_quota_to_the_end_gives_up_and_says_so() -> None:
    """Everything ends, and which databases were meant nobody knows."""
    world = make_world()
    world.send(action="start", instance=INSTANCE)
    world.faults.plan(Fault("ListDatabases", Code.RESOURCE_EXHAUSTED, times=None, message="slow down"))

    world.looks()

    assert world.outcomes == ["GAVE_UP"]
    assert "Could not be carried out in time: RESOURCE_EXHAUSTED: slow down." in world.detail
    assert "databases" not in world.results[0]


def test_a_list_that_is_made_twice_starts_nothing_twice() -> None:
    """The first list counts, whatever another delivery of the same step sees."""
    world = make_world()
    world.send(action="start", instance=INSTANCE, databases=["orders-*"])
    world.look()

    world.again()
    assert len(world.tasks.pending()) == 1
    run_chain(world)

    assert started(world) == ["orders-de", "orders-fr"]
