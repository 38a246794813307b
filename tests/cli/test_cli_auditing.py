"""How each database is covered: audit."""

from __future__ import annotations

import json
import re
from datetime import timedelta

from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient

from backstop_cli.clients import client
from backstop_cli.errors import Exit
from backstop_cli.naming import short
from backstop_cli.spanner import Spanner
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import is_golden
from tests.cli.test_cli_acting import begin
from tests.cli.test_cli_looking import by_hand, stray
from tests.waiting import wait_until


def test_audit_counts_what_covers_each_database(cli: Cli, place: Place) -> None:
    """Newest, running, failed, made by schedule or asked for, and what lies around."""
    place.database("quick")
    cli("start", "quick", "--backup-id", "nightly", "--wait")
    schedule = f"{place.instance}/databases/quick/backupSchedules/daily"
    place.stack.spanner.start_scheduled_backup(f"{place.instance}/databases/quick", schedule, "scheduled")
    place.database("failing")
    cli("start", "failing", "--wait")
    begin(cli, place, "stubborn", "stray")
    cli("cancel", "stray", "--keep", "--yes", "--wait")
    typed = cli("audit")

    assert typed.code == Exit.AS_WISHED
    assert is_golden("audit", typed.out.replace(short(place.instance), "I"))
    document = json.loads(cli("audit", place.instance, "--format", "json").out)
    rows = {row["database"].rpartition("/")[2]: row for row in document["databases"]}
    assert (rows["quick"]["scheduled"], rows["quick"]["on_demand"], rows["failing"]["failed"]) == (1, 1, 1)
    assert (rows["stubborn"]["strays"], document["freeable_bytes"]) == (1, 5_000_000_000)


def test_audit_tells_the_age_of_the_data_whose_it_is_and_what_was_dropped(cli: Cli, place: Place) -> None:
    """Once a copy was as young as the copying, of a database that seemed to be here, and what is gone had no backup."""
    other, orders = f"{place.instance}-b", place.database("quick")
    backup = by_hand(place, orders, "old", duration=timedelta(seconds=1))
    wait_until(lambda: (found := Spanner().backup(backup)) is not None and found.state == "READY")
    place.stack.spanner.begin_copy(backup, f"{other}/backups/copied", timedelta(seconds=1))
    wait_until(lambda: (found := Spanner().backup(f"{other}/backups/copied")) is not None and found.state == "READY")
    spanner: DatabaseAdminClient = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    spanner.delete_backup(name=backup)
    spanner.drop_database(database=orders)

    (row,) = json.loads(cli("audit", other, "--format", "json").out)["databases"]
    copied = Spanner().backup(f"{other}/backups/copied")
    assert copied is not None
    assert copied.version_time is not None
    assert (row["database"], row["newest"]) == (orders, copied.version_time.isoformat().replace("+00:00", "Z"))
    assert row["newest"] < str(copied.created).replace(" ", "T")
    assert "\nquick  " in cli("audit", other).out
    assert "no complete backup" not in cli("audit").out


def test_audit_counted_a_dropped_database_s_backups_for_the_new_one_of_its_name(cli: Cli, place: Place) -> None:
    """Once the newest data were nine hours old, though none were of the database that is here."""
    database = place.database("quick")
    spanner: DatabaseAdminClient = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    stray(place, database, "old")
    spanner.drop_database(database=database)
    spanner.create_database(parent=place.instance, create_statement="CREATE DATABASE quick")
    rows = json.loads(cli("audit", "--format", "json").out)["databases"]
    counts = [[row[name] for name in ("earlier", "here", "on_demand", "strays", "newest")] for row in rows]

    assert counts[0] == [False, True, 0, 0, None]
    assert counts[1][:4] == [True, False, 1, 1]
    by_hand(place, database, "new", duration=timedelta(hours=1))
    out = cli("audit").out
    assert re.search(r"^quick  +- +1 .*\nquick \(an earlier one\)  +\d+s ago +0 ", out, flags=re.MULTILINE)
    assert "\nquick has no complete backup.\n" in out
