"""What the end-to-end tests run on: deployments of the function on the embedded Pub/Sub, and on Google's own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import google_pubsub
import pytest

from demo.stack import Stack

pytest.register_assert_rewrite("tests.e2e.lab", "tests.e2e.wire_lives")

from tests.e2e.lab import PLAYS, Act, Deployment, Lab, Play  # noqa: E402 rewritten first

Played = Mapping[str, Future[None]]

DEPLOYMENTS_AT_ONCE = 4
"""They wait for most of their time; more of them would make each other's calls late."""

PLAYS_S_MAX = 240.0
"""Several times what a deployment's plays take on a busy machine; less than pytest allows, so that the test says so."""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps each Pub/Sub's tests on one worker, as that plays all of them at once."""
    for item in items:
        if isinstance(item, pytest.Function) and "act" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(item.callspec.params["pubsub_address"]))


@pytest.fixture(scope="session", params=["embedded", "google"])
def pubsub_address(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Where Pub/Sub is; None for the embedded one, which each deployment brings along."""
    if request.param == "embedded":
        yield None
        return
    jar = google_pubsub.installed()
    if jar is None:
        missing = "Google's Pub/Sub emulator is not installed (gcloud components install pubsub-emulator, and Java)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with google_pubsub.GooglePubSub(jar) as emulator:
        yield emulator.address


@pytest.fixture(scope="session")
def act(pubsub_address: str | None) -> Iterator[Act]:
    """Plays all that was collected, several deployments at once: backups take their time, and so they take it together.

    A play fails with what its deployment ended with, too: nothing that crashed there goes unnoticed.
    """
    with ThreadPoolExecutor(DEPLOYMENTS_AT_ONCE) as pool:
        played = {
            deployment: pool.submit(_played, pubsub_address, deployment, plays) for deployment, plays in PLAYS.items()
        }
        yield lambda deployment, name: played[deployment].result(PLAYS_S_MAX)[name].result(PLAYS_S_MAX)


def _played(pubsub_address: str | None, deployment: Deployment, plays: Mapping[str, Play]) -> Played:
    """Plays a deployment's plays to their end."""
    mine = {name: play for name, play in plays.items() if pubsub_address is None or not play.embedded}
    if not mine:
        return {}
    project = f"projects/test-{next(_numbers)}"
    stack = Stack(deployment.settings, pubsub_address=pubsub_address, project=project, source=deployment.source)
    with stack, ThreadPoolExecutor(len(mine) if deployment.at_once else 1) as pool:
        played = {name: pool.submit(_run, play, Lab(stack)) for name, play in mine.items()}
    strange = [line for line in stack.function.lines if "severity" not in line]
    assert strange == [], "a worker has crashed, or printed what is no log line"
    return played


def _run(play: Play, lab: Lab) -> None:
    with lab.explained():
        play.run(lab)
