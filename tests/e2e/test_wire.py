"""Every call that the function makes goes wrong in every way, on the wire, and all ends right all the same.

With `-s` each test prints how many cells it has.
"""

from __future__ import annotations

from datetime import timedelta

from demo.stack import Stack
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault, Trouble
from spanner_backup_emulator.spanner.history import What
from tests.e2e.lab import DEAF, Deployment, Lab, lifetime, played, quick, seconds
from tests.e2e.wire import Cell, cells, counted, grid
from tests.e2e.wire_lives import (
    PUSH_AGAIN,
    PUSH_DIED,
    PUSH_OK,
    Going,
    begin,
    check_deliveries,
    judge,
    one_chain,
    pushes,
    refusals,
)
from tests.waiting import wait_until

THREADS = {"THREADS": "40"}
"""A call that hangs holds a thread, and many are to hang at once."""

SPANNER_FAILS = Deployment("Spanner fails", THREADS)
OTHERS_FAIL = Deployment("others fail", THREADS)
EXPIRY = Deployment("expiry", {**THREADS, "BACKSTOP_GIVE_UP_AFTER": "3s"})
INSTANCES_DIE = Deployment("instances die", THREADS)
SPANNER_RESTARTS = Deployment("Spanner restarts", {**THREADS, "GRPC_VERBOSITY": "NONE"})
"""gRPC prints a line of its own for each such farewell."""

APART = (Trouble.HANG, Trouble.GARBLED, Trouble.BARE)
"""What hits one call and no other. A broken connection frees those that hang on it, so it has a turn of its own."""


@played(SPANNER_FAILS, embedded=True)
def test_each_fault_of_each_call_to_spanner_ends_right(lab: Lab) -> None:
    """Each code, each silence and each unreadable answer, before and after the effect, hits its life, which ends right.

    A delivery is refused where it must be, and not where the adapter can bridge the fault itself.
    """
    stack = lab.stack
    going = [begin(stack, cell) for cell in grid(*APART)]
    print(f"{len(going)} cells")

    for one in going:
        judge(one)
    assert stack.spanner.faults.injected == counted(one.cell.fault() for one in going)
    refused = refusals(stack)
    assert {one.cell: refused[one.message_id] for one in going} == {one.cell: int(one.cell.refused) for one in going}
    check_deliveries(stack)


@played(OTHERS_FAIL, embedded=True)
def test_each_fault_of_the_queue_and_the_topics_ends_right_and_so_does_each_broken_connection(lab: Lab) -> None:
    """CreateTask, the publishing of outcomes, and the task's own publishing fail in every way; connections break.

    Here a fault hits whichever life comes by, and a broken connection takes the calls of others along.
    """
    stack = lab.stack
    assert stack.pubsub is not None
    tasks = [cell.fault() for cell in cells("CreateTask", *APART)]
    publishes = [cell.fault(stack.results) for cell in cells("Publish", *APART)]
    publishes += [cell.fault(stack.follow_ups) for cell in cells("Publish")]
    _go_wrong_beside_spanner(stack, [], tasks, publishes)

    cuts = grid(Trouble.CUT, codes=())
    cut_tasks = [cell.fault() for cell in cells("CreateTask", Trouble.CUT, codes=())]
    cut_publishes = [
        cell.fault(topic)
        for topic in (stack.results, stack.follow_ups)
        for cell in cells("Publish", Trouble.CUT, codes=())
    ]
    _go_wrong_beside_spanner(stack, cuts, cut_tasks, cut_publishes)

    assert stack.spanner.faults.injected == counted(cell.fault() for cell in cuts)
    assert stack.tasks.faults.injected == counted(tasks + cut_tasks)
    assert stack.pubsub.faults.injected == counted(publishes + cut_publishes)
    check_deliveries(stack)


def _go_wrong_beside_spanner(stack: Stack, cuts: list[Cell], tasks: list[Fault], publishes: list[Fault]) -> None:
    """Plans these faults, has as many lives, and judges them."""
    assert stack.pubsub is not None
    with stack.tasks.endpoint.lock:
        stack.tasks.faults.plan(*tasks)
    stack.pubsub.faults.plan(*publishes)
    going = [begin(stack, cell) for cell in cuts]
    going += [begin(stack, Cell("kept", "", Trouble.BARE, "after")) for _ in tasks + publishes]
    print(f"{len(going)} cells")
    for one in going:
        judge(one)


@played(EXPIRY, embedded=True)
def test_each_fault_of_a_shortened_expiry_ends_right(lab: Lab) -> None:
    """UpdateBackup is the last thing that a chain does: the expiry is brought forward, or the outcome says why not."""
    stack = lab.stack
    for faults in (cells("UpdateBackup", *APART), cells("UpdateBackup", Trouble.CUT, codes=())):
        print(f"{len(faults)} cells")
        _shorten(stack, faults)
    check_deliveries(stack)


def _shorten(stack: Stack, faults: list[Cell]) -> None:
    """Has as many backups whose delete is blocked until it is given up."""
    stack.spanner.faults.injected.clear()
    labs = [Lab(stack) for _ in faults]
    backups = [lab.foreign(quick())[1] for lab in labs]
    wait_until(lambda: all(lab.history(What.BACKUP_READY) for lab in labs))
    message_ids = []
    for cell, lab, backup in zip(faults, labs, backups, strict=True):
        with stack.spanner.lock:
            stack.spanner.faults.plan(cell.fault(lab.instance))
        stack.spanner.begin_restore(backup, f"{lab.instance}/databases/restored", seconds(120))
        message_ids.append(lab.publish("cancel", backup=backup))

    for cell, lab, backup, message_id in zip(faults, labs, backups, message_ids, strict=True):
        gave_up = lab.end_events(message_id)[-1]
        assert gave_up.outcome == "GAVE_UP", cell
        said_why = "as Spanner refused an earlier expiry: PERMISSION_DENIED" in gave_up.data["detail"]
        assert said_why == (cell.kind is Code.PERMISSION_DENIED), cell
        kept = lab.backup(backup)
        assert kept is not None
        assert (lifetime(kept) < timedelta(hours=6, minutes=10)) == (not said_why), cell
        assert lab.history(What.BACKUP_DELETED) == []
        one_chain(lab, message_id)
    assert stack.spanner.faults.injected == counted(cell.fault() for cell in faults)


@played(embedded=True)
def test_a_role_that_goes_away_as_the_answer_to_a_cancel_is_lost_leaves_nothing_behind(lab: Lab) -> None:
    """Spanner has the cancel, though a refusal comes next: the command is not rejected, but followed to its end.

    A storm found that the adapter repeated the call by itself, and so made one delivery of two attempts.
    """
    operation, _ = lab.foreign(DEAF)
    with lab.stack.spanner.lock:
        lab.stack.spanner.faults.plan(
            Fault("CancelOperation", Code.UNAVAILABLE, "after", resource=lab.instance),
            Fault("CancelOperation", Code.PERMISSION_DENIED, resource=lab.instance, skip=1),
        )
    message_id = lab.publish("cancel", database=f"{lab.instance}/databases/orders")
    wait_until(lambda: lab.follow_ups(message_id))
    lab.stack.spanner.finish(operation)

    assert lab.ends(message_id)[-1] == "COMPLETED_THEN_DELETED"
    assert len(lab.history(What.CANCEL_RECEIVED)) == 1
    assert lab.left_behind() == []


FIRST = ("ListBackupOperations", "CreateBackup", "ListDatabases")
HANGS = grid(Trouble.HANG, codes=())
COMMANDS = [cell for cell in HANGS if cell.method in FIRST or cell.life in {"stopped", "named"}]
DELETES = [cell for cell in HANGS if cell.life == "asked" and cell.method in {"GetBackup", "DeleteBackup"}]
ROUNDS = (COMMANDS, DELETES, [cell for cell in HANGS if cell not in COMMANDS + DELETES])
"""The calls that come at about the same time: the first one must still hang when the last one does."""


def _hang(stack: Stack, hangs: list[Cell]) -> list[Going]:
    """Begins a life for each of these calls, and waits until all of them hang."""
    before = stack.spanner.faults.injected.total()
    going = [begin(stack, cell) for cell in hangs]
    wait_until(lambda: stack.spanner.faults.injected.total() == before + len(hangs))
    return going


@played(INSTANCES_DIE, embedded=True)
def test_an_instance_that_is_killed_in_the_middle_of_each_call_is_replaced_and_all_ends_right(lab: Lab) -> None:
    """It dies while it waits for an answer, with the effect and without; the next one finds out where things stand."""
    stack = lab.stack
    for hangs in ROUNDS:
        died = sum(push.status == PUSH_DIED for push in pushes(stack))
        going = _hang(stack, hangs)
        stack.function.kill()
        stack.function.start()

        for one in going:
            judge(one)
        assert sum(push.status == PUSH_DIED for push in pushes(stack)) - died >= len(hangs)
    assert {push.status for push in pushes(stack)} <= {PUSH_OK, PUSH_AGAIN, PUSH_DIED}


@played(SPANNER_RESTARTS, embedded=True)
def test_a_service_that_is_restarted_in_the_middle_of_each_call_is_found_again(lab: Lab) -> None:
    """Spanner goes away with all calls under way and comes back on the same port; the clients connect anew."""
    stack = lab.stack
    for hangs in ROUNDS:
        going = _hang(stack, hangs)
        stack.spanner.close()
        stack.spanner.start()

        for one in going:
            judge(one)
    check_deliveries(stack)
