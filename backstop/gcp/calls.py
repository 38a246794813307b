"""How every call to Google is made: by Google's own client, within the delivery's time, with errors of our own kinds.

A client is made at its first call: a message that needs no service doesn't pay for importing it, and a channel that was
used before the server forks can hang. All three share one set of credentials, and so one token.
"""

import gc
import importlib
import os
import threading
import time
from datetime import timedelta
from typing import Any, cast

from backstop.errors import CallError, TransientError, kind_of

# All calls of a delivery together; the shortest limit that the module allows is 60 s, and an answer takes a moment.
DELIVERY_S_MAX = 50.0
# One call with its repetitions. Spanner's admin calls take a second at most, so this is a fault and not a slow day.
CALL_S_MAX = 10.0
# Before a call is repeated it waits up to the first of these, and each time up to twice as long.
PAUSE_S_FIRST, PAUSE_S_MAX = 0.1, 1.0
# As long as a follow-up may wait at most; what asks for more is asked again then.
RETRY_AFTER_S_MAX = 86_400.0
# New objects between two searches for garbage while importing, which makes a lot of objects and no garbage.
IMPORTING_GC = 50_000

Answer = Any  # Google's types are made at run time

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class Shared:
    """What the threads of one process share. A process that was forked off begins anew."""

    def __init__(self) -> None:
        self.begin()
        os.register_at_fork(after_in_child=self.begin)

    def begin(self) -> None:
        """Forgets everything."""
        self.lock, self.clients, self.credentials = threading.Lock(), dict[str, Any](), cast("Any", None)


SHARED = Shared()


class Budget:
    """The time that is left for the calls of one delivery."""

    def __init__(self) -> None:
        self._end_s = time.monotonic() + DELIVERY_S_MAX

    def call_s(self) -> float:
        """How long the next call may take; without time, the delivery is refused while it still can answer."""
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TransientError("DEADLINE_EXCEEDED", f"the delivery's {DELIVERY_S_MAX:.0f} s are used up")
        return min(left_s, CALL_S_MAX)


class Service:
    """One of Google's services: its client, and the variables that name an emulator or another endpoint for it."""

    def __init__(self, module: str, client: str, name: str) -> None:
        self._module, self._client = module, client
        self._emulator, self._endpoint = f"{name}_EMULATOR_HOST", f"BACKSTOP_{name.removeprefix('CLOUD_')}_ENDPOINT"

    def call(self, method: str, request: dict[str, object], budget: Budget, *, once: bool = False) -> Answer:
        """Makes a call, and makes it again while the service is unavailable, unless it must be made `once`.

        No attempt begins in the second half of the call's time, and each may take half of it: one that began with less
        than a second left would get the whole time anew from Google's client. A refused token is replaced and the call
        made again, however often it may be made: the refusal came before any effect.
        """
        call = getattr(self._made(budget.call_s()), method)
        from google.api_core import exceptions, retry  # noqa: PLC0415 the client has imported them

        unavailable = retry.if_exception_type(exceptions.ServiceUnavailable)
        for is_last in (False, True):
            attempt_s = budget.call_s() / (1 if once else 2)
            again = None if once else retry.Retry(unavailable, PAUSE_S_FIRST, PAUSE_S_MAX, timeout=attempt_s)
            try:
                return call(request, retry=again, timeout=attempt_s)
            except exceptions.GoogleAPIError as error:
                ours = our_error(error)
                if is_last or ours.code != "UNAUTHENTICATED" or SHARED.credentials is None:
                    raise ours from error
                SHARED.credentials.token = None
        raise AssertionError

    def _made(self, timeout_s: float) -> Answer:
        if self._client in SHARED.clients:
            return SHARED.clients[self._client]
        if not SHARED.lock.acquire(timeout=timeout_s):
            raise TransientError("UNAVAILABLE", "another thread still waits to sign in")
        searches = gc.get_threshold()
        try:
            gc.set_threshold(IMPORTING_GC, *searches[1:])
            if self._client not in SHARED.clients:
                SHARED.clients[self._client] = self._make()
                gc.freeze()  # what is imported stays, and isn't searched again; otherwise an instance grows by 7 MB
            return SHARED.clients[self._client]
        finally:
            gc.set_threshold(*searches)
            SHARED.lock.release()

    def _make(self) -> Answer:
        client = getattr(importlib.import_module(self._module), self._client)
        if address := os.environ.get(self._emulator):
            # As Google's Pub/Sub and Spanner clients do by themselves: in plain text, and without credentials.
            import grpc  # noqa: PLC0415 the client has imported it

            return client(transport=client.get_transport_class("grpc")(channel=grpc.insecure_channel(address)))
        import google.auth  # noqa: PLC0415 as above

        try:
            SHARED.credentials = SHARED.credentials or google.auth.default(_SCOPES)[0]
            options = {"api_endpoint": os.environ.get(self._endpoint) or None}
            return client(credentials=SHARED.credentials, client_options=options)
        except google.auth.exceptions.GoogleAuthError as error:
            where = "GOOGLE_APPLICATION_CREDENTIALS, or the service account that the function runs as"
            raise TransientError("UNAUTHENTICATED", f"could not sign in by {where}: {error}") from error


def our_error(error: Answer) -> CallError:
    """What Google's client raises, as one of the three kinds that the handlers know, in Google's words."""
    error = getattr(error, "cause", None) or error  # what was met last, where the time for repetitions ran out
    code = error.grpc_status_code.name
    details = {type(detail).__name__: detail for detail in error.details}
    retry, bad = details.get("RetryInfo"), details.get("BadRequest")
    wait = timedelta(seconds=min(max(retry.retry_delay.seconds, 0), RETRY_AFTER_S_MAX)) if retry else None
    wrong = tuple((one.field, one.description) for one in bad.field_violations) if bad else ()
    return kind_of(code)(code, error.message or code, retry_after=wait, violations=wrong)
