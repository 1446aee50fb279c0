"""The workers' private pages, made into one."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

Address = tuple[str, int]

ANSWER_WITHIN = 1.0
"""Seconds a worker may take."""


class NoAnswer(Exception):
    """The worker is starting, stopping or gone."""


async def get(address: Address, path: str) -> tuple[int, bytes]:
    """Return status and body of a worker's page.

    Raises NoAnswer.
    """
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nhost: worker\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                return int(head.split(b" ", 2)[1]), body
            finally:
                writer.close()
    except (OSError, IndexError, ValueError) as error:  # a time-out is an OSError
        raise NoAnswer from error


async def is_ready(address: Address) -> bool:
    """Tell whether a worker accepts events."""
    try:
        return (await get(address, "/healthz"))[0] == 200  # noqa: PLR2004
    except NoAnswer:
        return False


async def health(addresses: Sequence[Address]) -> tuple[int, dict[str, Any]]:
    """Return one answer for all: ready while any worker is, with the reasons of those that are not."""
    answers = await asyncio.gather(*(get(each, "/healthz") for each in addresses), return_exceptions=True)
    found = [(answer[0], json.loads(answer[1])) for answer in answers if isinstance(answer, tuple)]
    ready = [body for status, body in found if status == 200]  # noqa: PLR2004
    body = dict(ready[0] if ready else found[0][1] if found else {"ready": False, "reason": "starting"})
    return (200 if ready else 503), body | {"workers": {"ready": len(ready), "of": len(addresses)}}


async def metrics(addresses: Sequence[Address]) -> bytes:
    """Return the metrics of all, each with the label `worker`."""
    answers = await asyncio.gather(*(get(each, "/metrics") for each in addresses), return_exceptions=True)
    families: dict[str, Metric] = {}
    for number, answer in enumerate(answers):
        if isinstance(answer, BaseException):
            continue
        for family in text_string_to_metric_families(answer[1].decode()):
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.samples.append(sample._replace(labels=sample.labels | {"worker": str(number)}))
    registry = CollectorRegistry()
    registry.register(_Fixed(list(families.values())))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
