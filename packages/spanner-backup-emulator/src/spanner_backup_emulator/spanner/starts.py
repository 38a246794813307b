"""How operations start, whoever starts them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.records import (
    Backup,
    BackupState,
    Database,
    DatabaseState,
    Operation,
    OperationKind,
    RestoreInfo,
)
from spanner_backup_emulator.spanner.rules import RETENTION_MAX
from spanner_backup_emulator.spanner.work import Work

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.spanner.world import World

VERSION_RETENTION = timedelta(hours=1)
"""How far back a database keeps its versions: https://docs.cloud.google.com/spanner/docs/pitr, documented."""

_ID_STEP = 0x9E3779B97F4A7C15
"""Odd, so that counting by it modulo 2**63 meets every number once, and large, so that two ids don't look alike."""

_ID_RANGE = 2**63


def start_backup(  # noqa: PLR0913 - each is a field of the backup, and they have no shorter order
    world: World,
    name: str,
    database: str,
    *,
    expire_time: datetime,
    plan: Plan,
    cause: str,
    version_time: datetime | None = None,
    schedules: tuple[str, ...] = (),
    kms_key_names: tuple[str, ...] = (),
) -> Operation:
    """Starts to back a database up; without schedules it takes the database's one slot.

    That create_time is when the call was received, and that version_time defaults to it, is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backups.
    """
    backup = Backup(
        uid=world.next_uid(),
        name=name,
        database=database,
        state=BackupState.CREATING,
        create_time=world.now,
        version_time=version_time or world.now,
        expire_time=expire_time,
        max_expire_time=world.now + RETENTION_MAX,
        backup_schedules=schedules,
        dialect=world.databases[database].dialect,
        kms_key_names=kms_key_names,
    )
    work = _work(world, OperationKind.CREATE_BACKUP, backup, plan)
    if not schedules:
        world.pending[database] = work
    return _make(world, backup, work, cause)


def start_copy(
    world: World,
    name: str,
    source: Backup,
    *,
    expire_time: datetime,
    plan: Plan,
    cause: str,
    kms_key_names: tuple[str, ...] = (),
) -> Operation:
    """Starts to copy a backup, which can't be deleted meanwhile."""
    backup = replace(
        source,
        uid=world.next_uid(),
        name=name,
        state=BackupState.CREATING,
        create_time=world.now,
        expire_time=expire_time,
        size_bytes=0,
        referencing_databases=(),
        referencing_backups=(),
        backup_schedules=(),
        kms_key_names=kms_key_names or source.kms_key_names,
    )
    world.refer(source, backup=name)
    return _make(world, backup, _work(world, OperationKind.COPY_BACKUP, backup, plan, source.name), cause)


def start_restore(
    world: World, name: str, source: Backup, *, plan: Plan, kms_key_names: tuple[str, ...] = ()
) -> Operation:
    """Starts to restore a database from a backup, which can't be deleted meanwhile."""
    info = RestoreInfo(source.name, source.create_time, source.version_time, source.database)
    database = Database(
        uid=world.next_uid(),
        name=name,
        state=DatabaseState.CREATING,
        create_time=world.now,
        version_retention=VERSION_RETENTION,
        restore_info=info,
        kms_key_names=kms_key_names or source.kms_key_names,
        dialect=source.dialect,
    )
    world.databases[name] = database
    world.refer(source, database=name)
    work = _work(world, OperationKind.RESTORE_DATABASE, database, plan, source.name)
    work.restore_info = info
    world.begin(work)
    return work.seen(world.now)


def start_optimization(world: World, restore: Work, database: Database) -> None:
    """Starts the operation that optimizes a restored database, and shows its name in the restore's metadata.

    That the service starts it by itself, and that nobody can cancel it, is documented at
    https://docs.cloud.google.com/spanner/docs/reference/rest/v1/OptimizeRestoredDatabaseMetadata; that it answers with
    the database is inferred: Google's client for Python can't list operations that answer with anything else.
    """
    plan = Plan(duration=restore.plan.optimize_duration, progress=restore.plan.progress)
    work = _work(world, OperationKind.OPTIMIZE_RESTORED_DATABASE, database, plan, restore.source_backup)
    restore.optimization = work.name
    world.begin(work)


def _work(world: World, kind: OperationKind, made: Backup | Database, plan: Plan, source_backup: str = "") -> Work:
    uid = world.next_uid()
    begin_time = world.now + plan.queue_delay
    return Work(
        uid=uid,
        name=f"{made.name}/operations/_auto_op_{(world.id_seed + uid * _ID_STEP) % _ID_RANGE}",
        kind=kind,
        target=made.name,
        database=made.database if isinstance(made, Backup) else made.name,
        source_backup=source_backup,
        subject=made.uid,
        plan=plan,
        start_time=world.now,
        begin_time=begin_time,
        due_time=begin_time + plan.duration,
    )


def _make(world: World, backup: Backup, work: Work, cause: str) -> Operation:
    leftover = world.backups.get(backup.name)
    if leftover is not None:
        world.delete(leftover, What.BACKUP_REMOVED, "replaced")
    world.backups[backup.name] = backup
    world.note(What.BACKUP_STARTED, backup, cause, work.name)
    world.begin(work)
    return work.seen(world.now)
