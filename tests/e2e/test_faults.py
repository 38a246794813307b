"""What an error of Google's comes to: again at once, later through the queue, or REJECTED in its own words.

Every error of every call is in `test_wire.py`; here is what is told of some of them, and how often they come.
"""

from __future__ import annotations

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.history import What
from tests.e2e.lab import ALONE, ENDLESS, IMPATIENT, REFUSING, STUBBORN, Lab, played, quick

TRANSIENT = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.ABORTED, Code.UNKNOWN, Code.CANCELLED)


def _plan(lab: Lab, *faults: Fault) -> None:
    with lab.stack.spanner.lock:
        lab.stack.spanner.faults.plan(*faults)


def _injected(lab: Lab, method: str, code: Code) -> int:
    with lab.stack.spanner.lock:
        return lab.stack.spanner.faults.injected[method, code, "before"]


def _pushes(lab: Lab, message_id: str) -> list[int]:
    """How the deliveries of a message were answered, where Pub/Sub can tell."""
    assert lab.stack.pubsub is not None
    return [done.status for done in lab.stack.pubsub.outcomes() if done.delivery.message.message_id == message_id]


@played(REFUSING)
def test_a_transient_fault_brings_the_message_again(lab: Lab) -> None:
    """For each code that passes, the first delivery is refused with a 503, and the second one succeeds."""
    databases = {code: f"db-{code.name.lower().replace('_', '-')}" for code in TRANSIENT}
    _plan(lab, *(Fault("CreateBackup", code, resource=f"/{database}") for code, database in databases.items()))
    message_ids = {
        code: lab.publish("start", database=lab.database(quick(), database_id))
        for code, database_id in databases.items()
    }

    for code, message_id in message_ids.items():
        assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
        assert _injected(lab, "CreateBackup", code)
        refused, started = lab.lines(message_id, 2)
        assert (refused["severity"], refused["error"]["code"]) == ("WARNING", code.name)
        assert refused["message"].startswith("To be delivered again: ")
        assert started["outcomes"] == ["STARTED"]
        if lab.stack.pubsub is not None:
            assert _pushes(lab, message_id) == [503, 204]


@played()
def test_a_read_that_is_unavailable_is_repeated_in_the_same_delivery(lab: Lab) -> None:
    """A call that may be made twice is: the message isn't refused for a moment's weakness."""
    operation, _ = lab.foreign(ENDLESS)
    _plan(lab, Fault("GetOperation", Code.UNAVAILABLE, times=2, resource=f"{lab.instance}/"))
    cancel_id = lab.publish("cancel", operation=operation)

    assert lab.ends(cancel_id) == ["CANCEL_REQUESTED", "CANCELLED"]
    assert _injected(lab, "GetOperation", Code.UNAVAILABLE) >= 2
    assert [line["severity"] for line in lab.lines(cancel_id)] == ["INFO"]


@played(ALONE, embedded=True)
def test_a_task_that_cannot_be_made_brings_the_message_again(lab: Lab) -> None:
    """Without a follow-up nobody would look again, so the delivery fails; done again, it attaches."""
    with lab.stack.tasks.endpoint.lock:
        lab.stack.tasks.faults.plan(Fault("CreateTask", Code.INTERNAL), Fault("CreateTask", Code.INTERNAL, "after"))
    message_id = lab.publish("start", database=lab.database(quick()))

    assert len(lab.comes_to(message_id, "STARTED", "COMPLETED")) == 2
    assert sum(lab.stack.tasks.faults.injected.values()) == 2
    assert len(lab.lines(message_id, 3)) == 3
    assert len(lab.history(What.BACKUP_STARTED)) == 1
    names = [name for name, _ in lab.follow_ups(message_id)]
    assert len(names) == len(set(names))


@played()
def test_quota_means_later(lab: Lab) -> None:
    """RESOURCE_EXHAUSTED puts the message back through the queue: it is never refused, and never failed."""
    _plan(lab, Fault("CreateBackup", Code.RESOURCE_EXHAUSTED, times=2, resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(quick()))

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    (line,) = lab.lines(message_id)
    assert line["message"].startswith("To be retried: RESOURCE_EXHAUSTED")
    assert line["next_poll_s"] == 1.0
    kinds = [(follow_up["kind"], follow_up["step"]) for _, follow_up in lab.follow_ups(message_id)]
    assert kinds[:2] == [("retry", 1), ("retry", 2)]


@played()
def test_a_follow_up_without_quota_is_put_back(lab: Lab) -> None:
    """The chain goes on when there is quota again, with the steps that it took in between."""
    _plan(lab, Fault("GetOperation", Code.RESOURCE_EXHAUSTED, resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(quick()))

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    failures = [follow_up.get("failures", 0) for _, follow_up in lab.follow_ups(message_id)]
    assert failures[:2] == [0, 1]


@played()
def test_a_command_that_google_refuses_is_rejected_in_its_words(lab: Lab) -> None:
    """A role that is missing is for a person to give: the outcome quotes Google, and nothing is tried again."""
    said = "Caller is missing IAM permission spanner.backups.create on resource orders."
    _plan(lab, Fault("CreateBackup", Code.PERMISSION_DENIED, message=said, resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(quick()))

    (rejected,) = lab.end_events(message_id)
    assert rejected.outcome == "REJECTED"
    assert rejected.data["error"] == {"code": "PERMISSION_DENIED", "message": said}
    assert rejected.data["detail"] == f"Google refused: {said}"
    (line,) = lab.lines(message_id)
    assert (line["severity"], line["outcomes"]) == ("ERROR", ["REJECTED"])
    assert lab.follow_ups(message_id) == []


@played()
def test_a_follow_up_that_google_refuses_is_put_back_and_recovers(lab: Lab) -> None:
    """A role taken away for a while leaves no backup behind: the chain goes on once it is given back."""
    _plan(lab, Fault("DeleteBackup", Code.PERMISSION_DENIED, times=2, resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(STUBBORN), cancel_after="0s")

    assert lab.ends(message_id) == ["STARTED", "CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert _injected(lab, "DeleteBackup", Code.PERMISSION_DENIED) >= 2
    assert [follow_up.get("failures", 0) for _, follow_up in lab.follow_ups(message_id)][-2:] == [1, 2]
    assert lab.left_behind() == []
    put_back = [
        line for line in list(lab.stack.function.lines) if "To be retried: PERMISSION_DENIED" in line["message"]
    ]
    assert {line["severity"] for line in put_back} == {"WARNING"}


@played(REFUSING, embedded=True)
def test_a_message_that_keeps_meeting_faults_is_put_back_before_it_is_given_up(lab: Lab) -> None:
    """From the fourth attempt on the queue takes it, so that it doesn't end among the dead letters."""
    _plan(lab, Fault("CreateBackup", Code.INTERNAL, times=4, resource=f"{lab.instance}/"))
    message_id = lab.publish("start", database=lab.database(quick()))

    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    assert _pushes(lab, message_id) == [503, 503, 503, 204]
    assert [line["delivery_attempt"] for line in lab.lines(message_id, 4)] == [1, 2, 3, 4]
    assert lab.follow_ups(message_id)[0][1]["kind"] == "retry"


@played(IMPATIENT)
def test_a_look_that_waits_for_a_role_gives_up_in_time(lab: Lab) -> None:
    """A role that is never given back ends in GAVE_UP, which says what stood in the way."""
    _plan(
        lab, Fault("GetOperation", Code.PERMISSION_DENIED, times=None, message="no role", resource=f"{lab.instance}/")
    )
    message_id = lab.publish("start", database=lab.database(ENDLESS))

    gave_up = lab.comes_to(message_id, "GAVE_UP")[-1]
    assert gave_up.data["error"] == {"code": "PERMISSION_DENIED", "message": "no role"}
    assert lab.ends(message_id) == ["STARTED", "GAVE_UP"]
