"""Two small chores of a list call and of a tombstone."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from spanner_backup_emulator.errors import ApiError, Code

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")


def cut(items: list[T], size: int, size_max: int) -> tuple[tuple[T, ...], bool]:
    """The first page of the items, and whether there are more.

    Args:
        items: What is left to be listed.
        size: As the client asks; 0, or one above the maximum (inferred), means the maximum.
        size_max: The service's maximum.

    Raises:
        ApiError: INVALID_ARGUMENT, the size is negative (inferred).
    """
    if size < 0:
        raise ApiError(Code.INVALID_ARGUMENT, "Page size cannot be negative.")
    count = min(size or size_max, size_max)
    return tuple(items[:count]), len(items) > count


def drop_past(tombstones: dict[str, datetime], now: datetime) -> None:
    """Drops the entries whose time is over; they were added in the order of their times."""
    while (name := next(iter(tombstones), None)) is not None and tombstones[name] <= now:
        del tombstones[name]
