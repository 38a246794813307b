"""Plans written as text, for the command line."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Status
from spanner_backup_emulator.spanner.progress import ProgressModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanner_backup_emulator.spanner.plans import Plan

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_LOST = "never"


def parse_plan(text: str, base: Plan) -> tuple[str, Plan]:
    """Reads `RESOURCE=SETTING,SETTING…`.

    A setting is a duration (how long the backup takes) or one of `queue=`, `cancel=`, `removal=` and `optimize=` with a
    duration, `cancel=never`, `fail=CODE`, `progress=MODEL` and `size=BYTES`.

    Args:
        text: For example `projects/p/instances/i/databases/slow=3h,cancel=never`.
        base: Where what isn't set comes from.

    Returns:
        The resource and its plan.

    Raises:
        ValueError: It can't be understood; the text says what.
    """
    resource, separator, settings = text.partition("=")
    if not separator or not resource or not settings:
        raise ValueError(f"'{text}' is not RESOURCE=SETTING,…")
    plan = base
    for setting in settings.split(","):
        name, separator, value = setting.partition("=")
        name, value = (name, value) if separator else ("duration", setting)
        if name not in _SETTINGS:
            raise ValueError(f"'{name}' is none of {', '.join(_SETTINGS)}")
        plan = _SETTINGS[name](plan, value)
    return resource, plan


def parse_duration(text: str) -> timedelta:
    """Reads `45s`, `1.5s`, `30m`, `1h30m`, `2d`.

    Raises:
        ValueError: It is no duration.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"'{text}' is not a duration such as 45s, 30m or 1h30m")
    days, hours, minutes, seconds = match.groups()
    return timedelta(days=int(days or 0), hours=int(hours or 0), minutes=int(minutes or 0), seconds=float(seconds or 0))


def _fail(plan: Plan, text: str) -> Plan:
    if text not in Code.__members__ or text == Code.OK.name:
        raise ValueError(f"'{text}' is not a status code that an operation can fail with, such as INTERNAL")
    return replace(plan, error=Status(Code[text], f"Planned to fail with {text}."))


def _size(plan: Plan, text: str) -> Plan:
    if not text.isdecimal():
        raise ValueError(f"'{text}' is not a number of bytes")
    return replace(plan, size_bytes=int(text))


_SETTINGS: dict[str, Callable[[Plan, str], Plan]] = {
    "duration": lambda plan, text: replace(plan, duration=parse_duration(text)),
    "queue": lambda plan, text: replace(plan, queue_delay=parse_duration(text)),
    "cancel": lambda plan, text: replace(plan, cancel_duration=None if text == _LOST else parse_duration(text)),
    "removal": lambda plan, text: replace(plan, removal_delay=parse_duration(text)),
    "optimize": lambda plan, text: replace(plan, optimize_duration=parse_duration(text)),
    "fail": _fail,
    "progress": lambda plan, text: replace(plan, progress=ProgressModel(text)),
    "size": _size,
}
