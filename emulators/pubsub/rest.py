"""Pub/Sub over REST: paths and JSON in, the same RPCs, JSON out.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import json_format

from emulators.errors import ApiError, Code
from emulators.faults import TroubleError
from emulators.pubsub.service import RPCS
from emulators.serving import HOST

if TYPE_CHECKING:
    from emulators.pubsub.service import Rpc, Service

BODY_BYTES_MAX = 10_485_760
"""Of a request; seen in https://github.com/standard-ai/hedwig-rust/issues/18."""

IDLE_S_MAX = 60.0
"""A kept connection that is silent this long is closed."""

# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto (documented)
_HTTP_STATUS = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


@dataclass(frozen=True, slots=True)
class Route:
    """Which RPC a request is, and which field of it the path names."""

    verb: str
    path: re.Pattern[str]
    rpc: Rpc
    field: str


def _route(verb: str, path: str, rpc: str, field: str) -> Route:
    # A project's id may begin with a domain and a colon; any other colon begins a verb.
    pattern = path.replace("projects/*", "projects/[^/]+").replace("*", "[^/:]+")
    pattern = pattern.replace("{", "(?P<name>").replace("}", ")")
    return Route(verb, re.compile(f"/v1/{pattern}"), RPCS[rpc], field)


ROUTES = (
    _route("PUT", "{projects/*/topics/*}", "CreateTopic", "name"),
    _route("GET", "{projects/*/topics/*}", "GetTopic", "topic"),
    _route("GET", "{projects/*}/topics", "ListTopics", "project"),
    _route("GET", "{projects/*/topics/*}/subscriptions", "ListTopicSubscriptions", "topic"),
    _route("DELETE", "{projects/*/topics/*}", "DeleteTopic", "topic"),
    _route("POST", "{projects/*/topics/*}:publish", "Publish", "topic"),
    _route("PUT", "{projects/*/subscriptions/*}", "CreateSubscription", "name"),
    _route("GET", "{projects/*/subscriptions/*}", "GetSubscription", "subscription"),
    _route("GET", "{projects/*}/subscriptions", "ListSubscriptions", "project"),
    _route("PATCH", "{projects/*/subscriptions/*}", "UpdateSubscription", "subscription.name"),
    _route("DELETE", "{projects/*/subscriptions/*}", "DeleteSubscription", "subscription"),
    _route("POST", "{projects/*/subscriptions/*}:modifyPushConfig", "ModifyPushConfig", "subscription"),
    _route("POST", "{projects/*/subscriptions/*}:acknowledge", "Acknowledge", "subscription"),
    _route("POST", "{projects/*/subscriptions/*}:modifyAckDeadline", "ModifyAckDeadline", "subscription"),
    _route("POST", "{projects/*/subscriptions/*}:pull", "Pull", "subscription"),
)


def answer(service: Service, verb: str, target: str, body: bytes) -> bytes:
    """Answers one request.

    Args:
        service: The RPCs.
        verb: The HTTP method.
        target: The path and the query.
        body: JSON, or nothing.

    Returns:
        The JSON of the response.

    Raises:
        ApiError: The refusal.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    for route in ROUTES:
        if route.verb == verb and (match := route.path.fullmatch(path)) is not None:
            fields = _fields(parts.query, body)
            outer, _, inner = route.field.partition(".")
            if inner:
                nested = fields.get(outer)
                fields[outer] = {**(nested if isinstance(nested, dict) else {}), inner: match["name"]}
            else:
                fields[outer] = match["name"]
            response = service.call(route.rpc, _parse(route.rpc, fields))
            return b"{}" if response is None else json_format.MessageToJson(type(response).pb(response)).encode()
    raise ApiError(Code.NOT_FOUND, f"The requested URL {parts.path} was not found on this server.")


def _fields(query: str, body: bytes) -> dict[str, object]:
    """The request's fields: those of the lists come in the query, all others in the body."""
    fields: dict[str, object] = {}
    if body.strip():
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise _invalid(str(error)) from None
        if not isinstance(fields, dict):
            raise _invalid("the root element must be an object")
    asked = parse_qs(query)
    fields |= {name: asked[name][-1] for name in ("pageSize", "pageToken") if name in asked}
    return fields


def _parse(rpc: Rpc, fields: dict[str, object]) -> object:
    _check_base64(fields.get("messages"))
    try:
        return rpc.request(json_format.ParseDict(fields, rpc.request.pb()()))
    except json_format.ParseError as error:
        raise _invalid(str(error)) from None


def _check_base64(messages: object) -> None:
    """Refuses data that is not base64 of either alphabet; the JSON parser would drop the odd characters in silence."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, str) and _BASE64.fullmatch(data) is None:
            raise _invalid(f"Invalid value at 'messages[{index}].data' (TYPE_BYTES), Base64 decoding failed.")


def _invalid(why: str) -> ApiError:
    return ApiError(Code.INVALID_ARGUMENT, f"Invalid JSON payload received. {why}")


class RestServer(ThreadingHTTPServer):
    """The inner HTTP/1.1 server; each connection has a thread, which ends with it."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, service: Service) -> None:
        super().__init__((HOST, 0), _Handler)
        self.service = service


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "backstop-pubsub"
    timeout = IDLE_S_MAX
    server: RestServer

    def _do(self) -> None:
        if self.command == "GET" and self.path == "/":
            self._send(200, "text/plain", b"Ok\n")  # what Google's own emulator answers to a health check
            return
        try:
            body = answer(self.server.service, self.command, self.path, self._body())
        except ApiError as error:
            status = _HTTP_STATUS[error.code]
            shown = {"error": {"code": status, "message": error.message, "status": error.code.name}}
            self._send(status, "application/json; charset=UTF-8", json.dumps(shown).encode())
        except TroubleError:
            self.close_connection = True  # Whatever the trouble, who wants no more than a status gets none.
        else:
            self._send(200, "application/json; charset=UTF-8", body)

    def do_GET(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_PATCH(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            raise _invalid("A body needs a Content-Length.")
        if int(length) > BODY_BYTES_MAX:
            self.close_connection = True
            raise ApiError(Code.INVALID_ARGUMENT, f"Request payload size exceeds the limit: {BODY_BYTES_MAX} bytes.")
        return self.rfile.read(int(length))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Says nothing: what was called is counted with the faults."""
