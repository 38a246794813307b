"""When a queue may dispatch, and when a failed task is due again.

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits and #retryconfig, documented.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.tasks.model import RETENTION

if TYPE_CHECKING:
    from spanner_backup_emulator.tasks.model import RetryConfig

BURST_SIZE_MIN = 10
BURST_SIZE_MAX = 100
"""The service chooses the burst size; queues of 0.25/s and 1/s show 10, those of 500/s show 100, the rest is
inferred: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#ratelimits."""


def burst_size(max_dispatches_per_second: float) -> int:
    """How many tasks may go out at once after a rest."""
    return min(BURST_SIZE_MAX, max(BURST_SIZE_MIN, math.ceil(max_dispatches_per_second)))


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket, kept as the one instant at which it will be full again.

    Tokens that come in at equal intervals up to `size` are the same as one instant: each token taken moves it
    one interval on, and a token is there while it is at most `size - 1` intervals ahead. So nothing drifts.

    Attributes:
        interval: Between two tokens.
        size: Tokens in a full bucket, at least 1.
        full_at: When it is full, unless more is taken.
    """

    interval: timedelta
    size: int
    full_at: datetime

    @classmethod
    def full(cls, now: datetime, per_second: float, size: int) -> TokenBucket:
        """A full bucket.

        An interval longer than a task lives is the same as one just that long, and can't overflow.
        """
        interval_s = min(1 / per_second, RETENTION.total_seconds())
        return cls(timedelta(seconds=interval_s), size, now)

    @property
    def ready_at(self) -> datetime:
        """From when on there is a token."""
        return self.full_at - (self.size - 1) * self.interval

    def take(self, now: datetime) -> TokenBucket:
        """The bucket after one token was taken at `now`, which must not be before `ready_at`."""
        return replace(self, full_at=max(self.full_at, now) + self.interval)


def backoff(config: RetryConfig, attempts: int) -> timedelta:
    """How long after its last failure a task is due again.

    Args:
        config: The retry settings.
        attempts: How many have been made, at least 1.
    """
    doublings = min(attempts - 1, config.max_doublings)
    steps = attempts - doublings  # 1 while it doubles; then it grows by what the last doubling reached
    try:
        return min(config.min_backoff * ((1 << doublings) * steps), config.max_backoff)
    except OverflowError:
        return config.max_backoff


def exhausted(config: RetryConfig, attempts: int, elapsed: timedelta) -> bool:
    """Whether no further attempt is made: every limit that is set has been reached.

    That both limits must be reached is documented; that an unlimited one then doesn't count is inferred.

    Args:
        config: The retry settings.
        attempts: How many have been made.
        elapsed: Since the first one.
    """
    limits: list[bool] = []
    if config.max_attempts != -1:
        limits.append(attempts >= config.max_attempts)
    if config.max_retry_duration:
        limits.append(elapsed >= config.max_retry_duration)
    return bool(limits) and all(limits)
