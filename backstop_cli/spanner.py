"""What Spanner says of an instance's backups and operations, by its admin client, within its quota."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backstop_cli.clients import Pace, client

PAGE_SIZE = 1000
"""10,000 operations are 10 calls, two seconds of the quota."""

FEW = 5
"""A second's worth of Spanner's quota."""

_TYPE = "metadata.@type:type.googleapis.com/google.spanner.admin.database.v1"


@dataclass(frozen=True, slots=True)
class Operation:
    """One attempt to make a backup."""

    name: str  # The operation's full name.
    backup: str  # The backup that it makes.
    database: str  # What it backs up.
    started: datetime | None  # When Spanner began.
    percent: int  # How far it is.
    cancelled: datetime | None  # When somebody asked for it to be stopped.
    ended: datetime | None  # When it was over; None while it runs.
    done: bool  # Whether it is over.
    error: str  # The code's name and Google's words; empty without an error.
    code: int  # The code's number; 0 without an error.
    made: datetime | None  # The create time of the backup that it made.

    @property
    def state(self) -> str:
        """One word for how things stand."""
        if not self.done:
            return "CANCELLING" if self.cancelled else "RUNNING"
        return {0: "SUCCEEDED", 1: "CANCELLED"}.get(self.code, "FAILED")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a backup that is being made; Backstop leaves them alone."""

    backup: str  # The backup that it makes.
    source: str  # The backup that it copies.
    operation: str  # The operation's full name.
    started: datetime | None  # When Spanner began.
    percent: int  # How far it is.


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup as Spanner has it now."""

    name: str  # Its full name.
    database: str  # What it is of.
    state: str  # CREATING or READY.
    created: datetime | None  # When its operation began.
    version_time: datetime | None  # The moment whose data it holds.
    expires: datetime | None  # When Spanner removes it by itself.
    size_bytes: int  # How large it is.
    freeable_bytes: int  # What deleting it frees.
    exclusive_bytes: int  # What is billed for it alone.
    schedules: tuple[str, ...]  # The native schedules that made it.
    used_by: tuple[str, ...]  # The databases and backups that still need it.
    encryption: str  # How it is encrypted.


def strays(operations: Iterable[Operation], backups: Iterable[Backup]) -> list[dict[str, Any]]:
    """The backups that are there although somebody asked for them to be stopped before they were complete."""
    ready = {(one.name, one.created): one for one in backups if one.state == "READY"}
    found = []
    for one in operations:
        backup = ready.get((one.backup, one.made))
        if backup is not None and one.cancelled and one.ended and one.cancelled <= one.ended:
            found.append(
                {
                    "backup": one.backup,
                    "database": one.database,
                    "operation": one.name,
                    "cancel_requested": one.cancelled,
                    "completed": one.ended,
                    "expires": backup.expires,
                    "freeable_bytes": backup.freeable_bytes,
                    "scheduled": bool(backup.schedules),
                }
            )
    return found


class Spanner:
    """The admin API, for one run of a command."""

    def __init__(self) -> None:
        self._client = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
        self._pace = Pace()

    def operations(self, instance: str) -> list[Operation]:
        """The attempts of the last 7 days, newest start first."""
        listed = self._operations(instance, f"({_TYPE}.CreateBackupMetadata)")
        found = [operation for one in listed if (operation := _operation(one)) is not None]
        found.sort(key=lambda one: one.started.timestamp() if one.started else 0.0, reverse=True)
        return found

    def copies(self, instance: str) -> list[Copy]:
        """The copies that are being made."""
        listed = self._operations(instance, f"({_TYPE}.CopyBackupMetadata) AND (done:false)")
        return [copy for one in listed if not one.done and (copy := _copy(one)) is not None]

    def _operations(self, instance: str, text: str) -> list[Any]:
        from google.api_core.exceptions import InvalidArgument

        try:
            return self._list("backup_operations", "operations", instance, text)
        except InvalidArgument:  # Filters on metadata have been broken before, and save bandwidth only.
            return self._list("backup_operations", "operations", instance, "")

    def backups(self, instance: str) -> list[Backup]:
        """The instance's backups."""
        return [_backup(one) for one in self._list("backups", "backups", instance, "")]

    def suspects(self, instance: str, operations: Iterable[Operation]) -> list[Backup]:
        """The backups that may be strays."""
        return self.named(instance, [one.backup for one in operations if one.cancelled and one.made])

    def named(self, instance: str, names: Sequence[str]) -> list[Backup]:
        """The backups of these names, and others too where they are many: a list may have many pages."""
        if len(names) > FEW:
            return self.backups(instance)
        return [found for name in names if (found := self.backup(name)) is not None]

    def databases(self, instance: str) -> dict[str, datetime | None]:
        """The full names of the instance's databases, in order, and when each was created."""
        found = self._list("databases", "databases", instance)
        return {one.name: _time(one, "create_time") for one in sorted(found, key=lambda one: str(one.name))}

    def operation(self, name: str) -> Operation | None:
        """One attempt; None if Spanner doesn't know it."""
        return _operation(found) if (found := self._get("get_operation", name)) is not None else None

    def backup(self, name: str) -> Backup | None:
        """One backup; None if there is none of that name."""
        found = self._get("get_backup", name)
        return _backup(type(found).pb(found)) if found is not None else None

    def probe(self, what: str, get: str, instance: str) -> str:
        """Lists one of an instance's backups or operations and reads it again: who lacks a permission is refused."""
        page = self._call(f"list_{what}", {"parent": instance, "page_size": 1})
        one = next(iter(getattr(page, what.rpartition("_")[2])), None)
        if one is None:
            return "can be listed; there is none to be read"
        self._get(get, one.name)
        return "can be listed and read"

    def _get(self, what: str, name: str) -> Any:
        from google.api_core.exceptions import NotFound

        try:
            return self._call(what, {"name": name})
        except NotFound:
            return None

    def _list(self, what: str, field: str, instance: str, text: str | None = None) -> list[Any]:
        request: dict[str, object] = {"parent": instance, "page_size": PAGE_SIZE}
        if text is not None:
            request["filter"] = text
        found = list[Any]()
        while True:
            page = self._call(f"list_{what}", request)
            items: Iterable[Any] = getattr(page, field)
            found += (type(item).pb(item) if hasattr(type(item), "pb") else item for item in items)
            if not page.next_page_token:
                return found
            request["page_token"] = page.next_page_token

    def _call(self, method: str, request: object) -> Any:
        return self._pace.make(getattr(self._client, method), request)


def _operation(proto: Any) -> Operation | None:
    """Reads one operation; None for what makes no backup of a database, such as a copy."""
    from google.cloud.spanner_admin_database_v1 import types
    from google.rpc import code_pb2

    metadata, response = types.CreateBackupMetadata.pb()(), types.Backup.pb()()
    if not proto.metadata.Unpack(metadata):
        return None
    failed = proto.HasField("error")
    made = _time(response, "create_time") if proto.HasField("response") and proto.response.Unpack(response) else None
    progress = metadata.progress
    return Operation(
        name=proto.name,
        backup=metadata.name,
        database=metadata.database,
        started=_time(progress, "start_time"),
        percent=progress.progress_percent,
        cancelled=_time(metadata, "cancel_time"),
        ended=_time(progress, "end_time"),
        done=proto.done,
        error=f"{code_pb2.Code.Name(proto.error.code)}: {proto.error.message}" if failed else "",
        code=proto.error.code if failed else 0,
        made=made,
    )


def _copy(proto: Any) -> Copy | None:
    from google.cloud.spanner_admin_database_v1 import types

    metadata = types.CopyBackupMetadata.pb()()
    if not proto.metadata.Unpack(metadata):
        return None
    started, percent = _time(metadata.progress, "start_time"), metadata.progress.progress_percent
    return Copy(metadata.name, metadata.source_backup, proto.name, started, percent)


def _backup(proto: Any) -> Backup:
    from google.cloud.spanner_admin_database_v1 import types

    kind = types.EncryptionInfo.Type(proto.encryption_info.encryption_type).name
    keys = [one.kms_key_version for one in proto.encryption_information] or [proto.encryption_info.kms_key_version]
    return Backup(
        name=proto.name,
        database=proto.database,
        state=types.Backup.State(proto.state).name,
        created=_time(proto, "create_time"),
        version_time=_time(proto, "version_time"),
        expires=_time(proto, "expire_time"),
        size_bytes=proto.size_bytes,
        freeable_bytes=proto.freeable_size_bytes,
        exclusive_bytes=proto.exclusive_size_bytes,
        schedules=tuple(proto.backup_schedules),
        used_by=(*proto.referencing_databases, *proto.referencing_backups),
        encryption=", ".join([kind, *filter(None, keys)]) if kind != "TYPE_UNSPECIFIED" else "",
    )


def _time(proto: Any, field: str) -> datetime | None:
    if not proto.HasField(field):
        return None
    found: datetime = getattr(proto, field).ToDatetime(tzinfo=UTC)
    return found
