"""What is printed can be pasted: no view shortens or breaks it, however narrow the terminal is."""

from __future__ import annotations

import json
import pty
import re
import shlex
import subprocess
from datetime import timedelta
from unittest.mock import Mock

import pytest

from backstop_cli import output
from backstop_cli.errors import Exit
from backstop_cli.messages import Event, Subscription, publish
from backstop_cli.naming import short
from backstop_cli.publishing import Picture
from backstop_cli.waiting import Wait
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import COMMAND, ROOT, WAIT_S_MAX, at_a_terminal, normal
from tests.cli.test_cli_looking import advised, by_hand, stray
from tests.cli.test_cli_watching import Told

INSTANCE = "projects/my-project/instances/prod"
ATTEMPTS = [f"{INSTANCE}/backups/{name}/operations/_auto_op_6532028347405" for name in ("orders-20261127", "orders")]
GCLOUD = "gcloud spanner backups delete orders-20261127-020000-3b89f0a2 --instance=prod --project=my-project"
DETAILS = (
    f"Nothing to cancel for {INSTANCE}/databases/orders: {ATTEMPTS[0]} ended last. If its backup is to go: {GCLOUD}",
    f"If its backup is to go, publish {json.dumps({'action': 'cancel', 'operation': ATTEMPTS[0]})} by 03:22:40 UTC.",
    f"Cancelled nothing, as any of these may be meant: {', '.join(ATTEMPTS)}. Name the operation.",
)


@pytest.mark.parametrize("detail", DETAILS)
def test_what_a_wait_told_was_broken_and_its_names_shortened(
    detail: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once the first pasted line of gcloud's command had no project, and Backstop rejected the name in the JSON."""
    event = Event("1", "", {"outcome": "NOTHING_TO_CANCEL", "detail": detail, "trigger": {"message_id": "7"}})
    for width in range(40, 201):
        monkeypatch.setenv("COLUMNS", str(width))
        with Picture(Mock(form="table"), Wait("cancel", "7")) as picture:
            picture.show(event)

        assert capsys.readouterr().out == f"NOTHING_TO_CANCEL {detail}\n"


def test_a_table_folded_its_cells_and_cut_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each cell stands whole on its row's line, what looks like an emoji's name too."""
    rows = [("orders-20261127-020000-3b89f0a2", "7%", f"start by anna: 1:ship:2 {GCLOUD}"), ("o", "10%", "-")]
    for width in range(40, 201):
        monkeypatch.setenv("COLUMNS", str(width))
        output.out().print(output.table(("BACKUP", ">DONE", "WHY"), rows))
        heading, *lines = capsys.readouterr().out.splitlines()

        assert heading == f"BACKUP{' ' * 27}DONE  WHY"
        assert lines == ["  ".join((rows[0][0], "  7%", rows[0][2])), f"o{' ' * 32} 10%  -"]


def test_whatever_is_printed_goes_through_the_one_console_that_breaks_no_line() -> None:
    """No module makes a console or a table of its own."""
    made = {
        path.name
        for path in (ROOT / "backstop_cli").glob("*.py")
        if re.search(r"\b(Console|Table)\(", path.read_text())
    }

    assert made == {"output.py"}


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_document_has_each_text_on_one_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Once YAML broke it after 80 columns."""
    output.emit({"detail": DETAILS[0]}, form)

    assert DETAILS[0] in capsys.readouterr().out


def test_the_json_that_an_outcome_advises_was_rejected_when_it_was_pasted(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published as it is printed, it deletes the backup."""
    place.database("quick")
    assert cli("start", "quick", "--backup-id", "before-the-migration-of-the-ledger", "--wait").code == Exit.AS_WISHED
    said = set()
    for width in (40, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        (line,) = (one for one in cli("cancel", "quick", "--yes", "--wait").out.splitlines() if "{" in one)
        said.add(line[line.index("{") : line.index("}") + 1])
    (command,) = said
    with Subscription(place.stack.results) as source:
        message_id = publish(place.stack.commands, json.loads(command))
        events = iter(lambda: source.next(WAIT_S_MAX), None)
        outcome = next(one.outcome for one in events if one.message_id == message_id)

    assert outcome == "COMPLETED_THEN_DELETED"


def test_every_view_prints_the_same_at_every_width(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each folded names at the width of the terminal, and what they advise could not be pasted."""
    monkeypatch.setattr("backstop_cli.looking.FRESH", timedelta(0))
    other = f"{place.instance}-b"
    orders, backup_id = f"{other}/databases/orders-of-the-shop", "orders-of-the-shop-20261127-020000-3b89f0a2"
    place.stack.spanner.add_database(orders)
    left = stray(place, orders, backup_id)
    hand = by_hand(place, orders, f"{backup_id}-by-hand", duration=timedelta(hours=1))
    told = {"outcome": "NOTHING_TO_CANCEL", "message": DETAILS[0], "backup": left, "trigger": {"message_id": "7"}}
    place.log.write_text(json.dumps(told))
    sweep = ["sweep", short(other), "--delete"]
    views: list[tuple[tuple[str, ...], list[list[str]]]] = [
        (("status", other), [["follow", hand], sweep]),
        (("status", "--instance", other), [["follow", f"backups/{short(hand)}", "--instance", other], sweep]),
        (("audit", other), [sweep]),
        (("describe", left), [["why", left]]),
        (("describe", left, "--log", str(place.log)), []),
        (("why", left, "--log", str(place.log)), []),
        (("config", "--queue", "gone"), []),
    ]
    views[1][1][1] = [*sweep, "--instance", other]
    for view, advice in views:
        seen = set()
        for width in range(40, 201, 32):
            monkeypatch.setenv("COLUMNS", str(width))
            typed = cli(*view)
            seen.add(normal(typed.out + typed.err))
            assert advised(typed.out) == advice
            if "--log" in view:
                (line,) = (one for one in typed.out.splitlines() if "gcloud" in one)
                assert shlex.split(line[line.index("gcloud") :]) == shlex.split(GCLOUD)

        assert len(seen) == 1, view


def test_config_advised_to_log_in_in_the_middle_of_a_sentence(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pasted to the line's end, it is the command and nothing else."""
    monkeypatch.delenv("SPANNER_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(place.log.parent / "no-such-key"))
    out = cli("config").out
    logins = [line[line.index("gcloud auth") :] for line in out.splitlines() if "gcloud auth" in line]

    assert set(logins) == {"gcloud auth application-default login"}


def test_a_view_named_what_is_elsewhere_as_if_it_were_here(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once `backstop cancel` with the name that a view of another instance shows meant a backup of one's own."""
    other = f"{place.instance}-b"
    place.stack.spanner.add_database(f"{other}/databases/orders")
    hand = by_hand(place, f"{other}/databases/orders", "hand", duration=timedelta(hours=1))
    told = Event("1", "", {"outcome": "STARTED", "backup": hand, "trigger": {"message_id": "7"}})
    monkeypatch.setattr("backstop_cli.watching.Subscription", lambda *_: Told(told))

    assert cli("status", other).out.splitlines()[1].startswith(f"{hand}  ")
    assert cli("audit", other).out.splitlines()[1].startswith(f"{other}/databases/orders  ")
    assert f" {hand}\n" in cli("watch", "--timeout", "1s").out
    assert cli("status", "--instance", other).out.splitlines()[1].startswith("hand  ")


def test_the_bar_broke_what_was_told_above_it(place: Place) -> None:
    """At a terminal rich prints anew what is printed while there is a bar."""
    place.database("quick")
    typed = at_a_terminal({**place.environ, "COLUMNS": "40"}, "start", "quick", "--backup-id", "nightly", "--wait")

    assert f"{place.instance}/backups/nightly was complete at 20" in typed.out


def test_what_is_piped_went_to_the_terminal_while_there_was_a_bar(place: Place) -> None:
    """Once the outcomes were missing in a file that standard output went to."""
    place.database("quick")
    terminal, end = pty.openpty()
    with open(terminal, "rb", closefd=True), open(end, "wb", closefd=True):  # noqa: PTH123 descriptors
        done = subprocess.run(
            [*COMMAND, "start", "quick", "--wait"],
            env={**place.environ, "TERM": "xterm", "PATH": ""},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=end,
            text=True,
            timeout=WAIT_S_MAX,
            check=True,
        )

    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Published", "STARTED", "COMPLETED"]
