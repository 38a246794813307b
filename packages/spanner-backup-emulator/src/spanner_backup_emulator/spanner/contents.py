"""What a database holds, read from Google's emulator and written to it again.

Rows are carried as Spanner encodes them, so a value comes back as it was whatever its type. The schema is the one of
the moment of the copy, not that of the version time: Google's emulator shows no older one.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_admin_database_v1.services.database_admin.transports import DatabaseAdminGrpcTransport
from google.cloud.spanner_v1 import SpannerClient
from google.cloud.spanner_v1 import types as sql
from google.cloud.spanner_v1.services.spanner.transports import SpannerGrpcTransport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import grpc
    from google.protobuf.struct_pb2 import ListValue

    from spanner_backup_emulator.messages import Message

CELL_COUNT_MAX = 20_000
"""Values in one commit: a quarter of what the service takes, as indexes count too.

https://docs.cloud.google.com/spanner/quotas#limits-for, documented.
"""

CALL_S_MAX = 60.0
"""For one call to Google's emulator, which answers from memory."""

_DIALECT = "SELECT option_value FROM information_schema.database_options WHERE option_name = 'database_dialect'"
_TABLES = """
SELECT table_schema, table_name, parent_table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND LOWER(table_schema) NOT IN ('information_schema', 'spanner_sys', 'pg_catalog')
"""
_COLUMNS = """
SELECT table_schema, table_name, column_name FROM information_schema.columns
WHERE is_generated = 'NEVER' ORDER BY ordinal_position
"""


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything that a backup keeps.

    Attributes:
        tables: What writes all rows of each; a table comes after the one that it is interleaved in, and generated
            columns aren't among them.
    """

    dialect: pb.DatabaseDialect
    statements: tuple[str, ...]
    proto_descriptors: bytes
    tables: tuple[Message, ...]


class Store:
    """Google's emulator, as the place where the rows are."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._admin = DatabaseAdminClient(transport=DatabaseAdminGrpcTransport(channel=channel))
        self._spanner = SpannerClient(transport=SpannerGrpcTransport(channel=channel))

    def database(self, name: str) -> Message:
        """The database of that name, or Google's refusal; it doesn't say the dialect (observed on 2026-11-26)."""
        return pb.Database.pb(self._admin.get_database(name=name, timeout=CALL_S_MAX))

    def dialect(self, database: str) -> pb.DatabaseDialect:
        """In which dialect the database is queried."""
        with self._session(database) as session:
            ((name,),) = self._texts(session, _DIALECT)
        dialect: pb.DatabaseDialect = pb.DatabaseDialect.__members__[name]
        return dialect

    def copy(
        self, database: str, dialect: pb.DatabaseDialect, version_time: datetime, proto_descriptors: bytes
    ) -> Contents:
        """Reads everything as of that time; the descriptors are given, as they can't be read."""
        ddl = self._admin.get_database_ddl(database=database, timeout=CALL_S_MAX)
        with self._session(database) as session:
            tables = tuple(self._tables(session, dialect, version_time))
        return Contents(dialect, tuple(ddl.statements), proto_descriptors, tables)

    def put(self, database: str, contents: Contents) -> None:
        """Makes a new database with these contents."""
        parent, _, database_id = database.partition("/databases/")
        mark = _quote(contents.dialect)
        created = self._admin.create_database(
            request=pb.CreateDatabaseRequest(
                parent=parent,
                create_statement=f"CREATE DATABASE {mark}{database_id}{mark}",
                database_dialect=contents.dialect,
            ),
            timeout=CALL_S_MAX,
        )
        created.result(timeout=CALL_S_MAX)  # type: ignore[no-untyped-call]  # the library has no types
        if contents.statements:
            ddl = pb.UpdateDatabaseDdlRequest(
                database=database, statements=contents.statements, proto_descriptors=contents.proto_descriptors
            )
            changed = self._admin.update_database_ddl(request=ddl, timeout=CALL_S_MAX)
            changed.result(timeout=CALL_S_MAX)  # type: ignore[no-untyped-call]  # the same
        once = sql.TransactionOptions(read_write=sql.TransactionOptions.ReadWrite())
        with self._session(database) as session:
            for mutations in _batches(contents.tables):
                commit = sql.CommitRequest(session=session, single_use_transaction=once, mutations=mutations)
                self._spanner.commit(request=commit, timeout=CALL_S_MAX)

    @contextmanager
    def _session(self, database: str) -> Iterator[str]:
        session = self._spanner.create_session(database=database, timeout=CALL_S_MAX).name
        try:
            yield session
        finally:
            self._spanner.delete_session(name=session, timeout=CALL_S_MAX)

    def _tables(self, session: str, dialect: pb.DatabaseDialect, version_time: datetime) -> Iterator[Message]:
        columns: dict[str, list[str]] = {}
        for schema, table, column in self._texts(session, _COLUMNS):
            columns.setdefault(_full(schema, table), []).append(column)
        parents = {
            _full(schema, table): _full(schema, parent) if parent else ""
            for schema, table, parent in self._texts(session, _TABLES)
        }
        mark = _quote(dialect)
        for name in sorted(parents, key=lambda name: (_depth(name, parents), name)):
            chosen = columns[name]
            listed = ", ".join(
                f"held.{mark}{column}{mark}" for column in chosen
            )  # a column may be called like its table
            source = ".".join(f"{mark}{part}{mark}" for part in name.split("."))
            rows = self._rows(session, f"SELECT {listed} FROM {source} AS held", version_time)  # noqa: S608 - names that the database gave
            yield sql.Mutation.Write.pb()(table=name, columns=chosen, values=rows)

    def _texts(self, session: str, statement: str) -> list[list[str]]:
        return [[value.string_value for value in row.values] for row in self._rows(session, statement, None)]

    def _rows(self, session: str, statement: str, at: datetime | None) -> Sequence[ListValue]:
        read = (
            sql.TransactionOptions.ReadOnly(read_timestamp=at) if at else sql.TransactionOptions.ReadOnly(strong=True)
        )
        single = sql.TransactionSelector(single_use=sql.TransactionOptions(read_only=read))
        request = sql.ExecuteSqlRequest(session=session, sql=statement, transaction=single)
        found = self._spanner.execute_sql(request=request, timeout=CALL_S_MAX)
        rows: Sequence[ListValue] = sql.ResultSet.pb(found).rows
        return rows


def _batches(tables: tuple[Message, ...]) -> Iterator[list[sql.Mutation]]:
    """As few commits as the limit allows: within one, foreign keys may point anywhere."""
    batch: list[sql.Mutation] = []
    cells = 0
    for table in tables:
        for row in table.values:
            if cells + len(table.columns) > CELL_COUNT_MAX:
                yield batch
                batch, cells = [], 0
            write = {"table": table.table, "columns": table.columns, "values": [row]}
            batch.append(sql.Mutation.wrap(sql.Mutation.pb()(insert=write)))
            cells += len(table.columns)
    if batch:
        yield batch


def _full(schema: str, table: str) -> str:
    """A table's name in mutations; the two default schemas aren't written."""
    return f"{schema}.{table}" if schema not in {"", "public"} else table


def _depth(name: str, parents: dict[str, str]) -> int:
    """How many tables a table is interleaved in, one in another."""
    parent = parents.get(name, "")
    return 1 + _depth(parent, parents) if parent else 0


def _quote(dialect: pb.DatabaseDialect) -> str:
    return '"' if dialect == pb.DatabaseDialect.POSTGRESQL else "`"
