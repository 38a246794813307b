"""Outcomes as CloudEvents: who they are about, and how a reader knows a second telling."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from backstop.commands import Sweep
from backstop.events import Billed, Event, Outcome, Trigger, of_command, of_operation
from backstop.names import OperationName
from backstop.operations import Backup, Failure, Operation
from backstop.wire import encode_event
from tests.unit.handlers_world import COMMANDS, FOLLOW_UPS, HOUR, INSTANCE, NIGHTLY, ORDERS, START

TRIGGER = Trigger("17", START, COMMANDS)
BACKUP = Backup(NIGHTLY, ORDERS, START, START + 24 * HOUR, size_bytes=5, exclusive_size_bytes=3, freeable_size_bytes=2)
MADE = Operation(
    OperationName(f"{NIGHTLY}/operations/a"),
    NIGHTLY,
    ORDERS,
    START,
    end_time=START + HOUR,
    percent=100,
    response=BACKUP,
)


def told(outcome: Outcome = Outcome.COMPLETED, trigger: Trigger = TRIGGER, operation: Operation = MADE) -> Result:
    """An outcome about one operation."""
    return of_operation(outcome, "It is so.", trigger, operation, steps=3)


def test_an_outcome_is_a_cloud_event_in_pub_sub_s_binary_mode() -> None:
    """The context is in the attributes, the data is JSON."""
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
        "trigger": {"message_id": "17", "publish_time": "2026-11-22T02:00:00Z", "topic": COMMANDS},
        "subject": NIGHTLY,
        "operation": MADE.name,
        "backup": NIGHTLY,
        "database": ORDERS,
        "create_time": "2026-11-22T02:00:00Z",
        "end_time": "2026-11-22T03:00:00Z",
        "expire_time": "2026-11-23T02:00:00Z",
        "size_bytes": 5,
        "steps": 3,
    }


@pytest.mark.parametrize("outcome", Outcome)
def test_an_event_s_type_is_its_outcome_in_lower_case_words(outcome: Outcome) -> None:
    """A subscription can filter by it."""
    assert told(outcome).event_type == "backstop.backup." + str(outcome).casefold().replace("_", "-")


def test_an_outcome_about_no_instance_has_the_service_as_its_source() -> None:
    """A message that can't be understood is about its topic."""
    result = Event(outcome=Outcome.REJECTED, detail="What?", trigger=TRIGGER, subject=COMMANDS)

    _, attributes = encode_event(result, START)

    assert (attributes["ce-source"], attributes["ce-subject"]) == ("//spanner.googleapis.com/", COMMANDS)


def test_a_second_telling_of_an_outcome_has_the_first_one_s_id() -> None:
    """Two chains that follow one operation end in the same event."""
    assert told().event_id == told(trigger=Trigger("18", START + HOUR)).event_id


def test_another_outcome_another_operation_and_another_command_have_ids_of_their_own() -> None:
    """Nothing that is news is dropped as a duplicate; a message's id is one only within its topic."""
    command = Sweep(instance=INSTANCE)
    other = Operation(OperationName(f"{NIGHTLY}/operations/b"), NIGHTLY, ORDERS, START, response=BACKUP)
    results = [
        told(),
        told(Outcome.COMPLETED_KEPT),
        told(operation=other),
        told(Outcome.DRY_RUN),
        told(Outcome.DRY_RUN, Trigger("18", START, COMMANDS)),
        of_command(Outcome.REJECTED, "No.", TRIGGER, command),
        of_command(Outcome.REJECTED, "No.", Trigger("18", START, COMMANDS), command),
        of_command(Outcome.REJECTED, "No.", Trigger("17", START, FOLLOW_UPS), command),
        of_command(Outcome.NOTHING_TO_CANCEL, "No.", TRIGGER, command),
    ]

    assert len({result.event_id for result in results}) == len(results)


def test_what_google_said_of_the_operation_is_told_unless_there_is_something_newer_to_tell() -> None:
    """An operation's own error is its outcome's."""
    failed = Operation(MADE.name, NIGHTLY, ORDERS, START, error=Failure("INTERNAL", "broken"))

    result = told(Outcome.FAILED, operation=failed)

    assert result.error is not None
    assert (result.error.code, result.error.message) == ("INTERNAL", "broken")
    assert (result.expire_time, result.size_bytes) == (None, None)


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
