"""Deleting a backup that was to be stopped and completed all the same, where that is earned and possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec.structs

from backstop import pacing
from backstop.chain import bounded, give_up, schedule_look
from backstop.commands import RETENTION_MIN, IfCreated
from backstop.context import At, Report, tell
from backstop.errors import RefusedError
from backstop.lifecycle import Outcome, reason_to_keep
from backstop.results import ErrorText, of_operation

if TYPE_CHECKING:
    from backstop.follow_ups import Look
    from backstop.ports import Backup, Operation

EXPIRY_MARGIN = timedelta(minutes=5)
"""How far from an edge of Spanner's window for the expiry we stay, as the server's clock decides and not ours."""

DELETE_NOT_ALLOWED = "this deployment may not delete backups (BACKSTOP_ALLOW_DELETE)"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a backup that was to be stopped and completed all the same.

    Attributes:
        outcome: How it ends without a deletion; None if deleting it is earned.
        what: A clause that completes "it was complete before it could be stopped, and …".
        found: The backup, if it is there.
    """

    outcome: Outcome | None
    what: str
    found: Backup | None = None


def judge(at: At, look: Look, operation: Operation) -> Verdict:
    """Looks at the backup of an operation that succeeded although it was to be stopped, and changes nothing."""
    keep = _reason_to_keep(at, look, operation, None)
    if keep is not None:
        return Verdict(Outcome.COMPLETED_KEPT, f"is left alone: {keep}")
    try:
        found = at.ports.spanner.get_backup(operation.backup)
    except RefusedError as error:
        if error.code != "NOT_FOUND":
            raise
        return Verdict(Outcome.COMPLETED_THEN_DELETED, "is gone")
    if operation.response is not None and found.create_time != operation.response.create_time:
        other = f"is gone; the backup that has its name now, created at {found.create_time.isoformat()}, stays"
        return Verdict(Outcome.COMPLETED_THEN_DELETED, other)
    keep = _reason_to_keep(at, look, operation, found)
    if keep is not None:
        return Verdict(Outcome.COMPLETED_KEPT, f"is left alone: {keep}", found)
    return Verdict(None, "has been deleted", found)


def delete_if_earned(at: At, look: Look, operation: Operation, report: Report) -> Report:
    """Deletes the backup of an operation that succeeded although it was to be stopped, or says why it stays.

    Args:
        at: The delivery.
        look: On whose behalf; its step is the number of this look.
        operation: The operation, which has a response.
        report: What is known of the delivery so far.
    """
    verdict = judge(at, look, operation)
    if verdict.outcome is None and verdict.found is not None:
        try:
            at.ports.spanner.delete_backup(operation.backup, "it completed although it was to be stopped")
        except RefusedError as error:
            if error.code != "FAILED_PRECONDITION":
                raise
            blocked = _blocked(at, look, operation, verdict.found, error)
            return replace(report, results=blocked.results, next_look=blocked.next_look)
    outcome = verdict.outcome or Outcome.COMPLETED_THEN_DELETED
    detail = f"{operation.backup} was complete before it could be stopped, and {verdict.what}."
    result = of_operation(outcome, detail, at.trigger, operation, found=verdict.found, steps=look.step)
    return replace(report, results=tell(at, result))


def users_of(backup: Backup) -> str:
    """Who keeps a backup from being deleted."""
    return ", ".join(backup.referenced_by) or "a restore or a copy"


def _reason_to_keep(at: At, look: Look, operation: Operation, found: Backup | None) -> str | None:
    """What speaks against the deletion, on the command's part and the operator's as well as on the backup's own."""
    if look.if_created is IfCreated.KEEP:
        return "the command says if_created: keep"
    if not at.settings.allow_delete:
        return DELETE_NOT_ALLOWED
    return reason_to_keep(operation, found, unwanted_from=look.cancel_at, include_scheduled=look.include_scheduled)


def _blocked(at: At, look: Look, operation: Operation, found: Backup, error: RefusedError) -> Report:
    """Tries again later, until the chain's time is up."""
    said = ErrorText(error.code, error.message)
    if at.now >= look.give_up_at:
        why = f"its backup can't be deleted, as {users_of(found)} still needs it; {_shorten_expiry(at, found)}"
        return Report(results=tell(at, give_up(at, look, why, operation, said)))
    since = at.now - operation.end_time if operation.end_time else timedelta(0)
    wait = bounded(at, look, pacing.wait_growing(max(since, timedelta(0))))
    wait = schedule_look(at, msgspec.structs.replace(look, blocked=True), operation, wait)
    if look.blocked:
        return Report(next_look=wait)
    until = f"{look.give_up_at:%Y-%m-%d %H:%M} UTC"
    detail = f"{operation.backup} can't be deleted yet, as {users_of(found)} still needs it; trying until {until}."
    blocked = of_operation(
        Outcome.DELETE_BLOCKED, detail, at.trigger, operation, found=found, steps=look.step, error=said
    )
    return Report(results=tell(at, blocked), next_look=wait)


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
