"""`tocsin up`: the whole pipeline on this machine, supervised, with a line that shows what flows."""

import asyncio
import fcntl
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from aiokafka.errors import KafkaError
from dotenv import dotenv_values

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import live, plan
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.supervisor import Process, Ready, Supervisor

NOT_A_TERMINAL = 10.0
"""Seconds between two lines of what flows where nobody watches."""


def run() -> None:
    """Run until SIGTERM or SIGINT; the data folder stays.

    Raises NotReady.
    """
    # Children get an explicit environment, so what `.env` says must be in it; the real environment wins.
    for name, value in dotenv_values(".env").items():
        os.environ.setdefault(name, value or "")
    data = Path(os.environ.get("TOCSIN_DATA", "data")).absolute()
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotReady(f"Another `tocsin up` is running on {data}; stop it, or set TOCSIN_DATA.") from None
        asyncio.run(_run(data))


async def _run(data: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisor = Supervisor(lambda restart: _say(str(restart)))
    started = asyncio.create_task(_start(data, supervisor))
    stopped = asyncio.create_task(stop.wait())
    broker: EmbeddedKafka | None = None
    try:
        await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            layout, kafka, broker = started.result()
            _where(layout, kafka, broker)
            watching = asyncio.create_task(_watch(layout, kafka))
            await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            watching.cancel()
    finally:
        started.cancel()
        _say("Stopping; the data stays.")
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, supervisor.kill_all)  # asked twice
        await supervisor.stop()
        if broker is not None:
            broker.release()


async def _start(data: Path, supervisor: Supervisor) -> tuple[plan.Layout, KafkaSettings, EmbeddedKafka | None]:
    """Start everything in order, each when the one before is ready."""
    kafka, broker, ports = KafkaSettings(), None, plan.Ports.near()
    if not kafka.bootstrap_servers:
        broker = EmbeddedKafka(data / "kafka")
        await asyncio.to_thread(broker.prepare)
        argv, env = broker.command()
        process = Process("kafka", tuple(argv), env, data, data / "logs" / "kafka.log", stops_last=True)
        _ready("Kafka", await supervisor.start(process, broker.answers))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap)
    created = await topics.ensure(kafka)
    print(f"  topics    {len(created)} created" if created else "  topics    there", flush=True)
    simulated = not os.environ.get("SEKOIA_API_KEY")
    own_target = os.environ.get("TEAMS_WEBHOOK_URL") or os.environ.get("TOCSIN_RULES") or Path("tocsin.yml").exists()
    base = f"http://{plan.HOST}:{ports.receivers}"
    layout = plan.Layout(
        data=data,
        bootstrap=kafka.bootstrap_servers,
        ports=ports,
        hooks=_hooks(data),
        tenant_url=base if simulated else "",
        teams_url="" if own_target else f"{base}/teams/soc?sig=simulated",
        prefix=kafka.topic_prefix,
        workdir=Path.cwd(),
        environment=dict(os.environ),
        extra={"sink": {} if own_target else {"SINKS_START": "earliest"}},
    )
    options = ("--hook-url", layout.hook_url) if simulated else ()
    if simulated or not own_target:
        process = plan.simulate(layout, *options)
        _ready("simulate", await supervisor.start(process, _answers(f"{base}/_sandbox/teams")))
    for room in plan.rooms(layout):
        _ready(room.name, await supervisor.start(room, _answers(f"{room.admin}/healthz")))
    return layout, kafka, broker


def _hooks(data: Path) -> str:
    """Return INGEST_HOOKS, else the hook made by an earlier start, else a new one."""
    if hooks := os.environ.get("INGEST_HOOKS"):
        return hooks
    path = data / "hooks"
    if not path.exists():
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as out:
            out.write(f"sekoia={secrets.token_urlsafe(24)}")
    return path.read_text().strip()


def _answers(url: str) -> Ready:
    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                return (await client.get(url)).is_success
        except httpx.TransportError:
            return False

    return ready


def _where(layout: plan.Layout, kafka: KafkaSettings, broker: EmbeddedKafka | None) -> None:
    """Say where things are."""
    body = '{"type":"playbook","action":"error"}'
    lines = ["", f"  hook      {layout.hook_url}", f"  try it    curl -d '{body}' {layout.hook_url}"]
    if layout.tenant_url or layout.teams_url:
        lines.append(f"  cards     {layout.receivers_url}/")
    lines += [
        f"  archive   {layout.data / 'archive'}",
        f"  logs      {layout.data / 'logs'}",
        f"  Kafka     {kafka.bootstrap_servers}",
        "",
    ]
    if layout.tenant_url:
        lines.append("  No SEKOIA_API_KEY: this runs against a simulated tenant.")
    if broker is not None:
        lines.append(
            "  This Kafka is for trying out, tests and small sites; for more, set KAFKA_BOOTSTRAP_SERVERS, nothing else changes."
        )
    print("\n".join(lines), flush=True)


async def _watch(layout: plan.Layout, kafka: KafkaSettings) -> None:
    """Show what flows, until cancelled."""
    totals, rates, flowing, shown = live.Totals(), {}, False, 0.0
    async with _lag(kafka) as lag:
        while True:
            await _scrape(layout, totals)
            counts = {step: totals.of(step) for step in live.STEPS}
            rates |= {step: rates.get(step) or live.Rate() for step in counts}
            now = time.monotonic()
            speeds = {step: rates[step].at(now, count) for step, count in counts.items()}
            if counts["delivered"] and not flowing:
                flowing = True
                _say("  Alerts are flowing.\n")
            flow = live.Flow(counts, speeds, await _lags(lag, kafka))
            if sys.stdout.isatty():
                print(f"\r\x1b[K{live.line(flow, shutil.get_terminal_size().columns - 1)}", end="", flush=True)
            elif now - shown >= NOT_A_TERMINAL:
                shown = now
                print(live.line(flow), flush=True)
            await asyncio.sleep(1.0)


@asynccontextmanager
async def _lag(kafka: KafkaSettings) -> AsyncIterator[Lag]:
    async with Lag(kafka) as lag:
        yield lag


async def _lags(lag: Lag, kafka: KafkaSettings) -> dict[str, int | None]:
    names = Topics(kafka.topic_prefix)
    sources = {"stream": names.raw, "teams": names.enriched, "archive": names.enriched}
    found: dict[str, int | None] = {}
    for stage, topic in sources.items():
        try:
            async with asyncio.timeout(3):
                found[stage] = await lag.of(kafka.group(stage), topic)
        except (KafkaError, TimeoutError):
            found[stage] = None  # Kafka is away; the line says so
    return found


async def _scrape(layout: plan.Layout, totals: live.Totals) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        for room, address in layout.admin.items():
            try:
                response = await client.get(f"{address}/metrics")
            except httpx.TransportError:
                continue  # restarting; its counts go on from where they were
            if response.is_success:
                totals.take(room, live.scrape(response.text))


def _ready(name: str, seconds: float) -> None:
    print(f"  {name:<9} ready in {seconds:.1f} s", flush=True)


def _say(text: str) -> None:
    print(f"\r\x1b[K{text}" if sys.stdout.isatty() else text, flush=True)
