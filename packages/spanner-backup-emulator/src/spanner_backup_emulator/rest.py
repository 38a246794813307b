"""Google's REST: paths and JSON in, the same methods as over gRPC, JSON out."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from google.protobuf import json_format

from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.rpc import Rpc
from spanner_backup_emulator.web import invalid_json, no_such_page

SYSTEM_PARAMETERS = frozenset({"alt", "key", "fields", "prettyPrint", "quotaUser", "access_token"})
"""Of every API, as those that begin with a `$`, and of no effect here.

https://docs.cloud.google.com/apis/docs/system-parameters, documented.
"""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def answer(
    rpcs: Iterable[Rpc], call: Callable[[Rpc, Message], Message | None], verb: str, target: str, body: bytes
) -> bytes:
    """Answers one request.

    Args:
        rpcs: The methods that there are.
        call: Answers a request of one of them; None is an answer without anything in it.
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
    for rpc in rpcs:
        if rpc.verb == verb and (match := rpc.path.fullmatch(path)) is not None:
            fields = _fields(rpc, parts.query, body)
            _set(fields, rpc.field, match["name"])
            try:
                request = json_format.ParseDict(fields, rpc.request())
            except json_format.ParseError as error:
                raise invalid_json(str(error)) from None
            response = call(rpc, request)
            return b"{}" if response is None else json_format.MessageToJson(response).encode()
    raise no_such_page(parts.path)


def _fields(rpc: Rpc, query: str, body: bytes) -> dict[str, Any]:
    """The request's fields: from the body, and what the path and the body leave over from the query."""
    fields: dict[str, Any] = {}
    if body.strip():
        try:
            given = json.loads(body)
        except ValueError as error:
            raise invalid_json(str(error)) from None
        if not isinstance(given, dict):
            raise invalid_json("the root element must be an object")
        fields = {rpc.body: given} if rpc.body else given
    for name, values in parse_qs(query).items():
        if name in {"updateMask", "update_mask"}:
            fields["updateMask"] = re.sub(r"_([a-z])", lambda found: found[1].upper(), values[-1])
        elif name not in SYSTEM_PARAMETERS and not name.startswith("$"):
            _set(fields, name, values if name.endswith(("kmsKeyNames", "kms_key_names")) else values[-1])
    _check_base64(fields.get("messages"))
    return fields


def _set(fields: dict[str, Any], path: str, value: object) -> None:
    """Puts a value where the path says, one field in another."""
    *outer, last = path.split(".")
    for name in outer:
        held = fields.get(name)
        fields[name] = inner = held if isinstance(held, dict) else {}
        fields = inner
    fields[last] = value


def _check_base64(messages: object) -> None:
    """Refuses data that is not base64 of either alphabet; the JSON parser would drop the odd characters in silence."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        data = message.get("data") if isinstance(message, dict) else None
        if isinstance(data, str) and _BASE64.fullmatch(data) is None:
            raise invalid_json(f"Invalid value at 'messages[{index}].data' (TYPE_BYTES), Base64 decoding failed.")
