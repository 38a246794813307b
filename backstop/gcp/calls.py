"""How every call to Google is made: within the delivery's time, briefly repeated, with errors of our own kinds."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp.imports import quick_imports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.api_core.retry import Retry

T = TypeVar("T")

DELIVERY_S_MAX = 50.0
"""All calls of a delivery together; the function's own limit is 60 s, and an answer takes a moment."""

CALL_S_MAX = 10.0
"""One call with its retries. Spanner's admin calls take a second at most, so this is a fault and not a slow day."""

ATTEMPT_S_MAX = 5.0
"""One attempt of a call that may be repeated."""

TRANSIENT = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED", "UNKNOWN", "CANCELLED"})
"""Codes after which nobody knows whether the call had its effect, or which the service means to pass.

https://cloud.google.com/apis/design/errors (documented)
"""


class Options(TypedDict):
    """What the clients' methods take beside the request."""

    timeout: float
    retry: Retry | None


class Once(Generic[T]):
    """A client, made at its first use and then shared by all threads."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: T | None = None

    def __call__(self) -> T:
        """The client."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    with quick_imports():
                        self._made = self._make()
        return self._made


class Budget:
    """The time that is left for the calls of one delivery."""

    def __init__(self) -> None:
        self._end_s = time.monotonic() + DELIVERY_S_MAX

    def call_s(self) -> float:
        """How long the next call may take.

        Raises:
            TransientError: No time is left; the delivery should be refused while it still can answer.
        """
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TransientError("DEADLINE_EXCEEDED", f"the delivery's {DELIVERY_S_MAX:.0f} s are used up")
        return min(left_s, CALL_S_MAX)

    def once(self) -> Options:
        """The options of a call that must not be repeated blindly."""
        return {"timeout": self.call_s(), "retry": None}

    def repeatable(self) -> Options:
        """The options of a call that does the same however often it is made."""
        call_s = self.call_s()
        return {"timeout": min(call_s, ATTEMPT_S_MAX), "retry": _retry(call_s)}


def _retry(call_s: float) -> Retry:
    from google.api_core.exceptions import ServiceUnavailable  # noqa: PLC0415 imported when a call is made
    from google.api_core.retry import Retry, if_exception_type  # noqa: PLC0415

    return Retry(
        predicate=if_exception_type(ServiceUnavailable), initial=0.1, maximum=1.0, multiplier=2.0, timeout=call_s
    )


@contextmanager
def our_errors() -> Iterator[None]:
    """Turns what Google's libraries raise into the three kinds that the handlers know.

    Raises:
        QuotaError: For RESOURCE_EXHAUSTED.
        TransientError: For what passes, a failed sign-in included.
        RefusedError: For every other code.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415 imported with the clients
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    try:
        yield
    except GoogleAPICallError as error:
        code = error.grpc_status_code.name if error.grpc_status_code else "UNKNOWN"
        raise _kind(code)(code, error.message or str(error)) from error
    except RetryError as error:
        raise TransientError("DEADLINE_EXCEEDED", str(error)) from error
    except GoogleAuthError as error:
        raise TransientError("UNAVAILABLE", f"could not sign in: {error}") from error


def _kind(code: str) -> type[CallError]:
    if code == "RESOURCE_EXHAUSTED":
        return QuotaError
    return TransientError if code in TRANSIENT else RefusedError
