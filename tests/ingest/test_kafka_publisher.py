"""The Kafka publisher on a scripted producer; on real Kafka: tests/integration/test_ingest.py."""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from aiokafka.errors import OutOfOrderSequenceNumber
from structlog.testing import capture_logs

from events.errors import NotReady
from events.settings import KafkaSettings
from ingest import cluster, kafka_publisher
from ingest.accept import RawRecord
from ingest.kafka_publisher import KafkaPublisher
from ingest.partitioner import partition_of
from ingest.publisher import NotPublished

RECORD = RawRecord(b"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11", b"{}", [("event-id", b"e")])


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
@pytest.mark.parametrize("partitions", [1, 4, 12, 50])
def test_the_partition_is_that_of_the_java_clients(key, hashed, partitions):
    """The hashes are those Apache Kafka tests its own murmur2 with."""
    assert partition_of(key, partitions) == (hashed & 0x7FFFFFFF) % partitions


class ScriptedProducer:
    """Answer each send as the script says: `ack`, `hang`, or an exception; then acknowledge."""

    def __init__(self, *script) -> None:
        self.script = deque(script)
        self.sent = []
        self.pending: list[asyncio.Future] = []
        self.stopped = 0
        self.client = SimpleNamespace()

    async def send(self, topic, value, key, *, partition, headers):
        self.sent.append((topic, value, key, partition, headers))
        ack = asyncio.get_running_loop().create_future()
        step = self.script.popleft() if self.script else "ack"
        if isinstance(step, Exception):
            ack.set_exception(step)
        elif step == "ack":
            ack.set_result(None)
        else:
            self.pending.append(ack)
        return ack

    async def stop(self):
        self.stopped += 1


def publishing(monkeypatch, *producers, ack_within=5.0):
    """Return a publisher that takes these producers, one after the other."""
    waiting = deque(producers)

    async def connect(kafka):
        producer = waiting.popleft()
        if isinstance(producer, Exception):
            raise producer
        return producer

    monkeypatch.setattr(cluster, "connect", connect)
    return KafkaPublisher(KafkaSettings(topic_prefix="p."), ack_within=ack_within)


def test_where_a_spool_is_the_cluster_may_be_away_at_the_start_but_not_wrong(monkeypatch):
    monkeypatch.setattr(kafka_publisher, "RECONNECT_EVERY", 0)
    producer = ScriptedProducer()

    async def scenario():
        publisher = publishing(monkeypatch, cluster.Unreachable("away"), NotReady("no topic"), producer)
        publisher._must_reach = False
        async with publisher:
            assert (publisher.connected, publisher.trouble) == (False, "away")
            await publisher.publish(RECORD)
            assert (publisher.connected, publisher.trouble) == (True, None)
        with pytest.raises(NotReady, match="no topic"):
            async with publishing(monkeypatch, NotReady("no topic")):
                pass

    asyncio.run(scenario())


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_record_goes_to_the_raw_topic_as_it_is(monkeypatch):
    producer = ScriptedProducer()

    async def scenario():
        async with publishing(monkeypatch, producer) as publisher:
            await publisher.publish(RECORD)

    asyncio.run(scenario())
    assert producer.sent == [("p.raw.v1", b"{}", RECORD.key, partition_of(RECORD.key, 12), RECORD.headers)]
    assert producer.stopped == 1


def test_no_acknowledgement_in_time_is_not_published_and_a_late_one_is_noticed(monkeypatch):
    producer = ScriptedProducer("hang")

    async def scenario():
        async with publishing(monkeypatch, producer, ack_within=0.01) as publisher:
            with pytest.raises(NotPublished, match="in time") as caught:
                await publisher.publish(RECORD)
            assert caught.value.late is producer.pending[0]
            assert "does not acknowledge" in publisher.trouble
            assert not producer.pending[0].cancelled()
            producer.pending[0].set_result(None)
            await settle()
            assert publisher.trouble is None

    asyncio.run(scenario())
    assert len(producer.sent) == 1


def test_a_batch_given_up_brings_a_new_producer_and_the_event_is_sent_again(monkeypatch):
    old, new = ScriptedProducer(OutOfOrderSequenceNumber()), ScriptedProducer()

    async def scenario():
        async with publishing(monkeypatch, old, new) as publisher:
            await publisher.publish(RECORD)
            assert publisher.trouble is None

    with capture_logs() as logs:
        asyncio.run(scenario())
    assert old.sent == new.sent
    assert (old.stopped, new.stopped) == (1, 1)
    assert [entry["event"] for entry in logs] == ["producer_replaced"]


def test_a_batch_given_up_late_brings_a_new_producer_before_the_next_event(monkeypatch):
    old, new = ScriptedProducer("hang"), ScriptedProducer()

    async def scenario():
        async with publishing(monkeypatch, old, new, ack_within=0.01) as publisher:
            with pytest.raises(NotPublished):
                await publisher.publish(RECORD)
            old.pending[0].set_exception(OutOfOrderSequenceNumber())
            await settle()
            await publisher.publish(RECORD)
            assert publisher.trouble is None

    asyncio.run(scenario())
    assert len(new.sent) == 1


def test_many_failures_at_once_bring_one_new_producer(monkeypatch):
    old, new = ScriptedProducer(*[OutOfOrderSequenceNumber()] * 5), ScriptedProducer()

    async def scenario():
        async with publishing(monkeypatch, old, new) as publisher:
            await asyncio.gather(*(publisher.publish(RECORD) for _ in range(5)))

    asyncio.run(scenario())
    assert (old.stopped, len(new.sent)) == (1, 5)


def test_refused_twice_is_not_published(monkeypatch):
    producers = [ScriptedProducer(OutOfOrderSequenceNumber()) for _ in range(2)]

    async def scenario():
        async with publishing(monkeypatch, *producers, ScriptedProducer()) as publisher:
            with pytest.raises(NotPublished, match="refused"):
                await publisher.publish(RECORD)
            await publisher.publish(RECORD)

    asyncio.run(scenario())


def test_while_no_new_producer_can_be_had_it_keeps_trying(monkeypatch):
    monkeypatch.setattr(kafka_publisher, "RECONNECT_EVERY", 0)
    old, new = ScriptedProducer(OutOfOrderSequenceNumber()), ScriptedProducer()

    async def scenario():
        async with publishing(monkeypatch, old, NotReady("away"), NotReady("away"), new) as publisher:
            await publisher.publish(RECORD)

    asyncio.run(scenario())
    assert len(new.sent) == 1


def test_what_waits_is_bounded(monkeypatch):
    producer = ScriptedProducer(*["hang"] * 100)
    monkeypatch.setattr(kafka_publisher, "MAX_HELD", 10 * 9 * 1024)
    record = RawRecord(b"k", b"a" * 1024, [])

    async def scenario():
        async with publishing(monkeypatch, producer) as publisher:
            waiting = [asyncio.create_task(publisher.publish(record)) for _ in range(11)]
            await settle()
            assert [task.done() for task in waiting] == [False] * 10 + [True]
            assert isinstance(waiting[10].exception(), NotPublished)
            for ack in producer.pending:
                ack.set_result(None)
            await asyncio.gather(*waiting[:10])
            producer.script.clear()
            await publisher.publish(record)

    asyncio.run(scenario())


def test_what_is_wrong_with_the_cluster_is_told():
    available: set[int] | None = set(range(12))
    answers = True

    async def update():
        return answers

    known = SimpleNamespace(
        available_partitions_for_topic=lambda topic: available, partitions_for_topic=lambda topic: set(range(there))
    )
    there = 12
    client = SimpleNamespace(force_metadata_update=update, cluster=known)

    async def look():
        return await cluster.look(client, KafkaSettings(topic_prefix="p."), 1)

    assert asyncio.run(look()) is None
    available = set(range(11))
    assert asyncio.run(look()) == "1 of 12 partitions of p.raw.v1 have no leader"
    available = None
    assert "12 of 12" in (asyncio.run(look()) or "")
    there = 24
    with pytest.raises(cluster.OtherSize, match="KAFKA_PARTITIONS=24"):
        asyncio.run(look())
    answers = False
    assert "no Kafka broker answers" in (asyncio.run(look()) or "")
