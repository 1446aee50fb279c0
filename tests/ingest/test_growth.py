"""More partitions: a closed topic is waited for, one that has grown is written by nobody who does not know."""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from events.settings import KafkaSettings
from ingest import cluster, kafka_publisher
from ingest.accept import RawRecord
from ingest.kafka_publisher import CLOSED, KafkaPublisher
from ingest.publisher import NotPublished

RECORD = RawRecord(b"k", b"{}", [])


class Producer:
    """Refuse or acknowledge everything."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent = 0
        self.client = SimpleNamespace()

    async def send(self, *_, **__):
        self.sent += 1
        ack = asyncio.get_running_loop().create_future()
        ack.set_exception(self.error) if self.error else ack.set_result(None)
        return ack

    async def stop(self):
        pass


@pytest.fixture
def connections(monkeypatch):
    waiting = deque()

    async def connect(_kafka):
        one = waiting.popleft()
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr(cluster, "connect", connect)
    monkeypatch.setattr(kafka_publisher, "RECONNECT_EVERY", 0)
    monkeypatch.setattr(kafka_publisher, "PROBE_EVERY", 0)
    return waiting


async def until(condition):
    while not condition():
        await asyncio.sleep(0)


def test_while_the_topic_is_closed_that_is_said_once_and_it_is_over_with_the_first_event_taken(
    connections, monkeypatch
):
    async def well(*_):
        return None

    monkeypatch.setattr(cluster, "look", well)
    closed = [Producer(MessageSizeTooLargeError()) for _ in range(4)]
    connections.extend([*closed, Producer()])

    async def scenario():
        async with KafkaPublisher(KafkaSettings(topic_prefix="p.")) as publisher:
            for _ in range(2):
                with pytest.raises(NotPublished):
                    await publisher.publish(RECORD)
                await until(lambda: publisher.connected)
                assert publisher.trouble == CLOSED, "an answering cluster is not enough"
            await publisher.publish(RECORD)
            assert publisher.trouble is None

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert [entry["event"] for entry in logs] == ["producer_replaced", "kafka_away", "kafka_back"]


def test_a_topic_that_has_grown_is_not_written_until_the_setting_says_so(connections, monkeypatch):
    grown = cluster.OtherSize("has 24")

    async def look(*_):
        raise grown

    monkeypatch.setattr(cluster, "look", look)
    idle = Producer()
    connections.extend([idle, *[grown] * 10_000])

    async def scenario():
        async with KafkaPublisher(KafkaSettings(topic_prefix="p."), ack_within=0.01) as publisher:
            await until(lambda: publisher.trouble == "has 24")
            assert not publisher.connected
            with pytest.raises(NotPublished):
                await publisher.publish(RECORD)

    asyncio.run(scenario())
    assert idle.sent == 0


def test_where_a_spool_is_it_opens_before_the_topic_has_grown(connections):
    connections.extend([cluster.OtherSize("has 12"), Producer()])

    async def scenario():
        async with KafkaPublisher(KafkaSettings(topic_prefix="p."), must_reach=False) as publisher:
            assert publisher.trouble == "has 12"
            await until(lambda: publisher.connected)
            await publisher.publish(RECORD)

    asyncio.run(scenario())
