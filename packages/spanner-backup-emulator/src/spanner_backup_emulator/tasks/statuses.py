"""How HTTP statuses and canonical codes go together.

https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanner_backup_emulator.errors import Code
from spanner_backup_emulator.tasks import wire
from spanner_backup_emulator.tasks.model import NO_ANSWER

if TYPE_CHECKING:
    from spanner_backup_emulator.tasks.wire import Message

_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.INTERNAL: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: NO_ANSWER,
}
_CODES = {status: code for code, status in _HTTP.items()} | {504: Code.DEADLINE_EXCEEDED}


def to_http(code: Code) -> int:
    """The status that an injected fault of that code stands for; a missed deadline is no answer at all."""
    return _HTTP.get(code, 500)


def to_status(status: int) -> Message:
    """What a failed attempt shows, as in https://github.com/googleapis/nodejs-tasks/issues/487 ."""
    code = _CODES.get(status, Code.INTERNAL if status >= 500 else Code.UNKNOWN)
    return wire.Status(code=code, message=f"{code.name}({code.value}): HTTP status code {status}")
