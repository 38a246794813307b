"""One canonical line for each delivery, as JSON on standard output, in the fields that Cloud Logging knows.

https://cloud.google.com/logging/docs/structured-logging (documented)
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import msgspec

from backstop.lifecycle import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstop.context import Report
    from backstop.messages import Delivery

_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"(\d{1,32})"')
"""Where the id stands in a push, for a request that may be nothing else that we understand."""

_ERRORS = frozenset({Outcome.REJECTED, Outcome.GAVE_UP})
_WARNINGS = frozenset(
    {Outcome.FAILED, Outcome.GONE, Outcome.DELETE_BLOCKED, Outcome.COMPLETED_DESPITE_CANCEL, Outcome.COMPLETED_KEPT}
)


def line(delivery: Delivery, report: Report, duration_s: float, trace: str) -> bytes:
    """The line for a delivery that ended as it should, whatever came of it.

    Args:
        delivery: The message.
        report: What came of it.
        duration_s: How long the work took.
        trace: The trace's full name, or empty.
    """
    outcomes = [result.outcome for result in report.results]
    last = report.results[-1] if report.results else None
    document = {
        "severity": _severity(report, outcomes),
        "message": last.detail if last else report.note or "Looked, and will look again.",
        "note": report.note or None if last else None,
        "logging.googleapis.com/trace": trace or None,
        "command": report.command,
        "outcome": last.outcome if last else None,
        "outcomes": outcomes if len(outcomes) > 1 else None,
        "state": report.state,
        "operation": report.operation or (last.operation if last else None),
        "backup": last.backup if last else None,
        "database": report.database or (last.database if last else None),
        "instance": report.instance,
        "step": report.step,
        "next_look_s": round(report.next_look.total_seconds(), 3) if report.next_look is not None else None,
        "duration_ms": round(duration_s * 1000, 1),
        "message_id": delivery.message_id or None,
        "delivery_attempt": delivery.delivery_attempt,
        "error": report.error,
    }
    return _encode(document)


def bug(text: str, body: bytes, trace: str) -> bytes:
    """The line for a delivery that met a bug: with the stack trace, so that Error Reporting picks it up."""
    document = {
        "severity": "CRITICAL",
        "message": text,
        "logging.googleapis.com/trace": trace or None,
        "command": "unknown",
        "message_id": found[1].decode() if (found := _MESSAGE_ID.search(body)) else None,
    }
    return _encode(document)


def unread(why: str, trace: str) -> bytes:
    """The line for a request whose body broke off: it held no delivery."""
    document = {
        "severity": "WARNING",
        "message": f"The request's body could not be read: {why}.",
        "logging.googleapis.com/trace": trace or None,
        "command": "unknown",
    }
    return _encode(document)


def write(text: bytes) -> None:
    """Writes one line whole, so that those of other threads can't get into it.

    To the process's own output: with LOG_EXECUTION_ID, which Google sets, functions-framework puts a text stream in
    the place of `sys.stdout` that takes no bytes and writes a line in parts.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/execution_id.py
    """
    assert sys.__stdout__ is not None  # noqa: S101 only a windowed Python on another system has none
    sys.__stdout__.buffer.write(text + b"\n")
    sys.__stdout__.buffer.flush()


def trace_name(headers: Mapping[str, str], project: str) -> str:
    """The full name of the trace that Cloud Run started for a request; empty without one.

    https://cloud.google.com/trace/docs/trace-context (documented)
    """
    context = headers.get("x-cloud-trace-context", "")
    trace = context.partition("/")[0] or headers.get("traceparent", "").partition("-")[2].partition("-")[0]
    return f"projects/{project}/traces/{trace}" if trace and project else ""


def _severity(report: Report, outcomes: list[Outcome]) -> str:
    if _ERRORS.intersection(outcomes):
        return "ERROR"
    partly = any(result.databases is not None and result.databases.not_started for result in report.results)
    if partly or report.warning or report.retry or report.error is not None or _WARNINGS.intersection(outcomes):
        return "WARNING"
    return "INFO"


def _encode(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({key: value for key, value in document.items() if value is not None}, enc_hook=str)
