"""Kafka, ingest workers and a tenant in one folder, and what can be broken while senders post."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

import httpx

from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import alert_api, evidence, plan, raw_records
from sandbox.firewall import Firewall
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.raw_oracle import Fault
from sandbox.serving import serving
from sandbox.supervisor import FIRST_PAUSE, Supervisor
from sandbox.tenant import Tenant

PARTITIONS = 4
BACK_WITHIN = 90.0
"""Seconds in which everything must be well again after the last fault."""
AT_MOST = 10.0
"""Seconds a fault is waited for; where recovery takes longer, the next one comes on top of it."""
QUIET = 4.0
"""Seconds without a new raw record after which ingest has nothing left to write."""
SETTLED_WITHIN = 180.0
STREAM_WITHIN = 300.0


class Site:
    """What is broken, and how it is broken."""

    def __init__(
        self,
        kafka: KafkaSettings,
        broker: EmbeddedKafka,
        layout: plan.Layout,
        tenant: Tenant,
        say: Callable[[str], None],
    ) -> None:
        self.kafka = kafka
        self.tenant = tenant
        self.hook_url = layout.hook_url
        self.faults: list[Fault] = []
        self.most_workers = 0
        self._open: list[tuple[str, float]] = []
        self._broker = broker
        self._admin = layout.admin
        self._rooms = {room.name: room for room in plan.rooms(layout)}
        self._say = say
        self.supervisor = Supervisor(lambda restart: say(str(restart)), longest_pause=FIRST_PAUSE)  # killed often here

    async def start(self) -> None:
        """Start ingest."""
        await self.supervisor.start(self._rooms["ingest"], lambda: self._healthy("ingest"))
        self._count_workers()

    async def break_for(self, seconds: float, random: Random) -> None:
        """Cause one fault after the other, each kind once before any comes again."""
        end, left = time.monotonic() + seconds, list[Callable[[Random], Awaitable[None]]]()
        while time.monotonic() < end:
            left = left or random.sample(self._kinds(), len(self._kinds()))
            cause = left.pop()
            name = cause.__name__.strip("_").replace("_", " ")
            self._say(name)
            self._open.append((name, time.time()))
            await cause(random)
            with suppress(TimeoutError):
                await self._until_well(AT_MOST)
            await asyncio.sleep(random.uniform(0.5, 2.5))

    async def quiet(self) -> None:
        """Wait until ingest is well and writes nothing more.

        Raises TimeoutError when it goes on for too long.
        """
        await self._until_well(BACK_WITHIN)
        async with asyncio.timeout(SETTLED_WITHIN):
            before = -1
            while (now := await raw_records.length(self.kafka)) != before:
                before = now
                await asyncio.sleep(QUIET)

    async def through_the_stream(self) -> list[str]:
        """Run a stream over the raw topic and return the event ids it wrote as revision 0."""
        await self.supervisor.start(self._rooms["stream"], lambda: self._healthy("stream"))
        group, raw = self.kafka.group("stream"), Topics(self.kafka.topic_prefix).raw
        async with Lag(self.kafka) as lag, asyncio.timeout(STREAM_WITHIN):
            while await lag.of(group, raw) != 0:
                await asyncio.sleep(0.5)
        found = await evidence.from_topics(self.kafka)
        return [each.event.event_id for each in found.enriched if each.event.revision == 0]

    def _kinds(self) -> Sequence[Callable[[Random], Awaitable[None]]]:
        return (
            self._broker_killed,
            self._broker_paused,
            self._ingest_killed,
            self._ingest_restarted,
            self._worker_killed,
            self._ingest_killed_while_the_broker_is_away,
            self._ingest_killed_while_the_broker_hangs,
        )

    async def _broker_killed(self, random: Random) -> None:
        await asyncio.to_thread(self._broker.kill)
        await asyncio.sleep(random.uniform(0.5, 6))
        await asyncio.to_thread(self._broker.restart)

    async def _broker_paused(self, random: Random) -> None:
        self._broker.pause()
        await asyncio.sleep(random.uniform(0.5, 8))
        self._broker.resume()

    async def _ingest_killed(self, _: Random) -> None:
        self._signal("ingest", signal.SIGKILL)

    async def _ingest_restarted(self, _: Random) -> None:
        self._signal("ingest", signal.SIGTERM)

    async def _worker_killed(self, random: Random) -> None:
        """Kill one of the workers; its parent must notice. Where there are none, ingest itself."""
        pid = self.supervisor.pid("ingest")
        workers = _children(pid) if pid else []
        if workers:
            with suppress(ProcessLookupError):
                os.kill(random.choice(workers), signal.SIGKILL)
        else:
            self._signal("ingest", signal.SIGKILL)

    async def _ingest_killed_while_the_broker_is_away(self, random: Random) -> None:
        await asyncio.to_thread(self._broker.kill)
        await asyncio.sleep(random.uniform(0.5, 3))
        self._signal("ingest", signal.SIGKILL)
        await asyncio.sleep(random.uniform(1, 5))
        await asyncio.to_thread(self._broker.restart)

    async def _ingest_killed_while_the_broker_hangs(self, random: Random) -> None:
        self._broker.pause()
        await asyncio.sleep(random.uniform(0.2, 3))
        self._signal("ingest", signal.SIGKILL)
        await asyncio.sleep(random.uniform(0.5, 3))
        self._broker.resume()

    def _signal(self, name: str, number: signal.Signals) -> None:
        if number == signal.SIGKILL:
            self.supervisor.kill(name)  # with all its workers
        elif pid := self.supervisor.pid(name):
            os.kill(pid, number)

    async def _until_well(self, within: float) -> None:
        async with asyncio.timeout(within):
            while not (await self._broker.answers() and await self._healthy("ingest")):
                await asyncio.sleep(0.1)
        self._count_workers()
        self.faults += [Fault(name, began, time.time()) for name, began in self._open]
        self._open.clear()

    def _count_workers(self) -> None:
        pid = self.supervisor.pid("ingest")
        self.most_workers = max(self.most_workers, len(_children(pid)) if pid else 0, 1)

    async def _healthy(self, room: str) -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
                return (await client.get(f"{self._admin[room]}/healthz")).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def running(folder: Path, workers: int, tenant: Tenant, say: Callable[[str], None]) -> AsyncIterator[Site]:
    """Start everything in `folder`, and leave nothing running.

    Raises NotReady when something cannot start.
    """
    app = alert_api.create_app(tenant, Firewall())
    async with EmbeddedKafka(folder / "kafka") as broker, serving(app) as tenant_url:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        common = {"KAFKA_PARTITIONS": str(PARTITIONS)}
        layout = plan.Layout(
            data=folder,
            bootstrap=broker.bootstrap,
            ports=plan.Ports.free(),
            hooks="chaos=token-of-the-chaos-run",
            tenant_url=tenant_url,
            extra={"ingest": common | {"INGEST_WORKERS": str(workers)}, "stream": common},
        )
        site = Site(kafka, broker, layout, tenant, say)
        try:
            await site.start()
            say(f"Kafka and ingest are ready, {site.most_workers} processes on one port")
            yield site
        finally:
            await site.supervisor.stop()


def _children(pid: int) -> list[int]:
    """Return the processes a process has started, where the system shows them."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
