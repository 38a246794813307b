"""Tokens as Google's services send them, signed with a key of the emulator's own; the public part is at `KEYS_PATH`.

They prove something only to who asks the emulator for its keys, so a receiver checks them as it would check Google's,
with another address for the keys.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from spanner_backup_emulator.web import no_such_page

if TYPE_CHECKING:
    from datetime import datetime

    from spanner_backup_emulator.messages import Message

KEYS_PATH = "/oauth2/v3/certs"
"""Google's own are at this path of www.googleapis.com (documented in its OpenID configuration).

https://accounts.google.com/.well-known/openid-configuration
"""

ISSUER = "https://accounts.google.com"
"""Who issues Google's identity tokens (documented there too)."""

SCOPE_DEFAULT = "https://www.googleapis.com/auth/cloud-platform"
"""Of a task that names none (documented).

https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#oauthtoken
"""

VALID_FOR = timedelta(hours=1)
"""How long Google's identity tokens hold (documented: https://cloud.google.com/docs/authentication/token-types)."""

KEY_BITS = 2048
"""As Google's own keys have."""

_KEY_ID = "emulator"


class Signer:
    """Makes tokens; the key is made when the first one is needed."""

    @functools.cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    def headers(self, now: datetime, holder: Message, url: str) -> dict[str, str]:
        """The header that proves to a URL who sends, if a message has one of Google's tokens, which say so.

        An identity token is for its audience, or else for the URL. Google's access tokens can't be read; this one says
        its scope.
        """
        for field, token in holder.ListFields():
            if field.name == "oidc_token":
                claims = {"aud": token.audience or url, "email_verified": True}
            elif field.name == "oauth_token":
                claims = {"scope": token.scope or SCOPE_DEFAULT}
            else:
                continue
            return {"Authorization": self._bearer(now, token.service_account_email, claims)}
        return {}

    def answer(self, verb: str, target: str, _body: bytes) -> bytes:
        """Shows the public key as a JSON Web Key Set (https://www.rfc-editor.org/rfc/rfc7517)."""
        if (verb, target) != ("GET", KEYS_PATH):
            raise no_such_page(target)
        numbers = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _KEY_ID}
        return json.dumps({"keys": [{**key, "n": _number(numbers.n), "e": _number(numbers.e)}]}).encode()

    def _bearer(self, now: datetime, email: str, claims: dict[str, object]) -> str:
        subject = str(int.from_bytes(hashlib.sha256(email.encode()).digest()[:8]))
        issued = int(now.timestamp())
        claims |= {"iss": ISSUER, "sub": subject, "email": email, "azp": subject, "iat": issued}
        claims["exp"] = issued + int(VALID_FOR.total_seconds())
        header = {"alg": "RS256", "kid": _KEY_ID, "typ": "JWT"}
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"Bearer {signed}.{_encoded(signature)}"


def _number(value: int) -> str:
    return _encoded(value.to_bytes((value.bit_length() + 7) // 8))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
