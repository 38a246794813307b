"""Backup schedules: Google's own messages, kept by name, and the backups that they start when their time has come.

https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.databases.backupSchedules, documented.
That a run begins at once, and not some time within its window, and how its backup is named, is inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from google.cloud.spanner_admin_database_v1 import types as pb
from google.protobuf.field_mask_pb2 import FieldMask

from spanner_backup_emulator.spanner import refusals, rules
from spanner_backup_emulator.spanner.agenda import Agenda
from spanner_backup_emulator.spanner.names import instance_of, is_backup_id
from spanner_backup_emulator.spanner.starts import start_backup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanner_backup_emulator.spanner.agenda import Entry
    from spanner_backup_emulator.spanner.plans import Plans
    from spanner_backup_emulator.spanner.world import World

SCHEDULES_PER_DATABASE_MAX = 4
"""https://docs.cloud.google.com/spanner/quotas, documented."""

_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Minute, hour, day of the month, month, and day of the week, on which Sunday is 0 and 7."""

_DAYS_MAX = 366 * 8
"""Within this many days every date comes round, the 29th of February included."""

_STAMP = "-%Y%m%d-%H%M%S"
_ID_LENGTH_MAX = 60


@dataclass(slots=True)
class Schedule:
    """One schedule.

    Attributes:
        uid: Its place in the order of creation.
        message: `google.spanner.admin.database.v1.BackupSchedule`.
        due: When it starts its next backup.
    """

    uid: int
    message: Any
    due: Entry | None = None


class Schedules:
    """All schedules of all databases."""

    __slots__ = ("_held", "_plans", "_world")

    def __init__(self, world: World, plans: Plans) -> None:
        self._world, self._plans = world, plans
        self._held: dict[str, Schedule] = {}

    def create(self, database: str, schedule_id: str, message: Any) -> Any:  # noqa: ANN401 - Google's messages
        """Adds a schedule to a database that is there."""
        if not is_backup_id(schedule_id):
            raise refusals.invalid(f"Invalid backup schedule id: {schedule_id}")
        name = f"{database}/backupSchedules/{schedule_id}"
        if name in self._held:
            raise refusals.schedule_exists(name)
        if len(self.of(database)) >= SCHEDULES_PER_DATABASE_MAX:
            raise refusals.too_many_schedules(database, SCHEDULES_PER_DATABASE_MAX)
        made = pb.BackupSchedule.pb()()
        made.CopyFrom(message)
        made.name = name
        return self._put(Schedule(self._world.next_uid(), made))

    def get(self, name: str) -> Any:  # noqa: ANN401 - the same
        """Reads a schedule."""
        return _copied(self._found(name).message)

    def update(self, message: Any, mask: Sequence[str]) -> Any:  # noqa: ANN401 - the same
        """Changes the fields that the mask names; its next backup starts by the new times."""
        held = self._found(message.name)
        named, changed = FieldMask(paths=mask), _copied(held.message)
        if not mask or "name" in mask or not named.IsValidForDescriptor(changed.DESCRIPTOR):
            raise refusals.invalid(f"Invalid update mask: {', '.join(mask) or 'it is empty'}")
        named.MergeMessage(message, changed, replace_message_field=True, replace_repeated_field=True)
        return self._put(Schedule(held.uid, changed, held.due))

    def delete(self, name: str) -> None:
        """Takes a schedule away; what it has started goes on."""
        Agenda.drop(self._found(name).due)
        del self._held[name]

    def of(self, database: str) -> list[Schedule]:
        """A database's schedules, newest first."""
        prefix = f"{database}/backupSchedules/"
        return sorted((one for name, one in self._held.items() if name.startswith(prefix)), key=lambda one: -one.uid)

    def forget(self, database: str) -> None:
        """Takes away the schedules of a database that was dropped."""
        for one in self.of(database):
            self.delete(one.message.name)

    def _found(self, name: str) -> Schedule:
        if name not in self._held:
            raise refusals.schedule_missing(name)
        return self._held[name]

    def _put(self, schedule: Schedule) -> Any:  # noqa: ANN401 - the same
        message = schedule.message
        rules.check_schedule_retention(message.retention_duration.ToTimedelta())
        if message.WhichOneof("backup_type_spec") is None:
            message.full_backup_spec.SetInParent()
        message.spec.cron_spec.time_zone = "UTC"
        message.update_time.FromDatetime(self._world.now)
        before = schedule.due
        self._await(schedule)
        Agenda.drop(before)
        self._held[message.name] = schedule
        return _copied(message)

    def _await(self, schedule: Schedule) -> None:
        when = next_time(schedule.message.spec.cron_spec.text, self._world.now)
        schedule.due = self._world.later(when, partial(self._run, schedule))

    def _run(self, schedule: Schedule) -> None:
        message, world = schedule.message, self._world
        database, _, schedule_id = message.name.partition("/backupSchedules/")
        stamp = world.now.strftime(_STAMP)
        start_backup(
            world,
            f"{instance_of(database)}/backups/{schedule_id[: _ID_LENGTH_MAX - len(stamp)]}{stamp}",
            database,
            expire_time=world.now + message.retention_duration.ToTimedelta(),
            plan=self._plans.take(database),
            cause="schedule",
            schedules=(message.name,),
            kms_key_names=tuple(message.encryption_config.kms_key_names),
        )
        self._await(schedule)


def next_time(cron: str, after: datetime) -> datetime:
    """The first time after another that a schedule's text names, in UTC.

    The text has five fields; each is `*`, a number, a range, a list of these, or one of these with a step, as in
    `0 2/12 * * *`, which is at 2 and at 14 h. Where both kinds of days are given, either will do, as for cron.

    Raises:
        ApiError: INVALID_ARGUMENT for a text that names no time.
    """
    texts = cron.split()
    if len(texts) != len(_FIELDS):
        raise refusals.bad_cron(cron)
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
    raise refusals.bad_cron(cron)


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
            raise refusals.bad_cron(cron) from None
        if not numbers or not low <= numbers[0] <= numbers[-1] <= high:
            raise refusals.bad_cron(cron)
        found.update(numbers)
    return found


def _copied(message: Any) -> Any:  # noqa: ANN401 - the same
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
