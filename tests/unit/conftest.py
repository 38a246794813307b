"""Fixtures that several files of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backstop.gcp.calls import SHARED, Budget
from backstop.gcp.spanner import SpannerBackups
from tests.unit.google_services import Services


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The services, and clients that have yet to be made."""
    services = Services()
    for service in ("SPANNER", "PUBSUB", "CLOUD_TASKS"):
        monkeypatch.setenv(f"{service}_EMULATOR_HOST", services.address)
    SHARED.begin()
    yield services
    services.stop()


@pytest.fixture
def port() -> SpannerBackups:
    """Spanner, for one delivery."""
    return SpannerBackups(Budget())
