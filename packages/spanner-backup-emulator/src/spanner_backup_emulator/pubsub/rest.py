"""Pub/Sub over REST: paths and JSON in, the same RPCs, JSON out.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import json_format

from spanner_backup_emulator.pubsub.service import RPCS
from spanner_backup_emulator.web import invalid_json

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.service import Rpc, Service

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
    _route("PATCH", "{projects/*/topics/*}", "UpdateTopic", "topic.name"),
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
    _route("POST", "{projects/*/subscriptions/*}:seek", "Seek", "subscription"),
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
    return service.signer.answer(verb, target, body)


def _fields(query: str, body: bytes) -> dict[str, object]:
    """The request's fields: those of the lists come in the query, all others in the body."""
    fields: dict[str, object] = {}
    if body.strip():
        try:
            fields = json.loads(body)
        except ValueError as error:
            raise invalid_json(str(error)) from None
        if not isinstance(fields, dict):
            raise invalid_json("the root element must be an object")
    asked = parse_qs(query)
    fields |= {name: asked[name][-1] for name in ("pageSize", "pageToken") if name in asked}
    return fields


def _parse(rpc: Rpc, fields: dict[str, object]) -> object:
    _check_base64(fields.get("messages"))
    try:
        return rpc.request(json_format.ParseDict(fields, rpc.request.pb()()))
    except json_format.ParseError as error:
        raise invalid_json(str(error)) from None


def _check_base64(messages: object) -> None:
    """Refuses data that is not base64 of either alphabet; the JSON parser would drop the odd characters in silence."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, str) and _BASE64.fullmatch(data) is None:
            raise invalid_json(f"Invalid value at 'messages[{index}].data' (TYPE_BYTES), Base64 decoding failed.")
