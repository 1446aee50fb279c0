"""`make flood`: more events than a channel may be posted, and an urgent one among them; a real sink, a simulated Teams."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.codec import decode_receipt, encode
from events.errors import NotReady
from events.headers import enriched_headers
from events.records import EnrichedEvent, Enrichment, WebhookEvent
from events.settings import KafkaSettings
from events.topics import Topics
from ops import logs, topics
from ops.scan import scan
from sandbox import plan, receivers
from sandbox.chaos import RunFolder, finished, since
from sandbox.chaos_site import Say
from sandbox.flood_report import DIGEST, Flood, Sent
from sandbox.kafka import EmbeddedKafka
from sandbox.lag import Lag
from sandbox.pipeline import healthy
from sandbox.receivers import TeamsReceiver
from sandbox.serving import serving
from sandbox.supervisor import Supervisor

PARTITIONS = 4
AT_ONCE = 1_000
"""Events in a transaction."""
PER_ALERT = 5
PATIENCE = 3_600.0
"""Seconds for the sink to come to the end of it."""


@dataclass
class Site:
    """Where it happens."""

    kafka: KafkaSettings
    teams: TeamsReceiver
    supervisor: Supervisor
    sent: dict[str, Sent] = field(default_factory=dict)


@asynccontextmanager
async def running(folder: Path, say: Say) -> AsyncIterator[Site]:
    """Start Kafka, a simulated Teams and the sink in a folder, and leave nothing running."""
    teams, supervisor, ports = TeamsReceiver(), Supervisor(lambda restart: say(str(restart))), plan.Ports.free()
    async with EmbeddedKafka(folder / "kafka") as broker, serving(receivers.create_app(teams)) as base:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, partitions=PARTITIONS, _env_file=None)
        await topics.ensure(kafka)
        settings = {"SINKS_START": "earliest", "KAFKA_PARTITIONS": str(PARTITIONS)}
        layout = plan.Layout(
            folder, broker.bootstrap, ports, hooks="", teams_url=teams.url(base), extra={"sink": settings}
        )
        (sink,) = (room for room in plan.rooms(layout) if room.name == "sink")
        try:
            say(f"sink {await supervisor.start(sink, healthy(sink)):.1f} s")
            yield Site(kafka, teams, supervisor)
        finally:
            await supervisor.stop()


async def publish(site: Site, first: int, count: int, *, urgent: bool) -> None:
    """Write events as the stream does; several of an alert, unless they are urgent."""
    numbers = list(range(first, first + count))
    topic = Topics(site.kafka.topic_prefix).enriched
    async with AIOKafkaProducer(
        **site.kafka.client_options(), transactional_id=f"flood-{uuid4().hex}", linger_ms=5
    ) as producer:
        for start in range(0, count, AT_ONCE):
            made = [event(number, urgent=urgent) for number in numbers[start : start + AT_ONCE]]
            async with producer.transaction():
                waiting = [
                    await producer.send(
                        topic, encode(one), key=(one.event.alert_uuid or "").encode(), headers=enriched_headers(one)
                    )
                    for one in made
                ]
                await asyncio.gather(*waiting)
            now = time.time()
            site.sent |= {one.event_id: Sent(one.event.short_id or "", now, urgent) for one in made}


def event(number: int, *, urgent: bool) -> EnrichedEvent:
    """Make an event of about the size of a real one."""
    alert = f"{number if urgent else number // PER_ALERT:08d}-7d1e-4c7a-9f0b-{'f' if urgent else 'a'}a1f2f0c9d11"
    urgency = 95 if urgent else 20
    return EnrichedEvent(
        event_id=f"flood/{number}",
        received_at=datetime.now(UTC),
        event=WebhookEvent(type="alert", action="updated", attributes={"uuid": alert, "short_id": f"AL{number:010d}"}),
        alert={
            "uuid": alert,
            "title": f"Suspicious sign-in on account {number % 997}",
            "urgency": {"current_value": urgency},
            "rule": {"name": f"Rule {number % 13}"},
            "entity": {"name": f"Site {number % 7}"},
            "details": "Sign-ins from two places far apart within minutes. " * 8,
        },
        enrichment=Enrichment(status="complete"),
    )


async def kill(site: Site, times: int, say: Say) -> int:
    """Kill -9 the sink as soon as a digest was taken, so that its receipts are not all written; return how often."""
    seen: set[str | None] = set()
    for number in range(times):
        while not (fresh := {p.event_id for p in site.teams.posts if (p.event_id or "").startswith(DIGEST)} - seen):
            await asyncio.sleep(0.002)
        seen |= fresh
        site.supervisor.kill("sink")
        say(f"kill -9, {number + 1} of {times}")
    return times


async def drained(site: Site, say: Say) -> None:
    """Wait until the sink has finished everything that was sent.

    Raises NotReady when that takes longer than PATIENCE.
    """
    end, said = time.monotonic() + PATIENCE, 0.0
    while (left := await _left(site)) != 0:
        if time.monotonic() > end:
            raise NotReady(f"The sink did not come to the end within {PATIENCE:.0f} s; {left} records are left.")
        if time.monotonic() - said > 10:  # noqa: PLR2004
            said = time.monotonic()
            say(f"waiting: {left} records left, {len(site.teams.posts)} posts")
        await asyncio.sleep(1)


async def _left(site: Site) -> int | None:
    """Return how many records the sink has not finished; None when the broker, busy with the flood, does not say."""
    try:
        async with asyncio.timeout(20), Lag(site.kafka) as lag:
            return await lag.of(site.kafka.group("teams"), Topics(site.kafka.topic_prefix).enriched)
    except (TimeoutError, KafkaError):
        return None


async def run(folder: Path, low: int, urgent: int, at: str, kills: int, say: Say) -> Flood:
    """Flood a sink and return what was seen."""
    async with running(folder, say) as site:
        killing = asyncio.create_task(kill(site, kills, say))
        before = {"start": 0, "middle": low // 2, "end": low}[at]
        await publish(site, 0, before, urgent=False)
        await publish(site, low, urgent, urgent=True)
        say(f"{before} others and {urgent} urgent ones sent")
        await publish(site, before, low - before, urgent=False)
        await drained(site, say)
        done = killing.result() if killing.done() else 0
        killing.cancel()
        names = Topics(site.kafka.topic_prefix)
        receipts = [decode_receipt(record.value) async for record in scan(site.kafka, names.deliveries)]
        return Flood(site.sent, list(site.teams.posts), receipts, done)


def command(
    low: Annotated[int, typer.Option(min=0, help="Events that are not urgent.")] = 0,
    urgent: Annotated[int, typer.Option(min=0, help="Urgent ones.")] = 1,
    at: Annotated[str, typer.Option(help="Where the urgent ones come: start, middle or end.")] = "end",
    kills: Annotated[int, typer.Option("--kill", min=0, help="How often to kill -9 the sink, after a digest.")] = 0,
    keep: Annotated[Path | None, typer.Option(help="Use this new folder, and leave it: Kafka's data, logs.")] = None,
) -> None:
    """Send one Teams channel more than it takes, and see what is told when.

    Needs nothing: it starts its own Kafka, a simulated Teams and a real sink. The last line holds the figures. Exit code
    1: something is missing, a limit was broken, or a kill repeated more than one digest.
    """
    if at not in {"start", "middle", "end"}:
        raise NotReady(f"--at is start, middle or end, not {at!r}.")
    say = since(time.monotonic())
    with RunFolder(keep) as folder:
        flood = finished(run(folder.path, low, urgent, at, kills, say))
        wrong = flood.wrong()
        for line in wrong:
            print(line, file=sys.stderr)
        folder.kept = folder.kept or bool(wrong)
    print(flood.line(), flush=True)
    raise typer.Exit(1 if wrong else 0)


def main() -> None:
    """Run the command line."""
    logs.configure()
    try:
        typer.run(command)
    except NotReady as error:
        print(f"flood: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
