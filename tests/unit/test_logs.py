"""The one line that each delivery writes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from backstop.events import Event, Outcome, Trigger
from backstop.execute import Report
from backstop.gcp import logs
from backstop.lifecycle import State
from backstop.names import DatabaseName
from backstop.operations import Failure
from backstop.wire import Delivery, trace_name
from tests.unit.handlers_world import COMMANDS, MISSING, NIGHTLY, ORDERS, START

DELIVERY = Delivery(b"{}", message_id="17", publish_time=START, topic=COMMANDS, delivery_attempt=2)
TRACE = "0af7651916cd43dd8448eb211c80319c"


SEVERITIES = {
    Outcome.STARTED: "INFO",
    Outcome.CANCEL_REQUESTED: "INFO",
    Outcome.COMPLETED: "INFO",
    Outcome.COMPLETED_DESPITE_CANCEL: "WARNING",
    Outcome.CANCELLED: "INFO",
    Outcome.COMPLETED_THEN_DELETED: "INFO",
    Outcome.COMPLETED_KEPT: "WARNING",
    Outcome.FAILED: "WARNING",
    Outcome.GONE: "WARNING",
    Outcome.DELETE_BLOCKED: "WARNING",
    Outcome.GAVE_UP: "ERROR",
    Outcome.NOTHING_TO_CANCEL: "INFO",
    Outcome.REJECTED: "ERROR",
    Outcome.DRY_RUN: "INFO",
}


def result(outcome: Outcome) -> Result:
    """An outcome about one operation."""
    return Event(
        outcome=outcome,
        detail=f"It is {outcome}.",
        trigger=Trigger("17", START),
        subject=NIGHTLY,
        operation=MISSING,
        backup=NIGHTLY,
        database=DatabaseName(ORDERS),
    )


def line(report: Report, delivery: Delivery = DELIVERY, trace: str = "") -> dict[str, Any]:
    """The line, as Cloud Logging reads it."""
    text = logs.line(delivery, report, 0.01234, trace)
    assert b"\n" not in text
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def test_a_line_has_all_that_is_known_of_a_delivery() -> None:
    """What was asked, what was seen, what came of it and how long it took."""
    report = Report(
        "look", (result(Outcome.COMPLETED),), str(MISSING), ORDERS, State.SUCCEEDED, 3, timedelta(seconds=90)
    )

    assert line(report, trace="projects/p/traces/t") == {
        "severity": "INFO",
        "message": "It is COMPLETED.",
        "logging.googleapis.com/trace": "projects/p/traces/t",
        "command": "look",
        "outcomes": ["COMPLETED"],
        "state": "SUCCEEDED",
        "operation": MISSING,
        "backup": NIGHTLY,
        "database": ORDERS,
        "step": 3,
        "next_poll_s": 90.0,
        "duration_ms": 12.3,
        "message_id": "17",
        "delivery_attempt": 2,
    }


def test_what_is_not_known_is_left_out() -> None:
    """An empty report makes a short line."""
    assert line(Report(), Delivery(b"")) == {
        "severity": "INFO",
        "message": "Looked, and will look again.",
        "command": "unknown",
        "duration_ms": 12.3,
    }


def test_an_operation_is_taken_from_the_outcome_if_the_report_names_none() -> None:
    """A sweep's line still says what its last outcome is about."""
    document = line(Report("sweep", (result(Outcome.CANCEL_REQUESTED), result(Outcome.COMPLETED_THEN_DELETED))))

    assert (document["operation"], document["backup"], document["database"]) == (MISSING, NIGHTLY, ORDERS)
    assert document["outcomes"] == ["CANCEL_REQUESTED", "COMPLETED_THEN_DELETED"]


def test_a_look_that_is_due_at_once_is_not_taken_for_none() -> None:
    """Zero seconds are said."""
    assert line(Report(next_poll=timedelta(0)))["next_poll_s"] == 0


@pytest.mark.parametrize(
    ("report", "severity"),
    [
        (Report(), "INFO"),
        *((Report(results=(result(outcome),)), severity) for outcome, severity in SEVERITIES.items()),
        (Report(retry=True), "WARNING"),
        (Report(warning=True), "WARNING"),
        (Report(error=Failure("UNAVAILABLE", "later")), "WARNING"),
        (Report(results=(result(Outcome.GAVE_UP), result(Outcome.CANCELLED))), "ERROR"),
    ],
)
def test_the_severity_says_whether_somebody_should_look(report: Report, severity: str) -> None:
    """An error wants a person, a warning may want one, and the rest doesn't."""
    assert line(report)["severity"] == severity


def test_an_outcome_s_own_severity_counts() -> None:
    """An equal command that came twice is rejected, and nobody needs to get up for it."""
    report = Report(results=(msgspec.structs.replace(result(Outcome.REJECTED), severity="WARNING"),))

    assert line(report)["severity"] == "WARNING"


def test_every_outcome_has_a_severity() -> None:
    """None was forgotten in the table above."""
    assert set(SEVERITIES) == set(Outcome)


def test_google_s_words_are_in_the_line() -> None:
    """A delivery that is put back or refused says why."""
    document = line(Report(note="Put back.", error=Failure("RESOURCE_EXHAUSTED", "slow down")))

    assert document["message"] == "Put back."
    assert document["error"] == {"code": "RESOURCE_EXHAUSTED", "message": "slow down"}


def test_a_bug_is_a_line_of_its_own_kind() -> None:
    """The stack trace is the message, so that Error Reporting finds it."""
    assert json.loads(logs.bug("Traceback …\nKeyError: 'x'", b"no push", "")) == {
        "severity": "CRITICAL",
        "message": "Traceback …\nKeyError: 'x'",
        "command": "unknown",
    }
    assert json.loads(logs.bug("x", b"", "t"))["logging.googleapis.com/trace"] == "t"


def test_a_request_that_breaks_off_is_a_line_too() -> None:
    """It has no delivery to tell of, and no stack trace to be alarmed by."""
    assert json.loads(logs.unread("BadRequest()", "t")) == {
        "severity": "WARNING",
        "message": "The request's body could not be read: BadRequest().",
        "logging.googleapis.com/trace": "t",
        "command": "unknown",
    }


def test_a_line_is_written_whole(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """One line, and its end."""
    logs.write(b'{"severity":"INFO"}')

    assert capfdbinary.readouterr().out == b'{"severity":"INFO"}\n'


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ({}, ""),
        ({"x-cloud-trace-context": f"{TRACE}/123;o=1"}, TRACE),
        ({"x-cloud-trace-context": TRACE}, TRACE),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"x-cloud-trace-context": "", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"traceparent": "00"}, ""),
        ({"traceparent": ""}, ""),
        ({"traceparent": "00-"}, ""),
    ],
)
def test_a_malformed_trace_header_is_no_trace_and_no_error(headers: dict[str, str], trace: str) -> None:
    """Cloud Run's header and the standard one are both understood, and anything else is left out."""
    assert trace_name(headers, "p") == (f"projects/p/traces/{trace}" if trace else "")
    assert trace_name(headers, "") == ""
