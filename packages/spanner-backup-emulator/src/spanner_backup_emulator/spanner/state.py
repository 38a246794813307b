"""The emulated service as a pure state: `apply` a call, `advance` to a time, ask when something is next due.

It has no clock, no randomness and no I/O, so the same calls at the same times give the same answers, names
included. It does not lock. Calls and answers are Google's messages, refusals are `ApiError`s from `refusals.py`, and
what happens by itself is explained in `world.py`. The methods for test authors come first: they speak test language,
and a name that doesn't exist is a KeyError. Then comes one method per RPC, with its name, which checks its arguments
and reads or changes the world.

The order of the checks is inferred: form, instance, database, times, then the name and the slot. Schedules are
documented at https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.databases.backupSchedules;
that a run begins at once, and not some time within its window, and how its backup is named, is inferred.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.messages import Message, copied, stamp, time_of
from spanner_backup_emulator.spanner import refusals
from spanner_backup_emulator.spanner.databases import Databases, under
from spanner_backup_emulator.spanner.filters import backup_filter, operation_filter
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import BY_REQUEST, pb
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.work import Resource, drop
from spanner_backup_emulator.spanner.world import instance_of

_VERSION_OF_KEY = "/cryptoKeyVersions/1"
"""A backup names the versions of the keys that it was made with; the emulator knows of one version only."""

_OWN_SIZES = ("size_bytes", "freeable_size_bytes", "exclusive_size_bytes")
_OWN_LINKS = ("backup_schedules", "referencing_databases", "referencing_backups")
"""What a copy of a backup doesn't have of it."""

SCHEDULES_PER_DATABASE_MAX = 4
"""https://docs.cloud.google.com/spanner/quotas, documented."""

_STAMP = "-%Y%m%d-%H%M%S"
_ID_LENGTH_MAX = 60


class State(Databases):
    """Instances with their databases, backups, schedules and operations; `World` says what its settings are."""

    def apply(self, now: datetime, request: Message) -> Message:
        """Answers one call, `pb.GetBackupRequest(name=…)`, with a value that later calls don't change, or an ApiError.

        The time is aware; one before the last one counts as the last one.
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
        return self.works[operation].plan if operation in self.works else None

    def start_scheduled_backup(self, now: datetime, database: str, schedule: str, backup_id: str) -> Message:
        """Starts a backup of a declared database as a backup schedule does, whatever else is pending, kept for 7 days.

        That scheduled ones don't count is documented at https://docs.cloud.google.com/spanner/quotas. A name that is
        taken is a ValueError.
        """
        self.advance(now)
        if f"{instance_of(database)}/backups/{backup_id}" in self.backups:
            raise ValueError(f"there is already a backup {backup_id}")
        described = pb.BackupSchedule(name=schedule, retention_duration={"seconds": 7 * 86_400})
        return self._start_scheduled(described, database, backup_id)

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

    def _create_backup(self, request: Message) -> Message:
        """Starts a backup.

        That its database must be in the same instance is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups; the code is inferred.
        """
        asked, name = request.backup, self._checked_name(request)
        refusals.check_form("database name", asked.database)
        if instance_of(asked.database) != request.parent:
            raise refusals.invalid(f"Database {asked.database} is not in instance {request.parent}.")
        self._check_instance(request.parent)
        database = self._found_database(asked.database)
        expire_time = refusals.checked_expire_time(name, self.now, self.now, asked)
        version_time = refusals.checked_version_time(name, self.now, database, asked)
        if database.state == pb.Database.CREATING:
            raise refusals.DATABASE_NOT_READY(database.name)
        self._check_free(name, database.name)
        self._found_database(database.name, remember=True)
        backup = pb.Backup(name=name, database=database.name, expire_time=expire_time, version_time=version_time)
        return self._start_backup(backup, "CreateBackup", request.encryption_config)

    def _copy_backup(self, request: Message) -> Message:
        name = self._checked_name(request)
        self._check_instance(request.parent)
        source = refusals.found("Backup", self.backups, request.source_backup)
        if source.message.state == pb.Backup.CREATING:
            raise refusals.SOURCE_PENDING(request.source_backup)
        expire_time = refusals.checked_expire_time(name, self.now, time_of(source.message.create_time), request)
        self._check_free(name, "")
        return self._start_copy(name, source, expire_time, request.encryption_config, "CopyBackup")

    def _restore_database(self, request: Message) -> Message:
        refusals.check_form("instance name", request.parent)
        refusals.check_form("database id", request.database_id)
        self._check_instance(request.parent)
        source = refusals.found("Backup", self.backups, request.backup)
        if source.message.state == pb.Backup.CREATING:
            raise refusals.BACKUP_PENDING("restore", request.backup)
        name = f"{request.parent}/databases/{request.database_id}"
        if name in self.databases:
            raise refusals.exists("Database", name)
        return self._start_restore(name, source, request.encryption_config)

    def _get_backup(self, request: Message) -> Message:
        return copied(refusals.found("Backup", self.backups, request.name).message)

    def _update_backup(self, request: Message) -> Message:
        """Changes when a backup expires.

        That nothing else can be changed is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/patch.
        """
        mask, name = request.update_mask.paths, request.backup.name
        if not mask or any(path != "expire_time" for path in mask):
            raise refusals.invalid(f"Only expire_time can be updated, not: {', '.join(mask) or 'nothing'}.")
        backup = refusals.found("Backup", self.backups, name)
        if backup.message.state == pb.Backup.CREATING:
            raise refusals.BACKUP_PENDING("update", name)
        expire_time = refusals.checked_expire_time(name, self.now, time_of(backup.message.create_time), request.backup)
        backup.message.expire_time.CopyFrom(expire_time)
        self._set_expiry(backup)
        self._note(What.EXPIRY_CHANGED, backup, "UpdateBackup")
        return copied(backup.message)

    def _delete_backup(self, request: Message) -> Message:
        """Deletes a backup and cancels its operation; none of that name is as good as deleted.

        The former is documented at https://docs.cloud.google.com/spanner/docs/backup/manage-backups, the latter
        observed in
        https://github.com/googleapis/java-spanner/blob/main/google-cloud-spanner/src/test/java/com/google/cloud/spanner/it/ITBackupTest.java.
        """
        backup = self.backups.get(request.name)
        if backup is not None:
            if databases := backup.message.referencing_databases:
                raise refusals.BEING_RESTORED(request.name, len(databases))
            if copies := backup.message.referencing_backups:
                raise refusals.BEING_COPIED(request.name, len(copies))
            self._delete(backup, What.BACKUP_DELETED, "DeleteBackup")
        return pb.Empty()

    def _list_backups(self, request: Message) -> Message:
        self._check_instance(request.parent)
        prefix = f"{request.parent}/backups/"
        backups = filter(backup_filter(request.filter), under(self.backups, prefix))
        return self._page(backups, prefix, request, pb.ListBackupsResponse)

    def _get_operation(self, request: Message) -> Message:
        return self._done.get(request.name) or refusals.found("Operation", self.works, request.name).seen(self.now)

    def _cancel_operation(self, request: Message) -> Message:
        """Asks for an operation to be cancelled; one that has ended stays as it is."""
        work = refusals.found("Operation", self.works, request.name)
        if work.kind in {"RestoreDatabase", "OptimizeRestoredDatabase"}:
            raise refusals.CANCEL_UNSUPPORTED()  # noqa: RSE102 a call makes the exception
        if self._late_cancel_refused and work.operation.done:
            raise refusals.CANCEL_TOO_LATE(work.name)
        self._stop(work, "CancelOperation")
        return pb.Empty()

    def _list_backup_operations(self, request: Message) -> Message:
        self._check_instance(request.parent)
        return self._operations(request, f"{request.parent}/backups/", pb.ListBackupOperationsResponse)

    def _list_database_operations(self, request: Message) -> Message:
        self._check_instance(request.parent)
        return self._operations(request, f"{request.parent}/databases/", pb.ListDatabaseOperationsResponse)

    def _list_operations(self, request: Message) -> Message:
        """Lists the operations of one backup or database, as `gcloud spanner operations list --backup` does."""
        prefix = f"{request.name.removesuffix('/operations')}/operations/"
        return self._operations(request, prefix, pb.ListOperationsResponse)

    def _create_backup_schedule(self, request: Message) -> Message:
        database = request.parent
        refusals.check_form("database name", database)
        self._found_database(database, remember=True)
        refusals.check_form("backup schedule id", request.backup_schedule_id)
        made = copied(request.backup_schedule)
        made.name = f"{database}/backupSchedules/{request.backup_schedule_id}"
        if made.name in self.schedules:
            raise refusals.exists("Backup schedule", made.name)
        if len(under(self.schedules, f"{database}/backupSchedules/")) >= SCHEDULES_PER_DATABASE_MAX:
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
        drop(refusals.found("Backup schedule", self.schedules, request.name).due)
        del self.schedules[request.name]
        return pb.Empty()

    def _list_backup_schedules(self, request: Message) -> Message:
        refusals.check_form("database name", request.parent)
        self._found_database(request.parent)
        prefix = f"{request.parent}/backupSchedules/"
        return self._page(under(self.schedules, prefix), prefix, request, pb.ListBackupSchedulesResponse)

    def _put(self, schedule: Resource) -> Message:
        message = schedule.message
        retention = message.retention_duration.ToTimedelta()
        if not refusals.RETENTION_MIN <= retention <= refusals.RETENTION_MAX:
            raise refusals.SCHEDULE_RETENTION(retention)
        if message.WhichOneof("backup_type_spec") is None:
            message.full_backup_spec.SetInParent()
        message.spec.cron_spec.time_zone = "UTC"
        message.update_time.CopyFrom(stamp(self.now))
        self._await(schedule)
        self.schedules[message.name] = schedule
        return copied(message)

    def _await(self, schedule: Resource) -> None:
        when = refusals.next_time(schedule.message.spec.cron_spec.text, self.now)
        drop(schedule.due)
        schedule.due = self._at(when, partial(self._run, schedule))

    def _run(self, schedule: Resource) -> None:
        database, _, schedule_id = schedule.message.name.partition("/backupSchedules/")
        suffix = self.now.strftime(_STAMP)
        self._start_scheduled(schedule.message, database, f"{schedule_id[: _ID_LENGTH_MAX - len(suffix)]}{suffix}")
        self._await(schedule)

    def _start_scheduled(self, schedule: Message, database: str, backup_id: str) -> Message:
        name, lifetime = f"{instance_of(database)}/backups/{backup_id}", schedule.retention_duration.ToTimedelta()
        backup = pb.Backup(name=name, database=database, version_time=stamp(self.now))
        backup.expire_time.CopyFrom(stamp(self.now + lifetime))
        backup.backup_schedules.append(schedule.name)
        return self._start_backup(backup, "schedule", schedule.encryption_config)

    def _operations(self, request: Message, prefix: str, answer: Message) -> Message:
        matches, works = operation_filter(request.filter), under(self.works, prefix)
        for work in works:
            work.advance(self.now)
        return self._page(filter(matches, works), prefix, request, answer)

    def _checked_name(self, request: Message) -> str:
        """The name that a new backup will have."""
        refusals.check_form("instance name", request.parent)
        refusals.check_form("backup id", request.backup_id)
        return f"{request.parent}/backups/{request.backup_id}"

    def _check_free(self, name: str, database: str) -> None:
        """Refuses a name or a slot that is taken; what a cancelled backup left behind takes neither.

        That a name can be used again at once is observed in
        https://github.com/googleapis/google-cloud-cpp/blob/main/google/cloud/spanner/admin/integration_tests/backup_integration_test.cc.
        """
        backup = self.backups.get(name)
        # What is CREATING and made by no operation is what a cancelled or failed one has not cleaned up yet.
        taken = backup is not None and (backup.work is not None or backup.message.state == pb.Backup.READY)
        busy = database in self.pending
        if taken and (self._exists_before_pending or not busy):
            raise refusals.exists("Backup", name)
        if busy:
            raise refusals.TOO_MANY_PENDING(name, database)

    def _start_backup(self, backup: Message, cause: str, encryption: Message) -> Message:
        """Starts a backup that has its name and times; without schedules it takes the database's one slot.

        That create_time is when the call was received is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
        """
        backup.create_time.CopyFrom(stamp(self.now))
        backup.oldest_version_time.CopyFrom(backup.version_time)
        backup.max_expire_time.CopyFrom(stamp(self.now + refusals.RETENTION_MAX))
        backup.database_dialect = self.databases[backup.database].message.database_dialect
        _encrypt(backup, _keys(encryption))
        metadata = pb.CreateBackupMetadata(name=backup.name, database=backup.database)
        return self._make(metadata, backup, cause)

    def _start_copy(self, name: str, source: Resource, expires: Message, encryption: Message, cause: str) -> Message:
        """Starts to copy a backup, which can't be deleted meanwhile."""
        held = source.message
        backup = copied(held)
        for field in _OWN_SIZES + _OWN_LINKS:
            backup.ClearField(field)
        backup.name = name
        backup.create_time.CopyFrom(stamp(self.now))
        backup.expire_time.CopyFrom(expires)
        if keys := _keys(encryption):
            _encrypt(backup, keys)
        held.referencing_backups.append(name)
        self._note(What.REFERENCE_ADDED, source, name)
        metadata = pb.CopyBackupMetadata(name=name, source_backup=held.name)
        return self._make(metadata, backup, cause, source)

    def _start_restore(self, name: str, source: Resource, encryption: Message) -> Message:
        """Starts to restore a database from a backup, which can't be deleted meanwhile."""
        held = source.message
        info = pb.BackupInfo(backup=held.name, source_database=held.database, create_time=held.create_time)
        info.version_time.CopyFrom(held.version_time)
        origin = {"source_type": "BACKUP", "backup_info": info}
        fields = {"state": "CREATING", "create_time": stamp(self.now), "database_dialect": held.database_dialect}
        made = self.add_database(name, **fields, restore_info=origin)
        old_keys = (one.kms_key_version.removesuffix(_VERSION_OF_KEY) for one in held.encryption_information)
        if keys := _keys(encryption) or [key for key in old_keys if key]:
            made.message.encryption_config.kms_key_name = keys[0]
            made.message.encryption_config.kms_key_names.extend(keys)
        held.referencing_databases.append(name)
        self._note(What.REFERENCE_ADDED, source, name)
        metadata = pb.RestoreDatabaseMetadata(name=name, **origin)
        return self._begin(metadata, made, source)

    def _ready(self, name: str, duration: timedelta) -> Resource:
        """A backup of which the next copy or restore takes this long."""
        backup = self.backups[name]
        if backup.message.state == pb.Backup.CREATING:
            raise ValueError(f"{name} is CREATING, and only a READY backup can be restored or copied")
        self._queued_plans.setdefault(name, []).insert(0, Plan(duration=duration))
        return backup

    def _make(self, metadata: Message, backup: Message, cause: str, source: Resource | None = None) -> Message:
        """Starts an operation that makes a backup, in the place of what a cancelled one of that name left behind."""
        backup.state = pb.Backup.CREATING
        leftover = self.backups.get(backup.name)
        if leftover is not None:
            self._delete(leftover, What.BACKUP_REMOVED, "replaced")
        made = self.backups[backup.name] = Resource(next(self._uids), backup)
        operation = self._begin(metadata, made, source)
        self._note(What.BACKUP_STARTED, made, cause, operation.name)
        return operation


def _keys(config: Message) -> Sequence[str]:
    """The keys that a request names, in either of the two ways."""
    return config.kms_key_names or ([config.kms_key_name] if config.kms_key_name else ())


def _encrypt(backup: Message, keys: Sequence[str]) -> None:
    del backup.encryption_information[:]
    for key in keys:
        version = key + _VERSION_OF_KEY
        backup.encryption_information.add(encryption_type="CUSTOMER_MANAGED_ENCRYPTION", kms_key_version=version)
    if not keys:
        backup.encryption_information.add(encryption_type="GOOGLE_DEFAULT_ENCRYPTION")
    backup.encryption_info.CopyFrom(backup.encryption_information[0])
