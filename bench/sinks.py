"""How fast a sink is: posts to a fast webhook, events into digests, urgent ones past a backlog, rules per event.

The sink has a core for itself; Kafka, the receiver and the measuring program share the other one. Where the machine does
other things besides, the rate per second of the sink's processor time says more than the rate.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from bench import rules as bench_rules
from bench.ingest import cpu_seconds
from bench.pinned import pin
from events.settings import KafkaSettings
from events.topics import Topics
from ops import logs, topics
from sandbox import plan
from sandbox.flood import PARTITIONS, Site, publish
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.pipeline import healthy
from sandbox.supervisor import Supervisor

RULES = """\
targets:
  hook: {{type: webhook, url: "{url}"{more}}}
rules:
  - {{name: everything, match: all, notify: hook}}
"""
OTHERS_CORE, SINK_CORE = 0, 1
PATIENCE, MEASURED = 300.0, 40.0
"""Seconds each figure may take, and for how long a sink is watched that is not through before."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Receiver:
    """An endpoint that answers at once, or after `latency` seconds, and notes when which message came."""

    def __init__(self) -> None:
        self.latency = 0.0
        self.arrived: dict[str, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests until the client hangs up."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:] if b": " in line)
                await reader.readexactly(int(lines[b"content-length"]))
                self.arrived.setdefault(lines[b"webhook-id"].decode(), time.time())
                if self.latency:
                    await asyncio.sleep(self.latency)
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def written(folder: Path, rules: str) -> Path:
    folder.mkdir()
    path = folder / "tocsin.yml"
    path.write_text(rules)
    return path


def keep(pid: int, core: int) -> None:
    """Keep the threads a process has on a core; where cores cannot be chosen they stay where they are."""
    with contextlib.suppress(AttributeError, OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@asynccontextmanager
async def sink(folder: Path, kafka: KafkaSettings, receiver: Receiver, more: str):
    """Run a sink of its own; yields what starts it and returns its process id."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    supervisor = Supervisor(lambda restart: print(restart, file=sys.stderr))
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    settings = {
        "TOCSIN_RULES": str(written(folder, RULES.format(url=url, more=more))),
        "SINKS_START": "earliest",
        "SINKS_ALLOW_NETWORKS": "127.0.0.1/32",
        "KAFKA_PARTITIONS": str(PARTITIONS),
    }
    layout = plan.Layout(folder, kafka.bootstrap_servers, plan.Ports.free(), hooks="", prefix=kafka.topic_prefix,
                         extra={"sink": settings})  # fmt: skip
    (room,) = (each for each in plan.rooms(layout) if each.name == "sink")

    async def start() -> int:
        await supervisor.start(room, healthy(room), within=180)
        pid = supervisor.pid("sink")
        keep(pid, SINK_CORE)
        return pid

    try:
        yield start
    finally:
        await supervisor.stop()
        server.close()


async def drained(kafka: KafkaSettings, count: int) -> int:
    """Wait until the sink is through, or for MEASURED seconds, and return how many it has brought to their end."""
    end = time.monotonic() + MEASURED
    async with Lag(kafka) as lag:
        while (left := await lag.of(kafka.group("hook"), Topics(kafka.topic_prefix).enriched)) != 0:
            if time.monotonic() > end:
                break
            await asyncio.sleep(0.25)
    return count - (count if left is None else left)


class Pace:
    """How much was done by when, and at what expense of processor time."""

    def __init__(self, pid: int, done) -> None:
        self._pid, self._done, self.samples = pid, done, []

    async def watch(self, until: int) -> None:
        """Look ten times a second until so much is done, or for MEASURED seconds."""
        end = time.monotonic() + MEASURED
        while (not self.samples or self.samples[-1][1] < until) and time.monotonic() < end:
            self.samples.append((time.monotonic(), self._done(), cpu_seconds(self._pid)))
            await asyncio.sleep(0.1)

    def rates(self) -> tuple[float, float]:
        """Return what was done a second, and a second of processor time, between a tenth and nine tenths."""
        count = self.samples[-1][1]
        inner = [one for one in self.samples if count // 10 <= one[1] <= count * 9 // 10] or self.samples
        (began, first, spent), (ended, last, spent_then) = inner[0], inner[-1]
        return (last - first) / max(ended - began, 0.1), (last - first) / max(spent_then - spent, 0.01)


async def posts_per_s(folder: Path, site: Site, count: int) -> dict[str, float]:
    receiver = Receiver()
    await publish(site, 0, count, urgent=False)
    async with sink(folder, site.kafka, receiver, "") as start:
        pace = Pace(await start(), lambda: len(receiver.arrived))
        await pace.watch(count)
    rate, per_cpu = pace.rates()
    return {"posts_per_s": rate, "posts_per_cpu_s": per_cpu}


async def digest_events_per_s(folder: Path, site: Site, count: int) -> dict[str, float]:
    """Fold what no budget carries one by one; from the first event taken in to the last receipt."""
    receiver = Receiver()
    await publish(site, 0, count, urgent=False)
    async with sink(folder, site.kafka, receiver, ", limits: [{posts: 30, per: 60s, reserve: 5}]") as start:
        began, pid = time.monotonic(), await start()
        spent = cpu_seconds(pid)
        told = await drained(site.kafka, count)
        seconds, used = time.monotonic() - began, cpu_seconds(pid) - spent
    return {"digest_events_per_s": told / seconds, "digest_events_per_cpu_s": told / used}


async def urgent_delay_p99_ms(folder: Path, site: Site, count: int) -> dict[str, float]:
    """Publish urgent ones, ten a second, while others wait that the target takes in 5 ms each."""
    receiver = Receiver()
    receiver.latency = 0.005
    await publish(site, 0, count, urgent=False)
    async with sink(folder, site.kafka, receiver, "") as start:
        await start()
        await asyncio.sleep(2)
        for number in range(100):
            await publish(site, count + number, 1, urgent=True)
            await asyncio.sleep(0.1)
        urgent = {name: one.at for name, one in site.sent.items() if one.urgent}
        while len([1 for name in urgent if _id(name) in receiver.arrived]) < len(urgent):
            await asyncio.sleep(0.1)
    delays = [receiver.arrived[_id(name)] - at for name, at in urgent.items()]
    return {"urgent_delay_p99_ms": statistics.quantiles(delays, n=100)[98] * 1000}


def _id(event_id: str) -> str:
    from hashlib import sha256

    return f"{sha256(event_id.encode()).hexdigest()}_0"


async def measure(scale: float, only: str) -> str:
    """Run all or one, each on topics of its own, and return the figures."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as temporary:
        folder = Path(temporary)
        async with EmbeddedKafka(folder / "kafka") as broker:
            for work, count in ((posts_per_s, 10_000), (digest_events_per_s, 50_000), (urgent_delay_p99_ms, 20_000)):
                name = work.__name__
                if only not in ("", name):
                    continue
                kafka = KafkaSettings(
                    bootstrap_servers=broker.bootstrap, topic_prefix=f"{name}.", partitions=PARTITIONS, _env_file=None
                )
                await topics.ensure(kafka)
                async with asyncio.timeout(PATIENCE):
                    measured = await work(folder / name, Site(kafka, None, None), int(count * scale))
                print({each: round(value, 1) for each, value in measured.items()}, file=sys.stderr, flush=True)
                found |= measured
    found["rules_us_per_event"] = bench_rules._best(bench_rules.rules(100), bench_rules.events(500))
    return " ".join(f"{name}={value:.1f}" for name, value in found.items())


def main() -> None:
    """Measure, and print the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the usual number of events")
    parser.add_argument("--only", default="", help="measure this one figure, and the rules")
    options = parser.parse_args()
    logs.configure()
    pin(OTHERS_CORE)
    print(asyncio.run(measure(options.scale, options.only)))


if __name__ == "__main__":
    main()
