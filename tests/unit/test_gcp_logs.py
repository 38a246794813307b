"""The lines of the log: one for each delivery, and one for each event."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from backstop.events import Event, Outcome, Trigger
from backstop.execute import Report
from backstop.gcp import logs
from backstop.lifecycle import State
from backstop.names import DatabaseName
from backstop.operations import Failure
from backstop.wire import Delivery
from tests.unit.handlers_world import COMMANDS, MISSING, NIGHTLY, ORDERS, START

DELIVERY = Delivery(b"{}", message_id="18", publish_time=START, topic=COMMANDS, delivery_attempt=2)
TRIGGER = Trigger("17", START, COMMANDS, "start", "ann@example.com", "CHG-4711")
ON_BEHALF_OF = {
    "trigger": {"message_id": "17", "publish_time": "2026-11-22T02:00:00Z", "topic": COMMANDS, "action": "start"},
    "requested_by": "ann@example.com",
    "reason": "CHG-4711",
}
ABOUT = {"operation": MISSING, "backup": NIGHTLY, "database": ORDERS}


def event(outcome: Outcome) -> Event:
    """An outcome about one operation."""
    return Event(
        outcome=outcome,
        detail=f"It is {outcome}.",
        trigger=TRIGGER,
        subject=NIGHTLY,
        operation=MISSING,
        backup=NIGHTLY,
        database=DatabaseName(ORDERS),
    )


def line(report: Report, delivery: Delivery = DELIVERY, trace: str = "") -> dict[str, Any]:
    """The line, as Cloud Logging reads it."""
    text = logs.line(delivery, report, 0.01234, trace)
    assert b"\n" not in text
    document: dict[str, Any] = json.loads(text)
    return document


def test_a_line_has_all_that_is_known_of_a_delivery() -> None:
    """What was asked, by whom, what was seen, what came of it and how long it took; zero seconds are said."""
    report = Report(
        command="poll",
        trigger=TRIGGER,
        events=(event(Outcome.COMPLETED),),
        operation=MISSING,
        database=ORDERS,
        state=State.COMPLETE,
        step=3,
        next_poll=timedelta(0),
    )

    assert line(report, trace="projects/p/traces/t") == {
        "severity": "INFO",
        "message": "It is COMPLETED.",
        "logging.googleapis.com/trace": "projects/p/traces/t",
        "command": "poll",
        "outcomes": ["COMPLETED"],
        "state": "COMPLETE",
        **ABOUT,
        "step": 3,
        "next_poll_s": 0.0,
        "duration_ms": 12.3,
        "message_id": "18",
        "delivery_attempt": 2,
        **ON_BEHALF_OF,
    }


def test_what_is_not_known_is_left_out() -> None:
    """An empty report makes a short line."""
    assert line(Report(), Delivery(b"")) == {
        "severity": "INFO",
        "message": "Polled, and will poll again.",
        "command": "unknown",
        "duration_ms": 12.3,
    }


def test_an_operation_is_taken_from_the_event_if_the_report_names_none() -> None:
    """A sweep's line still says what its last event is about, and what Google said where something is retried."""
    events = (event(Outcome.CANCEL_REQUESTED), event(Outcome.COMPLETED_THEN_DELETED))

    document = line(Report("sweep", events=events, note="To be retried.", error=Failure("NOT_FOUND", "no")))

    assert {name: document[name] for name in ABOUT} == ABOUT
    assert document["outcomes"] == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]
    assert (document["message"], document["note"]) == ("It is COMPLETED_THEN_DELETED.", "To be retried.")
    assert document["error"] == {"code": "NOT_FOUND", "message": "no"}


@pytest.mark.parametrize(
    ("report", "severity"),
    [
        (Report(), "INFO"),
        (Report(retry=True), "WARNING"),
        (Report(warning=True), "WARNING"),
        (Report(error=Failure("UNAVAILABLE", "later")), "WARNING"),
        (Report(events=(event(Outcome.FAILED),)), "WARNING"),
        (Report(events=(event(Outcome.GAVE_UP), event(Outcome.CANCELLED))), "ERROR"),
        (Report(events=(structs.replace(event(Outcome.REJECTED), severity="WARNING"),)), "WARNING"),
    ],
)
def test_a_line_is_as_loud_as_the_loudest_that_it_tells_of(report: Report, severity: str) -> None:
    """An error wants a person, a warning may want one, and the rest doesn't."""
    assert line(report)["severity"] == severity


def test_each_event_has_a_line_of_its_own() -> None:
    """It names what it is about, so that of five backups not only the last one is named."""
    assert json.loads(logs.event(event(Outcome.GAVE_UP), "t")) == {
        "severity": "ERROR",
        "message": "It is GAVE_UP.",
        "logging.googleapis.com/trace": "t",
        "outcome": "GAVE_UP",
        **ABOUT,
        **ON_BEHALF_OF,
    }


def test_a_bug_is_a_line_of_its_own_kind() -> None:
    """The stack trace is the message, so that Error Reporting finds it; the message's id is the push's."""
    assert json.loads(logs.bug("Traceback …\nKeyError: 'x'", b"no push", "")) == {
        "severity": "CRITICAL",
        "message": "Traceback …\nKeyError: 'x'",
        "command": "unknown",
    }
    told = json.loads(logs.bug("x", b'{"message": {"messageId": "17"', "t"))
    assert (told["logging.googleapis.com/trace"], told["message_id"]) == ("t", "17")


def test_a_line_is_written_whole(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One line, and its end."""
    logs.write(b'{"severity":"INFO"}')

    assert capfdbinary.readouterr().out == b'{"severity":"INFO"}\n'
