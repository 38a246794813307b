"""What the end-to-end tests run on: deployments of the function on the embedded Pub/Sub, and on Google's own."""

from __future__ import annotations

import contextlib
import itertools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import pytest

from emulators import google_pubsub
from emulators.stack import ROOT, Stack
from tests.e2e.lab import PLAYS, SHARED, Deployment, Lab, Plays

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MAIN = ROOT / "main.py"

_numbers = itertools.count(1)


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
def shared(pubsub_address: str | None) -> Iterator[Stack]:
    """The deployment that the tests share which leave it as they found it, and refuse no message."""
    with _deployed(pubsub_address) as stack:
        yield stack


@pytest.fixture
def lab(shared: Stack) -> Lab:
    """An instance of the test's own in the shared deployment."""
    return Lab(shared)


class Deploy(Protocol):
    """Makes a deployment of the test's own."""

    def __call__(self, settings: Mapping[str, str] | None = None, *, source: Path = MAIN) -> Lab:
        """Takes the function's settings, and its source file if it isn't the usual one."""


@pytest.fixture
def deploy(pubsub_address: str | None) -> Iterator[Deploy]:
    """For tests that kill the function, count all that it prints, or can't have company for another reason."""
    with contextlib.ExitStack() as closing:

        def make(settings: Mapping[str, str] | None = None, *, source: Path = MAIN) -> Lab:
            return Lab(closing.enter_context(_deployed(pubsub_address, settings, source)))

        yield make


class Act(Protocol):
    """Says how a play went."""

    def __call__(self, plays: Plays, name: str) -> None:
        """Waits for its end; raises what it raised."""


@pytest.fixture(scope="session")
def act(pubsub_address: str | None, shared: Stack) -> Iterator[Act]:
    """Plays all that a deployment's tables hold at once: backups take their time, and so they take it together."""
    with contextlib.ExitStack() as closing:
        stacks = {SHARED: shared}
        played: dict[Deployment, Mapping[str, Future[None]]] = {}

        def play(plays: Plays, name: str) -> None:
            deployment = plays.deployment
            if deployment not in stacks:
                stacks[deployment] = closing.enter_context(_deployed(pubsub_address, deployment.settings))
            if deployment not in played:
                table = PLAYS[deployment]
                pool = closing.enter_context(ThreadPoolExecutor(len(table)))
                played[deployment] = {name: pool.submit(run, Lab(stacks[deployment])) for name, run in table.items()}
            played[deployment][name].result()

        yield play


@contextlib.contextmanager
def _deployed(
    pubsub_address: str | None, settings: Mapping[str, str] | None = None, source: Path = MAIN
) -> Iterator[Stack]:
    """A deployment that at its end has printed nothing but log lines: no crash of a worker went unnoticed."""
    project = f"projects/test-{next(_numbers)}"
    with Stack(settings, pubsub_address=pubsub_address, project=project, source=source) as stack:
        yield stack
    assert [line for line in stack.function.lines if "severity" not in line] == []
