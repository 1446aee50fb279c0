"""The sender: it posts what a tenant would, keeps a journal, and posts again until it is told 2xx."""

import asyncio
from collections.abc import Callable, Iterator
from random import Random

import httpx
import orjson
from aiokafka import AIOKafkaProducer

from events.settings import KafkaSettings
from events.topics import MAX_BODY, Topics
from sandbox.journal import Journal
from sandbox.tenant import Tenant

DUPLICATES = 0.2
"""Share of the events that are delivered a second time."""
BROKEN = (
    b"not json",
    b'{"type": "alert"',
    b'[{"type":"alert","action":"created"}]',
    b'{"type":7,"action":["created"]}',
    b'{"type":"alert","action":"created","attributes":"none"}',
    b"\xff\xfe\x00 no UTF-8",
    b'{"type":"alert","action":"created","attributes":{"uuid":"big"},"padding":"' + b"x" * (MAX_BODY + 150_000) + b'"}',
)
"""Undecodable records, the last of 0.4 MB."""


def bodies(tenant: Tenant, random: Random, count: int) -> Iterator[bytes]:
    """Yield `count` webhook bodies, each as the tenant's state changes: four of ten raise an alert."""
    for number in range(count):
        alerts = list(tenant.alerts)
        kind = random.random()
        if kind < 0.4 or not alerts:  # noqa: PLR2004 - the mix
            body = tenant.create_alert()
        elif kind < 0.75:  # noqa: PLR2004
            body = _change(tenant, random, random.choice(alerts[-50:]))
        elif kind < 0.8:  # noqa: PLR2004
            body = tenant.comment(random.choice(alerts), f"Überprüft, 調査中, проверено {number} ✅")
        elif kind < 0.85:  # noqa: PLR2004
            body = tenant.content_proposal()
        elif kind < 0.9:  # noqa: PLR2004
            body = tenant.create_case(random.choice(alerts))
        elif kind < 0.95:  # noqa: PLR2004
            body = tenant.unknown_type()
        elif kind < 0.98:  # noqa: PLR2004
            body = tenant.without_event_time()
        else:
            body = tenant.unknown_type() | {"attributes": None, "title": None, "número": number}
        yield orjson.dumps(body)


def _change(tenant: Tenant, random: Random, alert: str) -> dict[str, object]:
    changes: list[Callable[[], dict[str, object]]] = [
        lambda: tenant.update_status(alert, random.choice(["Acknowledged", "Ongoing", "Closed"])),
        lambda: tenant.add_similar(alert, random.randrange(1, 30)),
        lambda: tenant.change_urgency(alert, random.randrange(101)),
        lambda: tenant.comment(alert),
    ]
    return random.choice(changes)()


class Sender:
    """Post bodies to a hook, several at once but one after the other for one alert."""

    def __init__(self, hook_url: str, journal: Journal, random: Random) -> None:
        self._hook_url = hook_url
        self._journal = journal
        self._random = random
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        self.posted = 0

    async def send(self, body: bytes) -> None:
        """Deliver a body, some of them twice."""
        await self._deliver(body)
        if self._random.random() < DUPLICATES:
            await self._deliver(body)
        self.posted += 1

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _deliver(self, body: bytes) -> None:
        """Post until it is acknowledged; what was tried without an answer may have arrived."""
        while True:
            self._journal.trying(body)
            try:
                response = await self._client.post(self._hook_url, content=body)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if response.is_success:
                self._journal.acknowledged(body)
                return
            if not response.is_server_error:
                raise RuntimeError(f"ingest answered {response.status_code}: {response.text}")
            await asyncio.sleep(0.2)


async def produce_broken(kafka: KafkaSettings, journal: Journal) -> None:
    """Write undecodable records, and a tombstone, straight to the raw topic."""
    producer = AIOKafkaProducer(**kafka.client_options(), acks="all", enable_idempotence=True)
    await producer.start()
    try:
        topic = Topics(kafka.topic_prefix).raw
        for body in BROKEN:
            journal.trying(body, straight=True)
            await producer.send_and_wait(topic, body)
            journal.acknowledged(body)
        await producer.send_and_wait(topic, None, key=b"tombstone")
    finally:
        await producer.stop()
