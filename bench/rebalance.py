"""`python -m bench.rebalance`: how long a partition stands still when a stream worker comes, goes, or is killed.

Two workers on one Kafka, 200 events a second, each about another alert, all the while. A pause is the longest time between
two records of one partition of the enriched topic (by the broker's clock) around the change: what a person would have waited
longest. Kafka, workers and this program share the machine. Nothing here fails for being slow: the exit code is 1 only when an
event is missing or is there twice.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from aiokafka import AIOKafkaProducer

from bench import e2e, stream_load
from events.headers import as_text
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from ops.scan import scan
from sandbox import plan
from sandbox.kafka import EmbeddedKafka
from sandbox.pipeline import healthy
from sandbox.supervisor import Supervisor

PARTITIONS = 4
BEFORE = 1.0
"""Seconds before a change that belong to it: a pause may have begun with the last record before."""


def worker(folder, bootstrap, number, api_port):
    """Return one stream worker of the group."""
    layout = plan.Layout(
        data=folder / f"worker-{number}",
        bootstrap=bootstrap,
        ports=plan.Ports.free(),
        hooks="",
        tenant_url=f"http://{plan.HOST}:{api_port}",
        extra={
            "stream": {
                "KAFKA_PARTITIONS": str(PARTITIONS),
                "LOG_LEVEL": "WARNING",
                "SEKOIA_REQUESTS_PER_SECOND": "1000000",
            }
        },
    )
    layout.data.mkdir(parents=True)
    [process] = [each for each in plan.rooms(layout) if each.name == "stream"]
    return replace(process, name=f"stream-{number}")


async def feed(kafka, rate, sent):
    """Write raw records at a steady rate until cancelled, and note the id of each that was acknowledged."""
    began, number = time.monotonic(), 0
    async with AIOKafkaProducer(**kafka.client_options(), acks="all") as producer:
        while True:
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            each = stream_load.event(number)
            name = dict(each.headers)["event-id"].decode()
            done = await producer.send(Topics(kafka.topic_prefix).raw, each.value, each.key, headers=list(each.headers))
            done.add_done_callback(lambda done, name=name: done.exception() or sent.add(name))
            number += 1


async def bench(folder, rate, rest):
    """Return the figures by name, and whether every event is there once."""
    sent, changes = set(), {}
    async with EmbeddedKafka(folder / "kafka") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        supervisor = Supervisor(lambda restart: print(f"  {restart}", file=sys.stderr))
        api_port = plan.Ports.free().receivers
        first, second = (worker(folder, broker.bootstrap, number, api_port) for number in (1, 2))

        async def change(name, how):
            print(f"  {name}", file=sys.stderr, flush=True)
            changes[name] = time.time()
            await how
            await asyncio.sleep(rest)

        async def kill():
            supervisor.kill(second.name)

        with e2e.api(api_port):
            try:
                await supervisor.start(first, healthy(first))
                feeding = asyncio.create_task(feed(kafka, rate, sent))
                await asyncio.sleep(rest / 2)
                await change("joins", supervisor.start(second, healthy(second)))
                await change("leaves", supervisor.end(second.name))
                await change("joins_again", supervisor.start(second, healthy(second)))
                await change("killed_and_started_again", kill())
                await asyncio.sleep(
                    5
                )  # a partition's pause ends with its next record: some must follow what is looked at
                feeding.cancel()
                await asyncio.wait([feeding])
                await asyncio.sleep(5)
            finally:
                await supervisor.stop()
        found = await first_records(kafka)
    return figures(changes, found, rest), judged(sent, found)


async def first_records(kafka):
    """Return partition, time and event id of each first record of the enriched topic."""
    found = []
    async for each in scan(kafka, Topics(kafka.topic_prefix).enriched):
        headers = as_text(each.headers)
        if headers["revision"] == "0":
            found.append((each.partition, each.timestamp / 1000, headers["event-id"]))
    return found


def figures(changes, found, rest):
    """Return the longest pause of any partition around each change, and that of the middle partition."""
    times = defaultdict(list)
    for partition, at, _ in found:
        times[partition].append(at)
    made = {}
    for name, at in changes.items():
        pauses = [longest(sorted(each), at - BEFORE, at + rest) for each in times.values()]
        made |= {f"{name}_s": max(pauses), f"{name}_median_s": statistics.median(pauses)}
    return made


def longest(times, start, end):
    """Return the longest of the pauses that lie in a span in part at least; endless where nothing comes after it."""
    return max((after - before for before, after in pairwise([*times, float("inf")]) if after > start and before < end))


def judged(sent, found):
    """Return how many events are missing, and how many are there more than once."""
    seen = [name for _, _, name in found]
    return {"missing": len(sent - set(seen)), "doubled": len(seen) - len(set(seen))}


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.rebalance", description=__doc__)
    parser.add_argument("--rate", type=float, default=200, help="events a second")
    parser.add_argument("--rest", type=float, default=25, help="seconds after each change that are looked at")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        pauses, verdict = asyncio.run(bench(Path(folder), options.rate, options.rest))
    print(*(f"{name}={figure:.2f}" for name, figure in pauses.items()), *(f"{n}={v}" for n, v in verdict.items()))
    sys.exit(any(verdict.values()))


if __name__ == "__main__":
    main()
