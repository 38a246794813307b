"""The official clients, unmodified, against the emulator over gRPC."""
# mypy: disallow-untyped-calls=False
# The clients' futures have no types.

from __future__ import annotations

import concurrent.futures
import threading
from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.api_core.operation import Operation
from google.cloud import spanner
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.longrunning import operations_pb2
from spanner_world import DAY, HOUR, INSTANCE, MINUTE, NIGHTLY, ORDERS, SCHEDULE, START, USERS, Clock, connected

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel
from spanner_backup_emulator.spanner.server import SpannerEmulator

CREATE_METADATA = "type.googleapis.com/google.spanner.admin.database.v1.CreateBackupMetadata"


def _create(client: DatabaseAdminClient, backup_id: str = "nightly", database: str = ORDERS) -> Operation:
    backup = pb.Backup(database=database, expire_time=START + 30 * DAY)
    return client.create_backup(parent=INSTANCE, backup_id=backup_id, backup=backup)


def test_create_wait_and_read(client: DatabaseAdminClient, clock: Clock) -> None:
    """The client's future reports progress while a backup is made, and the READY backup in the end."""
    operation = _create(client)
    clock.tick(HOUR / 4)
    assert not operation.done()
    running, before = operation.metadata, client.get_backup(name=NIGHTLY)
    clock.tick(HOUR)

    assert (running.name, running.database) == (NIGHTLY, ORDERS)
    assert (running.progress.progress_percent, running.progress.start_time) == (25, START)
    assert (before.state, before.size_bytes) == (pb.Backup.State.CREATING, 0)
    made = operation.result(timeout=60)
    assert made.size_bytes > 0
    assert made == client.get_backup(name=NIGHTLY)
    assert (made.state, made.create_time, made.version_time) == (pb.Backup.State.READY, START, START)
    assert made.max_expire_time == START + 366 * DAY
    assert operation.metadata.progress.end_time == START + HOUR


def test_the_future_cancels(client: DatabaseAdminClient, clock: Clock) -> None:
    """cancel() of the client's future stops a running backup, and cancelled() says so."""
    operation = _create(client)
    clock.tick(MINUTE)

    assert operation.cancel()
    assert operation.cancelled()
    assert operation.metadata.cancel_time == START + MINUTE
    with pytest.raises(exceptions.NotFound):
        client.get_backup(name=NIGHTLY)


def test_a_cancel_that_loses_is_answered_like_any_other(
    client: DatabaseAdminClient, clock: Clock, emulator: SpannerEmulator
) -> None:
    """After a lost cancel the operation has a cancel_time and a response, the pair that no other tool can produce."""
    emulator.set_plan(ORDERS, Plan(cancel_duration=None))
    operation = _create(client)
    client.cancel_operation(operations_pb2.CancelOperationRequest(name=operation.operation.name))
    clock.tick(HOUR)

    assert operation.result(timeout=60).name == NIGHTLY
    assert operation.metadata.cancel_time == START
    assert not operation.cancel()


def test_the_high_level_client_finds_the_emulator(
    emulator: SpannerEmulator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """google.cloud.spanner.Client takes SPANNER_EMULATOR_HOST; its Backup class creates, reads, updates and deletes."""
    monkeypatch.setenv("SPANNER_EMULATOR_HOST", emulator.address)
    instance = spanner.Client(project="p", disable_builtin_metrics=True).instance("i")
    backup = instance.backup("nightly", database=instance.database("orders"), expire_time=START + 30 * DAY)
    backup.create()
    clock.tick(HOUR)

    backup.reload()
    assert backup.is_ready()
    backup.update_expire_time(START + 10 * DAY)
    backup.reload()
    assert backup.expire_time == START + 10 * DAY
    assert len(list(instance.list_backup_operations())) == 1
    backup.delete()
    assert not backup.exists()


@pytest.mark.parametrize(
    ("text", "backups"),
    [
        ("", ["users-2", "users-1", "orders-1"]),
        ("done:false", ["users-2"]),
        (f"(metadata.@type:{CREATE_METADATA}) AND (metadata.database:{USERS})", ["users-2", "users-1"]),
        (f'(metadata.@type={CREATE_METADATA}) AND (metadata.database="{ORDERS}")', ["orders-1"]),
        (f'metadata.database:"{ORDERS}"', ["orders-1"]),
        (f"(metadata.@type={CREATE_METADATA}) AND (metadata.name:users) AND (error:*)", ["users-1"]),
        ('metadata.progress.start_time > "2026-11-22T02:30:00Z"', ["users-2"]),
        ("name:backups/orders-1/operations", ["orders-1"]),
    ],
)
def test_each_filter_of_operations(client: DatabaseAdminClient, clock: Clock, text: str, backups: list[str]) -> None:
    """The forms that Google's documentation, samples and gcloud use find the right operations, newest first."""
    _create(client, "orders-1")
    _create(client, "users-1", USERS).cancel()
    clock.tick(HOUR)
    _create(client, "users-2", USERS)

    listed = client.list_backup_operations(pb.ListBackupOperationsRequest(parent=INSTANCE, filter=text))
    names = [operation.name.split("/")[5] for operation in listed]
    assert names == backups


def test_operations_of_one_backup(client: DatabaseAdminClient) -> None:
    """google.longrunning's ListOperations, which gcloud uses, lists the operations of one backup's name."""
    first = _create(client)
    first.cancel()
    second = _create(client)
    _create(client, "other", USERS)

    listed = client.list_operations(operations_pb2.ListOperationsRequest(name=f"{NIGHTLY}/operations"))
    names = [operation.name for operation in listed.operations]
    assert names == [second.operation.name, first.operation.name]


@pytest.mark.parametrize("what", ["backups", "operations", "databases"])
def test_the_client_turns_pages(client: DatabaseAdminClient, what: str) -> None:
    """Five items at two a page are all listed, newest first, once each."""
    for number in range(5):
        _create(client, f"backup-{number}", f"{INSTANCE}/databases/db{number}")
    if what == "backups":
        pager = client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, page_size=2))
        sizes = [len(page.backups) for page in pager.pages]
        names = [item.name for item in client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, page_size=2))]
    elif what == "operations":
        request = pb.ListBackupOperationsRequest(parent=INSTANCE, page_size=2)
        sizes = [len(page.operations) for page in client.list_backup_operations(request).pages]
        names = [item.name.rpartition("/operations/")[0] for item in client.list_backup_operations(request)]
    else:
        listing = pb.ListDatabasesRequest(parent=INSTANCE, page_size=2)
        sizes = [len(page.databases) for page in client.list_databases(listing).pages]
        names = [item.name for item in client.list_databases(listing)]

    assert sizes == [2, 2, 1]
    assert [name[-1] for name in names] == ["4", "3", "2", "1", "0"]


def test_a_page_token_is_good_for_its_list_only(client: DatabaseAdminClient) -> None:
    """A token with another filter is refused; with its own it goes on where the page ended, whatever began since."""
    for number in range(3):
        _create(client, f"backup-{number}", f"{INSTANCE}/databases/db{number}")
    first = client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, page_size=2, filter="state:CREATING"))
    token = first.next_page_token
    _create(client, "backup-9", f"{INSTANCE}/databases/db9")

    rest = client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, page_token=token, filter="state:CREATING"))
    assert [backup.name[-1] for backup in rest] == ["0"]
    with pytest.raises(exceptions.InvalidArgument):
        client.list_backups(pb.ListBackupsRequest(parent=INSTANCE, page_token=token, filter="state:READY"))


def test_restore_and_copy(client: DatabaseAdminClient, clock: Clock) -> None:
    """RestoreDatabase and CopyBackup run as operations; the backup shows who needs it meanwhile."""
    _create(client)
    clock.tick(HOUR)
    restore = client.restore_database(parent=INSTANCE, database_id="restored", backup=NIGHTLY)
    copy = client.copy_backup(
        pb.CopyBackupRequest(parent=INSTANCE, backup_id="copy", source_backup=NIGHTLY, expire_time=START + 20 * DAY)
    )
    needed = client.get_backup(name=NIGHTLY)
    clock.tick(HOUR)

    assert list(needed.referencing_databases) == [f"{INSTANCE}/databases/restored"]
    assert list(needed.referencing_backups) == [f"{INSTANCE}/backups/copy"]
    restored = restore.result(timeout=60)
    assert restored.restore_info.backup_info.source_database == ORDERS
    assert client.get_database(name=restored.name) == restored
    assert restore.metadata.progress.progress_percent == 100
    assert copy.result(timeout=60).state == pb.Backup.State.READY
    assert copy.metadata.source_backup == NIGHTLY
    (optimization, listed) = client.list_database_operations(parent=INSTANCE)
    assert listed.name == restore.operation.name
    assert optimization.name == restore.metadata.optimize_database_operation_name


def test_keys_are_shown(client: DatabaseAdminClient, clock: Clock) -> None:
    """A backup made with several keys names a version of each, and a copy and a restore have the same keys."""
    keys = [f"projects/p/locations/{place}/keyRings/r/cryptoKeys/k" for place in ("here", "there")]
    request = pb.CreateBackupRequest(
        parent=INSTANCE,
        backup_id="nightly",
        backup=pb.Backup(database=ORDERS, expire_time=START + 30 * DAY),
        encryption_config=pb.CreateBackupEncryptionConfig(encryption_type=3, kms_key_names=keys),
    )
    client.create_backup(request)
    clock.tick(HOUR)

    versions = [info.kms_key_version for info in client.get_backup(name=NIGHTLY).encryption_information]
    assert versions == [f"{key}/cryptoKeyVersions/1" for key in keys]
    restored = client.restore_database(parent=INSTANCE, database_id="restored", backup=NIGHTLY)
    assert list(client.get_database(name=restored.metadata.name).encryption_config.kms_key_names) == keys


def test_a_schedule_shows_in_its_backup(client: DatabaseAdminClient, emulator: SpannerEmulator) -> None:
    """A scheduled backup names its schedule and leaves the database's slot free."""
    emulator.add_database(ORDERS)
    emulator.start_scheduled_backup(ORDERS, SCHEDULE, "by-schedule")
    _create(client)

    assert list(client.get_backup(name=f"{INSTANCE}/backups/by-schedule").backup_schedules) == [SCHEDULE]


def test_helpers_block_a_deletion(client: DatabaseAdminClient, clock: Clock, emulator: SpannerEmulator) -> None:
    """begin_restore and begin_copy keep a backup from being deleted for as long as they were told."""
    _create(client)
    clock.tick(HOUR)
    emulator.begin_restore(NIGHTLY, f"{INSTANCE}/databases/restored", MINUTE)
    emulator.begin_copy(NIGHTLY, f"{INSTANCE}/backups/copy", 2 * MINUTE)
    for _ in range(2):
        with pytest.raises(exceptions.FailedPrecondition):
            client.delete_backup(name=NIGHTLY)
        clock.tick(MINUTE)
    client.delete_backup(name=NIGHTLY)

    assert [backup.name for backup in client.list_backups(parent=INSTANCE)] == [f"{INSTANCE}/backups/copy"]


def test_missing_progress_is_unset(client: DatabaseAdminClient, emulator: SpannerEmulator) -> None:
    """An operation whose plan leaves progress out has none in its metadata."""
    emulator.queue_plans(ORDERS, Plan(progress=ProgressModel.MISSING))

    assert "progress" not in _create(client).metadata


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_happens_before_or_after_the_effect(
    client: DatabaseAdminClient, emulator: SpannerEmulator, when: str
) -> None:
    """A fault is seen by the client and counted; whether the backup was started depends on when it struck."""
    fault = Fault("CreateBackup", Code.UNAVAILABLE, when="before" if when == "before" else "after", resource="nightly")
    with emulator.lock:
        emulator.faults.plan(fault)
    _create(client, "other", USERS)
    with pytest.raises(exceptions.ServiceUnavailable):
        _create(client)

    names = [backup.name for backup in client.list_backups(parent=INSTANCE)]
    assert (NIGHTLY in names) is (when == "after")
    assert emulator.faults.injected == {("CreateBackup", Code.UNAVAILABLE, when): 1}
    assert emulator.faults.calls["CreateBackup"] == 2


@pytest.mark.parametrize("method", ["GetOperation", "CancelOperation", "GetBackup", "DeleteBackup", "ListBackups"])
def test_every_service_takes_faults(client: DatabaseAdminClient, emulator: SpannerEmulator, method: str) -> None:
    """Faults are keyed by the RPC's own name, in both services."""
    name = _create(client).operation.name
    calls = {
        "GetOperation": lambda: client.get_operation(operations_pb2.GetOperationRequest(name=name)),
        "CancelOperation": lambda: client.cancel_operation(operations_pb2.CancelOperationRequest(name=name)),
        "GetBackup": lambda: client.get_backup(name=NIGHTLY, retry=None),
        "DeleteBackup": lambda: client.delete_backup(name=NIGHTLY, retry=None),
        "ListBackups": lambda: client.list_backups(parent=INSTANCE, retry=None),
    }
    with emulator.lock:
        emulator.faults.plan(Fault(method, Code.PERMISSION_DENIED, message="no role"))
    with pytest.raises(exceptions.PermissionDenied, match="no role"):
        calls[method]()

    calls[method]()
    assert emulator.faults.injected[method, Code.PERMISSION_DENIED, "before"] == 1


def test_of_many_creations_at_once_one_gets_the_slot(client: DatabaseAdminClient) -> None:
    """Sixteen clients that start a backup of one database at the same time make one backup."""
    barrier = threading.Barrier(16)

    def start(number: int) -> bool:
        barrier.wait(timeout=60)
        try:
            _create(client, f"backup-{number}")
        except exceptions.FailedPrecondition:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        started = list(pool.map(start, range(16)))

    assert started.count(True) == 1
    assert len(list(client.list_backups(parent=INSTANCE))) == 1


def test_real_time_passes_too() -> None:
    """Without a clock of the test's the emulator runs on the real one."""
    with SpannerEmulator() as emulator, connected(emulator.address) as client:
        emulator.set_plan(ORDERS, Plan(duration=timedelta(milliseconds=50)))
        backup = pb.Backup(database=ORDERS, expire_time=emulator.now() + DAY)
        operation = client.create_backup(parent=INSTANCE, backup_id="nightly", backup=backup)

        assert operation.result(timeout=60).state == pb.Backup.State.READY


def test_closing_twice_is_harmless() -> None:
    """close() may be called again, and before start(), and the address's port is free afterwards."""
    emulator = SpannerEmulator()
    emulator.close()
    with emulator:
        port = int(emulator.address.rpartition(":")[2])
        emulator.close()

    with SpannerEmulator(port) as again:
        assert again.address == emulator.address
