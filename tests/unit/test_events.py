"""Events: who they are about, how a reader knows a second one, and how loudly the log says it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from msgspec import structs

from backstop.commands import Sweep
from backstop.events import Billed, Databases, Event, Outcome, Trigger, of_command, of_operation
from backstop.names import OperationName
from backstop.operations import Backup, Failure, Operation
from backstop.wire import encode_event
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, HOUR, INSTANCE, NIGHTLY, ORDERS, START

TRIGGER = Trigger("17", START, COMMANDS, "start", "ann@example.com", "CHG-4711")
BACKUP = Backup(NIGHTLY, ORDERS, START, START + 24 * HOUR, size_bytes=5, exclusive_size_bytes=3, freeable_size_bytes=2)
NAME = OperationName(f"{NIGHTLY}/operations/a")
MADE = Operation(NAME, NIGHTLY, ORDERS, START, end_time=START + HOUR, percent=100, response=BACKUP)


def told(outcome: Outcome = Outcome.COMPLETED, trigger: Trigger = TRIGGER, operation: Operation = MADE) -> Event:
    """An outcome about one operation."""
    return of_operation(outcome, "It is so.", trigger, operation, steps=3)


def test_an_event_is_a_cloud_event_in_pub_sub_s_binary_mode() -> None:
    """The context is in the attributes, the data is JSON; who asked and why stand at its top."""
    data, attributes = encode_event(told(), START + 2 * HOUR)

    assert attributes == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": told().event_id,
        "ce-type": "backstop.backup.completed",
        "ce-source": f"//spanner.googleapis.com/{INSTANCE}",
        "ce-subject": NIGHTLY,
        "ce-time": "2026-11-22T04:00:00+00:00",
    }
    assert json.loads(data) == {
        "outcome": "COMPLETED",
        "detail": "It is so.",
        "trigger": {"message_id": "17", "publish_time": "2026-11-22T02:00:00Z", "topic": COMMANDS, "action": "start"},
        "requested_by": "ann@example.com",
        "reason": "CHG-4711",
        "subject": NIGHTLY,
        "operation": NAME,
        "backup": NIGHTLY,
        "database": ORDERS,
        "create_time": "2026-11-22T02:00:00Z",
        "end_time": "2026-11-22T03:00:00Z",
        "expire_time": "2026-11-23T02:00:00Z",
        "size_bytes": 5,
        "steps": 3,
    }


def test_an_event_about_no_instance_has_the_service_as_its_source() -> None:
    """A message that can't be understood is about its topic; what nobody claimed is left out."""
    event = Event(outcome=Outcome.REJECTED, detail="What?", trigger=Trigger("17", START), subject=COMMANDS)

    data, attributes = encode_event(event, START)

    assert (attributes["ce-source"], attributes["ce-subject"]) == ("//spanner.googleapis.com/", COMMANDS)
    assert encode_event(told(Outcome.COMPLETED_THEN_DELETED), START)[1]["ce-type"].endswith(".completed-then-deleted")
    assert json.loads(data).keys() == {"outcome", "detail", "trigger", "subject"}


def test_an_error_wants_a_person_a_warning_may_want_one_and_the_rest_does_not() -> None:
    """Every outcome has its severity."""
    loud = {
        **dict.fromkeys(("GAVE_UP", "REJECTED"), "ERROR"),
        **dict.fromkeys(("COMPLETED_KEPT", "COMPLETED_DESPITE_CANCEL", "FAILED", "GONE", "DELETE_BLOCKED"), "WARNING"),
    }

    assert all(told(outcome).log_severity == loud.get(outcome, "INFO") for outcome in Outcome)


@pytest.mark.parametrize(
    ("event", "severity"),
    [
        (structs.replace(told(Outcome.REJECTED), severity="WARNING"), "WARNING"),
        (structs.replace(told(Outcome.STARTED), databases=Databases(("orders",), {})), "INFO"),
        (structs.replace(told(Outcome.STARTED), databases=Databases(("orders",), {"users": "No."})), "WARNING"),
        (structs.replace(told(Outcome.GAVE_UP), databases=Databases((), {"users": "No."})), "ERROR"),
    ],
)
def test_an_event_may_be_louder_or_quieter_than_its_outcome(event: Event, severity: str) -> None:
    """An equal command that came twice needs nobody; a start of many that left one out may."""
    assert event.log_severity == severity


def test_a_second_event_of_an_outcome_has_the_first_one_s_id() -> None:
    """Two chains that follow one operation end in the same event."""
    assert told().event_id == told(trigger=Trigger("18", START + HOUR)).event_id


def test_another_outcome_another_operation_and_another_command_have_ids_of_their_own() -> None:
    """Nothing that is news is dropped as a duplicate; two topics with one message id swallowed each other's chain."""
    command = Sweep(instance=INSTANCE)
    another, from_another = Trigger("18", START, COMMANDS), Trigger("17", START, FOLLOW_UPS)
    events = [
        told(),
        told(Outcome.COMPLETED_KEPT),
        told(operation=replace(MADE, name=OperationName(f"{NIGHTLY}/operations/b"))),
        *(told(Outcome.DRY_RUN, trigger) for trigger in (TRIGGER, another)),
        *(of_command(Outcome.REJECTED, "No.", trigger, command) for trigger in (TRIGGER, another, from_another)),
        of_command(Outcome.NOTHING_TO_CANCEL, "No.", TRIGGER, command),
        *(told(outcome, trigger) for outcome in (Outcome.GAVE_UP, Outcome.REJECTED) for trigger in (TRIGGER, another)),
    ]

    assert len({event.event_id for event in events}) == len(events)


def test_what_google_said_of_the_operation_is_told_unless_there_is_something_newer_to_tell() -> None:
    """An operation's own error is its event's."""
    failed = Operation(NAME, NIGHTLY, ORDERS, START, error=Failure("INTERNAL", "broken"))
    newer = of_operation(Outcome.GAVE_UP, "No.", TRIGGER, failed, error=Failure("NOT_FOUND", "gone"))

    event = told(Outcome.FAILED, operation=failed)

    assert (event.error, newer.error) == (Failure("INTERNAL", "broken"), Failure("NOT_FOUND", "gone"))
    assert (event.expire_time, event.size_bytes) == (None, None)


def test_a_deleted_backup_is_billed_for_a_day_even_if_its_size_is_not_known() -> None:
    """Completed then deleted costs 24 hours of its own bytes; cancelled costs nothing; of the rest nothing is said."""
    unknown = replace(MADE, response=None)

    deleted = told(Outcome.COMPLETED_THEN_DELETED)
    assert (deleted.billed, deleted.size_bytes, deleted.freed_bytes) == (Billed(24, 3), 5, 2)
    assert told(Outcome.COMPLETED_THEN_DELETED, operation=unknown).billed == Billed(24)
    assert told(Outcome.CANCELLED, operation=unknown).billed == Billed(0)
    assert (told().billed, told().freed_bytes) == (None, None)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.COMPLETED_THEN_DELETED])
def test_a_size_of_0_was_told_of_a_backup_that_has_bytes(outcome: Outcome) -> None:
    """An operation's answer may say 0; what the backup says now counts, and a 0 is nothing that is known."""
    blank = replace(BACKUP, size_bytes=0, exclusive_size_bytes=0, freeable_size_bytes=0)
    operation = replace(MADE, response=blank)

    unsaid = of_operation(outcome, "It is so.", TRIGGER, operation)
    seen = of_operation(outcome, "It is so.", TRIGGER, operation, found=BACKUP)

    assert (unsaid.size_bytes, unsaid.freed_bytes, unsaid.billed and unsaid.billed.size_bytes) == (None, None, None)
    assert seen.size_bytes == 5
