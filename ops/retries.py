"""What the sinks at hand try again just now, and when: they say so on their private ports."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx

from events.headers import parse_time

WITHIN = 1.0
"""Seconds a sink may take to answer; one that is away says nothing."""


class Retrying(NamedTuple):
    """An event that a target did not take yet."""

    event_id: str
    revision: int
    attempts: int
    reason: str
    next_at: datetime


async def ask(addresses: Collection[str]) -> dict[str, Retrying]:
    """Return what is tried again, by target; rooms that are no sinks have nothing to say."""
    async with httpx.AsyncClient(timeout=WITHIN, trust_env=False) as client:
        found = await asyncio.gather(*(_ask(client, address) for address in addresses))
    return {target: retry for each in found for target, retry in each.items()}


async def _ask(client: httpx.AsyncClient, address: str) -> dict[str, Retrying]:
    try:
        body = (await client.get(f"{address}/healthz")).json()
    except (httpx.HTTPError, ValueError):
        return {}
    said = body.get("retrying") if isinstance(body, dict) else None
    if not isinstance(said, dict):
        return {}
    return {target: read(each) for target, each in said.items() if isinstance(each, dict)}


def read(said: dict[str, Any]) -> Retrying:
    """Read one entry of a sink's `/healthz`; what is missing is empty."""
    next_at = parse_time(str(said.get("next_at"))) or datetime.now(UTC)
    attempts, revision = (value if isinstance(value := said.get(n), int) else 0 for n in ("attempts", "revision"))
    return Retrying(str(said.get("event_id", "")), revision, attempts, str(said.get("reason", "")), next_at)
