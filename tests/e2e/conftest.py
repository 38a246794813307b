"""What the end-to-end tests run on: deployments of the function on the embedded Pub/Sub, and on Google's own."""

from __future__ import annotations

import contextlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

import pytest

from emulators import google_pubsub
from emulators.stack import ROOT, Stack
from tests.e2e.lab import PLAYS, Lab

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
    with Stack(pubsub_address=pubsub_address, project=_project()) as stack:
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
    """For tests that kill the function, set it up differently, or have messages refused.

    Google's emulator stops to push a subscription some of whose messages were refused a few times, so these get
    subscriptions of their own (observed on 2026-11-22, version 0.8.20).
    """
    with contextlib.ExitStack() as closing:

        def make(settings: Mapping[str, str] | None = None, *, source: Path = MAIN) -> Lab:
            stack = Stack(settings, pubsub_address=pubsub_address, project=_project(), source=source)
            return Lab(closing.enter_context(stack))

        yield make


class Act(Protocol):
    """Says how a play went."""

    def __call__(self, name: str) -> None:
        """Waits for its end; raises what it raised."""


@pytest.fixture(scope="session")
def act(shared: Stack) -> Iterator[Act]:
    """Plays all that is in the tables: backups take their time, so those that aren't in each other's way share it."""
    with ThreadPoolExecutor(len(PLAYS)) as pool:
        played = {name: pool.submit(play, Lab(shared)) for name, play in PLAYS.items()}
        yield lambda name: played[name].result()


def _project() -> str:
    return f"projects/test-{next(_numbers)}"
