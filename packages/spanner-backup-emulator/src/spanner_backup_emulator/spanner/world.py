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

import itertools
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.messages import Message, stamp, time_of
from spanner_backup_emulator.spanner.history import Event, What
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel, Status
from spanner_backup_emulator.spanner.work import END_OF_TIME, RANK_END, RANK_STOP, Agenda, Resource, Work, drop

OPERATION_KEPT = timedelta(days=7)
"""How long an operation can be read after its end. Documented for the list at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list; that
GetOperation forgets it too is inferred."""

HISTORY_COUNT_MAX = 100_000
"""Lines of the record that are kept, the newest: a test reads all of its own, and a long-lived command stays small."""

VERSION_RETENTION = "3600s"
"""How far back a database keeps its versions: https://docs.cloud.google.com/spanner/docs/pitr, documented."""

STANDARD_DIALECT = "GOOGLE_STANDARD_SQL"

CONFIG_ID = "emulator-config"
"""The one configuration there is, as in Google's emulator (observed on 2026-11-26)."""

_ID_STEP, _ID_RANGE = 0x9E3779B97F4A7C15, 2**63
"""The step is odd, so that counting by it modulo the range meets every number once, and large, so that two ids don't
look alike."""

_CANCELLED = Status(Code.CANCELLED, "The operation was cancelled.")
"""How a cancelled operation ends. The code is documented at
https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.operations/cancel, the text
is inferred: no public source shows it."""


def instance_of(name: str) -> str:
    """The instance that holds the database or backup of this full name."""
    return "/".join(name.split("/", 4)[:4])


def config_of(name: str) -> Message:
    """The configuration, of the project that this name begins with."""
    project = "/".join(name.split("/")[:2])
    return pb.InstanceConfig(name=f"{project}/instanceConfigs/{CONFIG_ID}", display_name="Emulator Instance Config")


def database_of(name: str, **fields: object) -> Message:
    """A database as it is where nobody says otherwise."""
    usual = {"state": "READY", "version_retention_period": VERSION_RETENTION, "database_dialect": STANDARD_DIALECT}
    return pb.Database(**{"name": name, **usual, **fields})


class World(Agenda):
    """Backups, databases, schedules and operations, each by full name, oldest first, and what will happen to them.

    Attributes:
        instances: Those that were made, or of which a database is known.
        backups: Finished or not.
        pending: The databases that have an unfinished on-demand backup.
        history: What happened, oldest first; the newest hundred thousand lines.
    """

    def __init__(
        self,
        *,
        databases: Iterable[str] = (),
        strict: bool = False,
        default_plan: Plan | None = None,
        exists_before_pending: bool = True,
        late_cancel_refused: bool = False,
        expiry_delay: timedelta = timedelta(0),
        id_seed: int = 0,
    ) -> None:
        """Makes a world in which nothing has happened yet.

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
        super().__init__()
        self.instances: dict[str, Message] = {}
        self.backups: dict[str, Resource] = {}
        self.databases: dict[str, Resource] = {}
        self.schedules: dict[str, Resource] = {}
        self.works: dict[str, Work] = {}
        self.pending: set[str] = set()
        self.history: deque[Event] = deque(maxlen=HISTORY_COUNT_MAX)
        self._ddl: dict[str, list[str]] = {}
        self._done: dict[str, Message] = {}
        self._default_plan = default_plan or Plan()
        self._plans: dict[str, Plan] = {}
        self._queued_plans: dict[str, list[Plan]] = {}
        self._strict = strict
        self._exists_before_pending = exists_before_pending
        self._late_cancel_refused = late_cancel_refused
        self._expiry_delay = expiry_delay
        self._id_seed = id_seed
        self._uids = itertools.count(1)
        for name in databases:
            self.add_database(name)

    def add_database(self, name: str, **fields: object) -> Resource:
        """Makes a database known, or changes a known one; `fields` are those of Google's message that matter."""
        instance = instance_of(name)
        usual = pb.Instance(name=instance, config=config_of(instance).name, node_count=1, state="READY")
        self.instances.setdefault(instance, usual)
        self.databases.pop(name, None)
        self.databases[name] = made = Resource(next(self._uids), database_of(name, **fields))
        return made

    def set_plan(self, resource: str, plan: Plan) -> None:
        """Decides how backups of a database go, or copies and restores of a backup, until another plan is set."""
        self._plans[resource] = plan

    def queue_plans(self, resource: str, *plans: Plan) -> None:
        """Decides how the next operations on a resource go, one plan each; after them `set_plan`'s counts again."""
        self._queued_plans.setdefault(resource, []).extend(plans)

    def _record(self, what: What, resource: str, cause: str, code: Code = Code.OK, operation: str = "") -> None:
        """Writes a line that concerns no backup."""
        self.history.append(Event(self.now, what, resource, cause, code, operation))

    def _note(self, what: What, backup: Resource, cause: str, operation: str = "") -> None:
        """Writes a line that concerns a backup."""
        name, created = backup.message.name, time_of(backup.message.create_time)
        self.history.append(Event(self.now, what, name, cause, Code.OK, operation, backup.uid, created))

    def _begin(self, metadata: Message, made: Resource, source: Resource | None, plan: Plan | None = None) -> Message:
        """Starts an operation whose backup or database is already here, by its own plan or the next of its source."""
        subject = source.message.name if source else made.message.database
        queued = self._queued_plans.get(subject)
        plan = plan or (queued.pop(0) if queued else self._plans.get(subject, self._default_plan))
        uid = next(self._uids)
        name = f"{metadata.name}/operations/_auto_op_{(self._id_seed + uid * _ID_STEP) % _ID_RANGE}"
        if plan.progress is not ProgressModel.MISSING:
            metadata.progress.start_time.CopyFrom(stamp(self.now))
        slot = "" if source or made.message.backup_schedules else made.message.database
        begin, operation = self.now + plan.queue_delay, pb.Operation(name=name)
        work = Work(uid, operation, metadata, made, source, slot, plan, begin, due_time=END_OF_TIME)
        self.works[name] = made.work = work
        if slot:
            self.pending.add(slot)
        self._end_by(work, begin + plan.duration)
        return work.seen(self.now)

    def _end_by(self, work: Work, due_time: datetime) -> None:
        """Has the work end at this time unless it would have ended before."""
        if not work.operation.done and due_time < work.due_time:
            drop(work.end)
            work.due_time = due_time
            work.end = self._at(due_time, partial(self._end, work), RANK_END)

    def _end_now(self, work: Work) -> None:
        self._end_by(work, self.now)
        self.advance(self.now)

    def _stop(self, work: Work, cause: str) -> None:
        """Receives a cancel; the first one counts, and one that finds the operation ended changes nothing."""
        if work.operation.done or work.metadata.HasField("cancel_time"):
            return
        work.metadata.cancel_time.CopyFrom(stamp(self.now))
        self._record(What.CANCEL_RECEIVED, work.name, cause, operation=work.name)
        if work.plan.cancel_duration is not None:
            when, cancelled = self.now + work.plan.cancel_duration, partial(self._fail, work, _CANCELLED, "cancel")
            work.stop = self._at(when, cancelled, RANK_STOP)
        if work.plan.outrun_duration is not None:
            self._end_by(work, self.now + work.plan.outrun_duration)

    def _delete(self, backup: Resource, what: What, cause: str) -> None:
        """Takes a backup away, at once; the operation that still makes it is cancelled."""
        del self.backups[backup.message.name]
        drop(backup.due)
        self._note(what, backup, cause)
        if (work := backup.work) is not None:
            work.orphaned = True
            self._release(work)
            self._stop(work, cause)

    def _set_expiry(self, backup: Resource) -> None:
        """Has a finished backup vanish at its expire_time."""
        drop(backup.due)
        due = max(time_of(backup.message.expire_time) + self._expiry_delay, self.now)
        backup.due = self._at(due, partial(self._expire, backup))

    def _release(self, work: Work) -> None:
        """Lets go of the backup that an operation needed, if it did."""
        source, by = work.source, work.metadata.name
        if source is None:
            return
        for references in (source.message.referencing_databases, source.message.referencing_backups):
            if by in references:
                references.remove(by)
        work.source = None
        self._note(What.REFERENCE_REMOVED, source, by)
        if source.due is None:
            self._set_expiry(source)

    def _end(self, work: Work) -> None:
        """The work has ended by itself."""
        made, plan, message = work.made, work.plan, work.made.message
        if work.orphaned:
            self._fail(work, _CANCELLED, "cancel")
        elif plan.error is not None:
            self._fail(work, plan.error, "failure")
        elif work.kind == "RestoreDatabase":
            self._succeed(work, pb.Database.READY_OPTIMIZING if plan.optimize_duration else pb.Database.READY)
            self._optimize(work)
        elif work.kind == "OptimizeRestoredDatabase":
            self._succeed(work, pb.Database.READY)
            self._release(work)
        else:
            message.size_bytes = message.freeable_size_bytes = message.exclusive_size_bytes = plan.size_bytes
            self._succeed(work, pb.Backup.READY)
            self._note(What.BACKUP_READY, made, work.kind, work.name)
            self._set_expiry(made)

    def _optimize(self, restore: Work) -> None:
        """Starts the operation that optimizes a restored database, and shows its name in the restore's metadata.

        That the service starts it by itself, and that nobody can cancel it, is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/OptimizeRestoredDatabaseMetadata; that it answers
        with the database is inferred: Google's client for Python can't list operations that answer with anything else.
        """
        plan = Plan(duration=restore.plan.optimize_duration, progress=restore.plan.progress)
        metadata = pb.OptimizeRestoredDatabaseMetadata(name=restore.metadata.name)
        begun = self._begin(metadata, restore.made, restore.source, plan)
        restore.metadata.optimize_database_operation_name = begun.name

    def _succeed(self, work: Work, state: int) -> None:
        """A backup is made, or a database can be used or is optimized."""
        work.made.message.state = state
        work.operation.response.Pack(work.made.message)
        self._close(work)

    def _fail(self, work: Work, error: Status, cause: str) -> None:
        """Cancelled or failed: nothing of what was being made stays."""
        work.operation.error.code, work.operation.error.message = error.code, error.message
        self._close(work, error.code)
        if work.kind == "RestoreDatabase":
            del self.databases[work.metadata.name]
            self._release(work)
        elif not work.orphaned and work.plan.removal_delay:
            self._at(self.now + work.plan.removal_delay, partial(self._remove, work, cause))
        elif not work.orphaned:
            self._remove(work, cause)

    def _close(self, work: Work, code: Code = Code.OK) -> None:
        """What every end has in common."""
        drop(work.end)
        drop(work.stop)
        work.advance(self.now)
        if work.metadata.HasField("progress"):
            work.metadata.progress.end_time.CopyFrom(stamp(self.now))
        work.operation.done = True
        work.made.work = None
        self.pending.discard(work.slot)
        if work.kind == "CopyBackup":
            self._release(work)
        self._record(What.OPERATION_DONE, work.name, work.kind, code, work.name)
        self._at(self.now + OPERATION_KEPT, partial(self._forget, work))

    def _remove(self, work: Work, cause: str) -> None:
        if self.backups.get(work.metadata.name) is work.made:
            self._delete(work.made, What.BACKUP_REMOVED, cause)

    def _expire(self, backup: Resource) -> None:
        """The lifetime is over; a backup that a restore or a copy still needs goes when they let go of it.

        That a copy's source isn't cleaned up while it is copied is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/copy; for a restore
        it is inferred.
        """
        backup.due = None
        if not backup.message.referencing_databases and not backup.message.referencing_backups:
            self._delete(backup, What.BACKUP_EXPIRED, "expiry")

    def _forget(self, work: Work) -> None:
        del self.works[work.name]
        self._record(What.OPERATION_FORGOTTEN, work.name, "expiry", operation=work.name)
