"""What the function tells: one line for each delivery, and each outcome as a CloudEvent."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from demo.stack import ROOT
from tests.e2e.lab import ENDLESS, STUBBORN, Deployment, Lab, played, quick
from tests.waiting import WAIT_S_MAX, wait_until

COUNTED = Deployment("counted")
FAULTY = Deployment("faulty", {"PYTHONPATH": str(ROOT)}, source=Path(__file__).with_name("faulty.py"))

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

LINE_FIELDS = {
    "severity": str,
    "message": str,
    "logging.googleapis.com/trace": str,
    "command": str,
    "outcomes": list,
    "state": str,
    "operation": str,
    "backup": str,
    "database": str,
    "step": int,
    "next_poll_s": float,
    "duration_ms": float,
    "message_id": str,
    "delivery_attempt": int,
    "error": dict,
    "trigger": dict,
}
"""Every field that a line may have, and its type."""

ALWAYS = {"severity", "message", "command", "duration_ms", "message_id"}


@played(COUNTED, embedded=True)
def test_each_delivery_prints_one_line_and_each_outcome_and_deletion_one_of_its_own(lab: Lab) -> None:
    """Each is JSON in the documented fields, and there is no stack trace for what is expected."""
    pubsub = lab.stack.pubsub
    assert pubsub is not None
    message_ids = [
        lab.publish("start", database=lab.database(STUBBORN, "orders"), cancel_after="0s"),
        lab.publish("start", database=lab.database(quick(), "users")),
        lab.publish("cancel", database=lab.database(ENDLESS, "stock")),
        lab.publish_raw(b"nonsense"),
    ]
    for message_id in message_ids:
        lab.ends(message_id)
    assert lab.stack.tasks.wait_until_idle(WAIT_S_MAX)
    assert pubsub.wait_until_idle(WAIT_S_MAX)

    delivered = [done.delivery.message.message_id for done in pubsub.outcomes()]
    wait_until(lambda: sum("command" in line for line in list(lab.stack.function.lines)) >= len(delivered))
    lines = [line for line in list(lab.stack.function.lines) if "command" in line]
    own = [line for line in list(lab.stack.function.lines) if "command" not in line]
    told = [(event.outcome, event.data["detail"]) for event in lab.stack.events()]
    assert sorted((line["outcome"], line["message"]) for line in own if "outcome" in line) == sorted(told)
    deleted = [event.data["backup"] for event in lab.stack.events() if event.outcome == "COMPLETED_THEN_DELETED"]
    assert [line["backup"] for line in own if "outcome" not in line] == deleted != []
    assert sorted(line["message_id"] for line in lines) == sorted(delivered)
    for line in lines:
        assert ALWAYS <= line.keys() <= LINE_FIELDS.keys()
        assert all(isinstance(value, LINE_FIELDS[name]) for name, value in line.items())
        assert line["severity"] in {"INFO", "WARNING", "ERROR"}
        assert "Traceback" not in line["message"]
        assert ("next_poll_s" in line) != bool({*line.get("outcomes", [])} & {*_last_words(lab), "REJECTED"})


def _last_words(lab: Lab) -> set[str]:
    return {event.outcome for event in lab.stack.events()} - {"STARTED", "CANCEL_REQUESTED"}


@played()
def test_a_line_says_what_was_done(lab: Lab) -> None:
    """The line of a start names the command, the outcome, what it is about, the next look, and the message."""
    message_id, operation, backup = lab.started(ENDLESS)

    (line,) = lab.lines(message_id)
    assert line["command"] == "start"
    assert line["outcomes"] == ["STARTED"]
    assert (line["operation"], line["backup"]) == (operation, backup)
    assert line["database"] == f"{lab.instance}/databases/orders"
    assert (line["state"], line["step"], line["next_poll_s"]) == ("RUNNING", 0, 1.0)
    assert 0 < line["duration_ms"] < 60_000
    assert lab.ends(lab.publish("cancel", operation=operation)) == ["CANCEL_REQUESTED", "CANCELLED"]


@played()
def test_a_line_belongs_to_the_requests_trace(lab: Lab) -> None:
    """Cloud Run's trace header makes the line part of its trace."""
    body = f'{{"of": "{lab.instance}"}}'.encode()

    assert lab.post(body, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}) == 204
    project = lab.stack.queue.split("/")[1]
    trace = f"projects/{project}/traces/{TRACE}"
    wait_until(lambda: any(line.get("logging.googleapis.com/trace") == trace for line in lab.stack.function.lines))


@played(FAULTY, embedded=True)
def test_a_bug_prints_its_stack_trace_and_the_message_comes_again(lab: Lab) -> None:
    """A bug ends in a 500 and one CRITICAL line with the trace; the message is not lost."""
    pubsub = lab.stack.pubsub
    assert pubsub is not None
    message_id = lab.publish("start", database=lab.database(quick()))

    wait_until(lambda: lab.stack.function.lines)
    (line,) = list(lab.stack.function.lines)[:1]
    assert line["severity"] == "CRITICAL"
    assert line["message"].startswith("Traceback (most recent call last):")
    assert "ZeroDivisionError: a bug that was planted" in line["message"]
    assert lab.ends(message_id) == ["STARTED", "COMPLETED"]
    critical = [line for line in list(lab.stack.function.lines) if line["severity"] == "CRITICAL"]
    refused = [done for done in pubsub.outcomes() if not done.acknowledged]
    assert len(critical) == len(refused)


@played()
def test_an_outcome_is_a_valid_cloud_event(lab: Lab) -> None:
    """The attributes are those of CloudEvents 1.0 in Pub/Sub's binding, with types that a filter can use.

    https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#required-attributes (documented)
    """
    message_id = lab.publish("start", database=lab.database(STUBBORN), cancel_after="0s")
    events = lab.end_events(message_id)

    assert [event.attributes["ce-type"] for event in events] == [
        "backstop.backup.started",
        "backstop.backup.cancel-requested",
        "backstop.backup.completed-then-deleted",
    ]
    for event in events:
        attributes = event.attributes
        assert attributes["ce-specversion"] == "1.0"
        assert attributes["content-type"] == "application/json"
        assert re.fullmatch(r"[0-9a-f]{32}", attributes["ce-id"])
        assert urlsplit(attributes["ce-source"]).path == f"/{lab.instance}"
        assert attributes["ce-subject"] == event.data["backup"]
        assert datetime.fromisoformat(attributes["ce-time"]).tzinfo is not None
        assert event.data["trigger"]["message_id"] == message_id
        assert datetime.fromisoformat(event.data["trigger"]["publish_time"]).tzinfo is not None
        assert event.data["detail"].endswith(".")
    assert len({event.attributes["ce-id"] for event in events}) == len(events)
