"""Everything at once, on loopback: the three emulators, the topics, and the function under functions-framework.

The demo, the end-to-end tests and the benchmarks all run on it. Every side is real: the function is a process of its
own, pushes are HTTP, and commands go through the official Pub/Sub client.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.pubsub_v1.services.publisher import PublisherClient
from google.pubsub_v1.services.subscriber import SubscriberClient
from google.pubsub_v1.types import PubsubMessage

from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.serving import HOST, free_port
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "projects/backstop-demo"
INSTANCE = f"{PROJECT}/instances/orders"

DELIVERY_ATTEMPTS_MAX = 10
"""Deliveries before a message goes to the dead letters. Only with such a limit does a push say which one it is."""

START_S_MAX = 90.0
"""How long the function may take to answer for the first time: a second, and far more on a busy machine."""

PULL_S_MAX = 90.0
"""Longer than any Pub/Sub lets a pull wait: one that is cut off as a message goes out loses it for 10 s."""

PULL_PAUSE_S = 0.1
"""After a pull that failed."""


@dataclass(frozen=True, slots=True)
class Event:
    """An outcome as a subscriber of the results topic sees it.

    Attributes:
        attributes: The CloudEvents attributes.
        data: The decoded data.
        received_s: When it was pulled, by the monotonic clock.
    """

    attributes: dict[str, str]
    data: dict[str, Any]
    received_s: float

    @property
    def outcome(self) -> str:
        """What it tells."""
        return str(self.data["outcome"])


@dataclass
class Function:
    """The function as a process of its own; it can be killed and started again.

    Attributes:
        port: Where it listens.
        environ: Its settings.
        python: The interpreter that runs it.
        lines: What it printed since it began to serve, one decoded log line each.
        settings: What it said as it began.
    """

    port: int
    environ: Mapping[str, str]
    source: Path = ROOT / "main.py"
    python: str = sys.executable
    lines: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _reader: threading.Thread | None = None
    _runtime: TemporaryDirectory[str] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            RuntimeError: It did not come up; what it printed is in the text.
        """
        command = [self.python, "-m", "functions_framework", "--target", "on_message", "--host", HOST]
        command += ["--source", str(self.source), "--port", str(self.port)]
        # Gunicorn's control sockets have one name in there, and those that share it take it from one another.
        self._runtime = TemporaryDirectory()
        environ = {**os.environ, **self.environ, "PYTHONUNBUFFERED": "1", "XDG_RUNTIME_DIR": self._runtime.name}
        self._process = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="function-output")
        self._reader.start()
        end_s = time.monotonic() + START_S_MAX
        while time.monotonic() < end_s and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            time.sleep(0.02)
        self.kill()
        raise RuntimeError(f"the function did not start: {self.lines}")

    def kill(self) -> None:
        """Ends it at once, in the middle of whatever it does, as a machine that dies would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._reader is not None:
            self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._runtime is not None:
            self._runtime.cleanup()
        self._process = None

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 asked for above
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                said = {"message": line.decode(errors="replace").rstrip()}
            if "settings" in said:
                self.settings = said["settings"]
            else:
                self.lines.append(said)


class Stack:
    """All of it, while the context lasts.

    Attributes:
        spanner: The emulated Spanner.
        tasks: The emulated Cloud Tasks.
        pubsub: The embedded Pub/Sub; None where another one is used.
        function: The function's process.
        publisher: The official client that publishes commands.
        subscriber: The official client that pulls results.
        commands: The topic's full name, as for the next two.
        follow_ups: Where only the function's tasks publish.
        results: Where outcomes are told.
        queue: Where follow-ups wait.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        pubsub_address: str | None = None,
        project: str = PROJECT,
        source: Path = ROOT / "main.py",
        ack_deadline_s: int = 90,
    ) -> None:
        """Takes what should differ from a plain deployment.

        Args:
            settings: Environment variables for the function, over those that it needs.
            pubsub_address: Another Pub/Sub emulator to use; None for the embedded one.
            project: Where the topics and the queue are; stacks that share a Pub/Sub need one each.
            source: The function's source file.
            ack_deadline_s: How long Pub/Sub waits for the function's answer.
        """
        self.commands, self.follow_ups, self.results, self._dead_letters = (
            f"{project}/topics/backstop-{name}" for name in ("commands", "follow-ups", "results", "dead-letters")
        )
        self.queue = f"{project}/locations/europe-west1/queues/backstop"
        self._settings = settings or {}
        self._pubsub_address = pubsub_address
        self._source = source
        self._ack_deadline_s = ack_deadline_s
        self._closing = contextlib.ExitStack()
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        """Starts everything, in the order in which it is needed."""
        with contextlib.ExitStack() as stack:
            self.spanner = stack.enter_context(SpannerEmulator(port=free_port()))
            self.tasks = stack.enter_context(TasksEmulator(queues=[self.queue]))
            self.pubsub = None if self._pubsub_address else stack.enter_context(PubSubEmulator())
            self.pubsub_address = self._pubsub_address or (self.pubsub.address if self.pubsub else "")
            channel = stack.enter_context(grpc.insecure_channel(self.pubsub_address))
            self.publisher = PublisherClient(transport=PublisherClient.get_transport_class("grpc")(channel=channel))
            self.subscriber = _subscriber(channel)
            self.function = Function(free_port(), self._environ(), self._source)
            self._create_topics()
            stack.callback(self.function.kill)
            self.function.start()
            pulls = grpc.insecure_channel(self.pubsub_address)
            puller = threading.Thread(target=self._pull, args=(_subscriber(pulls),), name="results")
            puller.start()
            stack.callback(puller.join)
            stack.callback(pulls.close)
            stack.callback(self._stop.set)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends everything, the function first."""
        self._closing.close()

    def publish(self, command: object, topic: str | None = None, **attributes: str) -> str:
        """Publishes a command, or any bytes, through the official client; returns the message's id."""
        data = command if isinstance(command, bytes) else json.dumps(command).encode()
        message = PubsubMessage(data=data, attributes=attributes)
        return str(self.publisher.publish(topic=topic or self.commands, messages=[message]).message_ids[0])

    def push(self, topic: str, suffix: str = "") -> str:
        """Has a topic pushed to the function, and returns the subscription; a suffix makes one more."""
        request = {
            "name": _subscription(topic) + suffix,
            "topic": topic,
            "push_config": {"push_endpoint": f"http://{HOST}:{self.function.port}/{topic}"},
            "ack_deadline_seconds": self._ack_deadline_s,
            "dead_letter_policy": {
                "dead_letter_topic": self._dead_letters,
                "max_delivery_attempts": DELIVERY_ATTEMPTS_MAX,
            },
        }
        return self.subscriber.create_subscription(request=request).name

    def events(self) -> list[Event]:
        """The outcomes that were told so far, doubles included."""
        with self._changed:
            return list(self._events)

    def wait_for(self, condition: Callable[[list[Event]], object], timeout_s: float = 30.0) -> list[Event]:
        """Waits until the outcomes told so far fulfil a condition, and returns them.

        Raises:
            TimeoutError: They did not in time; what there was is in the text.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._events), timeout_s):
                told = [(event.outcome, event.data["detail"]) for event in self._events]
                raise TimeoutError(f"told so far: {told}; printed: {self.function.lines[-20:]}")
            return list(self._events)

    def wait_for_outcomes(self, message_id: str, *outcomes: str, timeout_s: float = 30.0) -> list[Event]:
        """Waits until a command has come to each of these outcomes, and returns all that it has come to."""

        def told(events: Iterable[Event]) -> list[Event]:
            return [event for event in events if event.data["trigger"]["message_id"] == message_id]

        events = self.wait_for(lambda events: {*outcomes} <= {event.outcome for event in told(events)}, timeout_s)
        return told(events)

    def _environ(self) -> dict[str, str]:
        return {
            "BACKSTOP_FOLLOW_UPS_TOPIC": self.follow_ups,
            "BACKSTOP_RESULTS_TOPIC": self.results,
            "BACKSTOP_TASKS_QUEUE": self.queue,
            "GUNICORN_LOG_LEVEL": "warning",  # A worker that crashed is replaced, and only this tells.
            "BACKSTOP_ALLOW_SCHEDULED": "true",
            "BACKSTOP_CANCEL_AFTER_MIN": "0s",
            "BACKSTOP_LOOK_MIN": "1s",
            "BACKSTOP_LOOK_MAX": "1s",
            "SPANNER_EMULATOR_HOST": self.spanner.address,
            "PUBSUB_EMULATOR_HOST": self.pubsub_address,
            "CLOUD_TASKS_EMULATOR_HOST": self.tasks.address,
            **self._settings,
        }

    def _create_topics(self) -> None:
        for topic in (self.commands, self.follow_ups, self.results, self._dead_letters):
            self.publisher.create_topic(name=topic)
        self.subscriber.create_subscription(name=_subscription(self.results), topic=self.results)
        for topic in (self.commands, self.follow_ups):
            self.push(topic)

    def _pull(self, subscriber: SubscriberClient) -> None:
        """Takes in outcomes until its channel is closed, which cuts a pull that waits off."""
        subscription = _subscription(self.results)
        while not self._stop.is_set():
            try:
                answer = subscriber.pull(subscription=subscription, max_messages=100, timeout=PULL_S_MAX, retry=None)
                ids = [received.ack_id for received in answer.received_messages]
                if ids:
                    subscriber.acknowledge(subscription=subscription, ack_ids=ids)
            except (GoogleAPICallError, ValueError):  # ValueError: the channel is closed
                self._stop.wait(PULL_PAUSE_S)
                continue
            now_s = time.monotonic()
            told = [
                Event(dict(received.message.attributes), json.loads(received.message.data), now_s)
                for received in answer.received_messages
            ]
            with self._changed:
                self._events.extend(told)
                self._changed.notify_all()


def _subscriber(channel: grpc.Channel) -> SubscriberClient:
    return SubscriberClient(transport=SubscriberClient.get_transport_class("grpc")(channel=channel))


def _subscription(topic: str) -> str:
    return topic.replace("/topics/", "/subscriptions/")
