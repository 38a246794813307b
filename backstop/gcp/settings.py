"""What an operator chose, from the environment: read once, each error naming the variable and the value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from backstop.commands import OPERATION_KEPT, RETENTION_MAX, RETENTION_MIN
from backstop.durations import Duration, duration_text
from backstop.names import Name, QueueName, TopicName, unquoted
from backstop.polling import WAIT_LONGEST, WAIT_SHORTEST
from backstop.ports import Settings

EMULATORS = ("SPANNER_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "CLOUD_TASKS_EMULATOR_HOST")
ENDPOINTS = ("BACKSTOP_SPANNER_ENDPOINT", "BACKSTOP_PUBSUB_ENDPOINT", "BACKSTOP_TASKS_ENDPOINT")

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-_.]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that the environment says.

    Attributes:
        handlers: What the handlers care about.
        results_topic: Where outcomes are published; empty: they are only logged.
        tasks_queue: Where follow-ups wait.
        tasks_service_account: Whose token a task publishes with; empty with emulators only.
    """

    handlers: Settings
    results_topic: str
    tasks_queue: str
    tasks_service_account: str


def read(environ: Mapping[str, str]) -> Environment:
    """Reads the settings.

    Raises:
        ValueError: A variable is missing or wrong; whoever deploys should correct it.
    """
    for variable in (*EMULATORS, *ENDPOINTS):
        _address(environ, variable)
    _credentials(environ, "GOOGLE_APPLICATION_CREDENTIALS")
    emulated = bool(environ.get("CLOUD_TASKS_EMULATOR_HOST"))
    follow_ups_topic = _name(environ, "BACKSTOP_FOLLOW_UPS_TOPIC", TopicName)
    results_topic = _name(environ, "BACKSTOP_RESULTS_TOPIC", TopicName, required=False)
    if unquoted(results_topic) == unquoted(follow_ups_topic):
        reason = "must be another topic than that of the follow-ups, or each outcome would be answered with one"
        raise _wrong("BACKSTOP_RESULTS_TOPIC", results_topic, reason)
    poll_min = _duration(environ, "BACKSTOP_LOOK_MIN", "10s", WAIT_SHORTEST, WAIT_LONGEST)
    poll_max = _duration(environ, "BACKSTOP_LOOK_MAX", "1h", poll_min, WAIT_LONGEST)
    return Environment(
        handlers=Settings(
            follow_ups_topic=follow_ups_topic,
            retention=_duration(environ, "BACKSTOP_RETENTION", "14d", RETENTION_MIN, RETENTION_MAX),
            poll_min=poll_min,
            poll_max=poll_max,
            give_up_after=_duration(environ, "BACKSTOP_GIVE_UP_AFTER", "3d", poll_min, OPERATION_KEPT),
            allow_delete=_truth(environ, "BACKSTOP_ALLOW_DELETE", default=True),
            allow_scheduled=_truth(environ, "BACKSTOP_ALLOW_SCHEDULED", default=False),
            allow_weaker_key=_truth(environ, "BACKSTOP_ALLOW_WEAKER_KEY", default=False),
            cancel_after_min=_duration(environ, "BACKSTOP_CANCEL_AFTER_MIN", "1h", timedelta(0), OPERATION_KEPT),
            instances=_instances(environ, "BACKSTOP_INSTANCES"),
        ),
        results_topic=results_topic,
        tasks_queue=_name(environ, "BACKSTOP_TASKS_QUEUE", QueueName),
        tasks_service_account=_account(environ, "BACKSTOP_TASKS_SERVICE_ACCOUNT", required=not emulated),
    )


def _instances(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    text = environ.get(variable, "")
    patterns = tuple(text.split(",")) if text else ()
    if not all(re.fullmatch(r"projects/[^/\s]+/instances/[^/\s]+", pattern) for pattern in patterns):
        raise _wrong(variable, text, "must be patterns for names such as projects/P/instances/I, separated by commas")
    return patterns


def _name(environ: Mapping[str, str], variable: str, kind: type[Name], *, required: bool = True) -> str:
    text = environ.get(variable, "")
    if not text and not required:
        return ""
    try:
        return kind(text)
    except ValueError as error:
        raise _wrong(variable, text, str(error)) from error


def _address(environ: Mapping[str, str], variable: str) -> None:
    text = environ.get(variable, "")
    if text and not _ADDRESS.fullmatch(text):
        raise _wrong(variable, text, "must be HOST:PORT, without a scheme such as http://")


def _account(environ: Mapping[str, str], variable: str, *, required: bool) -> str:
    text = environ.get(variable, "")
    if (text or required) and "@" not in text:
        raise _wrong(variable, text, "must be the e-mail address of a service account")
    return text


def _credentials(environ: Mapping[str, str], variable: str) -> None:
    text = environ.get(variable, "")
    try:
        if text and "type" not in msgspec.json.decode(Path(text).read_bytes(), type=dict[str, object]):
            raise _wrong(variable, text, "must name a file of credentials, whose JSON has a type")
    except (OSError, msgspec.DecodeError) as error:
        raise _wrong(variable, text, f"must name a file of credentials ({error})") from error


def _duration(environ: Mapping[str, str], variable: str, default: str, low: timedelta, high: timedelta) -> timedelta:
    text = environ.get(variable) or default
    try:
        duration = Duration.parse(text)
    except ValueError as error:
        raise _wrong(variable, text, str(error)) from error
    if not low <= duration <= high:
        raise _wrong(variable, text, f"must be {duration_text(low)} to {duration_text(high)}")
    return duration


def _truth(environ: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = environ.get(variable, "")
    if text not in {"", "true", "false"}:
        raise _wrong(variable, text, "must be true or false")
    return default if not text else text == "true"


def _wrong(variable: str, text: str, reason: str) -> ValueError:
    return ValueError(f"{variable}: {reason}; found {text!r}" if text else f"{variable}: {reason}; it is not set")
