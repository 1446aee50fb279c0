"""`make bench-stream`: the stream beside the textbook Faust agent and a bare aiokafka loop, in one run.

One worker has a core for itself; Kafka, the Alert API and this program share the other one. Nothing here fails for being
slow: the exit code is 1 only when the firewall blocked us or a run wrote nothing.
"""

import argparse
import asyncio
import contextlib
import io
import logging
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from bench import stream_latency, stream_load
from bench.pinned import pin
from events.settings import KafkaSettings
from ops import topics
from sandbox import plan
from sandbox.kafka import EmbeddedKafka
from sandbox.kafka_folder import QUIET_PORTS

KAFKA_CORE, WORKER_CORE = 0, 1
PARTITIONS = 4
SECONDS = 20.0
"""How long each contender is measured, once it has written its first record."""
START, QUIET = 90.0, 6.0
"""Seconds to the first record, and without any more until it is through."""
EVENTS, ALERTS = 400_000, 500
"""Preloaded for the cached runs; one alert has 800 events."""
UNBUDGETED = {"SEKOIA_REQUESTS_PER_SECOND": "1000000"}
PATIENT = {"STREAM_ENRICH_DEADLINE": "1h"}
"""Preloaded events have waited already; the deadline would turn them into pending ones, which cost nothing."""


class Bench:
    """One Kafka node and whatever is measured on it, one thing after the other."""

    def __init__(self, folder, logs, seconds):
        logs.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._logs = logs
        self._seconds = seconds
        self._stack = contextlib.AsyncExitStack()
        self._spent = 0.0, 0.0
        self.figures = {}

    async def __aenter__(self):
        self._kafka = await self._stack.enter_async_context(EmbeddedKafka(self._folder / "kafka"))
        return self

    async def __aexit__(self, *error):
        await self._stack.__aexit__(*error)

    async def cached(self):
        """Every alert is in the cache but for its first event."""
        kafka = await self._topics("cached.")
        await stream_load.preload(kafka, EVENTS, ALERTS)
        with self._api(0.0) as api:
            with self._worker(kafka, api, UNBUDGETED | PATIENT) as process:
                await self._measured(kafka, process)
            await self._found(kafka, "eps_cached", "complete")
            for name in ("textbook", "bare"):
                to = await self._topics(f"{name}.")
                with self._contender(name, to, kafka.topic_prefix, api, ALERTS) as process:
                    await self._measured(to, process)
                await self._found(to, f"eps_{name}")

    async def slow(self):
        """Every event is about another alert, and the API takes 20 ms; nobody limits the calls."""
        kafka = await self._topics("slow.")
        await stream_load.preload(kafka, EVENTS // 2, EVENTS // 2)
        with self._api(0.02) as api:
            with self._worker(kafka, api, UNBUDGETED | PATIENT) as process:
                await self._measured(kafka, process)
            await self._found(kafka, "eps_20ms", "complete")
            to = await self._topics("textbook-slow.")
            with self._contender("textbook", to, kafka.topic_prefix, api) as process:
                await self._measured(to, process)
            await self._found(to, "eps_20ms_textbook")

    async def budget(self):
        """Every event is about another alert, inside the vendor's budget and behind its firewall."""
        kafka = await self._topics("budget.")
        await stream_load.preload(kafka, 40_000, 40_000)
        with self._api(0.02, "--firewall") as api:
            with self._worker(kafka, api, PATIENT) as process:
                await self._measured(kafka, process, 2 * self._seconds)
            async with httpx.AsyncClient(trust_env=False) as client:
                stats = (await client.get(f"{api}/_sandbox/firewall")).json()
        await self._found(kafka, "alerts_per_s_5rps", "complete")
        self.figures["max_requests_in_any_1s"] = stats["max_requests_in_any_1s"]
        self.figures["blocks"] = stats["blocks"]

    async def latency(self):
        """Events come one by one, each about another alert, and the API takes 20 ms."""
        kafka = await self._topics("latency.")
        with self._api(0.02) as api, self._worker(kafka, api, UNBUDGETED):
            await stream_latency.warm(kafka)
            taken = await stream_latency.paced(kafka, self._seconds)
        _say(f"latency. {len(taken)} of {int(stream_latency.PACE * self._seconds)} seen")
        hundredths = statistics.quantiles(taken, n=100)
        self.figures |= {"p50_ms": 1000 * hundredths[49], "p99_ms": 1000 * hundredths[98]}

    async def _topics(self, prefix):
        kafka = KafkaSettings(
            bootstrap_servers=self._kafka.bootstrap, topic_prefix=prefix, partitions=PARTITIONS, _env_file=None
        )
        with contextlib.redirect_stderr(io.StringIO()):
            await topics.ensure(kafka)
        return kafka

    @contextlib.contextmanager
    def _api(self, latency, *options):
        port = _port()
        with self._started(
            "api.", KAFKA_CORE, ["-m", "bench.stream_api", str(port), str(latency), *options], os.environ
        ):
            base = f"http://127.0.0.1:{port}"
            for _ in range(100):
                with contextlib.suppress(httpx.TransportError):
                    httpx.get(f"{base}/_sandbox/firewall", trust_env=False)
                    break
                time.sleep(0.1)
            yield base

    def _worker(self, kafka, api, settings):
        layout = plan.Layout(
            self._folder,
            kafka.bootstrap_servers,
            plan.Ports(stream_admin=_port()),
            hooks="",
            tenant_url=api,
            prefix=kafka.topic_prefix,
            extra={"stream": {"KAFKA_PARTITIONS": str(PARTITIONS), "LOG_LEVEL": "WARNING"} | settings},
        )
        process = next(each for each in plan.rooms(layout) if each.name == "stream")
        return self._started(f"stream-{kafka.topic_prefix}", WORKER_CORE, process.argv[1:], process.env)

    def _contender(self, name, kafka, source, api, warm=0):
        settings = {"BENCH_KAFKA": kafka.bootstrap_servers, "BENCH_SOURCE": source}
        settings |= {"BENCH_PREFIX": kafka.topic_prefix, "BENCH_API": api, "BENCH_WARM": str(warm)}
        command = ["-m", "bench.stream_contenders", name]
        return self._started(kafka.topic_prefix, WORKER_CORE, command, os.environ | settings)

    @contextlib.contextmanager
    def _started(self, name, core, arguments, env):
        command = [sys.executable, "-m", "bench.pinned", str(core), "--", sys.executable, *arguments]
        with (self._logs / f"{name}log").open("wb") as log:
            process = subprocess.Popen(command, env=dict(env), stdout=log, stderr=subprocess.STDOUT)
            try:
                yield process
            finally:
                process.send_signal(signal.SIGKILL)
                process.wait()

    async def _measured(self, kafka, process, seconds=0.0):
        """Let it work for the time of a measurement, or until it is through."""
        _say(f"{kafka.topic_prefix} process {process.pid}")
        before, began = 0, time.monotonic()
        while await stream_load.length(kafka) == 0 and time.monotonic() - began < START:
            await asyncio.sleep(0.2)
        self._spent = time.time(), -_cpu(process.pid)
        end = moved = time.monotonic()
        end += seconds or self._seconds
        while time.monotonic() < min(end, moved + QUIET) and process.poll() is None:
            await asyncio.sleep(1.0)
            now = await stream_load.length(kafka)
            moved = time.monotonic() if now != before else moved
            before = now
        self._spent = self._spent[0], self._spent[1] + _cpu(process.pid)

    async def _found(self, kafka, name, status=""):
        """Note the rate, and what a second of processor time was good for: that one bears company on the machine."""
        found, (since, seconds) = await stream_load.written(kafka, status), self._spent
        _say(f"{kafka.topic_prefix} wrote {found.statuses}")
        self.figures[name] = found.per_second() if len(found.times) > 1 else float("nan")
        self.figures[f"per_cpu_s_{name}"] = sum(1 for at in found.times if at > since) / max(seconds, 0.01)
        records = sum(found.statuses.values())
        if markers := await stream_load.length(kafka) - records:
            self.figures[f"per_transaction_{name}"] = records / markers


def _cpu(pid):
    """Return the seconds of processor time a process has had; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _port():
    return next(port for port in iter(lambda: secrets.choice(QUIET_PORTS), 0) if plan.is_free(port))


def _say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


async def _run(phases, seconds, logs_to):
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as folder:
        async with Bench(Path(folder), logs_to or Path(folder), seconds) as bench:
            for phase in phases:
                _say(phase)
                await getattr(bench, phase)()
            return bench.figures


def main():
    phases = ("cached", "slow", "budget", "latency")
    parser = argparse.ArgumentParser(prog="python -m bench.stream", description=__doc__)
    parser.add_argument("--only", choices=phases, action="append", help="measure this only; repeat for several")
    parser.add_argument("--logs", type=Path, help="keep what each process said in this folder")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each is measured")
    options = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if (os.cpu_count() or 1) < 2 or not pin(KAFKA_CORE):
        _say("no core can be given to the worker alone here: the figures mean little")
    load = os.getloadavg()[0]
    figures = asyncio.run(_run(options.only or phases, options.seconds, options.logs))
    if load > 0.5:
        _say(f"other work was going on when this began (load {load:.1f}): the figures are too low")
    figures["vs_textbook"] = figures.get("eps_cached", float("nan")) / figures.get("eps_textbook", float("nan"))
    figures["vs_bare"] = figures.get("eps_cached", float("nan")) / figures.get("eps_bare", float("nan"))
    for name, value in sorted(figures.items()):
        print(f"{name:24} {value:12,.2f}")
    last = ("eps_cached", "eps_20ms", "vs_textbook", "vs_bare", "alerts_per_s_5rps", "p99_ms")
    digits = {"vs_textbook": 1, "vs_bare": 2}
    print(*(f"{name}={figures.get(name, float('nan')):.{digits.get(name, 0)}f}" for name in last))
    sys.exit(1 if figures.get("blocks") else 0)


if __name__ == "__main__":
    main()
