"""One machine that plays a user of Spanner's backups, for any subject that can be called.

The subject is compared with the model of `spanner_model.py` after every step, by all that can be read of it: every
backup and every operation. The checks of single answers alone would prove little, because what matters here happens
between the calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, precondition, rule
from spanner_model import RETENTION_MAX, RETENTION_MIN, Attempt, Fate, Model
from spanner_world import INSTANCE, SCHEDULE, START, Clock, create_request, update_request

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.messages import Message, time_of
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb, unpacked
from spanner_backup_emulator.spanner.plans import Plan, Status
from spanner_backup_emulator.spanner.server import SpannerEmulator

DATABASES = ("orders", "users")
BACKUP_IDS = ("one", "two")
"""Few, so that names and slots are fought for."""

SCHEDULED_COUNT_MAX = 2
"""Scheduled backups in one run: enough to stand beside others, too few to crowd them out."""

SCHEDULED = "scheduled-"
"""How their names begin, which no other name does."""

STEPS = (0, 1, 5, 30, 60, 6 * 60, 24 * 60, 7 * 24 * 60)
"""Minutes to let pass: equal to the times below, so that ties happen, and enough to expire and to be forgotten."""

FATES = st.builds(
    Fate,
    length=st.sampled_from([0, 5, 60, 90]),
    cancel=st.sampled_from([0, 5, 60, None]),
    linger=st.sampled_from([0, 5, 60]),
    fails=st.sampled_from([False, False, False, True]),
)
RETENTIONS = st.sampled_from([
    RETENTION_MIN - 1, RETENTION_MIN, 24 * 60, 24 * 60, 24 * 60, RETENTION_MAX, RETENTION_MAX + 1,
])  # fmt: skip


@dataclass(frozen=True)
class SeenBackup:
    """What a subject shows of a backup; times in minutes since the start."""

    name: str
    database: str
    state: str
    created: int
    expires: int
    needed: bool
    scheduled: bool


@dataclass(frozen=True)
class SeenOperation:
    """What a subject shows of an operation."""

    name: str
    database: str
    code: str | None
    cancelled_at: int | None
    started: int
    made: str | None


class Subject:
    """What is put to the test, by what makes calls of it; a call gives the code's name."""

    def __init__(self, emulator: SpannerEmulator, call: Callable[[Message], Message]) -> None:
        """Takes what the test's author turns to, and what everybody else does."""
        self.emulator = emulator
        self._call = call

    def create(self, backup_id: str, database: str, expires: int) -> tuple[str, str]:
        """Starts a backup; gives its operation's name as well."""
        try:
            return "OK", self._call(create_request(backup_id, database, _time(expires))).name
        except ApiError as error:
            return error.code.name, ""

    def update(self, backup: str, expires: int) -> str:
        """Changes when a backup expires."""
        return self._code(update_request(backup, _time(expires)))

    def delete(self, backup: str) -> str:
        """Deletes a backup."""
        return self._code(pb.DeleteBackupRequest(name=backup))

    def cancel(self, operation: str) -> str:
        """Cancels an operation."""
        return self._code(pb.CancelOperationRequest(name=operation))

    def backups(self) -> list[SeenBackup]:
        """Lists all backups."""
        return [
            SeenBackup(
                backup.name,
                backup.database,
                pb.Backup.State.Name(backup.state),
                _minutes(backup.create_time),
                _minutes(backup.expire_time),
                bool(backup.referencing_databases),
                bool(backup.backup_schedules),
            )
            for backup in self._call(pb.ListBackupsRequest(parent=INSTANCE)).backups
        ]

    def operations(self) -> list[SeenOperation]:
        """Lists all operations that make backups."""
        return [_seen(one) for one in self._call(pb.ListBackupOperationsRequest(parent=INSTANCE)).operations]

    def _code(self, request: Message) -> str:
        try:
            self._call(request)
        except ApiError as error:
            return error.code.name
        return "OK"


class SpannerMachine(RuleBasedStateMachine):
    """A user, a clock and a subject; `make_subject` says which."""

    attempts: Bundle[Attempt] = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.model = Model()
        self.subject = self.make_subject()
        self.restored = 0
        self.scheduled = 0

    def make_subject(self) -> Subject:
        """A subject whose time is `self.clock`."""
        raise NotImplementedError

    def teardown(self) -> None:
        """Ends the subject."""
        self.subject.emulator.close()

    @property
    def now(self) -> int:
        """Minutes since the start."""
        return (self.clock.now - START) // timedelta(minutes=1)

    @rule(minutes=st.sampled_from(STEPS))
    def time_passes(self, minutes: int) -> None:
        """Nobody does anything for a while."""
        self.clock.tick(timedelta(minutes=minutes))

    @precondition(lambda self: any(one.code(self.now) is None for one in self.model.attempts))
    @rule()
    def time_passes_until_an_operation_ends(self) -> None:
        """Nobody does anything until something happens by itself."""
        ends = [one.end() for one in self.model.attempts if one.code(self.now) is None]
        self.clock.tick(timedelta(minutes=min(ends) - self.now))

    @rule(
        target=attempts,
        backup_id=st.sampled_from(BACKUP_IDS),
        database=st.sampled_from(DATABASES),
        retention=RETENTIONS,
        fate=FATES,
    )
    def somebody_starts_a_backup(
        self, backup_id: str, database: str, retention: int, fate: Fate
    ) -> MultipleResults[Attempt]:
        """A backup is asked for; the model knows whether it starts."""
        self.subject.emulator.set_plan(_database(database), _plan(fate))
        code, operation = self.subject.create(backup_id, _database(database), self.now + retention)
        expected, attempt = self.model.create(self.now, _backup(backup_id), _database(database), retention, fate)
        assert code == expected
        return self._started(attempt, operation)

    @precondition(lambda self: self.scheduled < SCHEDULED_COUNT_MAX)
    @rule(target=attempts, database=st.sampled_from(DATABASES), fate=FATES)
    def a_schedule_starts_a_backup(self, database: str, fate: Fate) -> MultipleResults[Attempt]:
        """A backup schedule fires, under a name of its own."""
        self.scheduled += 1
        backup_id = f"{SCHEDULED}{self.scheduled}"
        self.subject.emulator.set_plan(_database(database), _plan(fate))
        operation = self.subject.emulator.start_scheduled_backup(_database(database), SCHEDULE, backup_id).name
        expires = self.now + 7 * 24 * 60
        attempt = Attempt(_backup(backup_id), _database(database), fate, self.now, expires, scheduled=True)
        self.model.attempts.append(attempt)
        return self._started(attempt, operation)

    @rule(attempt=attempts)
    def somebody_cancels(self, attempt: Attempt) -> None:
        """An operation is cancelled, running or not."""
        assert self.subject.cancel(attempt.operation) == self.model.cancel(self.now, attempt)

    @rule(backup_id=st.sampled_from(BACKUP_IDS))
    def somebody_deletes(self, backup_id: str) -> None:
        """A backup is deleted, finished or not, there or not."""
        assert self.subject.delete(_backup(backup_id)) == self.model.delete(self.now, _backup(backup_id))

    @rule(backup_id=st.sampled_from(BACKUP_IDS), lasts=RETENTIONS)
    def somebody_updates(self, backup_id: str, lasts: int) -> None:
        """A backup's end is moved."""
        holder = self.model.visible(self.now, _backup(backup_id))
        expires = (holder.start if holder else self.now) + lasts
        assert self.subject.update(_backup(backup_id), expires) == self.model.update(
            self.now, _backup(backup_id), expires
        )

    @precondition(lambda self: any(self._state(one) == "READY" for one in BACKUP_IDS))
    @rule(data=st.data(), minutes=st.sampled_from([1, 60, 48 * 60]))
    def somebody_restores(self, data: st.DataObject, minutes: int) -> None:
        """A READY backup is restored, which takes a while."""
        ready = [one for one in BACKUP_IDS if self._state(one) == "READY"]
        backup = _backup(data.draw(st.sampled_from(ready)))
        self.restored += 1
        restored = _database(f"restored-{self.restored}")
        self.subject.emulator.begin_restore(backup, restored, timedelta(minutes=minutes))
        holder = self.model.visible(self.now, backup)
        assert holder is not None
        holder.restores.append(self.now + minutes)

    @invariant()
    def every_backup_is_as_the_model_says(self) -> None:
        """Names, states, times and whether somebody needs it; newest first; and no others."""
        now = self.now
        visible = [one for one in reversed(self.model.attempts) if one.state(now) is not None]
        assert self.subject.backups() == [
            SeenBackup(
                one.backup, one.database, str(one.state(now)), one.start, one.expires, one.is_needed(now), one.scheduled
            )
            for one in visible
        ]

    @invariant()
    def every_operation_is_as_the_model_says(self) -> None:
        """Outcome, cancel_time and what it made; newest first; and none that should be forgotten."""
        now = self.now
        assert self.subject.operations() == [
            SeenOperation(
                one.operation,
                one.database,
                one.code(now),
                one.cancelled_at,
                one.start,
                one.backup if one.code(now) == "OK" else None,
            )
            for one in self.model.known(now)
        ]

    @invariant()
    def a_database_has_at_most_one_pending_backup_that_was_asked_for(self) -> None:
        """Counted in what the subject shows alone; a slot is free only when its operation is done."""
        running = [one for one in self.subject.operations() if one.code is None]
        busy = [one.database for one in running if f"/{SCHEDULED}" not in one.name]
        assert len(busy) == len(set(busy))

    @invariant()
    def the_history_accounts_for_every_backup(self) -> None:
        """Those that started and have not gone, by the record, are those that are listed."""
        left: set[tuple[str, int]] = set()
        for event in self.subject.emulator.history():
            if event.what is What.BACKUP_STARTED:
                left.add((event.resource, event.uid))
            elif event.what in {What.BACKUP_DELETED, What.BACKUP_EXPIRED, What.BACKUP_REMOVED}:
                left.remove((event.resource, event.uid))
        assert sorted(name for name, _ in left) == sorted(one.name for one in self.subject.backups())

    def _started(self, attempt: Attempt | None, operation: str) -> MultipleResults[Attempt]:
        if attempt is None:
            return multiple()
        attempt.operation = operation
        return multiple(attempt)

    def _state(self, backup_id: str) -> str | None:
        holder = self.model.visible(self.now, _backup(backup_id))
        return holder.state(self.now) if holder else None


def _backup(backup_id: str) -> str:
    return f"{INSTANCE}/backups/{backup_id}"


def _time(minutes: int) -> datetime:
    return START + timedelta(minutes=minutes)


def _minutes(when: Timestamp) -> int:
    return (time_of(when) - START) // timedelta(minutes=1)


def _seen(operation: Message) -> SeenOperation:
    metadata = unpacked(operation.metadata)
    return SeenOperation(
        operation.name,
        metadata.database,
        Code(operation.error.code).name if operation.done else None,
        _minutes(metadata.cancel_time) if metadata.HasField("cancel_time") else None,
        _minutes(metadata.progress.start_time),
        unpacked(operation.response).name if operation.HasField("response") else None,
    )


def _database(database_id: str) -> str:
    return f"{INSTANCE}/databases/{database_id}"


def _plan(fate: Fate) -> Plan:
    return Plan(
        duration=timedelta(minutes=fate.length),
        cancel_duration=None if fate.cancel is None else timedelta(minutes=fate.cancel),
        removal_delay=timedelta(minutes=fate.linger),
        error=Status(Code.INTERNAL, "planned") if fate.fails else None,
    )
