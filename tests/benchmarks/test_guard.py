"""What the figures rest on and what doesn't depend on the machine: imports, calls per delivery, polls per backup."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from backstop.names import OperationName
from benchmarks import deliveries, fleet, pacing
from benchmarks.deployment import FOLLOW_UPS, QUEUE, RESULTS
from demo.stack import ROOT
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.quota import REQUESTS_PER_S
from spanner_backup_emulator.serving import wall_clock
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.messages import pb as wire
from spanner_backup_emulator.tasks.server import TasksEmulator

SEEDS = 60
"""Few, so that it is quick; the bars have more room than so few operations are off."""

SEEDS_MANY = 250
"""Where two policies are close, fewer could not tell them apart."""

NEVER = {"google.cloud.spanner_v1", "google.cloud.pubsub_v1", "opentelemetry.sdk"}
"""What Google's high-level clients bring along: metrics, threads, and half a second."""

CLIENTS = {"google.cloud.spanner_admin_database_v1", "google.pubsub_v1", "google.cloud.tasks_v2"}

CLIENTS_OF = {
    "rejected": {"google.pubsub_v1"},
    "poll": CLIENTS - {"google.pubsub_v1"},
    "start": CLIENTS,
    "start of many": {"google.cloud.tasks_v2"},
    "rejected, no results topic": set[str](),
}
"""Those that a message imports: the ones that it calls."""

MODULES_MAX = 430
"""Of a message that needs no service: some more than today (395), as Pythons differ. What goes over it is new."""

CALLS = {
    "rejected": Counter({"Publish": 1}),
    "poll": Counter({"GetOperation": 1, "CreateTask": 1}),
    "start": Counter({"ListBackupOperations": 1, "CreateBackup": 1, "CreateTask": 1, "Publish": 1}),
    "start of many": Counter({"CreateTask": 1}),
    "rejected, no results topic": Counter(),
}

FIRST_DELIVERY = """
import json, sys
import flask
import main
path, body = json.loads(sys.stdin.read())
app = flask.Flask("guard")
with app.test_request_context("/" + path, method="POST", data=body.encode()):
    answer = main.on_message(flask.request)
print()
print(json.dumps({"status": answer[1], "modules": sorted(sys.modules)}))
"""
"""A new process, in which the function gets its first message."""


class Cold:
    """The emulators, and new processes of the function."""

    def __init__(self, spanner: SpannerEmulator, tasks: TasksEmulator, pubsub: PubSubEmulator) -> None:
        self._spanner, self._tasks, self._pubsub = spanner, tasks, pubsub
        self._number = 0
        self.operation: OperationName = deliveries.running_operation(spanner.address)

    def deliver(self, kind: str) -> tuple[set[str], Counter[str]]:
        """Has a new process answer one message, and returns the modules it has then, and the calls it made."""
        self._number += 1
        if kind == "poll":
            path, body = deliveries.poll(self._number, self.operation)
        else:
            make = {"start": deliveries.start, "start of many": deliveries.start_many}
            path, body = make.get(kind, deliveries.rejected)(self._number)
        before = self._calls()
        done = subprocess.run(
            [sys.executable, "-c", FIRST_DELIVERY],
            input=json.dumps([path, body.decode()]),
            env={**os.environ, **self._environ(), **({"BACKSTOP_RESULTS_TOPIC": ""} if "no results" in kind else {})},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        said = json.loads(done.stdout.splitlines()[-1])
        assert said["status"] == 204
        return set(said["modules"]), self._calls() - before

    def _calls(self) -> Counter[str]:
        return self._spanner.faults.calls + self._tasks.faults.calls + self._pubsub.faults.calls

    def _environ(self) -> dict[str, str]:
        return {
            "BACKSTOP_FOLLOW_UPS_TOPIC": FOLLOW_UPS,
            "BACKSTOP_RESULTS_TOPIC": RESULTS,
            "BACKSTOP_TASKS_QUEUE": QUEUE,
            "SPANNER_EMULATOR_HOST": self._spanner.address,
            "PUBSUB_EMULATOR_HOST": self._pubsub.address,
            "CLOUD_TASKS_EMULATOR_HOST": self._tasks.address,
        }


@pytest.fixture(scope="module")
def cold() -> Iterator[Cold]:
    """A backup runs, and the function has not been started."""
    with SpannerEmulator() as spanner, TasksEmulator(queues=[QUEUE]) as tasks, PubSubEmulator() as pubsub:
        pubsub.create_topic(RESULTS)
        with tasks.endpoint.lock:
            tasks.state.apply(
                wall_clock(), wire.PauseQueueRequest(name=QUEUE)
            )  # So that all calls are the function's own.
        yield Cold(spanner, tasks, pubsub)


@pytest.mark.parametrize("kind", CALLS)
def test_a_first_delivery_makes_exactly_these_calls_and_imports_only_what_it_needs(cold: Cold, kind: str) -> None:
    """Every call costs quota or time at each delivery, and every module at each cold start."""
    modules, calls = cold.deliver(kind)

    assert calls == CALLS[kind]
    assert modules & NEVER == set()
    assert modules & CLIENTS == CLIENTS_OF[kind]
    if not CLIENTS_OF[kind]:
        assert not {"grpc", "google.auth", "google.api_core"} & modules
        assert len(modules) <= MODULES_MAX, len(modules)


@pytest.mark.parametrize("bar", pacing.BARS, ids=lambda bar: bar.column)
def test_the_pacing_stays_within_its_bars(bar: pacing.Bar) -> None:
    """Polls and lag, as means over made-up operations, are what the project promises."""
    (column,) = (column for column in pacing.COLUMNS if column.title == bar.column)

    figures = pacing.replay(pacing.backstop, column, SEEDS)

    assert figures.polls <= bar.polls
    assert figures.lag_s <= bar.lag_s


@pytest.mark.parametrize("column", pacing.COLUMNS, ids=lambda column: column.title)
def test_no_alternative_makes_fewer_polls_and_is_told_sooner(column: pacing.Column) -> None:
    """Whatever is known of an operation, nobody is better in both."""
    table = {name: pacing.replay(policy, column, SEEDS_MANY) for name, policy in pacing.POLICIES.items()}

    assert pacing.better_in_both(table) == []


def test_a_larger_fleet_takes_no_more_calls_for_a_backup_and_stays_within_the_quota() -> None:
    """What is late is polled once instead of several times."""
    small, large = fleet.measure(2), fleet.measure(20)

    assert large.calls <= small.calls * 1.1
    assert large.refused == small.refused == 0
    assert large.most_per_s <= REQUESTS_PER_S
