"""Spanner's backup API, by Google's client. Decides nothing; how answers are read is `backstop/descriptions.py`."""

from datetime import datetime

from backstop.commands import Start
from backstop.descriptions import Described, read_backup, read_list, read_operation
from backstop.errors import RefusedError, TransientError, UnhandledOperationError
from backstop.gcp.calls import Budget, Service
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup, Listing, Operation

PAGE_SIZE, ITEMS_MAX = 500, 10_000  # As many operations are 7 days of 100 databases, each backed up every 100 minutes.

_TYPE = "metadata.@type:type.googleapis.com/google.spanner.admin.database.v1"

_service = Service("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")


class SpannerBackups:
    """The `Spanner` port, for one delivery."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def create_backup(self, database: DatabaseName, name: BackupName, expire_time: datetime, asked: Start) -> Operation:
        """Starts a backup; not repeated here, as the handler finds out what a lost answer meant."""
        made = {"database": database, "expire_time": _stamp(expire_time)}
        if asked.version_time is not None:
            made["version_time"] = _stamp(asked.version_time)
        request: dict[str, object] = {"parent": database.instance, "backup_id": name.id, "backup": made}
        if (encryption := asked.encryption) is not None:
            keys = list(encryption.kms_key_names)
            request["encryption_config"] = {"encryption_type": encryption.type.value, "kms_key_names": keys}
        try:
            return _operation(_service.call("create_backup", request, self._budget, once=True).operation)
        except UnhandledOperationError as error:
            # It was started all the same; brought again, the message finds it in the list.
            raise TransientError("UNKNOWN", error.failure.message) from error

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        return _operation(_service.call("get_operation", {"name": name}, self._budget))

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the backup operations, the newest start first; copies too, but where a database is asked for.

        The filter only saves bandwidth: `:` means "contains", and filters on metadata have been broken before, so
        what comes back is checked here, and a filter that is refused is dropped.
        https://cloud.google.com/spanner/docs/reference/rest/v1/projects.instances.backupOperations/list (documented)
        https://github.com/GoogleCloudPlatform/golang-samples/issues/1745 (seen)
        """
        kinds, names = f"({_TYPE}.CreateBackupMetadata)", f'(metadata.database:"{database}")'
        if database is None:
            kinds, names = f"({kinds} OR ({_TYPE}.CopyBackupMetadata))", f'(metadata.name:"{backup}")'
        text = f"{kinds} AND {names}" if database or backup else ""
        return read_list(self._some("backup_operations", "operations", instance, text), _operation, database, backup)

    def list_backups(self, instance: InstanceName, since: datetime) -> dict[str, bool]:
        """Reads the names of an instance's backups, at least of those made since then; True: a schedule made it."""
        text = f'create_time >= "{since:%Y-%m-%dT%H:%M:%SZ}"'
        return {one.name: bool(one.backup_schedules) for one in self._some("backups", "backups", instance, text)}

    def _some(self, what: str, field: str, instance: InstanceName, text: str) -> list[Described]:
        """The items of a list that pass a filter; all of them, if Google refuses the filter."""
        try:
            return self._list(what, field, instance, filter=text)
        except RefusedError as error:
            if error.code != "INVALID_ARGUMENT" or not text:
                raise
            return self._list(what, field, instance)

    def _list(self, what: str, field: str, instance: InstanceName, **more: object) -> list[Described]:
        """All items of a list, each page a call of its own; too many are refused, as a part could be misleading."""
        request, found = {"parent": instance, "page_size": PAGE_SIZE, **more}, list[Described]()
        while len(found) < ITEMS_MAX:
            page = _service.call(f"list_{what}", request, self._budget)
            found += getattr(page, field)
            if not page.next_page_token:
                return found
            request["page_token"] = page.next_page_token
        raise RefusedError("OUT_OF_RANGE", f"{instance} lists more than {ITEMS_MAX} {field}")

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped; not repeated here, as a refusal would hide that it had been heard."""
        _service.call("cancel_operation", {"name": name}, self._budget, once=True)

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        answer = _service.call("get_backup", {"name": name}, self._budget)
        try:
            return read_backup(type(answer).pb(answer))
        except ValueError as error:
            raise RefusedError("DATA_LOSS", f"Spanner's description of {name} can't be read: it {error}") from error

    def delete_backup(self, name: BackupName) -> None:
        """Deletes a backup; not repeated here, so that it never happens without a poll right before it."""
        _service.call("delete_backup", {"name": name}, self._budget, once=True)

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when Spanner removes a backup by itself."""
        backup = {"name": name, "expire_time": _stamp(expire_time)}
        _service.call("update_backup", {"backup": backup, "update_mask": {"paths": ["expire_time"]}}, self._budget)

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order; one of unknown form is left out."""
        found = self._list("databases", "databases", instance)
        return sorted(DatabaseName(one.name) for one in found if DatabaseName.fits(one.name))


def _operation(proto: Described) -> Operation:
    from google.rpc.code_pb2 import Code  # noqa: PLC0415 imported when the call was made

    failed = proto.HasField("error")
    return read_operation(
        proto,
        made=_unpacked("CreateBackupMetadata", proto.metadata),
        copied=_unpacked("CopyBackupMetadata", proto.metadata),
        response=_unpacked("Backup", proto.response) if proto.done and not failed else None,
        failed=(Code.Name(proto.error.code) if proto.error.code in Code.values() else "UNKNOWN") if failed else "",
    )


def _unpacked(kind: str, packed: Described) -> Described:
    """The message of that kind inside a `google.protobuf.Any`; None if that holds another, or can't be read."""
    from google.cloud.spanner_admin_database_v1 import types  # noqa: PLC0415 as above
    from google.protobuf.message import DecodeError  # noqa: PLC0415 as above

    message = getattr(types, kind).pb()()
    try:
        return message if packed.Unpack(message) else None
    except DecodeError:
        return None


def _stamp(time: datetime) -> Described:
    """A time as it is sent; of a `datetime` Google's client makes one by way of a number, which may round it."""
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 the client needs it anyway

    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
