"""Spanner's backup API over gRPC. Decides nothing but how to read what Spanner answers."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from backstop.commands import EncryptionType
from backstop.errors import RefusedError, TransientError
from backstop.gcp.calls import Budget, Service
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.ports import Backup, Listing, Operation, OperationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from google.protobuf.timestamp_pb2 import Timestamp

    from backstop.commands import Encryption

PAGE_SIZE = 500
PAGES_MAX = 20
"""10,000 operations are 7 days of 100 databases, the most that an instance holds, each backed up every 100 minutes."""

_CREATE_BACKUP = "type.googleapis.com/google.spanner.admin.database.v1.CreateBackupMetadata"
_BACKUP = "type.googleapis.com/google.spanner.admin.database.v1.Backup"


_ENCRYPTION = {
    EncryptionType.USE_DATABASE_ENCRYPTION: 1,
    EncryptionType.GOOGLE_DEFAULT_ENCRYPTION: 2,
    EncryptionType.CUSTOMER_MANAGED_ENCRYPTION: 3,
}
"""Google's numbers of CreateBackupEncryptionConfig.EncryptionType."""

_service = Service("spanner.googleapis.com", "SPANNER_EMULATOR_HOST")


class SpannerBackups:
    """The `Spanner` port, for one delivery."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def create_backup(
        self,
        database: DatabaseName,
        backup: BackupName,
        *,
        expire_time: datetime,
        version_time: datetime | None,
        encryption: Encryption | None,
    ) -> Operation:
        """Starts a backup; not repeated here, as the handler finds out what a lost answer meant."""
        body = {"database": database, "expire_time": expire_time, "version_time": version_time}
        request: dict[str, object] = {
            "parent": str(database.instance),
            "backup_id": backup.backup_id,
            "backup": {key: value for key, value in body.items() if value is not None},
        }
        if encryption is not None:
            request["encryption_config"] = {
                "encryption_type": _ENCRYPTION[encryption.type],
                "kms_key_names": list(encryption.kms_key_names),
            }
        proto = _service.call("CreateBackup", request, self._budget, repeat=False)
        try:
            return _operation(proto)
        except UnreadableError as error:
            # It was started all the same; brought again, the message finds it in the list.
            raise TransientError("UNKNOWN", error.message) from error

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        return _operation(_service.call("GetOperation", {"name": name}, self._budget))

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the CreateBackup operations, the newest start first.

        The filter only saves bandwidth: `:` means "contains", and filters on metadata have been broken before, so
        what comes back is checked here, and a filter that is refused is dropped.
        https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list (documented)
        https://github.com/GoogleCloudPlatform/golang-samples/issues/1745 (seen)
        """
        conditions = [f"(metadata.@type:{_CREATE_BACKUP})"]
        if database is not None:
            conditions.append(f"(metadata.database:{database})")
        if backup is not None:
            conditions.append(f"(metadata.name:{backup})")
        try:
            listed = self._list(instance, " AND ".join(conditions))
        except RefusedError as error:
            if error.code != "INVALID_ARGUMENT":
                raise
            listed = self._list(instance, "")
        found = [
            operation
            for operation in listed
            if database in {None, operation.database} and backup in {None, operation.backup}
        ]
        return Listing(tuple(sorted(found, key=lambda operation: operation.start_time, reverse=True)))

    def _list(self, instance: InstanceName, text: str) -> list[Operation]:
        request = {"parent": str(instance), "filter": text, "page_size": PAGE_SIZE}
        found = []
        for page in self._pages("ListBackupOperations", request):
            for proto in page.operations:
                try:
                    found.append(_operation(proto))
                except UnreadableError:
                    # A copy, or something that Spanner may add one day; it must not hide all the others.
                    continue
        return found

    def _pages(self, method: str, request: dict[str, object]) -> Iterator[Any]:
        """The pages of a list, each a call of its own within the delivery's time.

        Raises:
            RefusedError: There are more than can be read; a part of them could be misleading.
        """
        for _ in range(PAGES_MAX):
            page = _service.call(method, request, self._budget)
            yield page
            if not page.next_page_token:
                return
            request = {**request, "page_token": page.next_page_token}
        raise RefusedError("OUT_OF_RANGE", f"{request['parent']} lists more than {PAGES_MAX * PAGE_SIZE} items")

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped; not repeated here, as a refusal would hide that it had been heard."""
        _service.call("CancelOperation", {"name": name}, self._budget, repeat=False)

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return _backup(_service.call("GetBackup", {"name": name}, self._budget))

    def delete_backup(self, name: BackupName, why: str) -> None:  # noqa: ARG002 to be written to the log
        """Deletes a backup; not repeated here, so that it never happens without a look right before it."""
        _service.call("DeleteBackup", {"name": name}, self._budget, repeat=False)

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when Spanner removes a backup by itself."""
        request = {"backup": {"name": name, "expire_time": expire_time}, "update_mask": {"paths": ["expire_time"]}}
        _service.call("UpdateBackup", request, self._budget)

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order."""
        request = {"parent": str(instance), "page_size": PAGE_SIZE}
        names = [database.name for page in self._pages("ListDatabases", request) for database in page.databases]
        return sorted(DatabaseName(name) for name in names)


class UnreadableError(RefusedError):
    """What Spanner answered is not what it documents for a CreateBackup operation."""

    def __init__(self, what: str) -> None:
        super().__init__("FAILED_PRECONDITION", what)


def _operation(proto: Any) -> Operation:  # noqa: ANN401 the classes of messages are made at run time
    """Reads an operation.

    Raises:
        UnreadableError: It makes something else, or says too little of itself to be told from others.
    """
    if proto.metadata.type_url != _CREATE_BACKUP:
        raise UnreadableError(f"{proto.name} is no CreateBackup operation")
    metadata = _unpacked(_CREATE_BACKUP, proto.metadata)
    response = error = None
    if proto.done and proto.HasField("response"):
        response = _backup(_unpacked(_BACKUP, proto.response))
    elif proto.done and proto.HasField("error"):
        error = OperationError(_code(proto.error.code), proto.error.message)
    start_time = _time(metadata.progress.start_time)
    try:
        name, database = OperationName(proto.name), DatabaseName(metadata.database)
    except ValueError as wrong:
        raise UnreadableError(f"{proto.name} has an unknown form, or its database {metadata.database!r}") from wrong
    if start_time is None:
        raise UnreadableError(f"{name} has no start time")
    return Operation(
        name=name,
        backup=name.backup,
        database=database,
        start_time=start_time,
        end_time=_time(metadata.progress.end_time),
        percent=metadata.progress.progress_percent,
        cancel_time=_time(metadata.cancel_time),
        error=error,
        response=response,
    )


def _unpacked(url: str, packed: Any) -> Any:  # noqa: ANN401 as above
    """The message of that type inside a `google.protobuf.Any`.

    Raises:
        UnreadableError: It is of another type, or can't be read.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 it was imported when the call was made

    from backstop.gcp.protocol import MESSAGES  # noqa: PLC0415 the same

    kind = url.rpartition(".")[2]
    if packed.type_url != url:
        raise UnreadableError(f"what should be a {kind} is {packed.type_url or 'nothing'}")
    try:
        return MESSAGES[kind].FromString(packed.value)
    except DecodeError as error:
        raise UnreadableError(f"what should be a {kind} can't be read") from error


def _code(number: int) -> str:
    """The name of a canonical code."""
    from grpc import StatusCode  # noqa: PLC0415 as above

    return next((code.name for code in StatusCode if code.value[0] == number), "UNKNOWN")


def _backup(proto: Any) -> Backup:  # noqa: ANN401 as above
    """Reads a backup.

    Raises:
        UnreadableError: Its name, or its database's, has an unknown form, or it says nothing of its times.
    """
    create_time, expire_time = _time(proto.create_time), _time(proto.expire_time)
    if create_time is None or expire_time is None:
        raise UnreadableError(f"{proto.name} has no times")
    try:
        name, database = BackupName(proto.name), DatabaseName(proto.database)
    except ValueError as wrong:
        raise UnreadableError(f"{proto.name} has an unknown form, or its database {proto.database!r}") from wrong
    return Backup(
        name=name,
        database=database,
        create_time=create_time,
        expire_time=expire_time,
        size_bytes=proto.size_bytes,
        schedules=tuple(proto.backup_schedules),
        referenced_by=(*proto.referencing_databases, *proto.referencing_backups),
    )


def _time(stamp: Timestamp) -> datetime | None:
    return stamp.ToDatetime(tzinfo=UTC) if stamp.seconds or stamp.nanos else None
