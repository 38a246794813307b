"""What became of a backup, from the function's log: Cloud Logging's, a file of lines, or standard input."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backstop_cli.clients import call
from backstop_cli.errors import CliError, Exit

ENTRIES_MAX = 1000
"""More than chains of three days write about one backup, polls left out; but a name may be used every night."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log."""

    time: str  # When it was written; empty if the line doesn't say.
    severity: str  # The log's.
    fields: dict[str, Any]  # What the function wrote.

    def is_about(self, backup: str) -> bool:
        """Whether it is about the backup or an operation that makes it."""
        operation = str(self.fields.get("operation") or "")
        return self.fields.get("backup") == backup or operation.startswith(f"{backup}/operations/")

    def document(self) -> dict[str, Any]:
        """What is shown of it: a telling of an outcome, a deletion, or a look."""
        fields, trigger = self.fields, self.fields.get("trigger") or {}
        return {
            "time": self.time,
            "severity": self.severity,
            "outcome": fields.get("outcome"),
            "message": fields.get("message", ""),
            "action": trigger.get("action") or None,
            "requested_by": fields.get("requested_by") or trigger.get("requested_by"),
            "reason": fields.get("reason") or trigger.get("reason"),
            "why": fields.get("why"),
            "message_id": trigger.get("message_id") or fields.get("message_id"),
            "operation": fields.get("operation"),
            "error": fields.get("error"),
        }


def of_backup(backup: str, log: str, project: str, days: int) -> tuple[list[Entry], bool]:
    """What the log says of a backup, newest last; the lines of deliveries that only looked left out.

    Args:
        backup: The full name.
        log: A file of log lines, `-` for standard input, or empty for Cloud Logging.
        project: Whose log.
        days: How far back Cloud Logging is read.

    Returns:
        The entries, and whether there are older ones.
    """
    entries, cut = (list(_read_lines(log)), False) if log else from_cloud(_cloud(), project, backup, days)
    return [one for one in entries if one.is_about(backup) and not _only_looked(one.fields)], cut


def _only_looked(fields: dict[str, Any]) -> bool:
    """Whether it is a delivery's line, which repeats what the outcome's line says, or says that nothing came of it."""
    return "duration_ms" in fields and not fields.get("error")


def _read_lines(log: str) -> Iterator[Entry]:
    try:
        text = sys.stdin.read() if log == "-" else Path(log).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"The log {log!r} can't be read: {error}.") from error
    return parse(text)


def parse(text: str) -> Iterator[Entry]:
    """Reads the function's lines, or what `gcloud logging read --format json` prints; other lines are skipped."""
    try:
        whole = json.loads(text)
        documents: Iterable[object] = whole if isinstance(whole, list) else [whole]
    except ValueError:
        documents = _lines(text)
    found = [_entry(document) for document in documents if isinstance(document, dict)]
    yield from sorted(found, key=lambda entry: entry.time)


def _lines(text: str) -> Iterator[object]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _entry(document: dict[str, Any]) -> Entry:
    fields = document.get("jsonPayload", document)
    time = document.get("timestamp") or document.get("time") or ""
    return Entry(str(time), str(document.get("severity", "")), fields)


def _cloud() -> Any:
    try:
        from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
    except ImportError as error:
        hint = "Install google-cloud-logging, or give a file of log lines with --log (`-` for standard input)."
        raise CliError("Reading Cloud Logging takes a package that isn't installed.", hint, Exit.USAGE) from error
    return LoggingServiceV2Client()


def probe(project: str) -> None:
    """Reads one entry of Cloud Logging: who lacks the permission is refused."""
    call(_cloud().list_log_entries, {"resource_names": [f"projects/{project}"], "page_size": 1})


def from_cloud(logging: Any, project: str, backup: str, days: int) -> tuple[list[Entry], bool]:
    """Reads the newest entries of Cloud Logging, oldest first, and whether there are older ones."""
    since = datetime.now(UTC) - timedelta(days=days)
    about = f'jsonPayload.backup="{backup}" OR jsonPayload.operation:"{backup}/operations/"'
    # As in `_only_looked`. https://cloud.google.com/logging/docs/view/logging-query-language (documented: `:*` and NOT)
    says = "NOT jsonPayload.duration_ms:* OR jsonPayload.error:*"
    request = {
        "resource_names": [f"projects/{project}"],
        "filter": f'timestamp>="{since:%Y-%m-%dT%H:%M:%SZ}" AND ({about}) AND ({says})',
        "order_by": "timestamp desc",
        "page_size": ENTRIES_MAX,
    }
    found = list(itertools.islice(call(logging.list_log_entries, request), ENTRIES_MAX + 1))
    return [_from_proto(type(one).pb(one)) for one in reversed(found[:ENTRIES_MAX])], len(found) > ENTRIES_MAX


def _from_proto(proto: Any) -> Entry:
    from google.logging.type.log_severity_pb2 import LogSeverity

    time = f"{proto.timestamp.ToDatetime(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    return Entry(time, LogSeverity.Name(proto.severity), _plain(proto.json_payload))


def _plain(payload: Any) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(payload)
    return found
