"""Looks at the running pipeline: the rooms' health and counters, the groups' lag; whoever is away is a gap, no error."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import httpx
from aiokafka.errors import KafkaError

from events.settings import KafkaSettings
from sandbox.lag import Lag
from sandbox.live import STEPS, Flow, Rate, Totals, scrape
from sandbox.supervisor import Process

ANSWER_WITHIN = 0.9
"""Seconds a room may take, so that the line stays fresh."""

LAG_WITHIN = 15.0
LAG_EVERY = 1.0


class Watch:
    """Look at rooms (processes with an `admin` address) and consumer groups; `async with` it."""

    def __init__(self, rooms: Sequence[Process], groups: Mapping[str, tuple[str, str]], kafka: KafkaSettings) -> None:
        """Take the groups by stage: name of the group, and the topic it reads."""
        self._rooms = [room for room in rooms if room.admin]
        self._groups = groups
        self._kafka = kafka
        self._totals = Totals()
        self._rates = {step: Rate() for step in STEPS}
        self._lag: dict[str, int | None] = dict.fromkeys(groups)
        self.trouble: dict[str, str] = {}
        """What the rooms say is wrong with them; one that does not answer says nothing."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._http = await self._stack.enter_async_context(client())
        self._lag_task = asyncio.create_task(self._follow_lag(), name="lag")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lag_task.cancel()
        await asyncio.wait([self._lag_task])
        await self._stack.aclose()

    async def look(self) -> Flow:
        """Return the totals, rates and lag of this moment."""
        await asyncio.gather(*(self._visit(room) for room in self._rooms))
        now = time.monotonic()
        totals = {step: self._totals.of(step) for step in STEPS}
        rates = {step: self._rates[step].at(now, total) for step, total in totals.items()}
        lag = dict.fromkeys(self._groups) if self._lag_task.done() else dict(self._lag)
        return Flow(totals, rates, lag)

    async def _visit(self, room: Process) -> None:
        try:
            page, health = await asyncio.gather(
                self._http.get(f"{room.admin}/metrics"), self._http.get(f"{room.admin}/healthz")
            )
            if page.is_success:
                self._totals.take(room.name, scrape(page.text))
            self._note(room.name, health)
        except (httpx.HTTPError, ValueError):  # away, slow, or cut off in the middle of a page
            self.trouble.pop(room.name, None)

    def _note(self, name: str, health: httpx.Response) -> None:
        if health.is_success:
            self.trouble.pop(name, None)
            return
        body = health.json()
        reason = body.get("reason") if isinstance(body, dict) else None
        self.trouble[name] = str(reason or "not ready")

    async def _follow_lag(self) -> None:
        while True:
            try:
                async with Lag(self._kafka) as lag:
                    while True:
                        await self._read(lag)
                        await asyncio.sleep(LAG_EVERY)
            except (KafkaError, OSError, TimeoutError):
                self._lag = dict.fromkeys(self._groups)
                await asyncio.sleep(LAG_EVERY)

    async def _read(self, lag: Lag) -> None:
        async with asyncio.timeout(LAG_WITHIN):
            for stage, (group, topic) in self._groups.items():
                self._lag[stage] = await lag.of(group, topic)


def client() -> httpx.AsyncClient:
    """Make a client for this machine's own ports: no proxy, no patience."""
    return httpx.AsyncClient(timeout=ANSWER_WITHIN, trust_env=False)


async def is_ready(room: Process) -> bool:
    """Ask a room's `/healthz` once."""
    return await answers(f"{room.admin}/healthz")


async def answers(url: str) -> bool:
    """Ask an address once; True for a 2xx."""
    try:
        async with client() as http:
            return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False
