"""What people see at a terminal, and what happens when they press Ctrl-C."""

from __future__ import annotations

import re
import shlex
import sys

import pytest
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient

from backstop_cli.clients import client
from backstop_cli.errors import Exit
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import at_a_terminal, begin, interrupt, is_golden, wait_for_line
from tests.cli.test_cli_acting import begin as begin_backup
from tests.cli.test_cli_looking import by_hand, stray
from tests.cli.test_cli_watching import subscriptions
from tests.waiting import wait_until

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")


def test_ctrl_c_while_waiting_says_that_the_work_goes_on(cli: Cli, place: Place) -> None:
    """And it does: 130, the backup is made all the same, and no subscription is left."""
    place.database("slow")
    with begin(place.environ, "start", "slow", "--backup-id", "interrupted", "--wait") as process:
        wait_for_line(process, "STARTED")
        typed = interrupt(process)

    assert typed.code == Exit.INTERRUPTED
    assert is_golden("interrupted", typed.err)
    assert "interrupted" in cli("status").out


def test_ctrl_c_while_waiting_leaves_a_document_whole(place: Place) -> None:
    """What a program reads is JSON all the same."""
    place.database("slow")
    with begin(place.environ, "start", "slow", "--wait", "--format", "json") as process:
        place.stack.wait_for(lambda events: [one for one in events if place.instance in one.data["subject"]])
        pubsub = place.stack.pubsub
        assert pubsub is not None
        wait_until(lambda: not any(map(pubsub.undelivered_count, subscriptions(place))))  # It has taken the event.
        typed = interrupt(process)

    assert typed.code == Exit.INTERRUPTED
    assert '"exit_code": 130' in typed.out


def test_a_cancel_at_a_terminal_shows_what_it_would_stop_and_asks(cli: Cli, place: Place) -> None:
    """With the answer yes it is published, and followed with a bar."""
    begin_backup(cli, place, "slow", "unwanted")
    typed = at_a_terminal(place.environ, "cancel", "unwanted", "--wait", answer="y\n")

    assert typed.code == Exit.AS_WISHED
    assert re.search(r"unwanted +RUNNING +0% +\ds ago +a command, or a person", typed.out)
    assert "the backup is deleted." in typed.out
    assert typed.out.index("Stop it?") < typed.out.index("Published cancel")
    assert "waiting" in typed.out
    assert COLOUR.search(typed.out)


def test_a_cancel_at_a_terminal_showed_one_operation_and_stopped_what_began_while_it_asked(
    cli: Cli, place: Place
) -> None:
    """What is published names the operation that was shown, whatever runs by then."""
    begin_backup(cli, place, "slow", "unwanted")
    typed = at_a_terminal(place.environ, "cancel", "slow", answer="y\n")

    assert "Published cancel of slow" in typed.out
    published = place.commands()[-1]
    assert "database" not in published
    assert published["operation"].startswith(f"{place.instance}/backups/unwanted/operations/")


def test_a_cancel_asked_about_what_the_function_was_sure_to_refuse(place: Place) -> None:
    """A schedule's backup is named, and left alone; so it is by a sweep's question."""
    database = place.database("slow")
    schedule = f"{database}/backupSchedules/daily"
    place.stack.spanner.start_scheduled_backup(database, schedule, "scheduled")

    cancelled = at_a_terminal(place.environ, "cancel", "slow")
    swept = at_a_terminal(place.environ, "sweep", "--cancel-after", "0s")

    assert (cancelled.code, "refused without --include-scheduled" in cancelled.out) == (Exit.NOTHING, True)
    assert (swept.code, "1 that schedules made stay without --include-scheduled." in swept.out) == (
        Exit.AS_WISHED,
        True,
    )
    assert not place.commands()


def test_a_cancel_that_is_thought_better_of_publishes_nothing(cli: Cli, place: Place) -> None:
    """The answer no, which is also that of an empty line."""
    begin_backup(cli, place, "slow", "wanted")
    typed = at_a_terminal(place.environ, "cancel", "wanted", answer="\n")

    assert typed.code == Exit.USAGE
    assert [command["action"] for command in place.commands()] == ["start"]


def test_a_sweep_at_a_terminal_shows_what_it_would_stop_or_delete_and_asks(place: Place) -> None:
    """Where, which backups, and what is to become of them; with the answer no it publishes nothing."""
    database = place.database("slow")
    stray(place, database, "left")
    stray(place, place.database("quick"), "of-a-schedule", "daily")
    by_hand(place, database, "endless")
    typed = at_a_terminal(place.environ, "sweep", "--delete", "--cancel-after", "0s", answer="n\n")

    assert typed.code == Exit.USAGE
    assert f"In {place.instance}:" in typed.out.replace("\r\n", "\n")
    assert re.search(r"left +complete +\d+s ago +to be deleted", typed.out)
    assert re.search(r"endless +\d+% +\d+s ago +to be stopped", typed.out)
    assert "1 that schedules made stay without --include-scheduled." in typed.out
    assert place.commands() == []
    typed = at_a_terminal(place.environ, "sweep", f"{place.instance}-b", "--delete")
    assert (typed.code, "Nothing was published." in typed.out) == (Exit.AS_WISHED, True)


def test_a_cancel_of_what_does_not_run_is_not_even_asked_about(cli: Cli, place: Place) -> None:
    """It says what ended last."""
    place.database("quick")
    assert cli("start", "quick", "--backup-id", "ended", "--wait").code == Exit.AS_WISHED
    typed = at_a_terminal(place.environ, "cancel", "quick")

    assert typed.code == Exit.NOTHING
    assert re.search(r"Nothing of quick runs; ended ended \ds ago \(SUCCEEDED\)\. Nothing was published\.", typed.out)
    assert [command["action"] for command in place.commands()] == ["start"]


def test_a_cancel_of_what_is_complete_asks_whether_to_delete_it(cli: Cli, place: Place) -> None:
    """Once it asked whether to stop it, and deleted it; with `--keep`, or when it is gone, there is nothing to ask."""
    place.database("quick")
    assert cli("start", "quick", "--backup-id", "ended", "--wait").code == Exit.AS_WISHED
    typed = at_a_terminal(place.environ, "cancel", "ended", answer="n\n")

    assert (typed.code, "It is complete. Delete it?" in typed.out, "Stop it?" in typed.out) == (Exit.USAGE, True, False)
    assert at_a_terminal(place.environ, "cancel", "ended", "--keep").code == Exit.NOTHING
    spanner: DatabaseAdminClient = client("google.cloud.spanner_admin_database_v1", "DatabaseAdminClient", "SPANNER")
    spanner.delete_backup(name=f"{place.instance}/backups/ended")
    assert at_a_terminal(place.environ, "cancel", "backups/ended").code == Exit.NOTHING
    assert [command["action"] for command in place.commands()] == ["start"]


def test_a_cancel_of_a_schedule_s_backup_says_that_it_would_be_refused(cli: Cli, place: Place) -> None:
    """Before it is published."""
    database = place.database("slow")
    place.stack.spanner.start_scheduled_backup(database, f"{database}/backupSchedules/daily", "scheduled")
    typed = at_a_terminal(place.environ, "cancel", "scheduled", answer="n\n")

    assert "schedule daily" in typed.out
    assert "refused without --include-scheduled" in typed.out
    assert cli("cancel", "scheduled", "--yes", "--wait").code == Exit.REFUSED


@pytest.mark.parametrize("arguments", [("status",), ("start", "quick", "--wait")])
def test_no_color_is_respected(place: Place, arguments: tuple[str, ...]) -> None:
    """https://no-color.org: with the variable set, no colour is added, whatever else is."""
    place.database("quick")
    typed = at_a_terminal({**place.environ, "NO_COLOR": "1"}, *arguments)

    assert typed.code == Exit.AS_WISHED
    assert COLOUR.search(typed.out) is None


def test_without_a_terminal_there_is_neither_bar_nor_colour(place: Place) -> None:
    """What is piped is text."""
    place.database("quick")
    with begin(place.environ, "start", "quick", "--wait") as process:
        out, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (Exit.AS_WISHED, "")
    assert "\x1b" not in out


def test_names_are_completed(place: Place) -> None:
    """By the shell, from Spanner; where that can't be asked, there is silence."""
    for name in ("quick-a", "quick-b", "slow"):
        place.database(name)
    words = {"_BACKSTOP_COMPLETE": "bash_complete", "COMP_WORDS": "backstop start qu", "COMP_CWORD": "2"}
    with begin({**place.environ, **words}) as process:
        out, _ = process.communicate(timeout=60)
    with begin({**place.environ, **words, "BACKSTOP_INSTANCE": ""}) as process:
        nothing, err = process.communicate(timeout=60)

    assert out.split() == ["plain,quick-a", "plain,quick-b"]
    assert (nothing.strip(), err) == ("", "")


ALONE = """import runpy, sys
sys.path[:] = [place for place in sys.path if "spanner-backup-emulator" not in place]
runpy.run_module("backstop_cli", run_name="__main__")"""
"""The command line where nothing else of the checkout is installed."""


def test_emulate_starts_all_that_its_three_lines_need_where_only_the_command_line_is_installed(place: Place) -> None:
    """Emulators, function and databases, with one command in a checkout; typed as it says, the lines work."""
    folder = place.log.parent / "a folder"
    emulate = ("emulate", "--directory", str(folder), "--backup-takes", "1s")
    with begin({"COLUMNS": "80", "PYTHONPATH": ""}, *emulate, command=(sys.executable, "-c", ALONE)) as process:
        greeting = wait_for_line(process, "backstop cancel")
        environ = dict(word.split("=", 1) for word in shlex.split((folder / "env").read_text()) if word != "export")
        assert f"\n  . {shlex.quote(str(folder / 'env'))}\n" in greeting
        codes = []
        for line in greeting.splitlines()[-3:]:
            command = line.split()[1:]
            with begin({**environ, "BACKSTOP_CONFIG": ""}, *command, *["--yes"] * (command[0] == "cancel")) as typed:
                typed.communicate(timeout=60)
            codes.append(typed.returncode)
        process.terminate()
        _, said = process.communicate(timeout=60)

    assert codes == [Exit.AS_WISHED, Exit.AS_WISHED, Exit.NOTHING]
    assert (process.returncode, said) == (Exit.AS_WISHED, "Stopped; nothing is left.\n")
    assert '"COMPLETED"' in (folder / "log").read_text()
