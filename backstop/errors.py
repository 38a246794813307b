"""What can go wrong, divided by what a caller can do about it.

| error | who should act | what happens to the message |
|---|---|---|
| `BadMessageError` | whoever published it | acknowledged, published as `REJECTED` |
| `RefusedError` | who published it, or who grants roles | a command is `REJECTED`; a poll is retried later |
| `QuotaError` | nobody: it passes | retried later, through the queue |
| `TransientError` | nobody: it passes | answered 503, so that Pub/Sub delivers it again |

Anything else is a bug of ours: it ends in a 500 and a stack trace.
"""

import json
from collections.abc import Sequence
from datetime import timedelta

from backstop.operations import Failure, Unhandled

VALUE_BYTES_MAX = 200  # A value is quoted to be recognised, not to be copied: events have their own limit of size.

# Codes after which nobody knows whether the call had its effect, or which the service means to pass.
# https://cloud.google.com/apis/design/errors (documented)
TRANSIENT = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED", "UNKNOWN", "CANCELLED"})


class BadMessageError(Exception):
    """A message that can't be understood; no retry can help.

    Args:
        field: Where in the message, as a path such as `encryption.type`; `data` for the message as a whole.
        value: What was found there; None if nothing.
        reason: What would be right.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        self.field, self.value = shortened(field, VALUE_BYTES_MAX), shortened(shown, VALUE_BYTES_MAX)
        self.reason = reason
        super().__init__(f"{self.field}: {reason}" + (f"; found {self.value!r}" if value is not None else ""))


class CallError(Exception):
    """A call to Google that did not succeed; raised only as one of the three below.

    Args:
        code: The canonical code's name.
        message: Google's own text.
        retry_after: How long Google asks to wait before the call is made again; None if it doesn't say.
        violations: The fields of the request that Google objects to, each with what is wrong.
            https://google.aip.dev/193 (documented)
    """

    def __init__(
        self, code: str, message: str, retry_after: timedelta | None = None, violations: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.failure, self.code = Failure(code, message), code
        self.retry_after, self.field = retry_after, violations[0][0] if violations else None
        self.explained = "; ".join([message, *(f"{field}: {what}" for field, what in violations)])


class TransientError(CallError):
    """The call may or may not have had its effect; the same call made again is harmless and may succeed."""


class QuotaError(CallError):
    """Too many calls just now; the same call made later will succeed."""


class RefusedError(CallError):
    """The same call would be refused again until somebody changes something."""


class UnhandledOperationError(RefusedError):
    """The operation is one that Backstop leaves alone; `unhandled` says what it is."""

    def __init__(self, unhandled: Unhandled) -> None:
        super().__init__("UNIMPLEMENTED", f"{unhandled.name} is left alone: {unhandled.why}")
        self.unhandled = unhandled


def kind_of(code: str) -> type[CallError]:
    """Which of the three a canonical code is."""
    return QuotaError if code == "RESOURCE_EXHAUSTED" else TransientError if code in TRANSIENT else RefusedError


def shortened(text: str, bytes_max: int) -> str:
    """A text cut to a length in UTF-8, which is what every service counts; one sees that it was cut."""
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    return encoded[: bytes_max - len("…".encode())].decode(errors="ignore") + "…"
