"""How an emulated service refuses: a canonical code and a text, as the real ones do."""

import enum
from typing import Self

from spanner_backup_emulator.messages import Message


class Code(enum.IntEnum):
    """Google's canonical status codes, each with its number and the HTTP status that it is told as.

    https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto, documented.
    """

    http_status: int

    OK = 0, 200
    CANCELLED = 1, 499
    UNKNOWN = 2, 500
    INVALID_ARGUMENT = 3, 400
    DEADLINE_EXCEEDED = 4, 504
    NOT_FOUND = 5, 404
    ALREADY_EXISTS = 6, 409
    PERMISSION_DENIED = 7, 403
    RESOURCE_EXHAUSTED = 8, 429
    FAILED_PRECONDITION = 9, 400
    ABORTED = 10, 409
    OUT_OF_RANGE = 11, 400
    UNIMPLEMENTED = 12, 501
    INTERNAL = 13, 500
    UNAVAILABLE = 14, 503
    DATA_LOSS = 15, 500
    UNAUTHENTICATED = 16, 401

    def __new__(cls, number: int, http_status: int = 0) -> Self:
        """Makes a code of a line above."""
        code = int.__new__(cls, number)
        code._value_, code.http_status = number, http_status
        return code


class ApiError(Exception):
    """A refusal, as a client would see it: the service's text, and the `ResourceInfo` of what it is about, if any."""

    def __init__(self, code: Code, message: str, detail: Message = None) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code, self.message, self.detail = code, message, detail
