"""What the rooms at hand say of themselves on their private ports; one that is away says nothing."""

import asyncio
from collections.abc import Collection
from typing import Any

import httpx

WITHIN = 1.0
"""Seconds a room may take to answer."""


async def health(addresses: Collection[str]) -> list[dict[str, Any]]:
    """Return what each room that answers says at `/healthz`."""
    async with httpx.AsyncClient(timeout=WITHIN, trust_env=False) as client:
        found = await asyncio.gather(*(_ask(client, address) for address in addresses))
    return [said for said in found if said is not None]


async def _ask(client: httpx.AsyncClient, address: str) -> dict[str, Any] | None:
    try:
        body = (await client.get(f"{address}/healthz")).json()
    except (httpx.HTTPError, ValueError):
        return None
    return body if isinstance(body, dict) else None
