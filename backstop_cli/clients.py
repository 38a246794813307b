"""Google's own clients, each made at its first use: a command that needs one service imports no other.

Emulators are found by the same variables as the function finds them.
"""

from __future__ import annotations

import importlib
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

CALL_S_MAX = 10.0
"""One call with its repetitions. An admin call takes a second at most, and a person waits for it."""

CALLS_PER_S_MAX = 5
"""Spanner's quota of admin requests, of the whole project: what we take, the function can't have.

https://cloud.google.com/spanner/quotas (documented)
"""


def client(module: str, kind: str, service: str) -> Any:
    """A client of one service, at an emulator, at an endpoint of one's own, or at Google."""
    made = getattr(importlib.import_module(module), kind)
    if address := os.environ.get(f"{service}_EMULATOR_HOST"):
        import grpc

        return made(transport=made.get_transport_class("grpc")(channel=grpc.insecure_channel(address)))
    endpoint = os.environ.get(f"BACKSTOP_{service.removeprefix('CLOUD_')}_ENDPOINT")
    return made(client_options={"api_endpoint": endpoint} if endpoint else None)


def call(method: Callable[..., Any], request: object, seconds: float | None = None) -> Any:
    """Makes a call that may be repeated: all but its time and what passes by itself is the caller's to judge."""
    from google.api_core import exceptions
    from google.api_core.retry import Retry, if_exception_type

    seconds = seconds or CALL_S_MAX
    passing = if_exception_type(exceptions.ServiceUnavailable, exceptions.ResourceExhausted)
    return method(request=request, retry=Retry(predicate=passing, initial=0.2, timeout=seconds), timeout=seconds)


class Pace:
    """Holds calls back, so that no second sees more of them than Spanner's quota allows."""

    def __init__(self) -> None:
        self._calls_s: deque[float] = deque(maxlen=CALLS_PER_S_MAX)

    def make(self, method: Callable[..., Any], request: object) -> Any:
        """Makes a call when its turn has come, counted from when the one before was answered: it was there by then."""
        if len(self._calls_s) == CALLS_PER_S_MAX:
            time.sleep(max(self._calls_s[0] + 1 - time.monotonic(), 0))
        try:
            return call(method, request)
        finally:
            self._calls_s.append(time.monotonic())
