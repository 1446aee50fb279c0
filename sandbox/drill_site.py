"""Where drills take place: Kafka, a tenant, receivers, the rooms and the watch, all impatient, and what operators were told."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from events.settings import KafkaSettings
from ops import topics
from sandbox import alert_api, endpoints, plan
from sandbox.endpoints import Endpoints
from sandbox.faults import Faults
from sandbox.firewall import Firewall
from sandbox.kafka import EmbeddedKafka
from sandbox.pipeline import healthy, start_all
from sandbox.plan_watch import watch
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.supervisor import FIRST_PAUSE, Process, Supervisor
from sandbox.tenant import Tenant

PARTITIONS = 2
MOST_ROOM = 8 << 30
"""Bytes above what the watch is told to want, on the disk of the drill; others may use it meanwhile."""

SPOOL_BYTES = 1 << 20
"""What the spool may take: so little that a drill can fill it."""

RUNBOOK = "https://docs.example.org/runbook.md"

RULES = """\
targets:
  soc: {{type: teams, url: "{base}/teams/soc?sig=simulated", limits: [], canary: {{proof: human, every: 7d}}}}
  ops-chat: {{type: mattermost, url: "{base}/mattermost/hooks/ops"}}
  ops-hook: {{type: webhook, url: "{base}/webhook", secrets: "{secret}"}}
  lab:
    type: mattermost
    url: "{base}/mattermost/hooks/lab"
    canary:
      proof: read_back
      every: 1h
      bot: {{url: "{base}/mattermost", token: {token}, channel: {channel}}}
rules:
  - {{name: alerts, match: {{type: [alert, alert-comment]}}, notify: soc}}
  - {{name: never, match: {{type: never}}, notify: lab}}
unmatched: drop
operators: [ops-chat, ops-hook]
"""

IMPATIENT = {
    "WATCH_EVERY": "500ms",
    "WATCH_PATIENCE": "2s",
    "WATCH_HOLD": "1s",
    "WATCH_WINDOW": "20s",
    "WATCH_RESTARTS": "1",
    "WATCH_OLDEST": "3s",
    "WATCH_RUNBOOK": RUNBOOK,
}
"""A drill is not to take the minutes that spare people messages."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Notice:
    """One message about a condition, as the operators' channel shows it."""

    id: str
    state: str
    at: float
    runbook: str


@dataclass
class Site:
    """A running site."""

    folder: Path
    kafka: KafkaSettings
    broker: EmbeddedKafka
    tenant: Tenant
    api: Faults
    teams: TeamsReceiver
    receivers: Endpoints
    supervisor: Supervisor
    layout: plan.Layout
    rules: str
    room: int
    """Bytes that must be taken from the disk for it to be low."""
    rooms: dict[str, Process] = field(default_factory=dict)

    async def start(self, *processes: Process) -> None:
        """Start processes, all at once, and wait until each says it is ready."""
        self.rooms |= {each.name: each for each in processes}
        await start_all(self.supervisor, processes, within=90.0)

    async def back(self, name: str, restarts: int) -> None:
        """Wait until a process was started anew, and is ready."""
        while self.supervisor.restarts(name) <= restarts or not await healthy(self.rooms[name])():
            await asyncio.sleep(0.1)

    async def post_alert(self) -> None:
        """Make an alert and post its webhook."""
        (await self.post(self.tenant.create_alert(oddity=""))).raise_for_status()

    async def post(self, body: dict[str, Any]) -> httpx.Response:
        """Post a webhook."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            return await http.post(self.layout.hook_url, json=body)

    def write_rules(self, text: str) -> None:
        """Replace the rules file."""
        path = self.folder / "tocsin.yml"
        draft = path.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)

    def notices(self) -> list[Notice]:
        """Return what the operators' channel shows, in order."""
        return [
            notice
            for one in self.receivers.shown
            if one.kind == "mattermost" and (notice := _notice(one.content, one.at))
        ]

    async def raised(self) -> list[str] | None:
        """Return what the watch holds for wrong just now; None while it does not answer."""
        said = await self._watch()
        return list(said["raised"]) if said else None

    async def looked(self) -> None:
        """Wait until the watch has had a look that began after this."""
        ended: set[float] = set()
        while len(ended) < 3:  # noqa: PLR2004 - the last one before, one that was under way, one since
            if (said := await self._watch()) and said["last_look"]:
                ended.add(said["last_look"])
            await asyncio.sleep(0.1)

    async def _watch(self) -> dict[str, Any] | None:
        """Return what the watch says of itself; None while it does not answer."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                return dict((await http.get(f"{self.rooms['watch'].admin}/healthz")).json())
        except (httpx.HTTPError, ValueError):
            return None


def _notice(content: dict[str, Any], at: float) -> Notice | None:
    attachment = content["attachments"][0]
    name = str(attachment["footer"]).removeprefix("tocsin ")
    if not name.startswith("tocsin/"):
        return None
    fields = {each["title"]: each["value"].replace("\\", "") for each in attachment["fields"]}
    return Notice(name, name.rpartition("/")[2], at, fields.get("Runbook", ""))


@asynccontextmanager
async def running(folder: Path, say: Say) -> AsyncIterator[Site]:
    """Start everything in `folder` on free ports, and leave nothing running."""
    tenant, faults, teams, receivers = Tenant(7), Faults(), TeamsReceiver(), Endpoints()
    began = time.monotonic()
    app = alert_api.create_app(tenant, Firewall(), receivers=teams, taken=receivers, faults=faults)
    async with EmbeddedKafka(folder / "kafka") as broker, serving(app) as base:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        rules = RULES.format(
            base=base, secret=endpoints.SECRET, token=endpoints.BOT_TOKEN, channel=endpoints.BOT_CHANNEL
        )
        supervisor = Supervisor(lambda restart: say(str(restart)), longest_pause=FIRST_PAUSE)
        free = shutil.disk_usage(folder).free
        room = min(MOST_ROOM, free // 8)
        layout = _layout(folder, broker.bootstrap, base, disk_free=free - room)
        site = Site(folder, kafka, broker, tenant, faults, teams, receivers, supervisor, layout, rules, room)
        site.write_rules(rules)
        try:
            rooms = {each.name: each for each in plan.rooms(layout) if each.name != "archive"}
            await site.start(rooms["ingest"], rooms["sink"])
            job = plan.catch_up(layout)
            await site.start(rooms["stream"], *([job] if job else []))
            await site.start(watch(layout, "archive", "inbox"))
            say(f"Kafka, tenant, receivers, rooms and watch are ready after {time.monotonic() - began:.1f} s")
            yield site
        finally:
            await supervisor.stop()


def _layout(folder: Path, bootstrap: str, base: str, *, disk_free: int) -> plan.Layout:
    common = {"KAFKA_PARTITIONS": str(PARTITIONS), "TOCSIN_RULES": str(folder / "tocsin.yml")}
    catch_up = {"CATCH_UP_EVERY": "1s", "CATCH_UP_DELAY": "0s", "SILENCE_AFTER": "4s"}
    layout = plan.Layout(
        data=folder,
        bootstrap=bootstrap,
        ports=plan.Ports.free(),
        hooks="drill=token-of-the-drill-run",
        tenant_url=base,
        extra={
            "ingest": common | {"INGEST_SPOOL_BYTES": str(SPOOL_BYTES)},
            "stream": common,
            "sink": common | {"SINKS_START": "earliest"},
            "catch-up": common,
            "watch": common | IMPATIENT | {"WATCH_DISK_FREE": str(disk_free)},
        },
    )
    return replace(layout, environment={**layout.environment, **catch_up})
