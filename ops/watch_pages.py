"""What a room's metrics page says, as the watch asks it: values by name and label; a room that is away has no page."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from inbox.rooms import every_address

LARGEST = 2 * 1024 * 1024
"""Bytes of a page that are read."""

WITHIN = 2.0
"""Seconds a room may take to answer."""


@dataclass(frozen=True)
class Page:
    """The samples of one room."""

    samples: tuple[tuple[str, Mapping[str, str], float], ...]

    @classmethod
    def read(cls, text: str) -> "Page":
        """Read a page of our own metrics.

        Raises ValueError when it is not in Prometheus' text format.
        """
        return cls(
            tuple(
                (sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name.startswith(("tocsin_", "process_start_time"))
            )
        )

    def series(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Return the values of a metric by one label, of the samples with these labels."""
        return {has.get(label, ""): value for has, value in self._of(name, labels)}

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of a metric, of the samples with these labels; None where the room has no such metric."""
        found = [value for _, value in self._of(name, labels)]
        return sum(found) if found else None

    def most(self, name: str) -> float | None:
        """Return the largest value: of what each worker of a host says of the host, or of when it was started."""
        return max((value for _, value in self._of(name, {})), default=None)

    def _of(self, name: str, labels: Mapping[str, str]) -> list[tuple[Mapping[str, str], float]]:
        return [
            (has, value)
            for metric, has, value in self.samples
            if metric == name and all(has.get(key) == wanted for key, wanted in labels.items())
        ]


Pages = Mapping[str, Page | None]
"""By the name of a room, `room@address` where it has several processes; None where one did not answer."""


async def fetch(http: httpx.AsyncClient, rooms: Mapping[str, str]) -> Pages:
    """Ask every process of every room for its page, all at once.

    Processes behind one name, as behind a headless service, are told apart: of what they count, a sum would jump with
    each that comes or goes.
    """
    found = await asyncio.gather(*(_room(http, name, httpx.URL(address)) for name, address in rooms.items()))
    return {name: page for pages in found for name, page in pages.items()}


async def _room(http: httpx.AsyncClient, name: str, url: httpx.URL) -> Pages:
    hosts = await every_address(url)
    pages = await asyncio.gather(*(_page(http, url, host) for host in hosts))
    return dict(zip([f"{name}@{host}" for host in hosts] if len(hosts) > 1 else [name], pages, strict=True))


async def _page(http: httpx.AsyncClient, url: httpx.URL, host: str) -> Page | None:
    at = f"{str(url.copy_with(host=host)).rstrip('/')}/metrics"
    # The name is what its certificate and its proxy know it by.
    named = {"headers": {"Host": url.netloc.decode()}, "extensions": {"sni_hostname": url.host}}
    text = bytearray()
    try:
        async with asyncio.timeout(WITHIN), http.stream("GET", at, **named) as answer:  # type: ignore[arg-type]
            async for chunk in answer.aiter_bytes():
                text += chunk
                if len(text) > LARGEST:
                    return None
        page = Page.read(text.decode()) if answer.is_success else None
    except (httpx.HTTPError, TimeoutError, ValueError):
        return None
    # A page without a sample is that of a room none of whose workers has answered.
    return page if page and page.samples else None
