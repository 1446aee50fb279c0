"""`make bench-ingest`: acknowledged requests per second of ingest beside the usual endpoint and a bare ASGI callable.

One run, one Kafka, 900-byte bodies, 64 connections, acks=all. The server has a core for itself; Kafka and the load share
the others. The contenders take turns, so that whatever else the machine does hits all of them. Nothing here fails for
being slow: the exit code is 1 only when a request was refused or the topic does not hold what was acknowledged.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import orjson

from bench.ingest_contenders import TOKEN
from events.settings import KafkaSettings
from ops import topics
from sandbox import raw_records
from sandbox.kafka import EmbeddedKafka
from sandbox.plan import bare_environment

MEASURED = ("pydantic", "bare", "tocsin")
BUSY = 0.85
"""Share of its core that the server under test must have used; below it, something else was the limit."""
START = 60.0
"""Seconds in which a server must listen."""


class Server:
    """One contender, as a process on its own core, with topics of its own."""

    def __init__(self, name, bootstrap, core, folder, partitions=12):
        self.name = name
        self.kafka = KafkaSettings(
            bootstrap_servers=bootstrap, topic_prefix=f"{name}.", partitions=partitions, _env_file=None
        )
        self.port, admin = free_port(), free_port()
        self.rounds, self.cpu_us = [], []
        self._log = folder / f"{name}.log"
        self._env = bare_environment() | {
            "BENCH_PORT": str(self.port),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_PARTITIONS": str(partitions),
            "KAFKA_TOPIC_PREFIX": self.kafka.topic_prefix,
            "INGEST_HOOKS": f"bench={TOKEN}",
            "INGEST_PORT": str(self.port),
            "INGEST_ADMIN_PORT": str(admin),
            "TOCSIN_DATA": str(folder / "data"),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        self._command = [sys.executable, "-m", "bench.ingest_contenders", name, core]

    def __enter__(self):
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                self._command, env=self._env, cwd=self._log.parent, stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + START
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{self.name} does not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def measure(self, seconds, connections):
        """Put load on it once."""
        before = cpu_seconds(self.process.pid)
        command = [sys.executable, "-m", "bench.ingest_load", str(self.port), f"/hooks/{TOKEN}", str(seconds)]
        done = subprocess.run([*command, str(connections)], env=self._env, stdout=subprocess.PIPE, check=True)
        found = orjson.loads(done.stdout)
        used = cpu_seconds(self.process.pid) - before
        self.rounds.append(found)
        self.cpu_us.append(used / found["answered"] * 1e6)
        found |= {"cpu_us": self.cpu_us[-1], "server_busy": self.cpu_us[-1] * found["rps"] / 1e6}
        return found

    def median(self, name):
        return statistics.median(each[name] for each in self.rounds)

    def acknowledged(self):
        return sum(each["answered"] for each in self.rounds)

    def refused(self):
        return sum(each["refused"] for each in self.rounds)

    def rss_mb(self):
        """Return the memory of the process and its children in megabytes, where the system tells."""
        return sum(_rss(pid) for pid in family(self.process.pid)) / 1e6


def family(pid):
    found = [pid]
    for each in found:
        path = Path(f"/proc/{each}/task/{each}/children")
        found += [int(child) for child in path.read_text().split()] if path.exists() else []
    return found


def _rss(pid):
    path = Path(f"/proc/{pid}/statm")
    return int(path.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.exists() else 0


def cpu_seconds(pid):
    total = 0
    for each in family(pid):
        path = Path(f"/proc/{each}/stat")
        fields = path.read_text().rpartition(")")[2].split() if path.exists() else [0] * 13
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cores():
    """Give the first core to the server and the others to everything else; return the server's."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(usable) < 2:
        print("One core, or a system where cores cannot be chosen: the figures mean little here.")
        return "any"
    os.sched_setaffinity(0, usable[1:])
    return str(usable[0])


def run(options, folder):
    core = cores()
    kafka = EmbeddedKafka(folder / "kafka")
    asyncio.run(kafka.start())
    try:
        servers = {
            name: Server(name, kafka.bootstrap, core, folder, options.partitions) for name in (*MEASURED, "nothing")
        }
        for name in MEASURED:
            asyncio.run(topics.ensure(servers[name].kafka))
        with ExitStack() as stack:
            for server in servers.values():
                stack.enter_context(server)
            most = servers["nothing"].measure(min(2, options.seconds), options.connections)
            print(f"the load alone: {most['rps']:,.0f} requests/s\n")
            for number in range(options.rounds):
                turn = MEASURED[number % 3 :] + MEASURED[: number % 3]
                for name in turn:
                    found = servers[name].measure(options.seconds, options.connections)
                    print(
                        f"round {number + 1}  {name:9}{found['rps']:9,.0f}/s  p99 {found['p99_ms']:6.1f} ms  "
                        f"{found['cpu_us']:6.1f} us CPU/event  server {found['server_busy']:4.0%} busy  "
                        f"load {found['load_busy']:4.0%}  {found['refusal'][:60]}",
                        flush=True,
                    )
            return report(servers)
    finally:
        asyncio.run(kafka.stop())


def report(servers):
    """Print the table and the last line; return the exit code."""
    print("\n| server | acknowledged/s | p50 ms | p99 ms | CPU us/event | memory MB |\n|---|--:|--:|--:|--:|--:|")
    for name in MEASURED:
        server = servers[name]
        print(
            f"| {name} | {server.median('rps'):,.0f} | {server.median('p50_ms'):.1f} | {server.median('p99_ms'):.1f} "
            f"| {statistics.median(server.cpu_us):.1f} | {server.rss_mb():.0f} |"
        )
    bad = 0
    for name in MEASURED:
        server = servers[name]
        written = asyncio.run(raw_records.length(server.kafka))
        if server.refused() or written < server.acknowledged():
            print(f"{name}: {server.refused()} refused, {server.acknowledged()} acknowledged, {written} in the topic")
            bad = 1
    ours = servers["tocsin"]
    idle = [name for name in ("bare", "tocsin") if servers[name].median("server_busy") < BUSY]
    if idle:
        print(
            f"{' and '.join(idle)} left the core idle: Kafka, the load or another program was the limit, not the server."
        )

    def against(other, name="rps"):
        pairs = zip(ours.rounds, servers[other].rounds, strict=True)
        return statistics.median(mine[name] / theirs[name] for mine, theirs in pairs)

    print(
        "events per second of the server's own processor time: "
        f"{1 / against('pydantic', 'cpu_us'):.2f} of pydantic, {1 / against('bare', 'cpu_us'):.2f} of bare"
    )
    print(
        f"rps={ours.median('rps'):.0f} p99_ms={ours.median('p99_ms'):.1f} rss_mb={ours.rss_mb():.0f} "
        f"vs_pydantic={against('pydantic'):.2f} vs_bare={against('bare'):.2f}"
    )
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="how long each contender is measured each time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--partitions", type=int, default=12, help="of each topic; fewer make larger batches")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        sys.exit(run(options, Path(folder)))


if __name__ == "__main__":
    main()
