"""The log: a line for each delivery, one for each outcome, and one before each deletion.

Each is JSON on standard output, in the fields that Cloud Logging knows.

https://cloud.google.com/logging/docs/structured-logging (documented)
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import msgspec

from backstop.results import severity_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backstop.context import Report
    from backstop.messages import Delivery
    from backstop.results import Result

_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"(\d{1,32})"')
"""Where the id stands in a push, for a request that may be nothing else that we understand."""


def line(delivery: Delivery, report: Report, duration_s: float, trace: str) -> bytes:
    """The line for a delivery that ended as it should, whatever came of it; the trace's name may be empty."""
    last = report.results[-1] if report.results else None
    document = {
        "severity": report.severity,
        "message": last.detail if last else report.note or "Looked, and will look again.",
        "note": report.note or None if last else None,
        "logging.googleapis.com/trace": trace or None,
        "command": report.command,
        "outcomes": [result.outcome for result in report.results] or None,
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


def outcome(result: Result, trace: str, fault: str = "") -> bytes:
    """The line for one outcome, written before it is published; with a fault, for one that can't be."""
    document = {
        "severity": "ERROR" if fault else severity_of(result),
        "message": fault or result.detail,
        "logging.googleapis.com/trace": trace or None,
        **{name: getattr(result, name) for name in ("outcome", "operation", "backup", "database", "error")},
        "message_id": result.trigger.message_id,
        "topic": result.trigger.topic or None,
    }
    return _encode(document)


def unread(why: str, trace: str) -> bytes:
    """The line for a request whose body broke off: it held no delivery."""
    said = {"severity": "WARNING", "message": f"The request's body could not be read: {why}.", "command": "unknown"}
    return _encode({**said, "logging.googleapis.com/trace": trace or None})


def deletion(backup: str, why: str) -> bytes:
    """The line that comes before a backup is deleted, so that no crash can hide a deletion."""
    return _encode({"severity": "NOTICE", "message": f"Deletes {backup}: {why}", "backup": backup, "why": why})


def bug(text: str, body: bytes, trace: str) -> bytes:
    """The line for a delivery that met a bug: with the stack trace, so that Error Reporting picks it up."""
    message_id = found[1].decode() if (found := _MESSAGE_ID.search(body)) else None
    said = {"severity": "CRITICAL", "message": text, "command": "unknown", "message_id": message_id}
    return _encode({**said, "logging.googleapis.com/trace": trace or None})


def write(text: bytes) -> None:
    """Writes one line whole, so that those of other threads can't get into it.

    To the process's own output: with LOG_EXECUTION_ID, which Google sets, functions-framework puts a text stream in
    the place of `sys.stdout` that takes no bytes and writes a line in parts.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/execution_id.py
    """
    assert sys.__stdout__ is not None  # noqa: S101 only a windowed Python on another system has none
    sys.__stdout__.buffer.write(text + b"\n")
    sys.__stdout__.buffer.flush()


def _encode(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode({key: value for key, value in document.items() if value is not None}, enc_hook=str)
