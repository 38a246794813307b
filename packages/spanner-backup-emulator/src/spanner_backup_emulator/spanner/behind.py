# ruff: noqa: N802 - the hooks are named as Google names its methods.
"""In front of Google's emulator: backups, restores, copies and their operations are answered here, all else there.

What isn't ours is carried as raw bytes, streams included, so that whatever Google's emulator learns works at once. A
backup's contents are copied when it is created, as of its version time, and put into a new database as soon as its
restore is seen to have ended, before the call that sees it is answered. This emulator does nothing between calls.
Rows are carried as Spanner encodes them, so a value comes back as it was whatever its type. The schema is the one of
the moment of the copy, not that of the version time: Google's emulator shows no older one.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import Any, NoReturn, TypeAlias

import grpc
from google.cloud.spanner_v1 import types

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.messages import Classes, Message, stamp, time_of
from spanner_backup_emulator.rpc import CALL_S_MAX, abort, encoded
from spanner_backup_emulator.serving import Endpoint
from spanner_backup_emulator.spanner.messages import pb, unpacked
from spanner_backup_emulator.spanner.plans import parse_duration
from spanner_backup_emulator.spanner.state import State
from spanner_backup_emulator.spanner.work import Resource

Call: TypeAlias = Callable[..., Message]
"""Has a call answered, by a message or by its bytes."""

Context: TypeAlias = grpc.ServicerContext
Details: TypeAlias = grpc.HandlerCallDetails
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]

_DETAILS = "grpc-status-details-bin"
_OF_TRANSPORT = ("grpc-", "user-agent", ":", "content-type")
_UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))

FOREVER_S = 1e9
"""For a call without a limit, which for gRPC is one that lies this far ahead, or farther."""

CELL_COUNT_MAX = 20_000
"""Values in one commit: a quarter of what the service takes, as indexes count too
(https://docs.cloud.google.com/spanner/quotas#limits-for, documented)."""

sql = Classes(types)

_SERVICES = {"google.spanner.v1": "Spanner", "google.spanner.admin.database.v1": "DatabaseAdmin"}
"""By package."""

_DIALECT = "SELECT option_value FROM information_schema.database_options WHERE option_name = 'database_dialect'"
_COLUMNS = """
SELECT t.table_schema, t.table_name, t.parent_table_name, c.column_name
FROM information_schema.tables AS t JOIN information_schema.columns AS c
ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
AND LOWER(t.table_schema) NOT IN ('information_schema', 'spanner_sys', 'pg_catalog')
ORDER BY t.table_schema, t.table_name, c.ordinal_position
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Contents:
    """A database's dialect, schema and rows, the latter as what would write them."""

    dialect: int
    statements: Sequence[str]
    proto_descriptors: bytes
    tables: Sequence[Message]


class Store:
    """Google's emulator, as the place where the rows are; what it refuses is gRPC's error."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel: Any = channel

    def database(self, name: str) -> Message:
        """The database of that name; it doesn't say the dialect (observed on 2026-11-26)."""
        return self._call(pb.GetDatabaseRequest(name=name), pb.Database)

    def dialect(self, database: str) -> str:
        """In which dialect the database is queried."""
        with self._session(database) as session:
            ((name,),) = self._texts(session, _DIALECT)
        return name

    def copy(self, backup: Message, proto_descriptors: bytes) -> Contents:
        """Reads everything as of the backup's version time; the descriptors are given, as they can't be read."""
        ddl = self._call(pb.GetDatabaseDdlRequest(database=backup.database), pb.GetDatabaseDdlResponse)
        with self._session(backup.database) as session:
            tables = list(self._tables(session, backup))
        return Contents(backup.database_dialect, ddl.statements, proto_descriptors, tables)

    def put(self, database: str, contents: Contents) -> None:
        """Makes a new database with these contents.

        Google's emulator has made a database, or changed its schema, when it answers (observed on 2026-11-27).
        """
        parent, _, database_id = database.partition("/databases/")
        mark = _quote(contents.dialect)
        create = pb.CreateDatabaseRequest(parent=parent, database_dialect=contents.dialect)
        create.create_statement = f"CREATE DATABASE {mark}{database_id}{mark}"
        self._call(create, pb.Operation)
        if contents.statements:
            change = pb.UpdateDatabaseDdlRequest(database=database, statements=contents.statements)
            change.proto_descriptors = contents.proto_descriptors
            self._call(change, pb.Operation)
        with self._session(database) as session:
            for mutations in _batches(contents.tables):
                commit = sql.CommitRequest(session=session, mutations=mutations)
                commit.single_use_transaction.read_write.SetInParent()
                self._call(commit, sql.CommitResponse)

    def _call(self, request: Message, answer: Message) -> Message:
        """Makes the call that the class of the request is named after."""
        package, _, name = request.DESCRIPTOR.full_name.removesuffix("Request").rpartition(".")
        method = f"/{package}.{_SERVICES[package]}/{name}"
        call = self._channel.unary_unary(method, type(request).SerializeToString, answer.FromString)
        return call(request, timeout=CALL_S_MAX)

    @contextmanager
    def _session(self, database: str) -> Iterator[str]:
        session = self._call(sql.CreateSessionRequest(database=database), sql.Session).name
        try:
            yield session
        finally:
            self._call(sql.DeleteSessionRequest(name=session), pb.Empty)

    def _tables(self, session: str, backup: Message) -> Iterator[Message]:
        columns: defaultdict[str, list[str]] = defaultdict(list)
        parents: dict[str, list[str]] = {}
        for schema, table, parent, column in self._texts(session, _COLUMNS):
            name = _full(schema, table)
            columns[name].append(column)
            parents[name] = [_full(schema, parent)] if parent else []
        mark = _quote(backup.database_dialect)
        for name in TopologicalSorter(parents).static_order():
            # A column may be called like its table.
            listed = ", ".join(f"held.{mark}{column}{mark}" for column in columns[name])
            source = ".".join(f"{mark}{part}{mark}" for part in name.split("."))
            rows = self._rows(session, f"SELECT {listed} FROM {source} AS held", backup.version_time)  # noqa: S608 - names that the database gave
            yield sql.Mutation.Write(table=name, columns=columns[name], values=rows)

    def _texts(self, session: str, statement: str) -> list[list[str]]:
        return [[value.string_value for value in row.values] for row in self._rows(session, statement, None)]

    def _rows(self, session: str, statement: str, at: Message) -> Message:
        read = {"read_only": {"read_timestamp": at} if at else {"strong": True}}
        request = sql.ExecuteSqlRequest(session=session, sql=statement, transaction={"single_use": read})
        return self._call(request, sql.ResultSet).rows


def _batches(tables: Sequence[Message]) -> Iterator[list[Message]]:
    """As few commits as the limit allows: within one, foreign keys may point anywhere."""
    batch: list[Message] = []
    cells = 0
    for table in tables:
        for row in table.values:
            if cells + len(table.columns) > CELL_COUNT_MAX:
                yield batch
                batch, cells = [], 0
            batch.append(sql.Mutation(insert={"table": table.table, "columns": table.columns, "values": [row]}))
            cells += len(table.columns)
    if batch:
        yield batch


def _full(schema: str, table: str) -> str:
    """A table's name in mutations; the two default schemas aren't written."""
    return f"{schema}.{table}" if schema not in {"", "public"} else table


def _quote(dialect: int) -> str:
    return '"' if dialect == pb.DatabaseDialect.POSTGRESQL else "`"


class Behind(grpc.ServerInterceptor):
    """Decides of each call which of the two emulators answers it."""

    def __init__(self, address: str, endpoint: Endpoint, state: State) -> None:
        self._channel: Any = grpc.insecure_channel(address, options=_UNLIMITED)
        self._store = Store(self._channel)
        self._endpoint = endpoint
        self._state = state
        self._contents: dict[int, Contents] = {}
        self._restores: dict[str, tuple[str, Contents]] = {}
        self._descriptors: dict[str, bytes] = {}

    def close(self) -> None:
        """Lets go of Google's emulator."""
        self._channel.close()

    def intercept_service(self, continuation: Callable[[Details], Handler], handler_call_details: Details) -> Handler:
        """Finds who answers a method."""
        method = handler_call_details.method
        name = method.rpartition("/")[2]
        hook = getattr(self, f"_{name}", None)
        ours = continuation(handler_call_details) if hook is not None or "Backup" in name else None
        if ours is None:
            return grpc.stream_stream_rpc_method_handler(partial(self._carry, method))
        work: Call = ours.unary_unary  # type: ignore[assignment]  # each of them has one answer
        answer = partial(self._answer, method, work, hook)
        return grpc.unary_unary_rpc_method_handler(answer, ours.request_deserializer, encoded)

    def _carry(self, method: str, requests: Iterator[bytes], context: Context) -> Iterator[bytes]:
        """Carries any call, of one message or of a stream each way, which look the same on the wire."""
        self._settle()
        call = self._channel.stream_stream(method)(requests, *_as_asked(context))
        if not context.add_callback(call.cancel):
            return
        try:
            context.send_initial_metadata(_without_transport(call.initial_metadata()))
            yield from call
        except grpc.RpcError as error:
            _abort_like(context, error)
        context.set_trailing_metadata(_without_transport(call.trailing_metadata()))

    def _answer(self, method: str, work: Call, hook: Call | None, request: Message, context: Context) -> Message:
        def there() -> Message:
            return self._channel.unary_unary(method)(request.SerializeToString(), *_as_asked(context))

        here = partial(work, request, context)
        try:
            with self._endpoint.lock:
                self._settle()
                return here() if hook is None else hook(request, here, there)
        except grpc.RpcError as error:
            _abort_like(context, error)
        except ApiError as error:
            abort(context, error)

    def _settle(self) -> None:
        """Puts back what restores that have ended were to bring, and forgets what no backup holds any more."""
        with self._endpoint.lock:
            self._state.advance(self._endpoint.clock())
            for database, (operation, contents) in list(self._restores.items()):
                work = self._state.works.get(operation)
                if work is None or work.operation.done:
                    del self._restores[database]
                if work is not None and work.operation.HasField("response"):
                    try:
                        self._store.put(database, contents)
                        self._descriptors[database] = contents.proto_descriptors
                    except grpc.RpcError:
                        logger.exception("%s could not be restored", database)
            for key in self._contents.keys() - {backup.uid for backup in self._state.backups.values()}:
                del self._contents[key]

    # What is done besides the answer, or in its place; each has the name of its method.

    def _CreateBackup(self, request: Message, here: Call, _: Call) -> Message:
        self._know(request.backup.database)
        operation = here()
        self._contents_of(self._state.backups[f"{request.parent}/backups/{request.backup_id}"])
        return operation

    def _CreateBackupSchedule(self, request: Message, here: Call, _: Call) -> Message:
        self._know(request.parent)
        return here()

    _ListBackupSchedules = _CreateBackupSchedule

    def _CopyBackup(self, request: Message, here: Call, _: Call) -> Message:
        operation, backups = here(), self._state.backups
        made = backups[f"{request.parent}/backups/{request.backup_id}"]
        self._contents[made.uid] = self._contents_of(backups[request.source_backup])
        return operation

    def _RestoreDatabase(self, request: Message, here: Call, _: Call) -> Message:
        database = f"{request.parent}/databases/{request.database_id}"
        try:
            self._know(database)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            if database not in self._restores:
                self._state.forget_database(self._endpoint.clock(), database)
        operation = here()
        self._restores[database] = (operation.name, self._contents_of(self._state.backups[request.backup]))
        return operation

    def _contents_of(self, backup: Resource) -> Contents:
        """What a backup holds; one that no client asked for, as a schedule's, is copied when it is first needed."""
        if backup.uid not in self._contents:
            descriptors = self._descriptors.get(backup.message.database, b"")
            self._contents[backup.uid] = self._store.copy(backup.message, descriptors)
        return self._contents[backup.uid]

    def _CreateDatabase(self, request: Message, _: Call, there: Call) -> Message:
        answer = there()
        if request.proto_descriptors:
            # Google's emulator takes them and never shows them again (observed on 2026-11-26).
            changed = unpacked(pb.Operation.FromString(answer).metadata).database
            self._descriptors[changed] = request.proto_descriptors
        return answer

    _UpdateDatabaseDdl = _CreateDatabase

    def _GetDatabase(self, request: Message, here: Call, there: Call) -> Message:
        if request.name in self._restores:
            return here()
        theirs = pb.Database.FromString(there())
        kept_since = self._endpoint.clock() - parse_duration(theirs.version_retention_period or "1h")
        theirs.earliest_version_time.CopyFrom(stamp(max(kept_since, time_of(theirs.create_time))))
        self._add_origin(theirs)
        return theirs

    def _ListDatabases(self, _: Message, __: Call, there: Call) -> Message:
        listed = pb.ListDatabasesResponse.FromString(there())
        for database in listed.databases:
            self._add_origin(database)
        return listed

    def _DropDatabase(self, request: Message, _: Call, there: Call) -> Message:
        self._state.check_droppable(request.database)
        answer = there()
        self._state.forget_database(self._endpoint.clock(), request.database)
        self._descriptors.pop(request.database, None)
        return answer

    def _ListDatabaseOperations(self, _: Message, here: Call, __: Call) -> Message:
        """Ours alone: Google's emulator keeps no such list (observed on 2026-11-26)."""
        return here()

    def _GetOperation(self, request: Message, here: Call, there: Call) -> Message:
        ours = "/backups/" in request.name or request.name in self._state.works
        return here() if ours else there()

    _CancelOperation = _ListOperations = _GetOperation

    def _know(self, name: str) -> None:
        """Makes Google's database of that name known to the state as well; or raises Google's refusal."""
        theirs = self._store.database(name)
        if name not in self._state.databases:
            dialect = self._store.dialect(name)
            self._state.add_database(name, create_time=theirs.create_time, database_dialect=dialect)

    def _add_origin(self, theirs: Message) -> None:
        """Adds to a database of Google's what only we know: where it was restored from, its key, and its state."""
        ours = self._state.databases.get(theirs.name)
        if ours is not None and ours.message.HasField("restore_info"):
            for field in ("restore_info", "encryption_config"):
                theirs.ClearField(field)
                getattr(theirs, field).CopyFrom(getattr(ours.message, field))
            theirs.database_dialect, theirs.state = ours.message.database_dialect, ours.message.state


def _as_asked(context: Context) -> tuple[float, Metadata]:
    """How long the client still waits and its metadata: what a call is passed on with."""
    return min(context.time_remaining() or FOREVER_S, FOREVER_S), _without_transport(context.invocation_metadata())


def _without_transport(metadata: Iterable[Any] | None) -> Metadata:
    """What a peer said itself; what gRPC adds is added again on the way on."""
    return tuple(one for one in metadata or () if one[0] == _DETAILS or not one[0].startswith(_OF_TRANSPORT))


def _abort_like(context: Context, error: Any) -> NoReturn:  # noqa: ANN401 gRPC's class says less than it has
    context.set_trailing_metadata(_without_transport(error.trailing_metadata()))
    context.abort(error.code(), error.details())
