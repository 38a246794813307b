"""Spanner's quota for administrative requests, for who wants to see what a fleet of backups does to it."""

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import datetime, timedelta

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Faults, When

REQUESTS_PER_S, WINDOW = 5, timedelta(seconds=100)
"""For each project, on average over the window; polls of operations count (documented).

https://cloud.google.com/spanner/quotas
"""

REFUSAL = (
    "Quota exceeded for quota metric 'Administrative requests' and limit 'Administrative requests per minute' of"
    " service 'spanner.googleapis.com' for consumer '{}'."
)
"""Seen in https://github.com/googleapis/nodejs-spanner/issues/958, there with the project's number."""


class Quota(Faults):
    """Faults, and a refusal of every call that is over the quota; a refused call doesn't count.

    Attributes:
        refused: How many were over it.
        most: The most calls of one project that came within one window.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Takes what knows the time."""
        super().__init__()
        self._clock = clock
        self._windows: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self.refused = 0
        self.most = 0

    def check(self, method: str, when: When, resource: str = "") -> None:
        """Counts a call, or refuses it."""
        if when == "before":
            self._count("/".join(resource.split("/")[:2]), self._clock())
        super().check(method, when, resource)

    def _count(self, project: str, now: datetime) -> None:
        window = self._windows[project]
        while window and window[0] <= now - WINDOW:
            window.popleft()
        if len(window) >= REQUESTS_PER_S * WINDOW.total_seconds():
            self.refused += 1
            raise ApiError(Code.RESOURCE_EXHAUSTED, REFUSAL.format(project))
        window.append(now)
        self.most = max(self.most, len(window))
