"""The handlers' ports over the emulators' pure states: what `backstop/gcp/` does, without a connection.

Each port takes a state, a clock, which is asked at each call, and the faults to inject. A fault hits a call before or
after its effect, under the RPC's name, as it does in the emulators' servers. What a call raises is sorted the way
`backstop/errors.py` says.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from backstop.commands import Start
from backstop.descriptions import read_backup, read_list, read_operation
from backstop.errors import TransientError, kind_of
from backstop.events import Event
from backstop.names import BackupName, DatabaseName, InstanceName, OperationName
from backstop.operations import Backup, Listing, Operation
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_event
from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.faults import Faults
from spanner_backup_emulator.messages import Message, stamp
from spanner_backup_emulator.pubsub.model import pb as pubsub
from spanner_backup_emulator.pubsub.state import State as PubSubState
from spanner_backup_emulator.spanner.messages import BY_REQUEST, pb, unpacked
from spanner_backup_emulator.spanner.state import State as SpannerState
from spanner_backup_emulator.tasks.messages import pb as wire
from spanner_backup_emulator.tasks.state import State as TasksState


class SpannerPort:
    """The `Spanner` port over the emulated backups."""

    def __init__(self, state: SpannerState, clock: Callable[[], datetime], faults: Faults | None = None) -> None:
        self._state = state
        self._clock = clock
        self._faults = faults or Faults()

    def create_backup(self, database: DatabaseName, name: BackupName, expire_time: datetime, asked: Start) -> Operation:
        """Starts a backup."""
        request = create_request(database, name.id, expire_time)
        if asked.version_time is not None:
            request.backup.version_time.CopyFrom(stamp(asked.version_time))
        if asked.encryption is not None:
            request.encryption_config.kms_key_names.extend(asked.encryption.kms_key_names)
        return _operation(self._call(request))

    def get_operation(self, name: OperationName) -> Operation:
        """Reads one operation."""
        return _operation(self._call(pb.GetOperationRequest(name=name)))

    def list_operations(
        self, instance: InstanceName, *, database: DatabaseName | None = None, backup: BackupName | None = None
    ) -> Listing:
        """Reads the backup operations, the newest start first."""
        found = self._pages(pb.ListBackupOperationsRequest(parent=instance), "operations")
        return read_list(found, _operation, database, backup)

    def cancel_operation(self, name: OperationName) -> None:
        """Asks for an operation to be stopped."""
        self._call(pb.CancelOperationRequest(name=name))

    def list_backups(self, instance: InstanceName, since: datetime) -> dict[str, bool]:
        """Reads the names of an instance's backups, and which of them schedules made."""
        request = pb.ListBackupsRequest(parent=instance, filter=f'create_time >= "{since:%Y-%m-%dT%H:%M:%SZ}"')
        return {one.name: bool(one.backup_schedules) for one in self._pages(request, "backups")}

    def get_backup(self, name: BackupName) -> Backup:
        """Reads one backup."""
        return read_backup(self._call(pb.GetBackupRequest(name=name)))

    def delete_backup(self, name: BackupName) -> None:
        """Deletes a backup; where there is none, nothing happens."""
        self._call(pb.DeleteBackupRequest(name=name))

    def set_expire_time(self, name: BackupName, expire_time: datetime) -> None:
        """Changes when a backup is removed by itself."""
        self._call(update_request(name, expire_time))

    def list_databases(self, instance: InstanceName) -> list[DatabaseName]:
        """Reads the names of an instance's databases, in alphabetical order."""
        found = self._pages(pb.ListDatabasesRequest(parent=instance), "databases")
        return sorted(DatabaseName(one.name) for one in found)

    def _pages(self, request: Message, field: str) -> list[Message]:
        found: list[Message] = []
        while True:
            page = self._call(request)
            found += getattr(page, field)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return found

    def _call(self, request: Message) -> Message:
        rpc = BY_REQUEST[type(request)]
        resource = rpc.resource_of(request)
        with _our_errors():
            self._faults.check(rpc.name, "before", resource)
            answer = self._state.apply(self._clock(), request)
            self._faults.check(rpc.name, "after", resource)
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
        post = {
            "url": self._url,
            "headers": {"Content-Type": "application/json"},
            "body": msgspec.json.encode({"messages": [message]}),
        }
        task = {"name": name, "http_request": post, "schedule_time": due}
        try:
            self._faults.check("CreateTask", "before", name)
            self._state.apply(self._clock(), wire.CreateTaskRequest(parent=self._queue, task=task))
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
            message = pubsub.PubsubMessage(data=data, attributes=attributes)
            self._state.publish(now, pubsub.PublishRequest(topic=self._topic, messages=[message]))
            self._faults.check("Publish", "after", self._topic)
        except ApiError as error:
            raise TransientError(error.code.name, f"could not publish the outcome: {error.message}") from error


def publish_of(task: Message) -> pubsub.PublishRequest:
    """What a follow-up's task asks of Pub/Sub when it is dispatched."""
    topic = task.http_request.url.partition("/v1/")[2].removesuffix(":publish")
    messages = msgspec.json.decode(task.http_request.body)["messages"]
    return pubsub.PublishRequest(
        topic=topic, messages=[{**one, "data": base64.b64decode(one["data"])} for one in messages]
    )


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turns an emulator's refusal into one of the three kinds that the handlers know."""
    try:
        yield
    except ApiError as error:
        raise kind_of(error.code.name)(error.code.name, error.message) from error


def databases_of(state: SpannerState, now: datetime, instance: str) -> dict[str, str]:
    """What the operations back up, by name; Spanner says it for 7 days, and its record never."""
    page = state.apply(now, pb.ListBackupOperationsRequest(parent=instance))
    return {one.name: getattr(unpacked(one.metadata), "database", "") for one in page.operations}


def create_request(database: str, backup_id: str, expire_time: datetime) -> Message:
    """What asks Spanner for a backup."""
    backup = {"database": database, "expire_time": stamp(expire_time)}
    parent = database.partition("/databases/")[0]
    return pb.CreateBackupRequest(parent=parent, backup_id=backup_id, backup=backup)


def update_request(backup: str, expire_time: datetime) -> Message:
    """What asks Spanner to keep a backup until another time."""
    changed = {"name": backup, "expire_time": stamp(expire_time)}
    return pb.UpdateBackupRequest(backup=changed, update_mask={"paths": ["expire_time"]})


def _operation(described: Message) -> Operation:
    metadata, failed = unpacked(described.metadata), described.HasField("error")
    return read_operation(
        described,
        made=metadata if isinstance(metadata, pb.CreateBackupMetadata) else None,
        copied=metadata if isinstance(metadata, pb.CopyBackupMetadata) else None,
        response=unpacked(described.response) if described.HasField("response") else None,
        failed=Code(described.error.code).name if failed else "",
    )
