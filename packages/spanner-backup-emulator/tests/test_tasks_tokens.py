"""What a task may ask for besides a plain POST: another method, and a token that its receiver can check."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.auth import jwt
from receiver import WAIT_S, Receiver
from test_tasks_server import QUEUE, connect, emulator

from spanner_backup_emulator.tasks.server import TasksEmulator
from spanner_backup_emulator.tokens import ISSUER, KEYS_PATH, SCOPE_DEFAULT

__all__ = ["emulator"]

EMAIL = "worker@p.iam.gserviceaccount.com"


def _sent(emulator: TasksEmulator, receiver: Receiver, **request: Any) -> dict[str, str]:  # noqa: ANN401 - fields
    """Sends one task and gives the headers with which it came."""
    with closing(grpc.insecure_channel(emulator.address)) as channel:
        connect(channel).create_task(parent=QUEUE, task={"http_request": {"url": receiver.url, **request}})
        assert emulator.wait_until_idle(WAIT_S)
    return receiver.got[-1][2]


def _keys(emulator: TasksEmulator) -> dict[str, bytes]:
    """The keys that the emulator shows, as PEM by their ids."""
    with urllib.request.urlopen(f"http://{emulator.address}{KEYS_PATH}", timeout=WAIT_S) as answer:
        keys = json.load(answer)["keys"]
    return {
        key["kid"]: RSAPublicNumbers(_number(key["e"]), _number(key["n"]))
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in keys
    }


def _number(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=="))


def _claims(emulator: TasksEmulator, headers: dict[str, str]) -> dict[str, Any]:
    """What a token says, after Google's own library has checked its signature and its times."""
    token = headers["Authorization"].removeprefix("Bearer ")
    claims: dict[str, Any] = dict(jwt.decode(token, certs=_keys(emulator)))  # type: ignore[no-untyped-call]
    return claims


@pytest.mark.parametrize("audience", ["https://orders.example", ""])
def test_a_task_with_an_oidc_token_carries_one_that_its_receiver_can_check(
    emulator: TasksEmulator, receiver: Receiver, audience: str
) -> None:
    """It is for the audience that the task names, or else for the task's own target."""
    asked = {"service_account_email": EMAIL, "audience": audience}
    claims = _claims(emulator, _sent(emulator, receiver, oidc_token=asked))

    assert (claims["iss"], claims["aud"], claims["email"]) == (ISSUER, audience or receiver.url, EMAIL)
    assert claims["iat"] <= time.time() < claims["exp"]


@pytest.mark.parametrize(("asked", "scope"), [("", SCOPE_DEFAULT), ("https://example.com/s", "https://example.com/s")])
def test_a_task_with_an_oauth_token_carries_one_of_its_scope(
    emulator: TasksEmulator, receiver: Receiver, asked: str, scope: str
) -> None:
    """The scope is the task's, or else that of all of Google Cloud; an Authorization of the task's own gives way."""
    token = {"service_account_email": EMAIL, "scope": asked}
    headers = _sent(emulator, receiver, oauth_token=token, headers={"Authorization": "mine"})

    assert _claims(emulator, headers)["scope"] == scope


def test_a_token_of_another_emulator_is_refused(emulator: TasksEmulator, receiver: Receiver) -> None:
    """Each emulator has a key of its own, so a check is more than a look."""
    headers = _sent(emulator, receiver, oidc_token={"service_account_email": EMAIL})

    with TasksEmulator() as other, pytest.raises(ValueError, match="verify"):
        _claims(other, headers)


@pytest.mark.parametrize("path", ["/", "/oauth2/v3/tokens"])
def test_nothing_else_is_shown_over_http(emulator: TasksEmulator, path: str) -> None:
    """The keys have one path."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{emulator.address}{path}x", timeout=WAIT_S)

    with caught.value as answer:
        assert answer.code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_task_is_sent_by_the_method_that_it_names(emulator: TasksEmulator, receiver: Receiver, method: str) -> None:
    """All but POST were refused as not supported; a body goes with those that may have one."""
    body = b"x" if method in {"POST", "PUT", "PATCH"} else b""
    _sent(emulator, receiver, http_method=method, body=body)

    assert (receiver.methods, receiver.got[-1][3]) == ([method], body)
