"""What a sweep that is waited for leaves: the exit code and the words are true of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from backstop.handlers import SWEPT_MAX
from backstop_cli.errors import Exit
from backstop_cli.followups import FollowUp, read
from backstop_cli.messages import Event
from backstop_cli.naming import short
from backstop_cli.session import Session
from backstop_cli.spanner import Spanner, strays
from backstop_cli.waiting import Chains, Rest, Wait, until_over
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import at_a_terminal
from tests.cli.test_cli_acting import begin_cancel
from tests.cli.test_cli_looking import CHAIN, advised, by_hand
from tests.cli.test_cli_parts import PAGE, task
from tests.cli.test_cli_watching import Told
from tests.waiting import wait_until


def leave(place: Place, count: int) -> None:
    """Leaves so many backups that somebody cancelled past Backstop and that completed all the same."""
    for number in range(count):
        database = place.database(f"quick-{number}")
        place.stack.spanner.queue_plans(database, Plan(timedelta(seconds=3), cancel_duration=None))
        begin_cancel(by_hand(place, database, f"left-{number}"))
    wait_until(lambda: len(there(place)) == count)


def there(place: Place) -> list[str]:
    """The backups that are there although somebody cancelled them."""
    spanner = Spanner()
    operations = spanner.operations(place.instance)
    return [one["backup"] for one in strays(operations, spanner.suspects(place.instance, operations))]


@contextmanager
def without_quota(place: Place) -> Iterator[None]:
    """Has Spanner refuse every deletion but the first, as its quota is used up."""
    fault = Fault("DeleteBackup", Code.RESOURCE_EXHAUSTED, skip=1, times=None, resource=place.instance)
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(fault)
    yield
    with place.stack.spanner.lock:
        place.stack.spanner.faults.clear()


def test_a_sweep_of_more_than_it_takes_said_of_all_that_they_are_deleted_and_ended_with_0(
    cli: Cli, place: Place
) -> None:
    """Of 30, 18 stayed, and nothing spoke of them; pasted, what is advised sweeps once more."""
    leave(place, SWEPT_MAX + 2)
    typed = at_a_terminal(place.environ, "sweep", "--delete", "--wait", answer="y\n")

    assert (typed.code, len(there(place))) == (Exit.LEFT, 2)
    assert typed.out.index("At most 12 of these 14 go with one sweep.") < typed.out.index("Sweep test-")
    assert "Left: 2. One sweep takes at most 12" in typed.out
    (again,) = (one for one in advised(typed.out) if one[0] == "sweep")
    assert again == ["sweep", short(place.instance), "--delete"]
    assert cli(*again, "--yes").code == Exit.AS_WISHED
    first, second = place.commands()
    assert first == second


def test_the_page_says_how_much_one_sweep_takes() -> None:
    """As the function has it."""
    assert f"one takes at most {SWEPT_MAX} |" in PAGE


def test_status_did_not_say_how_many_one_sweep_takes(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are more."""
    monkeypatch.setattr("backstop_cli.looking.SWEPT_MAX", 1)
    leave(place, 2)
    said = "To delete what was cancelled and is there, at most 1 with each sweep: backstop sweep "

    assert (said in cli("status").out, said in cli("audit").out) == (True, True)
    dry = cli("sweep", "--delete", "--dry-run", "--wait")
    assert (dry.code, dry.out.count("DRY_RUN"), dry.err) == (Exit.AS_WISHED, 2, "")


def test_a_sweep_that_waited_for_quota_ended_with_0(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not deleted by the end of its patience is told, and how to go on."""
    monkeypatch.setattr("backstop_cli.waiting.QUIET_S", 1.0)
    monkeypatch.setattr("backstop_cli.waiting.OVER_S", 2.0)
    leave(place, 3)
    with without_quota(place):
        typed = cli("sweep", "--delete", "--yes", "--wait", "--timeout", "60s", "--queue", "nowhere")

    assert (typed.code, typed.out.count("COMPLETED_THEN_DELETED")) == (Exit.LEFT, 1)
    assert "Left: 2." in typed.err
    assert advised(typed.err) == [["sweep", short(place.instance), "--delete", "--queue", "nowhere"]]


def test_a_sweep_of_which_a_follow_up_waited_was_taken_to_be_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five seconds of silence are nothing where it has told less than it is to deal with."""
    monkeypatch.setattr("backstop_cli.waiting.QUIET_S", 0.05)
    monkeypatch.setattr("backstop_cli.waiting.OVER_S", 1.0)
    monkeypatch.setattr("backstop_cli.waiting.LOOK_S", 0.05)
    told = [
        Event(one, "", {"outcome": "COMPLETED_THEN_DELETED", "operation": one, "trigger": {"message_id": "7"}})
        for one in ("o1", "o2")
    ]
    source, waits = Told(told[0]), [[read(task({**CHAIN, "operation": "o"}))]] * 3

    def look(_: object) -> tuple[list[FollowUp | None], str]:
        if len(waits) == 1:
            source.left.append(told[1])
        return waits.pop() if waits else [], ""

    monkeypatch.setattr("backstop_cli.session.Session.follow_ups", look)
    wait = Wait("sweep", "7")
    rest = Rest(Chains(Session.__new__(Session), "7"), lambda: {"o1", "o2"})

    assert until_over(wait, source, 60, lambda _: None, rest.is_over)
    assert (wait.operations, rest.left(wait)) == ({"o1", "o2"}, set())


def test_a_sweep_by_who_may_not_read_spanner_says_that_what_is_left_can_not_be_seen(cli: Cli, place: Place) -> None:
    """It ends as its outcomes say."""
    leave(place, 1)
    denied = Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="no", skip=1, resource=place.instance)
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(denied)
    typed = cli("sweep", "--delete", "--yes", "--wait")

    assert (typed.code, typed.err) == (Exit.AS_WISHED, "What the sweep leaves can't be seen: no\n")
