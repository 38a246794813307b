"""What a database holds, read from Google's emulator and written to it again.

Rows are carried as Spanner encodes them, so a value comes back as it was whatever its type. The schema is the one of
the moment of the copy, not that of the version time: Google's emulator shows no older one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import grpc
from google.cloud.spanner_v1 import types

from spanner_backup_emulator.messages import Classes, Message
from spanner_backup_emulator.rpc import CALL_S_MAX
from spanner_backup_emulator.spanner.messages import pb

CELL_COUNT_MAX = 20_000
"""Values in one commit: a quarter of what the service takes, as indexes count too.

https://docs.cloud.google.com/spanner/quotas#limits-for, documented.
"""

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

    def _rows(self, session: str, statement: str, at: Message) -> Sequence[Message]:
        read = {"read_timestamp": at} if at else {"strong": True}
        transaction = {"single_use": {"read_only": read}}
        request = sql.ExecuteSqlRequest(session=session, sql=statement, transaction=transaction)
        rows: Sequence[Message] = self._call(request, sql.ResultSet).rows
        return rows


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
