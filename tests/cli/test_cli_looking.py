"""What is shown: status, describe and config, as tables and as documents."""

from __future__ import annotations

import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
import yaml
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient

from backstop_cli.clients import client
from backstop_cli.errors import Exit
from backstop_cli.followups import read
from backstop_cli.naming import short
from backstop_cli.spanner import Spanner
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.plans import Plan
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import is_golden
from tests.cli.test_cli_acting import begin, begin_cancel, cancel
from tests.cli.test_cli_parts import TRIGGER, task

CHAIN = {"kind": "poll", "trigger": TRIGGER, "step": 1, "give_up_at": "2026-11-29T11:00:00Z"}


def by_hand(place: Place, database: str, backup_id: str, duration: timedelta | None = None) -> str:
    """Begins a backup past Backstop, as a person in the console does."""
    spanner: DatabaseAdminClient = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    if duration:
        place.stack.spanner.queue_plans(database, Plan(duration))
    backup: Any = {"database": database, "expire_time": wall_clock() + timedelta(days=6, hours=1)}
    instance = database.partition("/databases/")[0]
    spanner.create_backup(parent=instance, backup_id=backup_id, backup=backup)
    return f"{instance}/backups/{backup_id}"


def stray(place: Place, database: str, backup_id: str, schedule: str = "") -> str:
    """Leaves a backup that somebody cancelled past Backstop and that completed all the same; returns its name."""
    place.stack.spanner.queue_plans(database, Plan(timedelta(seconds=1), cancel_duration=None))
    backup = f"{database.partition('/databases/')[0]}/backups/{backup_id}"
    if schedule:
        place.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/{schedule}", backup_id)
    else:
        by_hand(place, database, backup_id)
    cancel(backup)
    return backup


def advised(out: str) -> list[list[str]]:
    """The commands that a text advises, each as it would be pasted."""
    return [shlex.split(line.partition("backstop ")[2]) for line in out.splitlines() if "backstop " in line]


def test_status_of_an_idle_instance_says_so(cli: Cli, place: Place) -> None:
    """An empty table says less."""
    typed = cli("status")

    assert (typed.code, typed.out) == (Exit.AS_WISHED, f"Nothing runs in {place.instance.rpartition('/')[2]}.\n")


def test_status_shows_what_runs_and_on_whose_behalf(cli: Cli, place: Place) -> None:
    """Progress, since when, the next look, the end of patience, and what nobody follows."""
    begin(cli, place, "slow-one", "migration", "--reason", "before the migration")
    database = place.database("slow-two")
    by_hand(place, database, "from-the-console")
    typed = cli("status")

    assert typed.code == Exit.AS_WISHED
    assert is_golden("status", typed.out)


def test_status_as_a_document_says_who_follows_what(cli: Cli, place: Place) -> None:
    """A cancel speaks louder than the start of the same backup, and the keys stay."""
    backup = begin(cli, place, "slow", "both", "--reason", "nightly")
    hand = by_hand(place, place.database("quick"), "mine", duration=timedelta(hours=1))
    document = json.loads(cli("status", "--format", "json").out)

    assert sorted(document) == ["copies", "instance", "running", "strays", "unfollowed", "waiting"]
    assert document["unfollowed"] == [hand]
    (followed,) = (one for one in document["running"] if one["backup"] == backup)
    assert (followed["followers"], followed["intent"], followed["action"]) == (1, "KEEP", "start")
    assert (followed["requested_by"], followed["reason"]) == ("anna@example.com", "nightly")
    assert followed["next_look"] < followed["gives_up"]
    assert yaml.safe_load(cli("status", "--format", "yaml").out)["unfollowed"] == [hand]


def test_status_advises_to_cancel_what_is_being_cancelled_and_nobody_follows(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it advised to follow it, which keeps it; and a follow doesn't know a limit that was lost."""
    monkeypatch.setattr("backstop_cli.looking.FRESH", timedelta(0))
    operations = {}
    for name in ("slow-wanted", "slow-wrong"):
        place.stack.spanner.queue_plans(place.database(name), Plan(timedelta(hours=1), cancel_duration=None))
        operations[name] = by_hand(place, f"{place.instance}/databases/{name}", name)
    begin_cancel(operations["slow-wrong"])
    nightly = place.database("slow-nightly")
    place.stack.spanner.start_scheduled_backup(nightly, f"{nightly}/backupSchedules/daily", "nightly")
    typed = cli("status")

    assert sorted(advised(typed.out)) == [["cancel", "backups/slow-wrong"], ["follow", "backups/slow-wanted"]]
    assert "add --cancel-after" in typed.out
    assert "backups/nightly is made by a backup schedule: nobody has to follow it." in typed.out


def test_status_tells_of_limits_of_what_may_not_be_deleted_yet_and_of_copies(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it said of the last two that nothing runs, and of the first only when Backstop gives up, days later."""
    backup, other = stray(place, place.database("slow"), "held"), f"{place.instance}-b"
    limited = by_hand(place, f"{place.instance}/databases/slow", "limited", duration=timedelta(hours=1))
    place.stack.spanner.begin_copy(backup, f"{other}/backups/copied", timedelta(hours=1))
    (one,) = (one.name for one in Spanner().operations(place.instance) if one.backup == limited)
    limit = (wall_clock() + timedelta(hours=3, minutes=1)).isoformat()
    waiting = [
        read(task({**CHAIN, "operation": one, "intent": "KEEP", "unwanted_from": limit})),
        read(task({**CHAIN, "operation": f"{backup}/operations/o", "intent": "CANCEL", "told": ["DELETE_BLOCKED"]})),
    ]
    monkeypatch.setattr("backstop_cli.session.Session.follow_ups", lambda _: (waiting, ""))

    out = cli("status").out
    assert "stops in 3h" in out
    assert "backups/held is to be deleted, but a restore or a copy needs it: next look " in out
    assert re.search(r"stops +20\d\d-.* in 3h", cli("describe", "limited").out)
    assert cli("status", other).out.startswith(f"{other}/backups/copied, a copy of backups/held, is at ")
    (copy,) = json.loads(cli("status", other, "--format", "json").out)["copies"]
    assert copy["source"] == backup


def test_status_without_the_queue_says_what_it_does_not_know(cli: Cli, place: Place) -> None:
    """Spanner's part is shown all the same."""
    begin(cli, place, "slow", "unknown")
    typed = cli("status", "--queue", "nowhere")

    assert typed.code == Exit.AS_WISHED
    assert "unknown" in typed.out
    assert typed.err.startswith("Who follows what is unknown: Which location? Nothing says.")
    typed = cli("status", "--queue", "nowhere", "--location", "here", "--format", "json")
    assert json.loads(typed.out)["unfollowed"] is None
    assert "nowhere can't be read" in typed.err


def test_status_and_describe_do_without_a_queue_that_is_away(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once they showed nothing at all, as a call that is repeated in vain ends with an error of another kind."""
    by_hand(place, place.database("slow"), "running")
    monkeypatch.setattr("backstop_cli.clients.CALL_S_MAX", 2.0)
    with place.stack.tasks.endpoint.lock:
        place.stack.tasks.endpoint.faults.plan(Fault("ListTasks", Code.UNAVAILABLE, times=None, message="no route"))
    shown = [cli("status"), cli("describe", "running")]
    with place.stack.tasks.endpoint.lock:
        place.stack.tasks.endpoint.faults.clear()

    for typed in shown:
        assert (typed.code, "running" in typed.out) == (Exit.AS_WISHED, True)
        assert "can't be read: no route" in " ".join(typed.err.split())


def test_status_names_what_was_cancelled_and_is_there(cli: Cli, place: Place) -> None:
    """And what to type to be rid of it."""
    begin(cli, place, "stubborn", "stray")
    cli("cancel", "stray", "--keep", "--yes", "--wait")
    typed = cli("status")

    assert "backups/stray is there although it was cancelled" in typed.out
    assert "frees 5.0 GB" in typed.out
    assert advised(typed.out) == [["sweep", short(place.instance), "--delete"]]


def test_status_and_audit_advise_what_deletes_a_schedule_s_stray(cli: Cli, place: Place) -> None:
    """Once their advice left it where it was."""
    backup = stray(place, place.database("quick"), "of-a-schedule", "daily")
    sweep = ["sweep", short(place.instance), "--delete", "--include-scheduled"]

    assert (advised(cli("status").out), advised(cli("audit").out)) == ([sweep], [sweep])
    assert cli(*sweep, "--yes", "--wait").code == Exit.AS_WISHED
    assert Spanner().backup(backup) is None


def test_advice_that_is_pasted_acts_where_the_command_had_looked(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it swept the instance of the settings, and deleted what somebody had kept there."""
    monkeypatch.setattr("backstop_cli.looking.FRESH", timedelta(0))
    other = f"{place.instance}-b"
    for instance in (place.instance, other):
        place.stack.spanner.add_database(f"{instance}/databases/orders")
    precious = stray(place, f"{place.instance}/databases/orders", "precious")
    left = stray(place, f"{other}/databases/orders", "stray")
    hand = by_hand(place, f"{other}/databases/orders", "hand", duration=timedelta(hours=1))

    for command in (("status", other), ("status", "--instance", short(other)), ("audit", other)):
        *follows, sweep = advised(cli(*command).out)
        assert sweep[0] == "sweep"
        assert all(cli(*follow, "--dry-run", "--wait").code == Exit.AS_WISHED for follow in follows)
    assert advised(cli("describe", hand).out) == [["why", hand]]
    assert cli(*sweep, "--yes", "--wait").code == Exit.AS_WISHED
    assert (Spanner().backup(left), Spanner().backup(precious) is None) == (None, False)


def test_describe_tells_all_of_a_backup(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the backup, its operation, and its outcomes, where the log is at hand."""
    place.database("quick")
    cli("start", "quick", "--backup-id", "nightly", "--retention", "7d", "--wait", "--reason", "nightly")
    monkeypatch.setenv("BACKSTOP_LOG", place.write_log())
    typed = cli("describe", "nightly")

    assert typed.code == Exit.AS_WISHED
    assert "in 6d" in typed.out
    assert is_golden("describe", typed.out.replace(place.instance, "projects/P/instances/I"))


def test_describe_tells_who_follows_what_runs(cli: Cli, place: Place) -> None:
    """By the operation's name as well as by the backup's."""
    backup = begin(cli, place, "slow", "running", "--reason", "nightly")
    document = json.loads(cli("describe", "running", "--format", "json").out)

    (operation,) = document["operations"]
    assert (document["backup"], document["state"], document["outcomes"]) == (backup, "CREATING", None)
    assert (operation["state"], operation["requested_by"], operation["reason"]) == (
        "RUNNING",
        "anna@example.com",
        "nightly",
    )
    typed = cli("describe", operation["operation"])
    assert "start by anna@example.com: nightly" in typed.out
    assert "backstop why backups/running" in typed.out


def test_describe_names_what_still_needs_a_backup(cli: Cli, place: Place) -> None:
    """A restore holds it."""
    place.database("quick")
    cli("start", "quick", "--backup-id", "needed", "--wait")
    place.stack.spanner.begin_restore(
        f"{place.instance}/backups/needed", f"{place.instance}/databases/restored", timedelta(minutes=1)
    )

    document = json.loads(cli("describe", "needed", "--format", "json").out)
    assert document["used_by"] == [f"{place.instance}/databases/restored"]


def test_describe_of_what_is_not_there_says_what_is(cli: Cli, place: Place) -> None:
    """A name that is nearly right is completed."""
    place.database("quick")
    cli("start", "quick", "--backup-id", "nightly", "--wait")
    typed = cli("describe", "nigthly")

    assert typed.code == Exit.USAGE
    assert typed.err == f"Error: {place.instance} has no backup or operation 'nigthly'.\nDid you mean `nightly`?\n"
    assert cli("describe", "backups/no-such-backup").code == Exit.USAGE


def test_config_shows_each_setting_and_where_it_came_from(cli: Cli, place: Place) -> None:
    """And that all that they name is there."""
    place.database("quick")
    typed = cli("config", "--location", "europe-west1")

    assert typed.code == Exit.AS_WISHED
    shown = typed.out.replace(place.instance, "projects/P/instances/I").replace(str(place.log.parent), "HOME")
    assert "BACKSTOP_INSTANCE" in shown
    assert "--location" in shown
    assert "default" in shown
    document = json.loads(cli("config", "--format", "json").out)
    assert [check["ok"] for check in document["checks"]] == [True] * 7
    assert {one["name"]: one["source"] for one in document["settings"]}["queue"] == "BACKSTOP_TASKS_QUEUE"


def test_config_says_what_is_missing_and_what_it_is_needed_for(cli: Cli, place: Place) -> None:
    """Each of what is there no more or never was."""
    del place
    typed = cli("config", "--commands-topic", "gone", "--queue", "gone", "--format", "json")

    checks = {check["what"]: check for check in json.loads(typed.out)["checks"]}
    assert typed.code == Exit.USAGE
    assert {what for what, check in checks.items() if not check["ok"]} == {"commands topic", "queue"}
    assert checks["commands topic"]["detail"].startswith("NotFound: Resource not found (resource=gone).")
    assert checks["commands topic"]["detail"].endswith("Needed for: start, cancel, follow, sweep.")


@pytest.mark.parametrize("method", ["ListBackupOperations", "GetOperation", "ListBackups", "GetBackup"])
def test_config_finds_each_permission_that_reading_spanner_takes(cli: Cli, place: Place, method: str) -> None:
    """Once it said ok of an instance of which nothing could be read but its databases."""
    by_hand(place, place.database("slow"), "one")
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(Fault(method, Code.PERMISSION_DENIED, message="no", resource=place.instance))
    checks = {check["what"]: check for check in json.loads(cli("config", "--format", "json").out)["checks"]}

    (what,) = (what for what, check in checks.items() if not check["ok"])
    assert what == ("backup operations" if "Operation" in method else "backups")
    assert checks[what]["detail"].startswith("PermissionDenied: no Needed for: status, describe, audit")


def test_config_finds_that_no_subscription_can_be_made_and_no_log_read(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which watching and `why` take."""
    monkeypatch.setenv("BACKSTOP_LOG", "/no/such/log")
    assert place.stack.pubsub is not None
    place.stack.pubsub.faults.plan(Fault("CreateSubscription", Code.PERMISSION_DENIED))
    checks = json.loads(cli("config", "--format", "json").out)["checks"]

    assert [check["what"] for check in checks if not check["ok"]] == ["results topic", "log"]


def test_what_google_refuses_ends_with_1_and_google_s_words(cli: Cli, place: Place) -> None:
    """And with where to look, without a traceback."""
    fault = Fault("ListBackupOperations", Code.PERMISSION_DENIED, message="you may not", resource=place.instance)
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(fault)
    typed = cli("status")

    assert typed.code == Exit.GOOGLE
    assert typed.err == (
        "Error: PermissionDenied: you may not\n"
        "`backstop config` with the same flags shows which permissions are missing.\n"
    )


def test_a_quota_that_is_used_up_for_a_moment_is_waited_for(cli: Cli, place: Place) -> None:
    """The function and the people share it."""
    fault = Fault("ListBackups", Code.RESOURCE_EXHAUSTED, resource=place.instance, times=2)
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(fault)

    assert cli("status").code == Exit.AS_WISHED


def test_a_filter_that_spanner_refuses_is_left_out(cli: Cli, place: Place) -> None:
    """It saves bandwidth only."""
    begin(cli, place, "slow", "unfiltered")
    fault = Fault("ListBackupOperations", Code.INVALID_ARGUMENT, resource=place.instance)
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(fault)

    assert "unfiltered" in cli("status").out
