"""Signing in: the token of the function's own service account, from the metadata server that Google's machines have.

https://cloud.google.com/run/docs/container-contract#metadata-server (documented)
https://cloud.google.com/compute/docs/access/authenticate-workloads#applications (documented)
"""

from __future__ import annotations

import os
import threading
import time
from http.client import HTTPConnection, HTTPException

import msgspec

from backstop.errors import TransientError

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"

ANSWER_S_MAX = 3.0
"""The server is on the same machine; Google's own library waits as long."""

FAILED_S = 1.0
"""How long a failure stands for all threads, so that those that waited for it don't each ask and wait anew."""

RENEW_S = 240.0
"""How long before its end a token is replaced. The server gives out the same one until it has five minutes left, so
that a new one is there to be had. https://cloud.google.com/compute/docs/access/authenticate-workloads (documented)
"""


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: int


class SignIn:
    """Who the function is, for all of its threads."""

    def __init__(self) -> None:
        """Asks nobody yet."""
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at_s = 0.0
        self._failure = ""
        self._failed_until_s = 0.0

    def token(self, timeout_s: float, refused: str = "") -> str:
        """A token that is good for some minutes at least.

        Args:
            timeout_s: How long to wait for it, and for the other threads that wait for it.
            refused: One that Google did not take: it is forgotten, unless another thread has replaced it already.

        Raises:
            TransientError: There is none to be had now.
        """
        end_s = time.monotonic() + timeout_s
        if not self._lock.acquire(timeout=max(timeout_s, 0)):
            raise TransientError("UNAVAILABLE", "could not sign in: another thread still waits for a token")
        try:
            if time.time() >= self._renew_at_s or self._token == refused:
                self._renew(end_s)
            return self._token
        finally:
            self._lock.release()

    def _renew(self, end_s: float) -> None:
        now_s = time.monotonic()
        if now_s < self._failed_until_s:
            raise TransientError("UNAVAILABLE", self._failure)
        if now_s >= end_s:
            raise TransientError("UNAVAILABLE", "could not sign in: no time is left")
        try:
            found = _ask(min(ANSWER_S_MAX, end_s - now_s))
        except TransientError as error:
            self._failure, self._failed_until_s = error.message, time.monotonic() + FAILED_S
            raise
        self._token, self._renew_at_s = found.access_token, time.time() + found.expires_in - RENEW_S


def _ask(timeout_s: float) -> _Token:
    # The variable is the ecosystem's own.
    connection = HTTPConnection(os.environ.get("GCE_METADATA_HOST", "metadata.google.internal"), timeout=timeout_s)
    try:
        connection.request("GET", _PATH, headers={"Metadata-Flavor": "Google"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise TransientError("UNAVAILABLE", f"could not sign in: the metadata server answered {answer.status}")
        return msgspec.json.decode(body, type=_Token)
    except (OSError, HTTPException, msgspec.MsgspecError) as error:
        raise TransientError("UNAVAILABLE", f"could not sign in: {error}") from error
    finally:
        connection.close()
