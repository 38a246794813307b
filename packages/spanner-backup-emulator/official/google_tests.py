"""A plugin for pytest that lets Google's own tests of backups run where they would skip themselves: on an emulator.

It changes no file of theirs, and of what they do only what no emulator can have: see each hook.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

REASONS = {"Backup operations not supported by emulator.", "skipped since the KMS keys are not added on test project"}
"""Why they skip themselves; a key's name is all that matters here."""

SLEEP_S_MAX = 0.1
"""A sample looks at a running backup every five minutes; here every backup is done in seconds."""

OTHER_CONFIG = "diff_config_instance"
"""Ends without a value where there is one instance configuration only, which pytest takes for a mistake."""

_sleep = time.sleep
_numbers = itertools.count(1)


def pytest_configure() -> None:
    """Shortens their names: Google's emulator takes 30 characters of a database's, and some of theirs are longer."""
    system = importlib.import_module("test_utils.system")
    system.unique_resource_id = _short_id  # type: ignore[attr-defined]  # it has no types


def _short_id(delimiter: str = "_") -> str:
    return f"{delimiter}{next(_numbers)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Takes the mark off, and cuts the samples' waits short."""
    for node in {parent for item in items for parent in item.listchain()}:
        node.own_markers = [mark for mark in node.own_markers if mark.kwargs.get("reason") not in REASONS]
    for name in ("backup_sample", "backup_schedule_samples"):
        if name in sys.modules:
            sys.modules[name].time = SimpleNamespace(sleep=_nap)  # type: ignore[attr-defined]  # a module of theirs


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: Any) -> None:  # noqa: ANN401 pytest doesn't say that its function can be changed
    """Lets the other configuration be None."""
    if fixturedef.argname == OTHER_CONFIG:
        fixturedef.func = _nothing


def _nothing(**_: object) -> Iterator[None]:
    yield None


def _nap(seconds: float) -> None:
    _sleep(min(seconds, SLEEP_S_MAX))
