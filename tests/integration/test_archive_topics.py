"""Raw records and receipts are archived beside the events, each once, whatever is killed."""

import asyncio
import hashlib
import importlib.util
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaProducer

from events.codec import encode
from events.records import Receipt
from ops.archive_verify import verify
from sinks.archive import signing
from sinks.archive.read import entries
from sinks.archive.storage import Folder

pytestmark = pytest.mark.kafka

_path = Path(__file__).parents[1] / "sinks" / "archive" / "processes.py"
_spec = importlib.util.spec_from_file_location("archive_processes", _path)
processes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(processes)


@pytest.fixture
def site(kafka_settings, tmp_path):
    """Return the site, and end its processes."""
    site = processes.Site(kafka_settings, tmp_path)
    yield site
    site.kill_all()


def archived(site, topic: str) -> list[dict[str, object]]:
    paths = [file.path for entry in entries(site.root, topic) for file in entry.files]
    rows = [row for path in paths for row in pq.ParquetFile(site.root / path).read().to_pylist()]
    return sorted(rows, key=lambda row: (row["kafka_partition"], row["kafka_offset"]))


def test_heads_are_told_in_kafka_and_vouch_for_the_archive(site, tmp_path):
    signing.make_key(tmp_path / "key.pem")
    key = signing.load_public(tmp_path / "key.pem")

    async def scenario() -> None:
        await site.publish(processes.event(0), processes.event(1))
        process = site.start(ARCHIVE_SIGNING_KEY=str(tmp_path / "key.pem"), ARCHIVE_HEAD_EVERY="1s")
        await site.until_archived()
        before = len(await site.read(site.topics.archive_heads))
        await site.publish(processes.event(2), partition=1)
        await site.until_archived()
        while len(told := await site.read(site.topics.archive_heads)) <= before:
            await asyncio.sleep(0.2)
        site.stop(process)
        hashes = [record.key.decode() for record in told]
        assert [hashlib.sha256(record.value).hexdigest() for record in told] == hashes
        assert all(each in site.log.read_text() for each in hashes)
        verdict = verify(Folder(site.root), keys=[key], wanted=hashes)
        assert verdict.problems == []
        assert verdict.rows == 3
        assert verdict.signed == verdict.entries + verdict.heads

    asyncio.run(scenario())


def test_raw_and_receipts_through_kill_9(site):
    draw = random.Random(7)
    topics = [site.topics.raw, site.topics.deliveries]

    async def feed(producer: AIOKafkaProducer, number: int) -> None:
        receipt = Receipt(event_id=f"e{number}", target="t", outcome="delivered")
        headers = [("tenant", b"a"), ("any", draw.randbytes(5))]
        await producer.send(site.topics.raw, draw.randbytes(50), key=draw.randbytes(4), headers=headers)
        await producer.send(site.topics.deliveries, encode(receipt), key=str(number).encode())

    def settled() -> dict[tuple[str, int], int]:
        return {(entry.topic, entry.partition): entry.next_offset for entry in entries(site.root)}

    async def scenario() -> None:
        async with AIOKafkaProducer(**site.kafka.client_options()) as producer:
            for kill in range(3):
                process = site.start(ARCHIVE_TOPICS="enriched,raw,deliveries", ARCHIVE_FLUSH_RECORDS="5")
                for number in range(40):
                    await feed(producer, 40 * kill + number)
                await producer.flush()
                written = len(settled())
                await site.until(lambda written=written: len(settled()) >= max(1, written))
                await asyncio.sleep(draw.uniform(0, 1))
                process.kill()
                process.wait()
                await site.bury_members()
        assigned = site.log.read_text().count('"assigned"')
        process = site.start(ARCHIVE_TOPICS="enriched,raw,deliveries")
        there = {topic: await site.read(topic) for topic in topics}
        counts = {topic: len(records) for topic, records in there.items()}
        assert set(counts.values()) == {120}
        # One that starts is not stopped cleanly; one whose group was silent a moment is assigned twice.
        await site.until(lambda: site.log.read_text().count('"assigned"') > assigned)
        await site.until(lambda: {topic: len(archived(site, topic)) for topic in topics} == counts, 120)
        site.stop(process)
        for records in there.values():
            records.sort(key=lambda each: (each.partition, each.offset))
        assert [
            (row["key"], row["value"], [(each["name"], each["value"]) for each in row["headers"]])
            for row in archived(site, site.topics.raw)
        ] == [(each.key, each.value, list(each.headers)) for each in there[site.topics.raw]]
        assert [row["record"] for row in archived(site, site.topics.deliveries)] == [
            each.value.decode() for each in there[site.topics.deliveries]
        ]

    asyncio.run(scenario())
