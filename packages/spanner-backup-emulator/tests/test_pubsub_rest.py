"""REST on the same port as gRPC: Cloud Tasks publishes there, and so does gcloud."""

from __future__ import annotations

import base64
import http.client
import http.server
import json
import socket
from contextlib import suppress

import pytest
from google.cloud.pubsub_v1 import SubscriberClient
from pubsub_world import PULL, SOON_S, rest

from spanner_backup_emulator import support, web
from spanner_backup_emulator.pubsub.server import PubSubEmulator
from spanner_backup_emulator.pubsub.service import RPCS


def test_rest_and_grpc_share_one_port_and_one_state(pubsub: PubSubEmulator, subscriber: SubscriberClient) -> None:
    """What a Cloud Task publishes by REST, a client pulls by gRPC."""
    status, body = rest(
        pubsub,
        "POST",
        "/v1/projects/p/topics/commands:publish",
        {"messages": [{"data": base64.b64encode(b"by rest").decode(), "attributes": {"backstop-kind": "follow-up"}}]},
    )

    (received,) = subscriber.pull(subscription=PULL, max_messages=5).received_messages
    assert (status, body) == (200, {"messageIds": [received.message.message_id]})
    assert received.message.data == b"by rest"
    assert dict(received.message.attributes) == {"backstop-kind": "follow-up"}


@pytest.mark.parametrize(
    ("topic", "path"),
    [
        ("projects/example.com:p/topics/commands", "projects/example.com:p/topics/commands"),
        ("projects/example.com:p/topics/commands", "projects/example.com%3Ap/topics/commands"),
        ("projects/p/topics/follow%2Dups", "projects/p/topics/follow%252Dups"),
    ],
)
def test_a_project_with_a_domain_and_a_topic_with_a_quoted_letter_are_reached(
    pubsub: PubSubEmulator, topic: str, path: str
) -> None:
    """The colon of the one was taken for that of a verb."""
    assert rest(pubsub, "PUT", f"/v1/{path}", {}) == (200, {"name": topic})

    status, body = rest(pubsub, "POST", f"/v1/{path}:publish", {"messages": [{"data": "eA=="}]})

    assert (status, list(body)) == (200, ["messageIds"])


def test_everything_a_command_line_needs_is_there_by_rest(pubsub: PubSubEmulator) -> None:
    """Create, show, list, change, pull, acknowledge and delete, with the paths and fields of the REST reference."""
    topic, subscription = "projects/p/topics/by-rest", "projects/p/subscriptions/by-rest"
    settings = {"topic": topic, "ackDeadlineSeconds": 30}
    assert rest(pubsub, "PUT", f"/v1/{topic}", {}) == (200, {"name": topic})
    assert rest(pubsub, "PUT", f"/v1/{subscription}?alt=json", settings)[1]["ackDeadlineSeconds"] == 30
    patch = {"subscription": {"ackDeadlineSeconds": 40}, "updateMask": "ackDeadlineSeconds"}
    assert rest(pubsub, "PATCH", f"/v1/{subscription}", patch)[1]["ackDeadlineSeconds"] == 40
    assert rest(pubsub, "GET", f"/v1/{subscription}")[1]["name"] == subscription
    assert rest(pubsub, "GET", f"/v1/{topic}/subscriptions")[1] == {"subscriptions": [subscription]}
    assert rest(pubsub, "GET", "/v1/projects/p/topics?pageSize=1&$alt=json;enum-encoding=int")[1] == {
        "topics": [{"name": topic}],
        "nextPageToken": "1",
    }
    rest(pubsub, "POST", f"/v1/{topic}:publish", {"messages": [{"data": "eA=="}]})
    pulled = rest(pubsub, "POST", f"/v1/{subscription}:pull", {"maxMessages": 1, "returnImmediately": True})[1]
    received = json.loads(json.dumps(pulled["receivedMessages"]))[0]
    assert received["message"]["data"] == "eA=="
    ids = {"ackIds": [received["ackId"]]}
    extended = rest(pubsub, "POST", f"/v1/{subscription}:modifyAckDeadline", {**ids, "ackDeadlineSeconds": 60})
    assert extended == (200, {})
    assert rest(pubsub, "POST", f"/v1/{subscription}:acknowledge", ids) == (200, {})
    assert rest(pubsub, "POST", f"/v1/{subscription}:modifyPushConfig", {"pushConfig": {}}) == (200, {})
    assert rest(pubsub, "DELETE", f"/v1/{subscription}") == (200, {})
    assert rest(pubsub, "DELETE", f"/v1/{topic}") == (200, {})
    assert rest(pubsub, "GET", f"/v1/{topic}")[0] == 404


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "name", "text"),
    [
        ("POST", "/v1/projects/p/topics/none:publish", {}, 404, "NOT_FOUND", "Resource not found (resource=none)."),
        ("PUT", "/v1/projects/p/topics/commands", {}, 409, "ALREADY_EXISTS", "Resource already exists"),
        ("POST", "/v1/projects/p/topics/commands:publish", b"{", 400, "INVALID_ARGUMENT", "Invalid JSON payload"),
        ("POST", "/v1/projects/p/topics/commands:publish", b"[]", 400, "INVALID_ARGUMENT", "must be an object"),
        ("POST", "/v1/projects/p/topics/commands:publish", {"x": 1}, 400, "INVALID_ARGUMENT", 'no field named "x"'),
        (
            "POST",
            "/v1/projects/p/topics/commands:publish",
            {"messages": [{"data": "%%%"}]},
            400,
            "INVALID_ARGUMENT",
            "Base64 decoding failed",
        ),
        ("POST", "/v1/projects/p/topics/commands:publish", {"messages": [1]}, 400, "INVALID_ARGUMENT", "Invalid JSON"),
        ("PATCH", "/v1/projects/p/subscriptions/pull", {}, 400, "INVALID_ARGUMENT", "update_mask"),
        ("POST", "/v1/projects/p/subscriptions/pull:seek", {}, 400, "INVALID_ARGUMENT", "Must specify either a time"),
        ("POST", "/v1/projects/p/subscriptions/pull:push", {}, 404, "NOT_FOUND", "was not found on this server"),
        ("GET", "/v2/projects/p/topics", None, 404, "NOT_FOUND", "was not found on this server"),
    ],
)
def test_rest_refuses_in_googles_form(
    pubsub: PubSubEmulator, verb: str, path: str, body: object, status: int, name: str, text: str
) -> None:
    """The HTTP status, and an error object with code, message and status."""
    found, shown = rest(pubsub, verb, path, body)

    error = shown["error"]
    assert isinstance(error, dict)
    assert (found, error["code"], error["status"]) == (status, status, name)
    assert text in error["message"]


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"Content-Length": "10485761"}, "Request payload size exceeds the limit: 10485760 bytes."),
        ({"Content-Length": "x"}, "A body needs a Content-Length."),
        ({"Transfer-Encoding": "chunked"}, "A body needs a Content-Length."),
    ],
)
def test_a_body_must_say_that_it_is_small_enough(pubsub: PubSubEmulator, headers: dict[str, str], text: str) -> None:
    """An endless body is not read."""
    status, shown = rest(pubsub, "POST", "/v1/projects/p/topics/commands:publish", b"", **headers)

    assert status == 400
    assert text in json.dumps(shown)


def test_a_health_check_is_answered(pubsub: PubSubEmulator) -> None:
    """Scripts that wait for an emulator ask for its root."""
    host, port = pubsub.address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=SOON_S)
    connection.request("GET", "/")

    assert connection.getresponse().read() == b"Ok\n"
    connection.close()


def test_a_connection_that_says_nothing_or_too_little_is_harmless(pubsub: PubSubEmulator) -> None:
    """The others go on."""
    host, port = pubsub.address.split(":")
    with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as short:
        short.sendall(b"GE")
        short.shutdown(socket.SHUT_WR)
        assert short.recv(1) == b""
        assert rest(pubsub, "GET", "/v1/projects/p/topics")[0] == 200
        assert silent.fileno() > 0


def test_connections_beyond_the_bound_are_closed(pubsub: PubSubEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that came first stays, and its place can be had again."""
    monkeypatch.setattr(web, "CONNECTION_COUNT_MAX", 1)
    host, port = pubsub.address.split(":")
    with socket.create_connection((host, int(port))) as first:
        first.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert first.recv(4) == b"HTTP"
        with socket.create_connection((host, int(port)), timeout=SOON_S) as second, suppress(ConnectionResetError):
            assert second.recv(1) == b""


def test_the_table_of_what_is_supported_has_the_verbs_of_rest() -> None:
    """And no method without a verb is reached by REST."""
    told = {name: row.notes.split() for row in support.rows("PUBSUB.md") for name in row.methods}

    assert {(name, words[1].rstrip(";")) for name, words in told.items() if words[0] == "REST"} == {
        (rpc.name, rpc.verb) for rpc in RPCS
    }
