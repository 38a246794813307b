"""A table of refusals, met by the official client over gRPC: for each RPC what is refused, by which code and text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from google.api_core import exceptions
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.longrunning import operations_pb2
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, START, USERS, Clock, connected

from spanner_backup_emulator.messages import stamp
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

YOUNG = f"{INSTANCE}/databases/young"
RESTORING = f"{INSTANCE}/databases/restoring"
UNKNOWN = f"{INSTANCE}/databases/unknown"
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
    with SpannerEmulator(clock=clock, state=state) as emulator, connected(emulator.address) as client:
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


BLOCKED = (
    f"Backup {RESTORED_FROM} cannot be deleted at the moment because it is still in use by 1 databases for pending"
    " restore activity. Please try deleting the backup once the restore or post-restore optimize operations have"
    " completed on these databases. The databases using this backup are displayed in the UI in the Backups table"
    " `In use by` column, and returned by the GetBackup API."
)
TOO_EARLY = (
    f"Invalid request for backup {NEW}. `expire_time` is either missing, in the wrong format, or is not within the"
    " minimum and maximum expire times supported. `expire_time` must be a Unix Epoch Time (UTC time since"
    " 1970-01-01 00:00:00) with microseconds granularity, and be at least 6 hours and at most 366 days from the"
    " time the CreateBackup request is processed. The CreateBackup request was processed at `create_time`"
    " (2026-11-22T02:00:00Z), and the input `expire_time` is 2026-11-22T07:59:00Z."
)
BUSY = (
    f"Cannot create backup ({INSTANCE}/backups/second) for database ({ORDERS}) because the maximum number of"
    " pending backups (1) for the database has been reached. Please retry the operation once the pending backups"
    " complete."
)

ROWS: list[tuple[str, str, object, type[exceptions.GoogleAPICallError], str]] = [
    ("CreateBackup", "no instance", _create(parent="i"), BAD, "Invalid instance name: i"),
    ("CreateBackup", "one letter", _create("n"), BAD, "Invalid backup id: n"),
    ("CreateBackup", "capitals", _create("New"), BAD, "Invalid backup id: New"),
    ("CreateBackup", "61 letters", _create("n" * 61), BAD, f"Invalid backup id: {'n' * 61}"),
    ("CreateBackup", "no database", _create(database="orders"), BAD, "Invalid database name: orders"),
    (
        "CreateBackup",
        "a database elsewhere",
        _create(parent=ELSEWHERE),
        BAD,
        f"Database {ORDERS} is not in instance {ELSEWHERE}.",
    ),
    (
        "CreateBackup",
        "an unknown instance",
        _create(parent=ELSEWHERE, database=f"{ELSEWHERE}/databases/orders"),
        NOT_THERE,
        f"Instance not found: {ELSEWHERE}",
    ),
    ("CreateBackup", "an unknown database", _create(database=UNKNOWN), NOT_THERE, f"Database not found: {UNKNOWN}"),
    ("CreateBackup", "no expire_time", _create(expires=None), BAD, "input `expire_time` is missing."),
    ("CreateBackup", "expires too early", _create(expires=START + 6 * HOUR - MINUTE), BAD, TOO_EARLY),
    ("CreateBackup", "expires too late", _create(expires=START + 366 * DAY + MINUTE), BAD, "2027-11-23T02:01:00Z"),
    ("CreateBackup", "version to come", _create(version=START + MINUTE), BAD, "with a future version time"),
    ("CreateBackup", "version too old", _create(version=START - HOUR - MINUTE), BAD, "version retention period"),
    (
        "CreateBackup",
        "version before the database",
        _create(database=YOUNG, version=START - 11 * MINUTE),
        BAD,
        "earlier than the creation time",
    ),
    (
        "CreateBackup",
        "of a database being restored",
        _create(database=RESTORING),
        NOT_NOW,
        f"Database {RESTORING} is not ready.",
    ),
    (
        "CreateBackup",
        "a name that is taken",
        _create("nightly", database=USERS),
        TAKEN,
        f"Backup already exists: {NIGHTLY}",
    ),
    ("CreateBackup", "itself again", _create("pending"), TAKEN, f"Backup already exists: {PENDING}"),
    ("CreateBackup", "a second one", _create("second"), NOT_NOW, BUSY),
    ("CopyBackup", "a bad id", _copy(backup_id="-"), BAD, "Invalid backup id: -"),
    ("CopyBackup", "no source", _copy(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    (
        "CopyBackup",
        "an unfinished source",
        _copy(PENDING),
        NOT_NOW,
        f"Cannot copy source backup {PENDING} because the backup is",
    ),
    ("CopyBackup", "a name that is taken", _copy(backup_id="copied"), TAKEN, f"Backup already exists: {COPIED}"),
    ("CopyBackup", "expires too early", _copy(lasts=HOUR), BAD, "`expire_time` is either missing"),
    ("RestoreDatabase", "a bad id", _restore(database_id="-"), BAD, "Invalid database id: -"),
    ("RestoreDatabase", "no backup", _restore(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    ("RestoreDatabase", "an unfinished backup", _restore(PENDING), NOT_NOW, f"Cannot restore backup {PENDING}"),
    (
        "RestoreDatabase",
        "a name that is taken",
        _restore(database_id="users"),
        TAKEN,
        f"Database already exists: {USERS}",
    ),
    ("UpdateBackup", "no such backup", _update(NEW), NOT_THERE, f"Backup not found: {NEW}"),
    ("UpdateBackup", "another field", _update(mask="expire_time,labels"), BAD, "Only expire_time can be updated"),
    ("UpdateBackup", "no field", _update(mask=""), BAD, "Only expire_time can be updated, not: nothing."),
    ("UpdateBackup", "an unfinished backup", _update(PENDING), NOT_NOW, f"Cannot update backup {PENDING}"),
    ("UpdateBackup", "to the past", _update(expires=START), BAD, "`expire_time` is either missing"),
    (
        "UpdateBackup",
        "to 6 hours less a minute",
        _update(expires=START + 3 * HOUR - MINUTE),
        BAD,
        "(2026-11-21T23:00:00Z)",
    ),
    ("UpdateBackup", "to beyond 366 days", _update(expires=START + 366 * DAY), BAD, "`expire_time` is either missing"),
    (
        "ListBackupOperations",
        "an unknown field",
        _operations("owner:me"),
        BAD,
        "Invalid filter 'owner:me': unknown field 'owner'",
    ),
    ("ListBackupOperations", "an unreadable filter", _operations("(name:x"), BAD, "Invalid filter '(name:x'"),
    ("ListBackupOperations", "a made-up token", _operations("", "2"), BAD, "Invalid page token: 2"),
    ("GetBackup", "missing", {"name": NEW}, NOT_THERE, f"Backup not found: {NEW}"),
    ("DeleteBackup", "being restored", {"name": RESTORED_FROM}, NOT_NOW, BLOCKED),
    ("DeleteBackup", "being copied", {"name": COPIED}, NOT_NOW, "still in use by 1 backups"),
    ("ListBackups", "an unknown instance", {"parent": ELSEWHERE}, NOT_THERE, f"Instance not found: {ELSEWHERE}"),
    ("ListBackups", "a bad filter", {"parent": INSTANCE, "filter": "done:true"}, BAD, "unknown field 'done'"),
    ("ListDatabases", "no instance", {"parent": "projects/p"}, BAD, "Invalid instance name: projects/p"),
    (
        "ListDatabaseOperations",
        "an unknown instance",
        {"parent": ELSEWHERE},
        NOT_THERE,
        f"Instance not found: {ELSEWHERE}",
    ),
    ("GetDatabase", "unknown", {"name": UNKNOWN}, NOT_THERE, f"Database not found: {UNKNOWN}"),
    ("GetDatabase", "no name", {"name": "x"}, BAD, "Invalid database name: x"),
    ("GetOperation", "unknown", {"name": "x"}, NOT_THERE, "Operation not found: x"),
    ("CancelOperation", "unknown", {"name": "x"}, NOT_THERE, "Operation not found: x"),
    ("DeleteOperation", "any", {"name": "x"}, NOT_DONE_HERE, "Method not found!"),
    ("ListDatabaseRoles", "any", {"parent": ORDERS}, NOT_DONE_HERE, "Method not found!"),
]


def _call(world: World, method: str, request: object) -> object:
    call: Callable[[object], object] = getattr(world.client, re.sub(r"\B(?=[A-Z])", "_", method).lower())
    return call(request)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for all rows: a refusal changes nothing."""
    with _world() as made:
        yield made


@pytest.mark.parametrize(
    ("method", "request_", "error", "text"),
    [(row[0], *row[2:]) for row in ROWS],
    ids=[f"{row[0]}, {row[1]}" for row in ROWS],
)
def test_what_is_refused(
    world: World, method: str, request_: object, error: type[exceptions.GoogleAPICallError], text: str
) -> None:
    """The official client raises the code's exception with the text."""
    with pytest.raises(error) as refused:
        _call(world, method, request_)

    assert text in refused.value.message


def test_a_restore_cannot_be_cancelled(world: World) -> None:
    """The service says that it can't do that."""
    with pytest.raises(NOT_DONE_HERE, match="not implemented"):
        _call(world, "CancelOperation", {"name": world.restore})


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
    ("method", "request_", "kind", "name", "description"),
    [
        ("CreateBackup", _create("nightly"), "Backup", NIGHTLY, "Backup already exists."),
        ("GetBackup", {"name": NEW}, "Backup", NEW, "Backup does not exist."),
        (
            "ListBackups",
            {"parent": ELSEWHERE},
            "google.spanner.admin.instance.v1.Instance",
            ELSEWHERE,
            "Instance does not exist.",
        ),
    ],
    ids=["taken", "missing", "no instance"],
)
def test_some_refusals_carry_the_resource(
    world: World, method: str, request_: object, kind: str, name: str, description: str
) -> None:
    """The official client reads google.rpc.ResourceInfo out of the refusal's details."""
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        _call(world, method, request_)

    (info,) = refused.value.details
    assert info.resource_type.endswith(kind)
    assert (info.resource_name, info.description) == (name, description)
