"""Tokens as Google's services send them, signed with a key of the emulator's own; the public part is at `KEYS_PATH`.

They prove something only to who asks the emulator for its keys, so a receiver checks them as it would check Google's,
with another address for the keys.
"""

import base64
import functools
import hashlib
import json
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt  # noqa: TID251 what Google's own clients sign with; nothing is sent

from spanner_backup_emulator.messages import Message
from spanner_backup_emulator.web import no_such_page

KEYS_PATH, ISSUER = "/oauth2/v3/certs", "https://accounts.google.com"
"""The path of Google's own keys at www.googleapis.com, and who issues Google's identity tokens (both documented).

https://accounts.google.com/.well-known/openid-configuration
"""

SCOPE_DEFAULT = "https://www.googleapis.com/auth/cloud-platform"
"""Of a task that names none: https://cloud.google.com/tasks/docs/reference/rpc/google.cloud.tasks.v2#oauthtoken,
documented."""

VALID_S = 3600
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
        held = {field.name: value for field, value in holder.ListFields()}
        if token := held.get("oidc_token"):
            claims = {"aud": token.audience or url, "email_verified": True}
        elif token := held.get("oauth_token"):
            claims = {"scope": token.scope or SCOPE_DEFAULT}
        else:
            return {}
        email, issued = token.service_account_email, int(now.timestamp())
        subject = str(int.from_bytes(hashlib.sha256(email.encode()).digest()[:8]))
        claims |= {"iss": ISSUER, "sub": subject, "email": email, "azp": subject}
        claims |= {"iat": issued, "exp": issued + VALID_S}
        signed: bytes = jwt.encode(crypt.RSASigner(self._key, _KEY_ID), claims)  # type: ignore[no-untyped-call]
        return {"Authorization": f"Bearer {signed.decode()}"}

    def answer(self, verb: str, target: str, _body: bytes) -> bytes:
        """Shows the public key as a JSON Web Key Set (https://www.rfc-editor.org/rfc/rfc7517)."""
        if (verb, target) != ("GET", KEYS_PATH):
            raise no_such_page(target)
        modulus = self._key.public_key().public_numbers().n.to_bytes(KEY_BITS // 8)
        shown = base64.urlsafe_b64encode(modulus).rstrip(b"=").decode()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": _KEY_ID, "n": shown, "e": "AQAB"}  # That is 65537.
        return json.dumps({"keys": [key]}).encode()
