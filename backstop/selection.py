"""Which operation a command means. Spanner's list is the record; nothing here reads it, the caller did."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backstop.commands import Cancel
from backstop.events import Trigger
from backstop.lifecycle import CLOCK_MARGIN, GRACE
from backstop.names import BACKUP_ID_LENGTH_MAX, BackupId, DatabaseName, backup_stem
from backstop.operations import Backup, Listing, Operation, Unhandled
from backstop.sentences import when

# Hexadecimal digits of a derived id that stand for the message: two of one database and second differ, but for one pair
# in four thousand million.
ID_DIGITS = 8
TIME_FORM, TIME_LENGTH = "%Y%m%d-%H%M%S", len("20261122-020000-")

# By how much a publish time may be before the publishing, as Pub/Sub gives it in whole milliseconds.
PUBLISH_TIME_CUT = timedelta(milliseconds=1)


def derived_backup_id(database: DatabaseName, trigger: Trigger) -> BackupId:
    """The id of a backup whose command named none: the same for every delivery of the message, and no other.

    It is `<database>-<YYYYMMDD>-<HHMMSS>-<8 hex>`, with the time of publishing in UTC.
    """
    suffix = f"-{trigger.publish_time:{TIME_FORM}}-{_digest(trigger).hex()[:ID_DIGITS]}"
    return BackupId(backup_stem(database.id)[: BACKUP_ID_LENGTH_MAX - len(suffix)] + suffix)


def derived_attempt(operations: Sequence[Operation], database: DatabaseName, trigger: Trigger) -> Operation | None:
    """The operation that an earlier delivery of a start without a `backup_id` made; None if none did.

    Its id tells, by the message's digits. The time in it doesn't count, as Pub/Sub may deliver a message again with
    another publish time. https://github.com/googleapis/google-cloud-go/issues/1174 (seen)
    """
    pattern = _derived_form(database, _digest(trigger).hex()[:ID_DIGITS])
    own = [one for one in operations if one.database == database and pattern.fullmatch(one.backup.id)]
    return own[-1] if own else None  # The oldest: somebody may have used the name again, and that isn't this message's.


def fingerprint(trigger: Trigger) -> int:
    """The microseconds, 1 to 999,999, that mark what a start made: its backup's expiry has them.

    Spanner keeps an expiry to the microsecond, so whatever the backup is called, whoever reads it can tell. It is never
    a whole number of milliseconds, as many tools' times are.
    https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups (documented: the granularity)
    """
    number = int.from_bytes(_digest(trigger)[:8])
    return number % 1000 * 1000 + number // 1000 % 999 + 1


def is_marked(backup: Backup, trigger: Trigger) -> bool:
    """Whether a backup's expiry says that this message's start made it; one that somebody has changed says nothing."""
    return backup.expire_time.microsecond == fingerprint(trigger)


def is_derived(operation: Operation) -> bool:
    """Whether a start without a `backup_id` may have made the operation, by the form of its backup's name."""
    form = _derived_form(operation.database, f"[0-9a-f]{{{ID_DIGITS}}}")
    return form.fullmatch(operation.backup.id) is not None


def _derived_form(database: DatabaseName, digits: str) -> re.Pattern[str]:
    """The form of a derived id: what `derived_backup_id` writes, with any time."""
    stem = backup_stem(database.id)[: BACKUP_ID_LENGTH_MAX - 1 - TIME_LENGTH - ID_DIGITS]
    return re.compile(rf"{re.escape(stem)}-[0-9]{{8}}-[0-9]{{6}}-{digits}")


def _digest(trigger: Trigger) -> bytes:
    return hashlib.sha256(f"{trigger.topic}\n{trigger.message_id}".encode()).digest()


@dataclass(frozen=True, slots=True)
class Choice:
    """What a command for a database or a backup can mean, by how things stood when it was published.

    The pool has the operations that ran then, the newest first. If none ran, those that began within the clocks' margin
    after, and if there is none of these either, those that were cancelled and ended within the margin before.
    """

    pool: tuple[Operation, ...]
    rivals: tuple[Operation, ...]  # Where all that ran has ended since, what began within the margin: perhaps meant.
    late: Operation | None  # The one that ended last, within the grace before: meant only by naming its backup.
    younger: tuple[Operation, ...]  # What began after the command was published and isn't in the pool.
    last: Operation | None  # The one that ended last before, however long ago.
    stopped: tuple[Operation, ...]  # Those that an earlier delivery of the command may have stopped.


def choose(operations: Sequence[Operation], published: datetime) -> Choice:
    """What a command published then can mean.

    How things stood then decides, and not how they stand when the message arrives: delivered again hours later, it must
    not turn to another operation, nor act after it was turned down. Pub/Sub's clock and Spanner's may differ, and the
    publish time comes in whole milliseconds, cut; so a command that finds nothing that ran may mean what began just
    after it. https://cloud.google.com/pubsub/docs/push#receive_push (documented: the time's form)
    """
    known = [one for one in operations if not _asked_for_later(one, published)]
    running = [one for one in known if ran(one, published)]
    young = [one for one in known if published < one.start_time <= published + CLOCK_MARGIN]
    # By Spanner's clock these may have run; an earlier delivery of the command may have had them cancelled.
    heard = [one for one in known if _ended_at_once(one, published)]
    pool = running or young or heard
    before = [one for one in operations if one.end_time is not None and one.end_time <= published]
    last = max(before, key=lambda one: (one.end_time, one.start_time), default=None)
    return Choice(
        pool=tuple(pool),
        rivals=tuple(young) if running and all(one.done for one in running) else (),
        late=last if last is not None and last.end_time is not None and last.end_time >= published - GRACE else None,
        younger=tuple(one for one in operations if one.start_time > published and one not in pool),
        last=last,
        stopped=tuple(one for one in known if _may_be_stopped(one, published)),
    )


def meant(
    command: Cancel, listing: Listing, choice: Choice, published: datetime, kept: Sequence[Operation], *, late: bool
) -> Operation | str | None:
    """The operation that a cancel by database or backup means, or why none is to be touched; None if none is there.

    What is kept ran when the command was published, and it may not stop that: nor what began after it in its stead.
    Whatever is turned down here is turned down whenever the message comes again: it is decided by what ran when it was
    published, and never by what has become of it since. An operation that has come to nothing since is left out only
    where it can't have been one of several that ran.
    """
    # A copy is nobody's backup of a database. What can't be read may be anything.
    unhandled = [one for one in listing.unhandled if command.backup is not None or not one.is_copy]
    alive = [one for one in choice.pool if one.error is None]
    stopped = [one for one in choice.pool if one.cancel_time is not None and one.cancel_time >= published]
    found = choice.pool if command.include_scheduled else (alive or stopped or choice.pool)[: max(len(alive), 1)]
    # By these clocks the command may be older. If an earlier delivery of it has stopped one, no later one is meant.
    since = published - CLOCK_MARGIN if late else published + PUBLISH_TIME_CUT
    young = [one for one in alive if one.start_time > since and one not in stopped]
    before = [one for one in choice.stopped if any((one.end_time or published) <= other.start_time for other in young)]
    ran_then = not found or found[0].start_time < published + PUBLISH_TIME_CUT
    others = (*before, *choice.rivals, *(() if ran_then else kept))
    doubtful = [*(one.name for one in others), *(one.name for one in unhandled)]
    if len(found) == 1 and not before:
        one = found[0]
        if not doubtful or (ran_then and not one.done) or (one.error and one in stopped):
            return one
    if found:
        names = ", ".join(dict.fromkeys([*(one.name for one in found), *doubtful]))
        what = "Cancels nothing more" if before else "Cancelled nothing"
        return f"{what}, as any of these may be meant: {names}. Name the operation."
    if any(not one.done or one.backup == command.backup for one in unhandled):
        return f"Cancelled nothing. {left_alone(unhandled)}"
    ended = choice.late if command.backup is not None else None
    doubtful = [*(one.name for one in choice.younger), *(one.name for one in unhandled)]
    if ended is None or not doubtful:
        return ended
    what = f"{ended.name} ended at {when(ended.end_time)}, and there is {', '.join(doubtful)}"
    return f"Deleted nothing, as it is in doubt which operation is meant: {what}. Name the operation."


def is_in_doubt(operation: Operation, published: datetime) -> bool:
    """Whether a command that comes late, or again, must not stop an operation that began after it, by these clocks.

    Delivered at once, it can't be much older than what it finds. Delivered hours later, or again, it may find what
    somebody began since.
    """
    return not operation.done and operation.start_time >= published + PUBLISH_TIME_CUT


def left_alone(unhandled: Iterable[Unhandled]) -> str:
    """Which operations Backstop leaves alone, and why."""
    return " ".join(f"{one.name} is left alone: {one.why}." for one in unhandled)


def newest(operations: Sequence[Operation], published: datetime, since: datetime | None = None) -> Operation | None:
    """What a `follow` published then means: the newest that ran, or the last begun (since then, unless cancelled)."""
    # What is complete, and by these clocks began after the command, is nobody's to stop.
    pool = [one for one in choose(operations, published).pool if one.start_time <= published or one.response is None]
    pool = [one for one in pool if one.end_time is None or one.end_time > published]
    before = [one for one in operations if one.start_time <= published and not _asked_for_later(one, published)]
    if since is not None:
        stopped = [one for one in before if one.error is not None and one.error.code == "CANCELLED"]
        before = [one for one in before if one.start_time >= since and one not in stopped]
    return next(iter((*pool, *before)), None)


def ran(operation: Operation, published: datetime) -> bool:
    """Whether an operation ran when a command was published; one that ended nobody knows when didn't."""
    if operation.start_time > published:
        return False
    return operation.end_time > published if operation.end_time is not None else not operation.done


def matching(databases: Sequence[DatabaseName], patterns: Sequence[str]) -> tuple[list[str], list[str]]:
    """The ids of an instance's databases that match a start's patterns (none means all), and what matches nothing."""
    ids = [database.id for database in databases]
    wanted = patterns or ["*"]
    found = [database_id for database_id in ids if any(fnmatch.fnmatchcase(database_id, p) for p in wanted)]
    idle = [pattern for pattern in patterns if not any(fnmatch.fnmatchcase(name, pattern) for name in ids)]
    return found, idle


def _asked_for_later(operation: Operation, published: datetime) -> bool:
    """Whether a start that was published after the command made the operation; its backup's derived name says when.

    Both times are Pub/Sub's, so no difference of clocks comes in. But other tools' names may have the same form, with a
    local time; so it counts only if it isn't later than the operation itself.
    """
    asked, latest = operation.backup.id[-ID_DIGITS - TIME_LENGTH : -ID_DIGITS - 1], operation.start_time + CLOCK_MARGIN
    return is_derived(operation) and format(published, TIME_FORM) < asked <= format(latest, TIME_FORM)


def _may_be_stopped(operation: Operation, published: datetime) -> bool:
    cancel, since, until = operation.cancel_time, published - CLOCK_MARGIN, published + CLOCK_MARGIN
    return operation.done and cancel is not None and cancel >= since and operation.start_time <= until


def _ended_at_once(operation: Operation, published: datetime) -> bool:
    """Whether an operation was cancelled and ended within the clocks' margin before a command."""
    end, cancel, since = operation.end_time, operation.cancel_time, published - CLOCK_MARGIN
    return cancel is not None and end is not None and since <= cancel <= end <= published
