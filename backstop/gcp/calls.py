"""How every call to Google is made: within the delivery's time, briefly repeated, with errors of our own kinds."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from backstop.errors import CallError, QuotaError, RefusedError, TransientError
from backstop.gcp.sign_in import SignIn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DELIVERY_S_MAX = 50.0
"""All calls of a delivery together; the shortest limit that the module allows is 60 s, and an answer takes a moment."""

CALL_S_MAX = 10.0
"""One call with its repetitions. Spanner's admin calls take a second at most, so this is a fault and not a slow day."""

ATTEMPT_S_MAX = 5.0
"""One attempt of a call that may be repeated."""

PAUSE_S_FIRST, PAUSE_S_MAX = 0.1, 1.0
"""Before a call is repeated it waits up to the first of these, and each time up to twice as long."""

TRANSIENT = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "ABORTED", "UNKNOWN", "CANCELLED"})
"""Codes after which nobody knows whether the call had its effect, or which the service means to pass.

https://cloud.google.com/apis/design/errors (documented)
"""

_CHANNEL = (("grpc.max_receive_message_length", -1), ("grpc.keepalive_time_ms", 120_000))
"""As in Google's own clients: a page of a list may be of any size; the other is the Spanner client's."""

_SIGN_IN = SignIn()


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


class Service:
    """One of Google's services. All threads share its channel, which is opened at the first call.

    Until then gRPC isn't imported, which a delivery that makes no call doesn't need.

    Attributes:
        host: Where Google serves it.
        emulator: The environment's variable that may name an emulator instead, plain and without sign-in.
    """

    def __init__(self, host: str, emulator: str) -> None:
        self.host = host
        self.emulator = emulator
        self._lock = threading.Lock()
        self._channel: Any = None
        self._signed = False
        self._methods: dict[str, Callable[..., Any]] = {}

    def call(self, method: str, request: Mapping[str, object], budget: Budget, *, repeat: bool = True) -> Any:  # noqa: ANN401 the classes of messages are made at run time
        """Makes a call, and makes it again while the service is unavailable.

        Args:
            method: One of `protocol.METHODS`.
            request: The fields of its request.
            budget: The delivery's.
            repeat: False where it must not be made twice without a look in between.

        Returns:
            The answer, as a message.

        Raises:
            QuotaError: For RESOURCE_EXHAUSTED.
            TransientError: For what passes, a failed sign-in included.
            RefusedError: For every other code.
        """
        call_s, pause_s = budget.call_s(), PAUSE_S_FIRST
        end_s = time.monotonic() + call_s
        while True:
            left_s = end_s - time.monotonic()
            try:
                return self._attempt(method, request, min(left_s, ATTEMPT_S_MAX) if repeat else left_s)
            except TransientError as error:
                pause = random.uniform(0, pause_s)  # noqa: S311 it spreads calls and keeps no secret
                if not repeat or error.code != "UNAVAILABLE" or time.monotonic() + pause >= end_s:
                    raise
            time.sleep(pause)
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    def _attempt(self, method: str, request: Mapping[str, object], timeout_s: float) -> Any:  # noqa: ANN401 as above
        """Makes a call once; again if its token is refused, which comes before any effect, with another one."""
        end_s = time.monotonic() + timeout_s
        call = self._methods.get(method) or self._method(method)
        from grpc import RpcError  # noqa: PLC0415 it was imported when the channel was opened

        from backstop.gcp.protocol import MESSAGES, METHODS  # noqa: PLC0415 the same

        message = MESSAGES[METHODS[method].request](**request)
        route = ("x-goog-request-params", _routing(METHODS[method].route, request))
        token = ""
        while True:
            metadata, refused = [route], token
            if self._signed:
                token = _SIGN_IN.token(end_s - time.monotonic(), refused)
                metadata.append(("authorization", f"Bearer {token}"))
            try:
                return call(message, timeout=end_s - time.monotonic(), metadata=metadata)
            except RpcError as error:
                ours = our_error(error)
                if not self._signed or refused or ours.code != "UNAUTHENTICATED":
                    raise ours from error

    def _method(self, name: str) -> Callable[..., Any]:
        """Makes a method callable, and opens the channel if this is the first one."""
        from backstop.gcp.protocol import MESSAGES, METHODS  # noqa: PLC0415 at first use only

        with self._lock:
            if self._channel is None:
                self._signed = not os.environ.get(self.emulator)
                self._channel = open_channel(self)
            request, answer = MESSAGES[METHODS[name].request], MESSAGES[METHODS[name].answer]
            made: Callable[..., Any] = self._channel.unary_unary(
                METHODS[name].path,
                request_serializer=request.SerializeToString,
                response_deserializer=answer.FromString,
            )
            self._methods[name] = made
            return made


def open_channel(service: Service) -> Any:  # noqa: ANN401 gRPC is imported here and not before
    """A channel to a service, or to the emulator in its place."""
    import grpc  # noqa: PLC0415 at first use only

    address = os.environ.get(service.emulator)
    if address:
        return grpc.insecure_channel(address, _CHANNEL)
    return grpc.secure_channel(service.host, grpc.ssl_channel_credentials(), _CHANNEL)


def _routing(route: str, request: Mapping[str, Any]) -> str:
    value: Any = request
    for part in route.split("."):
        value = value[part]
    return urlencode({route: value}, safe="/")


def our_error(error: Any) -> CallError:  # noqa: ANN401 gRPC's exception is a call as well, which its types don't say
    """What gRPC raises, as one of the three kinds that the handlers know, in Google's words."""
    code, message = error.code().name, error.details()
    if code == "RESOURCE_EXHAUSTED":
        return QuotaError(code, message or code)
    return (TransientError if code in TRANSIENT else RefusedError)(code, message or code)
