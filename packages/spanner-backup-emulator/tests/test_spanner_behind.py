"""In front of Google's emulator: Google's own client works with both as with one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import spanner
from google.cloud.spanner_admin_database_v1 import types as pb
from google.protobuf import descriptor_pb2, duration_pb2
from google_spanner import google_spanner

from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

WAIT_S = 60
TABLES = (
    (
        "CREATE TABLE Singers (Id INT64 NOT NULL, Name STRING(MAX), Photo BYTES(MAX), Tags ARRAY<STRING(9)>,"
        " Loud STRING(MAX) AS (UPPER(Name)) STORED, Height FLOAT64, Fee NUMERIC, Born TIMESTAMP) PRIMARY KEY (Id)"
    ),
    (
        "CREATE TABLE Albums (Id INT64 NOT NULL, Albums INT64 NOT NULL) PRIMARY KEY (Id, Albums),"
        " INTERLEAVE IN PARENT Singers"
    ),
    "CREATE INDEX ByName ON Singers (Name)",
)
SINGER = (1, "Ada", b"eA==", ["a", None], float("inf"), None, wall_clock())
COLUMNS = ("Id", "Name", "Photo", "Tags", "Height", "Fee", "Born")

Client = Any
"""`spanner.Client`, which has no types."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[SpannerEmulator]:
    """An emulator in front of Google's; backups take no time."""
    state = State(default_plan=Plan(duration=timedelta(0)))
    with google_spanner() as address, SpannerEmulator(state=state, behind=address) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def instance(emulator: SpannerEmulator) -> Iterator[Client]:
    """An instance that Google's emulator keeps, found as any program finds it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPANNER_EMULATOR_HOST", emulator.address)
        patch.setenv("SPANNER_DISABLE_BUILTIN_METRICS", "true")
        client: Client = spanner.Client(project="p")
        config = next(iter(client.list_instance_configs())).name
        instance = client.instance("instance", config, node_count=1)
        instance.create().result(WAIT_S)
        yield instance
        client.close()


def _database(instance: Client, name: str, dialect: int = pb.DatabaseDialect.GOOGLE_STANDARD_SQL) -> Client:
    standard = dialect == pb.DatabaseDialect.GOOGLE_STANDARD_SQL
    database = instance.database(name, ddl_statements=TABLES if standard else (), database_dialect=dialect)
    database.create().result(WAIT_S)
    if standard:
        with database.batch() as batch:
            batch.insert("Singers", COLUMNS, [SINGER])
            batch.insert("Albums", ("Id", "Albums"), [(1, 9)])
    return database


def _backup(instance: Client, database: Client, name: str) -> Client:
    return instance.backup(name, database=database, expire_time=wall_clock() + timedelta(days=1))


def _rows(database: Client, statement: str) -> list[list[Any]]:
    with database.snapshot() as snapshot:
        return [list(row) for row in snapshot.execute_sql(statement)]


def test_a_restored_database_holds_what_its_backup_saw(instance: Client) -> None:
    """Rows of all types, interleaved tables, generated columns and indexes come back, later ones don't."""
    source = _database(instance, "orders")
    backup = _backup(instance, source, "nightly")
    operation = backup.create()
    with source.batch() as batch:
        batch.insert("Singers", ("Id",), [(2,)])
    operation.result(WAIT_S)
    restored = instance.database("restored")
    restored.restore(backup).result(WAIT_S)
    restored.reload()
    source.reload()

    assert _rows(restored, "SELECT Id, Name, Photo, Tags, Height, Fee, Born FROM Singers") == [list(SINGER)]
    assert _rows(restored, "SELECT Loud FROM Singers@{FORCE_INDEX=ByName}") == [["ADA"]]
    assert _rows(restored, "SELECT held.Id, held.Albums FROM Albums AS held") == [[1, 9]]
    assert list(restored.ddl_statements) == list(source.ddl_statements)
    assert restored.restore_info.backup_info.source_database == source.name


def test_a_restored_database_keeps_its_dialect(instance: Client) -> None:
    """PostgreSQL quotes otherwise and has another default schema."""
    postgres = pb.DatabaseDialect.POSTGRESQL
    source = _database(instance, "elephants", postgres)
    source.update_ddl(['CREATE TABLE herd ("Id" bigint PRIMARY KEY, name text)']).result(WAIT_S)
    with source.batch() as batch:
        batch.insert("herd", ("Id", "name"), [(1, "Babar")])
    backup = _backup(instance, source, "elephants-backup")
    backup.create().result(WAIT_S)
    restored = instance.database("elephants-again")
    restored.restore(backup).result(WAIT_S)
    restored.reload()

    assert restored.database_dialect == postgres
    assert _rows(restored, 'SELECT "Id", name FROM herd') == [[1, "Babar"]]


def test_a_restored_database_knows_its_proto_types(instance: Client) -> None:
    """Google's emulator never shows the descriptors that it was given, so they are kept on their way there."""
    described = descriptor_pb2.FileDescriptorSet(file=[_described()])
    statements = ["CREATE PROTO BUNDLE (`google.protobuf.Duration`)"]
    source = instance.database("typed", proto_descriptors=described.SerializeToString(), ddl_statements=statements)
    source.create().result(WAIT_S)
    backup = _backup(instance, source, "of-typed")
    backup.create().result(WAIT_S)
    restored = instance.database("typed-again")
    restored.restore(backup).result(WAIT_S)
    restored.reload()

    assert next(iter(restored.ddl_statements)).startswith("CREATE PROTO BUNDLE")


def _described() -> descriptor_pb2.FileDescriptorProto:
    found = descriptor_pb2.FileDescriptorProto()
    duration_pb2.DESCRIPTOR.CopyToProto(found)
    return found


def test_a_database_says_since_when_its_versions_are_kept(instance: Client) -> None:
    """Google's own test for Python asks; its emulator leaves it out."""
    database = _database(instance, "kept")
    database.reload()

    assert wall_clock() - timedelta(hours=2) < database.earliest_version_time <= wall_clock()


def test_a_copy_restores_what_its_source_saw(instance: Client) -> None:
    """The copy's contents are those of the backup that it was made from, whatever becomes of that."""
    backup = _backup(instance, _database(instance, "copied"), "original")
    backup.create().result(WAIT_S)
    copy = instance.copy_backup("the-copy", backup.name, wall_clock() + timedelta(days=1))
    copy.create().result(WAIT_S)
    backup.delete()
    restored = instance.database("from-copy")
    restored.restore(copy).result(WAIT_S)

    assert _rows(restored, "SELECT Id FROM Singers") == [[1]]


def test_a_backup_that_a_schedule_made_can_be_restored(emulator: SpannerEmulator, instance: Client) -> None:
    """It holds what the database held when it was made, although no client asked for it."""
    source = _database(instance, "scheduled")
    emulator.add_database(source.name)
    emulator.start_scheduled_backup(source.name, f"{source.name}/backupSchedules/daily", "of-scheduled")
    with source.batch() as batch:
        batch.insert("Singers", ("Id",), [(2,)])
    restored = instance.database("scheduled-again")
    restored.restore(instance.backup("of-scheduled")).result(WAIT_S)

    assert _rows(restored, "SELECT Id FROM Singers") == [[1]]


def test_a_backup_of_a_database_that_google_does_not_know_is_refused(instance: Client) -> None:
    """Google's own NOT_FOUND comes through."""
    with pytest.raises(exceptions.NotFound, match="Database not found"):
        _backup(instance, instance.database("nowhere"), "of-nothing").create()


def test_a_restore_into_a_database_that_exists_is_refused(instance: Client) -> None:
    """Also where only Google's emulator knows that database."""
    taken = _database(instance, "taken")
    backup = _backup(instance, taken, "of-taken")
    backup.create().result(WAIT_S)

    with pytest.raises(exceptions.AlreadyExists):
        instance.database("taken").restore(backup)


def test_a_database_is_not_dropped_while_a_backup_of_it_is_pending(emulator: SpannerEmulator, instance: Client) -> None:
    """Once the backup has ended it can be dropped, and restored under the same name."""
    slow = _database(instance, "slow")
    emulator.set_plan(slow.name, Plan(duration=timedelta(hours=1)))
    backup = _backup(instance, slow, "of-slow")
    operation = backup.create()
    with pytest.raises(exceptions.FailedPrecondition, match="while a backup of it is pending"):
        slow.drop()
    emulator.finish(operation.operation.name)
    slow.drop()
    again = instance.database("slow")
    again.restore(backup).result(WAIT_S)

    assert _rows(again, "SELECT Name FROM Singers") == [["Ada"]]


def test_a_database_that_is_dropped_while_it_is_optimized_lets_go_of_its_backup(
    emulator: SpannerEmulator, instance: Client
) -> None:
    """Its optimization ends with it; it once stayed, found no database at its end, and broke every later call."""
    backup = _backup(instance, _database(instance, "heavy"), "of-heavy")
    backup.create().result(WAIT_S)
    emulator.set_plan(backup.name, Plan(duration=timedelta(0), optimize_duration=timedelta(hours=1)))
    restored = instance.database("heavy-again")
    restored.restore(backup).result(WAIT_S)
    with pytest.raises(exceptions.FailedPrecondition):
        backup.delete()
    restored.drop()
    backup.delete()

    assert not backup.exists()


def test_operations_of_both_are_found(instance: Client) -> None:
    """A database's own operation is Google's, a restore's is ours; each is read where it is."""
    made = instance.database("operated", ddl_statements=TABLES)
    creation = made.create()
    creation.result(WAIT_S)
    backup = _backup(instance, made, "of-operated")
    backup.create().result(WAIT_S)
    restore = instance.database("operated-again").restore(backup)
    restore.result(WAIT_S)
    listed = {metadata.metadata.name for metadata in instance.list_database_operations()}

    assert creation.done()
    assert restore.done()
    assert f"{instance.name}/databases/operated-again" in listed
    assert {database.name for database in instance.list_databases()} >= {made.name, restore.result().name}


def test_a_refusal_of_googles_keeps_its_details(instance: Client) -> None:
    """What the client reads from the trailing metadata passes too."""
    with pytest.raises(exceptions.NotFound) as caught:
        instance.database("nowhere").reload()

    assert caught.value.details[0].resource_name == f"{instance.name}/databases/nowhere"
