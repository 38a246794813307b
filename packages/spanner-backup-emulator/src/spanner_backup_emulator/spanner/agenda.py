"""What will happen, in the order in which it will."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class Entry:
    """One thing that will happen, unless it is dropped first."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self.action: Callable[[], None] | None = action


class Agenda:
    """A queue by time, then by rank, then first come, first served: there is no tie that code order decides."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, int, Entry]] = []
        self._count = itertools.count()

    def add(self, when: datetime, rank: int, action: Callable[[], None]) -> Entry:
        """Adds an action; of two at the same time the one of lower rank comes first."""
        entry = Entry(action)
        heapq.heappush(self._heap, (when, rank, next(self._count), entry))
        return entry

    @staticmethod
    def drop(entry: Entry | None) -> None:
        """Makes an action not happen; one that already did, or none at all, is let be."""
        if entry is not None:
            entry.action = None

    def next_at(self) -> datetime | None:
        """When the next action is due; None when nothing will happen by itself."""
        heap = self._heap
        while heap and heap[0][3].action is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def take_due(self, now: datetime) -> tuple[datetime, Callable[[], None]] | None:
        """Removes the next action that is due at `now` or was before, and gives its time and itself."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            when, _, _, entry = heapq.heappop(heap)
            if entry.action is not None:
                return when, entry.action
        return None
