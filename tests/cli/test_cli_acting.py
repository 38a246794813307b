"""What is published and how it ends: start, cancel, follow and sweep through the real wire, and each exit code."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import cast

import pytest
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient

from backstop_cli.clients import client
from backstop_cli.errors import Exit
from backstop_cli.spanner import Spanner
from backstop_cli.waiting import ABSENT
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from spanner_backup_emulator.spanner.plans import Plan
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import is_golden, normal
from tests.waiting import wait_until


def begin(cli: Cli, place: Place, database: str, backup_id: str, *more: str) -> str:
    """Starts a backup, waits until Spanner makes it, and returns its name."""
    place.database(database)
    assert cli("start", database, "--backup-id", backup_id, *more).code == Exit.AS_WISHED
    backup = f"{place.instance}/backups/{backup_id}"
    place.stack.wait_for(lambda events: [one for one in events if one.data.get("backup") == backup])
    return backup


def begin_cancel(backup: str) -> str:
    """Cancels a backup past Backstop, as a person in the console does, and returns the operation's name."""
    spanner: DatabaseAdminClient = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    (name,) = (one.name for one in Spanner().operations(backup.partition("/backups/")[0]) if one.backup == backup)
    spanner.cancel_operation({"name": name})
    return name


def cancel(backup: str) -> None:
    """The same, and waits until the operation has ended."""
    name = begin_cancel(backup)
    wait_until(lambda: (found := Spanner().operation(name)) is not None and found.done)


def test_a_start_that_is_waited_for_ends_with_its_backup(cli: Cli, place: Place) -> None:
    """With 0, and a line for each outcome."""
    place.database("quick")
    typed = cli("start", "quick", "--backup-id", "nightly", "--retention", "7d", "--wait")

    assert typed.code == Exit.AS_WISHED
    assert is_golden("start", typed.out)


def test_a_start_says_all_that_was_typed(cli: Cli, place: Place) -> None:
    """The message is the command, and who asked and why."""
    database = place.database("quick")
    options = ["--cancel-after", "4h", "--start-within", "1h", "--keep", "--reason", "INC-42", "--as", "bo@example.com"]
    typed = cli("start", "quick", *options, "--dry-run", "--format", "json")

    (command,) = place.commands()
    assert json.loads(typed.out)["command"] == command
    assert command == {
        "action": "start",
        "database": database,
        "cancel_after": "4h",
        "start_within": "1h",
        "if_created": "keep",
        "dry_run": True,
        "requested_by": "bo@example.com",
        "reason": "INC-42",
    }


def test_a_start_with_a_key_names_the_encryption(cli: Cli, place: Place) -> None:
    """Keys are customer-managed encryption."""
    place.database("quick")
    cli("start", "quick", "--kms-key", "projects/p/locations/l/keyRings/r/cryptoKeys/k", "--dry-run")

    (command,) = place.commands()
    assert command["encryption"]["type"] == "CUSTOMER_MANAGED_ENCRYPTION"
    assert command["encryption"]["kms_key_names"] == ["projects/p/locations/l/keyRings/r/cryptoKeys/k"]


def test_a_start_of_many_ends_when_the_last_of_them_has(cli: Cli, place: Place) -> None:
    """Each is told, and the sum of them."""
    for name in ("quick-a", "quick-b", "slow"):
        place.database(name)
    typed = cli("start", "--databases", "quick*", "--wait", "--format", "json")

    document = json.loads(typed.out)
    assert (typed.code, document["exit_code"]) == (0, 0)
    assert sorted(event["outcome"] for event in document["events"]) == ["COMPLETED"] * 2 + ["STARTED"] * 3


def test_a_start_of_many_of_which_some_did_not_start_is_no_success(cli: Cli, place: Place) -> None:
    """A pattern that matches nothing is one that was refused."""
    place.database("quick")
    typed = cli("start", "--databases", "quick", "--databases", "nothing-like-it", "--wait")

    assert typed.code == Exit.REFUSED


def test_a_start_without_a_database_starts_nothing(cli: Cli, place: Place) -> None:
    """An instance in a file must not turn a forgotten word into a backup of everything."""
    typed = cli("start")

    assert typed.code == Exit.USAGE
    assert "--instance I" in typed.err
    assert place.commands() == []


@pytest.mark.parametrize(("flags", "code"), [((), Exit.AS_WISHED), (("--detailed-exitcode",), Exit.CANCELLED)])
def test_a_cancel_that_wins_is_what_was_wished(cli: Cli, place: Place, flags: tuple[str, ...], code: Exit) -> None:
    """Or 10, for who wants to tell the endings apart."""
    begin(cli, place, "slow", "unwanted")
    typed = cli("cancel", "slow", "--yes", "--wait", "--reason", "the disk is full", *flags)

    assert typed.code == code
    assert is_golden("cancel", typed.out)


def test_a_cancel_that_comes_too_late_has_the_backup_deleted(cli: Cli, place: Place) -> None:
    """11, where the endings are to be told apart."""
    begin(cli, place, "stubborn", "late")
    typed = cli("cancel", "backups/late", "--yes", "--wait", "--detailed-exitcode")

    assert typed.code == Exit.DELETED
    assert "COMPLETED_THEN_DELETED" in typed.out


def test_a_cancel_that_keeps_and_comes_too_late_ends_as_wished(cli: Cli, place: Place) -> None:
    """The backup stays, as `--keep` says."""
    begin(cli, place, "stubborn", "kept")
    typed = cli("cancel", "kept", "--keep", "--yes", "--wait")

    assert typed.code == Exit.AS_WISHED
    assert "COMPLETED_KEPT" in typed.out


@pytest.mark.parametrize("topic", ["backstop-results", ""])
def test_a_cancel_that_keeps_ended_with_0_although_the_backup_was_gone(
    cli: Cli, place: Place, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told says that it is left alone, and only its severity that it is not there."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", topic)
    backup = begin(cli, place, "stubborn", "wanted")
    name = begin_cancel(backup)
    wait_until(lambda: (found := Spanner().operation(name)) is not None and found.done)
    client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER").delete_backup(name=backup)
    typed = cli("cancel", name, "--keep", "--yes", "--wait", "--timeout", "60s")

    assert typed.code == Exit.FAILED
    assert ("The backup was not there" in typed.err) == bool(topic)
    assert "not there" in typed.out + typed.err


def test_a_start_learns_of_somebody_else_s_cancel(cli: Cli, place: Place) -> None:
    """12: its backup was to be stopped, and stays."""
    begin(cli, place, "stubborn", "disputed")
    cli("cancel", "disputed", "--keep", "--yes")
    typed = cli("follow", "disputed", "--wait")

    assert typed.code == Exit.KEPT


def test_a_backup_that_fails_ends_with_13(cli: Cli, place: Place) -> None:
    """And with Google's words."""
    place.database("failing")
    typed = cli("start", "failing", "--wait")

    assert typed.code == Exit.FAILED
    assert "The disk is on fire." in " ".join(typed.out.split())


@pytest.mark.parametrize("topic", ["backstop-results", ""])
def test_a_start_whose_backup_is_gone_at_its_end_does_not_end_with_0(
    cli: Cli, place: Place, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a pipeline went on without a backup: a clean-up had deleted it before Backstop looked."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", topic)
    fault = Fault("GetBackup", Code.NOT_FOUND, times=None, resource=place.instance)
    place.database("quick")
    with place.stack.spanner.lock:
        place.stack.spanner.faults.plan(fault)
    typed = cli("start", "quick", "--backup-id", "before-migration", "--wait", "--timeout", "60s")
    with place.stack.spanner.lock:
        place.stack.spanner.faults.clear()

    assert (typed.code, "COMPLETED" in typed.out) == (Exit.FAILED, True)


def test_a_chain_that_gives_up_ends_with_14(cli: Cli, place: Place) -> None:
    """As here after 12 s."""
    place.database("slow")
    typed = cli("start", "slow", "--wait")

    assert typed.code == Exit.GAVE_UP


def test_a_command_that_is_refused_ends_with_15(cli: Cli, place: Place) -> None:
    """Spanner keeps no backup for an hour only."""
    place.database("quick")
    typed = cli("start", "quick", "--retention", "1h", "--wait")

    assert typed.code == Exit.REFUSED
    assert "retention" in typed.out


def test_a_cancel_of_nothing_ends_with_16(cli: Cli, place: Place) -> None:
    """Backstop says so, where it was asked."""
    place.database("quick")
    typed = cli("cancel", "quick", "--yes", "--wait")

    assert typed.code == Exit.NOTHING
    assert "NOTHING_TO_CANCEL" in typed.out


def test_a_wait_that_takes_too_long_ends_with_17_and_says_how_to_go_on(cli: Cli, place: Place) -> None:
    """The backup goes on, and watching it too."""
    place.database("slow")
    typed = cli("start", "slow", "--backup-id", "endless", "--wait", "--timeout", "2s")

    assert typed.code == Exit.TIMED_OUT
    assert is_golden("timed_out", typed.err)
    message_id = typed.err.partition("watch --command ")[2].split()[0]
    assert cli("watch", "--command", message_id, "--timeout", "1s").code == Exit.TIMED_OUT
    cli("cancel", "endless", "--yes")
    assert cli("watch", "--command", message_id, "--timeout", "30s").code == Exit.CANCELLED


@pytest.mark.parametrize("command", [("cancel", "quick"), ("sweep", "--delete"), ("sweep", "--cancel-after", "6h")])
def test_what_would_stop_or_delete_asks_for_yes_without_a_terminal(
    cli: Cli, place: Place, command: tuple[str, ...]
) -> None:
    """It can't ask, and so doesn't act."""
    place.database("quick")
    typed = cli(*command)

    assert (typed.code, typed.err) == (
        Exit.USAGE,
        f"Error: {command[0]} asks first, and there is no terminal to answer on.\nAdd --yes.\n",
    )
    assert place.commands() == []


def test_a_sweep_deletes_what_was_cancelled_and_is_there(cli: Cli, place: Place) -> None:
    """It tells what it deleted, and is over when it tells no more."""
    backup = begin(cli, place, "stubborn", "stray")
    cli("cancel", "stray", "--keep", "--yes", "--wait")
    typed = cli("sweep", "--delete", "--yes", "--wait", "--format", "yaml")

    assert typed.code == Exit.AS_WISHED
    assert "outcome: COMPLETED_THEN_DELETED" in typed.out
    assert cli("describe", backup, "--format", "json").out.count('"state": null') == 1


def test_a_sweep_that_may_not_delete_yet_does_not_end_with_0(cli: Cli, place: Place) -> None:
    """Once it did, though a sweep starts no chain that would try again."""
    database, instance = place.database("quick"), place.instance
    place.stack.spanner.queue_plans(database, Plan(timedelta(seconds=1), cancel_duration=None))
    backup = begin(cli, place, "quick", "held")
    cancel(backup)
    place.stack.spanner.begin_restore(backup, f"{instance}/databases/restored", timedelta(minutes=1))
    typed = cli("sweep", "--delete", "--yes", "--wait")

    assert (typed.code, "DELETE_BLOCKED" in typed.out) == (Exit.LEFT, True)
    assert "Sweep again once the restore or the copy is over." in typed.err


def test_a_sweep_that_finds_nothing_is_over_at_once(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tells then is its last word."""
    monkeypatch.setattr("backstop_cli.waiting.QUIET_S", 1e6)
    typed = cli("sweep", place.instance, "--cancel-after", "6h", "--yes", "--wait")

    assert (typed.code, "NOTHING_TO_CANCEL" in typed.out) == (Exit.AS_WISHED, True)


def test_a_results_topic_that_is_not_there_is_done_without(cli: Cli, place: Place) -> None:
    """The command says so, and reads Spanner."""
    place.database("quick")
    typed = cli("start", "quick", "--wait", "--results-topic", "nowhere", "--timeout", "60s")

    assert typed.code == Exit.AS_WISHED
    assert typed.err.startswith("Outcomes can't be received")


def test_without_a_results_topic_the_end_is_read_in_spanner(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completed, cancelled, and completed but deleted."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", "")
    place.database("quick")

    assert cli("start", "quick", "--wait", "--timeout", "60s").code == Exit.AS_WISHED
    begin(cli, place, "slow", "unwanted")
    assert "CANCELLED" in cli("cancel", "slow", "--yes", "--wait", "--timeout", "60s").out
    begin(cli, place, "stubborn", "late")
    typed = cli("cancel", "late", "--yes", "--wait", "--timeout", "60s", "--detailed-exitcode")
    assert (typed.code, "COMPLETED_THEN_DELETED" in typed.out) == (Exit.DELETED, True)


def test_without_a_results_topic_a_cancel_does_not_take_an_older_end_for_its_own(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it said CANCELLED of yesterday's, and ended with 0, where Backstop found nothing to cancel."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", "")
    monkeypatch.setattr("backstop_cli.acting.CLOCK_MARGIN", timedelta(0))
    monkeypatch.setitem(cast("dict[str, object]", ABSENT), "cancel", (0.0, *ABSENT["cancel"][1:]))
    backup = begin(cli, place, "slow", "yesterdays")
    cancel(backup)
    typed = cli("cancel", "slow", "--yes", "--wait", "--timeout", "20s")

    assert (typed.code, "NOTHING_TO_CANCEL" in typed.out) == (Exit.NOTHING, True)


def test_without_a_results_topic_a_cancel_leaves_a_schedule_s_backup_out(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it waited for the end of the newest, whoever had made it."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", "")
    begin(cli, place, "slow", "mine")
    database = f"{place.instance}/databases/slow"
    place.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/daily", "scheduled")
    typed = cli("cancel", "slow", "--yes", "--wait", "--timeout", "30s")

    assert (typed.code, "CANCELLED" in typed.out) == (Exit.AS_WISHED, True)


@pytest.mark.parametrize("command", [("start", "quick"), ("start", "--databases", "quick")])
def test_without_a_results_topic_the_end_of_many_is_not_promised_nor_that_of_a_dry_run(
    cli: Cli, place: Place, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are published all the same, and the command says that it can't see how they end."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", "")
    place.database("quick")
    typed = cli(*command, "--dry-run", "--wait")

    assert typed.code == Exit.USAGE
    assert "It was published as message" in normal(typed.err)
    assert len(place.commands()) == 1


def test_a_cancel_by_its_full_name_asks_nobody_first(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `--yes` it is published at once: nothing else stands between Enter and Spanner, not even Spanner."""
    backup = begin(cli, place, "slow", "urgent")
    monkeypatch.setenv("SPANNER_EMULATOR_HOST", "127.0.0.1:1")
    typed = cli("cancel", backup, "--yes", "--wait", "--timeout", "60s", "--detailed-exitcode")

    assert typed.code == Exit.CANCELLED
