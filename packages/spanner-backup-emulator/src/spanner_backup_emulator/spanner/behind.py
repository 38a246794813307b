# ruff: noqa: N802 - the methods are named as Google names them.
"""In front of Google's emulator: backups, restores, copies and their operations are answered here, all else there.

What isn't ours is carried as raw bytes, streams included, so that whatever Google's emulator learns works at once. A
backup's contents are copied when it is created, as of its version time, and put into a new database as soon as its
restore is seen to have ended, before the call that sees it is answered. This emulator does nothing between calls.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.cloud.spanner_admin_database_v1 import types as pb
from google.longrunning import operations_pb2

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.rpc import serialized
from spanner_backup_emulator.serving import abort
from spanner_backup_emulator.spanner import refusals, wire
from spanner_backup_emulator.spanner.contents import Store
from spanner_backup_emulator.spanner.planning import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from spanner_backup_emulator.serving import Endpoint
    from spanner_backup_emulator.spanner.contents import Contents
    from spanner_backup_emulator.spanner.records import Backup, Database
    from spanner_backup_emulator.spanner.state import State

    Handler = grpc.RpcMethodHandler[Any, Any]

_ADMIN = "/google.spanner.admin.database.v1.DatabaseAdmin/"
_OPERATIONS = "/google.longrunning.Operations/"

_OURS = frozenset(
    f"{_ADMIN}{name}"
    for name in (
        "CreateBackup",
        "CopyBackup",
        "RestoreDatabase",
        "GetBackup",
        "UpdateBackup",
        "DeleteBackup",
        "ListBackups",
        "ListBackupOperations",
        "CreateBackupSchedule",
        "GetBackupSchedule",
        "UpdateBackupSchedule",
        "DeleteBackupSchedule",
        "ListBackupSchedules",
    )
)
_SHARED = frozenset(
    f"{_ADMIN}{name}"
    for name in (
        "CreateDatabase",
        "UpdateDatabaseDdl",
        "GetDatabase",
        "ListDatabases",
        "ListDatabaseOperations",
        "DropDatabase",
    )
) | {f"{_OPERATIONS}{name}" for name in ("GetOperation", "CancelOperation", "ListOperations")}

_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

logger = logging.getLogger(__name__)


class Behind(grpc.ServerInterceptor):
    """Decides of each call which of the two emulators answers it."""

    def __init__(self, address: str, endpoint: Endpoint, state: State) -> None:
        self._channel = grpc.insecure_channel(address, options=_UNLIMITED)
        self._store = Store(self._channel)
        self._endpoint = endpoint
        self._state = state
        self._contents: dict[tuple[str, datetime], Contents] = {}
        self._restores: dict[str, tuple[str, Contents]] = {}
        self._descriptors: dict[str, bytes] = {}

    def close(self) -> None:
        """Lets go of Google's emulator."""
        self._channel.close()

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Finds who answers a method."""
        method = handler_call_details.method
        if method not in _OURS | _SHARED:
            return grpc.stream_stream_rpc_method_handler(self._carrier(method))
        ours = continuation(handler_call_details)
        assert ours is not None  # noqa: S101 each of these is served here too
        return grpc.unary_unary_rpc_method_handler(self._answerer(method, ours), ours.request_deserializer, _encoded)

    def _carrier(self, method: str) -> Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]:
        """Carries any call, of one message or of a stream each way, which look the same on the wire."""

        def carry(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            self._settle()
            forward: Callable[..., Any] = self._channel.stream_stream(method)
            call = forward(requests, _seconds(context), _metadata(context))
            if not context.add_callback(call.cancel):
                return
            try:
                context.send_initial_metadata(_without_transport(call.initial_metadata()))
                yield from call
            except grpc.RpcError as error:
                _abort_like(context, error)
            context.set_trailing_metadata(_without_transport(call.trailing_metadata()))

        return carry

    def _answerer(self, method: str, ours: Handler) -> Callable[[Any, grpc.ServicerContext], Any]:
        work: Callable[..., Any] = ours.unary_unary  # type: ignore[assignment]  # each of them has one answer
        forward: Callable[..., bytes] = self._channel.unary_unary(method)
        change = getattr(self, f"_{method.rpartition('/')[2]}", None)

        def answer(request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 any method's
            def here() -> Any:  # noqa: ANN401 any method's
                return work(request, context)

            def there() -> Any:  # noqa: ANN401 any method's
                return forward(serialized(request), _seconds(context), _metadata(context))

            try:
                with self._endpoint.lock:
                    self._settle()
                    return here() if change is None else change(request, here, there)
            except grpc.RpcError as error:
                _abort_like(context, error)
            except GoogleAPICallError as error:
                _abort_like(context, error.errors[0])  # It is made of gRPC's own.
            except ApiError as error:
                abort(context, error)

        return answer

    def _settle(self) -> None:
        """Puts back what restores that have ended were to bring, and forgets what no backup holds any more."""
        with self._endpoint.lock:
            now = self._endpoint.clock()
            self._state.advance(now)
            for name in list(self._restores):
                operation = self._state.find_operation(name)
                if operation is not None and not operation.done:
                    continue
                database, contents = self._restores.pop(name)
                if operation is None or operation.error is not None:
                    continue
                try:
                    self._store.put(database, contents)
                    self._note_descriptors(database, contents.proto_descriptors)
                except GoogleAPICallError:
                    logger.exception("%s could not be restored", database)
            held = {(backup.name, backup.create_time) for backup in self._state.backups.values()}
            for key in self._contents.keys() - held:
                del self._contents[key]

    # What is done besides the answer, or in its place; each has the name of its method.

    def _CreateBackup(self, request: pb.CreateBackupRequest, here: Callable[[], Any], _: object) -> Any:  # noqa: ANN401
        self._known(request.backup.database)
        operation = here()
        self._contents_of(self._state.backups[f"{request.parent}/backups/{request.backup_id}"])
        return operation

    def _CreateBackupSchedule(self, request: pb.CreateBackupScheduleRequest, here: Callable[[], Any], _: object) -> Any:  # noqa: ANN401
        self._known(request.parent)
        return here()

    def _ListBackupSchedules(self, request: pb.ListBackupSchedulesRequest, here: Callable[[], Any], _: object) -> Any:  # noqa: ANN401
        self._known(request.parent)
        return here()

    def _CopyBackup(self, request: pb.CopyBackupRequest, here: Callable[[], Any], _: object) -> Any:  # noqa: ANN401
        source = self._state.backups.get(request.source_backup)
        operation = here()
        made = self._state.backups[f"{request.parent}/backups/{request.backup_id}"]
        if source is not None:
            self._contents[made.name, made.create_time] = self._contents_of(source)
        return operation

    def _RestoreDatabase(self, request: pb.RestoreDatabaseRequest, here: Callable[[], Any], _: object) -> Any:  # noqa: ANN401
        database = f"{request.parent}/databases/{request.database_id}"
        try:
            self._known(database)
        except GoogleAPICallError as error:
            if error.grpc_status_code is not grpc.StatusCode.NOT_FOUND:
                raise
            if database not in {name for name, _ in self._restores.values()}:
                self._state.forget_database(self._endpoint.clock(), database)
        source = self._state.backups.get(request.backup)
        operation = here()
        if source is not None:
            self._restores[operation.name] = (database, self._contents_of(source))
        return operation

    def _contents_of(self, backup: Backup) -> Contents:
        """What a backup holds; one that no client asked for, as a schedule's, is copied when it is first needed."""
        key = backup.name, backup.create_time
        if key not in self._contents:
            dialect = pb.DatabaseDialect.__members__[backup.dialect]
            descriptors = self._descriptors.get(backup.database, b"")
            self._contents[key] = self._store.copy(backup.database, dialect, backup.version_time, descriptors)
        return self._contents[key]

    def _CreateDatabase(self, request: pb.CreateDatabaseRequest, _: object, there: Callable[[], Any]) -> Any:  # noqa: ANN401
        answer = there()
        made = pb.CreateDatabaseMetadata.deserialize(operations_pb2.Operation.FromString(answer).metadata.value)
        self._note_descriptors(made.database, request.proto_descriptors)
        return answer

    def _UpdateDatabaseDdl(self, request: pb.UpdateDatabaseDdlRequest, _: object, there: Callable[[], Any]) -> Any:  # noqa: ANN401
        answer = there()
        self._note_descriptors(request.database, request.proto_descriptors)
        return answer

    def _note_descriptors(self, database: str, descriptors: bytes) -> None:
        """Remembers what Google's emulator takes and never shows again (observed on 2026-11-26)."""
        if descriptors:
            self._descriptors[database] = descriptors

    def _GetDatabase(self, request: pb.GetDatabaseRequest, here: Callable[[], Any], there: Callable[[], Any]) -> Any:  # noqa: ANN401
        ours = self._state.find_database(request.name)
        if request.name in {name for name, _ in self._restores.values()}:
            return here()
        theirs = pb.Database.deserialize(there())
        kept_since = self._endpoint.clock() - parse_duration(theirs.version_retention_period or "1h")
        theirs.earliest_version_time = max(kept_since, wire.plain_time(theirs.create_time) or kept_since)
        return theirs if ours is None else _with_origin(theirs, ours)

    def _ListDatabases(self, _: object, __: object, there: Callable[[], Any]) -> Any:  # noqa: ANN401
        listed = pb.ListDatabasesResponse.deserialize(there())
        for index, database in enumerate(listed.databases):
            ours = self._state.find_database(database.name)
            if ours is not None:
                listed.databases[index] = _with_origin(database, ours)
        return listed

    def _DropDatabase(self, request: pb.DropDatabaseRequest, _: object, there: Callable[[], Any]) -> Any:  # noqa: ANN401
        if self._state.is_being_backed_up(request.database):
            raise refusals.drop_blocked(request.database)
        answer = there()
        self._state.forget_database(self._endpoint.clock(), request.database)
        self._descriptors.pop(request.database, None)
        return answer

    def _ListDatabaseOperations(
        self, request: pb.ListDatabaseOperationsRequest, here: Callable[[], Any], there: Callable[[], Any]
    ) -> Any:  # noqa: ANN401
        """Ours first, then theirs from the page after our last one on; a token of theirs is told by its mark."""
        if request.page_token.startswith(_THEIRS):
            request.page_token = request.page_token.removeprefix(_THEIRS)
            return _theirs(pb.ListDatabaseOperationsResponse.deserialize(there()))
        ours = here()
        if ours.next_page_token:
            return ours
        request.page_token = ""
        try:
            theirs = _theirs(pb.ListDatabaseOperationsResponse.deserialize(there()))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            return ours  # Google's emulator keeps no such list; observed on 2026-11-26.
        ours.operations.extend(theirs.operations)
        ours.next_page_token = theirs.next_page_token
        return ours

    def _GetOperation(self, request: Any, here: Callable[[], Any], there: Callable[[], Any]) -> Any:  # noqa: ANN401
        return here() if self._is_ours(request.name) else there()

    _CancelOperation = _ListOperations = _GetOperation

    def _is_ours(self, name: str) -> bool:
        return "/backups/" in name or self._state.find_operation(name) is not None

    def _known(self, name: str) -> Database:
        """Google's database of that name, made known to the state as well; or Google's refusal."""
        theirs = self._store.database(name)
        known = self._state.find_database(name)
        if known is None:
            create_time = wire.plain_time(theirs.create_time)
            known = self._state.add_database(name, create_time=create_time, dialect=self._store.dialect(name).name)
        return known


_THEIRS = "google:"


def _theirs(page: pb.ListDatabaseOperationsResponse) -> pb.ListDatabaseOperationsResponse:
    if page.next_page_token:
        page.next_page_token = _THEIRS + page.next_page_token
    return page


def _with_origin(theirs: pb.Database, ours: Database) -> pb.Database:
    """A database of Google's, with what only we know: where it was restored from, its key, and that it is optimized."""
    shown = wire.database(ours)
    if "restore_info" in shown:
        theirs.restore_info = shown.restore_info
        theirs.database_dialect = shown.database_dialect
        theirs.encryption_config = shown.encryption_config
        theirs.state = shown.state
    return theirs


def _encoded(response: Any) -> bytes:  # noqa: ANN401 a message, or what came as bytes
    return response if isinstance(response, bytes) else serialized(response)


def _seconds(context: grpc.ServicerContext) -> float | None:
    """How long the client still waits; None without a limit."""
    left = context.time_remaining() or math.inf
    return left if left < _FOREVER_S else None


_FOREVER_S = 1e9
"""gRPC says that no limit is one that lies this far ahead, or farther."""


def _metadata(context: grpc.ServicerContext) -> tuple[tuple[str, str | bytes], ...]:
    return _without_transport(context.invocation_metadata())


def _without_transport(metadata: Iterable[Any] | None) -> tuple[tuple[str, str | bytes], ...]:
    """What a peer said itself; what gRPC adds is added again on the way on."""
    return tuple(
        (key, value)
        for key, value in metadata or ()
        if key == "grpc-status-details-bin" or not key.startswith(("grpc-", "user-agent", ":", "content-type"))
    )


def _abort_like(context: grpc.ServicerContext, error: Any) -> NoReturn:  # noqa: ANN401 gRPC's class says less than it has
    context.set_trailing_metadata(_without_transport(error.trailing_metadata()))
    context.abort(error.code(), error.details())
