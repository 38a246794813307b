"""Fixtures that several files of tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backstop.gcp.calls import SHARED, Budget
from backstop.gcp.spanner import SpannerBackups
from tests.unit.adapters_wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The services, and clients that have yet to be made."""
    server = Wire()
    for service in ("SPANNER", "PUBSUB", "CLOUD_TASKS"):
        monkeypatch.setenv(f"{service}_EMULATOR_HOST", server.address)
    SHARED.begin()
    yield server
    server.stop()


@pytest.fixture
def port() -> SpannerBackups:
    """Spanner, for one delivery."""
    return SpannerBackups(Budget())
