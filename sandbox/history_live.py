"""The live path of a drill: webhooks posted when they are due, a receiver that notes what came when, and the delays between."""

import asyncio
import contextlib
import math
import re
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterable

import httpx
import orjson

from sandbox.bodies import Json
from sandbox.tenant import Tenant

PATIENCE, AGAIN = 60.0, 1.0
"""Seconds for which a webhook that is refused for lack of room is posted again, and between two tries."""
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


class Receiver:
    """Answers every POST with 204, and knows what each path was told."""

    def __init__(self) -> None:
        self.told: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By path, how often each event came."""
        self.alerts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """By path, how often a new alert was told of."""
        self.at: dict[str, float] = {}
        """When an event first came, in seconds of the monotonic clock."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection until it is closed."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self._note(head.split(b" ", 2)[1].decode().strip("/"), orjson.loads(body)["data"])
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    def _note(self, path: str, told: Json) -> None:
        event = told["event"]
        self.told[path][told["event_id"]] += 1
        if (event["type"], event["action"]) == ("alert", "created"):
            uuid = event["attributes"]["uuid"]
            self.alerts[path][uuid] += 1
            self.at.setdefault(uuid, time.monotonic())


class Traffic:
    """Posts webhooks of new alerts at a steady rate, whether or not earlier ones have arrived."""

    def __init__(self, tenant: Tenant, hook_url: str, rate: float) -> None:
        self._tenant, self._url, self._rate = tenant, hook_url, rate
        self.due: dict[str, float] = {}
        """When the webhook of an alert was due: a sender that falls behind hides nothing."""

    async def run(self, seconds: float, until: asyncio.Event | None = None, most: float = math.inf) -> list[str]:
        """Post for so long, or longer until the event is set but not beyond `most`, and return the alerts.

        Raises HTTPStatusError.
        """
        began, sent = time.monotonic(), list[str]()
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client, asyncio.TaskGroup() as tasks:
            while (done := len(sent) / self._rate) < seconds or (until and not until.is_set() and done < most):
                due = began + done
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                body = self._tenant.create_alert()
                uuid = body["attributes"]["uuid"]
                self.due[uuid] = due
                sent.append(uuid)
                tasks.create_task(self._post(client, body))
        return sent

    async def post(self, bodies: Iterable[Json]) -> None:
        """Post these, one after the other. Raises HTTPStatusError."""
        async with httpx.AsyncClient(trust_env=False, timeout=30.0) as client:
            for body in bodies:
                await self._post(client, body)

    async def _post(self, client: httpx.AsyncClient, body: Json) -> None:
        end = time.monotonic() + PATIENCE
        answer = await client.post(self._url, content=orjson.dumps(body))
        while answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and time.monotonic() < end:
            # A host that is too busy says so, and a sender comes again; the delay counts from when the webhook was due.
            await asyncio.sleep(AGAIN)
            answer = await client.post(self._url, content=orjson.dumps(body))
        answer.raise_for_status()


def p99(delays: Iterable[float]) -> float:
    """Return the 99th hundredth; infinite where one never came."""
    found = sorted(delays)
    if len(found) < 2 or found[-1] == math.inf:  # noqa: PLR2004
        return math.inf
    return statistics.quantiles(found, n=100)[98]
