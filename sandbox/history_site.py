"""Where a drill happens: Kafka, a tenant whose API tells of some alerts, a receiver, and the rooms."""

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from secrets import token_urlsafe

from aiokafka.errors import KafkaError

from events.errors import NotReady
from events.settings import KafkaSettings
from ops import topics
from sandbox import alert_api, plan
from sandbox.bodies import Json
from sandbox.chaos_site import Say
from sandbox.firewall import Firewall
from sandbox.history_forms import Known
from sandbox.history_live import Receiver
from sandbox.history_records import BACKFILL, TARGET, Size, spread
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.node import leashed
from sandbox.pipeline import healthy
from sandbox.serving import serving
from sandbox.supervisor import Supervisor
from sandbox.tenant import Tenant

RULES = """\
targets:
  {target}: {{type: webhook, url: "{base}/{target}", limits: []}}
  {backfill}: {{type: webhook, url: "{base}/{backfill}", limits: []}}
rules:
  - {{name: alerts, match: {{type: alert}}, notify: {target}}}
unmatched: drop
"""
PATIENCE = 3_600.0
"""Seconds for a room to come to the end of what there is."""
SAY_EVERY = 30.0
"""Seconds between two lines about a command that runs."""


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Site:
    """A running site."""

    folder: Path
    kafka: KafkaSettings
    layout: plan.Layout
    tenant: Tenant
    receiver: Receiver
    supervisor: Supervisor
    say: Say
    rules_version: str
    """As the receipts carry it."""
    env: dict[str, str] = field(default_factory=dict)
    started: set[str] = field(default_factory=set)
    """Names of the rooms that run."""

    async def start_rooms(self, *names: str) -> None:
        """Start the rooms of these names, or all others, the stream last; it restores its marks from all of the window."""
        for room in plan.rooms(self.layout):
            if room.name in self.started or (names and room.name not in names):
                continue
            self.started.add(room.name)
            took = await self.supervisor.start(room, healthy(room), within=600.0)
            self.say(f"{room.name} ready after {took:.1f} s")
            if room.name != "ingest":
                self.env |= dict(room.env)

    def command(self, *words: str) -> Awaitable[asyncio.subprocess.Process]:
        """Start an operator's command."""
        argv = leashed((sys.executable, "-P", "-m", "ops", *words), os.getpid())
        pipe = asyncio.subprocess.PIPE
        return asyncio.create_subprocess_exec(*argv, env=self.env, cwd=self.folder, stdout=pipe, stderr=pipe)

    async def run(self, *words: str, codes: tuple[int, ...] = (0,)) -> Ran:
        """Run an operator's command to its end. Raises NotReady when it ends otherwise than it should."""
        began = time.monotonic()
        process = await self.command(*words)
        ended = asyncio.create_task(process.communicate())
        try:
            while not (await asyncio.wait([ended], timeout=SAY_EVERY))[0]:
                self.say(f"tocsin {words[0]} has run for {time.monotonic() - began:.0f} s")
            out, err = await ended
        finally:
            if process.returncode is None:
                process.kill()
        ran = Ran(process.returncode or 0, out.decode(), err.decode(), time.monotonic() - began)
        self.say(f"tocsin {' '.join(words)}: {ran.seconds:.1f} s")
        if ran.code not in codes:
            raise NotReady(f"tocsin {' '.join(words)} ended with {ran.code}: {ran.err[-2000:]}{ran.out[-2000:]}")
        return ran

    async def drained(self, group: str, topic: str) -> None:
        """Wait until a group has handled everything in a topic. Raises NotReady when it does not come to the end."""
        left: int | None = None

        async def done() -> bool:
            nonlocal left
            with suppress(TimeoutError, KafkaError):  # a broker that is busy with much else does not always say
                async with asyncio.timeout(20), Lag(self.kafka) as lag:
                    left = await lag.of(self.kafka.group(group), topic)
            self._tell(f"{group}: {left if left is None else format(left, ',')} records of {topic} left")
            return left == 0

        await self.wait(done, f"{group} did not come to the end of {topic}")

    async def wait(self, done: Callable[[], Awaitable[bool]], otherwise: str, within: float = PATIENCE) -> None:
        """Look once a second. Raises NotReady with the words given when it takes too long."""
        end, self._said = time.monotonic() + within, time.monotonic()
        while not await done():
            if time.monotonic() > end:
                raise NotReady(f"{otherwise} within {within:.0f} s.")
            await asyncio.sleep(1.0)

    def _tell(self, text: str) -> None:
        if time.monotonic() - self._said > 10:  # noqa: PLR2004
            self._said = time.monotonic()
            self.say(text)


@asynccontextmanager
async def running(folder: Path, size: Size, tenant: Tenant, say: Say) -> AsyncIterator[Site]:
    """Start Kafka, the Alert API and the receiver, no room yet, and leave nothing running."""
    receiver, ports = Receiver(), plan.Ports.free()
    listening = await asyncio.start_server(receiver.serve, plan.HOST, 0)
    served = serving(alert_api.create_app(tenant, Firewall(seed=size.seed)), ports.receivers)
    async with listening, served, EmbeddedKafka(folder / "kafka") as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=size.partitions, _env_file=None)
        await topics.ensure(kafka)
        base = f"http://{plan.HOST}:{listening.sockets[0].getsockname()[1]}"
        rules = RULES.format(base=base, target=TARGET, backfill=BACKFILL)
        (folder / "tocsin.yml").write_text(rules, "utf-8")
        supervisor = Supervisor(lambda restart: say(str(restart)))
        layout = _layout(folder, kafka, ports)
        try:
            yield Site(
                folder, kafka, layout, tenant, receiver, supervisor, say, hashlib.sha256(rules.encode()).hexdigest()
            )
        finally:
            await supervisor.stop()


def _layout(folder: Path, kafka: KafkaSettings, ports: plan.Ports) -> plan.Layout:
    shared = {"KAFKA_PARTITIONS": str(kafka.partitions), "TOCSIN_RULES": str(folder / "tocsin.yml")}
    extra = dict.fromkeys(("ingest", "stream", "sink"), shared) | {
        "archive": shared | {"ARCHIVE_FLUSH_EVERY": "30s", "ARCHIVE_TOPICS": "enriched"}
    }
    hooks = f"drill={token_urlsafe(24)}"
    tenant_url = f"http://{plan.HOST}:{ports.receivers}"
    layout = plan.Layout(folder, kafka.bootstrap_servers, ports, hooks=hooks, tenant_url=tenant_url, extra=extra)
    return replace(layout, environment={**layout.environment, "LOG_LEVEL": "WARNING", "PATH": os.environ["PATH"]})


class Clock:
    """A tenant's time: set by hand while it makes its past up, the machine's afterwards."""

    at: float | None = None

    def __call__(self) -> float:
        """Return Unix seconds."""
        return time.time() if self.at is None else self.at


def past(size: Size, lost: int, until: datetime) -> tuple[Tenant, list[Known], list[Json]]:
    """Return a tenant, its alerts whose webhooks came, and the webhooks that never did; those are of before `until`."""
    clock = Clock()
    tenant = Tenant(size.seed, rich=True, odd_every=0, clock=clock)
    known = [("known", size.at(number)) for number in spread(size, 2 * lost)]
    step = (until - size.begin) / lost
    events = sorted(
        [*known, *(("lost", size.begin + step * (number + 0.5)) for number in range(lost))], key=lambda x: x[1]
    )
    came, never = list[Known](), list[Json]()
    for kind, at in events:
        clock.at = at.timestamp()
        body = tenant.create_alert()
        attributes = body["attributes"]
        if kind == "known":
            came.append(Known(attributes["uuid"], attributes["short_id"], int(clock.at)))
        else:
            never.append(body)
    clock.at = None
    return tenant, came, never
