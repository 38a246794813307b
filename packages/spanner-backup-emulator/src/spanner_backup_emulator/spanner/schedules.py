"""Backup schedules: Google's own messages, kept by name, and the backups that they start when their time has come.

https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.databases.backupSchedules, documented.
That a run begins at once, and not some time within its window, and how its backup is named, is inferred.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from cronsim import CronSim, CronSimError

from spanner_backup_emulator.messages import Message, copied, stamp
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.backups import Backups
from spanner_backup_emulator.spanner.lists import page_of
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.refusals import RETENTION_MAX, RETENTION_MIN
from spanner_backup_emulator.spanner.work import Agenda, Resource
from spanner_backup_emulator.spanner.world import instance_of

SCHEDULES_PER_DATABASE_MAX = 4
"""https://docs.cloud.google.com/spanner/quotas, documented."""

_CRON = frozenset("0123456789*,/-")
"""What times are written with; the names of days and the letters that some crons know besides are refused."""

_STAMP = "-%Y%m%d-%H%M%S"
_ID_LENGTH_MAX = 60


class Schedules(Backups):
    """One method per RPC, with its name."""

    def _create_backup_schedule(self, request: Message) -> Message:
        database = request.parent
        refusals.check_form("database name", database)
        self._found_database(database, remember=True)
        refusals.check_form("backup schedule id", request.backup_schedule_id)
        made = copied(request.backup_schedule)
        made.name = f"{database}/backupSchedules/{request.backup_schedule_id}"
        if made.name in self.schedules:
            raise refusals.exists("Backup schedule", made.name)
        if len(self._schedules_of(database)) >= SCHEDULES_PER_DATABASE_MAX:
            raise refusals.TOO_MANY_SCHEDULES(database, SCHEDULES_PER_DATABASE_MAX)
        return self._put(Resource(next(self._uids), made))

    def _get_backup_schedule(self, request: Message) -> Message:
        return copied(refusals.found("Backup schedule", self.schedules, request.name).message)

    def _update_backup_schedule(self, request: Message) -> Message:
        """Changes the fields that the mask names; its next backup starts by the new times."""
        held = refusals.found("Backup schedule", self.schedules, request.backup_schedule.name)
        changed, mask = copied(held.message), request.update_mask
        if not mask.paths or "name" in mask.paths or not mask.IsValidForDescriptor(changed.DESCRIPTOR):
            raise refusals.invalid(f"Invalid update mask: {', '.join(mask.paths) or 'it is empty'}")
        mask.MergeMessage(request.backup_schedule, changed, replace_message_field=True, replace_repeated_field=True)
        return self._put(Resource(held.uid, changed, held.due))

    def _delete_backup_schedule(self, request: Message) -> Message:
        """Takes a schedule away; what it has started goes on."""
        Agenda.drop(refusals.found("Backup schedule", self.schedules, request.name).due)
        del self.schedules[request.name]
        return pb.Empty()

    def _list_backup_schedules(self, request: Message) -> Message:
        refusals.check_form("database name", request.parent)
        self._found_database(request.parent)
        schedules = self._schedules_of(request.parent)
        return page_of(schedules, request, request.parent, pb.ListBackupSchedulesResponse)

    def _put(self, schedule: Resource) -> Message:
        message = schedule.message
        retention = message.retention_duration.ToTimedelta()
        if not RETENTION_MIN <= retention <= RETENTION_MAX:
            raise refusals.SCHEDULE_RETENTION(retention)
        if message.WhichOneof("backup_type_spec") is None:
            message.full_backup_spec.SetInParent()
        message.spec.cron_spec.time_zone = "UTC"
        message.update_time.CopyFrom(stamp(self.now))
        before = schedule.due
        self._await(schedule)
        Agenda.drop(before)
        self.schedules[message.name] = schedule
        return copied(message)

    def _await(self, schedule: Resource) -> None:
        when = next_time(schedule.message.spec.cron_spec.text, self.now)
        schedule.due = self._agenda.add(when, partial(self._run, schedule))

    def _run(self, schedule: Resource) -> None:
        database, _, schedule_id = schedule.message.name.partition("/backupSchedules/")
        suffix = self.now.strftime(_STAMP)
        self._start_scheduled(schedule.message, database, f"{schedule_id[: _ID_LENGTH_MAX - len(suffix)]}{suffix}")
        self._await(schedule)

    def _start_scheduled(self, schedule: Message, database: str, backup_id: str) -> Message:
        backup = pb.Backup(
            name=f"{instance_of(database)}/backups/{backup_id}",
            database=database,
            expire_time=stamp(self.now + schedule.retention_duration.ToTimedelta()),
            version_time=stamp(self.now),
            backup_schedules=[schedule.name],
        )
        return self._start_backup(backup, "schedule", schedule.encryption_config)


def next_time(cron: str, after: datetime) -> datetime:
    """The first time after another that a schedule's text names, in UTC.

    The text has five fields; each is `*`, a number, a range, a list of these, or one of these with a step, as in
    `0 2/12 * * *`, which is at 2 and at 14 h. Where both kinds of days are given, either will do, as for cron.

    Raises:
        ApiError: INVALID_ARGUMENT for a text that names no time.
    """
    try:
        times = CronSim(cron, after.astimezone(UTC))
        if len(fields := cron.split()) == 5 and _CRON.issuperset("".join(fields)):
            return next(times)
    except (CronSimError, StopIteration):
        pass
    raise refusals.invalid(f"Invalid cron spec: {cron!r}")
