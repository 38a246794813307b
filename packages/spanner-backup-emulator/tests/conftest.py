"""Fixtures of the emulators' tests: a running Pub/Sub, and Google's own clients for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.spanner_admin_database_v1 import DatabaseAdminClient
from hypothesis import settings
from pubsub_world import PULL, TOPIC
from receiver import Receiver, receiving
from spanner_world import Clock, connected

from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.pubsub.state import State
from spanner_backup_emulator.spanner.server import SpannerEmulator

# Where these tests run alone; whoever runs them among others has a profile of their own.
settings.register_profile("emulator", max_examples=60, stateful_step_count=50, deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("emulator")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An endpoint of pushes and of tasks."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def clock() -> Clock:
    """Time that stands still."""
    return Clock()


@pytest.fixture
def emulator(clock: Clock) -> Iterator[SpannerEmulator]:
    """Cloud Spanner's backups, in which nothing has happened yet."""
    with SpannerEmulator(clock=clock, rest_port=0) as running:
        yield running


@pytest.fixture
def client(emulator: SpannerEmulator) -> Iterator[DatabaseAdminClient]:
    """Google's generated client of it."""
    with connected(emulator.address) as client:
        yield client


@pytest.fixture
def pubsub() -> Iterator[PubSubEmulator]:
    """A running emulator with a topic and a subscription to pull from; it leaves no thread behind."""
    before = set(threading.enumerate())
    with PubSubEmulator(state=State(push_backoff_max=timedelta(milliseconds=20))) as pubsub:
        pubsub.create_topic(TOPIC)
        pubsub.create_pull_subscription(PULL, TOPIC)
        yield pubsub
    ours = [thread for thread in threading.enumerate() if thread.name.startswith(("pubsub", "emulator"))]
    assert set(ours) <= before


@pytest.fixture
def publisher(pubsub: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[PublisherClient]:
    """The official publisher, which finds the emulator as it would find Google's."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    client = PublisherClient()
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture
def subscriber(pubsub: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[SubscriberClient]:
    """The official subscriber."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.address)
    with SubscriberClient() as client:
        yield client
