"""The emulated service as a pure state: `apply` a call, `advance` to a time, ask when something is next due.

It has no clock, no randomness and no I/O, so the same calls at the same times give the same answers, names
included. It does not lock. Calls and answers are Google's messages, refusals are `ApiError`s from `refusals.py`, and
what happens by itself is explained in `world.py`. The methods that are no RPCs are for test authors: they speak
test language, and a name that doesn't exist is a KeyError.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.spanner.backups import Backups
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import BY_REQUEST, pb
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.work import Resource
from spanner_backup_emulator.spanner.world import instance_of

_RETENTION = timedelta(days=7)


class State(Backups):
    """Instances with their databases, backups, schedules and operations; `World` says what its settings are."""

    def apply(self, now: datetime, request: Message) -> Message:
        """Answers one call, `pb.GetBackupRequest(name=…)`, with a value that later calls don't change.

        The time is aware; one before the last one counts as the last one.

        Raises:
            ApiError: The service refuses the call.
        """
        self.advance(now)
        rpc = BY_REQUEST[type(request)]
        try:
            answer = getattr(self, f"_{rpc.method}")(request)
        except ApiError as error:
            self._record(What.CALLED, rpc.resource_of(request), rpc.name, error.code)
            raise
        self._record(What.CALLED, rpc.resource_of(request), rpc.name)
        return answer

    def plan_of(self, operation: str) -> Plan | None:
        """How an operation goes, for who counts what was asked for; None if the operation is unknown or forgotten."""
        work = self.works.get(operation)
        return None if work is None else work.plan

    def start_scheduled_backup(self, now: datetime, database: str, schedule: str, backup_id: str) -> Message:
        """Starts a backup of a declared database as a backup schedule does, whatever else is pending, kept for 7 days.

        That scheduled ones don't count is documented at https://docs.cloud.google.com/spanner/quotas.

        Raises:
            ValueError: The name is taken.
        """
        self.advance(now)
        if f"{instance_of(database)}/backups/{backup_id}" in self.backups:
            raise ValueError(f"there is already a backup {backup_id}")
        return self._start_scheduled(
            pb.BackupSchedule(name=schedule, retention_duration=_RETENTION), database, backup_id
        )

    def begin_restore(self, now: datetime, backup: str, database: str, duration: timedelta) -> Message:
        """Starts to restore a database from a READY backup, which can't be deleted until then."""
        self.advance(now)
        return self._start_restore(database, self._ready(backup, duration), pb.RestoreDatabaseEncryptionConfig())

    def begin_copy(self, now: datetime, source: str, backup: str, duration: timedelta) -> Message:
        """Starts to copy a READY backup, which can't be deleted until then."""
        self.advance(now)
        held = self._ready(source, duration)
        return self._start_copy(backup, held, held.message.expire_time, pb.CopyBackupEncryptionConfig(), "test")

    def finish(self, now: datetime, operation: str) -> None:
        """Has an operation's work end now, as if its time were over."""
        self.advance(now)
        self._end_now(self.works[operation])

    def _ready(self, name: str, duration: timedelta) -> Resource:
        """A backup of which the next copy or restore takes this long."""
        backup = self.backups[name]
        if backup.message.state == pb.Backup.CREATING:
            raise ValueError(f"{name} is CREATING, and only a READY backup can be restored or copied")
        self._queued_plans.setdefault(name, []).insert(0, Plan(duration=duration))
        return backup
