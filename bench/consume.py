"""A new consumer group on a full topic: how fast it catches up beside a bare consumer, and what that does to what is new.

`python -m bench.consume` fills Kafka with a made-up past, starts all rooms and posts webhooks of new alerts. Then consumer
groups read the enriched topic from its beginning, one after the other: one that hands over bytes and does nothing with them,
one that parses the JSON, one that reads each record with `events/`, as examples/consumer.py does, and the same with two members.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer

from events.codec import decode_enriched
from events.settings import KafkaSettings
from events.topics import Topics
from sandbox import history_site
from sandbox.chaos import since
from sandbox.history_fill import fill
from sandbox.history_live import Traffic, p99
from sandbox.history_records import History, Size

RATE = 25.0
"""New alerts a second."""
READERS = {"bare": lambda _value: None, "json": orjson.loads, "events": decode_enriched}
GROUPS = {"bare": 1, "json": 1, "events": 1, "events-2": 2}
"""How many members each has; the name says what they do with a record."""


async def read(group, name):
    """Be a member of a new group until all is read; print how much, from when to when, and in what processor time."""
    kafka, reader, done = KafkaSettings(), READERS[name.partition("-")[0]], 0
    topic = Topics(kafka.topic_prefix).enriched
    async with AIOKafkaConsumer(
        topic,
        **kafka.client_options(),
        group_id=kafka.group(group),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    ) as consumer:
        while len(consumer.assignment()) * GROUPS[name] != len(consumer.partitions_for_topic(topic)):
            await asyncio.sleep(0.02)  # the others are not there yet
        left, began, worked = await consumer.end_offsets(consumer.assignment()), time.time(), time.process_time()
        while left:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                for record in records:
                    reader(record.value)
                done += len(records)
            await consumer.commit()
            left = {place: end for place, end in left.items() if await consumer.position(place) < end}
        print(done, began, time.time(), time.process_time() - worked)


async def measure(folder, records, seconds, say):
    """Return the figures by name."""
    end = datetime.now(UTC) - timedelta(minutes=2)
    size = Size(records, end - timedelta(hours=6), end)
    tenant, known, _never = history_site.past(size, 10, end)
    async with history_site.running(folder, size, tenant, say) as site:
        await fill(site.kafka, History(size, tenant, known, site.rules_version).events(), records, say)
        await site.start_rooms()
        traffic = Traffic(tenant, site.layout.hook_url, RATE)
        await traffic.run(10.0)
        figures, quiet, busy = {}, await traffic.run(seconds), []
        for name in GROUPS:
            over = asyncio.Event()
            reading = asyncio.create_task(_group(site, name, over))
            busy += await traffic.run(5.0, over)
            done, wall, cpu = await reading
            figures |= {f"{name}_per_s": done / wall, f"{name}_per_cpu_s": done / cpu}
            say(f"{name}: {done:,.0f} in {wall:.1f} s")
            quiet += await traffic.run(seconds / 2)
        await asyncio.sleep(10.0)
        for name, sent in (("quiet", quiet), ("busy", busy)):
            figures[f"live_p99_ms_{name}"] = 1000 * p99(
                site.receiver.at.get(a, float("inf")) - traffic.due[a] for a in sent
            )
    ratios = {f"{name}_of_bare": figures[f"{name}_per_s"] / figures["bare_per_s"] for name in GROUPS if name != "bare"}
    return figures | ratios


async def _group(site, name, over):
    """Have a group read all; return how much, in how many seconds by the clock and of processor time."""
    try:
        group = f"bench-{name}-{os.getpid()}"
        found = await asyncio.gather(*(_member(site, group, name) for _ in range(GROUPS[name])))
        done, begun, ended, cpu = zip(*found, strict=True)
        return sum(done), max(ended) - min(begun), sum(cpu)
    finally:
        over.set()


async def _member(site, group, name):
    argv = (sys.executable, "-m", "bench.consume", "--read", group, name)
    process = await asyncio.create_subprocess_exec(*argv, env=site.env, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return [float(each) for each in out.split()]


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.consume", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60, help="how long what is new is measured by itself")
    parser.add_argument("--read", nargs=2, metavar=("GROUP", "NAME"), help="be a member of a group")
    given = parser.parse_args()
    if given.read:
        asyncio.run(read(*given.read))
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        figures = asyncio.run(measure(Path(folder), given.records, given.seconds, since(time.monotonic())))
    print(*(f"{name}={figure:.2f}" if figure < 10 else f"{name}={figure:.0f}" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
