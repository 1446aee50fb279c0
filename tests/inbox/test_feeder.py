"""The feeder on a real Kafka: from the topics to rows, across restarts, gaps and new partitions."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.structs import TopicPartition

from events.codec import encode
from events.errors import NotReady
from events.records import Receipt
from events.topics import Topics
from inbox import detail
from inbox.database import Database
from inbox.feeder import Feeder
from inbox.lag import Lags
from inbox.store import Store
from tests.inbox.conftest import event

pytestmark = pytest.mark.kafka


class Run:
    """A feeder's database and what a test asks of it."""

    def __init__(self, kafka, path):
        self.kafka = kafka
        self.names = Topics(kafka.topic_prefix)
        self.database = Database(path)
        self.store = Store(self.database, 900)

    async def until(self, count, *, accept_gap=False):
        """Feed until so many notifications are stored."""
        feeder = Feeder(self.kafka, self.store, history=timedelta(days=9999), accept_gap=accept_gap)
        async with asyncio.timeout(60), feeder:
            while len(self.ids()) < count:
                await feeder.step()
            await feeder.step()

    def ids(self):
        with self.database.reading() as connection:
            return [row[0] for row in connection.execute("SELECT event_id FROM notifications ORDER BY event_id")]

    async def send(self, *numbers, topic="", values=()):
        """Write enriched records in one transaction, as the stream does, or values as they are."""
        options = self.kafka.client_options()
        producer = AIOKafkaProducer(**options, transactional_id=f"{self.kafka.topic_prefix}test", acks="all")
        async with producer, producer.transaction():
            for number in numbers:
                value = encode(event(number, event_id=f"event {number:03}"))
                await producer.send(self.names.enriched, value, key=b"%d" % number)
            for value in values:
                await producer.send(topic or self.names.enriched, value)


@pytest.fixture
def run(kafka_settings, tmp_path):
    made = Run(kafka_settings, tmp_path / "inbox.db")
    yield made
    made.database.close()


def expected(count):
    return [f"event {n:03}" for n in range(count)]


def test_records_and_receipts_come_in_once(run):
    async def scenario():
        await run.send(*range(20), values=[b"not JSON"])
        receipt = Receipt(event_id="event 003", target="soc", outcome="delivered")
        await run.send(topic=run.names.deliveries, values=[encode(receipt)])
        await run.until(20)
        await run.send(*range(20, 30))
        await run.until(30)
        async with asyncio.timeout(30):
            for _ in range(5):  # each with a gap to look into, closed right after it
                async with Lags(run.kafka) as lags:
                    found = await lags.read()
        return found

    lags = asyncio.run(scenario())
    assert run.ids() == expected(30)
    with run.database.reading() as connection:
        (count,) = connection.execute("SELECT sum(count) FROM threads").fetchone()
        (number,) = connection.execute("SELECT id FROM threads WHERE title = 'Alert 3'").fetchone()
        assert [each["target"] for each in detail.find(connection, number).deliveries] == ["soc"]
    assert count == 30
    assert [(lag.group, lag.records) for lag in lags] == [("inbox", 0)]


def test_partitions_added_later_are_read_from_their_start(run):
    async def scenario():
        await run.send(0)
        await run.until(1)
        admin = AIOKafkaAdminClient(**run.kafka.client_options())
        await admin.start()
        await admin.create_partitions({run.names.enriched: NewPartitions(6)})
        await admin.close()
        await asyncio.sleep(1)
        await run.send(*range(1, 30))
        await run.until(30)

    asyncio.run(scenario())
    assert run.ids() == expected(30)


def test_records_that_are_gone_stop_it_until_a_person_says_go_on(run):
    async def scenario():
        await run.send(*range(20))
        await run.until(20)
        await run.send(*range(20, 40))
        admin = AIOKafkaAdminClient(**run.kafka.client_options())
        await admin.start()
        everything = {TopicPartition(run.names.enriched, n): RecordsToDelete(-1) for n in range(4)}
        await admin.delete_records(everything)
        await admin.close()
        await run.send(*range(40, 50))
        async with Lags(run.kafka) as lags:  # one group behind what Kafka keeps is no Kafka that is away
            [lag] = await lags.read()
        assert (lag.group, lag.lost > 0, lag.records > 0) == ("inbox", True, True)
        with pytest.raises(NotReady, match="INBOX_ACCEPT_GAP"):
            await run.until(50)
        await run.until(30, accept_gap=True)

    asyncio.run(scenario())
    assert run.ids() == expected(20) + [f"event {n:03}" for n in range(40, 50)]


def test_the_command_serves_what_comes_and_survives_kill_9(run, tmp_path):
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    page, admin = (each.getsockname()[1] for each in ports)
    for each in ports:
        each.close()
    environment = {
        "PATH": "/usr/bin:/bin",
        "KAFKA_BOOTSTRAP_SERVERS": run.kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": run.kafka.topic_prefix,
        "INBOX_PORT": str(page),
        "INBOX_ADMIN_PORT": str(admin),
        "INBOX_DATABASE": str(tmp_path / "inbox.db"),
        "INBOX_HISTORY": "9999d",
        "INBOX_RETENTION": "9999d",
    }

    def start():
        command = (sys.executable, "-P", "-m", "ops", "inbox")
        return subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL)

    def shown(count):
        deadline = time.monotonic() + 60
        while len(run.ids()) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        assert run.ids() == expected(count)

    process = start()
    try:
        asyncio.run(run.send(*range(10)))
        shown(10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        asyncio.run(run.send(*range(10, 25)))
        process = start()
        shown(25)
        assert "Alert 24" in httpx.get(f"http://127.0.0.1:{page}/").text
        assert httpx.get(f"http://127.0.0.1:{admin}/healthz").json() == {"ready": True, "reason": None}
        assert "tocsin_inbox_notifications_total" in httpx.get(f"http://127.0.0.1:{admin}/metrics").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
