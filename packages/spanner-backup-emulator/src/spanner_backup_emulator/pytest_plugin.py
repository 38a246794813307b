"""Fixtures for pytest: an emulator for the length of a test, which Google's clients find by themselves.

Every run of pytest imports this file, also where no test asks for an emulator. So the emulators, and with them gRPC,
are imported only by the fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.server import PubSubEmulator
    from spanner_backup_emulator.spanner.server import SpannerEmulator
    from spanner_backup_emulator.tasks.server import TasksEmulator

_FAULT = "(method, code_or_trouble, when=…, times=…, message=…, resource=…, skip=…): what goes wrong, see `Fault`."

_MARKERS = (
    "spanner_emulator(databases=[…], strict=True, quota=True, …): settings of it, see `State` and `SpannerEmulator`.",
    "spanner_plan(text, …): how operations go, as the command's --plan says it; without a name, all of them.",
    f"spanner_fault{_FAULT}",
    "pubsub_emulator(…): settings of the fixture, see `PubSubEmulator`.",
    f"pubsub_fault{_FAULT}",
    "cloud_tasks_emulator(queues=[…], …): settings of the fixture, see `TasksEmulator`.",
    f"cloud_tasks_fault{_FAULT}",
)


def pytest_configure(config: pytest.Config) -> None:
    """Makes the markers known."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)


@pytest.fixture
def spanner_emulator(request: pytest.FixtureRequest) -> Iterator[SpannerEmulator]:
    """Cloud Spanner's backups, which take no time unless a `spanner_plan` says so."""
    from spanner_backup_emulator.quota import Quota
    from spanner_backup_emulator.serving import wall_clock
    from spanner_backup_emulator.spanner.plans import Plan, parse_plan
    from spanner_backup_emulator.spanner.server import SpannerEmulator
    from spanner_backup_emulator.spanner.state import State

    def made(*, quota: bool = False, **settings: Any) -> SpannerEmulator:  # noqa: ANN401 - as the class has them
        default, named = Plan(duration=timedelta(0)), []
        for text in (text for mark in _marks(request, "spanner_plan") for text in mark.args):
            if text.startswith("projects/"):
                named.append(text)
            else:
                _, default = parse_plan(f"all={text}", default)
        state_settings = {name: settings.pop(name) for name in ("databases", "strict") if name in settings}
        state = State(default_plan=default, **state_settings)
        for text in named:
            state.set_plan(*parse_plan(text, default))
        if quota:
            settings["faults"] = Quota(wall_clock)
        return SpannerEmulator(state=state, **settings)

    yield from _running(request, made, "spanner")


@pytest.fixture
def pubsub_emulator(request: pytest.FixtureRequest) -> Iterator[PubSubEmulator]:
    """Pub/Sub without topics."""
    from spanner_backup_emulator.pubsub.server import PubSubEmulator

    yield from _running(request, PubSubEmulator, "pubsub")


@pytest.fixture
def cloud_tasks_emulator(request: pytest.FixtureRequest) -> Iterator[TasksEmulator]:
    """Cloud Tasks with the queues that its marker names."""
    from spanner_backup_emulator.tasks.server import TasksEmulator

    yield from _running(request, TasksEmulator, "cloud_tasks")


def _running(request: pytest.FixtureRequest, kind: Callable[..., Any], name: str) -> Iterator[Any]:
    """An emulator as its markers say, which Google's client finds."""
    from spanner_backup_emulator.errors import Code
    from spanner_backup_emulator.faults import Fault, Trouble

    settings = {key: value for mark in _marks(request, f"{name}_emulator") for key, value in mark.kwargs.items()}
    with kind(**settings) as emulator:
        for mark in _marks(request, f"{name}_fault"):
            method, wrong = mark.args
            emulator.faults.plan(Fault(method, Trouble.__members__.get(wrong) or Code[wrong], **mark.kwargs))
        request.getfixturevalue("monkeypatch").setenv(f"{name.upper()}_EMULATOR_HOST", emulator.address)
        yield emulator


def _marks(request: pytest.FixtureRequest, name: str) -> list[pytest.Mark]:
    """Those of the module first, those of the test last, so that the nearest counts."""
    return list(request.node.iter_markers(name))[::-1]
