"""Where a target may not lead: addresses inside the network are refused unless a setting allows them."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sinks.destination import Unavailable

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

BELIEVED = 30.0
"""Seconds for which the addresses of a name are not asked for again."""

CONNECT = 10.0
"""Seconds an address may take to answer before the next one is tried."""

_CLOSED = tuple(
    map(
        ip_network,
        (
            "168.63.129.16/32",  # the platform's own address in every Azure network
            "192.0.0.0/24",  # protocol assignments; one cloud has its metadata there
            "192.88.99.0/24",  # 6to4 relays
            "::/96",  # IPv4-compatible, deprecated
            "64:ff9b::/96",  # NAT64: an IPv4 address in disguise, as the next two
            "64:ff9b:1::/48",
            "2001::/32",
            "2002::/16",
            "fec0::/10",  # site-local, deprecated
        ),
    )
)
"""What `is_global` calls public and yet leads inside, or may."""

_NUMERIC = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|\d+)\.?", re.IGNORECASE)


def _networks(text: str) -> str:
    parse(text)
    return text


class EgressSettings(BaseSettings):
    """Where targets may lead."""

    model_config = SettingsConfigDict(env_prefix="SINKS_", env_file=".env", extra="ignore", frozen=True)

    allow_networks: Annotated[str, AfterValidator(_networks)] = Field(
        "",
        description="Networks inside yours that targets may reach, such as 10.20.0.0/16,192.0.2.7/32; plain http is "
        "accepted there too. Everything else must be a public address.",
    )


def parse(text: str) -> tuple[Network, ...]:
    """Read networks separated by commas.

    Raises ValueError with the one that is none.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ip_network(part))
        except ValueError:
            raise ValueError(f"{part!r} is no network: write it such as 10.20.0.0/16") from None
    return tuple(found)


def allowed() -> tuple[Network, ...]:
    """Return the networks the process may reach besides public addresses."""
    return parse(EgressSettings().allow_networks)


def check_host(host: str, *, secure: bool, networks: Sequence[Network]) -> None:
    """Refuse at once what a host written in a file shows: an address inside, or an odd form of one.

    A name is looked at when it is connected to. Raises ValueError.
    """
    literal = _literal(host)
    if literal is None and _NUMERIC.fullmatch(host):
        raise ValueError("write the address in its usual form, such as 192.0.2.7")
    if literal is not None and not _may_reach(literal, networks):
        raise ValueError(f"{_inside(literal)} is not reached unless SINKS_ALLOW_NETWORKS names its network")
    if not secure and not (networks and (literal is None or _in(literal, networks))):
        raise ValueError("plain http is accepted only to networks in SINKS_ALLOW_NETWORKS; use https")


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of a name, or of an address in any form.

    Raises OSError.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Guard:
    """The addresses of one host, looked up and checked; connect to these, never to the name again."""

    def __init__(self, host: str, port: int, *, secure: bool, resolve: Resolve = resolve) -> None:
        self._host, self._port, self._secure = host, port, secure
        self._resolve = resolve
        self._networks = allowed()
        self._known: tuple[str, ...] = ()
        self._until = 0.0

    async def addresses(self) -> tuple[str, ...]:
        """Return addresses that may be connected to.

        All are checked: a name that leads outside and inside is no accident. Raises Unavailable.
        """
        now = asyncio.get_running_loop().time()
        if not self._known or now >= self._until:
            self._known = await self._checked()
            self._until = now + BELIEVED
        return self._known

    async def connect(self) -> socket.socket:
        """Open a TCP connection to the first address that answers.

        Raises Unavailable when the host may not be reached, OSError when nothing answers.
        """
        failure = OSError("no address")
        for address in await self.addresses():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(CONNECT):
                    await asyncio.get_running_loop().sock_connect(connection, (address, self._port))
            except OSError as error:
                connection.close()
                failure = error
            except BaseException:
                connection.close()
                raise
            else:
                return connection
        raise failure

    async def _checked(self) -> tuple[str, ...]:
        try:
            found = [ip_address(one) for one in await self._resolve(self._host, self._port)]
        except (OSError, UnicodeError, ValueError):
            raise Unavailable("no answer: the host's name is not known") from None
        for address in found:
            if not _may_reach(address, self._networks):
                raise Unavailable(f"not tried: the host leads to {_inside(address)} (see SINKS_ALLOW_NETWORKS)")
            if not self._secure and not _in(address, self._networks):
                raise Unavailable("not tried: plain http outside SINKS_ALLOW_NETWORKS")
        if not found:
            raise Unavailable("no answer: the host's name is not known")
        return tuple(map(str, found))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """Take an IPv4 address out of its IPv6 form, as the kernel does when it connects."""
    return getattr(address, "ipv4_mapped", None) or address


def _in(address: Address, networks: Sequence[Network]) -> bool:
    return any(_plain(address) in network for network in networks)


def _may_reach(address: Address, networks: Sequence[Network]) -> bool:
    plain = _plain(address)
    if _in(plain, networks):
        return True
    public = plain.is_global and not plain.is_multicast and not plain.is_reserved
    return public and not getattr(plain, "scope_id", None) and not _in(plain, _CLOSED)


def _inside(address: Address) -> str:
    # Which one is not told: whoever wrote the address would learn how the network is made.
    plain = _plain(address)
    kinds = ("loopback", "link_local", "multicast", "private")
    kind = next((kind for kind in kinds if getattr(plain, f"is_{kind}")), "reserved")
    return f"a {kind.replace('_', '-')} address"
