"""Google's API of Cloud Spanner: the classes of its messages, `pb.Backup(name=…)`, and the methods answered here.

Their paths are those of https://docs.cloud.google.com/spanner/docs/reference/rest, documented.
"""

from google.cloud import spanner_admin_database_v1, spanner_admin_instance_v1
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, timestamp_pb2
from google.rpc import error_details_pb2

from spanner_backup_emulator.messages import Classes, Message
from spanner_backup_emulator.rpc import table

pb = Classes(
    spanner_admin_database_v1, spanner_admin_instance_v1, operations_pb2, empty_pb2, timestamp_pb2, error_details_pb2
)

TYPE_PREFIX = "type.googleapis.com/"

INSTANCE = "projects/[^/]+/instances/[^/]+"
_PLACES = {
    "PROJECT": "projects/[^/]+",
    "CONFIG": "projects/[^/]+/instanceConfigs/[^/:]+",
    "INSTANCE": INSTANCE,
    "BACKUP": rf"{INSTANCE}/backups/[^/:]+",
    "DATABASE": rf"{INSTANCE}/databases/[^/:]+",
    "SCHEDULE": rf"{INSTANCE}/databases/[^/:]+/backupSchedules/[^/:]+",
    "OPERATIONS": rf"{INSTANCE}(?:/(?:backups|databases)/[^/:]+)?/operations",
    "OPERATION": rf"{INSTANCE}(?:/(?:backups|databases)/[^/:]+)?/operations/[^/:]+",
}

_METHODS = """
google.spanner.admin.instance.v1.InstanceAdmin
ListInstanceConfigs ListInstanceConfigsResponse GET {parent=PROJECT}/instanceConfigs
GetInstanceConfig InstanceConfig GET {name=CONFIG}
CreateInstance Operation POST {parent=PROJECT}/instances
ListInstances ListInstancesResponse GET {parent=PROJECT}/instances
GetInstance Instance GET {name=INSTANCE}
DeleteInstance Empty DELETE {name=INSTANCE}
google.spanner.admin.database.v1.DatabaseAdmin
CreateDatabase Operation POST {parent=INSTANCE}/databases
DropDatabase Empty DELETE {database=DATABASE}
GetDatabaseDdl GetDatabaseDdlResponse GET {database=DATABASE}/ddl
UpdateDatabaseDdl Operation PATCH {database=DATABASE}/ddl
GetDatabase Database GET {name=DATABASE}
ListDatabases ListDatabasesResponse GET {parent=INSTANCE}/databases
ListDatabaseOperations ListDatabaseOperationsResponse GET {parent=INSTANCE}/databaseOperations
RestoreDatabase Operation POST {parent=INSTANCE}/databases:restore new=/databases/{0.database_id}
CreateBackup Operation POST {parent=INSTANCE}/backups body=backup new=/backups/{0.backup_id}
CopyBackup Operation POST {parent=INSTANCE}/backups:copy new=/backups/{0.backup_id}
GetBackup Backup GET {name=BACKUP}
UpdateBackup Backup PATCH {backup.name=BACKUP} body=backup
DeleteBackup Empty DELETE {name=BACKUP}
ListBackups ListBackupsResponse GET {parent=INSTANCE}/backups
ListBackupOperations ListBackupOperationsResponse GET {parent=INSTANCE}/backupOperations
CreateBackupSchedule BackupSchedule POST {parent=DATABASE}/backupSchedules body=backup_schedule \
new=/backupSchedules/{0.backup_schedule_id}
GetBackupSchedule BackupSchedule GET {name=SCHEDULE}
UpdateBackupSchedule BackupSchedule PATCH {backup_schedule.name=SCHEDULE} body=backup_schedule
DeleteBackupSchedule Empty DELETE {name=SCHEDULE}
ListBackupSchedules ListBackupSchedulesResponse GET {parent=DATABASE}/backupSchedules
google.longrunning.Operations
GetOperation Operation GET {name=OPERATION}
CancelOperation Empty POST {name=OPERATION}:cancel
ListOperations ListOperationsResponse GET {name=OPERATIONS}
"""

RPCS = tuple(table(pb, _PLACES, _METHODS))
BY_REQUEST = {rpc.request: rpc for rpc in RPCS}


def unpacked(envelope: Message) -> Message:
    """The message in an envelope; None if it is empty."""
    name = envelope.type_url.rpartition(".")[2]
    return getattr(pb, name).FromString(envelope.value) if name else None
