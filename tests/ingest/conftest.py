"""A publisher that keeps what it is given, and the public port in front of it."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import CollectorRegistry

from events.headers import RawHeaders
from ingest.accept import RawRecord
from ingest.app import Webhooks
from ingest.hooks import Hooks
from ingest.metrics import IngestMetrics
from ingest.publisher import NotPublished

TOKEN = "s3cret-token-of-the-soc"
NEW_TOKEN = "another-token-for-rotation"
NOW = datetime(2026, 7, 29, 8, 7, 0, 123456, tzinfo=UTC)


class RecordingPublisher:
    """Keep what is published, or refuse it all."""

    def __init__(self) -> None:
        self.records: list[RawRecord] = []
        self.refuse = ""

    async def publish(self, record: RawRecord) -> None:
        if self.refuse:
            raise NotPublished(self.refuse)
        self.records.append(record)


class Door:
    """The public port in process."""

    def __init__(self) -> None:
        self.publisher = RecordingPublisher()
        self.registry = CollectorRegistry()
        hooks = Hooks.parse(f"soc={TOKEN},soc={NEW_TOKEN},lab=token-of-the-laboratory")
        known = SimpleNamespace(find=lambda token, scope: hooks.find(token))
        self.app = Webhooks(known, self.publisher, IngestMetrics(self.registry), clock=lambda: NOW)

    def request(self, method: str = "POST", path: str = f"/hooks/{TOKEN}", **options) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def headers(self, place: int = -1) -> RawHeaders:
        headers = RawHeaders.from_kafka(self.publisher.records[place].headers)
        assert headers is not None
        return headers

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tocsin_ingest_{name}_total", labels) or 0


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture(scope="session")
def new_door() -> Callable[[], Door]:
    return Door


@pytest.fixture
def known() -> SimpleNamespace:
    return SimpleNamespace(token=TOKEN, new_token=NEW_TOKEN, now=NOW)
