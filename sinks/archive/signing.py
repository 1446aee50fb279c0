"""Ed25519 signatures of the manifest: who holds the key wrote an entry, byte for byte as it is stored."""

import base64
import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from events.errors import NotReady

_SIGNATURE = re.compile(rb',"signature":"([A-Za-z0-9+/]{86}==)"\}\Z')


class Signer:
    """Puts a signature behind a JSON object."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    def sign(self, raw: bytes) -> bytes:
        """Return the object with its signature as the last field; it covers every byte before."""
        signature = base64.b64encode(self._key.sign(raw))
        return raw[:-1] + b',"signature":"' + signature + b'"}'


def key_id(key: Ed25519PublicKey) -> str:
    """Return the name of a key: the first 16 hexadecimal digits of the SHA-256 of its public half."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def signed_by(raw: bytes, keys: Iterable[Ed25519PublicKey]) -> str | None:
    """Return the id of the key that signed an object as it is stored; None where none of these did."""
    found = _SIGNATURE.search(raw)
    if found is None:
        return None
    content, signature = raw[: found.start()] + b"}", base64.b64decode(found[1])
    for key in keys:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            continue
        return key_id(key)
    return None


def is_signed(raw: bytes) -> bool:
    """Tell whether an object as it is stored bears a signature, whoever made it."""
    return _SIGNATURE.search(raw) is not None


def load_signer(path: Path) -> Signer:
    """Read a private key. Raises NotReady."""
    key = _load(path)
    if not isinstance(key, Ed25519PrivateKey):
        raise NotReady(f"{path} is not an Ed25519 private key in PEM; `tocsin archive key FILE` makes one.")
    return Signer(key)


def load_public(path: Path) -> Ed25519PublicKey:
    """Read a public key, or the public half of a private one. Raises NotReady."""
    key = _load(path)
    return key.public_key() if isinstance(key, Ed25519PrivateKey) else key


def make_key(path: Path) -> Ed25519PublicKey:
    """Write a new private key that only this user can read, and return its public half. Raises NotReady."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NotReady(
            f"{path} cannot be written ({error.strerror}); a key that is there is never replaced."
        ) from error
    return key.public_key()


def public_pem(key: Ed25519PublicKey) -> str:
    """Return a public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def _load(path: Path) -> Ed25519PrivateKey | Ed25519PublicKey:
    try:
        pem = path.read_bytes()
        key = load_pem_private_key(pem, None) if b"PRIVATE KEY" in pem else load_pem_public_key(pem)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotReady(f"{path} cannot be read as a key in PEM without a passphrase.") from error
    if not isinstance(key, Ed25519PrivateKey | Ed25519PublicKey):
        raise NotReady(f"{path} is a key, but not of Ed25519.")
    return key
