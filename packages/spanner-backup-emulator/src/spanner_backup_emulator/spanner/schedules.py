"""Backup schedules: Google's own messages, kept by name, and the backups that they start when their time has come.

https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.databases.backupSchedules, documented.
That a run begins at once, and not some time within its window, and how its backup is named, is inferred.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied, stamp
from spanner_backup_emulator.spanner import refusals, rules
from spanner_backup_emulator.spanner.agenda import Agenda
from spanner_backup_emulator.spanner.backups import Backups
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.pages import page_of
from spanner_backup_emulator.spanner.starts import start_backup
from spanner_backup_emulator.spanner.work import Resource

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message

SCHEDULES_PER_DATABASE_MAX = 4
"""https://docs.cloud.google.com/spanner/quotas, documented."""

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Minute, hour, day of the month, month, and day of the week, on which Sunday is 0 and 7."""

_DAYS_MAX = 366 * 8
"""Within this many days every date comes round, the 29th of February included."""

_STAMP = "-%Y%m%d-%H%M%S"
_ID_LENGTH_MAX = 60


class Schedules(Backups):
    """One method per RPC, with its name."""

    def create_backup_schedule(self, request: Message) -> Message:
        """Adds a schedule to a database."""
        database = request.parent
        rules.check_form("database name", database)
        self._found_database(database, remember=True)
        rules.check_form("backup schedule id", request.backup_schedule_id)
        made = copied(request.backup_schedule)
        made.name = f"{database}/backupSchedules/{request.backup_schedule_id}"
        if made.name in self.schedules:
            raise refusals.exists("Backup schedule", made.name)
        if len(self.schedules_of(database)) >= SCHEDULES_PER_DATABASE_MAX:
            raise refusals.TOO_MANY_SCHEDULES(database, SCHEDULES_PER_DATABASE_MAX)
        return self._put(Resource(self.next_uid(), made))

    def get_backup_schedule(self, request: Message) -> Message:
        """Reads a schedule."""
        return copied(refusals.found("Backup schedule", self.schedules, request.name).message)

    def update_backup_schedule(self, request: Message) -> Message:
        """Changes the fields that the mask names; its next backup starts by the new times."""
        held, mask = (
            refusals.found("Backup schedule", self.schedules, request.backup_schedule.name),
            request.update_mask,
        )
        changed = copied(held.message)
        if not mask.paths or "name" in mask.paths or not mask.IsValidForDescriptor(changed.DESCRIPTOR):
            raise refusals.invalid(f"Invalid update mask: {', '.join(mask.paths) or 'it is empty'}")
        mask.MergeMessage(request.backup_schedule, changed, replace_message_field=True, replace_repeated_field=True)
        return self._put(Resource(held.uid, changed, held.due))

    def delete_backup_schedule(self, request: Message) -> Message:
        """Takes a schedule away; what it has started goes on."""
        Agenda.drop(refusals.found("Backup schedule", self.schedules, request.name).due)
        del self.schedules[request.name]
        return pb.Empty()

    def list_backup_schedules(self, request: Message) -> Message:
        """Lists a database's schedules, newest first."""
        rules.check_form("database name", request.parent)
        self._found_database(request.parent)
        page, token = page_of(self.schedules_of(request.parent), request, request.parent)
        return pb.ListBackupSchedulesResponse(backup_schedules=(one.message for one in page), next_page_token=token)

    def _put(self, schedule: Resource) -> Message:
        message = schedule.message
        rules.check_schedule_retention(message.retention_duration.ToTimedelta())
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
        schedule.due = self.later(when, partial(self._run, schedule))

    def _run(self, schedule: Resource) -> None:
        message = schedule.message
        database, _, schedule_id = message.name.partition("/backupSchedules/")
        suffix = self.now.strftime(_STAMP)
        backup_id = f"{schedule_id[: _ID_LENGTH_MAX - len(suffix)]}{suffix}"
        retention = message.retention_duration.ToTimedelta()
        self._start_scheduled(database, message.name, backup_id, retention, message.encryption_config)
        self._await(schedule)

    def _start_scheduled(
        self, database: str, schedule: str, backup_id: str, retention: timedelta, encryption: Message = None
    ) -> Message:
        backup = pb.Backup(
            name=f"{rules.instance_of(database)}/backups/{backup_id}",
            database=database,
            expire_time=stamp(self.now + retention),
            version_time=stamp(self.now),
            backup_schedules=[schedule],
        )
        return start_backup(self, backup, self.take_plan(database), "schedule", encryption)


def next_time(cron: str, after: datetime) -> datetime:
    """The first time after another that a schedule's text names, in UTC.

    The text has five fields; each is `*`, a number, a range, a list of these, or one of these with a step, as in
    `0 2/12 * * *`, which is at 2 and at 14 h. Where both kinds of days are given, either will do, as for cron.

    Raises:
        ApiError: INVALID_ARGUMENT for a text that names no time.
    """
    texts = cron.split()
    if len(texts) != len(_FIELDS):
        raise refusals.invalid(f"Invalid cron spec: {cron!r}")
    minutes, hours, days, months, weekdays = (
        _numbers(cron, text, *field) for text, field in zip(texts, _FIELDS, strict=True)
    )
    weekdays = {number % 7 for number in weekdays}
    either = texts[2] != "*" and texts[4] != "*"
    first = after.astimezone(UTC) + timedelta(minutes=1)
    for offset in range(_DAYS_MAX):
        day = (first + timedelta(days=offset)).date()
        by_date, by_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        if day.month not in months or not (by_date or by_weekday if either else by_date and by_weekday):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                when = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                if when > after:
                    return when
    raise refusals.invalid(f"Invalid cron spec: {cron!r}")


def _numbers(cron: str, text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        begin, dash, end = span.partition("-")
        try:
            if span == "*":
                numbers = range(low, high + 1, int(step) if slash else 1)
            else:
                last = int(end) if dash else high if slash else int(begin)
                numbers = range(int(begin), last + 1, int(step) if slash else 1)
        except ValueError:
            raise refusals.invalid(f"Invalid cron spec: {cron!r}") from None
        if not numbers or not low <= numbers[0] <= numbers[-1] <= high:
            raise refusals.invalid(f"Invalid cron spec: {cron!r}")
        found.update(numbers)
    return found
