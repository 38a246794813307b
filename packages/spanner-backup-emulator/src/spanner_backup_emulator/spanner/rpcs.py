"""The methods that are answered here: one table for gRPC, for REST and for the state.

The paths are those of https://docs.cloud.google.com/spanner/docs/reference/rest, documented.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.spanner.messages import pb

_INSTANCE = "projects/[^/]+/instances/[^/]+"
_PLACES = {
    "PROJECT": "projects/[^/]+",
    "CONFIG": "projects/[^/]+/instanceConfigs/[^/:]+",
    "INSTANCE": _INSTANCE,
    "BACKUP": rf"{_INSTANCE}/backups/[^/:]+",
    "DATABASE": rf"{_INSTANCE}/databases/[^/:]+",
    "SCHEDULE": rf"{_INSTANCE}/databases/[^/:]+/backupSchedules/[^/:]+",
    "OPERATIONS": rf"{_INSTANCE}(?:/(?:backups|databases)/[^/:]+)?/operations",
    "OPERATION": rf"{_INSTANCE}(?:/(?:backups|databases)/[^/:]+)?/operations/[^/:]+",
}
_SERVICES = {
    "google.spanner.admin.database.v1": "google.spanner.admin.database.v1.DatabaseAdmin",
    "google.spanner.admin.instance.v1": "google.spanner.admin.instance.v1.InstanceAdmin",
    "google.longrunning": "google.longrunning.Operations",
}


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method.

    Attributes:
        method: The name of the Python method that answers it.
        request: The class of its request.
        response: The class of its answer.
        verb: REST's.
        path: REST's; its group `name` is the value of `field`.
        field: Which field of the request the path names.
        body: Which field the body is; empty where the body is the request itself.
        resource: What it is about, to be formatted with the request.
    """

    service: str
    name: str
    method: str
    request: Message
    response: Message
    verb: str
    path: re.Pattern[str]
    field: str
    body: str
    resource: str

    def resource_of(self, request: Message) -> str:
        """The full name of what a call is about."""
        return self.resource.format(request)


def _rpc(name: str, answer: str, verb: str, path: str, body: str = "", new: str = "") -> Rpc:
    """A line of the table; `new` is how the name of what is made follows from its parent's."""
    before, field, place, after = re.fullmatch(r"(.*)\{([\w.]+)=(\w+)\}(.*)", path).groups()  # type: ignore[union-attr]
    request = getattr(pb, f"{name}Request")
    return Rpc(
        service=_SERVICES[request.DESCRIPTOR.full_name.rpartition(".")[0]],
        name=name,
        method=re.sub(r"\B(?=[A-Z])", "_", name).lower(),
        request=request,
        response=getattr(pb, answer),
        verb=verb,
        path=re.compile(f"/v1/{before}(?P<name>{_PLACES[place]}){after}"),
        field=field,
        body=body,
        resource=f"{{0.{field}}}{new}",
    )


_BACKUP, _DATABASE = "/backups/{0.backup_id}", "/databases/{0.database_id}"
_IN, _SCHEDULE = "{parent=DATABASE}/backupSchedules", "/backupSchedules/{0.backup_schedule_id}"

RPCS = (
    _rpc("ListInstanceConfigs", "ListInstanceConfigsResponse", "GET", "{parent=PROJECT}/instanceConfigs"),
    _rpc("GetInstanceConfig", "InstanceConfig", "GET", "{name=CONFIG}"),
    _rpc("CreateInstance", "Operation", "POST", "{parent=PROJECT}/instances"),
    _rpc("ListInstances", "ListInstancesResponse", "GET", "{parent=PROJECT}/instances"),
    _rpc("GetInstance", "Instance", "GET", "{name=INSTANCE}"),
    _rpc("DeleteInstance", "Empty", "DELETE", "{name=INSTANCE}"),
    _rpc("CreateDatabase", "Operation", "POST", "{parent=INSTANCE}/databases"),
    _rpc("DropDatabase", "Empty", "DELETE", "{database=DATABASE}"),
    _rpc("GetDatabaseDdl", "GetDatabaseDdlResponse", "GET", "{database=DATABASE}/ddl"),
    _rpc("UpdateDatabaseDdl", "Operation", "PATCH", "{database=DATABASE}/ddl"),
    _rpc("GetDatabase", "Database", "GET", "{name=DATABASE}"),
    _rpc("ListDatabases", "ListDatabasesResponse", "GET", "{parent=INSTANCE}/databases"),
    _rpc("ListDatabaseOperations", "ListDatabaseOperationsResponse", "GET", "{parent=INSTANCE}/databaseOperations"),
    _rpc("RestoreDatabase", "Operation", "POST", "{parent=INSTANCE}/databases:restore", new=_DATABASE),
    _rpc("CreateBackup", "Operation", "POST", "{parent=INSTANCE}/backups", "backup", new=_BACKUP),
    _rpc("CopyBackup", "Operation", "POST", "{parent=INSTANCE}/backups:copy", new=_BACKUP),
    _rpc("GetBackup", "Backup", "GET", "{name=BACKUP}"),
    _rpc("UpdateBackup", "Backup", "PATCH", "{backup.name=BACKUP}", "backup"),
    _rpc("DeleteBackup", "Empty", "DELETE", "{name=BACKUP}"),
    _rpc("ListBackups", "ListBackupsResponse", "GET", "{parent=INSTANCE}/backups"),
    _rpc("ListBackupOperations", "ListBackupOperationsResponse", "GET", "{parent=INSTANCE}/backupOperations"),
    _rpc("CreateBackupSchedule", "BackupSchedule", "POST", _IN, "backup_schedule", new=_SCHEDULE),
    _rpc("GetBackupSchedule", "BackupSchedule", "GET", "{name=SCHEDULE}"),
    _rpc("UpdateBackupSchedule", "BackupSchedule", "PATCH", "{backup_schedule.name=SCHEDULE}", "backup_schedule"),
    _rpc("DeleteBackupSchedule", "Empty", "DELETE", "{name=SCHEDULE}"),
    _rpc("ListBackupSchedules", "ListBackupSchedulesResponse", "GET", _IN),
    _rpc("GetOperation", "Operation", "GET", "{name=OPERATION}"),
    _rpc("CancelOperation", "Empty", "POST", "{name=OPERATION}:cancel"),
    _rpc("ListOperations", "ListOperationsResponse", "GET", "{name=OPERATIONS}"),
)
BY_REQUEST = {rpc.request: rpc for rpc in RPCS}
