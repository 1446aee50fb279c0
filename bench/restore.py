"""`python -m bench.restore`: how fast a partition's marks come back, beside a bare aiokafka consumer on the same topic.

One partition of one node. Measured in one run: the bare consumer that reads every record and keeps nothing, the restore
without a checkpoint, and the restore from a checkpoint and a tail; memory is what the process holds more afterwards.
"""

import argparse
import asyncio
import gc
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.stream_api import AFTER, BEFORE
from events.headers import RawHeaders
from events.records import WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox.kafka import EmbeddedKafka
from stream import compose
from stream.cache import Answer
from stream.compose import Finding
from stream.main import collect_seldom
from stream.marks import digest
from stream.outbox import Outbox, Output
from stream.restore import restore

WINDOW = timedelta(hours=24)
GROUP = 1_000


async def fill(kafka, outbox, count):
    """Write so many enriched records of about 2.5 KB, as the stream would."""
    now, topic = datetime.now(UTC), Topics(kafka.topic_prefix).enriched
    uuid = "00000000-0000-4000-8000-000000000000"
    event = WebhookEvent(type="alert", action="updated", attributes={"uuid": uuid, "short_id": "AL1"})
    found = Finding("complete", None, Answer(BEFORE + uuid.encode() + AFTER, now), {"community": "Acme"})
    record = compose.first(event, RawHeaders("", "vendor", "d", now), found, "https://app")
    rest = record.headers()[1:]
    for start in range(0, count, GROUP):
        outputs = [
            Output(topic, b"k", record.value, [("event-id", b"id-%d" % number), *rest])
            for number in range(start, min(start + GROUP, count))
        ]
        await outbox.write(lambda outputs=outputs: outputs)


async def bare(kafka):
    """Return the seconds a bare consumer takes for the whole topic, and how many records that is."""
    partition = TopicPartition(Topics(kafka.topic_prefix).enriched, 0)
    began, found = time.perf_counter(), 0
    options = {"isolation_level": "read_committed", "max_partition_fetch_bytes": 4 * 1024 * 1024}
    async with AIOKafkaConsumer(**kafka.client_options(), **options, auto_offset_reset="none") as consumer:
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        consumer.seek(partition, 0)
        while await consumer.position(partition) < end:
            found += sum(map(len, (await consumer.getmany(timeout_ms=200)).values()))
    return time.perf_counter() - began, found


async def restored(kafka):
    """Return the seconds a restore takes, what it found, and the memory (bytes) that holds."""
    gc.collect()
    before, began = memory(), time.perf_counter()
    state = await restore(0, kafka.group("stream"), Topics(kafka.topic_prefix), kafka.client_options(), WINDOW)
    seconds = time.perf_counter() - began
    gc.collect()
    return seconds, state, memory() - before


def memory():
    """Return the resident bytes of this process, where the system tells."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS")), 0)


async def measure(count):
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        async with EmbeddedKafka(Path(folder)) as cluster:
            kafka = KafkaSettings(
                bootstrap_servers=cluster.bootstrap, topic_prefix="restore.", partitions=1, _env_file=None
            )
            await topics.ensure(kafka)
            outbox = Outbox(0, "restore.stream-0", kafka.client_options())
            await outbox.fence()
            began = time.perf_counter()
            await fill(kafka, outbox, count)
            print(f"wrote {count:,} records in {time.perf_counter() - began:.1f} s")
            bare_seconds, records = await bare(kafka)
            collect_seldom()  # as a worker does at its start
            seconds, state, held = await restored(kafka)
            assert len(state.marks) == count
            print(f"bare consumer {records / bare_seconds:10,.0f} records/s {bare_seconds:8.2f} s")
            print(f"from topic    {count / seconds:10,.0f} marks/s   {seconds:8.2f} s {held / 1e6:8.0f} MB")
            await outbox.write(lambda: state.ledger.checkpoint(time.monotonic(), 0.0, []))
            del state
            await fill(kafka, outbox, 5_000)  # ids it knows; a tail all the same
            short, state, held_short = await restored(kafka)
            assert len(state.marks) == state.checkpointed == count
            assert digest(f"id-{count - 1}") in state.marks
            print(f"checkpoint    {count / short:10,.0f} marks/s   {short:8.2f} s {held_short / 1e6:8.0f} MB")
            await outbox.close()
    print(
        f"marks={count} restore_s={short:.2f} restore_mb={max(held, held_short) / 1e6:.0f} "
        f"from_topic_s={seconds:.2f} vs_bare={(count / seconds) / (records / bare_seconds):.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--marks", type=int, default=1_000_000)
    asyncio.run(measure(parser.parse_args().marks))
