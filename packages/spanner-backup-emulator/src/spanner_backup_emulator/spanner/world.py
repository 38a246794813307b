"""What exists and how it moves on by itself.

Theory of operation. A call only changes what is here and puts what will follow on the agenda; `advance` carries out
what is due, in the order of time. Of two things due at the same instant, the end of the work comes before the
effect of a cancel (a cancel that isn't earlier is too late), and both before anything vanishes. A call at time T
sees everything that was due at T.

What ends an operation:

    what happens          the operation ends with   the backup
    ------------          -----------------------   ----------
    the work ends         a response, or the        READY, or removed
                          plan's error
    a cancel takes hold   CANCELLED                 removed
    its backup is deleted CANCELLED, when a cancel  gone since the delete
                          would take hold, or when
                          the work ends

"Removed" may come later than the operation's end, if the plan says so; a new backup may take the name at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.agenda import Agenda, Entry
from spanner_backup_emulator.spanner.history import Event, What
from spanner_backup_emulator.spanner.records import Backup, BackupState, Database, DatabaseState, OperationKind, Status
from spanner_backup_emulator.spanner.starts import start_optimization

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanner_backup_emulator.spanner.work import Work

OPERATION_KEPT = timedelta(days=7)
"""How long an operation can be read after its end.

Documented for the list at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list; that
GetOperation forgets it too is inferred.
"""

HISTORY_COUNT_MAX = 100_000
"""Lines of the record that are kept, the newest: a test reads all of its own; a command that runs for months stays
small."""

_BEFORE_TIME = datetime.min.replace(tzinfo=UTC)
_RANK_END, _RANK_STOP, _RANK_REST = range(3)


class World:
    """Backups, databases and operations, and the agenda that moves them.

    Attributes:
        now: The latest time it was told.
        backups: By full name; finished or not.
        databases: By full name.
        works: Operations by full name, oldest first.
        pending: The unfinished on-demand backup of each database that has one.
        history: What happened, oldest first.
        id_seed: Where the ids of operations start from.
    """

    __slots__ = (
        "_agenda",
        "_expiries",
        "_expiry_delay",
        "_making",
        "_uid",
        "backups",
        "databases",
        "history",
        "id_seed",
        "now",
        "pending",
        "works",
    )

    def __init__(self, *, expiry_delay: timedelta, id_seed: int) -> None:
        self.now = _BEFORE_TIME
        self.id_seed = id_seed
        self.backups: dict[str, Backup] = {}
        self.databases: dict[str, Database] = {}
        self.works: dict[str, Work] = {}
        self.pending: dict[str, Work] = {}
        self.history: deque[Event] = deque(maxlen=HISTORY_COUNT_MAX)
        self._agenda = Agenda()
        self._expiry_delay = expiry_delay
        self._making: dict[int, Work] = {}
        self._expiries: dict[int, Entry] = {}
        self._uid = 0

    def next_uid(self) -> int:
        """A number that was never used here before, larger than all that were."""
        self._uid += 1
        return self._uid

    def next_event_at(self) -> datetime | None:
        """When something will next change by itself."""
        return self._agenda.next_at()

    def advance(self, now: datetime) -> None:
        """Carries out what is due; a time before the last one counts as the last one."""
        now = max(now, self.now)
        while (due := self._agenda.take_due(now)) is not None:
            when, action = due
            self.now = max(when, self.now)
            action()
        self.now = now

    def record(self, what: What, resource: str, cause: str, code: Code = Code.OK, operation: str = "") -> None:
        """Writes a line that concerns no backup."""
        self.history.append(Event(self.now, what, resource, cause, code, operation))

    def note(self, what: What, backup: Backup, cause: str, operation: str = "") -> None:
        """Writes a line that concerns a backup."""
        self.history.append(
            Event(self.now, what, backup.name, cause, Code.OK, operation, backup.uid, backup.create_time)
        )

    def later(self, when: datetime, action: Callable[[], None]) -> Entry:
        """Has something happen by itself at a time."""
        return self._agenda.add(when, _RANK_REST, action)

    def begin(self, work: Work) -> None:
        """Starts an operation whose backup or database is already here."""
        self.works[work.name] = work
        self._making[work.subject] = work
        work.end = self._agenda.add(work.due_time, _RANK_END, partial(self._end, work))

    def stop(self, work: Work, cause: str) -> None:
        """Receives a cancel; the first one counts, and one that finds the operation ended changes nothing."""
        if work.end_time is not None or work.cancel_time is not None:
            return
        work.cancel_time = self.now
        self.record(What.CANCEL_RECEIVED, work.name, cause, operation=work.name)
        if work.plan.cancel_duration is not None:
            work.stop = self._agenda.add(
                self.now + work.plan.cancel_duration, _RANK_STOP, partial(self._cancelled, work)
            )
        if work.plan.outrun_duration is not None:
            self.hasten(work, self.now + work.plan.outrun_duration)

    def hasten(self, work: Work, due_time: datetime) -> None:
        """Has the work end at this time unless it would have ended before."""
        if work.end_time is None and due_time < work.due_time:
            Agenda.drop(work.end)
            work.due_time = due_time
            work.end = self._agenda.add(due_time, _RANK_END, partial(self._end, work))

    def delete(self, backup: Backup, what: What, cause: str) -> None:
        """Takes a backup away, at once; the operation that still makes it is cancelled."""
        del self.backups[backup.name]
        Agenda.drop(self._expiries.pop(backup.uid, None))
        self.note(what, backup, cause)
        work = self._making.get(backup.uid)
        if work is not None:
            work.orphaned = True
            if work.kind is OperationKind.COPY_BACKUP:
                self._release(work.source_backup, work.target)
            self.stop(work, cause)

    def is_leftover(self, backup: Backup) -> bool:
        """Whether this is what a cancelled or failed operation has not cleaned up yet."""
        return backup.state is BackupState.CREATING and backup.uid not in self._making

    def set_expiry(self, backup: Backup, expire_time: datetime) -> Backup:
        """Changes when a finished backup vanishes."""
        Agenda.drop(self._expiries.pop(backup.uid, None))
        changed = replace(backup, expire_time=expire_time)
        self.backups[backup.name] = changed
        due = max(expire_time + self._expiry_delay, self.now)
        action = partial(self._expire, backup.uid, backup.name)
        self._expiries[backup.uid] = self._agenda.add(due, _RANK_REST, action)
        return changed

    def refer(self, source: Backup, *, database: str = "", backup: str = "") -> None:
        """Notes that a restore or a copy needs this backup."""
        self.backups[source.name] = replace(
            source,
            referencing_databases=source.referencing_databases + ((database,) if database else ()),
            referencing_backups=source.referencing_backups + ((backup,) if backup else ()),
        )
        self.note(What.REFERENCE_ADDED, source, database or backup)

    def _release(self, name: str, by: str) -> None:
        source = self.backups[name]
        released = replace(
            source,
            referencing_databases=tuple(one for one in source.referencing_databases if one != by),
            referencing_backups=tuple(one for one in source.referencing_backups if one != by),
        )
        self.backups[name] = released
        self.note(What.REFERENCE_REMOVED, source, by)
        if source.uid not in self._expiries:
            self.set_expiry(released, released.expire_time)

    def _end(self, work: Work) -> None:
        """The work has ended by itself."""
        Agenda.drop(work.stop)
        if work.orphaned:
            self._failed(work, _CANCELLED, "cancel")
        elif work.plan.error is not None:
            self._failed(work, work.plan.error, "failure")
        elif work.kind is OperationKind.RESTORE_DATABASE:
            self._restored(work)
        elif work.kind is OperationKind.OPTIMIZE_RESTORED_DATABASE:
            self._optimized(work)
        else:
            self._made(work)

    def _cancelled(self, work: Work) -> None:
        """A cancel has taken hold before the work's end."""
        Agenda.drop(work.end)
        self._failed(work, _CANCELLED, "cancel")

    def _close(self, work: Work, code: Code) -> None:
        """What every end has in common."""
        work.end_time = self.now
        del self._making[work.subject]
        if self.pending.get(work.database) is work:
            del self.pending[work.database]
        if work.kind is OperationKind.COPY_BACKUP and not work.orphaned:
            self._release(work.source_backup, work.target)
        self.record(What.OPERATION_DONE, work.name, work.kind, code, work.name)
        self._agenda.add(self.now + OPERATION_KEPT, _RANK_REST, partial(self._forget, work))

    def _made(self, work: Work) -> None:
        backup = replace(self.backups[work.target], state=BackupState.READY, size_bytes=work.plan.size_bytes)
        work.response = backup
        self._close(work, Code.OK)
        self.note(What.BACKUP_READY, backup, work.kind, work.name)
        self.set_expiry(backup, backup.expire_time)

    def _restored(self, work: Work) -> None:
        state = DatabaseState.READY_OPTIMIZING if work.plan.optimize_duration else DatabaseState.READY
        database = replace(self.databases[work.target], state=state)
        self.databases[work.target] = work.response = database
        self._close(work, Code.OK)
        start_optimization(self, work, database)

    def _optimized(self, work: Work) -> None:
        database = replace(self.databases[work.target], state=DatabaseState.READY)
        self.databases[work.target] = work.response = database
        self._close(work, Code.OK)
        self._release(work.source_backup, work.target)

    def _failed(self, work: Work, error: Status, cause: str) -> None:
        """Cancelled or failed: nothing of what was being made stays."""
        work.error = error
        self._close(work, error.code)
        if work.kind is OperationKind.RESTORE_DATABASE:
            del self.databases[work.target]
            self._release(work.source_backup, work.target)
        elif not work.orphaned and work.plan.removal_delay:
            due = self.now + work.plan.removal_delay
            self._agenda.add(due, _RANK_REST, partial(self._remove, work, cause))
        elif not work.orphaned:
            self._remove(work, cause)

    def _remove(self, work: Work, cause: str) -> None:
        backup = self.backups.get(work.target)
        if backup is not None and backup.uid == work.subject:
            self.delete(backup, What.BACKUP_REMOVED, cause)

    def _expire(self, uid: int, name: str) -> None:
        """The lifetime is over; a backup that a restore or a copy still needs goes when they let go of it.

        That a copy's source isn't cleaned up while it is copied is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/copy; for a restore
        it is inferred.
        """
        del self._expiries[uid]
        backup = self.backups[name]
        if not backup.referencing_databases and not backup.referencing_backups:
            self.delete(backup, What.BACKUP_EXPIRED, "expiry")

    def _forget(self, work: Work) -> None:
        del self.works[work.name]
        self.record(What.OPERATION_FORGOTTEN, work.name, "expiry", operation=work.name)


_CANCELLED = Status(Code.CANCELLED, "The operation was cancelled.")
"""How a cancelled operation ends. The code is documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.operations/cancel, the text
is inferred: no public source shows it."""
