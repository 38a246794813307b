"""The log: a line for each delivery, one for each event, and one before each deletion.

Each is JSON on standard output, in the fields that Cloud Logging knows.

https://cloud.google.com/logging/docs/structured-logging (documented)
"""

import re
import sys
from collections.abc import Mapping

import msgspec

from backstop.events import Event, on_behalf_of
from backstop.execute import Report
from backstop.wire import Delivery

# Where the id stands in a push, for a request that may be nothing else that we understand.
_MESSAGE_ID = re.compile(rb'"messageId"\s*:\s*"(\d{1,32})"')


def line(delivery: Delivery, report: Report, duration_s: float, trace: str) -> bytes:
    """The line for a delivery that ended as it should, whatever came of it; the trace's name may be empty."""
    last = report.events[-1] if report.events else None
    return _encode(
        severity=report.severity,
        message=last.detail if last else report.note or "Polled, and will poll again.",
        trace=trace,
        note=report.note or None if last else None,
        command=report.command,
        outcomes=[event.outcome for event in report.events] or None,
        state=report.state,
        operation=report.operation or (last.operation if last else None),
        backup=last.backup if last else None,
        database=report.database or (last.database if last else None),
        instance=report.instance,
        step=report.step,
        next_poll_s=round(report.next_poll.total_seconds(), 3) if report.next_poll is not None else None,
        duration_ms=round(duration_s * 1000, 1),
        message_id=delivery.message_id or None,
        delivery_attempt=delivery.delivery_attempt,
        error=report.error,
        **(on_behalf_of(report.trigger) if report.trigger else {}),
    )


def event(event: Event, trace: str, **instead: str | None) -> bytes:
    """The line for one event, written before it is published; `instead` replaces some of its fields."""
    about = {name: getattr(event, name) for name in ("outcome", "operation", "backup", "database", "error")}
    said = {"severity": event.log_severity, "message": event.detail, **about, **on_behalf_of(event.trigger)}
    return _encode(trace=trace, **{**said, **instead})


def serving(values: Mapping[str, str]) -> bytes:
    """The line for an instance that starts to serve: with which settings, defaults included."""
    return _encode(severity="INFO", message="Serves, with the settings beside this.", trace="", settings=values)


def unread(why: str, trace: str) -> bytes:
    """The line for a request whose body broke off: it held no delivery."""
    message = f"The request's body could not be read: {why}."
    return _encode(severity="WARNING", message=message, command="unknown", trace=trace)


def bug(text: str, body: bytes, trace: str) -> bytes:
    """The line for a delivery that met a bug: with the stack trace, so that Error Reporting picks it up."""
    message_id = found[1].decode() if (found := _MESSAGE_ID.search(body)) else None
    return _encode(severity="CRITICAL", message=text, command="unknown", message_id=message_id, trace=trace)


def write(text: bytes) -> None:
    """Writes one line whole, so that those of other threads can't get into it.

    To the process's own output: with LOG_EXECUTION_ID, which Google sets, functions-framework puts a text stream in
    the place of `sys.stdout` that takes no bytes and writes a line in parts.
    https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/execution_id.py
    """
    assert sys.__stdout__ is not None  # noqa: S101 only a windowed Python on another system has none
    sys.__stdout__.buffer.write(text + b"\n")
    sys.__stdout__.buffer.flush()


def _encode(trace: str, **fields: object) -> bytes:
    document = {**fields, "logging.googleapis.com/trace": trace or None}
    return msgspec.json.encode({key: value for key, value in document.items() if value is not None}, enc_hook=str)
