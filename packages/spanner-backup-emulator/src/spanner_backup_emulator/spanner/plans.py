"""What the test's author decides in advance about an operation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.spanner.progress import ProgressModel

if TYPE_CHECKING:
    from spanner_backup_emulator.errors import Code

_SIZE_BYTES = 5_000_000_000
_NO_TIME = timedelta(0)


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
    size_bytes: int = _SIZE_BYTES
    removal_delay: timedelta = _NO_TIME
    optimize_duration: timedelta = _NO_TIME
