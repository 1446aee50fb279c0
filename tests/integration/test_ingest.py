"""Ingest on real Kafka: what is answered 200 is in the raw topic, whatever happens to the broker."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.errors import NotReady
from events.headers import RawHeaders
from events.settings import KafkaSettings
from events.topics import Topics
from ingest import kafka_publisher
from ingest.accept import RawRecord, accept
from ingest.kafka_publisher import KafkaPublisher, partition_of
from ingest.publisher import NotPublished
from ops import topics
from sandbox.kafka import EmbeddedKafka

pytestmark = pytest.mark.kafka

TOKEN = "token-of-the-integration-test"
DOCUMENTED = (
    b'{"type":"alert","action":"created",\n'
    b' "attributes":{"uuid":"3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11","short_id":"ALq7Zt3Kx9Pd"},\n'
    b' "metadata":{"version":2,"created_at":"2026-07-29T08:06:57.512034+00:00",\n'
    b'  "community_uuid":"9d1c7e60-2f3b-4a8e-b5c4-6e0f1a2b3c4d",\n'
    b'  "avatar_uuid":null,"user_uuid":null,"permissions":[]}}'
)


@pytest.fixture
def broker(tmp_path) -> Iterator[EmbeddedKafka]:
    """A broker of this test's own, to be killed."""
    own = EmbeddedKafka(tmp_path / "kafka")
    asyncio.run(own.start())
    yield own
    asyncio.run(own.stop())


def body(ident: str) -> bytes:
    return json.dumps(
        {"type": "test", "action": "sent", "attributes": {"uuid": str(uuid.uuid4())}, "id": ident}
    ).encode()


def record(content: bytes = DOCUMENTED) -> RawRecord:
    return accept(content, "soc", delivery_id=uuid.uuid4().hex, received_at=datetime.now(UTC))


async def raw_records(kafka: KafkaSettings) -> list[ConsumerRecord]:
    """Read the raw topic from its beginning to its end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(Topics(kafka.topic_prefix).raw, number) for number in range(kafka.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


class Running:
    """`tocsin ingest`, as a process."""

    def __init__(self, process: subprocess.Popen[str], client: httpx.AsyncClient, admin: str) -> None:
        self.process = process
        self._client = client
        self._admin = admin
        self.log = ""

    async def post(self, content: bytes) -> httpx.Response:
        return await self._client.post(f"/hooks/{TOKEN}", content=content)

    async def admin(self, path: str) -> httpx.Response:
        return await self._client.get(f"{self._admin}{path}")

    async def stop(self) -> int:
        """Send SIGTERM; return the exit code, and keep the log."""
        self.process.send_signal(signal.SIGTERM)
        self.log = (await asyncio.to_thread(self.process.communicate, timeout=15))[1]
        return self.process.returncode


def start(settings: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ops", "ingest"]
    return subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True)


@contextlib.asynccontextmanager
async def ingest(kafka: KafkaSettings) -> AsyncIterator[Running]:
    """Start `tocsin ingest` and wait until it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as public, socket.create_server(("127.0.0.1", 0)) as private:
        port, admin_port = (sock.getsockname()[1] for sock in (public, private))
    settings = {
        "INGEST_HOOKS": f"soc={TOKEN}",
        "INGEST_PORT": str(port),
        "INGEST_ADMIN_PORT": str(admin_port),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_PARTITIONS": str(kafka.partitions),
    }
    process = start(settings)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        running = Running(process, client, f"http://127.0.0.1:{admin_port}")
        try:
            for _ in range(300):
                assert process.poll() is None, process.communicate()[1]
                with contextlib.suppress(httpx.ConnectError):
                    if (await running.admin("/healthz")).status_code == 200:
                        break
                await asyncio.sleep(0.1)
            yield running
        finally:
            process.kill()
            await asyncio.to_thread(process.communicate)


def test_the_documented_body_arrives_byte_for_byte(kafka_settings):
    async def scenario():
        async with ingest(kafka_settings) as running:
            answers = [await running.post(DOCUMENTED) for _ in range(2)]
            assert [(answer.status_code, answer.text) for answer in answers] == [(200, "accepted\n")] * 2
            metrics = (await running.admin("/metrics")).text
            assert 'tocsin_ingest_accepted_total{hook="soc"} 2.0' in metrics
            assert (await running.admin("/healthz")).json() == {"ready": True, "reason": None}
            assert (await running.post(b"no")).status_code == 400
            assert await running.stop() == 0
            assert "ingest_stopped" in running.log
            assert TOKEN not in running.log + metrics
        return await raw_records(kafka_settings)

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


def test_every_200_is_in_the_topic_when_the_broker_is_killed_and_comes_back(broker):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)
    accepted: list[bytes] = []
    answers: list[httpx.Response] = []

    async def send(running: Running, sender: int, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            content = body(f"{sender}-{number}")
            answer = await running.post(content)
            answers.append(answer)
            if answer.status_code == 200:
                accepted.append(content)
            await asyncio.sleep(0.01)

    async def until_ready(running: Running, ready: int) -> None:
        async with asyncio.timeout(60):
            while (await running.admin("/healthz")).status_code != ready:
                await asyncio.sleep(0.1)

    async def scenario():
        await topics.ensure(kafka)
        async with ingest(kafka) as running:
            stop = asyncio.Event()
            senders = [asyncio.create_task(send(running, sender, stop)) for sender in range(4)]
            await asyncio.sleep(1)
            await asyncio.to_thread(broker.kill)
            before = len(accepted)
            await until_ready(running, 503)
            await asyncio.sleep(2)
            await asyncio.to_thread(broker.restart)
            await broker.ready()
            await until_ready(running, 200)
            await asyncio.sleep(1)
            stop.set()
            await asyncio.gather(*senders)
            assert len(accepted) > before > 0
            assert await running.stop() == 0
        return await raw_records(kafka)

    found = {record.value for record in asyncio.run(scenario())}
    assert set(accepted) - found == set()
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "5")}
    assert len(refused) + len(accepted) == len(answers)


def test_a_record_refused_while_the_broker_hangs_arrives_once_when_it_goes_on(broker):
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=4)
    late, after = record(body("late")), record(body("after"))

    async def scenario():
        await topics.ensure(kafka)
        async with KafkaPublisher(kafka, ack_within=0.5) as publisher:
            await publisher.publish(record(body("before")))
            broker.pause()
            try:
                with pytest.raises(NotPublished):
                    await publisher.publish(late)
                assert publisher.trouble
            finally:
                broker.resume()
            async with asyncio.timeout(60):
                while publisher.trouble:
                    await asyncio.sleep(0.05)
            await publisher.publish(after)
        return [found.value for found in await raw_records(kafka)]

    values = asyncio.run(scenario())
    assert len(values) == 3
    assert {late.value, after.value} < set(values)


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
        return await raw_records(kafka_settings)

    assert len(asyncio.run(scenario())) == 3


def test_a_partition_without_a_leader_stops_only_itself_and_comes_back(kafka3, topic_prefix, monkeypatch):
    monkeypatch.setitem(kafka_publisher._TUNING, "request_timeout_ms", 1000)  # so that a batch is given up soon
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
        return await raw_records(kafka)

    found = [record.value for record in asyncio.run(scenario())]
    assert set(acked) - set(found) == set()
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"topic_prefix": "nobody."}, r"nobody\.raw\.v1 does not exist: run `tocsin topics create`"),
        ({"partitions": 5}, r"has 4 partitions and KAFKA_PARTITIONS is 5.*tocsin topics create"),
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
