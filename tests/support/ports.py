"""The handlers' ports over the emulators' pure states: what `backstop/gcp/` does, without a connection.

Each port takes a state, a clock, which is asked at each call, and the faults to inject. A fault hits a call before or
after its effect, under the RPC's name, as it does in the emulators' servers. What a call raises is sorted the way
`backstop/errors.py` says.
"""

from __future__ import annotations

import base64
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec

from backstop.errors import TransientError, UnhandledOperationError, kind_of
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup, Failure, Listing, Operation, Unhandled
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_event
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.pubsub.model import pb
from spanner_backup_emulator.spanner import records
from spanner_backup_emulator.spanner import requests as rpc
from spanner_backup_emulator.tasks.model import HttpRequest
from spanner_backup_emulator.tasks.requests import CreateTask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from backstop.commands import Encryption
    from backstop.events import Event
    from spanner_backup_emulator.pubsub.state import State as PubSubState
    from spanner_backup_emulator.spanner.state import State as SpannerState
    from spanner_backup_emulator.tasks.model import Task
    from spanner_backup_emulator.tasks.state import State as TasksState

R = TypeVar("R")
T = TypeVar("T")


class SpannerPort:
    """The `Spanner` port over the emulated backups."""

    def __init__(self, state: SpannerState, clock: Callable[[], datetime], faults: Faults | None = None) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults or Faults()

    def create_backup(
        self,
        database: DatabaseName,
        backup: BackupName,
        *,
        expire_time: datetime,
        version_time: datetime | None,
        encryption: Encryption | None,
    ) -> Operation:
        """Starts a backup."""
        keys = encryption.kms_key_names if encryption is not None else ()
        return _operation(
            self._call(rpc.CreateBackup(database.instance, backup.id, database, expire_time, version_time, keys))
        )

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        return _operation(self._call(rpc.GetOperation(name)))

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the backup operations, the newest start first."""
        found: list[Operation] = []
        unhandled: list[Unhandled] = []
        for record in self._pages(lambda token: rpc.ListBackupOperations(instance, "", 0, token)):
            if database in {None, record.database} and backup in {None, record.target}:
                try:
                    found.append(_operation(record))
                except UnhandledOperationError as error:
                    unhandled.append(error.unhandled)
        found.sort(key=lambda operation: operation.start_time, reverse=True)
        return Listing(tuple(found), tuple(unhandled))

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped."""
        self._call(rpc.CancelOperation(name))

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return _backup(self._call(rpc.GetBackup(name)))

    def delete_backup(self, name: BackupName) -> None:
        """Deletes a backup; where there is none, nothing happens."""
        self._call(rpc.DeleteBackup(name))

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when a backup is removed by itself."""
        self._call(rpc.UpdateBackup(name, expire_time, ("expire_time",)))

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order."""
        return sorted(
            DatabaseName(record.name) for record in self._pages(lambda token: rpc.ListDatabases(instance, "", 0, token))
        )

    def _pages(self, request: Callable[[str], rpc.Request[records.Page[T]]]) -> list[T]:
        page = self._call(request(""))
        items = list(page.items)
        while page.next_page_token:
            page = self._call(request(page.next_page_token))
            items.extend(page.items)
        return items

    def _call(self, request: rpc.Request[R]) -> R:
        method = type(request).__name__
        with _our_errors():
            self._faults.check(method, "before", request.resource)
            answer = self._state.apply(self._clock(), request)
            self._faults.check(method, "after", request.resource)
        return answer


class QueuePort:
    """The `Queue` port over the emulated Cloud Tasks."""

    def __init__(
        self, state: TasksState, clock: Callable[[], datetime], queue: str, topic: str, faults: Faults | None = None
    ) -> None:
        """Takes the full names of the queue, which must exist, and of the topic that its tasks publish to."""
        self._state = state
        self._clock = clock
        self._queue = queue
        self._url = f"https://pubsub.googleapis.com/v1/{topic}:publish"
        self._faults = faults or Faults()

    def schedule(self, identity: str, data: bytes, due: datetime) -> None:
        """Makes a task of that name; one whose name is taken is success."""
        name = f"{self._queue}/tasks/{identity}"
        message = {"data": base64.b64encode(data).decode(), "attributes": {KIND_ATTRIBUTE: KIND_FOLLOW_UP}}
        post = HttpRequest(
            self._url, {"Content-Type": "application/json"}, msgspec.json.encode({"messages": [message]})
        )
        try:
            self._faults.check("CreateTask", "before", name)
            self._state.apply(self._clock(), CreateTask(self._queue, post, name, due))
            self._faults.check("CreateTask", "after", name)
        except ApiError as error:
            if error.code is not Code.ALREADY_EXISTS:
                raise TransientError(error.code.name, f"could not schedule the follow-up: {error.message}") from error


class EventsPort:
    """The `Results` port over the emulated Pub/Sub."""

    def __init__(
        self, state: PubSubState, clock: Callable[[], datetime], topic: str, faults: Faults | None = None
    ) -> None:
        """Takes the full name of the results topic, which must exist."""
        self._state = state
        self._clock = clock
        self._topic = topic
        self._faults = faults or Faults()

    def announce_deletion(self, event: Event) -> None:
        """Writes to the log, which is elsewhere."""

    def publish(self, event: Event) -> None:
        """Publishes one event; every refusal counts as transient."""
        now = self._clock()
        data, attributes = encode_event(event, now)
        try:
            self._faults.check("Publish", "before", self._topic)
            message = pb.PubsubMessage(data=data, attributes=attributes)
            self._state.publish(now, pb.PublishRequest(topic=self._topic, messages=[message]))
            self._faults.check("Publish", "after", self._topic)
        except ApiError as error:
            raise TransientError(error.code.name, f"could not publish the outcome: {error.message}") from error


def publish_of(task: Task) -> pb.PublishRequest:
    """What a follow-up's task asks of Pub/Sub when it is dispatched."""
    topic = task.http_request.url.partition("/v1/")[2].removesuffix(":publish")
    messages = msgspec.json.decode(task.http_request.body)["messages"]
    return pb.PublishRequest(topic=topic, messages=[{**one, "data": base64.b64decode(one["data"])} for one in messages])


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turns an emulator's refusal into one of the three kinds that the handlers know."""
    try:
        yield
    except ApiError as error:
        raise kind_of(error.code.name)(error.code.name, error.message) from error


def _operation(record: records.Operation) -> Operation:
    is_copy = record.kind is not records.OperationKind.CREATE_BACKUP
    if record.progress is None or is_copy:
        why = f"it is a copy of {record.source_backup}" if is_copy else "it has no start time"
        raise UnhandledOperationError(
            Unhandled(record.name, record.target, record.database, is_copy=is_copy, done=record.done, why=why)
        )
    made = record.response
    return Operation(
        name=OperationName(record.name),
        backup=BackupName(record.target),
        database=DatabaseName(record.database),
        start_time=record.progress.start_time,
        end_time=record.progress.end_time,
        percent=record.progress.percent,
        cancel_time=record.cancel_time,
        error=Failure(record.error.code.name, record.error.message) if record.error is not None else None,
        response=_backup(made) if isinstance(made, records.Backup) else None,
    )


def _backup(record: records.Backup) -> Backup:
    return Backup(
        name=BackupName(record.name),
        database=DatabaseName(record.database),
        create_time=record.create_time,
        expire_time=record.expire_time,
        size_bytes=record.size_bytes,
        exclusive_size_bytes=record.size_bytes,
        freeable_size_bytes=record.size_bytes,
        schedules=record.backup_schedules,
        referenced_by=(*record.referencing_databases, *record.referencing_backups),
    )
