"""What a chaos run breaks: three Kafka nodes, an Alert API behind the vendor's firewall, several stream workers."""

import asyncio
import os
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from events.settings import KafkaSettings
from ops import topics
from sandbox import alert_api, plan
from sandbox.faults import Faults
from sandbox.firewall import Firewall
from sandbox.kafka import EmbeddedKafka
from sandbox.kafka_folder import QUIET_PORTS
from sandbox.serving import HOST, serving
from sandbox.supervisor import Process, Restart, Supervisor
from sandbox.tenant import Tenant

PARTITIONS = 6
READY_WITHIN = 120.0
"""Seconds for a worker's first start; it is usually ten, and more while brokers are down."""

Say = Callable[[str], None]


@dataclass
class Workers:
    """The stream workers by name; those that have left are not in it."""

    supervisor: Supervisor
    layout: plan.Layout
    present: dict[str, Process] = field(default_factory=dict)
    exits: Counter[int] = field(default_factory=Counter)
    """How often workers ended with each exit code; 70 is how one that is fenced ends."""
    paused: set[str] = field(default_factory=set)

    async def join(self, name: str, *, wait: bool = True) -> None:
        """Start a worker, and wait until it owns partitions that are ready, if it is to."""
        process = self.present[name] = _process(self.layout, name)

        async def ready() -> bool:
            return bool((await health(process)).get("ready"))

        await self.supervisor.start(process, ready if wait else None, READY_WITHIN)

    async def leave(self, name: str) -> None:
        """Let a worker stop and not come back."""
        del self.present[name]
        await self.supervisor.end(name)

    def running(self) -> list[str]:
        """Return those that are up and not paused."""
        return [name for name in self.present if self.supervisor.pid(name) and name not in self.paused]

    async def health(self, name: str) -> dict[str, Any]:
        """Return what a worker says of itself; empty when it does not answer."""
        return await health(self.present[name])


@dataclass
class Site:
    """A running site."""

    kafka: KafkaSettings
    brokers: EmbeddedKafka
    tenant: Tenant
    firewall: Firewall
    api: Faults
    workers: Workers

    async def pending(self) -> int:
        """Return how many events still wait for their alert; -1 while a worker does not answer."""
        found = [await self.workers.health(name) for name in self.workers.present]
        return sum(each["pending"] for each in found) if all("pending" in each for each in found) else -1


@asynccontextmanager
async def running(folder: Path, *, seed: int, workers: int, say: Say, nodes: int = 3) -> AsyncIterator[Site]:
    """Start everything in `folder` on free ports, and leave nothing running."""
    tenant, firewall, faults = Tenant(seed), Firewall(seed=seed), Faults()
    brokers = EmbeddedKafka(folder / "kafka", nodes=nodes)
    await asyncio.to_thread(brokers.prepare)
    async with serving(alert_api.create_app(tenant, firewall, faults=faults)) as base, brokers:
        kafka = KafkaSettings(bootstrap_servers=brokers.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        say(f"{len(brokers.nodes)} Kafka nodes on {brokers.bootstrap}")
        exits: Counter[int] = Counter()
        supervisor = Supervisor(lambda restart: _note(restart, exits, say))
        door = free_port()
        layout = plan.Layout(folder, brokers.bootstrap, plan.Ports(), hooks="", tenant_url=f"http://{HOST}:{door}")
        crew = Workers(supervisor, layout, exits=exits)
        try:
            await supervisor.start(_turnstile(folder, door, base), lambda: _open(door))
            names = [f"stream-{number}" for number in range(1, workers + 1)]
            await asyncio.gather(*(crew.join(name) for name in names))
            await supervisor.start(_catch_up(layout))
            say(f"{', '.join(names)} ready, {PARTITIONS} partitions")
            site = Site(kafka, brokers, tenant, firewall, faults, crew)
            yield site
        finally:
            await supervisor.stop()


def _note(restart: Restart, exits: Counter[int], say: Say) -> None:
    exits[restart.code] += 1
    say(str(restart))


def _turnstile(folder: Path, port: int, base: str) -> Process:
    """Return what notes when the workers' calls arrive: this program, which answers them, is busy with much else."""
    argv = (sys.executable, "-P", "-m", "sandbox.turnstile", str(port), base.rpartition(":")[2])
    return Process("turnstile", argv, dict(os.environ), folder, folder / "logs" / "turnstile.log")


async def _open(port: int) -> bool:
    return not plan.is_free(port)


def _process(layout: plan.Layout, name: str) -> Process:
    """Return a worker with a port and a scratch folder of its own."""
    ports = replace(layout.ports, stream_admin=free_port())
    settings = {"KAFKA_PARTITIONS": str(PARTITIONS), "STREAM_DATA": str(layout.data / name)}
    own = replace(layout, ports=ports, extra={"stream": settings})
    process = next(room for room in plan.rooms(own) if room.name == "stream")
    return replace(process, name=name, log=layout.data / "logs" / f"{name}.log")


def _catch_up(layout: plan.Layout) -> Process:
    """Return an operator's command that asks the Alert API all the while; what it lists is too young to be fed."""
    stream = next(room for room in plan.rooms(layout) if room.name == "stream")
    settings = {
        "CATCH_UP_EVERY": "2s",
        "CATCH_UP_DATA": str(layout.data / "catch-up"),
        "CATCH_UP_ADMIN_PORT": str(free_port()),
    }
    log = layout.data / "logs" / "catch-up.log"
    return replace(
        stream, name="catch-up", argv=(*stream.argv[:-1], "catch-up"), env=dict(stream.env) | settings, log=log
    )


def free_port() -> int:
    """Return a free port that no outgoing connection can take while a worker is down."""
    return next(port for port in iter(lambda: secrets.choice(QUIET_PORTS), 0) if plan.is_free(port))


async def health(process: Process) -> dict[str, Any]:
    """Return what a room says of itself; empty when it does not answer."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            found: dict[str, Any] = (await client.get(f"{process.admin}/healthz")).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return found
