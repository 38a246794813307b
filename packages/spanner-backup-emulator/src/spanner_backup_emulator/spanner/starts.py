"""How operations start, whoever starts them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.messages import copied, stamp
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.messages import pb
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel
from spanner_backup_emulator.spanner.rules import RETENTION_MAX
from spanner_backup_emulator.spanner.work import Resource, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanner_backup_emulator.messages import Message
    from spanner_backup_emulator.spanner.world import World

VERSION_RETENTION = "3600s"
"""How far back a database keeps its versions: https://docs.cloud.google.com/spanner/docs/pitr, documented."""

_ID_STEP = 0x9E3779B97F4A7C15
"""Odd, so that counting by it modulo 2**63 meets every number once, and large, so that two ids don't look alike."""

_ID_RANGE = 2**63

_VERSION_OF_KEY = "/cryptoKeyVersions/1"
"""A backup names the versions of the keys that it was made with; the emulator knows of one version only."""

_NOT_COPIED = (
    "size_bytes",
    "freeable_size_bytes",
    "exclusive_size_bytes",
    "backup_schedules",
    "referencing_databases",
    "referencing_backups",
)
"""What a copy of a backup doesn't have of it."""


def database_of(name: str, **fields: object) -> Message:
    """A database as it is where nobody says otherwise."""
    usual = {"state": "READY", "version_retention_period": VERSION_RETENTION, "database_dialect": "GOOGLE_STANDARD_SQL"}
    return pb.Database(**{"name": name, **usual, **fields})


def start_backup(world: World, backup: Message, plan: Plan, cause: str, encryption: Message = None) -> Message:
    """Starts a backup that has its name and times; without schedules it takes the database's one slot.

    That create_time is when the call was received is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
    """
    backup.create_time.CopyFrom(stamp(world.now))
    backup.oldest_version_time.CopyFrom(backup.version_time)
    backup.max_expire_time.CopyFrom(stamp(world.now + RETENTION_MAX))
    backup.database_dialect = world.databases[backup.database].message.database_dialect
    _encrypt(backup, _keys(encryption))
    metadata = pb.CreateBackupMetadata(name=backup.name, database=backup.database)
    slot = "" if backup.backup_schedules else backup.database
    return _make(world, metadata, backup, plan, cause, slot=slot)


def start_copy(
    world: World, name: str, source: Resource, expire_time: Message, plan: Plan, cause: str, encryption: Message = None
) -> Message:
    """Starts to copy a backup, which can't be deleted meanwhile."""
    backup = copied(source.message)
    for field in _NOT_COPIED:
        backup.ClearField(field)
    backup.name = name
    backup.create_time.CopyFrom(stamp(world.now))
    backup.expire_time.CopyFrom(expire_time)
    if keys := _keys(encryption):
        _encrypt(backup, keys)
    world.refer(source, backup=name)
    metadata = pb.CopyBackupMetadata(name=name, source_backup=source.message.name)
    return _make(world, metadata, backup, plan, cause, source)


def start_restore(world: World, name: str, source: Resource, plan: Plan, encryption: Message = None) -> Message:
    """Starts to restore a database from a backup, which can't be deleted meanwhile."""
    backup = source.message
    info = pb.BackupInfo(
        backup=backup.name,
        create_time=backup.create_time,
        version_time=backup.version_time,
        source_database=backup.database,
    )
    database = database_of(
        name,
        state="CREATING",
        create_time=stamp(world.now),
        database_dialect=backup.database_dialect,
        restore_info={"source_type": "BACKUP", "backup_info": info},
    )
    held = (one.kms_key_version.removesuffix(_VERSION_OF_KEY) for one in backup.encryption_information)
    if keys := _keys(encryption) or [key for key in held if key]:
        database.encryption_config.kms_key_name = keys[0]
        database.encryption_config.kms_key_names.extend(keys)
    world.refer(source, database=name)
    metadata = pb.RestoreDatabaseMetadata(name=name, source_type="BACKUP", backup_info=info)
    world.databases.pop(name, None)
    made = world.databases[name] = Resource(world.next_uid(), database)
    return _begin(world, metadata, made, plan, source)


def start_optimization(world: World, restore: Work) -> None:
    """Starts the operation that optimizes a restored database, and shows its name in the restore's metadata.

    That the service starts it by itself, and that nobody can cancel it, is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/OptimizeRestoredDatabaseMetadata; that it answers with
    the database is inferred: Google's client for Python can't list operations that answer with anything else.
    """
    plan = Plan(duration=restore.plan.optimize_duration, progress=restore.plan.progress)
    metadata = pb.OptimizeRestoredDatabaseMetadata(name=restore.metadata.name)
    begun = _begin(world, metadata, restore.made, plan, restore.source)
    restore.metadata.optimize_database_operation_name = begun.name


def _make(
    world: World,
    metadata: Message,
    backup: Message,
    plan: Plan,
    cause: str,
    source: Resource | None = None,
    slot: str = "",
) -> Message:
    backup.state = pb.Backup.CREATING
    leftover = world.backups.get(backup.name)
    if leftover is not None:
        world.delete(leftover, What.BACKUP_REMOVED, "replaced")
    made = world.backups[backup.name] = Resource(world.next_uid(), backup)
    operation = _begin(world, metadata, made, plan, source, slot)
    world.note(What.BACKUP_STARTED, made, cause, operation.name)
    return operation


def _begin(
    world: World, metadata: Message, made: Resource, plan: Plan, source: Resource | None = None, slot: str = ""
) -> Message:
    uid = world.next_uid()
    name = f"{metadata.name}/operations/_auto_op_{(world.id_seed + uid * _ID_STEP) % _ID_RANGE}"
    if plan.progress is not ProgressModel.MISSING:
        metadata.progress.start_time.CopyFrom(stamp(world.now))
    begin_time = world.now + plan.queue_delay
    work = Work(
        uid, pb.Operation(name=name), metadata, made, source, slot, plan, begin_time, begin_time + plan.duration
    )
    world.begin(work)
    return work.seen(world.now)


def _keys(config: Message) -> Sequence[str]:
    """The keys that a request names, in either of the two ways."""
    if config is None:
        return ()
    return config.kms_key_names or ([config.kms_key_name] if config.kms_key_name else ())


def _encrypt(backup: Message, keys: Sequence[str]) -> None:
    del backup.encryption_information[:]
    for key in keys:
        version = key + _VERSION_OF_KEY
        backup.encryption_information.add(encryption_type="CUSTOMER_MANAGED_ENCRYPTION", kms_key_version=version)
    if not keys:
        backup.encryption_information.add(encryption_type="GOOGLE_DEFAULT_ENCRYPTION")
    backup.encryption_info.CopyFrom(backup.encryption_information[0])
