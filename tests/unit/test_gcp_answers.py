"""What the adapters read, beside what Google's own clients read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.cloud.spanner_admin_database_v1 import types

from backstop.commands import Start
from backstop.errors import RefusedError, TransientError, UnhandledOperationError
from backstop.gcp import spanner
from backstop.gcp.calls import SHARED, Budget
from backstop.gcp.spanner import SpannerBackups
from backstop.names import BackupName, DatabaseName
from backstop.operations import Backup, Failure, Operation
from spanner_backup_emulator.spanner.server import SpannerEmulator
from tests.unit.google_services import BACKUP, OPERATION, Services, listed, official, operation
from tests.unit.handlers_world import INSTANCE, NIGHTLY, ORDERS, SCHEDULE, START, USERS

BACKUP_FIELDS: dict[str, Callable[[types.Backup], object]] = {
    "name": lambda read: read.name,
    "database": lambda read: read.database,
    "create_time": lambda read: read.create_time,
    "expire_time": lambda read: read.expire_time,
    "size_bytes": lambda read: read.size_bytes,
    "exclusive_size_bytes": lambda read: read.exclusive_size_bytes,
    "freeable_size_bytes": lambda read: read.freeable_size_bytes,
    "schedules": lambda read: tuple(read.backup_schedules),
    "referenced_by": lambda read: (*read.referencing_databases, *read.referencing_backups),
}
"""Each field that the adapter reads, as Google's own client reads it."""

OPERATION_FIELDS: dict[str, Callable[[Any, types.CreateBackupMetadata], object]] = {
    "name": lambda read, _: read.name,
    "backup": lambda _, metadata: metadata.name,
    "database": lambda _, metadata: metadata.database,
    "start_time": lambda _, metadata: metadata.progress.start_time,
    "end_time": lambda _, metadata: metadata.progress.end_time,
    "percent": lambda _, metadata: metadata.progress.progress_percent,
    "cancel_time": lambda _, metadata: metadata.cancel_time,
    "error": lambda *_: None,
    "response": lambda *_: None,
    "unexplained": lambda *_: False,
}


def test_each_field_of_a_backup_is_what_google_s_client_reads(google: Services, port: SpannerBackups) -> None:
    """None is left out, and none is empty, so that a field that is dropped would be seen."""
    google.answers["GetBackup"] = BACKUP

    ours, theirs = port.get_backup(NIGHTLY), official(google).get_backup(name=NIGHTLY)

    assert {one.name: getattr(ours, one.name) for one in dataclasses.fields(Backup)} == {
        name: read(theirs) for name, read in BACKUP_FIELDS.items()
    }
    assert len(ours.referenced_by) == 2
    assert all(read(theirs) for read in BACKUP_FIELDS.values())


def test_each_field_of_an_operation_is_what_google_s_client_reads(google: Services, port: SpannerBackups) -> None:
    """One that runs, as it is read by its name and in a list."""
    google.answers["GetOperation"] = operation()
    google.answers["ListBackupOperations"] = listed(operation())

    ours, theirs = port.get_operation(OPERATION), official(google).get_operation({"name": OPERATION})
    metadata = types.CreateBackupMetadata.deserialize(theirs.metadata.value)

    assert {one.name: getattr(ours, one.name) for one in dataclasses.fields(Operation)} == {
        name: read(theirs, metadata) for name, read in OPERATION_FIELDS.items()
    }
    assert [name for name in OPERATION_FIELDS if not getattr(ours, name)] == ["error", "response", "unexplained"]
    assert port.list_operations(INSTANCE).operations == (ours,)


def test_how_an_operation_ended_is_what_it_says(google: Services, port: SpannerBackups) -> None:
    """With an error, with a backup, or with neither, or with one that can't be read; then it stays unexplained."""
    google.answers["GetOperation"] = [
        operation(done=True, response=BACKUP),
        operation(done=True, error={"code": 1, "message": "stopped"}),
        operation(done=True, error={"code": 99, "message": "what?"}),
        operation(done=True),
        operation(done=True, response=types.Backup(name=NIGHTLY)),
    ]
    google.answers["GetBackup"] = BACKUP

    succeeded, stopped, odd, nothing, not_read = (port.get_operation(OPERATION) for _ in range(5))

    assert succeeded.response == port.get_backup(NIGHTLY)
    assert (stopped.error, odd.error) == (Failure("CANCELLED", "stopped"), Failure("UNKNOWN", "what?"))
    assert [one.unexplained for one in (succeeded, stopped, odd, nothing, not_read)] == [*3 * [False], True, True]
    assert all(one.done for one in (succeeded, stopped, odd, nothing, not_read))


def changed(**fields: object) -> types.CreateBackupMetadata:
    """The description of an operation, with these fields."""
    progress = {"progress_percent": 1, "start_time": START}
    return types.CreateBackupMetadata(**{"name": NIGHTLY, "database": ORDERS, "progress": progress, **fields})


def raw(seconds: int, field: str = "start_time", nanos: int = 0) -> types.CreateBackupMetadata:
    """One with a time that Python may not hold."""
    made = changed()
    pb = types.CreateBackupMetadata.pb(made)
    stamp = pb.cancel_time if field == "cancel_time" else getattr(pb.progress, field)
    stamp.seconds, stamp.nanos = seconds, nanos
    return made


COPY = types.CopyBackupMetadata(
    name=NIGHTLY, source_backup=f"{INSTANCE}/backups/source", progress={"start_time": START}
)

UNHANDLED = {
    "it is a copy of projects/demo-project/instances/main/backups/source": operation(COPY),
    "it doesn't say what it is": operation(None),
    "it has no start_time": operation(changed(progress={})),
    "it has an implausible start_time: 253402300800 s after 1970": operation(raw(253_402_300_800)),
    "it has an implausible start_time: -62135596801 s after 1970": operation(raw(-62_135_596_801)),
    "it has an implausible start_time: 1 s after 1970": operation(raw(1, nanos=10**9)),
    "it has an implausible end_time: 221845392000 s after 1970": operation(raw(221_845_392_000, "end_time")),
    "it has an implausible cancel_time: -1 s after 1970": operation(raw(-1, "cancel_time")),
    "it names 'a/b', which must have the form": operation(changed(database="a/b")),
    "it names 'operations/odd', which must have the form": operation(name="operations/odd"),
}


@pytest.mark.parametrize("why", UNHANDLED)
def test_an_operation_that_can_t_be_read_hides_no_other_and_is_told_by_its_name(
    why: str, google: Services, port: SpannerBackups
) -> None:
    """A time that Python can't hold answered 500 to every command; asked for by name, such an operation is refused."""
    odd, good = UNHANDLED[why], operation(name=f"{OPERATION}9")
    google.answers["ListBackupOperations"] = listed(odd, good)
    google.answers["GetOperation"] = google.answers["CreateBackup"] = odd

    listing = port.list_operations(INSTANCE)

    assert [one.name for one in listing.operations] == [good.name]
    (unhandled,) = listing.unhandled
    assert unhandled.why.startswith(why)
    assert (unhandled.name, unhandled.done, unhandled.is_copy) == (odd.name, False, "copy" in why)
    assert unhandled.backup == ("" if "doesn't say" in why else NIGHTLY)
    assert unhandled.database == ("" if "copy" in why or "doesn't say" in why else "a/b" if "a/b" in why else ORDERS)
    with pytest.raises(UnhandledOperationError) as caught:
        port.get_operation(OPERATION)
    assert (caught.value.code, caught.value.unhandled) == ("UNIMPLEMENTED", unhandled)
    with pytest.raises(TransientError, match="UNKNOWN"):
        port.create_backup(ORDERS, NIGHTLY, START, Start(database=ORDERS))


def test_the_first_and_the_last_moment_of_the_plausible_times_are_read(google: Services, port: SpannerBackups) -> None:
    """A sum with it still has room in what Python can hold."""
    google.answers["GetOperation"] = [operation(raw(0, nanos=1000)), operation(raw(221_845_391_999))]

    first, last = (port.get_operation(OPERATION).start_time for _ in range(2))

    assert first == datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    assert last == datetime(8999, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_nanoseconds_are_cut_in_the_same_way_wherever_a_time_is_read(google: Services, port: SpannerBackups) -> None:
    """A create_time that differed by a microsecond was taken for another backup, and a deletion told that was none."""
    backup = types.Backup.deserialize(types.Backup.serialize(BACKUP))
    types.Backup.pb(backup).create_time.nanos = 123_456_999
    google.answers["GetBackup"] = backup
    google.answers["GetOperation"] = operation(done=True, response=backup)

    found, made = port.get_backup(NIGHTLY), port.get_operation(OPERATION).response

    assert made == found
    assert found.create_time.microsecond == 123_456


@pytest.mark.parametrize("odd", [{"name": "backups/odd"}, {"database": "odd"}, {"create_time": None}])
def test_a_backup_that_can_t_be_read_is_refused(odd: dict[str, object], google: Services, port: SpannerBackups) -> None:
    """The message that asks for it isn't brought for ever."""
    usual = {"name": NIGHTLY, "database": ORDERS, "create_time": START, "expire_time": START}
    google.answers["GetBackup"] = types.Backup(**{**usual, **odd})

    with pytest.raises(RefusedError, match=r"DATA_LOSS: Spanner's description of .*/nightly can't be read: it "):
        port.get_backup(NIGHTLY)


def test_a_list_is_read_to_its_end_however_small_its_pages(google: Services, port: SpannerBackups) -> None:
    """The server may give fewer than were asked for; a list was refused after 20 pages."""
    google.answers["ListBackupOperations"] = [
        listed(operation(name=f"{OPERATION}{one}"), more="x" if one < 29 else "") for one in range(30)
    ]

    assert len(port.list_operations(INSTANCE).operations) == 30


def test_a_list_without_an_end_is_refused(google: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of its items, as a part of it could be misleading; and of empty pages by the delivery's time."""
    monkeypatch.setattr(spanner, "ITEMS_MAX", 20)
    monkeypatch.setattr("backstop.gcp.calls.DELIVERY_S_MAX", 2.0)
    port = SpannerBackups(Budget())

    google.answers["ListBackupOperations"] = listed(operation(), more="more")
    with pytest.raises(RefusedError, match="lists more than 20 operations"):
        port.list_operations(INSTANCE)
    assert len(google.asked) == 20

    google.answers["ListBackupOperations"] = listed(more="more")
    with pytest.raises(TransientError, match="DEADLINE_EXCEEDED"):
        port.list_operations(INSTANCE)


def test_a_database_with_a_name_of_unknown_form_hides_no_other(google: Services, port: SpannerBackups) -> None:
    """A name from Google is never a crash: it answered 500 to every delivery."""
    named = [types.Database(name=name) for name in (USERS, "databases/odd", ORDERS)]
    google.answers["ListDatabases"] = types.ListDatabasesResponse(databases=named)

    assert port.list_databases(INSTANCE) == [ORDERS, USERS]


@pytest.mark.spanner_emulator(databases=[ORDERS], strict=True)
def test_backups_are_listed_that_were_made_since_a_time(
    port: SpannerBackups, spanner_emulator: SpannerEmulator
) -> None:
    """By name, and whether a schedule made each; Spanner's filter leaves the others out."""
    SHARED.begin()
    now = datetime.now(UTC)
    port.create_backup(ORDERS, NIGHTLY, now + timedelta(days=7), Start(database=ORDERS))

    by_schedule = f"{INSTANCE}/backups/scheduled"
    spanner_emulator.start_scheduled_backup(ORDERS, SCHEDULE, "scheduled")

    assert port.list_backups(INSTANCE, now - timedelta(seconds=2)) == {NIGHTLY: False, by_schedule: True}
    assert port.list_backups(INSTANCE, now + timedelta(hours=1)) == {}


@pytest.mark.spanner_emulator(databases=[ORDERS], strict=True)
def test_a_copy_is_seen_where_its_backup_or_its_instance_is_asked_for(
    port: SpannerBackups, spanner_emulator: SpannerEmulator
) -> None:
    """By the unmodified filter of the emulated Spanner; a database has no copies."""
    SHARED.begin()
    expire_time = datetime.now(UTC) + timedelta(days=7)
    made = port.create_backup(ORDERS, NIGHTLY, expire_time, Start(database=ORDERS))
    copy = BackupName(f"{INSTANCE}/backups/copied")
    copied = spanner_emulator.begin_copy(NIGHTLY, copy, timedelta(hours=1))

    of_copy, of_source, of_database, of_all = (
        port.list_operations(INSTANCE, database=database, backup=backup)
        for database, backup in ((None, copy), (None, NIGHTLY), (ORDERS, None), (None, None))
    )

    assert [one.name for one in of_copy.unhandled] == [one.name for one in of_all.unhandled] == [copied.name]
    assert not [*of_source.unhandled, *of_database.unhandled, *of_copy.operations]
    assert not port.list_operations(INSTANCE, backup=BackupName(f"{copy}-2")).unhandled
    assert {one.operations[0].name for one in (of_source, of_database, of_all)} == {made.name}


@pytest.mark.parametrize(("database", "kept"), [(ORDERS, ["odd", "of orders"]), (USERS, ["odd"])])
def test_a_refused_filter_is_dropped_and_what_is_listed_is_sorted_out_here(
    database: DatabaseName, kept: list[str], google: Services, port: SpannerBackups
) -> None:
    """What says nothing of its database may be of any."""
    odd = {"odd": changed(name="", database="", progress={}), "of orders": changed(progress={}), "copy": COPY}
    google.answers["ListBackupOperations"] = [
        grpc.StatusCode.INVALID_ARGUMENT,
        listed(*(operation(one, name=name) for name, one in odd.items()), operation()),
    ]

    listing = port.list_operations(INSTANCE, database=database)

    assert sorted(one.name for one in listing.unhandled) == kept
    assert [one.name for one in listing.operations] == ([OPERATION] if database == ORDERS else [])
