"""Backups and operations over REST, which is what `gcloud` speaks: paths and JSON in, the same RPCs, JSON out.

https://docs.cloud.google.com/spanner/docs/reference/rest, documented. Each call goes on to this emulator's own gRPC
server, so faults, Google's emulator behind it and everything else apply alike.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import grpc
from google.protobuf import json_format

from spanner_backup_emulator.errors import ApiError, Code
from spanner_backup_emulator.spanner.rpcs import RPCS
from spanner_backup_emulator.web import invalid_json, no_such_page

if TYPE_CHECKING:
    from spanner_backup_emulator.spanner.rpcs import Rpc

CALL_S_MAX = 60.0
"""For one call to the server beside this one."""

SYSTEM_PARAMETERS = frozenset({"alt", "key", "fields", "prettyPrint", "quotaUser", "access_token", "$.xgafv"})
"""Of every API, and of no effect here: https://docs.cloud.google.com/apis/docs/system-parameters, documented."""


def answer(channel: grpc.Channel, verb: str, target: str, body: bytes) -> bytes:
    """Answers one request.

    Args:
        channel: To the gRPC server beside this one.
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
    for rpc in RPCS:
        if rpc.verb == verb and (match := rpc.path.fullmatch(path)) is not None:
            fields = _fields(rpc, parts.query, body)
            _set(fields, rpc.field, match["name"])
            return _called(channel, rpc, fields)
    raise no_such_page(parts.path)


def _called(channel: grpc.Channel, rpc: Rpc, fields: dict[str, Any]) -> bytes:
    try:
        request = json_format.ParseDict(fields, rpc.request())
    except json_format.ParseError as error:
        raise invalid_json(str(error)) from None
    call: Any = channel.unary_unary(
        f"/{rpc.service}/{rpc.name}", rpc.request.SerializeToString, rpc.response.FromString
    )
    try:
        response = call(request, timeout=CALL_S_MAX)
    except grpc.RpcError as error:
        refused: Any = error
        raise ApiError(Code[refused.code().name], refused.details() or "") from None
    return json_format.MessageToJson(response).encode()


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
        elif name not in SYSTEM_PARAMETERS:
            _set(fields, name, values if name.endswith(("kmsKeyNames", "kms_key_names")) else values[-1])
    return fields


def _set(fields: dict[str, Any], path: str, value: object) -> None:
    """Puts a value where the path says, one field in another."""
    *outer, last = path.split(".")
    for name in outer:
        held = fields.get(name)
        fields[name] = inner = held if isinstance(held, dict) else {}
        fields = inner
    fields[last] = value
