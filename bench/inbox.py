"""`make bench-inbox`: from the webhook to every open page, with the inbox on one core.

The whole pipeline runs: webhooks are posted at a steady rate, whether or not earlier ones have arrived, and each open
page notes when its stream's clock passed the notification. `inbox_` counts from the enriched record in Kafka: the
rest is ingest and the wait for the Alert API, whose budget bounds how many new alerts a second there can be. With
`--mix` the webhooks are what the simulated tenant sends, and those of new alerts are timed. Nothing here fails for
being slow: the exit code is 1 only when a notification is missing, or a page did not hear of the last one.
"""

import argparse
import asyncio
import re
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import replace
from pathlib import Path

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.webhook_sender import Sender
from events.headers import RawHeaders
from events.topics import Topics
from sandbox import pipeline, plan
from sandbox.traffic import Traffic

MESSAGE = re.compile(rb"id: (\d+)\nevent: (?:rows|reset)\n")
SETTLE = 60.0
"""Seconds after the last webhook in which everything must be on every page."""


class Page:
    """One open page: the ids its stream brought, and when."""

    def __init__(self):
        self.ids, self.times, self.bytes = [], [], 0

    async def listen(self, port):
        """Read the stream until it ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
        writer.write(b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n")
        tail = b""
        try:
            while data := await reader.read(1 << 18):
                self.bytes += len(data)
                for found in MESSAGE.finditer(tail + data):
                    self.ids.append(int(found[1]))
                    self.times.append(time.time())
                tail = data[-40:] if not MESSAGE.search(data[-40:]) else b""
        finally:
            writer.close()

    def heard(self, number):
        """Return when the page knew of a notification, None if it never did."""
        place = bisect_left(self.ids, number)
        return self.times[place] if place < len(self.times) else None


async def post(run, rate, seconds, *, mix=False):
    """Post webhooks, of new alerts alone or of all a tenant sends; return when each new alert's was due."""
    sent, traffic, clock = {}, Traffic(run.tenant), time.time() - time.monotonic()

    def make(due):
        body = traffic.next().body if mix else orjson.dumps(run.tenant.create_alert())
        about = orjson.loads(body)
        if (about.get("type"), about.get("action")) == ("alert", "created"):
            sent.setdefault(about["attributes"]["uuid"], clock + due)
        return body

    sender = Sender(run.layout.hook_url)
    await sender.open()
    await sender.run(rate, int(rate * seconds), make)
    return sent


def stored(database):
    """Return the notification of each alert."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        rows = connection.execute(
            "SELECT t.key, min(n.id) FROM threads t JOIN notifications n ON n.thread = t.id GROUP BY 1"
        )
        return {key.partition("/")[2]: number for key, number in rows}


async def appended(kafka):
    """Return when each alert's webhook came in, and when its enriched record was written by the broker's clock."""
    topic, found = Topics(kafka.topic_prefix).enriched, {}
    partitions = [TopicPartition(topic, number) for number in range(kafka.partitions)]
    consumer = AIOKafkaConsumer(
        **kafka.client_options(), isolation_level="read_committed", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    received_at = RawHeaders.from_kafka(record.headers).received_at.timestamp()
                    found.setdefault(record.key.decode(), (received_at, record.timestamp / 1000))
    finally:
        await consumer.stop()
    return found


async def paint(url):
    """Return first paint in ms and bytes of a first visit, in a browser; None without one."""
    chromium = shutil.which("chromium")
    if not chromium:
        return None
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(url)
        await page.wait_for_selector("#pulse[data-state=live]")
        found = await page.evaluate(
            "() => [performance.getEntriesByName('first-contentful-paint')[0].startTime, "
            "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
            ".reduce((sum, each) => sum + each.transferSize, 0)]"
        )
        await browser.close()
        return found


async def bench(folder, pages, rate, seconds, *, mix=False):
    """Run and return what was measured, and whether nothing is missing."""
    async with pipeline.running(folder, seed=7, quirks=[], announce=print, say=print) as run:
        inbox = plan.inbox(run.layout)
        if taskset := shutil.which("taskset"):
            inbox = replace(inbox, argv=(taskset, "-c", "0", *inbox.argv))
        print(f"inbox {await run.supervisor.start(inbox, pipeline.healthy(inbox)):.1f} s")
        opened = [Page() for _ in range(pages)]
        listening = [asyncio.create_task(page.listen(run.layout.ports.inbox)) for page in opened]
        await asyncio.sleep(2)
        sent = await post(run, rate, seconds, mix=mix)
        database = folder / "inbox" / "inbox.db"
        end = time.time() + SETTLE
        while sent.keys() - (known := stored(database)).keys() or any(
            p.heard(max(known.values())) is None for p in opened
        ):
            if time.time() > end:
                break
            await asyncio.sleep(0.5)
        written = await appended(run.kafka)
        painted = await paint(run.layout.inbox_url)
        for task in listening:
            task.cancel()
        return result(opened, sent, known, written, painted, rate)


def result(opened, sent, known, written, painted, rate):
    """Compare what was sent with what each page heard."""
    missing = len(sent.keys() - known.keys())
    last = max(known.values(), default=0)
    current = [page for page in opened if page.heard(last) is not None]
    whole = spread([page.heard(known[each]) - at for each, at in sent.items() if each in known for page in current])
    own = spread(
        [page.heard(known[each]) - at for each, (_, at) in written.items() if each in known for page in current]
    )
    before = spread([written[each][0] - at for each, at in sent.items() if each in written])
    between = spread([at - received_at for each, (received_at, at) in written.items() if each in sent])
    line = f"pages={len(opened)} current={len(current)} rps={rate:g} missing={missing}"
    line += f" p50_ms={whole[0]:.0f} p99_ms={whole[1]:.0f} inbox_p50_ms={own[0]:.0f} inbox_p99_ms={own[1]:.0f}"
    line += f" ingest_p50_ms={before[0]:.0f} ingest_p99_ms={before[1]:.0f}"
    line += f" stream_p50_ms={between[0]:.0f} stream_p99_ms={between[1]:.0f}"
    line += f" kb_per_page={statistics.fmean(page.bytes for page in opened) / 1000:.0f}"
    if painted:
        line += f" first_paint_ms={painted[0]:.0f} transfer_kb={painted[1] / 1000:.1f}"
    return line, missing == 0 and len(current) == len(opened)


def spread(delays):
    """Return the median and the 99th percentile, in milliseconds."""
    quantiles = statistics.quantiles([1000 * each for each in delays], n=100) if len(delays) > 1 else [0.0] * 99
    return quantiles[49], quantiles[98]


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument(
        "--mix", action="store_true", help="post updates, comments and repeats too; only new alerts are timed"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        line, well = asyncio.run(bench(Path(folder), options.pages, options.rate, options.seconds, mix=options.mix))
    print(line)
    sys.exit(not well)


if __name__ == "__main__":
    main()
