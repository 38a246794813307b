"""How an emulated service refuses: a canonical code and a text, as the real ones do."""

from __future__ import annotations

import enum

from spanner_backup_emulator.messages import Message


class Code(enum.IntEnum):
    """Google's canonical status codes (https://cloud.google.com/apis/design/errors, documented)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUSES = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ABORTED: 409,
    Code.ALREADY_EXISTS: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.INTERNAL: 500,
    Code.UNKNOWN: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
"""By code; of several codes the first is the one that a status alone stands for.

https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, documented.
"""


class ApiError(Exception):
    """A refusal, as a client would see it.

    Attributes:
        code: The canonical code.
        message: The service's text.
        detail: The `google.rpc.ResourceInfo` of what the refusal is about, where the real service says so.
    """

    def __init__(self, code: Code, message: str, detail: Message = None) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.detail = detail
