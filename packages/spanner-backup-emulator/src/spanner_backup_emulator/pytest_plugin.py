"""Fixtures for pytest: an emulator for the length of a test, which Google's clients find by themselves.

Every run of pytest imports this file, also where no test asks for an emulator. So the emulators, and with them gRPC,
are imported only by the fixtures.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spanner_backup_emulator.emulator import Emulator
    from spanner_backup_emulator.faults import Faults
    from spanner_backup_emulator.pubsub.server import PubSubEmulator
    from spanner_backup_emulator.spanner.server import SpannerEmulator
    from spanner_backup_emulator.spanner.state import State
    from spanner_backup_emulator.tasks.server import TasksEmulator

E = TypeVar("E", bound="Emulator")

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
def spanner_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpannerEmulator]:
    """Cloud Spanner's backups, which take no time unless a `spanner_plan` says so."""
    from spanner_backup_emulator.quota import Quota
    from spanner_backup_emulator.serving import wall_clock
    from spanner_backup_emulator.spanner.server import SpannerEmulator

    def made(**settings: Any) -> SpannerEmulator:  # noqa: ANN401 - as the class has them
        if settings.pop("quota", False):
            settings["faults"] = _faults(request, "spanner_fault", Quota(wall_clock))
        state = _state(request, {name: settings.pop(name) for name in ("databases", "strict") if name in settings})
        return SpannerEmulator(state=state, **settings)

    yield from _running(request, monkeypatch, made, "spanner")


@pytest.fixture
def pubsub_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSubEmulator]:
    """Pub/Sub without topics."""
    from spanner_backup_emulator.pubsub.server import PubSubEmulator

    yield from _running(request, monkeypatch, PubSubEmulator, "pubsub")


@pytest.fixture
def cloud_tasks_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TasksEmulator]:
    """Cloud Tasks with the queues that its marker names."""
    from spanner_backup_emulator.tasks.server import TasksEmulator

    yield from _running(request, monkeypatch, TasksEmulator, "cloud_tasks")


def _running(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., E], name: str
) -> Iterator[E]:
    """An emulator as its markers say, which Google's client finds."""
    marks = _marks(request, f"{name}_emulator")
    settings = {setting: value for mark in marks for setting, value in mark.kwargs.items()}
    with kind(**{"faults": _faults(request, f"{name}_fault"), **settings}) as emulator:
        monkeypatch.setenv(f"{name.upper()}_EMULATOR_HOST", emulator.address)
        yield emulator


def _marks(request: pytest.FixtureRequest, name: str) -> list[pytest.Mark]:
    """Those of the module first, those of the test last, so that the nearest counts."""
    return list(request.node.iter_markers(name))[::-1]


def _state(request: pytest.FixtureRequest, settings: dict[str, Any]) -> State:
    from spanner_backup_emulator.spanner.plans import Plan, parse_plan
    from spanner_backup_emulator.spanner.state import State

    default = Plan(duration=timedelta(0))
    texts = [text for mark in _marks(request, "spanner_plan") for text in mark.args]
    for text in texts:
        if not text.startswith("projects/"):
            _, default = parse_plan(f"all={text}", default)
    state = State(default_plan=default, **settings)
    for text in texts:
        if text.startswith("projects/"):
            state.set_plan(*parse_plan(text, default))
    return state


def _faults(request: pytest.FixtureRequest, name: str, faults: Faults | None = None) -> Faults:
    from spanner_backup_emulator.errors import Code
    from spanner_backup_emulator.faults import Fault, Faults, Trouble

    faults = faults or Faults()
    for mark in _marks(request, name):
        method, kind = mark.args
        faults.plan(Fault(method, Trouble.__members__.get(kind) or Code[kind], **mark.kwargs))
    return faults
