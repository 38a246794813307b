"""Pub/Sub over REST: paths and JSON in, the same RPCs, JSON out.

https://cloud.google.com/pubsub/docs/reference/rest
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import json_format

from spanner_backup_emulator.pubsub.service import RPCS
from spanner_backup_emulator.web import invalid_json

if TYPE_CHECKING:
    from spanner_backup_emulator.pubsub.service import Service

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def answer(service: Service, verb: str, target: str, body: bytes) -> bytes:
    """Answers a request for a path and a query, whose body is JSON or nothing, with the JSON of the response.

    Raises:
        ApiError: The refusal.
    """
    parts = urlsplit(target)
    path = unquote(parts.path)
    for rpc in RPCS.values():
        if rpc.verb == verb and (match := rpc.path.fullmatch(path)) is not None:
            request = rpc.request()
            try:
                json_format.ParseDict(_fields(parts.query, body), request)
            except json_format.ParseError as error:
                raise invalid_json(str(error)) from None
            *outer, field = rpc.field.split(".")
            setattr(functools.reduce(getattr, outer, request), field, match["name"])
            response = service.call(rpc, request)
            return b"{}" if response is None else json_format.MessageToJson(response).encode()
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
    _check_base64(fields.get("messages"))
    return fields


def _check_base64(messages: object) -> None:
    """Refuses data that is not base64 of either alphabet; the JSON parser would drop the odd characters in silence."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, str) and _BASE64.fullmatch(data) is None:
            raise invalid_json(f"Invalid value at 'messages[{index}].data' (TYPE_BYTES), Base64 decoding failed.")
