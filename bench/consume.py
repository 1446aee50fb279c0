"""A new consumer group on a full topic: how fast it catches up beside a bare consumer, and what that does to what is new.

`python -m bench.consume` fills Kafka with a made-up past, starts all rooms and posts webhooks of new alerts. Then two
consumer groups read the enriched topic from its beginning, each in a process of its own, one after the other: one that
hands over bytes and does nothing with them, and one that reads each record with `events/`, as examples/consumer.py does.
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


async def read(how, count):
    """Read so many records in a new group; print how long that took, by the clock and in processor time."""
    kafka, reader, done = KafkaSettings(), READERS[how], 0
    async with AIOKafkaConsumer(
        Topics(kafka.topic_prefix).enriched,
        **kafka.client_options(),
        group_id=kafka.group(f"bench-{how}-{os.getpid()}"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    ) as consumer:
        began = worked = None
        while done < count:
            for records in (await consumer.getmany(timeout_ms=1000, max_records=500)).values():
                if began is None:
                    began, worked = time.perf_counter(), time.process_time()
                for record in records:
                    reader(record.value)
                done += len(records)
            if done:
                await consumer.commit()
        print(done, time.perf_counter() - began, time.process_time() - worked)


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
        for how in READERS:
            over = asyncio.Event()
            reading = asyncio.create_task(_reader(site, how, int(records * 0.99), over))
            busy += await traffic.run(5.0, over)
            done, wall, cpu = await reading
            figures |= {f"{how}_per_s": done / wall, f"{how}_per_cpu_s": done / cpu}
            say(f"{how}: {done:,.0f} in {wall:.1f} s")
            quiet += await traffic.run(seconds / 2)
        await asyncio.sleep(10.0)
        for name, sent in (("quiet", quiet), ("busy", busy)):
            figures[f"live_p99_ms_{name}"] = 1000 * p99(
                site.receiver.at.get(a, float("inf")) - traffic.due[a] for a in sent
            )
    return figures | {"events_of_bare": figures["events_per_cpu_s"] / figures["bare_per_cpu_s"]}


async def _reader(site, how, count, over):
    argv = (sys.executable, "-m", "bench.consume", "--read", how, "--records", str(count))
    process = await asyncio.create_subprocess_exec(*argv, env=site.env, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await process.communicate()
        return [float(each) for each in out.split()]
    finally:
        over.set()


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.consume", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60, help="how long what is new is measured by itself")
    parser.add_argument("--read", choices=list(READERS), help="be one of the consumers")
    given = parser.parse_args()
    if given.read:
        asyncio.run(read(given.read, given.records))
        return
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        figures = asyncio.run(measure(Path(folder), given.records, given.seconds, since(time.monotonic())))
    print(*(f"{name}={figure:.2f}" if figure < 10 else f"{name}={figure:.0f}" for name, figure in figures.items()))


if __name__ == "__main__":
    main()
