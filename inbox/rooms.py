"""What a room says of itself: every process behind its name is asked, for a room may be several."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

import httpx

from inbox.figures import scrape, together

MOST = 16
"""Processes of one room that are asked."""


@dataclass(frozen=True)
class Answer:
    """What the processes of a room said."""

    asked: int
    answered: frozenset[str]
    """Addresses of those that did."""
    samples: dict[str, float]
    """Their metrics together."""
    not_ready: str = ""
    """Why one of them is not ready, "" where all are."""

    @property
    def silent(self) -> int:
        """How many did not answer."""
        return self.asked - len(self.answered)


async def ask(http: httpx.AsyncClient, url: str) -> Answer:
    """Ask every process of the room at an address; what does not answer is silent, never an error."""
    base = httpx.URL(url)
    addresses = await every_address(base)
    said = await asyncio.gather(*(_one(http, base, address) for address in addresses))
    found = {address: each for address, each in zip(addresses, said, strict=True) if each is not None}
    troubled = [reason for reason, _ in found.values() if reason]
    count = f"{len(troubled)} of {len(addresses)}: " if len(addresses) > 1 else ""
    return Answer(
        len(addresses),
        frozenset(found),
        together([samples for _, samples in found.values()]),
        f"{count}{troubled[0]}" if troubled else "",
    )


async def every_address(url: httpx.URL) -> list[str]:
    """Return the hosts to ask: all that a name stands for, as behind a headless service, else the one that is written.

    Of a name with addresses of both kinds one kind is asked: they are the same processes, as with `localhost`.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
    except OSError:
        return [url.host]
    several = sorted({str(address[0]) for family, *_, address in found if family == socket.AF_INET})
    several = several or sorted({str(address[0]) for *_, address in found})
    if len(several) < 2 or any(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in several):  # noqa: PLR2004 - one alone
        return [url.host]
    return several[:MOST]


async def _one(http: httpx.AsyncClient, url: httpx.URL, address: str) -> tuple[str, dict[str, float]] | None:
    """Return why a process is not ready, "" where it is, and its metrics; None where it does not answer."""
    at = url.copy_with(host=address)
    # The name is what its certificate and its proxy know it by.
    named = {"headers": {"Host": url.netloc.decode()}, "extensions": {"sni_hostname": url.host}}
    try:
        health, page = await asyncio.gather(
            *(http.get(f"{str(at).rstrip('/')}{path}", **named) for path in ("/healthz", "/metrics"))  # type: ignore[arg-type]
        )
        said = health.json()
        samples = scrape(page.text) if page.is_success else {}
    except (httpx.HTTPError, ValueError):
        return None
    reason = said.get("reason") if isinstance(said, dict) else None
    return "" if health.is_success else str(reason or "not ready")[:200], samples
