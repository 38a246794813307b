"""A table of refusals, met by the official client over gRPC: for each RPC what is refused, by which code and text."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.cloud.spanner_admin_database_v1.services.database_admin.transports import DatabaseAdminGrpcTransport
from google.longrunning import operations_pb2
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, USERS, Clock

from spanner_backup_emulator.messages import stamp
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

YOUNG = f"{INSTANCE}/databases/young"
RESTORING = f"{INSTANCE}/databases/restoring"
ELSEWHERE = "projects/p/instances/elsewhere"
PENDING = f"{INSTANCE}/backups/pending"
RESTORED_FROM = f"{INSTANCE}/backups/restored-from"
COPIED = f"{INSTANCE}/backups/copied"
NEW = f"{INSTANCE}/backups/new"

BAD = exceptions.InvalidArgument
NOT_THERE = exceptions.NotFound
TAKEN = exceptions.AlreadyExists
NOT_NOW = exceptions.FailedPrecondition
NOT_DONE_HERE = exceptions.MethodNotImplemented


@dataclass(frozen=True)
class World:
    """What the refused calls meet.

    Attributes:
        client: Google's own.
        restore: The name of a running restore.
    """

    client: DatabaseAdminClient
    restore: str


@contextmanager
def _world(*, exists_before_pending: bool = True, late_cancel_refused: bool = False) -> Iterator[World]:
    """At START: a backup of its own, one that is restored, one that is copied, and one that is being made."""
    clock = Clock(START - 3 * HOUR)
    state = State(
        databases=[ORDERS, USERS],
        strict=True,
        exists_before_pending=exists_before_pending,
        late_cancel_refused=late_cancel_refused,
    )
    state.add_database(YOUNG, create_time=stamp(START - 10 * MINUTE))
    state.add_database(RESTORING, state="CREATING")
    with SpannerEmulator(clock=clock, state=state) as emulator, grpc.insecure_channel(emulator.address) as channel:
        client = DatabaseAdminClient(transport=DatabaseAdminGrpcTransport(channel=channel))
        for backup_id in ("nightly", "restored-from", "copied"):
            client.create_backup(_create(backup_id))
            clock.tick(HOUR)
        restore = emulator.begin_restore(RESTORED_FROM, f"{INSTANCE}/databases/restored", DAY)
        emulator.begin_copy(COPIED, f"{INSTANCE}/backups/copy", DAY)
        client.create_backup(_create("pending"))
        yield World(client, restore.name)


def _create(
    backup_id: str = "new",
    *,
    parent: str = INSTANCE,
    database: str = ORDERS,
    expires: datetime | None = START + DAY,
    version: datetime | None = None,
) -> pb.CreateBackupRequest:
    backup = pb.Backup(database=database, expire_time=expires, version_time=version)
    return pb.CreateBackupRequest(parent=parent, backup_id=backup_id, backup=backup)


def _copy(source: str = NIGHTLY, backup_id: str = "new", lasts: timedelta = DAY) -> pb.CopyBackupRequest:
    return pb.CopyBackupRequest(parent=INSTANCE, backup_id=backup_id, source_backup=source, expire_time=START + lasts)


def _update(
    name: str = NIGHTLY, *, expires: datetime = START + 2 * DAY, mask: str = "expire_time"
) -> pb.UpdateBackupRequest:
    backup = pb.Backup(name=name, expire_time=expires)
    return pb.UpdateBackupRequest(backup=backup, update_mask={"paths": mask.split(",") if mask else []})


def _restore(backup: str = NIGHTLY, database_id: str = "new") -> pb.RestoreDatabaseRequest:
    return pb.RestoreDatabaseRequest(parent=INSTANCE, database_id=database_id, backup=backup)


def _operations(text: str, token: str = "") -> pb.ListBackupOperationsRequest:
    return pb.ListBackupOperationsRequest(parent=INSTANCE, filter=text, page_token=token)


Row: TypeAlias = "tuple[str, Callable[[World], object], type[exceptions.GoogleAPICallError], str]"


def _creating(name: str, request: pb.CreateBackupRequest, error: type[exceptions.GoogleAPICallError], text: str) -> Row:
    return f"CreateBackup, {name}", lambda world: world.client.create_backup(request), error, text


def _copying(name: str, request: pb.CopyBackupRequest, error: type[exceptions.GoogleAPICallError], text: str) -> Row:
    return f"CopyBackup, {name}", lambda world: world.client.copy_backup(request), error, text


def _updating(name: str, request: pb.UpdateBackupRequest, error: type[exceptions.GoogleAPICallError], text: str) -> Row:
    return f"UpdateBackup, {name}", lambda world: world.client.update_backup(request), error, text


def _restoring(
    name: str, request: pb.RestoreDatabaseRequest, error: type[exceptions.GoogleAPICallError], text: str
) -> Row:
    return f"RestoreDatabase, {name}", lambda world: world.client.restore_database(request), error, text


def _listing(
    name: str, request: pb.ListBackupOperationsRequest, error: type[exceptions.GoogleAPICallError], text: str
) -> Row:
    return f"ListBackupOperations, {name}", lambda world: world.client.list_backup_operations(request), error, text


BLOCKED = (
    f"Backup {RESTORED_FROM} cannot be deleted at the moment because it is still in use by 1 databases for pending"
    " restore activity. Please try deleting the backup once the restore or post-restore optimize operations have"
    " completed on these databases. The databases using this backup are displayed in the UI in the Backups table"
    " `In use by` column, and returned by the GetBackup API."
)

ROWS: list[Row] = [
    _creating("no instance", _create(parent="i"), BAD, "Invalid instance name: i"),
    _creating("one letter", _create("n"), BAD, "Invalid backup id: n"),
    _creating("capitals", _create("New"), BAD, "Invalid backup id: New"),
    _creating("61 letters", _create("n" * 61), BAD, f"Invalid backup id: {'n' * 61}"),
    _creating("no database", _create(database="orders"), BAD, "Invalid database name: orders"),
    _creating(
        "a database elsewhere", _create(parent=ELSEWHERE), BAD, f"Database {ORDERS} is not in instance {ELSEWHERE}."
    ),
    _creating(
        "an unknown instance",
        _create(parent=ELSEWHERE, database=f"{ELSEWHERE}/databases/orders"),
        NOT_THERE,
        f"Instance not found: {ELSEWHERE}",
    ),
    _creating(
        "an unknown database",
        _create(database=f"{INSTANCE}/databases/unknown"),
        NOT_THERE,
        f"Database not found: {INSTANCE}/databases/unknown",
    ),
    _creating("no expire_time", _create(expires=None), BAD, "input `expire_time` is missing."),
    _creating(
        "expires too early",
        _create(expires=START + 6 * HOUR - MINUTE),
        BAD,
        f"Invalid request for backup {NEW}. `expire_time` is either missing, in the wrong format, or is not within the"
        " minimum and maximum expire times supported. `expire_time` must be a Unix Epoch Time (UTC time since"
        " 1970-01-01 00:00:00) with microseconds granularity, and be at least 6 hours and at most 366 days from the"
        " time the CreateBackup request is processed. The CreateBackup request was processed at `create_time`"
        " (2026-11-22T02:00:00Z), and the input `expire_time` is 2026-11-22T07:59:00Z.",
    ),
    _creating("expires too late", _create(expires=START + 366 * DAY + MINUTE), BAD, "2027-11-23T02:01:00Z"),
    _creating("version to come", _create(version=START + MINUTE), BAD, "with a future version time"),
    _creating("version too old", _create(version=START - HOUR - MINUTE), BAD, "version retention period"),
    _creating(
        "version before the database",
        _create(database=YOUNG, version=START - 11 * MINUTE),
        BAD,
        "earlier than the creation time",
    ),
    _creating(
        "of a database being restored", _create(database=RESTORING), NOT_NOW, f"Database {RESTORING} is not ready."
    ),
    _creating("a name that is taken", _create("nightly", database=USERS), TAKEN, f"Backup already exists: {NIGHTLY}"),
    _creating("itself again", _create("pending"), TAKEN, f"Backup already exists: {PENDING}"),
    _creating(
        "a second one",
        _create("second"),
        NOT_NOW,
        f"Cannot create backup ({INSTANCE}/backups/second) for database ({ORDERS}) because the maximum number of"
        " pending backups (1) for the database has been reached. Please retry the operation once the pending backups"
        " complete.",
    ),
    _copying("a bad id", _copy(backup_id="-"), BAD, "Invalid backup id: -"),
    _copying("no source", _copy(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    _copying(
        "an unfinished source", _copy(PENDING), NOT_NOW, f"Cannot copy source backup {PENDING} because the backup is"
    ),
    _copying("a name that is taken", _copy(backup_id="copied"), TAKEN, f"Backup already exists: {COPIED}"),
    _copying("expires too early", _copy(lasts=HOUR), BAD, "`expire_time` is either missing"),
    _restoring("a bad id", _restore(database_id="-"), BAD, "Invalid database id: -"),
    _restoring("no backup", _restore(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    _restoring("an unfinished backup", _restore(PENDING), NOT_NOW, f"Cannot restore backup {PENDING}"),
    _restoring("a name that is taken", _restore(database_id="users"), TAKEN, f"Database already exists: {USERS}"),
    _updating("no such backup", _update(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    _updating("another field", _update(mask="expire_time,labels"), BAD, "Only expire_time can be updated"),
    _updating("no field", _update(mask=""), BAD, "Only expire_time can be updated, not: nothing."),
    _updating("an unfinished backup", _update(PENDING), NOT_NOW, f"Cannot update backup {PENDING}"),
    _updating("to the past", _update(expires=START), BAD, "`expire_time` is either missing"),
    _updating("to 6 hours less a minute", _update(expires=START + 3 * HOUR - MINUTE), BAD, "(2026-11-21T23:00:00Z)"),
    _updating("to beyond 366 days", _update(expires=START + 366 * DAY), BAD, "`expire_time` is either missing"),
    _listing("an unknown field", _operations("owner:me"), BAD, "Invalid filter 'owner:me': unknown field 'owner'"),
    _listing("an unreadable filter", _operations("(name:x"), BAD, "Invalid filter '(name:x'"),
    _listing("a made-up token", _operations("", "2"), BAD, "Invalid page token: 2"),
    ("GetBackup, missing", lambda world: world.client.get_backup(name=NEW), NOT_THERE, f"Backup not found: {NEW}"),
    ("DeleteBackup, being restored", lambda world: world.client.delete_backup(name=RESTORED_FROM), NOT_NOW, BLOCKED),
    (
        "DeleteBackup, being copied",
        lambda world: world.client.delete_backup(name=COPIED),
        NOT_NOW,
        "still in use by 1 backups",
    ),
    (
        "ListBackups, an unknown instance",
        lambda world: world.client.list_backups(parent=ELSEWHERE),
        NOT_THERE,
        f"Instance not found: {ELSEWHERE}",
    ),
    (
        "ListBackups, a bad filter",
        lambda world: world.client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, filter="done:true")),
        BAD,
        "unknown field 'done'",
    ),
    (
        "ListDatabases, no instance",
        lambda world: world.client.list_databases(parent="projects/p"),
        BAD,
        "Invalid instance name: projects/p",
    ),
    (
        "ListDatabaseOperations, an unknown instance",
        lambda world: world.client.list_database_operations(parent=ELSEWHERE),
        NOT_THERE,
        f"Instance not found: {ELSEWHERE}",
    ),
    (
        "GetDatabase, unknown",
        lambda world: world.client.get_database(name=f"{INSTANCE}/databases/unknown"),
        NOT_THERE,
        f"Database not found: {INSTANCE}/databases/unknown",
    ),
    ("GetDatabase, no name", lambda world: world.client.get_database(name="x"), BAD, "Invalid database name: x"),
    (
        "GetOperation, unknown",
        lambda world: world.client.get_operation(operations_pb2.GetOperationRequest(name="x")),
        NOT_THERE,
        "Operation not found: x",
    ),
    (
        "CancelOperation, unknown",
        lambda world: world.client.cancel_operation(operations_pb2.CancelOperationRequest(name="x")),
        NOT_THERE,
        "Operation not found: x",
    ),
    (
        "CancelOperation, a restore",
        lambda world: world.client.cancel_operation(operations_pb2.CancelOperationRequest(name=world.restore)),
        NOT_DONE_HERE,
        "not implemented",
    ),
    (
        "DeleteOperation",
        lambda world: world.client.delete_operation(operations_pb2.DeleteOperationRequest(name="x")),
        NOT_DONE_HERE,
        "Method not found!",
    ),
    (
        "ListDatabaseRoles",
        lambda world: world.client.list_database_roles(parent=ORDERS),
        NOT_DONE_HERE,
        "Method not found!",
    ),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for all rows: a refusal changes nothing."""
    with _world() as made:
        yield made


@pytest.mark.parametrize(("call", "error", "text"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_refused(
    world: World, call: Callable[[World], object], error: type[exceptions.GoogleAPICallError], text: str
) -> None:
    """The official client raises the code's exception with the text."""
    with pytest.raises(error) as refused:
        call(world)

    assert text in refused.value.message


def test_refusals_changed_nothing(world: World) -> None:
    """After the whole table the backups are those that were there before it."""
    names = [backup.name.rpartition("/")[2] for backup in world.client.list_backups(parent=INSTANCE)]

    assert names == ["pending", "copy", "copied", "restored-from", "nightly"]


@pytest.mark.parametrize("edge", [START + 6 * HOUR, START + 366 * DAY], ids=["6 hours", "366 days"])
def test_the_edges_of_the_expiry_window_are_inside(edge: datetime) -> None:
    """Exactly 6 hours and exactly 366 days by the server's clock are accepted."""
    with _world() as made:
        operation = made.client.create_backup(_create(database=USERS, expires=edge))

        assert operation.metadata.name == NEW


@pytest.mark.parametrize("version", [START, START - HOUR], ids=["now", "an hour ago"])
def test_the_edges_of_the_version_window_are_inside(version: datetime) -> None:
    """A version time from the retention period's begin up to now is taken over."""
    with _world() as made:
        made.client.create_backup(_create(database=USERS, version=version))

        assert made.client.get_backup(name=NEW).version_time == version


def test_a_cancel_that_comes_too_late_can_be_refused() -> None:
    """Where the test's author says so, an operation that has ended takes no cancel; else it is accepted in vain."""
    with _world(late_cancel_refused=True) as made:
        (ended,) = [one.name for one in made.client.list_backup_operations(parent=INSTANCE) if NIGHTLY in one.name]

        with pytest.raises(NOT_NOW, match="already completed"):
            made.client.cancel_operation(operations_pb2.CancelOperationRequest(name=ended))


def test_the_other_precedence_can_be_chosen() -> None:
    """When the name and the slot are both taken the test's author decides which refusal is given."""
    with _world(exists_before_pending=False) as made, pytest.raises(NOT_NOW):
        made.client.create_backup(_create("pending"))


@pytest.mark.parametrize(
    ("call", "kind", "name", "description"),
    [
        (lambda world: world.client.create_backup(_create("nightly")), "Backup", NIGHTLY, "Backup already exists."),
        (lambda world: world.client.get_backup(name=NEW), "Backup", NEW, "Backup does not exist."),
        (
            lambda world: world.client.list_backups(parent=ELSEWHERE),
            "google.spanner.admin.instance.v1.Instance",
            ELSEWHERE,
            "Instance does not exist.",
        ),
    ],
    ids=["taken", "missing", "no instance"],
)
def test_some_refusals_carry_the_resource(
    world: World, call: Callable[[World], object], kind: str, name: str, description: str
) -> None:
    """The official client reads google.rpc.ResourceInfo out of the refusal's details."""
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        call(world)

    (info,) = refused.value.details
    assert info.resource_type.endswith(kind)
    assert (info.resource_name, info.description) == (name, description)
