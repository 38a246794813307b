"""What an operator chose, from the environment: read once, each error naming the variable and the value."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from backstop.commands import OPERATION_KEPT, RETENTION_MAX, RETENTION_MIN
from backstop.durations import Duration, duration_text
from backstop.names import Name, QueueName, TopicName, unquoted
from backstop.polling import WAIT_LONGEST, WAIT_SHORTEST
from backstop.ports import Settings

EMULATORS = ("SPANNER_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST", "CLOUD_TASKS_EMULATOR_HOST")
ENDPOINTS = ("BACKSTOP_SPANNER_ENDPOINT", "BACKSTOP_PUBSUB_ENDPOINT", "BACKSTOP_TASKS_ENDPOINT")

_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-_.]+):[0-9]{1,5}"
_INSTANCE = r"projects/[^/,\s]+/instances/[^/,\s]+"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything that the environment says."""

    handlers: Settings  # What the handlers care about.
    results_topic: str  # Where outcomes are published; empty: they are only logged.
    tasks_queue: str  # Where follow-ups wait.
    tasks_service_account: str  # Whose token a task publishes with; empty with emulators only.
    values: Mapping[str, str]  # The text of each variable, or its default; what is empty is left out.


def read(environ: Mapping[str, str]) -> Environment:
    """Reads the settings; a ValueError names the variable that whoever deploys should correct."""
    values: dict[str, str] = {}

    def take(variable: str, kind: Callable[[str], _T], default: str = "") -> _T:
        text = environ.get(variable, "")
        if text or default:
            values[variable] = text or default
        try:
            return kind(text or default)
        except ValueError as error:
            found = f"found {text!r}" if text else "it is not set"
            raise ValueError(f"{variable}: {error}; {found}") from error

    for variable in (*EMULATORS, *ENDPOINTS):
        take(variable, _text(f"({_ADDRESS})?", "must be HOST:PORT, without a scheme such as http://"))
    take("GOOGLE_APPLICATION_CREDENTIALS", _credentials)
    account = "(.*@.*)?" if environ.get("CLOUD_TASKS_EMULATOR_HOST") else ".*@.*"
    follow_ups_topic = take("BACKSTOP_FOLLOW_UPS_TOPIC", TopicName)
    poll_min = take("BACKSTOP_LOOK_MIN", _duration(WAIT_SHORTEST, WAIT_LONGEST), "10s")
    return Environment(
        handlers=Settings(
            follow_ups_topic=follow_ups_topic,
            retention=take("BACKSTOP_RETENTION", _duration(RETENTION_MIN, RETENTION_MAX), "14d"),
            poll_min=poll_min,
            poll_max=take("BACKSTOP_LOOK_MAX", _duration(poll_min, WAIT_LONGEST), "1h"),
            give_up_after=take("BACKSTOP_GIVE_UP_AFTER", _duration(poll_min, OPERATION_KEPT), "3d"),
            allow_delete=take("BACKSTOP_ALLOW_DELETE", _truth, "true"),
            allow_scheduled=take("BACKSTOP_ALLOW_SCHEDULED", _truth, "false"),
            allow_weaker_key=take("BACKSTOP_ALLOW_WEAKER_KEY", _truth, "false"),
            cancel_after_min=take("BACKSTOP_CANCEL_AFTER_MIN", _duration(timedelta(0), OPERATION_KEPT), "1h"),
            instances=take("BACKSTOP_INSTANCES", _instances),
        ),
        results_topic=take("BACKSTOP_RESULTS_TOPIC", _another_topic(follow_ups_topic)),
        tasks_queue=take("BACKSTOP_TASKS_QUEUE", QueueName),
        tasks_service_account=take(
            "BACKSTOP_TASKS_SERVICE_ACCOUNT", _text(account, "must be the e-mail address of a service account")
        ),
        values=values,
    )


def _text(pattern: str, reason: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(reason)
        return text

    return parse


def _duration(low: timedelta, high: timedelta) -> Callable[[str], timedelta]:
    def parse(text: str) -> timedelta:
        if not low <= (duration := Duration.parse(text)) <= high:
            raise ValueError(f"must be {duration_text(low)} to {duration_text(high)}")
        return duration

    return parse


def _another_topic(follow_ups_topic: Name) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if unquoted(text) == unquoted(follow_ups_topic):
            reason = "must be another topic than that of the follow-ups, or each outcome would be answered with one"
            raise ValueError(reason)
        return TopicName(text) if text else ""

    return parse


def _truth(text: str) -> bool:
    return _text("true|false", "must be true or false")(text) == "true"


def _instances(text: str) -> tuple[str, ...]:
    form = "must be patterns for names such as projects/P/instances/I, separated by commas"
    return tuple(_text(_INSTANCE, form)(pattern) for pattern in text.split(",")) if text else ()


def _credentials(text: str) -> None:
    try:
        if text and "type" not in msgspec.json.decode(Path(text).read_bytes(), type=dict[str, object]):
            raise ValueError("must name a file of credentials, whose JSON has a type")
    except (OSError, msgspec.DecodeError) as error:
        raise ValueError(f"must name a file of credentials ({error})") from error
