"""The parts of Google's gRPC interfaces that the function uses: the methods, and of the messages the fields.

Google's generated clients define every message of each service and bring a library along that wraps them all; importing
them takes longer than starting the server. What is written down here takes a twentieth of that. Names, numbers and
types are Google's: published, and never changed, as every client that was ever built relies on them. Fields that aren't
named here are skipped when a message is read. `tests/unit/test_protocol.py` compares it with the generated clients.
https://protobuf.dev/programming-guides/proto3/#updating (documented)
https://github.com/googleapis/googleapis (the definitions)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

_ADMIN = "google.spanner.admin.database.v1."
_OPERATIONS = "google.longrunning."
_TASKS = "google.cloud.tasks.v2."
_PUBSUB = "google.pubsub.v1."

FIELDS: dict[str, dict[str, tuple[str, int]]] = {
    "google.protobuf.Empty": {},
    "google.protobuf.FieldMask": {"paths": ("string*", 1)},
    "google.rpc.Status": {"code": ("int32", 1), "message": ("string", 2)},
    _OPERATIONS + "Operation": {
        "name": ("string", 1),
        "metadata": ("Any", 2),
        "done": ("bool", 3),
        "error": ("Status", 4),
        "response": ("Any", 5),
    },
    _OPERATIONS + "GetOperationRequest": {"name": ("string", 1)},
    _OPERATIONS + "CancelOperationRequest": {"name": ("string", 1)},
    _ADMIN + "OperationProgress": {
        "progress_percent": ("int32", 1),
        "start_time": ("Timestamp", 2),
        "end_time": ("Timestamp", 3),
    },
    _ADMIN + "CreateBackupMetadata": {
        "name": ("string", 1),
        "database": ("string", 2),
        "progress": ("OperationProgress", 3),
        "cancel_time": ("Timestamp", 4),
    },
    _ADMIN + "Backup": {
        "name": ("string", 1),
        "database": ("string", 2),
        "expire_time": ("Timestamp", 3),
        "create_time": ("Timestamp", 4),
        "size_bytes": ("int64", 5),
        "referencing_databases": ("string*", 7),
        "version_time": ("Timestamp", 9),
        "referencing_backups": ("string*", 11),
        "backup_schedules": ("string*", 14),
    },
    _ADMIN + "CreateBackupEncryptionConfig": {"encryption_type": ("enum", 1), "kms_key_names": ("string*", 3)},
    _ADMIN + "CreateBackupRequest": {
        "parent": ("string", 1),
        "backup_id": ("string", 2),
        "backup": ("Backup", 3),
        "encryption_config": ("CreateBackupEncryptionConfig", 4),
    },
    _ADMIN + "ListBackupOperationsRequest": {
        "parent": ("string", 1),
        "filter": ("string", 2),
        "page_size": ("int32", 3),
        "page_token": ("string", 4),
    },
    _ADMIN + "ListBackupOperationsResponse": {"operations": ("Operation*", 1), "next_page_token": ("string", 2)},
    _ADMIN + "GetBackupRequest": {"name": ("string", 1)},
    _ADMIN + "DeleteBackupRequest": {"name": ("string", 1)},
    _ADMIN + "UpdateBackupRequest": {"backup": ("Backup", 1), "update_mask": ("FieldMask", 2)},
    _ADMIN + "ListDatabasesRequest": {"parent": ("string", 1), "page_size": ("int32", 3), "page_token": ("string", 4)},
    _ADMIN + "Database": {"name": ("string", 1)},
    _ADMIN + "ListDatabasesResponse": {"databases": ("Database*", 1), "next_page_token": ("string", 2)},
    _TASKS + "OAuthToken": {"service_account_email": ("string", 1), "scope": ("string", 2)},
    _TASKS + "HttpRequest": {
        "url": ("string", 1),
        "http_method": ("enum", 2),
        "headers": ("map", 3),
        "body": ("bytes", 4),
        "oauth_token": ("OAuthToken", 5),
    },
    _TASKS + "Task": {"name": ("string", 1), "http_request": ("HttpRequest", 3), "schedule_time": ("Timestamp", 4)},
    _TASKS + "CreateTaskRequest": {"parent": ("string", 1), "task": ("Task", 2)},
    _PUBSUB + "PubsubMessage": {"data": ("bytes", 1), "attributes": ("map", 2)},
    _PUBSUB + "PublishRequest": {"topic": ("string", 1), "messages": ("PubsubMessage*", 2)},
    _PUBSUB + "PublishResponse": {"message_ids": ("string*", 1)},
}
"""Of each message the fields that are used: type and number. `*` says that there may be many, `map` maps text to text,
and an `enum` is given by its number."""


class Method(NamedTuple):
    """One call.

    Attributes:
        path: Its full name on the wire.
        request: The message that is sent.
        answer: The message that comes back.
        route: The field whose value Google's front end reads from a header, to find the right server.
            https://google.aip.dev/client-libraries/4222 (documented)
    """

    path: str
    request: str
    answer: str
    route: str


METHODS = {
    path.rpartition("/")[2]: Method("/" + path, request, answer, route)
    for path, request, answer, route in (
        (_ADMIN + "DatabaseAdmin/CreateBackup", "CreateBackupRequest", "Operation", "parent"),
        (_ADMIN + "DatabaseAdmin/DeleteBackup", "DeleteBackupRequest", "Empty", "name"),
        (_ADMIN + "DatabaseAdmin/GetBackup", "GetBackupRequest", "Backup", "name"),
        (
            _ADMIN + "DatabaseAdmin/ListBackupOperations",
            "ListBackupOperationsRequest",
            "ListBackupOperationsResponse",
            "parent",
        ),
        (_ADMIN + "DatabaseAdmin/ListDatabases", "ListDatabasesRequest", "ListDatabasesResponse", "parent"),
        (_ADMIN + "DatabaseAdmin/UpdateBackup", "UpdateBackupRequest", "Backup", "backup.name"),
        (_OPERATIONS + "Operations/CancelOperation", "CancelOperationRequest", "Empty", "name"),
        (_OPERATIONS + "Operations/GetOperation", "GetOperationRequest", "Operation", "name"),
        (_PUBSUB + "Publisher/Publish", "PublishRequest", "PublishResponse", "topic"),
        (_TASKS + "CloudTasks/CreateTask", "CreateTaskRequest", "Task", "parent"),
    )
}
"""By their short names."""

_PACKAGE = "backstop"
"""Ours, as Google's own names belong to the generated clients, which a program may have loaded as well."""

_TYPES = {"bool": 8, "bytes": 12, "enum": 5, "int32": 5, "int64": 3, "string": 9}
"""Protocol buffers' own numbers, from FieldDescriptorProto.Type.

https://github.com/protocolbuffers/protobuf/blob/main/src/google/protobuf/descriptor.proto
An enum's number travels as an int32 does. https://protobuf.dev/programming-guides/encoding/ (documented)
"""

_OPTIONAL, _REPEATED, _MESSAGE = 1, 3, 11


def _define() -> dict[str, type[Message]]:
    """Makes a class of each message, by its short name."""
    file = descriptor_pb2.FileDescriptorProto(name="backstop.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.extend([any_pb2.DESCRIPTOR.name, timestamp_pb2.DESCRIPTOR.name])
    for full_name, fields in FIELDS.items():
        message = file.message_type.add(name=_short(full_name))
        for name, (kind, number) in fields.items():
            _add_field(message, name, kind, number)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    names = [_short(full_name) for full_name in FIELDS]
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in names}


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, kind: str, number: int) -> None:
    field: Any = message.field.add(name=name, number=number, label=_OPTIONAL)
    if kind.endswith("*") or kind == "map":
        field.label = _REPEATED
    kind = kind.rstrip("*")
    if kind in _TYPES:
        field.type = _TYPES[kind]
        return
    field.type = _MESSAGE
    if kind == "map":
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", "string", 1)
        _add_field(entry, "value", "string", 2)
        field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
    else:
        field.type_name = f".{'google.protobuf' if kind in {'Any', 'Timestamp'} else _PACKAGE}.{kind}"


def _short(full_name: str) -> str:
    return full_name.rpartition(".")[2]


MESSAGES = _define()
"""The classes, by their short names."""
