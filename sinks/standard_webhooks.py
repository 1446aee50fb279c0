"""Signing of outgoing webhooks as the Standard Webhooks specification has it (standardwebhooks.com)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from pydantic import SecretStr

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret."""


def check_secret(value: SecretStr) -> SecretStr:
    """Accept a secret of the specification's form.

    Raises ValueError; its text does not hold the secret.
    """
    _key(value)
    return value


def sign(secrets: Sequence[SecretStr], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers of one attempt; with two secrets, while one replaces the other, both have signed.

    `message_id` stays the same over all attempts: it is the receiver's key against doubles.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    made = (base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode() for secret in secrets)
    headers = {"webhook-id": message_id, "webhook-timestamp": timestamp}
    return {**headers, "webhook-signature": " ".join(f"v1,{one}" for one in made)} if secrets else headers


def _key(secret: SecretStr) -> bytes:
    text = secret.get_secret_value()
    if not text.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX} and goes on in base64")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"a secret begins with {PREFIX} and goes on in base64") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"a secret has {SHORTEST} to {LONGEST} bytes; this one has {len(key)}")
    return key
