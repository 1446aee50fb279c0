"""Ingest on real Kafka: what is answered 200 is in the raw topic, whatever happens to the broker."""

import asyncio
import importlib.util
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from events.errors import NotReady
from events.headers import RawHeaders
from events.settings import KafkaSettings
from events.topics import Topics
from ingest import cluster, kafka_publisher
from ingest.accept import RawRecord, accept
from ingest.kafka_publisher import KafkaPublisher
from ingest.partitioner import partition_of
from ingest.publisher import NotPublished
from ops import topics

pytestmark = pytest.mark.kafka

_path = Path(__file__).parents[1] / "ingest" / "processes.py"
_spec = importlib.util.spec_from_file_location("processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)

DOCUMENTED = (
    b'{"type":"alert","action":"created",\n'
    b' "attributes":{"uuid":"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11","short_id":"ALq7Zt3Kx9Pd"},\n'
    b' "metadata":{"version":2,"created_at":"2026-07-29T08:06:57.512034+00:00",\n'
    b'  "community_uuid":"9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4d",\n'
    b'  "avatar_uuid":null,"user_uuid":null,"permissions":[]}}'
)


def body(ident: str) -> bytes:
    return json.dumps(
        {"type": "test", "action": "sent", "attributes": {"uuid": str(uuid.uuid4())}, "id": ident}
    ).encode()


def record(content: bytes = DOCUMENTED) -> RawRecord:
    return accept(content, "soc", delivery_id=uuid.uuid4().hex, received_at=datetime.now(UTC))


def test_the_documented_body_arrives_byte_for_byte(kafka_settings):
    async def scenario():
        async with processes.ingest(kafka_settings) as running:
            assert 'tocsin_ingest_accepted_total{hook="soc"} 0.0' in (await running.admin("/metrics")).text
            answers = [await running.post(DOCUMENTED) for _ in range(2)]
            assert [(answer.status_code, answer.text) for answer in answers] == [(200, "accepted\n")] * 2
            metrics = (await running.admin("/metrics")).text
            assert 'tocsin_ingest_accepted_total{hook="soc"} 2.0' in metrics
            healthy = (await running.admin("/healthz")).json()
            assert healthy == {
                "ready": True,
                "reason": None,
                "kafka": None,
                "spool": {"open": False, "events": 0, "bytes": 0},
            }
            assert (await running.post(b"no")).status_code == 400
            assert await running.stop() == 0
            assert "ingest_stopped" in running.log
            assert processes.TOKEN not in running.log + metrics
        return await processes.raw_records(kafka_settings)

    first, second = asyncio.run(scenario())
    key = b"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11"
    for found in (first, second):
        assert (found.key, found.value) == (key, DOCUMENTED)
        assert found.partition == partition_of(key, kafka_settings.partitions)
    headers = [RawHeaders.from_kafka(found.headers) for found in (first, second)]
    assert headers[0].event_id == headers[1].event_id
    assert headers[0].delivery_id != headers[1].delivery_id
    assert (headers[0].kind, headers[0].tenant, headers[0].hook, headers[0].origin) == (
        "content",
        "default",
        "soc",
        "webhook",
    )


def test_a_gap_in_the_sequence_numbers_is_survived(kafka_settings):
    """As after a batch that aiokafka gave up: the broker refuses all that follows from that producer."""

    async def scenario():
        async with KafkaPublisher(kafka_settings) as publisher:
            first = record()
            await publisher.publish(first)
            partition = partition_of(first.key, kafka_settings.partitions)
            topic = Topics(kafka_settings.topic_prefix).raw
            producer = publisher._producer
            producer._txn_manager.increment_sequence_number(TopicPartition(topic, partition), 5)
            await publisher.publish(record())
            assert publisher._producer is not producer
            await publisher.publish(record())
            assert publisher.trouble is None
        return await processes.raw_records(kafka_settings)

    assert len(asyncio.run(scenario())) == 3


def test_a_partition_without_a_leader_stops_only_itself_and_comes_back(kafka3, topic_prefix, monkeypatch):
    monkeypatch.setitem(cluster.TUNING, "request_timeout_ms", 1000)  # so that a batch is given up soon
    monkeypatch.setattr(kafka_publisher, "PROBE_EVERY", 0.5)
    kafka = KafkaSettings(
        bootstrap_servers=kafka3.bootstrap, topic_prefix=topic_prefix, partitions=3, replication_factor=1, min_isr=1
    )
    keys = {partition_of(key.encode(), 3): key.encode() for key in map(str, range(50))}
    acked: list[bytes] = []

    async def attempt(publisher: KafkaPublisher, partition: int) -> bool:
        value = body(f"p{partition}")
        try:
            await publisher.publish(RawRecord(keys[partition], value, []))
        except NotPublished:
            return False
        acked.append(value)
        return True

    async def scenario():
        await topics.ensure(kafka)
        async with KafkaPublisher(kafka, ack_within=0.7) as publisher:
            assert all([await attempt(publisher, partition) for partition in keys])
            client = publisher._producer.client
            dead = client.cluster.leader_for_partition(TopicPartition(Topics(topic_prefix).raw, 0))
            await asyncio.to_thread(kafka3.kill, dead)
            try:
                async with asyncio.timeout(60):
                    while not (publisher.trouble and "1 of 3 partitions" in publisher.trouble):
                        assert not await attempt(publisher, 0)
                async with asyncio.timeout(60):
                    while not (await attempt(publisher, 1) and await attempt(publisher, 2)):
                        pass
            finally:
                await asyncio.to_thread(kafka3.restart, dead)
                await kafka3.ready()
            async with asyncio.timeout(60):
                while publisher.trouble or not await attempt(publisher, 0):
                    await asyncio.sleep(0.1)
        return await processes.raw_records(kafka)

    found = [record.value for record in asyncio.run(scenario())]
    assert set(acked) - set(found) == set()
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"topic_prefix": "nobody."}, r"nobody\.raw\.v1 does not exist: run `tocsin topics create`"),
        ({"partitions": 5}, r"has 4 partitions and KAFKA_PARTITIONS is 5.*tocsin topics migrate"),
        ({"bootstrap_servers": "127.0.0.1:1"}, r"cannot be reached at 127\.0\.0\.1:1: check KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_what_is_missing_at_the_start_is_one_sentence(kafka_settings, changed, says):
    async def attempt():
        async with KafkaPublisher(kafka_settings.model_copy(update=changed)):
            pass

    with pytest.raises(NotReady, match=says) as caught:
        asyncio.run(attempt())
    assert "\n" not in str(caught.value)
