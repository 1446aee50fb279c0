"""Hooks: named doors, each opened by one or more tokens."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from events.errors import NotReady

MIN_TOKEN = 16
"""Characters of the shortest token accepted; the token is all that keeps a stranger out."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HOW_TO = (
    'make a token with `python -c "import secrets; print(secrets.token_urlsafe(24))"` '
    "and set INGEST_HOOKS=sekoia=<the token>."
)


@dataclass(frozen=True, slots=True)
class Hook:
    """What a token opens."""

    name: str
    networks: tuple[Network, ...] = ()
    """Where it may be used from; empty: from anywhere."""

    def admits(self, address: str) -> bool:
        """Tell whether a sender at this address may use it."""
        return not self.networks or is_in(address, self.networks)


class Hooks:
    """Tokens, kept as SHA-256 only, and the hooks they open."""

    def __init__(self, by_digest: Mapping[bytes, Hook]) -> None:
        self._hooks = dict(by_digest)

    @classmethod
    def parse(cls, text: str, networks: str = "") -> "Hooks":
        """Read `name=token[,name=token…]`, and `name=network[,…]` of where each may be used from.

        Raises NotReady, which never quotes a token.
        """
        allowed = _allowed(networks)
        hooks: dict[bytes, Hook] = {}
        for place, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
            name, token = _split(entry, place)
            other = hooks.setdefault(digest(token), Hook(name, tuple(allowed.get(name, ()))))
            if other.name != name:
                raise NotReady(f"INGEST_HOOKS gives hooks {other.name} and {name} the same token; {_HOW_TO}")
        if not hooks:
            raise NotReady(f"INGEST_HOOKS is not set, so nobody could post: {_HOW_TO}")
        if unknown := allowed.keys() - {hook.name for hook in hooks.values()}:
            raise NotReady(f"INGEST_NETWORKS names {', '.join(sorted(unknown))}, which INGEST_HOOKS does not.")
        return cls(hooks)

    @classmethod
    def parse_file(cls, text: str) -> "Hooks":
        """Read lines of `name sha256-of-the-token [network,network…]`; `#` begins a comment.

        Raises NotReady, which never quotes a line: somebody may have written a token into it.
        """
        hooks: dict[bytes, Hook] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) not in {2, 3} or not _NAME.fullmatch(words[0]) or not _DIGEST.fullmatch(words[1]):
                raise NotReady(
                    f"INGEST_HOOKS_FILE: line {number} is not `name sha256 [network,network…]`; "
                    "`tocsin hooks new NAME` writes one."
                )
            allowed = tuple(read_networks(words[2] if words[2:] else "", f"INGEST_HOOKS_FILE: line {number}"))
            hooks[bytes.fromhex(words[1])] = Hook(words[0], allowed)
        return cls(hooks)

    def __add__(self, other: "Hooks") -> "Hooks":
        return Hooks(self._hooks | other._hooks)

    @property
    def names(self) -> list[str]:
        """The hooks' names, each once."""
        return list(dict.fromkeys(hook.name for hook in self._hooks.values()))

    def find(self, token: str) -> Hook | None:
        """Return the hook the token opens; takes as long for a wrong token as for a right one."""
        presented = digest(token)
        found = None
        for known, hook in self._hooks.items():
            if hmac.compare_digest(known, presented):
                found = hook
        return found


def digest(token: str) -> bytes:
    """Return the SHA-256 of a token."""
    return hashlib.sha256(token.encode()).digest()


def line(name: str, token: str, networks: str = "") -> str:
    """Return the line of a hook in the file.

    Raises NotReady for a name or network that is none.
    """
    if not _NAME.fullmatch(name):
        raise NotReady(
            "A hook's name is letters, digits, `_`, `.` and `-`, at most 64, and begins with one of the first two."
        )
    read = ",".join(map(str, read_networks(networks, "--allow")))
    return f"{name} {digest(token).hex()} {read}".rstrip()


def read_networks(text: str, where: str) -> list[Network]:
    """Read `network[,network…]`.

    Raises NotReady.
    """
    try:
        return [ipaddress.ip_network(each, strict=False) for each in filter(None, map(str.strip, text.split(",")))]
    except ValueError as error:
        raise NotReady(f"{where} is not a list of networks such as 192.0.2.0/24,2001:db8::/32: {error}.") from error


def is_in(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address is in one of the networks; what is no address is in none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)


def _allowed(text: str) -> dict[str, list[Network]]:
    allowed: dict[str, list[Network]] = {}
    for place, entry in enumerate(filter(None, map(str.strip, text.split(","))), start=1):
        name, equals, network = entry.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise NotReady(f"INGEST_NETWORKS: entry {place} is not name=network, for example sekoia=192.0.2.0/24.")
        allowed.setdefault(name, []).extend(read_networks(network, f"INGEST_NETWORKS: entry {place}"))
    return allowed


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
