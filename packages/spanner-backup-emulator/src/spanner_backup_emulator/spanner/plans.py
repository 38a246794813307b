"""What the test's author decides in advance about an operation, as objects and, for the command line, as text."""

import enum
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from spanner_backup_emulator.errors import Code

PERCENT_DONE = 100

_NO_TIME = timedelta(0)
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


class ProgressModel(enum.StrEnum):
    """How the percentage of an operation moves between its begin and its end.

    Google promises whole percents from 0 to 100 and nothing else
    (https://docs.cloud.google.com/spanner/docs/reference/rest/v1/OperationProgress, documented), so a client must bear
    all of these.
    """

    LINEAR = "linear"
    STUCK = "stuck"
    JUMPS = "jumps"
    BACKWARDS = "backwards"
    MISSING = "missing"


def percent_at(model: ProgressModel, fraction: float) -> int:
    """What an operation reports that has done this part of its work: whole percents, 100 only from 1.0 on.

    A fraction outside 0.0 to 1.0 counts as the nearer end. For `MISSING` nothing should be reported; the answer is 0.
    """
    fraction = min(max(fraction, 0.0), 1.0)
    if model is ProgressModel.LINEAR:
        return int(fraction * PERCENT_DONE)
    if model is ProgressModel.JUMPS:
        return int(fraction * 2) * 50
    if model is ProgressModel.BACKWARDS:
        return int(fraction * 120) if fraction < 0.5 else 30 + int((fraction * 2 - 1) * 70)
    return 0


@dataclass(frozen=True, slots=True)
class Status:
    """How an operation is to end badly."""

    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How one operation will go.

    Attributes:
        duration: From the begin of the work to its end. Real ones take 1 to 4 h
            (https://docs.cloud.google.com/spanner/docs/backup, documented).
        queue_delay: From the call to the begin of the work; up to 30 min in reality (same page, documented).
        cancel_duration: From a cancel to its effect; None for a cancel that is accepted and lost. If the work ends
            first, or at the same instant, the cancel has come too late.
        outrun_duration: From a cancel to the work's end, where that is to come before the cancel's effect, however late
            the cancel is; None for an end that no cancel brings nearer.
        error: How the work ends; None if it succeeds.
        progress: How the percentage moves.
        size_bytes: Of the finished backup.
        removal_delay: How long what was cancelled or failed can still be seen, CREATING, after its operation is
            done. Removal is asynchronous: https://github.com/googleapis/google-cloud-php/issues/9329, observed by
            others.
        optimize_duration: For a restore, from the operation's end to the end of the reference to the backup.
    """

    duration: timedelta = timedelta(hours=1)
    queue_delay: timedelta = _NO_TIME
    cancel_duration: timedelta | None = _NO_TIME
    outrun_duration: timedelta | None = None
    error: Status | None = None
    progress: ProgressModel = ProgressModel.LINEAR
    size_bytes: int = 5_000_000_000
    removal_delay: timedelta = _NO_TIME
    optimize_duration: timedelta = _NO_TIME


def parse_plan(text: str, base: Plan) -> tuple[str, Plan]:
    """Reads `RESOURCE=SETTING,SETTING…`, for example `projects/p/instances/i/databases/slow=3h,cancel=never`.

    The settings are those of `--plan`, of which a bare one is the duration. What isn't set is as in `base`. What can't
    be understood is a ValueError whose text says what.
    """
    resource, separator, settings = text.partition("=")
    if not separator or not resource or not settings:
        raise ValueError(f"'{text}' is not RESOURCE=SETTING,…")
    changes: dict[str, Any] = {}
    for setting in settings.split(","):
        name, separator, value = setting.partition("=")
        name, value = (name, value) if separator else ("duration", setting)
        if name not in _SETTINGS:
            raise ValueError(f"'{name}' is none of {', '.join(_SETTINGS)}")
        field, read = _SETTINGS[name]
        changes[field] = read(value)
    return resource, replace(base, **changes)


def parse_duration(text: str) -> timedelta:
    """Reads `45s`, `1.5s`, `30m`, `1h30m`, `2d`; anything else is a ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"'{text}' is not a duration such as 45s, 30m or 1h30m")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _failure(text: str) -> Status:
    if text not in Code.__members__ or text == Code.OK.name:
        raise ValueError(f"'{text}' is not a status code that an operation can fail with, such as INTERNAL")
    return Status(Code[text], f"Planned to fail with {text}.")


def _size(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"'{text}' is not a number of bytes")
    return int(text)


_SETTINGS: dict[str, tuple[str, Callable[[str], object]]] = {
    "duration": ("duration", parse_duration),
    "queue": ("queue_delay", parse_duration),
    "cancel": ("cancel_duration", lambda text: None if text == "never" else parse_duration(text)),
    "removal": ("removal_delay", parse_duration),
    "optimize": ("optimize_duration", parse_duration),
    "fail": ("error", _failure),
    "progress": ("progress", ProgressModel),
    "size": ("size_bytes", _size),
}
"""By name: the plan's field, and what reads it."""
