"""What the tests of the command line share: one deployment on the emulators, and a way to type commands."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from backstop_cli.app import main
from demo.stack import PROJECT, Stack
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.spanner.plans import Plan, Status
from tests.waiting import wait_until

pytest.register_assert_rewrite("tests.cli.terminal")

from tests.cli.terminal import Typed  # noqa: E402 rewritten first

Cli = Callable[..., Typed]

NEVER = None
PLANS = {
    "quick": Plan(duration=timedelta(seconds=1.5)),
    "slow": Plan(duration=timedelta(hours=1), cancel_duration=timedelta(seconds=1)),
    "stubborn": Plan(duration=timedelta(seconds=4), cancel_duration=NEVER),
    "failing": Plan(duration=timedelta(seconds=1), error=Status(Code.INTERNAL, "The disk is on fire.")),
}
"""How the backups of a database go, by the first word of its id."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps them on one worker: they share a deployment."""
    for item in items:
        if "/cli/" in str(item.path) and "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("cli"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One deployment for all; a chain gives up soon."""
    with Stack({"BACKSTOP_GIVE_UP_AFTER": "12s"}) as running:
        yield running


class Place:
    """An instance of a test's own, and the variables that lead there."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self.stack, self.log = stack, log
        self.instance = f"{PROJECT}/instances/test-{next(_numbers)}"
        self.environ = {
            "SPANNER_EMULATOR_HOST": stack.spanner.address,
            "PUBSUB_EMULATOR_HOST": stack.pubsub_address,
            "CLOUD_TASKS_EMULATOR_HOST": stack.tasks.address,
            "BACKSTOP_INSTANCE": self.instance,
            "BACKSTOP_PROJECT": PROJECT.partition("/")[2],
            "BACKSTOP_TASKS_QUEUE": stack.queue,
            "BACKSTOP_REQUESTED_BY": "anna@example.com",
            "BACKSTOP_CONFIG": "",
            "XDG_CONFIG_HOME": str(log.parent),
            "CLOUDSDK_CONFIG": str(log.parent),
            "COLUMNS": "80",
        }

    def database(self, name: str) -> str:
        """Makes a database whose backups go as the first word of its id says, and returns its full name."""
        database = f"{self.instance}/databases/{name}"
        self.stack.spanner.add_database(database)
        self.stack.spanner.set_plan(database, PLANS[name.partition("-")[0]])
        return database

    def write_log(self) -> str:
        """Writes what the function has printed into a file, once all that was told is there; returns its path."""
        told = {(one.outcome, one.data["trigger"]["message_id"]) for one in self.stack.events()}
        lines = self.stack.function.lines
        wait_until(lambda: told <= {(a["outcome"], a["trigger"]["message_id"]) for a in lines if "outcome" in a})
        self.log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return str(self.log)

    def commands(self) -> list[dict[str, Any]]:
        """The commands of this place that were published so far."""
        assert self.stack.pubsub is not None
        published = [json.loads(one.data) for one in self.stack.pubsub.published(self.stack.commands)]
        return [command for command in published if self.instance in json.dumps(command)]


@pytest.fixture
def place(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An instance of this test's own."""
    made = Place(stack, tmp_path / "log")
    for name in list(os.environ):
        if name.startswith(("BACKSTOP_", "CLOUDSDK_", "GOOGLE_CLOUD_")):
            monkeypatch.delenv(name)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def cli(place: Place, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Types a command."""
    del place  # The variables lead there.

    def typed(*arguments: str) -> Typed:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Typed(code, said.out, said.err)

    return typed
