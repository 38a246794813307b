"""The parts of the command line that are plain functions, what its page promises, and that it is never deployed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast
from unittest.mock import Mock

import pytest
from google.api_core.exceptions import RetryError, ServiceUnavailable
from google.cloud import tasks_v2
from msgspec import to_builtins

from backstop.events import ON_THE_WAY, Outcome, Trigger
from backstop.followups import Intent, Poll
from backstop.names import OperationName
from backstop_cli import errors, followups, output
from backstop_cli.acting import newest
from backstop_cli.app import cli
from backstop_cli.auditing import coverage
from backstop_cli.errors import MEANINGS, OUTCOMES, Exit
from backstop_cli.messages import Event
from backstop_cli.naming import Target
from backstop_cli.publishing import Picture
from backstop_cli.spanner import Backup, Operation, Spanner
from backstop_cli.waiting import Reading, Wait, until_over
from tests.cli.terminal import ROOT
from tools import release_archive

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TRIGGER = {"message_id": "7", "publish_time": "2026-11-26T11:00:00Z", "topic": "projects/p/topics/t"}
PAGE = (ROOT / "docs" / "cli.md").read_text()


def ago(hours: int) -> datetime:
    """So long before now."""
    return NOW - timedelta(hours=hours)


def task(document: object) -> tasks_v2.Task:
    """A task that publishes a follow-up."""
    data = base64.b64encode(json.dumps(document).encode()).decode()
    body = json.dumps({"messages": [{"data": data}]}).encode()
    return tasks_v2.Task(schedule_time=NOW, http_request=tasks_v2.HttpRequest(url="http://h/", body=body))


@pytest.mark.parametrize("kind", ["poll", "look"])
def test_a_follow_up_of_either_version_is_read(kind: str) -> None:
    """While a roll-out is under way both wait in the queue, and a field of a newer one is no obstacle."""
    document = {"kind": kind, "trigger": TRIGGER, "step": 3, "operation": "o", "intent": "KEEP", "later": 1}
    found = followups.read(task({**document, "give_up_at": "2026-11-29T11:00:00Z"}))

    assert found is not None
    assert (found.kind, found.operation, found.step, found.message_id) == ("poll", "o", 3, "7")
    assert (found.due, found.gives_up) == (NOW, datetime(2026, 11, 29, 11, tzinfo=UTC))


@pytest.mark.parametrize(("intent", "stops"), [(Intent.KEEP, NOW), (Intent.CANCEL, None)])
def test_a_follow_up_says_when_it_stops_the_backup_and_what_it_waits_for(
    intent: Intent, stops: datetime | None
) -> None:
    """As the function writes them; a cancel has no limit, as it stops it at once."""
    poll = Poll(
        trigger=Trigger(message_id="7", publish_time=NOW),
        step=1,
        operation=OperationName("projects/p/instances/i/backups/b/operations/o"),
        intent=intent,
        give_up_at=NOW,
        unwanted_from=NOW,
        told=(Outcome.DELETE_BLOCKED,),
    )
    found = followups.read(task(to_builtins(poll, enc_hook=str)))

    assert found is not None
    assert (found.stops, found.blocked) == (stops, True)


def test_a_command_that_waits_says_on_whose_behalf() -> None:
    """Its claims are the command's own where the trigger has none."""
    command = {"action": "cancel", "backup": "b", "requested_by": "anna", "reason": "full"}
    found = followups.read(task({"kind": "retry", "trigger": TRIGGER, "step": 1, "command": command}))

    assert found is not None
    assert (found.action, found.requested_by, found.reason, found.about) == ("cancel", "anna", "full", "b")


@pytest.mark.parametrize("document", [[], {}, {"kind": "poll"}, {"kind": "poll", "trigger": 1, "step": 1}])
def test_a_task_that_is_no_follow_up_is_passed_over(document: object) -> None:
    """Somebody else may use the queue."""
    assert followups.read(task(document)) is None
    assert followups.read(tasks_v2.Task()) is None


def test_each_outcome_is_a_last_word_or_on_the_way() -> None:
    """As the function has them."""
    assert set(OUTCOMES) == {str(outcome) for outcome in Outcome} - {str(outcome) for outcome in ON_THE_WAY}
    assert {str(outcome) for outcome in ON_THE_WAY} == errors.ON_THE_WAY


def test_each_exit_code_is_in_the_page_s_table() -> None:
    """With its meaning, in order."""
    rows = "".join(f"| {code} | {MEANINGS[code]} |\n" for code in Exit)

    assert rows in PAGE


def test_each_command_has_its_place_in_the_page() -> None:
    """None is forgotten."""
    assert [name for name in cli.commands if f"`backstop {name}" not in PAGE] == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (7_199, "119m"), (7_200, "2h"), (518_400, "6d")],
)
def test_a_length_has_one_unit(seconds: int, text: str) -> None:
    """The largest of which there are two."""
    assert output.length(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (5_000_000_000, "5.0 GB"), (10**18, "1000.0 PB")]
)
def test_a_size_has_one_unit(count: int, text: str) -> None:
    """Decimal, as Google bills."""
    assert output.size(count) == text


def backup(created: datetime, *schedules: str) -> Backup:
    """A complete one."""
    database, expires = "projects/p/instances/i/databases/d", NOW + timedelta(hours=20)
    return Backup("b", database, "READY", created, None, expires, 0, 0, 0, schedules, (), "")


class Broken:
    """A source of outcomes whose connection is lost at first."""

    def __init__(self) -> None:
        self.left: list[Event | Exception] = [
            ServiceUnavailable("lost"),  # type: ignore[no-untyped-call]
            RetryError("lost", None),  # type: ignore[no-untyped-call]
            Event("1", "", {"outcome": "COMPLETED", "trigger": {"message_id": "7"}}),
        ]

    def next(self, seconds: float) -> Event | None:
        """The next of them."""
        del seconds
        if isinstance(one := self.left.pop(0), Exception):
            raise one
        return one


def test_waiting_outlives_a_connection_that_is_lost() -> None:
    """However the end is looked for."""
    wait = Wait("start", "7")

    assert until_over(wait, Broken(), 60, lambda _: None)
    assert wait.exit_code("start", detailed=False) == Exit.AS_WISHED


def test_waiting_outlives_a_bar_that_can_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once Spanner had only to be away for ten seconds, and a wait at a terminal was over."""
    away = Mock(operation=Mock(side_effect=RetryError("lost", None)))  # type: ignore[no-untyped-call]
    wait = Wait("start", "7")
    wait.take(Event("1", "", {"outcome": "STARTED", "operation": "o", "trigger": {"message_id": "7"}}))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Picture(Mock(form="table", spanner=away), wait) as picture:
        picture.show(None)

    away.operation.assert_called_once_with("o")


def test_without_outcomes_a_command_that_may_mean_two_is_one_that_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the newest one's end was told as the command's own."""
    monkeypatch.setattr("backstop_cli.waiting.LOOK_S", 0.0)
    two = [
        Operation(name, "b", "d", NOW, 0, None, None, done=False, error="", code=0, made=None) for name in ("o1", "o2")
    ]
    event = Reading(cast("Spanner", None), "7", lambda: two, "cancel").next(0)

    assert event is not None
    assert (event.outcome, "o1, o2" in event.data["detail"]) == ("REJECTED", True)


def test_a_follow_without_outcomes_took_last_week_s_end_for_its_own() -> None:
    """It means what the function means: what runs, or the last that began within 12 hours and that nobody stopped."""
    operations = [
        Operation(str(began), "b", "d", ago(began), 0, None, ago(began), done=True, error="", code=code, made=None)
        for began, code in ((200, 0), (10, 1), (11, 0))
    ]
    database, session = Target("database", "d"), Mock()
    session.spanner.operations.return_value = operations

    assert [one.name for one in newest(session, database, NOW, "7")] == ["11"]
    operations.append(replace(operations[0], name="runs", ended=None, done=False))
    assert [one.name for one in newest(session, database, NOW, "7")] == ["runs"]
    del operations[1:]
    assert newest(session, database, NOW, "7") == []
    assert newest(session, Target("backup", "b"), NOW, "7") == operations


@pytest.mark.parametrize(("days", "double"), [(0, False), (1, False), (2, True), (6, True)])
def test_a_schedule_beside_nightly_starts_is_double_cover(days: int, double: bool) -> None:  # noqa: FBT001 a parameter
    """On two days or more: once may be a person's choice."""
    scheduled = [backup(NOW - timedelta(days=day), "daily") for day in range(6)]
    asked = [backup(NOW - timedelta(days=day, hours=1)) for day in range(days)]
    (row,) = coverage({}, [], [*scheduled, *asked], [], NOW)

    assert (row["double_cover"], row["expiring"], row["scheduled"], row["on_demand"]) == (double, 6 + days, 6, days)


def test_the_archive_that_is_deployed_does_not_hold_the_command_line() -> None:
    """Nor what it needs."""
    held = {path.relative_to(ROOT).parts[0] for path in release_archive.files()}

    assert held == {"main.py", "requirements.txt", "backstop"}
    assert "\nrich==" not in (ROOT / "requirements.txt").read_text()
    assert "google-cloud-logging" not in (ROOT / "requirements.txt").read_text()


def test_the_function_imports_nothing_of_the_command_line() -> None:
    """Its cold start is what it was."""
    ours = "{name.partition('.')[0] for name in sys.modules} & {'backstop_cli', 'rich', 'yaml'}"
    script = f"import sys, main; sys.exit(bool({ours}))"
    environ = {
        "BACKSTOP_FOLLOW_UPS_TOPIC": "projects/p/topics/t",
        "BACKSTOP_TASKS_QUEUE": "projects/p/locations/l/queues/q",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**environ, "CLOUD_TASKS_EMULATOR_HOST": "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
