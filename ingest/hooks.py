"""Hooks: named doors, each opened by one or more tokens."""

import hashlib
import hmac
import re
from collections.abc import Mapping

from events.errors import NotReady

MIN_TOKEN = 16
"""Characters of the shortest token accepted; the token is all that keeps a stranger out."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_HOW_TO = (
    'make a token with `python -c "import secrets; print(secrets.token_urlsafe(24))"` '
    "and set INGEST_HOOKS=sekoia=<the token>."
)


class Hooks:
    """Tokens, kept as SHA-256 only, and the names they stand for."""

    def __init__(self, names: Mapping[bytes, str]) -> None:
        self._names = dict(names)

    @classmethod
    def parse(cls, text: str) -> "Hooks":
        """Read `name=token[,name=token…]`.

        Raises NotReady, which never quotes a token.
        """
        names: dict[bytes, str] = {}
        for place, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            name, token = _split(entry, place)
            other = names.setdefault(_digest(token), name)
            if other != name:
                raise NotReady(f"INGEST_HOOKS gives hooks {other} and {name} the same token; {_HOW_TO}")
        if not names:
            raise NotReady(f"INGEST_HOOKS is not set, so nobody could post: {_HOW_TO}")
        return cls(names)

    @property
    def names(self) -> list[str]:
        """The hooks' names, each once."""
        return list(dict.fromkeys(self._names.values()))

    def find(self, token: str) -> str | None:
        """Return the name of the hook the token opens; takes as long for a wrong token as for a right one."""
        presented = _digest(token)
        found = None
        for digest, name in self._names.items():
            if hmac.compare_digest(digest, presented):
                found = name
        return found


def _split(entry: str, place: int) -> tuple[str, str]:
    name, equals, token = entry.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise NotReady(
            f"INGEST_HOOKS: entry {place} is not name=token (a name is letters, digits, `_`, `.`, `-`); {_HOW_TO}"
        )
    if len(token) < MIN_TOKEN:
        raise NotReady(f"INGEST_HOOKS: the token of hook {name} is shorter than {MIN_TOKEN} characters; {_HOW_TO}")
    if not _TOKEN.fullmatch(token):
        raise NotReady(
            f"INGEST_HOOKS: the token of hook {name} does not fit into a URL as it is (letters, digits, "
            f"`-`, `.`, `_`, `~` do); {_HOW_TO}"
        )
    return name, token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
