"""`make chaos-api`: take the Alert API away while events flow; the urgent ones must be told, and all completed later."""

import asyncio
import logging
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from random import Random
from typing import Annotated

import orjson
import typer

from events.errors import NotReady
from events.topics import Topics
from ops import logs
from sandbox import chaos_site, evidence, plan
from sandbox.chaos import RunFolder, drained, finished, since
from sandbox.chaos_api_report import URGENT, Outcome, judge
from sandbox.chaos_feed import Feed, delivered
from sandbox.chaos_site import Say, Site
from sandbox.faults import HANG, Faults
from sandbox.journal import Journal
from sandbox.lag import Lag
from sandbox.tenant import Tenant

RULES = f"""\
targets:
  soc: {{type: log, start: earliest}}
rules:
  - {{name: urgent, match: {{urgency: '>= {URGENT}'}}, notify: soc}}
unmatched: drop
"""
"""One rule; of a pending event its urgency is not known, and what is not known matches."""
BEFORE = 0.05
"""Share of the block's time in which the API still answers, so that it goes away in the middle of things."""
SECOND_EVENTS = 0.2
"""Share of the events that are about an alert seen before."""
TICK = 0.1


class Away(StrEnum):
    """What the API does while it is away."""

    BLOCKED = "blocked"
    DOWN = "down"
    SILENT = "silent"


STATUS = {Away.BLOCKED: 429, Away.DOWN: 503, Away.SILENT: HANG}


def command(
    block: Annotated[float, typer.Option(min=5, help="Seconds for which the Alert API is away.")] = 600,
    events: Annotated[int, typer.Option(min=10, help="Events that flow meanwhile.")] = 20_000,
    seed: Annotated[int | None, typer.Option(help="Draws the alerts; without it one is drawn.")] = None,
    away: Annotated[
        Away, typer.Option(help="blocked: every call is 429; down: 503; silent: no answer.")
    ] = Away.BLOCKED,
    keep: Annotated[Path | None, typer.Option(help="Use this new folder, and leave it: Kafka's data, logs.")] = None,
) -> None:
    """Prove that urgent events are told while the Alert API is away, and that all are completed once it is back.

    The bodies hold what the vendor documents: two ids. One worker, one target, one rule: urgency >= 70. The API is away
    by itself, as after somebody else's mistake behind the same address; were we to be blocked for our own behaviour,
    the firewall would count that.

    The last line on standard output holds the figures. Exit code 1 when an urgent event had no receipt within 15 s of
    its arrival, an event was never completed, or the firewall blocked us.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    say = since(time.monotonic())
    say(f"chaos-api: {events} events, the API {away.value} for {block:g} s, seed {seed}")
    with RunFolder(keep) as folder:
        outcome = finished(_run(folder.path, block, events, seed, away, say))
        say(
            f"{outcome.urgent} of {outcome.sent} events were urgent; the slowest was told after {outcome.slowest:.1f} s"
        )
        folder.kept = folder.kept or outcome.code != 0
    print(outcome.line(), flush=True)
    raise typer.Exit(outcome.code)


async def _run(folder: Path, block: float, events: int, seed: int, away: Away, say: Say) -> Outcome:
    random = Random(seed)
    async with chaos_site.running(folder, seed=seed, workers=1, say=say, nodes=1) as site, _sink(site, folder, say):
        with Journal(folder / "journal") as written:
            feed = Feed(site.kafka, site.tenant, written, random, rate=events / block)
            async with feed, asyncio.TaskGroup() as tasks:
                tasks.create_task(_away(site.api, block, STATUS[away], say))
                await _send(feed, _alerts(site.tenant, random, events), events / block)
                say(f"{events} events sent")
        await drained(site, block + 900.0 + events / 50, say)
        await _told(site, say)
        found = await evidence.from_topics(site.kafka)
        return judge(
            found, {uuid: _urgency(site.tenant, uuid) for uuid in site.tenant.alerts}, site.firewall.stats.blocks
        )


def _alerts(tenant: Tenant, random: Random, count: int) -> Iterator[bytes]:
    """Yield documented bodies about alerts: most of them new, some about one seen before."""
    known: list[str] = []
    for _ in range(count):
        if known and random.random() < SECOND_EVENTS:
            body = tenant.add_similar(random.choice(known[-200:]))
        else:
            body = tenant.create_alert()
            known.append(body["attributes"]["uuid"])
        yield orjson.dumps(body)


def _urgency(tenant: Tenant, uuid: str) -> int:
    value: int = tenant.alerts[uuid]["urgency"]["current_value"]
    return value


async def _away(api: Faults, block: float, status: int, say: Say) -> None:
    await asyncio.sleep(BEFORE * block)
    say("the Alert API goes away")
    end = time.monotonic() + block
    while time.monotonic() < end:
        api.clear()
        api.answer_with(status, times=1000)
        await asyncio.sleep(min(1.0, max(0.0, end - time.monotonic())))
    api.clear()
    say("the Alert API is back")


async def _send(feed: Feed, alerts: Iterator[bytes], rate: float) -> None:
    """Send everything at its pace; a tick that is late is caught up with."""
    began, sent = time.monotonic(), 0
    while True:
        batch = list(islice(alerts, _due(began, rate) - sent))
        sent += len(batch)
        if batch:
            await feed.deliver([delivered(body) for body in batch])
        elif _due(began, rate) > sent:
            return
        await asyncio.sleep(TICK)


def _due(began: float, rate: float) -> int:
    return 1 + int((time.monotonic() - began) * rate)


@asynccontextmanager
async def _sink(site: Site, folder: Path, say: Say) -> AsyncIterator[None]:
    """Run the target beside the worker."""
    rules = folder / "tocsin.yml"
    rules.write_text(RULES, encoding="utf-8")
    layout = site.workers.layout
    settings = {"TOCSIN_RULES": str(rules), "KAFKA_PARTITIONS": str(chaos_site.PARTITIONS)}
    ports = replace(layout.ports, sinks_admin=chaos_site.free_port())
    own = replace(layout, ports=ports, extra={"sink": settings})
    process = next(room for room in plan.rooms(own) if room.name == "sink")

    async def ready() -> bool:
        return bool((await chaos_site.health(process)).get("ready"))

    await site.workers.supervisor.start(process, ready)
    say("target ready")
    yield


async def _told(site: Site, say: Say) -> None:
    """Wait until the target has nothing left."""
    group, topic = site.kafka.group("soc"), Topics(site.kafka.topic_prefix).enriched
    async with Lag(site.kafka) as lag:
        for _ in range(600):
            left = await lag.of(group, topic)
            if left == 0:
                return
            await asyncio.sleep(1.0)
    say(f"the target did not finish: {left} left")


def main() -> None:
    """Run the command line."""
    logs.configure()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        typer.run(command)
    except NotReady as error:
        print(f"chaos-api: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
