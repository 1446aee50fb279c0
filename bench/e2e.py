"""`make bench-e2e`: from the webhook to the receiver, through everything, at a steady rate.

Kafka, ingest, stream, one sink of type webhook and the bell's siblings share the machine with this program, which posts
webhooks of new alerts when they are due, whether or not earlier ones have arrived, and receives what the sink posts. The
Alert API takes 20 ms and nobody limits the calls. A delay counts from when a webhook was due, so that a sender that falls
behind hides nothing. Nothing here fails for being slow: the exit code is 1 only when a notification is missing.
"""

import argparse
import asyncio
import contextlib
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import orjson

from bench import stream_load
from bench.webhook_sender import Sender
from events.settings import KafkaSettings
from ops import topics
from sandbox import bodies, plan
from sandbox.kafka import EmbeddedKafka
from sandbox.pipeline import healthy
from sandbox.supervisor import Supervisor

PARTITIONS = 4
COMMUNITY = "5b1f6f0a-93d4-4c0e-8d52-1f0a7c3e9b24"
WARM_UP = 3.0
"""Seconds whose webhooks are not counted."""
SETTLE = 60.0
"""Seconds after the last webhook in which everything must have arrived."""
UUID = re.compile(rb'"attributes":\{"uuid":"([0-9a-f-]{36})"')
RULES = """\
targets:
  receiver: {{type: webhook, url: "http://{host}:{port}/"}}
rules:
  - {{name: everything, match: all, notify: [receiver]}}
"""


class Receiver:
    """Answers every POST with 204 and notes when each alert came."""

    def __init__(self):
        self.at, self.repeated = {}, 0

    async def __call__(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(re.search(rb"(?i)content-length: *(\d+)", head)[1]))
                uuid = UUID.search(body)[1].decode()
                self.repeated += uuid in self.at
                self.at.setdefault(uuid, time.monotonic())
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()


class Alerts:
    """Bodies about new alerts, numbered, and when each was due."""

    def __init__(self):
        self.due, self.made = {}, 0

    def __call__(self, due):
        uuid = stream_load.alert_uuid(self.made)
        ids = {"uuid": uuid, "short_id": f"AL{self.made}"}
        self.due[uuid], self.made = due, self.made + 1
        return orjson.dumps(bodies.body("alert", "created", ids, at=time.time_ns() // 1000, community=COMMUNITY))


async def bench(folder, rates, seconds):
    """Return the figures by name, and whether nothing is missing."""
    receiver, figures, well = Receiver(), {}, True
    server = await asyncio.start_server(receiver, plan.HOST, 0)
    async with server, EmbeddedKafka(folder / "kafka") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        site = layout(folder, broker.bootstrap, server.sockets[0].getsockname()[1])
        supervisor = Supervisor(lambda restart: print(restart, file=sys.stderr))
        with api(site.ports.receivers):
            try:
                for room in (each for each in plan.rooms(site) if each.name != "archive"):
                    await supervisor.start(room, healthy(room))
                sender, alerts = Sender(site.hook_url), Alerts()
                await sender.open()
                for rate in rates:
                    first = alerts.made + int(rate * WARM_UP)
                    await sender.run(rate, int(rate * (WARM_UP + seconds)), alerts)
                    counted = [stream_load.alert_uuid(number) for number in range(first, alerts.made)]
                    delays, missing = await _arrived(receiver, alerts.due, counted)
                    figures |= _spread(rate, delays)
                    well = well and not missing and not sender.refused
                    print(f"  {rate:g}/s: {len(delays)} arrived, {missing} missing", file=sys.stderr, flush=True)
            finally:
                await supervisor.stop()
    return figures | {"missing": alerts.made - len(receiver.at), "repeated": receiver.repeated}, well


async def _arrived(receiver, due, counted):
    end = time.monotonic() + SETTLE
    while (missing := sum(uuid not in receiver.at for uuid in counted)) and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return [receiver.at[uuid] - due[uuid] for uuid in counted if uuid in receiver.at], missing


def _spread(rate, delays):
    found = statistics.quantiles([1000 * each for each in delays], n=100) if len(delays) > 1 else [float("nan")] * 99
    return {f"p50_ms_{rate:g}": found[49], f"p99_ms_{rate:g}": found[98]}


def layout(folder, bootstrap, receiver_port):
    """Return a pipeline whose one target is the receiver on that port."""
    rules = folder / "tocsin.yml"
    rules.write_text(RULES.format(host=plan.HOST, port=receiver_port))
    ports = plan.Ports.free()
    made = plan.Layout(
        data=folder,
        bootstrap=bootstrap,
        ports=ports,
        hooks=f"bench={secrets.token_urlsafe(24)}",
        tenant_url=f"http://{plan.HOST}:{ports.receivers}",
    )
    shared = {"KAFKA_PARTITIONS": str(PARTITIONS), "LOG_LEVEL": "WARNING"}
    extra = {
        "ingest": shared,
        "stream": shared | {"SEKOIA_REQUESTS_PER_SECOND": "1000000"},
        "sink": shared | {"TOCSIN_RULES": str(rules)},
    }
    return replace(made, extra=extra)


@contextlib.contextmanager
def api(port):
    """Serve the Alert API's stand-in, 20 ms an answer."""
    process = subprocess.Popen([sys.executable, "-m", "bench.stream_api", str(port), "0.02"])
    try:
        while plan.is_free(port):
            time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait()


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.e2e", description=__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=[200, 1000, 3000], help="webhooks a second")
    parser.add_argument("--seconds", type=float, default=20, help="how long each rate is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        figures, well = asyncio.run(bench(Path(folder), options.rates, options.seconds))
    print(*(f"{name}={figure:.0f}" for name, figure in figures.items()))
    sys.exit(not well)


if __name__ == "__main__":
    main()
