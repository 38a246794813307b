"""The table of what is supported, held against Google's services and against the emulators."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import grpc
import pytest
from google.longrunning import operations_pb2

from spanner_backup_emulator import support
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.spanner.server import SpannerEmulator
from spanner_backup_emulator.tasks.server import TasksEmulator

ANSWER_S_MAX = 10.0
PAGES = Path(__file__).parents[1]
CLIENTS = (
    "google.cloud.spanner_admin_database_v1",
    "google.cloud.spanner_admin_instance_v1",
    "google.cloud.spanner_v1",
    "google.pubsub_v1",
    "google.cloud.tasks_v2",
)
"""Google's libraries; each carries a list of its services and their methods."""

EMULATORS = {"SPANNER.md": SpannerEmulator, "PUBSUB.md": PubSubEmulator, "TASKS.md": TasksEmulator}


def services() -> dict[str, set[str]]:
    """Every service, with its methods, as Google's libraries have them."""
    found = {
        "google.longrunning.Operations": set(operations_pb2.DESCRIPTOR.services_by_name["Operations"].methods_by_name)
    }
    for client in CLIENTS:
        told = json.loads(resources.files(client).joinpath("gapic_metadata.json").read_text(encoding="utf-8"))
        for name, service in told["services"].items():
            found[f"{told['protoPackage']}.{name}"] = set(service["clients"]["grpc"]["rpcs"])
    return found


SERVICES = services()
METHODS = {
    f"{row.service}/{method}": (page, row.support)
    for page in EMULATORS
    for row in support.rows(page)
    for name in row.methods
    for method in (sorted(SERVICES[row.service]) if name == support.ALL else [name])
}


@pytest.fixture(scope="module")
def channels() -> Iterator[dict[str, grpc.Channel]]:
    """A way to each emulator."""
    with ExitStack() as stack:
        running = {page: stack.enter_context(emulator()) for page, emulator in EMULATORS.items()}
        yield {page: stack.enter_context(grpc.insecure_channel(emulator.address)) for page, emulator in running.items()}


def test_every_method_of_every_service_is_in_the_table_once() -> None:
    """None is forgotten, and none is made up."""
    listed = [f"{row.service}/{name}" for row in support.rows() for name in row.methods if name != support.ALL]

    assert len(listed) == len(set(listed))
    assert set(METHODS) == {f"{service}/{method}" for service, methods in SERVICES.items() for method in methods}


@pytest.mark.parametrize("method", METHODS)
def test_what_is_called_unsupported_answers_unimplemented_and_the_rest_does_not(
    method: str, channels: dict[str, grpc.Channel]
) -> None:
    """Asked with an empty request, which is refused with another code or answered."""
    page, supported = METHODS[method]
    call: Callable[..., Iterator[bytes]] = channels[page].stream_stream(f"/{method}")
    code = grpc.StatusCode.OK
    try:
        list(call(iter([b""]), timeout=ANSWER_S_MAX))
    except grpc.RpcError as error:
        code = error.code()

    assert (code is grpc.StatusCode.UNIMPLEMENTED) == (supported == "no")
    assert code not in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.mark.parametrize("page", EMULATORS)
def test_the_pages_show_the_table(page: str) -> None:
    """`make diagram` renews them."""
    assert support.renewed(PAGES / page) == (PAGES / page).read_text(encoding="utf-8")


def test_the_table_is_json_for_programs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each method has Google's page about it, and each suite that is said to check it is described."""
    monkeypatch.setattr("sys.argv", ["support"])
    support.main()
    told = json.loads(capsys.readouterr().out)

    assert {suite for row in told["methods"] for suite in row["suites"]} == set(told["suites"])
    assert all(len(row["sources"]) == len(row["methods"]) and row["reviewed"] for row in told["methods"])
