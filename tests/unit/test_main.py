"""The entry point's answers: driven in this process, with the requests that Pub/Sub and Eventarc post."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backstop.gcp import calls
from tests.unit.handlers_world import COMMANDS, ORDERS

ROOT = Path(__file__).parents[2]
SAMPLES = sorted(path for path in (ROOT / "tests" / "samples").iterdir() if path.is_dir())
NOBODY = "127.0.0.1:1"
"""No program listens here, so a call is refused at once."""

ENVIRONMENT = {
    "BACKSTOP_FOLLOW_UPS_TOPIC": "projects/demo-project/topics/follow-ups",
    "BACKSTOP_TASKS_QUEUE": "projects/demo-project/locations/europe-west1/queues/backstop",
    "SPANNER_EMULATOR_HOST": NOBODY,
    "PUBSUB_EMULATOR_HOST": NOBODY,
    "CLOUD_TASKS_EMULATOR_HOST": NOBODY,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The function's settings, and no channel open."""
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("BACKSTOP_RESULTS_TOPIC", raising=False)
    calls.SHARED.begin()


def make_client() -> FlaskClient:
    """The function, freshly imported, as functions-framework serves it."""
    framework: Any = functions_framework  # It has no types.
    app = framework.create_app(target="on_message", source=str(ROOT / "main.py"))
    client: FlaskClient = app.test_client()
    return client


@pytest.fixture
def client(environment: None) -> Iterator[FlaskClient]:  # noqa: ARG001 it comes first
    """The function with nobody to call."""
    yield make_client()
    sys.modules.pop("main", None)


def post(client: FlaskClient, sample: Path = ROOT / "tests/samples/push") -> TestResponse:
    """Posts a sample, as if its message had just been published."""
    request = (sample / "request.json").read_text()
    (body,) = (path.read_text() for path in sample.iterdir() if path.stem == "body")
    published = datetime.now(UTC).isoformat()
    request, body = (text.replace("2026-11-22T02:00:00.123Z", published) for text in (request, body))
    asked = json.loads(request)
    return client.post(asked["path"], headers=asked["headers"], data=body)


def logged(capture: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that the delivery wrote, beside those of its events."""
    documents = [json.loads(line) for line in capture.readouterr().out.splitlines()]
    (document,) = (document for document in documents if "command" in document)
    assert isinstance(document, dict)
    return document


@pytest.mark.spanner_emulator(databases=[ORDERS], strict=True)
@pytest.mark.usefixtures("environment", "spanner_emulator")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_each_sample_is_answered_and_logged_as_recorded(sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What really arrives, in every form, is answered 2xx with one line."""
    expected = json.loads((sample / "expected.json").read_text())

    answer = post(make_client(), sample)

    assert (answer.status_code, answer.data) == (expected["status"], b"")
    line = logged(capfd)
    assert {name: line.get(name) for name in expected["log"]} == expected["log"]
    assert line["duration_ms"] >= 0


def test_there_are_samples_of_every_form() -> None:
    """A missing directory can't make the test above pass."""
    names = {path.name for path in SAMPLES}

    assert {"push", "push-follow-up", "push-unwrapped", "eventarc-binary", "eventarc-structured"} <= names
    assert len(names) >= 16


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("sample", "results_topic", "command", "why"),
    [
        ("push", "", "start", "To be delivered again: "),
        ("push-not-json", "projects/demo-project/topics/results", "unknown", "could not publish the outcome"),
    ],
)
def test_a_transient_fault_is_answered_503_so_that_the_message_comes_again(
    sample: str,
    results_topic: str,
    command: str,
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Spanner can't be reached, or an event can't be published: the line says so, and nothing is lost."""
    monkeypatch.setenv("BACKSTOP_RESULTS_TOPIC", results_topic)
    monkeypatch.setattr(calls, "CALL_S_MAX", 0.5)

    assert post(make_client(), ROOT / "tests/samples" / sample).status_code == HTTPStatus.SERVICE_UNAVAILABLE

    line = logged(capfd)
    assert (line["severity"], line["command"]) == ("WARNING", command)
    assert line["error"]["code"] in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert why in line["message"]


def test_a_bug_is_answered_500_and_logged_with_its_trace(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message comes again, and Error Reporting finds the stack."""

    def broken(*_args: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(sys.modules["main"], "receive", broken)

    assert post(client).status_code == HTTPStatus.INTERNAL_SERVER_ERROR

    line = logged(capfd)
    assert line["severity"] == "CRITICAL"
    assert line["message"].startswith("Traceback (most recent call last):")
    assert "KeyError: 'a bug'" in line["message"]


def test_a_body_that_breaks_off_is_answered_400_without_a_stack_trace(
    client: FlaskClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each server raises an error of its own where a chunk is broken; it was answered 500, as if it were a bug."""

    class Broken:
        def read(self, *_size: int) -> bytes:
            raise OSError("Invalid chunk size")

    answer = client.post("/", environ_overrides={"wsgi.input": Broken(), "wsgi.input_terminated": True})

    assert answer.status_code == HTTPStatus.BAD_REQUEST
    line = logged(capfd)
    assert line["severity"] == "WARNING"
    assert line["message"].startswith("The request's body could not be read: ")
    assert "Traceback" not in line["message"]


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("PUT", 405), ("DELETE", 405)])
def test_a_look_in_is_answered_well_and_does_nothing(
    client: FlaskClient, method: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pub/Sub posts. A health check, which asks with GET or HEAD, was answered 405; it does no work and has no line."""
    answer = client.open(f"/{COMMANDS}", method=method)

    assert answer.status_code == status
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("environment")
def test_a_deployment_with_a_wrong_setting_never_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes as the instance starts, and names the variable."""
    monkeypatch.setenv("BACKSTOP_RETENTION", "two weeks")

    with pytest.raises(ValueError, match="BACKSTOP_RETENTION"):
        make_client()
