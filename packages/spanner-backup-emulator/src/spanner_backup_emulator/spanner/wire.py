"""Between Google's messages and the emulator's own records; decides nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from google.cloud.spanner_admin_database_v1 import types as pb
from google.longrunning import operations_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2

from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.spanner.records import Backup, BackupState, DatabaseState, Operation, OperationKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from spanner_backup_emulator.spanner.records import Database, Page, RestoreInfo
    from spanner_backup_emulator.spanner.schedules import Schedule

_EncryptionConfig: TypeAlias = (
    pb.CreateBackupEncryptionConfig | pb.CopyBackupEncryptionConfig | pb.RestoreDatabaseEncryptionConfig
)

_Message: TypeAlias = (
    pb.Backup
    | pb.Database
    | pb.CreateBackupMetadata
    | pb.CopyBackupMetadata
    | pb.RestoreDatabaseMetadata
    | pb.OptimizeRestoredDatabaseMetadata
)

_BACKUP_STATES = {BackupState.CREATING: pb.Backup.State.CREATING, BackupState.READY: pb.Backup.State.READY}
_DATABASE_STATES = {
    DatabaseState.CREATING: pb.Database.State.CREATING,
    DatabaseState.READY: pb.Database.State.READY,
    DatabaseState.READY_OPTIMIZING: pb.Database.State.READY_OPTIMIZING,
}

_VERSION_OF_KEY = "/cryptoKeyVersions/1"
"""A backup names the versions of the keys that it was made with; the emulator knows of one version only."""


def create_backup(request: pb.CreateBackupRequest) -> rpc.CreateBackup:
    """Reads CreateBackup."""
    return rpc.CreateBackup(
        parent=request.parent,
        backup_id=request.backup_id,
        database=request.backup.database,
        expire_time=plain_time(request.backup.expire_time),
        version_time=plain_time(request.backup.version_time),
        kms_key_names=_keys(request.encryption_config),
    )


def copy_backup(request: pb.CopyBackupRequest) -> rpc.CopyBackup:
    """Reads CopyBackup."""
    return rpc.CopyBackup(
        parent=request.parent,
        backup_id=request.backup_id,
        source_backup=request.source_backup,
        expire_time=plain_time(request.expire_time),
        kms_key_names=_keys(request.encryption_config),
    )


def restore_database(request: pb.RestoreDatabaseRequest) -> rpc.RestoreDatabase:
    """Reads RestoreDatabase."""
    return rpc.RestoreDatabase(request.parent, request.database_id, request.backup, _keys(request.encryption_config))


def update_backup(request: pb.UpdateBackupRequest) -> rpc.UpdateBackup:
    """Reads UpdateBackup."""
    backup = request.backup
    return rpc.UpdateBackup(backup.name, plain_time(backup.expire_time), tuple(request.update_mask.paths))


def create_backup_schedule(request: pb.CreateBackupScheduleRequest) -> rpc.CreateBackupSchedule:
    """Reads CreateBackupSchedule."""
    message = pb.BackupSchedule.pb(request.backup_schedule)
    return rpc.CreateBackupSchedule(request.parent, request.backup_schedule_id, message)


def update_backup_schedule(request: pb.UpdateBackupScheduleRequest) -> rpc.UpdateBackupSchedule:
    """Reads UpdateBackupSchedule."""
    return rpc.UpdateBackupSchedule(pb.BackupSchedule.pb(request.backup_schedule), tuple(request.update_mask.paths))


def backup_schedules(page: Page[Schedule]) -> pb.ListBackupSchedulesResponse:
    """Writes a page of schedules."""
    made = pb.ListBackupSchedulesResponse(next_page_token=page.next_page_token)
    for one in page.items:
        pb.ListBackupSchedulesResponse.pb(made).backup_schedules.add().CopyFrom(one.message)
    return made


def backup(record: Backup) -> pb.Backup:
    """Writes a backup."""
    return pb.Backup(
        name=record.name,
        database=record.database,
        state=_BACKUP_STATES[record.state],
        create_time=record.create_time,
        version_time=record.version_time,
        oldest_version_time=record.version_time,
        expire_time=record.expire_time,
        max_expire_time=record.max_expire_time,
        size_bytes=record.size_bytes,
        freeable_size_bytes=record.size_bytes,
        exclusive_size_bytes=record.size_bytes,
        referencing_databases=record.referencing_databases,
        referencing_backups=record.referencing_backups,
        backup_schedules=record.backup_schedules,
        database_dialect=pb.DatabaseDialect.__members__[record.dialect],
        encryption_info=_encryption(record.kms_key_names[:1]),
        encryption_information=[_encryption((key,)) for key in record.kms_key_names] or [_encryption(())],
    )


def database(record: Database) -> pb.Database:
    """Writes a database."""
    made = pb.Database(
        name=record.name,
        state=_DATABASE_STATES[record.state],
        create_time=record.create_time,
        version_retention_period=f"{int(record.version_retention.total_seconds())}s",
        database_dialect=pb.DatabaseDialect.__members__[record.dialect],
    )
    info = record.restore_info
    if info is not None:
        made.restore_info = pb.RestoreInfo(source_type=pb.RestoreSourceType.BACKUP, backup_info=_backup_info(info))
    if record.kms_key_names:
        made.encryption_config = pb.EncryptionConfig(
            kms_key_name=record.kms_key_names[0], kms_key_names=record.kms_key_names
        )
    return made


def operation(record: Operation) -> operations_pb2.Operation:
    """Writes an operation with its metadata, and its error or response."""
    made = operations_pb2.Operation(name=record.name, done=record.done)
    made.metadata.CopyFrom(packed(_METADATA[record.kind](record)))
    if record.error is not None:
        made.error.CopyFrom(status_pb2.Status(code=int(record.error.code), message=record.error.message))
    elif isinstance(record.response, Backup):
        made.response.CopyFrom(packed(backup(record.response)))
    elif record.response is not None:
        made.response.CopyFrom(packed(database(record.response)))
    return made


def backups(page: Page[Backup]) -> pb.ListBackupsResponse:
    """Writes a page of backups."""
    items = [backup(record) for record in page.items]
    return pb.ListBackupsResponse(backups=items, next_page_token=page.next_page_token)


def databases(page: Page[Database]) -> pb.ListDatabasesResponse:
    """Writes a page of databases."""
    items = [database(record) for record in page.items]
    return pb.ListDatabasesResponse(databases=items, next_page_token=page.next_page_token)


def _progress(record: Operation) -> pb.OperationProgress | None:
    progress = record.progress
    if progress is None:
        return None
    return pb.OperationProgress(
        progress_percent=progress.percent, start_time=progress.start_time, end_time=progress.end_time
    )


def _create_metadata(record: Operation) -> pb.CreateBackupMetadata:
    return pb.CreateBackupMetadata(
        name=record.target, database=record.database, progress=_progress(record), cancel_time=record.cancel_time
    )


def _copy_metadata(record: Operation) -> pb.CopyBackupMetadata:
    return pb.CopyBackupMetadata(
        name=record.target,
        source_backup=record.source_backup,
        progress=_progress(record),
        cancel_time=record.cancel_time,
    )


def _restore_metadata(record: Operation) -> pb.RestoreDatabaseMetadata:
    return pb.RestoreDatabaseMetadata(
        name=record.target,
        source_type=pb.RestoreSourceType.BACKUP,
        backup_info=_backup_info(record.restore_info),
        progress=_progress(record),
        optimize_database_operation_name=record.optimization,
    )


def _optimize_metadata(record: Operation) -> pb.OptimizeRestoredDatabaseMetadata:
    return pb.OptimizeRestoredDatabaseMetadata(name=record.target, progress=_progress(record))


def _backup_info(info: RestoreInfo | None) -> pb.BackupInfo | None:
    if info is None:
        return None
    return pb.BackupInfo(
        backup=info.backup,
        create_time=info.create_time,
        version_time=info.version_time,
        source_database=info.source_database,
    )


_METADATA: dict[OperationKind, Callable[[Operation], _Message]] = {
    OperationKind.CREATE_BACKUP: _create_metadata,
    OperationKind.COPY_BACKUP: _copy_metadata,
    OperationKind.RESTORE_DATABASE: _restore_metadata,
    OperationKind.OPTIMIZE_RESTORED_DATABASE: _optimize_metadata,
}


def packed(message: Any) -> any_pb2.Any:  # noqa: ANN401 a message of either of Google's two kinds
    """A message in the envelope that says of which type it is."""
    made = any_pb2.Any()
    made.Pack(type(message).pb(message) if hasattr(type(message), "pb") else message)
    return made


def plain_time(value: object) -> datetime | None:
    """A plain time, whole microseconds as the service keeps them; None for a field that isn't set.

    The client library types the field as a Timestamp and makes a datetime of it.
    """
    return datetime.combine(value.date(), value.time(), UTC) if isinstance(value, datetime) else None


def _keys(config: _EncryptionConfig) -> tuple[str, ...]:
    names: Iterable[str] = config.kms_key_names or ([config.kms_key_name] if config.kms_key_name else ())
    return tuple(names)


def _encryption(kms_key_names: tuple[str, ...]) -> pb.EncryptionInfo:
    kind = pb.EncryptionInfo.Type
    if not kms_key_names:
        return pb.EncryptionInfo(encryption_type=kind.GOOGLE_DEFAULT_ENCRYPTION)
    return pb.EncryptionInfo(
        encryption_type=kind.CUSTOMER_MANAGED_ENCRYPTION, kms_key_version=kms_key_names[0] + _VERSION_OF_KEY
    )
