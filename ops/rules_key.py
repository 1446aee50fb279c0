"""Whether the API key may look up the names that rules ask for."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from events.errors import NotReady
from ops import tenant
from stream.alert_api import NAMED
from stream.settings import SekoiaSettings

_A = {"community": "a community", "asset": "an asset"}
_REFUSED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND})


async def refused(
    settings: SekoiaSettings,
    kinds: set[str],
    pace: tenant.Pace,
    transport: httpx.AsyncBaseTransport | None = None,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[str]:
    """Try one look-up of each kind (`community`, `asset`; `name` is both) and return a sentence for each refused.

    Raises NotReady when the key itself is not good.
    """
    found = await tenant.look(settings, pace, transport)
    assets = (found.alert or {}).get("assets")
    examples = {
        "community": found.community,
        "asset": next((one for one in assets if isinstance(one, str)), "") if isinstance(assets, list) else "",
    }
    wanted = sorted(examples.keys() & (examples.keys() if "name" in kinds else kinds))
    said = []
    async with tenant.client(settings, pace, transport) as client:
        for kind in wanted:
            if not examples[kind]:
                said.append(
                    f"whether the key may look up the name of {_A[kind]} cannot be tried: there is no example yet"
                )
                continue
            status = await _status(client, f"{NAMED[kind]}/{examples[kind]}")
            if status in _REFUSED:
                said.append(f"the key may not look up the name of {_A[kind]} ({status}): rules see its uuid only")
                await pause(tenant.PAUSE)  # the vendor's firewall counts refusals
    return said


async def _status(client: httpx.AsyncClient, path: str) -> int:
    try:
        return (await client.get(path)).status_code
    except httpx.TransportError as error:
        raise NotReady(f"The API cannot be asked for names: {type(error).__name__}.") from None
