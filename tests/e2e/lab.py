"""One test's corner of a deployment: an instance of its own, and the words in which the tests speak."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Protocol

import grpc
import pytest
from google.api_core.exceptions import NotFound
from google.cloud.spanner_admin_database_v1 import Backup
from google.cloud.spanner_admin_database_v1.services.database_admin import DatabaseAdminClient

from backstop.events import ON_THE_WAY, Outcome
from demo.stack import ROOT, Event, Stack
from spanner_backup_emulator.serving import HOST
from spanner_backup_emulator.spanner.history import Event as Happening
from spanner_backup_emulator.spanner.history import What
from spanner_backup_emulator.spanner.plans import Plan
from tests.waiting import WAIT_S_MAX, wait_until

EMBEDDED_ONLY = pytest.mark.parametrize("pubsub_address", ["embedded"], indirect=True)
"""For tests that need what Google's emulator can't be made to do, or have nothing to do with Pub/Sub."""

LAST_WORDS = 1
"""How many outcomes that end a chain a command comes to, but for a start of many."""

_numbers = itertools.count(1)
_clients: dict[str, DatabaseAdminClient] = {}


def seconds(number: float) -> timedelta:
    """A duration, in short."""
    return timedelta(seconds=number)


def lifetime(backup: Backup) -> timedelta:
    """How long a backup is kept, from its creation to its expiry."""
    kept = backup.expire_time - backup.create_time
    assert isinstance(kept, timedelta)
    return kept


ENDLESS = Plan(duration=timedelta(hours=2))
"""A backup that outlasts every test, and stops as soon as it is asked to."""


DEAF = replace(ENDLESS, cancel_duration=None)
"""A backup that nobody can stop; it completes when the test says so."""

STUBBORN = replace(DEAF, outrun_duration=seconds(0.3))
"""A backup that completes as soon as it is asked to stop."""


def quick(**more: Any) -> Plan:  # noqa: ANN401 the fields of a plan
    """A backup that is complete soon."""
    return replace(Plan(duration=seconds(0.5)), **more)


class Lab:
    """A deployment, and an instance in it that no other test uses.

    Attributes:
        stack: The deployment.
        instance: The instance's full name.
        admin: Google's own client, for what other people do to the same instance.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.instance = f"projects/orders/instances/lab-{next(_numbers):05}"  # None begins with another.
        self._message_ids: list[str] = []
        address = stack.spanner.address
        if address not in _clients:
            transport = DatabaseAdminClient.get_transport_class("grpc")
            _clients[address] = DatabaseAdminClient(transport=transport(channel=grpc.insecure_channel(address)))
        self.admin = _clients[address]

    def database(self, plan: Plan, database_id: str = "orders") -> str:
        """A database whose backups go as planned; its full name."""
        name = f"{self.instance}/databases/{database_id}"
        self.stack.spanner.add_database(name)
        self.stack.spanner.set_plan(name, plan)
        return name

    def publish(self, action: str, **fields: object) -> str:
        """Publishes a command and returns its message id."""
        return self.publish_raw({"action": action, **fields})

    def publish_raw(self, command: object, topic: str | None = None, **attributes: str) -> str:
        """Publishes anything, and returns its message id."""
        self._message_ids.append(self.stack.publish(command, topic, **attributes))
        return self._message_ids[-1]

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Adds to an error what was told of this instance and its commands, and what the function printed of them."""
        try:
            yield
        except Exception as error:
            mine = (*self._message_ids, f"{self.instance}/")
            told = [json.dumps(event.data) for event in self.stack.events() if _names(event.data, mine)]
            lines = [json.dumps(line) for line in list(self.stack.function.lines) if _names(line, mine)]
            error.add_note("\n".join(["told:", *told, "printed:", *lines]))
            raise

    def started(self, plan: Plan, **fields: object) -> tuple[str, str, str]:
        """Has a backup started, and returns the start's message id, the operation and the backup."""
        message_id = self.publish("start", database=self.database(plan), **fields)
        (event, *_) = self.comes_to(message_id, "STARTED")
        return message_id, event.data["operation"], event.data["backup"]

    def foreign(self, plan: Plan, backup_id: str = "theirs", database_id: str = "orders") -> tuple[str, str]:
        """Has somebody else start a backup, and returns the operation and the backup."""
        request = {
            "parent": self.instance,
            "backup_id": backup_id,
            "backup": {
                "database": self.database(plan, database_id),
                "expire_time": datetime.now(UTC) + timedelta(days=7),
            },
        }
        operation = self.admin.create_backup(request=request).operation
        return operation.name, f"{self.instance}/backups/{backup_id}"

    def comes_to(self, message_id: str, *outcomes: str) -> list[Event]:
        """Waits until a command has come to each of these outcomes, and returns all that it has come to."""
        return self.stack.wait_for_outcomes(message_id, *outcomes, timeout_s=WAIT_S_MAX)

    def told(self, message_id: str) -> list[Event]:
        """What a command has come to so far, in the order of a life; what was told twice counts once.

        Pub/Sub keeps no order, and a look may be faster than the rest of the delivery that had it made.
        """
        events = {
            event.attributes["ce-id"]: event
            for event in reversed(self.stack.events())
            if event.data["trigger"]["message_id"] == message_id
        }
        return sorted(events.values(), key=lambda event: (_rank(event.outcome), event.attributes["ce-time"]))

    def ends(self, message_id: str, *, last_words: int = LAST_WORDS) -> list[str]:
        """Waits for a command's last word and returns all its outcomes.

        Args:
            message_id: The command.
            last_words: How many outcomes end it.
        """
        last = self.end_events(message_id, last_words=last_words)
        return [event.outcome for event in last]

    def end_events(self, message_id: str, *, last_words: int = LAST_WORDS) -> list[Event]:
        """The same as `ends`, with all that was told."""

        def over(_: object) -> bool:
            return sum(event.outcome not in ON_THE_WAY for event in self.told(message_id)) >= last_words

        self.stack.wait_for(over, WAIT_S_MAX)
        wait_until(lambda: self._all_is_told(message_id))
        wait_until(lambda: not self.waiting(message_id))  # A copy of the last look may look once more.
        return self.told(message_id)

    def follow_ups(self, message_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The tasks that were made on a command's behalf: the name, and the follow-up in it."""
        found = []
        for task in self.stack.tasks.created():
            (message,) = json.loads(task.http_request.body)["messages"]
            follow_up = json.loads(base64.b64decode(message["data"]))
            if follow_up["trigger"]["message_id"] == message_id:
                found.append((task.name, follow_up))
        return found

    def waiting(self, message_id: str) -> list[str]:
        """Those of them whose time has not come."""
        waiting = {
            task.name
            for task in self.stack.tasks.pending()
            if not task.dispatch_count or "response_time" in task.last_attempt
        }
        return [name for name, _ in self.follow_ups(message_id) if name in waiting]

    def history(self, *whats: What) -> list[Happening]:
        """What happened in the instance, of these kinds, the oldest first."""
        inside = f"{self.instance}/"
        return [event for event in self.stack.spanner.history() if event.what in whats and inside in event.resource]

    def calls(self, method: str) -> list[Happening]:
        """The calls of a method that Spanner received about the instance's backups and operations."""
        return [event for event in self.history(What.CALLED) if event.cause == method]

    def backup(self, name: str) -> Backup | None:
        """A backup as Google's client sees it; None if there is none."""
        try:
            return self.admin.get_backup(name=name)
        except NotFound:
            return None

    def left_behind(self) -> list[str]:
        """The instance's backups, as Google's client sees them."""
        return [backup.name for backup in self.admin.list_backups(parent=self.instance)]

    def lines(self, message_id: str, count: int = 1) -> list[dict[str, Any]]:
        """What the function printed about one message, a line for each delivery; waits until there are as many."""

        def found() -> list[dict[str, Any]]:
            lines = [line for line in list(self.stack.function.lines) if "command" in line]  # not those of outcomes
            return [line for line in lines if line.get("message_id") == message_id]

        wait_until(lambda: len(found()) >= count)
        return found()

    def post(self, body: bytes, headers: Mapping[str, str] | None = None, path: str | None = None) -> int:
        """Posts straight to the function, as Eventarc or somebody else might, and returns the status."""
        connection = HTTPConnection(HOST, self.stack.function.port, timeout=WAIT_S_MAX)
        try:
            json_headers = {"Content-Type": "application/json"}
            connection.request("POST", path or f"/{self.stack.commands}", body, {**json_headers, **(headers or {})})
            return connection.getresponse().status
        finally:
            connection.close()

    def _all_is_told(self, message_id: str) -> bool:
        """Whether what the function printed as told of a command has arrived here; a later word may come first."""
        events = [line for line in list(self.stack.function.lines) if "outcome" in line]
        printed = {event["outcome"] for event in events if event["trigger"]["message_id"] == message_id}
        return printed <= {event.outcome for event in self.told(message_id)}


def _names(said: object, names: Iterable[str]) -> bool:
    text = json.dumps(said)
    return any(name in text for name in names)


def _rank(outcome: str) -> int:
    on_the_way = [Outcome.STARTED, Outcome.CANCEL_REQUESTED, Outcome.DELETE_BLOCKED]
    return on_the_way.index(Outcome(outcome)) if outcome in on_the_way else len(on_the_way)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment in which tests run, each in an instance of its own.

    Attributes:
        name: What it is for.
        settings: The function's settings.
        source: The function's source file.
        at_once: Whether its tests run at once, as commands do in production, or one after the other.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict, compare=False)
    source: Path = ROOT / "main.py"
    at_once: bool = True


SHARED = Deployment("shared")
"""For all that refuses no message."""

REFUSING = Deployment("refusing")
"""For messages that are refused: Google's emulator stops to push a subscription some of whose messages were.

Observed on 2026-11-22, version 0.8.20: after three refusals each of five messages; once or twice does no harm.
"""

IMPATIENT = Deployment("impatient", {"BACKSTOP_GIVE_UP_AFTER": "15s"})
"""For chains that are given up, though not before a busy machine has made a first look."""

ALONE = Deployment("alone", at_once=False)
"""For tests that kill the function, have everything delivered twice, or can't have company for another reason."""


@dataclass(frozen=True, slots=True)
class Play:
    """A test that has company.

    Attributes:
        run: The test.
        embedded: Whether it needs what Google's emulator can't be made to do, or has nothing to do with Pub/Sub.
    """

    run: Callable[[Lab], None]
    embedded: bool = False


class Act(Protocol):
    """Says how a play went."""

    def __call__(self, deployment: Deployment, name: str) -> None:
        """Waits for its end; raises what it raised."""


PLAYS: dict[Deployment, dict[str, Play]] = {}
"""The tests of all the modules that were collected."""


def add(deployment: Deployment, name: str, play: Play) -> str:
    """Takes a play in, and returns its name."""
    plays = PLAYS.setdefault(deployment, {})
    assert name not in plays, f"two plays are called {name}"
    plays[name] = play
    return name


def played(
    deployment: Deployment = SHARED, *, embedded: bool = False
) -> Callable[[Callable[[Lab], None]], Callable[[Act], None]]:
    """Has a test run in a deployment, in the company of others."""

    def taken(run: Callable[[Lab], None]) -> Callable[[Act], None]:
        name = add(deployment, run.__name__, Play(run, embedded))

        def test(act: Act) -> None:
            act(deployment, name)

        test.__name__, test.__doc__ = run.__name__, run.__doc__
        return EMBEDDED_ONLY(test) if embedded else test

    return taken


def push_body(
    command: object, message_id: str, publish_time: datetime | None = None, attributes: Mapping[str, str] | None = None
) -> bytes:
    """What Pub/Sub pushes for a command.

    https://cloud.google.com/pubsub/docs/push#receive_push (documented)
    """
    message = {
        "data": base64.b64encode(json.dumps(command).encode()).decode(),
        "attributes": dict(attributes or {}),
        "messageId": message_id,
        "publishTime": (publish_time or datetime.now(UTC)).isoformat(),
    }
    return json.dumps({"message": message, "subscription": "projects/test/subscriptions/test"}).encode()
