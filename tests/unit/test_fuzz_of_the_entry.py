"""Whatever is posted, in whatever form: an answer, one line, one meaning, and no effect that nobody vouches for."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import functions_framework
import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstop.events import Trigger
from backstop.followups import Intent, Poll
from backstop.gcp import logs
from backstop.names import OperationName
from backstop.wire import KIND_ATTRIBUTE, KIND_FOLLOW_UP, encode_follow_up
from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.faults import Fault
from tests.unit import strategies as own
from tests.unit.handlers_world import COMMANDS, DAY, FOLLOW_UPS, INSTANCE, NIGHTLY, ORDERS, RESULTS, START, World
from tests.unit.test_main import ENVIRONMENT, ROOT

REQUESTS_PER_EXAMPLE = 10
"""Each message is posted in as many forms."""

EXAMPLES = settings().max_examples * (25 if os.environ.get("HYPOTHESIS_PROFILE") == "ci" else 2)
"""20,000 requests for a pull request, fewer at a desk."""

EFFECTS = ("CreateBackup", "CancelOperation", "DeleteBackup", "UpdateBackup")
ON_THE_WAY = {"STARTED", "CANCEL_REQUESTED", "DELETE_BLOCKED"}
SOURCE = "//pubsub.googleapis.com/"


class Stage:
    """The function in this process, with a world of the test's own behind it.

    Attributes:
        world: What the function acts on; a new one for each example.
        lines: What was logged.
    """

    def __init__(self) -> None:
        framework: Any = functions_framework  # It has no types.
        self.client: FlaskClient = framework.create_app("on_message", str(ROOT / "main.py")).test_client()
        self.world = World()
        self.lines: list[bytes] = []
        main: Any = sys.modules["main"]
        stage = self

        class Clock(datetime):
            @classmethod
            def now(cls, *_zone: object) -> datetime:  # type: ignore[override]
                return stage.world.now

        main.datetime = Clock
        main._ports = lambda _: stage.world.ports  # noqa: SLF001 the test's world stands for Google


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One function for all examples, as one instance serves many requests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ENVIRONMENT.items():
            patch.setenv(variable, value)
        patch.delenv("BACKSTOP_RESULTS_TOPIC", raising=False)
        stage = Stage()
        patch.setattr(logs, "write", stage.lines.append)
        yield stage
    sys.modules.pop("main", None)


@dataclass(frozen=True)
class Request:
    """What is posted.

    Attributes:
        path: The URL's path.
        headers: Beside the usual ones.
        body: The body.
        vouched: Whether the subscription, and not a publisher, says that it comes from the follow-ups topic.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    vouched: bool = False


def forms(data: bytes, attributes: dict[str, str], envelope: dict[str, object]) -> list[Request]:
    """One message in every form in which it can arrive, by subscriptions of the commands topic and of others."""
    message = {"data": base64.b64encode(data).decode(), "attributes": attributes, **envelope}
    push = {"message": message, "subscription": "projects/demo-project/subscriptions/s", "deliveryAttempt": 1}
    body = json.dumps(push).encode()
    event = {"specversion": "1.0", "id": "1", "type": "t", "source": SOURCE + FOLLOW_UPS}
    structured = json.dumps({**event, "data": push}).encode()
    in_base64 = json.dumps({**event, "data_base64": base64.b64encode(body).decode()}).encode()
    metadata = {
        "x-goog-pubsub-subscription-name": "s",
        "x-goog-pubsub-message-id": str(envelope["messageId"]),
        "x-goog-pubsub-publish-time": str(envelope["publishTime"]),
        **attributes,
    }
    metadata = {name: re.sub(r"[^ -~]", "?", value) for name, value in metadata.items()}
    from_follow_ups = {"ce-source": SOURCE + FOLLOW_UPS, "ce-specversion": "1.0"}
    return [
        Request(f"/{COMMANDS}", {}, body),
        Request(f"/{FOLLOW_UPS}", {}, body, vouched=True),
        Request("/", {}, body),
        Request("/", {**from_follow_ups, "ce-source": SOURCE + COMMANDS}, body),
        Request("/", from_follow_ups, body, vouched=True),
        Request(f"/{COMMANDS}", from_follow_ups, body),
        Request("/", {"content-type": "application/cloudevents+json"}, structured),
        Request(f"/{COMMANDS}", {}, in_base64),
        Request("/", {**metadata, **from_follow_ups}, data),
        Request(f"/{COMMANDS}", {}, data),
    ]


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from([ORDERS, INSTANCE, NIGHTLY, "start", "1h", "9999-12-31T23:59:59Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    [
        *("action", "database", "databases", "backup", "operation", "instance", "retention", "encryption", "dry_run"),
        *("kind", "trigger", "step", "give_up_at", "unwanted_from", "expected_seconds", "left", "command", "v"),
        *("cancel_after", "version_time"),
    ]
)
COMMAND = st.sampled_from(
    [
        {"action": "start", "database": ORDERS},
        {"action": "start", "database": ORDERS, "backup_id": "nightly", "cancel_after": "0s", "retention": "14d"},
        {"action": "start", "instance": INSTANCE, "databases": ["ord*"]},
        {"action": "cancel", "database": ORDERS},
        {"action": "cancel", "backup": NIGHTLY},
        {"action": "follow", "backup": NIGHTLY, "cancel_after": "1h"},
        {"action": "sweep", "instance": INSTANCE, "cancel_after": "0s", "if_created": "delete"},
    ]
)


def mutated(document: dict[str, object], changes: dict[str, object], dropped: list[str]) -> bytes:
    """A message with some fields changed, and some left out."""
    return json.dumps({name: value for name, value in (document | changes).items() if name not in dropped}).encode()


def broken(text: bytes, at: int, instead: bytes) -> bytes:
    """A message with a byte replaced, or with more put in."""
    at %= len(text) + 1
    return text[:at] + instead + text[at + 1 :]


def nested(depth: int, opening: bytes) -> bytes:
    """A message that is deeper than it has any reason to be."""
    return opening * depth + b"1" + (b"]" if opening == b"[" else b"}") * depth


def a_poll(operation: OperationName) -> dict[str, object]:
    """A follow-up that would cancel what runs, if it were believed."""
    poll = Poll(trigger=Trigger("1", START), step=1, operation=operation, intent=Intent.CANCEL, give_up_at=START + DAY)
    written: dict[str, object] = json.loads(encode_follow_up(poll))
    return written


CHANGES: st.SearchStrategy[dict[str, object]] = st.just({}) | st.dictionaries(FIELDS, JUNK, min_size=1, max_size=2)
DROPPED: st.SearchStrategy[list[str]] = st.just([]) | st.lists(FIELDS, max_size=1)
RAW = st.one_of(
    st.builds(
        broken, COMMAND.map(lambda document: json.dumps(document).encode()), st.integers(0, 99), st.binary(max_size=2)
    ),
    st.builds(nested, st.integers(1, 1100), st.sampled_from([b"[", b'{"a":', b'{"action":'])),
    JUNK.map(lambda document: json.dumps(document).encode()),
    st.binary(max_size=20),
)
OPERATION = World().start_by_hand()
MARKED = {KIND_ATTRIBUTE: KIND_FOLLOW_UP}
ATTRIBUTES = st.sampled_from([{}, MARKED, {"ce-type": "backstop.backup.started"}]) | st.dictionaries(
    st.sampled_from(["ce-source", "colour", "content-type"]), st.text(max_size=5), max_size=2
)
COMMANDS_SENT: st.SearchStrategy[tuple[bytes, dict[str, str]]] = st.tuples(
    st.builds(mutated, COMMAND, CHANGES, DROPPED), st.just({})
)
A_POLL = st.sampled_from([a_poll(OPERATION), a_poll(OPERATION) | {"intent": "KEEP"}])
ODD_TIMES = [
    "",
    None,
    "1970-01-01T00:00:00Z",
    "yesterday",
    5,
    "9999-12-31T23:59:59.999999999Z",
    "0001-01-01T00:00:00+14:00",
]
POLLS = st.tuples(st.builds(mutated, A_POLL, CHANGES, DROPPED), st.just(MARKED))
FOLLOW_UPS_SENT = st.tuples(
    st.builds(mutated, own.follow_ups.map(lambda one: json.loads(encode_follow_up(one))), CHANGES, DROPPED),
    st.just(MARKED),
)
KINDS = [COMMANDS_SENT] * 4 + [POLLS] * 2 + [FOLLOW_UPS_SENT, st.tuples(RAW, ATTRIBUTES), st.tuples(RAW, ATTRIBUTES)]
MESSAGES = st.sampled_from(KINDS).flatmap(lambda kind: kind)

TIMES = st.sampled_from([*[START.isoformat(), "2026-11-22T02:00:00.123456789Z"] * 20, *ODD_TIMES])
IDS = st.sampled_from([*["17"] * 40, "18", "", None, "é" * 150, 17])
ENVELOPES = st.fixed_dictionaries({"publishTime": TIMES, "messageId": IDS})
FAULTS = st.none() | st.builds(
    Fault,
    st.sampled_from([*EFFECTS, "ListBackupOperations", "GetOperation", "GetBackup", "Publish", "CreateTask"]),
    st.sampled_from([Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED, Code.NOT_FOUND]),
    st.sampled_from(["before", "after"]),
)


def check(stage: Stage, request: Request, *, follow_up: bool) -> None:
    """Posts a request and checks what came of it."""
    world, faults = stage.world, stage.world.faults
    told_before = len(world.pubsub.published(RESULTS))
    calls_before, injected_before = faults.calls.copy(), faults.injected.copy()
    stage.lines.clear()

    answer = stage.client.post(request.path, headers=request.headers, data=request.body)

    met = faults.injected - injected_before
    (line,) = [json.loads(line) for line in stage.lines]
    waits = request.vouched and "the version of follow-ups known here" in line["message"]
    assert answer.status_code in ({204, 503} if met else {503 if waits else 204})
    assert line["severity"] in {"INFO", "WARNING", "ERROR"}
    told = world.pubsub.published(RESULTS)[told_before:]
    assert len({message.attributes["ce-id"] for message in told}) == len(told)
    outcomes = [json.loads(message.data)["outcome"] for message in told]
    last_words = [outcome for outcome in outcomes if outcome not in ON_THE_WAY]
    assert len(last_words) <= 1 or line["command"] == "sweep"
    assert outcomes.count("REJECTED") <= 1
    if follow_up and not request.vouched:
        assert not any((faults.calls - calls_before)[method] for method in EFFECTS)


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
@given(MESSAGES, ENVELOPES, FAULTS)
def test_whatever_is_posted_has_one_answer_one_line_and_one_meaning(
    stage: Stage, message: tuple[bytes, dict[str, str]], envelope: dict[str, object], fault: Fault | None
) -> None:
    """No 5xx without a fault, exactly one JSON line, no second meaning, and no forged follow-up that does anything."""
    data, attributes = message
    stage.world = World()
    assert stage.world.start_by_hand() == OPERATION
    if fault is not None:
        stage.world.faults.plan(fault)

    for request in forms(data, attributes, envelope):
        check(stage, request, follow_up=attributes == MARKED)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_no_method_and_no_path_is_a_bug(stage: Stage, method: str) -> None:
    """What the framework doesn't answer by itself is a delivery if it is posted, and otherwise does nothing."""
    stage.world = World()
    for path in ("/", "//x", "/%00", "/%ff", "/%2f..%2f", "/robots.txt", "/🦆", "/" + "a" * 4000, f"/{COMMANDS}?a=b"):
        stage.lines.clear()

        answer = stage.client.open(path, method=method, data=b"{}")

        assert answer.status_code < 500
        assert len(stage.lines) == (answer.status_code == 204)
        assert answer.status_code != 204 or method == "POST"
    assert stage.world.calls.keys() <= {"Publish"}


def test_the_same_poll_acts_where_its_subscription_vouches_for_it(stage: Stage) -> None:
    """Otherwise the claim above would hold because no poll does anything at all."""
    acted = []
    for number in range(REQUESTS_PER_EXAMPLE):
        stage.world = World()
        data = json.dumps(a_poll(stage.world.start_by_hand())).encode()
        envelope: dict[str, object] = {"messageId": "17", "publishTime": START.isoformat()}
        request = forms(data, {KIND_ATTRIBUTE: KIND_FOLLOW_UP}, envelope)[number]
        check(stage, request, follow_up=True)
        acted.append((request.vouched, stage.world.calls["CancelOperation"]))

    assert sorted(acted) == [(False, 0)] * 8 + [(True, 1)] * 2
