"""A model of Spanner's backups that shares no code with the emulator.

It moves nothing: it writes down what was asked for and when, in whole minutes, and works out from that how things stand
at a time. Where the emulator keeps an agenda and acts when something is due, the model has a formula.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RETENTION_MIN, RETENTION_MAX = 6 * 60, 366 * 24 * 60
KEPT = 7 * 24 * 60
NEVER = 10**9
"""Later than any test comes."""


@dataclass(frozen=True)
class Fate:
    """What the test decided about one backup, in minutes; `cancel` is None for a cancel that is lost."""

    length: int
    cancel: int | None
    linger: int
    fails: bool


@dataclass(eq=False)
class Attempt:
    """One backup that was started, and all that was done to it."""

    backup: str
    database: str
    fate: Fate
    start: int
    expires: int
    scheduled: bool = False
    operation: str = ""
    cancelled_at: int | None = None
    deleted_at: int | None = None
    replaced_at: int | None = None
    restores: list[int] = field(default_factory=list)

    def end(self) -> int:
        """When the operation ends: when its work does, or earlier when a cancel takes hold."""
        return min(self.start + self.fate.length, self._stop())

    def code(self, now: int) -> str | None:
        """How the operation has ended, None while it runs."""
        if now < self.end():
            return None
        deleted_meanwhile = self.deleted_at is not None and self.deleted_at < self.end()
        if deleted_meanwhile or self._stop() < self.start + self.fate.length:
            return "CANCELLED"
        return "INTERNAL" if self.fate.fails else "OK"

    def state(self, now: int) -> str | None:
        """What a reader sees of the backup, None for nothing."""
        if self.deleted_at is not None or self.replaced_at is not None:
            return None
        code = self.code(now)
        if code is None:
            return "CREATING"
        if code != "OK":
            return "CREATING" if now < self.end() + self.fate.linger else None
        return "READY" if now < max(self.expires, self.end(), *self.restores) else None

    def is_needed(self, now: int) -> bool:
        """Whether a restore still reads the backup."""
        return any(now < until for until in self.restores)

    def _stop(self) -> int:
        if self.cancelled_at is None or self.fate.cancel is None:
            return NEVER
        return self.cancelled_at + self.fate.cancel


class Model:
    """All that was started, oldest first."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def create(self, now: int, backup: str, database: str, retention: int, fate: Fate) -> tuple[str, Attempt | None]:
        """Starts a backup: the code, and the attempt if there is one."""
        if not RETENTION_MIN <= retention <= RETENTION_MAX:
            return "INVALID_ARGUMENT", None
        holder = self.visible(now, backup)
        if holder is not None and holder.code(now) in {None, "OK"}:
            return "ALREADY_EXISTS", None
        if any(one.code(now) is None and not one.scheduled for one in self.attempts if one.database == database):
            return "FAILED_PRECONDITION", None
        if holder is not None:
            holder.replaced_at = now
        attempt = Attempt(backup, database, fate, now, now + retention)
        self.attempts.append(attempt)
        return "OK", attempt

    def update(self, now: int, backup: str, expires: int) -> str:
        """Changes when a backup expires."""
        holder = self.visible(now, backup)
        if holder is None:
            return "NOT_FOUND"
        if holder.state(now) == "CREATING":
            return "FAILED_PRECONDITION"
        if not RETENTION_MIN <= expires - holder.start <= RETENTION_MAX or expires <= now:
            return "INVALID_ARGUMENT"
        holder.expires = expires
        return "OK"

    def delete(self, now: int, backup: str) -> str:
        """Deletes a backup, and cancels what makes it."""
        holder = self.visible(now, backup)
        if holder is None:
            return "OK"
        if holder.is_needed(now):
            return "FAILED_PRECONDITION"
        holder.deleted_at = now
        if holder.code(now) is None and holder.cancelled_at is None:
            holder.cancelled_at = now
        return "OK"

    def cancel(self, now: int, attempt: Attempt) -> str:
        """Cancels an operation."""
        if attempt not in self.known(now):
            return "NOT_FOUND"
        if attempt.code(now) is None and attempt.cancelled_at is None:
            attempt.cancelled_at = now
        return "OK"

    def visible(self, now: int, backup: str) -> Attempt | None:
        """The attempt whose backup a reader of that name sees."""
        found = [one for one in self.attempts if one.backup == backup and one.state(now) is not None]
        assert len(found) <= 1
        return found[0] if found else None

    def known(self, now: int) -> list[Attempt]:
        """The attempts whose operations can be read, newest first."""
        return [one for one in reversed(self.attempts) if now < one.end() + KEPT]
