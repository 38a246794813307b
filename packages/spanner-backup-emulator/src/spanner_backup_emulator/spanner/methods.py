"""The RPCs: each checks its arguments, then reads the world or changes it.

The order of the checks is inferred: form, instance, database, times, then the name and the slot.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanner_backup_emulator.spanner import fields, refusals, rules
from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.names import instance_of, is_database
from spanner_backup_emulator.spanner.pages import page_of
from spanner_backup_emulator.spanner.records import (
    Backup,
    BackupState,
    Database,
    DatabaseState,
    Operation,
    OperationKind,
    Page,
)
from spanner_backup_emulator.spanner.schedules import Schedules
from spanner_backup_emulator.spanner.starts import VERSION_RETENTION, start_backup, start_copy, start_restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from spanner_backup_emulator.spanner.plans import Plans
    from spanner_backup_emulator.spanner.work import Work
    from spanner_backup_emulator.spanner.world import World


class Methods:
    """One method per RPC, in `ANSWERS` by the class of its request.

    Attributes:
        world: What exists.
        plans: How operations go.
        schedules: What is backed up by itself.
        instances: Those that are known.
        strict: Whether unknown instances and databases are refused.
        exists_before_pending: Which refusal wins when both the name and the slot are taken.
        late_cancel_refused: Whether a cancel of what has ended is refused.
    """

    __slots__ = ("exists_before_pending", "instances", "late_cancel_refused", "plans", "schedules", "strict", "world")

    def __init__(
        self, world: World, plans: Plans, *, strict: bool, exists_before_pending: bool, late_cancel_refused: bool
    ) -> None:
        self.world = world
        self.plans = plans
        self.schedules = Schedules(world, plans)
        self.instances: set[str] = set()
        self.strict = strict
        self.exists_before_pending = exists_before_pending
        self.late_cancel_refused = late_cancel_refused

    def create_backup(self, request: rpc.CreateBackup) -> Operation:
        """Starts a backup."""
        rules.check_parent(request.parent)
        rules.check_backup_id(request.backup_id)
        rules.check_source_database(request.parent, request.database)
        self._check_instance(request.parent)
        database = self._database(request.database)
        name, now = request.resource, self.world.now
        expire_time = rules.checked_expire_time(name, now, now, request.expire_time)
        rules.check_version_time(name, now, database, request.version_time)
        if database.state is DatabaseState.CREATING:
            raise refusals.database_not_ready(database.name)
        self._check_free(name, request.database)
        self._remember(database)
        return start_backup(
            self.world,
            name,
            request.database,
            expire_time=expire_time,
            plan=self.plans.take(request.database),
            cause="CreateBackup",
            version_time=request.version_time,
            kms_key_names=request.kms_key_names,
        )

    def copy_backup(self, request: rpc.CopyBackup) -> Operation:
        """Starts a copy."""
        rules.check_parent(request.parent)
        rules.check_backup_id(request.backup_id)
        self._check_instance(request.parent)
        source = self._backup(request.source_backup)
        if source.state is BackupState.CREATING:
            raise refusals.source_pending(source.name)
        now, origin = self.world.now, source.create_time
        expire_time = rules.checked_expire_time(request.resource, now, origin, request.expire_time)
        self._check_free(request.resource, "")
        return start_copy(
            self.world,
            request.resource,
            source,
            expire_time=expire_time,
            plan=self.plans.take(source.name),
            cause="CopyBackup",
            kms_key_names=request.kms_key_names,
        )

    def restore_database(self, request: rpc.RestoreDatabase) -> Operation:
        """Starts a restore."""
        rules.check_parent(request.parent)
        rules.check_database_id(request.database_id)
        self._check_instance(request.parent)
        source = self._backup(request.backup)
        if source.state is BackupState.CREATING:
            raise refusals.backup_pending(source.name, "restore")
        if request.resource in self.world.databases:
            raise refusals.database_exists(request.resource)
        self.instances.add(request.parent)
        plan = self.plans.take(source.name)
        return start_restore(self.world, request.resource, source, plan=plan, kms_key_names=request.kms_key_names)

    def get_backup(self, request: rpc.GetBackup) -> Backup:
        """Reads a backup."""
        return self._backup(request.name)

    def update_backup(self, request: rpc.UpdateBackup) -> Backup:
        """Changes when a backup expires.

        That nothing else can be changed is documented at
        https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups/patch.
        """
        if not request.mask or any(path != "expire_time" for path in request.mask):
            raise refusals.invalid(f"Only expire_time can be updated, not: {', '.join(request.mask) or 'nothing'}.")
        backup = self._backup(request.name)
        if backup.state is BackupState.CREATING:
            raise refusals.backup_pending(backup.name, "update")
        now, origin = self.world.now, backup.create_time
        expire_time = rules.checked_expire_time(backup.name, now, origin, request.expire_time)
        changed = self.world.set_expiry(backup, expire_time)
        self.world.note(What.EXPIRY_CHANGED, changed, "UpdateBackup")
        return changed

    def delete_backup(self, request: rpc.DeleteBackup) -> None:
        """Deletes a backup and cancels its operation; none of that name is as good as deleted.

        The former is documented at https://docs.cloud.google.com/spanner/docs/backup/manage-backups, the latter
        observed in
        https://github.com/googleapis/java-spanner/blob/main/google-cloud-spanner/src/test/java/com/google/cloud/spanner/it/ITBackupTest.java.
        """
        backup = self.world.backups.get(request.name)
        if backup is not None:
            rules.check_unused(backup)
            self.world.delete(backup, What.BACKUP_DELETED, "DeleteBackup")

    def get_database(self, request: rpc.GetDatabase) -> Database:
        """Reads a database."""
        if not is_database(request.name):
            raise refusals.invalid(f"Invalid database name: {request.name}")
        return self._database(request.name)

    def get_operation(self, request: rpc.GetOperation) -> Operation:
        """Reads an operation."""
        return self._work(request.name).seen(self.world.now)

    def cancel_operation(self, request: rpc.CancelOperation) -> None:
        """Asks for an operation to be cancelled; one that has ended stays as it is."""
        work = self._work(request.name)
        if work.kind in {OperationKind.RESTORE_DATABASE, OperationKind.OPTIMIZE_RESTORED_DATABASE}:
            raise refusals.cancel_unsupported()
        if self.late_cancel_refused and work.end_time is not None:
            raise refusals.cancel_too_late(work.name)
        self.world.stop(work, "CancelOperation")

    def list_backups(self, request: rpc.ListBackups) -> Page[Backup]:
        """Lists backups, newest first."""
        self._check_listed(request.parent)
        matches = fields.backup_filter(request.filter)
        prefix = f"{request.parent}/backups/"
        backups = (one for name, one in self.world.backups.items() if name.startswith(prefix) and matches(one))
        ordered = sorted(backups, key=lambda backup: -backup.uid)
        return page_of(ordered, request.page_size, request.page_token, prefix + request.filter)

    def list_databases(self, request: rpc.ListDatabases) -> Page[Database]:
        """Lists databases, newest first."""
        self._check_listed(request.parent)
        prefix = f"{request.parent}/databases/"
        databases = (one for name, one in self.world.databases.items() if name.startswith(prefix))
        ordered = sorted(databases, key=lambda database: -database.uid)
        return page_of(ordered, request.page_size, request.page_token, prefix)

    def list_backup_operations(self, request: rpc.ListBackupOperations) -> Page[Operation]:
        """Lists the operations that make backups."""
        self._check_listed(request.parent)
        return self._operations(request, f"{request.parent}/backups/")

    def list_database_operations(self, request: rpc.ListDatabaseOperations) -> Page[Operation]:
        """Lists the operations that restore databases."""
        self._check_listed(request.parent)
        return self._operations(request, f"{request.parent}/databases/")

    def list_operations(self, request: rpc.ListOperations) -> Page[Operation]:
        """Lists the operations of one backup or database, as `gcloud spanner operations list --backup` does."""
        return self._operations(request, f"{request.parent.removesuffix('/operations')}/operations/")

    def create_backup_schedule(self, request: rpc.CreateBackupSchedule) -> Any:  # noqa: ANN401 - Google's message
        """Adds a schedule to a database."""
        self._remember(self.get_database(rpc.GetDatabase(request.parent)))
        return self.schedules.create(request.parent, request.schedule_id, request.schedule)

    def get_backup_schedule(self, request: rpc.GetBackupSchedule) -> Any:  # noqa: ANN401 - the same
        """Reads a schedule."""
        return self.schedules.get(request.name)

    def update_backup_schedule(self, request: rpc.UpdateBackupSchedule) -> Any:  # noqa: ANN401 - the same
        """Changes a schedule."""
        return self.schedules.update(request.schedule, request.mask)

    def delete_backup_schedule(self, request: rpc.DeleteBackupSchedule) -> None:
        """Takes a schedule away."""
        self.schedules.delete(request.name)

    def list_backup_schedules(self, request: rpc.ListBackupSchedules) -> Page[Any]:
        """Lists a database's schedules."""
        self.get_database(rpc.GetDatabase(request.parent))
        return page_of(self.schedules.of(request.parent), request.page_size, request.page_token, request.parent)

    def _operations(
        self, request: rpc.ListBackupOperations | rpc.ListDatabaseOperations | rpc.ListOperations, prefix: str
    ) -> Page[Operation]:
        matches = fields.operation_filter(request.filter)
        now = self.world.now
        newest_first = reversed(self.world.works.values())
        seen = (work.seen(now) for work in newest_first if work.name.startswith(prefix))
        found = (operation for operation in seen if matches(operation))
        return page_of(found, request.page_size, request.page_token, prefix + request.filter)

    def _check_instance(self, name: str) -> None:
        if self.strict and name not in self.instances:
            raise refusals.instance_missing(name)

    def _check_listed(self, parent: str) -> None:
        rules.check_parent(parent)
        self._check_instance(parent)

    def _check_free(self, name: str, database: str) -> None:
        """Refuses a name or a slot that is taken; what a cancelled backup left behind takes neither.

        That a name can be used again at once is observed in
        https://github.com/googleapis/google-cloud-cpp/blob/main/google/cloud/spanner/admin/integration_tests/backup_integration_test.cc.
        """
        backup = self.world.backups.get(name)
        taken = backup is not None and not self.world.is_leftover(backup)
        busy = database in self.world.pending
        if taken and (self.exists_before_pending or not busy):
            raise refusals.backup_exists(name)
        if busy:
            raise refusals.too_many_pending(name, database)

    def _backup(self, name: str) -> Backup:
        backup = self.world.backups.get(name)
        if backup is None:
            raise refusals.backup_missing(name)
        return backup

    def _work(self, name: str) -> Work:
        work = self.world.works.get(name)
        if work is None:
            raise refusals.operation_missing(name)
        return work

    def _database(self, name: str) -> Database:
        """The database; unless strict, one that nobody declared counts as there and READY."""
        database = self.world.databases.get(name)
        if database is not None:
            return database
        if self.strict:
            raise refusals.database_missing(name)
        return Database(0, name, DatabaseState.READY, None, VERSION_RETENTION)

    def _remember(self, database: Database) -> None:
        """From its first backup on, a database that nobody declared is listed."""
        if database.uid == 0:
            self.world.databases[database.name] = replace(database, uid=self.world.next_uid())
            self.instances.add(instance_of(database.name))


# The class of a request decides the type of its answer, which a table can't say; `State.apply` says it again.
ANSWERS: dict[type, Callable[[Methods, Any], object]] = {
    rpc.CreateBackup: Methods.create_backup,
    rpc.CopyBackup: Methods.copy_backup,
    rpc.RestoreDatabase: Methods.restore_database,
    rpc.GetBackup: Methods.get_backup,
    rpc.UpdateBackup: Methods.update_backup,
    rpc.DeleteBackup: Methods.delete_backup,
    rpc.GetDatabase: Methods.get_database,
    rpc.GetOperation: Methods.get_operation,
    rpc.CancelOperation: Methods.cancel_operation,
    rpc.ListBackups: Methods.list_backups,
    rpc.ListDatabases: Methods.list_databases,
    rpc.ListBackupOperations: Methods.list_backup_operations,
    rpc.ListDatabaseOperations: Methods.list_database_operations,
    rpc.ListOperations: Methods.list_operations,
    rpc.CreateBackupSchedule: Methods.create_backup_schedule,
    rpc.GetBackupSchedule: Methods.get_backup_schedule,
    rpc.UpdateBackupSchedule: Methods.update_backup_schedule,
    rpc.DeleteBackupSchedule: Methods.delete_backup_schedule,
    rpc.ListBackupSchedules: Methods.list_backup_schedules,
}
