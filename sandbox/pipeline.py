"""A whole pipeline in one folder on free ports, to be broken: Kafka, tenant, receiver and all rooms, supervised."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import alert_api, plan
from sandbox.at_once import at_once
from sandbox.evidence import Kill
from sandbox.firewall import Firewall
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.quirks import Quirks
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.supervisor import Process, Ready, Restart, Supervisor
from sandbox.tenant import Tenant
from sandbox.throwaway import environment, throwaway, topics_of

PARTITIONS = 4
BACK_WITHIN = 90.0
"""Seconds in which a room that was killed must be ready again."""
SETTINGS = {
    "stream": {"STREAM_ENRICH_DEADLINE": "3s"},
    "sink": {"SINKS_START": "earliest"},
    "archive": {"ARCHIVE_FLUSH_EVERY": "1s"},
}


@dataclass
class Pipeline:
    """A running pipeline, its tenant and its receiver."""

    kafka: KafkaSettings
    layout: plan.Layout
    tenant: Tenant
    firewall: Firewall
    teams: TeamsReceiver
    supervisor: Supervisor
    _ready: dict[str, Ready]
    kills: list[Kill] = field(default_factory=list)

    async def kill(self, room: str) -> None:
        """Kill -9 a room, or the broker, and wait until its successor is ready."""
        at, before = time.time(), self.supervisor.restarts(room)
        self.supervisor.kill(room)
        async with asyncio.timeout(BACK_WITHIN):
            while self.supervisor.restarts(room) == before or not await self._ready[room]():
                await asyncio.sleep(0.1)
        self.kills.append(Kill(room, at, time.time()))

    async def lag(self, lag: Lag) -> dict[str, int]:
        """Return how many records each consumer group has still to handle; -1 while nobody knows."""
        names = Topics(self.kafka.topic_prefix)
        sources = {"stream": names.raw, "teams": names.enriched, "archive": names.enriched}
        found = {group: await lag.of(self.kafka.group(group), topic) for group, topic in sources.items()}
        return {group: -1 if count is None else count for group, count in found.items()}

    async def pending(self) -> int:
        """Return how many events still wait for their alert."""
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            response = await client.get(f"{self.layout.admin['stream']}/healthz")
        return int(response.json().get("pending", 0))


@asynccontextmanager
async def running(
    folder: Path,
    *,
    seed: int,
    quirks: Sequence[str],
    announce: Callable[[Restart], None],
    say: Callable[[str], None],
    cluster: KafkaSettings | None = None,
) -> AsyncIterator[Pipeline]:
    """Start everything in `folder`, and leave nothing running; on a cluster that is there, leave no topic either."""
    tenant, firewall = Tenant(seed), Firewall()
    parsed = Quirks.parse(quirks)
    teams = TeamsReceiver(quirks=parsed)
    ports = plan.Ports.free()
    supervisor, ready = Supervisor(announce), dict[str, Ready]()
    async with (
        _on(cluster, say) if cluster else _own_kafka(folder, supervisor, ready, say) as kafka,
        serving(alert_api.create_app(tenant, firewall, parsed, teams), ports.receivers),
    ):
        layout = _layout(folder, kafka, ports, teams)
        try:
            rooms = plan.rooms(layout)
            ready |= {room.name: healthy(room) for room in rooms}
            await start_all(supervisor, rooms, say)
            yield Pipeline(kafka, layout, tenant, firewall, teams, supervisor, ready)
        finally:
            await supervisor.stop()


async def start_all(
    supervisor: Supervisor, rooms: Sequence[Process], say: Callable[[str], None] = lambda _: None, within: float = 60.0
) -> None:
    """Start rooms at once, for each mostly waits, until all are ready; of each is said after how long it was.

    Raises NotReady of the first that is not.
    """

    async def start(room: Process) -> None:
        say(f"{room.name} {await supervisor.start(room, healthy(room), within):.1f} s")

    await at_once(map(start, rooms))


@asynccontextmanager
async def _own_kafka(
    folder: Path, supervisor: Supervisor, ready: dict[str, Ready], say: Callable[[str], None]
) -> AsyncIterator[KafkaSettings]:
    broker = EmbeddedKafka(folder / "kafka")
    await asyncio.to_thread(broker.prepare)
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
    ready["broker"] = broker.answers
    try:
        say(f"Kafka {await supervisor.start(_broker(broker, folder), broker.answers):.1f} s")
        await topics.ensure(kafka)
        yield kafka
    finally:
        await supervisor.stop()
        broker.release()


@asynccontextmanager
async def _on(cluster: KafkaSettings, say: Callable[[str], None]) -> AsyncIterator[KafkaSettings]:
    kafka = throwaway(cluster, PARTITIONS)
    say(f"topics {kafka.topic_prefix}* on {kafka.bootstrap_servers}; they are deleted at the end")
    async with topics_of(kafka):
        yield kafka


RULES = """\
targets:
  teams: {type: teams, url: "${TEAMS_WEBHOOK_URL}", limits: []}
rules:
  - {name: everything, match: all, notify: teams}
"""
"""Every event on a card of its own, for the oracle to count: this channel takes what it gets (`make flood` has limits)."""


def _layout(folder: Path, kafka: KafkaSettings, ports: plan.Ports, teams: TeamsReceiver) -> plan.Layout:
    shared = {"KAFKA_PARTITIONS": str(PARTITIONS)} | environment(kafka)
    base = f"http://{plan.HOST}:{ports.receivers}"
    rules = folder / "tocsin.yml"
    rules.write_text(RULES, encoding="utf-8")
    return plan.Layout(
        data=folder,
        bootstrap=kafka.bootstrap_servers,
        prefix=kafka.topic_prefix,
        ports=ports,
        hooks=f"selftest={secrets.token_urlsafe(24)}",
        tenant_url=base,
        teams_url=teams.url(base),
        extra={name: shared | SETTINGS.get(name, {}) for name in _ROOMS}
        | {"sink": shared | {"TOCSIN_RULES": str(rules)} | SETTINGS["sink"]},
    )


_ROOMS = ("ingest", "stream", "sink", "archive")


def _broker(broker: EmbeddedKafka, folder: Path) -> Process:
    argv, env = broker.command()
    return Process("broker", tuple(argv), env, folder, folder / "logs" / "broker.log", stops_last=True)


def healthy(room: Process) -> Callable[[], Awaitable[bool]]:
    """Return what asks a room whether it is ready."""

    async def ready() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                return (await client.get(f"{room.admin}/healthz")).is_success
        except httpx.TransportError:
            return False

    return ready
