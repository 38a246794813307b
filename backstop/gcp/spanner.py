"""Spanner's backup API, by Google's client. Decides nothing but how to read what Spanner answers.

Times are read as Spanner gives them, cut to microseconds, which is what Python holds. Two backups of one name can't be
taken for one another by that: one is deleted before the next is created, and that takes longer than a microsecond.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from backstop.errors import RefusedError, TransientError, UnhandledOperationError
from backstop.gcp import logs
from backstop.gcp.calls import Budget, Service
from backstop.names import BackupName, DatabaseName, InstanceName, Name, OperationName
from backstop.ports import Backup, Listing, Operation, OperationError, Unhandled

if TYPE_CHECKING:
    from collections.abc import Callable

    from backstop.commands import Encryption

PAGE_SIZE, ITEMS_MAX = 500, 10_000
"""As many operations are 7 days of 100 databases, each backed up every 100 minutes."""

TIME_MIN, TIME_MAX = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""No backup has a time outside of these, and a sum with one could be more than Python can hold."""

_TYPE = "metadata.@type:type.googleapis.com/google.spanner.admin.database.v1"

N = TypeVar("N", bound=Name)
T = TypeVar("T")

_service = Service("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")


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
        made = {"database": database, "expire_time": _stamp(expire_time)}
        if version_time is not None:
            made["version_time"] = _stamp(version_time)
        request: dict[str, object] = {"parent": database.instance, "backup_id": backup.backup_id, "backup": made}
        if encryption is not None:
            keys = list(encryption.kms_key_names)
            request["encryption_config"] = {"encryption_type": encryption.type.value, "kms_key_names": keys}
        try:
            return _operation(_service.call("create_backup", request, self._budget, once=True).operation)
        except UnhandledOperationError as error:
            # It was started all the same; brought again, the message finds it in the list.
            raise TransientError("UNKNOWN", error.message) from error

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
        try:
            listed = self._list("backup_operations", "operations", instance, filter=text)
        except RefusedError as error:
            if error.code != "INVALID_ARGUMENT" or not text:
                raise
            listed = self._list("backup_operations", "operations", instance)
        found, unhandled = list[Operation](), list[Unhandled]()
        for proto in listed:
            try:
                found.append(_operation(proto))
            except UnhandledOperationError as error:
                unhandled.append(error.unhandled)
        return Listing(
            tuple(
                one
                for one in sorted(found, key=lambda one: one.start_time, reverse=True)
                if database in {None, one.database} and backup in {None, one.backup}
            ),
            tuple(
                one
                for one in unhandled
                if one.backup in {"", backup or one.backup}
                and (database is None or (one.database in {"", database} and not one.is_copy))
            ),
        )

    def _list(self, what: str, field: str, instance: InstanceName, **more: object) -> list[Any]:
        """All items of a list, each page a call of its own within the delivery's time.

        Raises:
            RefusedError: There are more than can be read; a part of them could be misleading.
        """
        request, found = {"parent": instance, "page_size": PAGE_SIZE, **more}, list[Any]()
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
            return _backup(type(answer).pb(answer))
        except ValueError as error:
            raise RefusedError("DATA_LOSS", f"Spanner's description of {name} can't be read: it {error}") from error

    def delete_backup(self, name: BackupName, why: str) -> None:
        """Deletes a backup; not repeated here, so that it never happens without a look right before it."""
        logs.write(logs.deletion(name, why))
        _service.call("delete_backup", {"name": name}, self._budget, once=True)

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when Spanner removes a backup by itself."""
        backup = {"name": name, "expire_time": _stamp(expire_time)}
        _service.call("update_backup", {"backup": backup, "update_mask": {"paths": ["expire_time"]}}, self._budget)

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order; one of unknown form is left out."""
        listed = self._list("databases", "databases", instance)
        return sorted(name for one in listed if (name := _or_none(lambda one: _name(DatabaseName, one.name), one)))


def _operation(proto: Any) -> Operation:  # noqa: ANN401 Google's types are made at run time
    """Reads an operation.

    Raises:
        UnhandledOperationError: It makes something else, or says too little of itself to be told from others.
    """
    copied, made = (_unpacked(f"{kind}BackupMetadata", proto.metadata) for kind in ("Copy", "Create"))
    try:
        return _created(proto, made, f"is a copy of {copied.source_backup}" if copied else "doesn't say what it is")
    except ValueError as why:
        said = (copied or made).name if copied or made else "", made.database if made else ""
        unhandled = Unhandled(proto.name, *said, is_copy=bool(copied), done=proto.done, why=f"it {why}")
        raise UnhandledOperationError(unhandled) from why


def _created(proto: Any, made: Any, otherwise: str) -> Operation:  # noqa: ANN401 as above
    """The operation of which the second says what it makes.

    Raises:
        ValueError: It can't be read, or makes something else.
    """
    if made is None:
        raise ValueError(otherwise)
    name, failed = _name(OperationName, proto.name), proto.HasField("error")
    packed = _unpacked("Backup", proto.response) if proto.done and not failed else None
    response = _or_none(_backup, packed)
    return Operation(
        name=name,
        backup=name.backup,
        database=_name(DatabaseName, made.database),
        start_time=_time(made.progress, "start_time"),
        end_time=_time_or_none(made.progress, "end_time"),
        percent=made.progress.progress_percent,
        cancel_time=_time_or_none(made, "cancel_time"),
        error=OperationError(_code(proto.error.code), proto.error.message) if failed else None,
        response=response,
        unexplained=proto.done and not failed and response is None,
    )


def _backup(proto: Any) -> Backup:  # noqa: ANN401 as above
    """Reads a backup.

    Raises:
        ValueError: Its name, or its database's, has an unknown form, or it says nothing of its times.
    """
    return Backup(
        name=_name(BackupName, proto.name),
        database=_name(DatabaseName, proto.database),
        create_time=_time(proto, "create_time"),
        expire_time=_time(proto, "expire_time"),
        size_bytes=proto.size_bytes,
        exclusive_size_bytes=proto.exclusive_size_bytes,
        freeable_size_bytes=proto.freeable_size_bytes,
        schedules=tuple(proto.backup_schedules),
        referenced_by=(*proto.referencing_databases, *proto.referencing_backups),
    )


def _or_none(read: Callable[[Any], T], proto: Any) -> T | None:  # noqa: ANN401 as above
    """What can be read; None if there is nothing, or nothing readable."""
    try:
        return None if proto is None else read(proto)
    except ValueError:
        return None


def _unpacked(kind: str, packed: Any) -> Any:  # noqa: ANN401 as above
    """The message of that kind inside a `google.protobuf.Any`; None if that holds another, or can't be read."""
    from google.cloud.spanner_admin_database_v1 import types  # noqa: PLC0415 imported when the call was made
    from google.protobuf.message import DecodeError  # noqa: PLC0415 the same

    message = getattr(types, kind).pb()()
    try:
        return message if packed.Unpack(message) else None
    except DecodeError:
        return None


def _code(number: int) -> str:
    from google.rpc.code_pb2 import Code  # noqa: PLC0415 as above

    return Code.Name(number) if number in Code.values() else "UNKNOWN"


def _name(kind: type[N], text: str) -> N:
    try:
        return kind(text)
    except ValueError as error:
        raise ValueError(f"names {text!r}, which {error}") from error


def _time(proto: Any, field: str) -> datetime:  # noqa: ANN401 as above
    time = _time_or_none(proto, field)
    if time is None:
        raise ValueError(f"has no {field}")
    return time


def _time_or_none(proto: Any, field: str) -> datetime | None:  # noqa: ANN401 as above
    stamp = getattr(proto, field)
    if not stamp.seconds and not stamp.nanos:
        return None
    if not TIME_MIN.timestamp() <= stamp.seconds < TIME_MAX.timestamp() or not 0 <= stamp.nanos < 10**9:
        raise ValueError(f"has an implausible {field}: {stamp.seconds} s after 1970")
    return TIME_MIN + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def _stamp(time: datetime) -> Any:  # noqa: ANN401 as above
    """A time as it is sent; of a `datetime` Google's client makes one by way of a number, which may round it."""
    from google.protobuf.timestamp_pb2 import Timestamp  # noqa: PLC0415 the client needs it anyway

    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp
