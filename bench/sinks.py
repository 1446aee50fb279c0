"""How fast a sink is: posts to a fast webhook, events into digests, urgent ones past a backlog, rules per event."""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

from bench import rules as bench_rules
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


@asynccontextmanager
async def sink(folder: Path, kafka: KafkaSettings, receiver: Receiver, more: str):
    """Run a sink of its own; yields what starts it."""
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
    try:
        yield lambda: supervisor.start(room, healthy(room), within=180)
    finally:
        await supervisor.stop()
        server.close()


async def drained(kafka: KafkaSettings) -> None:
    async with Lag(kafka) as lag:
        while await lag.of(kafka.group("hook"), Topics(kafka.topic_prefix).enriched) != 0:
            await asyncio.sleep(0.05)


async def posts_per_s(folder: Path, site: Site, count: int) -> float:
    receiver = Receiver()
    await publish(site, 0, count, urgent=False)
    async with sink(folder, site.kafka, receiver, "") as start:
        await start()
        await drained(site.kafka)
    times = sorted(receiver.arrived.values())
    first, last = count // 10, count * 9 // 10
    return (last - first) / (times[last] - times[first])


async def digest_events_per_s(folder: Path, site: Site, count: int) -> float:
    receiver = Receiver()
    await publish(site, 0, count, urgent=False)
    async with sink(folder, site.kafka, receiver, ", limits: [{posts: 30, per: 60s, reserve: 5}]") as start:
        await start()
        began = time.monotonic()
        await drained(site.kafka)
        return count / (time.monotonic() - began)


async def urgent_delays(folder: Path, site: Site, count: int) -> list[float]:
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
    return [receiver.arrived[_id(name)] - at for name, at in urgent.items()]


def _id(event_id: str) -> str:
    from hashlib import sha256

    return f"{sha256(event_id.encode()).hexdigest()}_0"


async def measure(scale: float, only: str) -> str:
    """Run all or one, each on topics of its own, and return the figures."""
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as temporary:
        folder, found = Path(temporary), {}
        async with EmbeddedKafka(folder / "kafka") as broker:
            for name, work, count in (
                ("posts_per_s", posts_per_s, 5_000),
                ("digest_events_per_s", digest_events_per_s, 50_000),
                ("urgent_delay_p99_ms", urgent_delays, 5_000),
            ):
                if only not in ("", name):
                    continue
                kafka = KafkaSettings(
                    bootstrap_servers=broker.bootstrap, topic_prefix=f"{name}.", partitions=PARTITIONS, _env_file=None
                )
                await topics.ensure(kafka)
                found[name] = await work(folder / name, Site(kafka, None, None), int(count * scale))
                print(f"{name} done", file=sys.stderr, flush=True)
        if delays := found.get("urgent_delay_p99_ms"):
            found["urgent_delay_p99_ms"] = statistics.quantiles(delays, n=100)[98] * 1000
        found["rules_us_per_event"] = bench_rules._best(bench_rules.rules(100), bench_rules.events(500))
        return " ".join(f"{name}={value:,.1f}".replace(",", "") for name, value in found.items())


def main() -> None:
    """Measure, and print the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the usual number of events")
    parser.add_argument("--only", default="", help="measure this one figure, and the rules")
    options = parser.parse_args()
    logs.configure()
    print(asyncio.run(measure(options.scale, options.only)))


if __name__ == "__main__":
    main()
