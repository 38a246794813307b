"""Backups and operations over REST, which is what `gcloud` speaks: paths and JSON in, the same RPCs, JSON out.

https://docs.cloud.google.com/spanner/docs/reference/rest, documented. Each call goes on to this emulator's own gRPC
server, so faults, Google's emulator behind it and everything else apply alike.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import grpc
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_admin_instance_v1 import types as instance_pb
from google.longrunning import operations_pb2
from google.protobuf import empty_pb2, json_format

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.web import invalid_json, no_such_page

if TYPE_CHECKING:
    from google.protobuf.message import Message

CALL_S_MAX = 60.0
"""For one call to the server beside this one."""

SYSTEM_PARAMETERS = frozenset({"alt", "key", "fields", "prettyPrint", "quotaUser", "access_token", "$.xgafv"})
"""Of every API, and of no effect here: https://docs.cloud.google.com/apis/docs/system-parameters, documented."""

_ADMIN = "google.spanner.admin.database.v1.DatabaseAdmin"
_INSTANCE_ADMIN = "google.spanner.admin.instance.v1.InstanceAdmin"
_OPERATIONS = "google.longrunning.Operations"
_INSTANCE = "projects/[^/]+/instances/[^/]+"
_PLACES = {
    "PROJECT": "projects/[^/]+",
    "CONFIG": "projects/[^/]+/instanceConfigs/[^/:]+",
    "INSTANCE": _INSTANCE,
    "BACKUP": rf"{_INSTANCE}/backups/[^/:]+",
    "DATABASE": rf"{_INSTANCE}/databases/[^/:]+",
    "OPERATIONS": rf"{_INSTANCE}(?:/(?:backups|databases)/[^/:]+)?/operations",
}


@dataclass(frozen=True, slots=True)
class Route:
    """Which RPC a request is.

    Attributes:
        field: Which field of its request the path names.
        body: Which field the body is; empty where the body is the request itself.
    """

    verb: str
    path: re.Pattern[str]
    method: str
    request: type[Message]
    response: type[Message]
    field: str
    body: str = ""


def _route(verb: str, path: str, name: str, kinds: tuple[Any, Any], field: str, body: str = "") -> Route:
    for place, pattern in _PLACES.items():
        path = re.sub(rf"\b{place}\b", pattern, path)
    path = path.replace("{", "(?P<name>").replace("}", ")")
    request, response = (kind.pb() if hasattr(kind, "pb") else kind for kind in kinds)
    package = request.DESCRIPTOR.full_name.rpartition(".")[0]
    service = {"google.longrunning": _OPERATIONS, "google.spanner.admin.instance.v1": _INSTANCE_ADMIN}.get(
        package, _ADMIN
    )
    return Route(verb, re.compile(f"/v1/{path}"), f"/{service}/{name}", request, response, field, body)


_OPERATION, _EMPTY = operations_pb2.Operation, empty_pb2.Empty
_SCHEDULE = "{DATABASE/backupSchedules/[^/:]+}"

ROUTES = (
    _route(
        "GET",
        "{PROJECT}/instanceConfigs",
        "ListInstanceConfigs",
        (instance_pb.ListInstanceConfigsRequest, instance_pb.ListInstanceConfigsResponse),
        "parent",
    ),
    _route(
        "GET",
        "{CONFIG}",
        "GetInstanceConfig",
        (instance_pb.GetInstanceConfigRequest, instance_pb.InstanceConfig),
        "name",
    ),
    _route("POST", "{PROJECT}/instances", "CreateInstance", (instance_pb.CreateInstanceRequest, _OPERATION), "parent"),
    _route(
        "GET",
        "{PROJECT}/instances",
        "ListInstances",
        (instance_pb.ListInstancesRequest, instance_pb.ListInstancesResponse),
        "parent",
    ),
    _route("GET", "{INSTANCE}", "GetInstance", (instance_pb.GetInstanceRequest, instance_pb.Instance), "name"),
    _route("DELETE", "{INSTANCE}", "DeleteInstance", (instance_pb.DeleteInstanceRequest, _EMPTY), "name"),
    _route("POST", "{INSTANCE}/databases", "CreateDatabase", (pb.CreateDatabaseRequest, _OPERATION), "parent"),
    _route("DELETE", "{DATABASE}", "DropDatabase", (pb.DropDatabaseRequest, _EMPTY), "database"),
    _route(
        "GET", "{DATABASE}/ddl", "GetDatabaseDdl", (pb.GetDatabaseDdlRequest, pb.GetDatabaseDdlResponse), "database"
    ),
    _route("PATCH", "{DATABASE}/ddl", "UpdateDatabaseDdl", (pb.UpdateDatabaseDdlRequest, _OPERATION), "database"),
    _route("POST", "{INSTANCE}/backups", "CreateBackup", (pb.CreateBackupRequest, _OPERATION), "parent", "backup"),
    _route("POST", "{INSTANCE}/backups:copy", "CopyBackup", (pb.CopyBackupRequest, _OPERATION), "parent"),
    _route("GET", "{INSTANCE}/backups", "ListBackups", (pb.ListBackupsRequest, pb.ListBackupsResponse), "parent"),
    _route("GET", "{BACKUP}", "GetBackup", (pb.GetBackupRequest, pb.Backup), "name"),
    _route("PATCH", "{BACKUP}", "UpdateBackup", (pb.UpdateBackupRequest, pb.Backup), "backup.name", "backup"),
    _route("DELETE", "{BACKUP}", "DeleteBackup", (pb.DeleteBackupRequest, _EMPTY), "name"),
    _route(
        "GET",
        "{INSTANCE}/backupOperations",
        "ListBackupOperations",
        (pb.ListBackupOperationsRequest, pb.ListBackupOperationsResponse),
        "parent",
    ),
    _route(
        "GET",
        "{INSTANCE}/databaseOperations",
        "ListDatabaseOperations",
        (pb.ListDatabaseOperationsRequest, pb.ListDatabaseOperationsResponse),
        "parent",
    ),
    _route(
        "POST", "{INSTANCE}/databases:restore", "RestoreDatabase", (pb.RestoreDatabaseRequest, _OPERATION), "parent"
    ),
    _route(
        "GET", "{INSTANCE}/databases", "ListDatabases", (pb.ListDatabasesRequest, pb.ListDatabasesResponse), "parent"
    ),
    _route(
        "POST",
        "{DATABASE}/backupSchedules",
        "CreateBackupSchedule",
        (pb.CreateBackupScheduleRequest, pb.BackupSchedule),
        "parent",
        "backup_schedule",
    ),
    _route(
        "GET",
        "{DATABASE}/backupSchedules",
        "ListBackupSchedules",
        (pb.ListBackupSchedulesRequest, pb.ListBackupSchedulesResponse),
        "parent",
    ),
    _route("GET", _SCHEDULE, "GetBackupSchedule", (pb.GetBackupScheduleRequest, pb.BackupSchedule), "name"),
    _route(
        "PATCH",
        _SCHEDULE,
        "UpdateBackupSchedule",
        (pb.UpdateBackupScheduleRequest, pb.BackupSchedule),
        "backup_schedule.name",
        "backup_schedule",
    ),
    _route("DELETE", _SCHEDULE, "DeleteBackupSchedule", (pb.DeleteBackupScheduleRequest, _EMPTY), "name"),
    _route("GET", "{DATABASE}", "GetDatabase", (pb.GetDatabaseRequest, pb.Database), "name"),
    _route("GET", "{OPERATIONS/[^/:]+}", "GetOperation", (operations_pb2.GetOperationRequest, _OPERATION), "name"),
    _route(
        "POST", "{OPERATIONS/[^/:]+}:cancel", "CancelOperation", (operations_pb2.CancelOperationRequest, _EMPTY), "name"
    ),
    _route(
        "GET",
        "{OPERATIONS}",
        "ListOperations",
        (operations_pb2.ListOperationsRequest, operations_pb2.ListOperationsResponse),
        "name",
    ),
)


def answer(channel: grpc.Channel, verb: str, target: str, body: bytes) -> bytes:
    """Answers one request.

    Args:
        channel: To the gRPC server beside this one.
        verb: The HTTP method.
        target: The path and the query.
        body: JSON, or nothing.

    Returns:
        The JSON of the response.

    Raises:
        ApiError: The refusal.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    for route in ROUTES:
        if route.verb == verb and (match := route.path.fullmatch(path)) is not None:
            fields = _fields(route, parts.query, body)
            _set(fields, route.field, match["name"])
            return _called(channel, route, fields)
    raise no_such_page(parts.path)


def _called(channel: grpc.Channel, route: Route, fields: dict[str, Any]) -> bytes:
    try:
        request = json_format.ParseDict(fields, route.request())
    except json_format.ParseError as error:
        raise invalid_json(str(error)) from None
    call: Any = channel.unary_unary(route.method, route.request.SerializeToString, route.response.FromString)
    try:
        response = call(request, timeout=CALL_S_MAX)
    except grpc.RpcError as error:
        refused: Any = error
        raise ApiError(Code[refused.code().name], refused.details() or "") from None
    return json_format.MessageToJson(response).encode()


def _fields(route: Route, query: str, body: bytes) -> dict[str, Any]:
    """The request's fields: from the body, and what the path and the body leave over from the query."""
    fields: dict[str, Any] = {}
    if body.strip():
        try:
            given = json.loads(body)
        except ValueError as error:
            raise invalid_json(str(error)) from None
        if not isinstance(given, dict):
            raise invalid_json("the root element must be an object")
        fields = {route.body: given} if route.body else given
    for name, values in parse_qs(query).items():
        if name in {"updateMask", "update_mask"}:
            fields["updateMask"] = re.sub(r"_([a-z])", lambda found: found[1].upper(), values[-1])
        elif name not in SYSTEM_PARAMETERS:
            _set(fields, name, values if name.endswith(("kmsKeyNames", "kms_key_names")) else values[-1])
    return fields


def _set(fields: dict[str, Any], path: str, value: object) -> None:
    """Puts a value where the path says, one field in another."""
    *outer, last = path.split(".")
    for name in outer:
        held = fields.get(name)
        fields[name] = inner = held if isinstance(held, dict) else {}
        fields = inner
    fields[last] = value
