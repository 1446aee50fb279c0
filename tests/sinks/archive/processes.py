"""The archive as processes on real Kafka, and records that flow meanwhile."""

import asyncio
import os
import random
import resource
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.protocol.group import LeaveGroupRequest

from events.codec import encode
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from sinks.archive.manifest import live
from sinks.archive.read import entries, read_rows
from sinks.archive.storage import Root, opened, unfinished

BAD = b"\xff no event"


class Site:
    """An archive's folder, its topics, and its processes."""

    def __init__(self, kafka: KafkaSettings, folder: Path, root: Root | None = None, **settings: str) -> None:
        """Take another root than the folder's `archive` with the settings that name it."""
        self.kafka = kafka
        self.root = root or folder / "archive"
        self.place = settings or {"ARCHIVE_URL": self.root.as_uri()}
        self.log = folder / "log"
        self.topics = Topics(kafka.topic_prefix)
        self.partitions = [TopicPartition(self.topics.enriched, number) for number in range(kafka.partitions)]
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *, largest_file: int | None = None, **settings: str) -> subprocess.Popen[bytes]:
        """Start the process; `largest_file` bytes is where its disk is full."""
        env = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": self.kafka.topic_prefix,
            **self.place,
            "ARCHIVE_FLUSH_EVERY": "300ms",
            "ARCHIVE_ADMIN_PORT": "0",
            "ARCHIVE_TOPICS": "enriched",
        }

        def limit() -> None:
            if largest_file:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ops", "sink", "archive"],
                env=os.environ | env | settings,
                stderr=log,
                stdout=log,
                preexec_fn=limit,  # noqa: PLW1509 - nothing else runs in this test
            )
        self.running.append(process)
        return process

    async def publish(self, *values: bytes, partition: int = 0, abort: bool = False) -> None:
        async with AIOKafkaProducer(**self.kafka.client_options(), transactional_id=uuid.uuid4().hex) as producer:
            await send(producer, self.topics.enriched, partition, values, abort=abort)

    async def read(self, topic: str) -> list[ConsumerRecord]:
        options = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
        async with AIOKafkaConsumer(**self.kafka.client_options(), **options) as consumer:
            partitions = [TopicPartition(topic, number) for number in range(self.kafka.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            found: list[ConsumerRecord] = []
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += records
            return found

    async def ends(self) -> dict[int, int]:
        options = {"isolation_level": "read_committed"}
        async with AIOKafkaConsumer(**self.kafka.client_options(), **options) as consumer:
            return {tp.partition: end for tp, end in (await consumer.end_offsets(self.partitions)).items()}

    def settled(self) -> dict[int, int]:
        return {entry.partition: entry.next_offset for entry in entries(self.root)}

    def claims(self) -> int:
        return sum(entry.kind == "claim" for entry in entries(self.root))

    def owners(self) -> set[int]:
        """Return the processes that claimed the partitions last."""
        claims = {each.partition: each for each in entries(self.root) if each.kind == "claim"}
        return {int(claim.writer.rpartition("/")[2]) for claim in claims.values()}

    async def until(self, done: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.1)

    async def until_archived(self) -> None:
        ends = await self.ends()
        await self.until(lambda: self.settled() == ends)

    async def bury_members(self) -> None:
        """Tell the group that its members are gone, as it would find out itself after the session's 10 s."""
        group = self.kafka.group("archive")
        admin = AIOKafkaAdminClient(**self.kafka.client_options())
        await admin.start()
        try:
            coordinator = await admin.find_coordinator(group)
            [answer] = await admin.describe_consumer_groups([group])
            for member, *_ in answer.groups[0][5]:
                await admin._send_request(LeaveGroupRequest(group, member), coordinator)
        finally:
            await admin.close()

    async def drop_records(self, before: int) -> None:
        admin = AIOKafkaAdminClient(**self.kafka.client_options())
        await admin.start()
        await admin.delete_records({self.partitions[0]: RecordsToDelete(before_offset=before)})
        await admin.close()

    def end(self, process: subprocess.Popen[bytes], seconds: float = 60) -> tuple[int, str]:
        """Return the exit code and the last line of the log."""
        code = process.wait(seconds)
        return code, self.log.read_text().strip().rpartition("\n")[2]

    def kill_all(self) -> None:
        """Leave no process behind, and show what they said."""
        for process in self.running:
            process.kill()
            process.wait()
        print(self.log.read_text() if self.log.exists() else "nothing was started")

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        assert self.end(process)[0] == 0, self.log.read_text()

    def archived(self) -> list[tuple[int, int, str]]:
        table = read_rows(self.root, ["kafka_partition", "kafka_offset", "record"])
        return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))

    async def compare(self) -> int:
        """Compare the archive with the topic, byte for byte, and return how many records there are."""
        topic = [record for record in await self.read(self.topics.enriched) if record.value != BAD]
        assert self.archived() == sorted((each.partition, each.offset, each.value.decode()) for each in topic)
        listed = list(entries(self.root))
        replaced = {path for entry in listed for path in entry.replaces}  # they stay for who is reading them
        assert {*opened(self.root).walk("enriched")} - replaced == {file.path for file in live(listed)}
        assert not any(unfinished(path.rpartition("/")[2]) for path in opened(self.root).walk(""))
        return len(topic)


async def send(
    producer: AIOKafkaProducer, topic: str, partition: int, values: tuple[bytes, ...], *, abort: bool
) -> None:
    await producer.begin_transaction()
    for value in values:
        await producer.send_and_wait(topic, value, partition=partition)
    await (producer.abort_transaction() if abort else producer.commit_transaction())


def event(number: int, **more: object) -> bytes:
    late = datetime.now(UTC) - timedelta(days=number % 5 == 0)
    made = EnrichedEvent(
        event_id=f"e{number}",
        received_at=datetime.now(UTC),
        tenant="ab"[number % 2],
        event=WebhookEvent(type="alert", action="created", metadata={"created_at": late.isoformat()}),
        enrichment=Enrichment(status="not_applicable"),
        **more,
    )
    return encode(made)


@asynccontextmanager
async def flow(site: Site, draw: random.Random) -> AsyncIterator[None]:
    """Let records flow: transactions of every size, some aborted, some records that are none."""
    stop, numbers = asyncio.Event(), iter(range(10**9))

    async def feed() -> None:
        async with AIOKafkaProducer(**site.kafka.client_options(), transactional_id=uuid.uuid4().hex) as producer:
            while not stop.is_set():
                values = [event(next(numbers)) for _ in range(draw.randint(1, 25))]
                values += [BAD] * (draw.random() < 0.1)
                partition = draw.randrange(site.kafka.partitions)
                await send(producer, site.topics.enriched, partition, tuple(values), abort=draw.random() < 0.1)

    task = asyncio.create_task(feed())
    try:
        yield
    finally:
        stop.set()
        await task
