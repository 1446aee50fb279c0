"""`make soak MINUTES=30`: does anything grow? The whole pipeline at a steady rate, the memory of each process watched.

Kafka, ingest, stream, a sink of type webhook, the archive and the bell; webhooks of new alerts from here, received here. The
dedupe window is as short as the warm-up, and the warm-up six times as fast as what follows: what is bounded is full when
counting starts (at 50 a second after it: the stream's 64 MB of answers with 28,000 alerts, the sink's memory with 100,000, and
its table, which Python doubles once, with 175,000).
Growth is that of the median of the last fifth of the samples over that of the first, of the process that grew most. The exit
code is 1 when something is missing or waits at the end, or something has grown by more than the bound.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

from bench.e2e import PARTITIONS, Alerts, Receiver, api, layout
from bench.webhook_sender import Sender
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import plan
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.pipeline import healthy
from sandbox.supervisor import Supervisor

FASTER = 6
"""How much faster than the rest the warm-up is."""
EVERY = 5.0
"""Seconds between two looks at the memory."""
TOLD_EVERY = 30.0
SETTLE = 120.0
"""Seconds after the last webhook in which everything must have arrived and every backlog be gone."""
FIFTH = 5


def rss_mb(pid):
    """Return the resident memory of a process and all it has started, in MB; 0 when it is gone."""
    try:
        one = psutil.Process(pid)
        return sum(each.memory_info().rss for each in [one, *one.children(recursive=True)]) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def growth_pct(samples):
    """Return by how much the last fifth of the samples is above the first, in percent; 0 for too few."""
    part = len(samples) // FIFTH
    if not part:
        return 0.0
    first, last = statistics.median(samples[:part]), statistics.median(samples[-part:])
    return 100 * (last / first - 1) if first else 0.0


class Soak:
    """One run: the rooms, what they hold in memory, and what is on its way."""

    def __init__(self, kafka, supervisor, receiver, alerts):
        self._kafka, self._supervisor = kafka, supervisor
        self._receiver, self._alerts = receiver, alerts
        self.samples = {name: [] for name in supervisor.names}

    async def watch(self, began):
        """Look at the memory until cancelled, and tell how it goes."""
        told = 0.0
        while True:
            for name, samples in self.samples.items():
                samples.append(rss_mb(self._supervisor.pid(name) or 0))
            if time.monotonic() - told >= TOLD_EVERY:
                told = time.monotonic()
                held = ", ".join(f"{name} {samples[-1]:.0f}" for name, samples in self.samples.items())
                sent, arrived = self._alerts.made, len(self._receiver.at)
                print(
                    f"  {told - began:6.0f} s  {sent} sent, {arrived} arrived; MB: {held}", file=sys.stderr, flush=True
                )
            await asyncio.sleep(EVERY)

    async def lag(self):
        """Return how many records wait for somebody."""
        names = Topics(self._kafka.topic_prefix)
        readers = {"stream": names.raw, "receiver": names.enriched, "archive": names.enriched}
        async with Lag(self._kafka) as lag:
            found = [await lag.of(self._kafka.group(group), topic) for group, topic in readers.items()]
        return sum(count or 0 for count in found)

    async def settled(self):
        """Wait until nothing is on its way; return what still is: missing, and lag."""
        end = time.monotonic() + SETTLE
        while True:
            missing, lag = self._alerts.made - len(self._receiver.at), await self.lag()
            if (not missing and not lag) or time.monotonic() > end:
                return missing, lag
            await asyncio.sleep(1)


async def soak(folder, minutes, rate, warm_up):
    """Return the figures by name, and the growth of each process."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver, plan.HOST, 0)
    async with server, EmbeddedKafka(folder / "kafka") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        site = _windowed(layout(folder, broker.bootstrap, server.sockets[0].getsockname()[1]), warm_up)
        supervisor = Supervisor(lambda restart: print(restart, file=sys.stderr))
        with api(site.ports.receivers):
            try:
                for room in (*plan.rooms(site), plan.inbox(site)):
                    await supervisor.start(room, healthy(room), within=180)
                sender, alerts = Sender(site.hook_url), Alerts()
                await sender.open()
                print(f"warming up for {warm_up:.0f} s", file=sys.stderr, flush=True)
                await sender.run(FASTER * rate, int(FASTER * rate * warm_up), alerts)
                one = Soak(kafka, supervisor, receiver, alerts)
                watching = asyncio.create_task(one.watch(time.monotonic()))
                await sender.run(rate, int(rate * minutes * 60), alerts)
                watching.cancel()
                missing, lag = await one.settled()
                restarts = sum(supervisor.restarts(name) for name in supervisor.names)
            finally:
                await supervisor.stop()
    growth = {name: (samples[0], samples[-1], growth_pct(samples)) for name, samples in one.samples.items()}
    figures = {"sent": alerts.made, "refused": sender.refused, "missing": missing, "repeated": receiver.repeated}
    figures |= {"restarts": restarts, "rss_growth_pct": max(grown for *_, grown in growth.values()), "lag_end": lag}
    return figures, growth


def _windowed(site, warm_up):
    extra = {name: dict(settings) for name, settings in site.extra.items()}
    extra["stream"]["STREAM_DEDUPE_WINDOW"] = f"{warm_up:.0f}s"
    extra["archive"] = {"KAFKA_PARTITIONS": str(PARTITIONS), "ARCHIVE_FLUSH_EVERY": "10s", "LOG_LEVEL": "WARNING"}
    extra["inbox"] = {"KAFKA_PARTITIONS": str(PARTITIONS), "LOG_LEVEL": "WARNING"}
    return replace(site, extra=extra)


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30, help="how long, after the warm-up")
    parser.add_argument("--rate", type=float, default=50, help="webhooks a second")
    parser.add_argument("--warm-up", type=float, default=600, help="seconds that are not counted")
    parser.add_argument("--bound", type=float, default=5, help="percent a process may grow")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-soak-", ignore_cleanup_errors=True) as folder,
        contextlib.suppress(KeyboardInterrupt),
    ):
        figures, growth = asyncio.run(soak(Path(folder), options.minutes, options.rate, options.warm_up))
        for name, (first, last, grown) in growth.items():
            print(f"{name:10} {first:6.1f} to {last:6.1f} MB, {grown:+.1f} %")
        print(
            *(
                f"{name}={figure:.1f}" if name.endswith("pct") else f"{name}={figure}"
                for name, figure in figures.items()
            )
        )
        lost = figures["missing"] or figures["refused"] or figures["lag_end"]
        sys.exit(1 if lost or figures["rss_growth_pct"] > options.bound else 0)
    sys.exit(130)


if __name__ == "__main__":
    main()
