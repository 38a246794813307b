"""The emulated service as a pure state: `apply` a call, `advance` to a time, ask when something is next due.

It has no clock, no randomness and no I/O, so the same calls at the same times give the same answers, names
included. It does not lock. Calls and answers are Google's messages, refusals are `ApiError`s from `refusals.py`, and
what happens by itself is explained in `world.py`. The methods that are no RPCs are for test authors: they speak
test language, and a name that doesn't exist is a KeyError.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.spanner import messages as pb
from spanner_backup_emulator.spanner.databases import Databases
from spanner_backup_emulator.spanner.history import Event, What
from spanner_backup_emulator.spanner.messages import time_of
from spanner_backup_emulator.spanner.methods import Methods
from spanner_backup_emulator.spanner.plans import Plan, Plans
from spanner_backup_emulator.spanner.rpcs import BY_REQUEST, RPCS
from spanner_backup_emulator.spanner.rules import instance_of
from spanner_backup_emulator.spanner.schedules import Schedules
from spanner_backup_emulator.spanner.starts import start_backup, start_copy, start_restore
from spanner_backup_emulator.spanner.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from spanner_backup_emulator.spanner.messages import Message
    from spanner_backup_emulator.spanner.work import Resource

_RETENTION = timedelta(days=7)
_NO_TIME = timedelta(0)


class State:
    """Instances with their databases, backups and operations."""

    def __init__(
        self,
        *,
        databases: Iterable[str] = (),
        strict: bool = False,
        default_plan: Plan | None = None,
        exists_before_pending: bool = True,
        late_cancel_refused: bool = False,
        expiry_delay: timedelta = _NO_TIME,
        id_seed: int = 0,
    ) -> None:
        """Makes a state in which nothing has happened yet.

        Args:
            databases: Full names of READY databases.
            strict: Refuse databases and instances that nobody declared; otherwise any database may be backed up.
            default_plan: For operations on resources that have no plan of their own.
            exists_before_pending: Which refusal wins when a backup's name is taken and its database is busy:
                ALREADY_EXISTS, or else FAILED_PRECONDITION. Google documents neither.
            late_cancel_refused: Whether a cancel of an operation that has ended is refused with FAILED_PRECONDITION,
                and not accepted without effect. Google documents neither.
            expiry_delay: How long a backup can still be seen after its expire_time. That there is such a lag is
                documented at https://docs.cloud.google.com/spanner/docs/backup; its length isn't.
            id_seed: Another one gives other operation ids.
        """
        self._world = World(expiry_delay=expiry_delay, id_seed=id_seed)
        self._plans = Plans(default_plan or Plan())
        self._databases = Databases(self._world, strict=strict)
        methods = Methods(
            self._world,
            self._plans,
            self._databases,
            exists_before_pending=exists_before_pending,
            late_cancel_refused=late_cancel_refused,
        )
        homes = self._databases, methods, Schedules(self._world, self._plans, self._databases)
        self._answers = {
            rpc.request: getattr(home, rpc.method) for rpc in RPCS for home in homes if hasattr(home, rpc.method)
        }
        for name in databases:
            self.add_database(name)

    def apply(self, now: datetime, request: Message) -> Message:
        """Answers one call.

        Args:
            now: Aware. A time before the last one counts as the last one.
            request: Google's message, as `messages.GetBackupRequest(name=…)`.

        Returns:
            Google's message, a value that later calls don't change.

        Raises:
            ApiError: The service refuses the call.
        """
        world = self._world
        world.advance(now)
        rpc = BY_REQUEST[type(request)]
        try:
            answer = self._answers[type(request)](request)
        except ApiError as error:
            world.record(What.CALLED, rpc.resource_of(request), rpc.name, error.code)
            raise
        world.record(What.CALLED, rpc.resource_of(request), rpc.name)
        return answer

    def advance(self, now: datetime) -> None:
        """Carries out everything that was due at `now` or before."""
        self._world.advance(now)

    def next_event_at(self) -> datetime | None:
        """When something next changes by itself: an operation ends, something vanishes; None for never."""
        return self._world.next_event_at()

    @property
    def history(self) -> Sequence[Event]:
        """What happened, oldest first; the newest hundred thousand lines. It grows while it is held."""
        return self._world.history

    @property
    def backups(self) -> Mapping[str, Resource]:
        """The backups as of the last call or advance, by name, without a line in the history. It changes while held."""
        return self._world.backups

    # For test authors

    def add_database(self, name: str, **fields: object) -> Resource:
        """Makes a database known, or changes a known one; `fields` are those of Google's message that matter."""
        return self._databases.add(name, **fields)

    def find_database(self, name: str) -> Resource | None:
        """A known database; None for one that nobody made known."""
        return self._world.databases.get(name)

    def find_operation(self, name: str) -> Message | None:
        """An operation as of the last call or advance, without a line in the history; None if there is none."""
        work = self._world.works.get(name)
        return None if work is None else work.seen(self._world.now)

    def is_being_backed_up(self, database: str) -> bool:
        """Whether an unfinished backup of this database exists, by demand or by schedule."""
        return self._databases.is_being_backed_up(database)

    def forget_database(self, now: datetime, name: str) -> None:
        """Makes a database unknown that was dropped; what optimized it has ended, and its backup is free (inferred)."""
        self.advance(now)
        self._databases.forget(name)

    def set_plan(self, resource: str, plan: Plan) -> None:
        """Decides how operations on a resource go, until another plan is set.

        Args:
            resource: A database for its backups; a backup for copies and restores of it.
            plan: How they go.
        """
        self._plans.set(resource, plan)

    def queue_plans(self, resource: str, *plans: Plan) -> None:
        """Decides how the next operations on a resource go, one plan each; after them `set_plan`'s counts again."""
        self._plans.queue(resource, *plans)

    def plan_of(self, operation: str) -> Plan | None:
        """How an operation goes, for who counts what was asked for; None if the operation is unknown or forgotten."""
        work = self._world.works.get(operation)
        return None if work is None else work.plan

    def start_scheduled_backup(
        self, now: datetime, database: str, schedule: str, backup_id: str, retention: timedelta = _RETENTION
    ) -> Message:
        """Starts a backup as a backup schedule does, whatever else is pending.

        That scheduled ones don't count is documented at https://docs.cloud.google.com/spanner/quotas.

        Args:
            now: As for `apply`.
            database: The full name of a declared database.
            schedule: The schedule's full name.
            backup_id: The backup's id.
            retention: From now to the expire_time.

        Raises:
            ValueError: The name is taken.
        """
        self.advance(now)
        name = f"{instance_of(database)}/backups/{backup_id}"
        if name in self._world.backups:
            raise ValueError(f"there is already a backup {backup_id}")
        return start_backup(
            self._world,
            name,
            database,
            expire_time=self._world.now + retention,
            plan=self._plans.take(database),
            cause="schedule",
            schedules=(schedule,),
        )

    def begin_restore(self, now: datetime, backup: str, database: str, until: datetime) -> Message:
        """Starts to restore a database from a READY backup, which can't be deleted until then."""
        self.advance(now)
        plan = Plan(duration=max(until - self._world.now, _NO_TIME))
        self._databases.instances.add(instance_of(database))
        return start_restore(self._world, database, self._ready(backup), plan=plan)

    def begin_copy(self, now: datetime, source: str, backup: str, until: datetime) -> Message:
        """Starts to copy a READY backup, which can't be deleted until then."""
        self.advance(now)
        plan = Plan(duration=max(until - self._world.now, _NO_TIME))
        held = self._ready(source)
        expire_time = time_of(held.message.expire_time)
        return start_copy(self._world, backup, held, expire_time=expire_time, plan=plan, cause="test")

    def finish(self, now: datetime, operation: str) -> None:
        """Has an operation's work end now, as if its time were over."""
        self.advance(now)
        self._world.finish(self._world.works[operation])

    def _ready(self, name: str) -> Resource:
        backup = self._world.backups[name]
        if backup.message.state == pb.Backup.CREATING:
            raise ValueError(f"{name} is CREATING, and only a READY backup can be restored or copied")
        return backup
