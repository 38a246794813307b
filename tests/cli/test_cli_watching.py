"""What is told and was told: watch and why."""

from __future__ import annotations

import io
import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import grpc
import pytest
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.types import ListLogEntriesRequest, ListLogEntriesResponse, LogEntry

from backstop_cli import history
from backstop_cli.errors import Exit
from backstop_cli.followups import FollowUp, read
from backstop_cli.messages import Event, Subscription, publish
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault, Trouble, When
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.serving import start_grpc
from tests.cli.conftest import Cli, Place
from tests.cli.terminal import begin as begin_process
from tests.cli.terminal import interrupt, is_golden, wait_for_line
from tests.cli.test_cli_acting import begin
from tests.cli.test_cli_looking import CHAIN
from tests.cli.test_cli_parts import task


def subscriptions(place: Place) -> list[str]:
    """The temporary subscriptions that are there."""
    listed = place.stack.subscriber.list_subscriptions(project="/".join(place.stack.results.split("/")[:2]))
    return [one.name for one in listed if "backstop-cli-" in one.name]


def test_watch_shows_each_outcome_on_a_line_and_leaves_nothing_behind(cli: Cli, place: Place) -> None:
    """As it is published, until Ctrl-C; the subscription is gone then."""
    with begin_process(place.environ, "watch") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Watching projects/")
        assert len(subscriptions(place)) == 1
        place.database("quick")
        cli("start", "quick", "--backup-id", "nightly", "--reason", "nightly")
        shown = wait_for_line(process, "COMPLETED")
        typed = interrupt(process)

    assert (typed.code, subscriptions(place)) == (Exit.INTERRUPTED, [])
    # The deployment is everybody's, and so are its outcomes.
    assert is_golden("watch", "".join(line for line in shown.splitlines(keepends=True) if " nightly (" in line))


def test_watch_tells_the_end_to_each_command_that_waits_for_it(cli: Cli, place: Place) -> None:
    """A start and a cancel of it end with one outcome, which each of them tells: it is shown on behalf of both."""
    with begin_process(place.environ, "watch", "--format", "json") as process:
        assert process.stderr is not None
        process.stderr.readline()
        begin(cli, place, "slow", "unwanted")
        cli("cancel", "unwanted", "--yes")
        first = json.loads(wait_for_line(process, '"CANCELLED"').splitlines()[-1])
        second = json.loads(wait_for_line(process, '"CANCELLED"').splitlines()[-1])
        interrupt(process)

    assert {first["trigger"]["action"], second["trigger"]["action"]} == {"start", "cancel"}


def test_watch_takes_a_subscription_that_exists_and_leaves_it(cli: Cli, place: Place) -> None:
    """What was told while nobody watched is shown."""
    project = "/".join(place.stack.results.split("/")[:2])
    name = place.stack.subscriber.create_subscription(
        name=f"{project}/subscriptions/people", topic=place.stack.results
    ).name
    place.database("quick")
    assert cli("start", "quick", "--wait").code == Exit.AS_WISHED
    typed = cli("watch", "--subscription", "people", "--timeout", "2s")

    assert (typed.code, "COMPLETED" in typed.out) == (Exit.AS_WISHED, True)
    assert place.stack.subscriber.get_subscription(subscription=name).name == name


class Told:
    """A subscription that tells some events, one at each call."""

    def __init__(self, *events: Event) -> None:
        self.left = list(events)

    def __enter__(self) -> Self:
        """Tells from now on."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves nothing behind."""

    def next(self, seconds: float) -> Event | None:
        """The next of them."""
        time.sleep(min(seconds, 0.01))
        return self.left.pop(0) if self.left else None


def test_watch_of_a_command_ends_when_nothing_of_it_waits_any_more(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once that of a start of many ended at the first backup's end, if it had begun later, and with 0."""
    trigger = {"message_id": "7", "action": "start"}
    ends = [Event(one, "", {"outcome": one, "operation": one, "trigger": trigger}) for one in ("COMPLETED", "FAILED")]
    waiting, source = [[read(task({**CHAIN, "operation": "o"}))]] * 3, Told(ends[0])

    def look(_: object) -> tuple[list[FollowUp | None], str]:
        if len(waiting) == 1:
            source.left.append(ends[1])
        return waiting.pop() if waiting else [], ""

    monkeypatch.setattr("backstop_cli.watching.Subscription", lambda *_: source)
    monkeypatch.setattr("backstop_cli.session.Session.follow_ups", look)
    monkeypatch.setattr("backstop_cli.waiting.LOOK_S", 0.05)
    monkeypatch.setattr("backstop_cli.waiting.OVER_S", 1.0)
    typed = cli("watch", "--command", "7", "--timeout", "60s")

    assert (typed.code, "COMPLETED" in typed.out, "FAILED" in typed.out) == (Exit.FAILED, True, True)
    del place


def test_watch_of_a_command_that_is_over_says_so(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it waited for ever."""
    place.database("quick")
    message_id = json.loads(cli("start", "quick", "--wait", "--format", "json").out)["message_id"]
    monkeypatch.setattr("backstop_cli.waiting.OVER_S", 3.0)
    typed = cli("watch", "--command", message_id, "--timeout", "60s")

    assert (typed.code, "backstop status" in typed.err) == (Exit.NOTHING, True)


def test_watch_without_a_results_topic_says_what_to_do(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to watch."""
    del place
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", "")

    assert (cli("watch").code, "BACKSTOP_RESULTS_TOPIC" in cli("watch").err) == (Exit.USAGE, True)


@pytest.mark.parametrize("trouble", [Code.UNAVAILABLE, Trouble.CUT])
def test_a_connection_that_is_lost_is_taken_up_again(pubsub_emulator: PubSubEmulator, trouble: Code | Trouble) -> None:
    """Once and again; what is told meanwhile is not missed."""
    topic = pubsub_emulator.create_topic("projects/p/topics/results")
    pubsub_emulator.faults.plan(Fault("Pull", trouble, times=2))
    with Subscription(topic) as source:
        publish(topic, {"outcome": "COMPLETED", "trigger": {"message_id": "1"}})
        event = source.next(30)

    assert event is not None
    assert event.outcome == "COMPLETED"
    assert pubsub_emulator.faults.injected["Pull", trouble, "before"] == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_acknowledgement_that_fails_loses_no_outcome(pubsub_emulator: PubSubEmulator, when: When) -> None:
    """Once the outcomes of its pull were thrown away, and Pub/Sub, which had heard it, didn't send them again."""
    topic = pubsub_emulator.create_topic("projects/p/topics/results")
    pubsub_emulator.faults.plan(Fault("Acknowledge", Code.DEADLINE_EXCEEDED, when))
    with Subscription(topic) as source:
        publish(topic, {"outcome": "COMPLETED", "trigger": {"message_id": "1"}})
        event = source.next(30)

    assert event is not None
    assert event.outcome == "COMPLETED"


def test_what_is_no_outcome_is_passed_over(pubsub_emulator: PubSubEmulator) -> None:
    """Whatever else is published to the topic."""
    topic = pubsub_emulator.create_topic("projects/p/topics/results")
    with Subscription(topic) as source:
        for document in ("text", {"other": 1}, {"outcome": "GONE", "trigger": 7}, {"outcome": "FAILED"}):
            publish(topic, document)
        event = source.next(30)
        assert source.next(0.5) is None

    assert event is not None
    assert (event.outcome, event.message_id) == ("FAILED", "")


def test_why_tells_who_had_a_backup_deleted_and_for_what_reason(
    cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the function's own lines, newest last, on standard input or in a file."""
    backup = begin(cli, place, "stubborn", "deleted", "--reason", "nightly")
    cli("cancel", "deleted", "--yes", "--wait", "--reason", "the disk is full", "--as", "bo@example.com")
    log = place.write_log()
    typed = cli("why", "deleted", "--log", log)

    assert typed.code == Exit.AS_WISHED
    assert typed.out.index("STARTED (start by anna@example.com: nightly)") < typed.out.index(
        "COMPLETED_THEN_DELETED (cancel by bo@example.com: the disk is full)"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("not a log line\n" + Path(log).read_text()))
    document = json.loads(cli("why", backup, "--log", "-", "--format", "json").out)
    assert document["backup"] == backup
    assert [one["outcome"] for one in document["history"] if one["outcome"]][-1] in {
        "COMPLETED_THEN_DELETED",
        "COMPLETED_DESPITE_CANCEL",
    }


def test_why_says_when_the_log_says_nothing(cli: Cli, place: Place) -> None:
    """And when it can't be read."""
    typed = cli("why", "never-made", "--log", place.write_log())

    assert (typed.code, typed.out.startswith("The log says nothing of projects/")) == (Exit.AS_WISHED, True)
    assert cli("why", "never-made", "--log", "/no/such/log").code == Exit.USAGE


def test_why_reads_what_gcloud_prints() -> None:
    """`gcloud logging read --format json` prints a list of entries, newest first."""
    backup = "projects/p/instances/i/backups/b"
    entries = [
        {
            "timestamp": "2026-01-02T03:04:05Z",
            "severity": "INFO",
            "jsonPayload": {"backup": backup, "outcome": "FAILED"},
        },
        {
            "timestamp": "2026-01-02T03:04:04Z",
            "severity": "INFO",
            "jsonPayload": {"backup": backup, "outcome": "STARTED"},
        },
    ]

    assert [one.fields["outcome"] for one in history.parse(json.dumps(entries))] == ["STARTED", "FAILED"]


@pytest.fixture
def logging() -> Iterator[tuple[LoggingServiceV2Client, queue.Queue[str]]]:
    """Cloud Logging with two entries, the newest first, for Google's own client, and the filters it is asked with."""
    filters: queue.Queue[str] = queue.Queue()
    lock = threading.Lock()

    def answer(request: ListLogEntriesRequest, _: grpc.ServicerContext) -> ListLogEntriesResponse:
        with lock:
            filters.put(request.filter)
        payload = {"backup": "projects/p/instances/i/backups/b", "message": "Deletes it.", "requested_by": "anna"}
        assert request.order_by == "timestamp desc"
        time = "2026-01-02T03:04:04Z" if request.page_token else "2026-01-02T03:04:05Z"
        entry = LogEntry(json_payload=payload, severity="NOTICE", timestamp=time)
        return ListLogEntriesResponse(entries=[entry], next_page_token="" if request.page_token else "more")

    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=ListLogEntriesRequest.deserialize,
        response_serializer=ListLogEntriesResponse.serialize,
    )
    service = grpc.method_handlers_generic_handler("google.logging.v2.LoggingServiceV2", {"ListLogEntries": handler})
    server, port = start_grpc(lambda server: server.add_generic_rpc_handlers((service,)), 0)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    yield LoggingServiceV2Client(transport=LoggingServiceV2Client.get_transport_class("grpc")(channel=channel)), filters
    channel.close()
    server.stop(None).wait()


def test_why_reads_cloud_logging_page_by_page(logging: tuple[LoggingServiceV2Client, queue.Queue[str]]) -> None:
    """With Google's own client, for what names the backup or an operation that makes it."""
    client, filters = logging
    backup = "projects/p/instances/i/backups/b"
    entries, cut = history.from_cloud(client, "p", backup, days=7)

    assert not cut
    assert [(one.severity, one.time) for one in entries] == [
        ("NOTICE", f"2026-01-02T03:04:{second}.000000Z") for second in ("04", "05")
    ]
    assert all(one.is_about(backup) for one in entries)
    assert entries[0].document()["requested_by"] == "anna"
    assert f'jsonPayload.operation:"{backup}/operations/"' in (text := filters.get())
    assert "(NOT jsonPayload.duration_ms:* OR jsonPayload.error:*)" in text


def test_why_keeps_the_newest_lines_and_says_that_it_cut(
    logging: tuple[LoggingServiceV2Client, queue.Queue[str]], cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it kept the oldest, and of a name that is used every night never came to what was asked for."""
    monkeypatch.setattr(history, "_cloud", lambda: logging[0])
    monkeypatch.setattr(history, "ENTRIES_MAX", 1)
    typed = cli("why", "projects/p/instances/i/backups/b", "--log", "cloud")

    assert typed.out.startswith("2026-01-02 03:04:05 ")
    assert "more lines than the 1 that are read" in typed.err
    del place
