"""Every call that the function makes goes wrong in every way, on the wire, and all ends right all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from emulators.errors import Code
from emulators.faults import Fault, Trouble
from emulators.spanner.history import What
from tests.e2e import wire
from tests.e2e.lab import EMBEDDED_ONLY, Lab, lifetime, seconds, wait_until
from tests.e2e.wire import KEPT, LIVES, PUSH_AGAIN, PUSH_DIED, PUSH_OK, Cell, begin, cells, counted, judge, pushes

if TYPE_CHECKING:
    from tests.e2e.conftest import Deploy

THREADS = {"THREADS": "40"}
"""A call that hangs holds a thread, and many are to hang at once."""


@EMBEDDED_ONLY
def test_each_fault_of_each_call_to_spanner_ends_right(deploy: Deploy) -> None:
    """Each code, each silence and each unreadable answer, before and after the effect, hits its life, which ends right.

    A delivery is refused where it must be, and not where the adapter can bridge the fault itself.
    """
    lab = deploy(THREADS)
    grid = [cell for method in LIVES for cell in cells(method, Trouble.HANG, Trouble.GARBLED, Trouble.BARE)]
    going = [begin(Lab(lab.stack), LIVES[cell.method], cell) for cell in grid]

    for one in going:
        judge(one)
    assert lab.stack.spanner.faults.injected == counted(cell.fault("") for cell in grid)
    refused = wire.refusals(lab)
    assert {one.cell: refused[one.message_id] for one in going} == {cell: int(cell.refused) for cell in grid}
    assert {push.status for push in pushes(lab)} == {PUSH_OK, PUSH_AGAIN}


@EMBEDDED_ONLY
def test_each_fault_of_the_queue_and_the_topics_ends_right_and_so_does_each_broken_connection(deploy: Deploy) -> None:
    """CreateTask, the publishing of outcomes, and the task's own publishing fail in every way; connections break.

    A broken connection takes the calls of other lives along, so here a fault may hit whichever life comes by.
    """
    lab = deploy(THREADS)
    everything = (Trouble.HANG, Trouble.CUT, Trouble.GARBLED, Trouble.BARE)
    tasks = [cell.fault("") for cell in cells("CreateTask", *everything)]
    publishes = [cell.fault(lab.stack.results) for cell in cells("Publish", *everything)]
    publishes += [cell.fault(lab.stack.follow_ups) for cell in cells("Publish", Trouble.CUT)]
    cuts = [cell for method in LIVES for cell in cells(method, Trouble.CUT, codes=())]
    _plan_beside_spanner(lab, tasks, publishes)
    going = [begin(Lab(lab.stack), LIVES[cell.method], cell) for cell in cuts]
    going += [begin(Lab(lab.stack), KEPT) for _ in tasks + publishes]

    for one in going:
        judge(one)
    assert lab.stack.spanner.faults.injected == counted(cell.fault("") for cell in cuts)
    assert lab.stack.tasks.faults.injected == counted(tasks)
    assert lab.stack.pubsub is not None
    assert lab.stack.pubsub.faults.injected == counted(publishes)
    assert {push.status for push in pushes(lab)} == {PUSH_OK, PUSH_AGAIN}


def _plan_beside_spanner(lab: Lab, tasks: list[Fault], publishes: list[Fault]) -> None:
    with lab.stack.tasks.endpoint.lock:
        lab.stack.tasks.faults.plan(*tasks)
    assert lab.stack.pubsub is not None
    lab.stack.pubsub.faults.plan(*publishes)


@EMBEDDED_ONLY
def test_each_fault_of_a_shortened_expiry_ends_right(deploy: Deploy) -> None:
    """UpdateBackup is the last thing that a chain does: it is done once, or the outcome says why it was not."""
    lab = deploy({**THREADS, "BACKSTOP_GIVE_UP_AFTER": "3s"})
    grid = cells("UpdateBackup", Trouble.HANG, Trouble.CUT, Trouble.GARBLED, Trouble.BARE)
    labs = [Lab(lab.stack) for _ in grid]
    backups = [one.foreign(wire.KEPT.plan)[1] for one in labs]
    wait_until(lambda: all(one.history(What.BACKUP_READY) for one in labs))
    message_ids = []
    for cell, one, backup in zip(grid, labs, backups, strict=True):
        with lab.stack.spanner.lock:
            lab.stack.spanner.faults.plan(cell.fault(one.instance))
        lab.stack.spanner.begin_restore(backup, f"{one.instance}/databases/restored", seconds(120))
        message_ids.append(one.publish("cancel", backup=backup))

    for cell, one, backup, message_id in zip(grid, labs, backups, message_ids, strict=True):
        gave_up = one.end_events(message_id)[-1]
        assert gave_up.outcome == "GAVE_UP", cell
        said_why = "as Spanner refused an earlier expiry: PERMISSION_DENIED" in gave_up.data["detail"]
        assert said_why == (cell.kind is Code.PERMISSION_DENIED), cell
        kept = one.backup(backup)
        assert kept is not None
        assert (lifetime(kept) < timedelta(hours=6, minutes=10)) == (not said_why), cell
        assert one.history(What.BACKUP_DELETED) == []
        wire.one_chain(one, message_id)
    assert lab.stack.spanner.faults.injected == counted(cell.fault("") for cell in grid)
    assert {push.status for push in pushes(lab)} == {PUSH_OK, PUSH_AGAIN}


HANGS = {
    "as it starts a backup": [
        *(
            cell
            for name in ("ListBackupOperations", "CreateBackup", "ListDatabases")
            for cell in cells(name, Trouble.HANG, codes=())
        )
    ],
    "as it looks": [
        *(
            cell
            for name in ("GetOperation", "CancelOperation", "GetBackup", "DeleteBackup")
            for cell in cells(name, Trouble.HANG, codes=())
        )
    ],
}


def _hang(lab: Lab, hangs: list[Cell]) -> list[wire.Going]:
    """Begins a life for each of these calls, and waits until all of them hang."""
    faults = lab.stack.spanner.faults
    before = faults.injected.total()
    going = [begin(Lab(lab.stack), LIVES[cell.method], cell) for cell in hangs]
    wait_until(lambda: faults.injected.total() == before + len(hangs))
    return going


@EMBEDDED_ONLY
def test_an_instance_that_is_killed_in_the_middle_of_each_call_is_replaced_and_all_ends_right(deploy: Deploy) -> None:
    """It dies while it waits for an answer, with the effect and without; the next one finds out where things stand."""
    lab = deploy(THREADS)
    for hangs in HANGS.values():
        died = sum(push.status == PUSH_DIED for push in pushes(lab))
        going = _hang(lab, hangs)
        lab.stack.function.kill()
        lab.stack.function.start()

        for one in going:
            judge(one)
        assert sum(push.status == PUSH_DIED for push in pushes(lab)) - died >= len(hangs)
    assert {push.status for push in pushes(lab)} <= {PUSH_OK, PUSH_AGAIN, PUSH_DIED}


@EMBEDDED_ONLY
def test_a_service_that_is_restarted_in_the_middle_of_each_call_is_found_again(deploy: Deploy) -> None:
    """Spanner goes away with all calls under way and comes back on the same port; the clients connect anew."""
    lab = deploy({**THREADS, "GRPC_VERBOSITY": "NONE"})  # gRPC prints a line of its own for each such farewell.
    for hangs in HANGS.values():
        going = _hang(lab, hangs)
        lab.stack.spanner.close()
        lab.stack.spanner.start()

        for one in going:
            judge(one)
    assert {push.status for push in pushes(lab)} == {PUSH_OK, PUSH_AGAIN}
