"""When a queue may dispatch, and when a failed task is due again.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits and #retryconfig, documented.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks.model import RETENTION

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message

BURST_SIZE_MIN = 10
BURST_SIZE_MAX = 100
"""The service chooses the burst size; queues of 0.25/s and 1/s show 10, those of 500/s show 100, the rest is
inferred: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits."""


def burst_size(max_dispatches_per_second: float) -> int:
    """How many tasks may go out at once after a rest."""
    return min(BURST_SIZE_MAX, max(BURST_SIZE_MIN, math.ceil(max_dispatches_per_second)))


class TokenBucket:
    """A token bucket, full at first, kept as the one instant at which it will be full again.

    Tokens that come in at equal intervals up to a size are the same as one instant: each token taken moves it one
    interval on, and a token is there while it is at most `size - 1` intervals ahead. So nothing drifts. An interval
    longer than a task lives is the same as one just that long, and can't overflow.

    Attributes:
        ready_at: From when on there is a token.
    """

    def __init__(self, now: datetime, limits: Message) -> None:
        """Takes Google's RateLimits."""
        self._interval = timedelta(seconds=min(1 / limits.max_dispatches_per_second, RETENTION.total_seconds()))
        self._rest: timedelta = (limits.max_burst_size - 1) * self._interval
        self.ready_at: datetime = now - self._rest

    def take(self, now: datetime) -> None:
        """Takes one token at `now`, which must not be before `ready_at`."""
        self.ready_at = max(self.ready_at, now - self._rest) + self._interval


def backoff(config: Message, attempts: int) -> timedelta:
    """How long after its last failure a task is due again; there has been an attempt."""
    least: timedelta = config.min_backoff.ToTimedelta()
    most: timedelta = config.max_backoff.ToTimedelta()
    doublings: int = min(attempts - 1, config.max_doublings)
    steps = attempts - doublings  # 1 while it doubles; then it grows by what the last doubling reached
    try:
        return min(least * ((1 << doublings) * steps), most)
    except OverflowError:
        return most


def exhausted(config: Message, attempts: int, elapsed: timedelta) -> bool:
    """Whether no further attempt is made: every limit that is set has been reached since the first attempt began.

    That both limits must be reached is documented; that an unlimited one then doesn't count is inferred.
    """
    limits = [attempts >= config.max_attempts] if config.max_attempts != -1 else []
    if limit := config.max_retry_duration.ToTimedelta():
        limits.append(elapsed >= limit)
    return bool(limits) and all(limits)
