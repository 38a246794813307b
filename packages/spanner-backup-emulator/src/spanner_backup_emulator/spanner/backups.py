"""The RPCs about backups and operations: each checks its arguments, then reads the world or changes it.

The order of the checks is inferred: form, instance, database, times, then the name and the slot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied, time_of
from spanner_backup_emulator.spanner import fields, refusals, rules
from spanner_backup_emulator.spanner.databases import Databases
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.pages import page_of, under
from spanner_backup_emulator.spanner.starts import start_backup, start_copy, start_restore

if TYPE_CHECKING:
    from spanner_backup_emulator.messages import Message


class Backups(Databases):
    """One method per RPC, with its name."""

    def create_backup(self, request: Message) -> Message:
        """Starts a backup."""
        asked, name = request.backup, self._checked_name(request)
        rules.check_source_database(request.parent, asked.database)
        self._check_instance(request.parent)
        database = self._found_database(asked.database)
        expire_time = rules.checked_expire_time(name, self.now, self.now, asked)
        version_time = rules.checked_version_time(name, self.now, database, asked)
        if database.state == pb.Database.CREATING:
            raise refusals.DATABASE_NOT_READY(database.name)
        self._check_free(name, database.name)
        self._found_database(database.name, remember=True)
        backup = pb.Backup(name=name, database=database.name, expire_time=expire_time, version_time=version_time)
        return start_backup(self, backup, self.take_plan(database.name), "CreateBackup", request.encryption_config)

    def copy_backup(self, request: Message) -> Message:
        """Starts a copy."""
        name = self._checked_name(request)
        self._check_instance(request.parent)
        source = refusals.found("Backup", self.backups, request.source_backup)
        if source.message.state == pb.Backup.CREATING:
            raise refusals.SOURCE_PENDING(request.source_backup)
        expire_time = rules.checked_expire_time(name, self.now, time_of(source.message.create_time), request)
        self._check_free(name, "")
        plan = self.take_plan(request.source_backup)
        return start_copy(self, name, source, expire_time, plan, "CopyBackup", request.encryption_config)

    def restore_database(self, request: Message) -> Message:
        """Starts a restore."""
        rules.check_form("instance name", request.parent)
        rules.check_form("database id", request.database_id)
        self._check_instance(request.parent)
        source = refusals.found("Backup", self.backups, request.backup)
        if source.message.state == pb.Backup.CREATING:
            raise refusals.BACKUP_PENDING("restore", request.backup)
        name = f"{request.parent}/databases/{request.database_id}"
        if name in self.databases:
            raise refusals.exists("Database", name)
        self.instances.add(request.parent)
        return start_restore(self, name, source, self.take_plan(request.backup), request.encryption_config)

    def get_backup(self, request: Message) -> Message:
        """Reads a backup."""
        return copied(refusals.found("Backup", self.backups, request.name).message)

    def update_backup(self, request: Message) -> Message:
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
        origin = time_of(backup.message.create_time)
        expire_time = rules.checked_expire_time(name, self.now, origin, request.backup)
        backup.message.expire_time.CopyFrom(expire_time)
        self.set_expiry(backup)
        self.note(What.EXPIRY_CHANGED, backup, "UpdateBackup")
        return copied(backup.message)

    def delete_backup(self, request: Message) -> Message:
        """Deletes a backup and cancels its operation; none of that name is as good as deleted.

        The former is documented at https://docs.cloud.google.com/spanner/docs/backup/manage-backups, the latter
        observed in
        https://github.com/googleapis/java-spanner/blob/main/google-cloud-spanner/src/test/java/com/google/cloud/spanner/it/ITBackupTest.java.
        """
        backup = self.backups.get(request.name)
        if backup is not None:
            rules.check_unused(backup.message)
            self.delete(backup, What.BACKUP_DELETED, "DeleteBackup")
        return pb.Empty()

    def list_backups(self, request: Message) -> Message:
        """Lists backups, newest first."""
        self._check_listed(request.parent)
        matches = fields.backup_filter(request.filter)
        prefix = f"{request.parent}/backups/"
        page, token = page_of(filter(matches, under(self.backups, prefix)), request, prefix + request.filter)
        return pb.ListBackupsResponse(backups=(one.message for one in page), next_page_token=token)

    def get_operation(self, request: Message) -> Message:
        """Reads an operation."""
        return self._done.get(request.name) or refusals.found("Operation", self.works, request.name).seen(self.now)

    def cancel_operation(self, request: Message) -> Message:
        """Asks for an operation to be cancelled; one that has ended stays as it is."""
        work = refusals.found("Operation", self.works, request.name)
        if work.kind in {"RestoreDatabase", "OptimizeRestoredDatabase"}:
            raise refusals.CANCEL_UNSUPPORTED()  # noqa: RSE102 a call makes the exception
        if self._late_cancel_refused and work.operation.done:
            raise refusals.CANCEL_TOO_LATE(work.name)
        self.stop(work, "CancelOperation")
        return pb.Empty()

    def list_backup_operations(self, request: Message) -> Message:
        """Lists the operations that make backups."""
        self._check_listed(request.parent)
        return self._operations(request, f"{request.parent}/backups/", pb.ListBackupOperationsResponse)

    def list_database_operations(self, request: Message) -> Message:
        """Lists the operations that restore databases."""
        self._check_listed(request.parent)
        return self._operations(request, f"{request.parent}/databases/", pb.ListDatabaseOperationsResponse)

    def list_operations(self, request: Message) -> Message:
        """Lists the operations of one backup or database, as `gcloud spanner operations list --backup` does."""
        prefix = f"{request.name.removesuffix('/operations')}/operations/"
        return self._operations(request, prefix, pb.ListOperationsResponse)

    def _operations(self, request: Message, prefix: str, response: Message) -> Message:
        matches, now = fields.operation_filter(request.filter), self.now
        works = under(self.works, prefix)
        for work in works:
            work.advance(now)
        page, token = page_of(filter(matches, works), request, prefix + request.filter)
        return response(operations=(work.seen(now) for work in page), next_page_token=token)

    def _checked_name(self, request: Message) -> str:
        """The name that a new backup will have."""
        rules.check_form("instance name", request.parent)
        rules.check_form("backup id", request.backup_id)
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
