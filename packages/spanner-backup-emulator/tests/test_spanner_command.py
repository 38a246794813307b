"""`python -m spanner_backup_emulator.spanner`, its options, and the plans that are written as text."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from google.cloud.spanner_admin_database_v1 import types as pb
from spanner_world import INSTANCE, ORDERS, USERS, connected

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan, ProgressModel, Status, parse_duration, parse_plan

BASE = Plan(duration=timedelta(seconds=7))


def test_the_command_obeys_its_plans() -> None:
    """It prints the address and the variable to set, and has the databases that it names, one of which fails."""
    arguments = ["--port=0", "--backup-seconds=0", "--strict", f"--database={ORDERS}", f"--database={USERS}"]
    program = [sys.executable, "-m", "spanner_backup_emulator.spanner", *arguments, f"--plan={USERS}=0s,fail=INTERNAL"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        greeting, export = process.stdout.readline(), process.stdout.readline().strip()
        address = export.removeprefix("export SPANNER_EMULATOR_HOST=")
        try:
            with connected(address) as client:
                listed = {database.name for database in client.list_databases(parent=INSTANCE)}
                codes = [_outcome(client, database) for database in (ORDERS, USERS)]
        finally:
            process.terminate()

    assert address in greeting
    assert listed == {ORDERS, USERS}
    assert codes == [Code.OK, Code.INTERNAL]


def test_by_default_the_next_read_shows_what_a_cancel_did() -> None:
    """A cancel took two seconds, longer than a test of Google's own waits."""
    program = [sys.executable, "-m", "spanner_backup_emulator.spanner", "--port=0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().partition("listens on ")[2].partition(". ")[0]
        with connected(address) as client:
            expire_time = datetime.now(UTC) + timedelta(days=1)
            backup = pb.Backup(database=ORDERS, expire_time=expire_time)
            operation = client.create_backup(parent=INSTANCE, backup_id="nightly", backup=backup)
            operation.cancel()  # type: ignore[no-untyped-call]  # the library has no types
            cancelled = operation.cancelled()  # type: ignore[no-untyped-call]  # the same
        process.terminate()

    assert cancelled


@pytest.mark.parametrize("plan", ["orders", f"{ORDERS}=soon"])
def test_a_bad_plan_stops_the_command(plan: str) -> None:
    """A plan that can't be understood is an error of use, said on standard error."""
    program = [sys.executable, "-m", "spanner_backup_emulator.spanner", "--port=0", f"--plan={plan}"]
    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 2
    assert "argument --plan" in ended.stderr


@pytest.mark.parametrize(
    ("settings", "plan"),
    [
        ("3h", Plan(duration=timedelta(hours=3))),
        ("duration=1h30m", Plan(duration=timedelta(hours=1, minutes=30))),
        ("3h,cancel=never", Plan(duration=timedelta(hours=3), cancel_duration=None)),
        ("cancel=10s", Plan(BASE.duration, cancel_duration=timedelta(seconds=10))),
        ("queue=2m", Plan(BASE.duration, queue_delay=timedelta(minutes=2))),
        ("removal=1d", Plan(BASE.duration, removal_delay=timedelta(days=1))),
        ("optimize=0.5s", Plan(BASE.duration, optimize_duration=timedelta(milliseconds=500))),
        ("fail=ABORTED", Plan(BASE.duration, error=Status(Code.ABORTED, "Planned to fail with ABORTED."))),
        ("progress=stuck", Plan(BASE.duration, progress=ProgressModel.STUCK)),
        ("size=12", Plan(BASE.duration, size_bytes=12)),
    ],
)
def test_each_setting_of_a_plan(settings: str, plan: Plan) -> None:
    """A setting changes its field, and the others stay as in the base."""
    assert parse_plan(f"{ORDERS}={settings}", BASE) == (ORDERS, plan)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("orders", "'orders' is not RESOURCE=SETTING"),
        ("=3h", "'=3h' is not RESOURCE=SETTING"),
        ("orders=", "'orders=' is not RESOURCE=SETTING"),
        ("orders=soon", "'soon' is not a duration"),
        ("orders=3h,", "'' is not a duration"),
        ("orders=speed=9", "'speed' is none of duration, queue"),
        ("orders=queue=never", "'never' is not a duration"),
        ("orders=fail=OK", "'OK' is not a status code"),
        ("orders=fail=oops", "'oops' is not a status code"),
        ("orders=progress=sideways", "sideways"),
        ("orders=size=1GB", "'1GB' is not a number of bytes"),
    ],
)
def test_what_is_no_plan(text: str, reason: str) -> None:
    """A plan that can't be understood is a ValueError that names what is wrong."""
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        parse_plan(text, BASE)


def test_a_duration_adds_its_parts_up() -> None:
    """Days, hours, minutes and seconds, in this order."""
    assert parse_duration("1d2h3m4.5s") == timedelta(days=1, hours=2, minutes=3, seconds=4.5)


def _outcome(client: DatabaseAdminClient, database: str) -> int:
    """Backs a database up that takes no time, and gives the code its operation ended with."""
    backup = pb.Backup(database=database, expire_time=datetime.now(UTC) + timedelta(days=1))
    backup_id = database.rpartition("/")[2]
    client.create_backup(parent=INSTANCE, backup_id=backup_id, backup=backup)
    (operation,) = client.list_backup_operations(
        pb.ListBackupOperationsRequest(parent=INSTANCE, filter=f'metadata.database="{database}"')
    )
    assert operation.done
    return int(operation.error.code)
