"""Backup schedules: five methods for Google's own client, over gRPC and REST, and the backups that they start."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from google.protobuf.field_mask_pb2 import FieldMask
from spanner_world import DAY, HOUR, INSTANCE, ORDERS, START, Clock, ask, connected

from spanner_backup_emulator.errors import ApiError
from spanner_backup_emulator.spanner.plans import Plan
from spanner_backup_emulator.spanner.refusals import next_time
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.spanner.state import State

NIGHTLY = f"{ORDERS}/backupSchedules/nightly"


@pytest.fixture
def emulator(clock: Clock) -> Iterator[SpannerEmulator]:
    """A running emulator that knows one database."""
    state = State(databases=[ORDERS], strict=True, default_plan=Plan(duration=HOUR))
    with SpannerEmulator(clock=clock, state=state, rest_port=0) as running:
        yield running


def spec(cron: str = "0 3 * * *", retention: timedelta = 2 * DAY) -> pb.BackupSchedule:
    """A schedule, as its creator writes it."""
    return pb.BackupSchedule(
        spec=pb.BackupScheduleSpec(cron_spec=pb.CrontabSpec(text=cron)),
        retention_duration=retention,
        full_backup_spec=pb.FullBackupSpec(),
    )


def create(client: DatabaseAdminClient, schedule_id: str = "nightly", **changes: Any) -> pb.BackupSchedule:  # noqa: ANN401 fields by name
    """Creates one."""
    return client.create_backup_schedule(parent=ORDERS, backup_schedule_id=schedule_id, backup_schedule=spec(**changes))


def test_a_schedule_starts_a_backup_each_time_that_its_text_names(
    client: DatabaseAdminClient, clock: Clock, emulator: SpannerEmulator
) -> None:
    """Each names the schedule, is kept as long as that says, and takes no slot of those on demand."""
    create(client)
    clock.tick(2 * DAY)

    backups = list(client.list_backups(parent=INSTANCE))

    assert [backup.name for backup in backups] == [f"{INSTANCE}/backups/nightly-202611{day}-030000" for day in (23, 22)]
    for backup in backups:
        assert list(backup.backup_schedules) == [NIGHTLY]
        assert backup.expire_time - backup.create_time == 2 * DAY
        assert backup.state == pb.Backup.State.READY
    assert emulator.state.next_event_at() is not None


def test_a_schedule_is_read_changed_listed_and_deleted(client: DatabaseAdminClient, clock: Clock) -> None:
    """Only what the mask names is changed, and the next backup starts by the new times."""
    made = create(client)
    later = create(client, "weekly", cron="30 4 * * 0")
    clock.tick(HOUR / 2)
    changed = client.update_backup_schedule(
        backup_schedule=pb.BackupSchedule(name=NIGHTLY, spec=spec("0 9 * * *").spec, retention_duration=3 * DAY),
        update_mask=FieldMask(paths=["spec.cron_spec.text"]),
    )
    clock.tick(4 * HOUR)

    pages = pb.ListBackupSchedulesRequest(parent=ORDERS, page_size=1)
    assert made.name == NIGHTLY
    assert made.update_time == START
    assert changed.spec.cron_spec.text == "0 9 * * *"
    assert changed.retention_duration == 2 * DAY
    assert changed.update_time == START + HOUR / 2
    assert client.get_backup_schedule(name=NIGHTLY) == changed
    assert [one.name for one in client.list_backup_schedules(request=pages)] == [later.name, NIGHTLY]
    assert [backup.backup_schedules[0] for backup in client.list_backups(parent=INSTANCE)] == [later.name]
    client.delete_backup_schedule(name=NIGHTLY)
    with pytest.raises(exceptions.NotFound, match="Backup schedule not found"):
        client.get_backup_schedule(name=NIGHTLY)
    clock.tick(7 * DAY)
    assert {backup.backup_schedules[0] for backup in client.list_backups(parent=INSTANCE)} == {later.name}


def test_what_no_schedule_can_be_is_refused(client: DatabaseAdminClient) -> None:
    """By the code that the service gives, as far as it is documented."""
    create(client)
    with pytest.raises(exceptions.AlreadyExists):
        create(client)
    wrongs: tuple[dict[str, Any], ...] = ({"schedule_id": "A"}, {"cron": "every day"}, {"retention": HOUR})
    for wrong in wrongs:
        with pytest.raises(exceptions.InvalidArgument):
            create(client, **{"schedule_id": "other", **wrong})
    for paths in ([], ["no_such_field"], ["name"]):
        with pytest.raises(exceptions.InvalidArgument):
            client.update_backup_schedule(
                backup_schedule=pb.BackupSchedule(name=NIGHTLY), update_mask=FieldMask(paths=paths)
            )
    for number in range(3):
        create(client, f"more-{number}")
    with pytest.raises(exceptions.ResourceExhausted):
        create(client, "fifth")
    with pytest.raises(exceptions.NotFound):
        client.list_backup_schedules(parent=f"{INSTANCE}/databases/nope")


def test_a_database_that_is_forgotten_takes_its_schedules_along(clock: Clock) -> None:
    """Nothing is backed up that isn't there."""
    state = State(databases=[ORDERS])
    with SpannerEmulator(clock=clock, state=state) as emulator, connected(emulator.address) as client:
        create(client)
        state.forget_database(clock.now, ORDERS)

        assert state.next_event_at() is None


def test_schedules_are_there_over_rest_too(emulator: SpannerEmulator) -> None:
    """As `gcloud spanner backup-schedules` asks for them."""
    body = {"spec": {"cronSpec": {"text": "0 3 * * *"}}, "retentionDuration": "172800s", "fullBackupSpec": {}}
    made = ask(emulator, "POST", f"{ORDERS}/backupSchedules?backupScheduleId=nightly", body)
    changed = ask(emulator, "PATCH", f"{NIGHTLY}?updateMask=retentionDuration", {"retentionDuration": "86400s"})

    assert (made["name"], changed["retentionDuration"]) == (NIGHTLY, "86400s")
    assert ask(emulator, "GET", NIGHTLY) == changed
    assert ask(emulator, "GET", f"{ORDERS}/backupSchedules") == {"backupSchedules": [changed]}
    assert ask(emulator, "DELETE", NIGHTLY) == {}
    assert ask(emulator, "GET", f"{ORDERS}/backupSchedules") == {}


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 3 * * *", [(22, 3), (23, 3)]),
        ("0 2 * * *", [(23, 2), (24, 2)]),
        ("0 2/12 * * *", [(22, 14), (23, 2)]),
        ("0 2,14 * * *", [(22, 14), (23, 2)]),
        ("0 */6 * * *", [(22, 6), (22, 12)]),
        ("0 2 * * 0", [(29, 2)]),
        ("0 2 * * 7", [(29, 2)]),
        ("0 1-3 24 * *", [(24, 1), (24, 2)]),
        ("0 2 24 * 3", [(24, 2), (25, 2)]),
    ],
)
def test_a_text_names_its_times_in_utc(cron: str, expected: list[tuple[int, int]]) -> None:
    """From a Sunday at 2 on; the forms that Google's documentation shows, and those that every cron has."""
    when, found = START, []
    for _ in expected:
        when = next_time(cron, when)
        found.append((when.day, when.hour))

    assert found == expected
    assert next_time("0 0 29 2 *", START) == datetime(2028, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["", "0 2 * *", "60 2 * * *", "0 2 30 2 *", "0 5-3 * * *", "x 2 * * *", "0 */0 * * *"])
def test_a_text_that_names_no_time_is_refused(cron: str) -> None:
    """At once, and not when it would be due."""
    with pytest.raises(ApiError, match="Invalid cron spec"):
        next_time(cron, START)
