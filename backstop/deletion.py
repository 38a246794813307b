"""Deleting a backup that was to be stopped and completed all the same, where that is earned and possible."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from backstop import pacing
from backstop.chain import bounded, following, give_up, poll_again
from backstop.commands import RETENTION_MIN
from backstop.errors import RefusedError
from backstop.lifecycle import Case, Outcome, reason_to_keep
from backstop.results import ErrorText, of_operation

if TYPE_CHECKING:
    from backstop.context import At
    from backstop.follow_ups import Look
    from backstop.ports import Backup, Operation

EXPIRY_MARGIN = timedelta(minutes=5)
"""How far from an edge of Spanner's window for the expiry we stay, as the server's clock decides and not ours."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a backup that was to be stopped and completed all the same.

    Attributes:
        what: A clause that completes "it was complete before it could be stopped, and …".
        outcome: What that comes to; None if deleting the backup is earned.
        found: The backup, if it is there.
        missing: Whether it is gone only by what Spanner says now, which may be a mistake.
    """

    what: str
    outcome: Outcome | None = None
    found: Backup | None = None
    missing: bool = False


def judge(at: At, look: Look, operation: Operation, found: Backup | None = None) -> Verdict:
    """Judges the backup of an operation that succeeded although it was to be stopped, and changes nothing.

    It reads the backup if nobody has, and if nothing speaks against deleting it before.
    """
    if (why := reason_to_keep(Case(look, operation, at.settings.allow_delete))) is not None:
        return Verdict(f"is left alone: {why}", Outcome.COMPLETED_KEPT)
    found = found or at.find_backup(operation.backup)
    if found is None:
        return Verdict("is gone", Outcome.COMPLETED_THEN_DELETED, missing=True)
    if operation.end_time is not None and found.create_time >= operation.end_time:
        # The name was free again, so the backup that the operation made is gone.
        other = f"is gone; the backup that has its name now, created at {found.create_time.isoformat()}, stays"
        return Verdict(other, Outcome.COMPLETED_THEN_DELETED)
    if (why := reason_to_keep(Case(look, operation, at.settings.allow_delete, found))) is not None:
        return Verdict(f"is left alone: {why}", Outcome.COMPLETED_KEPT, found)
    return Verdict("has been deleted", None, found)


def delete_if_earned(at: At, look: Look, operation: Operation) -> timedelta | None:
    """Deletes the backup of an operation that succeeded although it was to be stopped, or says why it stays.

    Args:
        at: The delivery.
        look: On whose behalf; its step is the number of this poll.
        operation: The operation, which has a response.

    Returns:
        How long until the next poll; None if this one was the last.
    """
    verdict = judge(at, look, operation)
    if verdict.missing and look.missing != "backup":
        # Spanner may say so by mistake, so a backup is gone only when two polls don't find it.
        wait = bounded(at, look, timedelta(0))
        return poll_again(at, replace(look, missing="backup"), operation, wait, "its backup was not found")
    if verdict.outcome is None and verdict.found is not None:
        blocked = try_to_delete(at, verdict.found)
        if blocked is not None:
            return _blocked(at, look, operation, verdict.found, blocked)
    outcome = verdict.outcome or Outcome.COMPLETED_THEN_DELETED
    detail = f"{operation.backup} was complete before it could be stopped, and {verdict.what}."
    at.tell(of_operation(outcome, detail, at.trigger, operation, found=verdict.found, steps=look.step))
    return None


def try_to_delete(at: At, found: Backup) -> RefusedError | None:
    """Deletes a backup; returns what Spanner says if a restore or a copy still needs it."""
    why = f"its operation was to be stopped and completed all the same; message {at.trigger.message_id} asked for this"
    try:
        at.ports.spanner.delete_backup(found.name, why)
    except RefusedError as error:
        if error.code != "FAILED_PRECONDITION":
            raise
        return error
    return None


def users_of(backup: Backup) -> str:
    """Who keeps a backup from being deleted."""
    return ", ".join(backup.referenced_by) or "a restore or a copy"


def _blocked(at: At, look: Look, operation: Operation, found: Backup, error: RefusedError) -> timedelta | None:
    """Tries again later, until the chain's time is up."""
    said = ErrorText(error.code, error.message)
    if at.now >= look.give_up_at:
        why = f"its backup can't be deleted, as {users_of(found)} still needs it; {_shorten_expiry(at, found)}"
        at.tell(give_up(at, look, why, operation, said))
        return None
    since = at.now - operation.end_time if operation.end_time else timedelta(0)
    wait = bounded(at, look, pacing.wait_growing(max(since, timedelta(0))))
    at.schedule(following(at, replace(look, blocked=True, missing=None), operation), wait)
    if not look.blocked:
        until = f"{look.give_up_at:%Y-%m-%d %H:%M} UTC"
        detail = f"{operation.backup} can't be deleted yet, as {users_of(found)} still needs it; trying until {until}."
        at.tell(
            of_operation(
                Outcome.DELETE_BLOCKED, detail, at.trigger, operation, found=found, steps=look.step, error=said
            )
        )
    return wait


def _shorten_expiry(at: At, found: Backup) -> str:
    """Bounds the bill of a backup that can't be deleted: it expires as early as Spanner allows.

    https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups (documented: 6 hours after its
    creation at the earliest; inferred: and not in the past).
    """
    earliest = max(found.create_time + RETENTION_MIN, at.now) + EXPIRY_MARGIN
    if found.expire_time <= earliest:
        return f"it expires at {found.expire_time:%Y-%m-%d %H:%M} UTC"
    try:
        at.ports.spanner.set_expire_time(found.name, earliest)
    except RefusedError as error:
        return f"it stays until {found.expire_time:%Y-%m-%d %H:%M} UTC, as Spanner refused an earlier expiry: {error}"
    return f"its expiry was brought forward to {earliest:%Y-%m-%d %H:%M} UTC"
