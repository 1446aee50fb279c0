"""`make chaos-ingest`: break the broker and ingest at random while senders post, then judge what is in the raw topic."""

import asyncio
import logging
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from events.errors import NotReady
from ops import logs
from sandbox import ingest_faults, posts, raw_oracle, raw_records
from sandbox.ingest_faults import Site
from sandbox.posts import PostJournal, Senders
from sandbox.raw_oracle import Verdict
from sandbox.tenant import Tenant

ALERTS = 12
"""All senders post for the same ones, so that requests for one alert meet in both workers."""
WARM_UP = 2.0
SHOWN = 20
"""Findings printed of each sort; the counts are complete."""
STOPPED = 130

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    duration: float
    seed: int
    senders: int
    workers: int
    sabotage: str


def command(
    duration: Annotated[float, typer.Option(min=1, help="Seconds in which faults are caused.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Draws faults and bodies; without it one is drawn.")] = None,
    senders: Annotated[int, typer.Option(min=1, max=64, help="Connections that post, each one after the other.")] = 8,
    workers: Annotated[int, typer.Option(min=1, max=8, help="Ingest workers on the one port.")] = 2,
    sabotage: Annotated[
        str, typer.Option(help=f"Spoil the evidence to see the oracle fail: {'|'.join(raw_oracle.SABOTAGE)}.")
    ] = "",
) -> None:
    """Prove what ingest promises under faults: what is answered 2xx is in the raw topic.

    The broker is killed, paused and started again, ingest and its workers are killed and restarted, sometimes both at
    once. Every body is posted once, whatever the answer. Then the raw topic is read and compared with the senders'
    journal, and a stream reads it and must drop every copy. The last line holds the figures. Exit code 1 when
    something is missing, invented, doubled or reordered, or there is a copy that no fault explains.
    """
    if sabotage and sabotage not in raw_oracle.SABOTAGE:
        raise NotReady(f"There is no sabotage {sabotage!r}; known are {', '.join(raw_oracle.SABOTAGE)}.")
    options = Options(duration, secrets.randbelow(1_000_000) if seed is None else seed, senders, workers, sabotage)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    say(f"chaos-ingest: {duration:g} s, seed {options.seed}, {senders} senders, {workers} workers")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-chaos-ingest-"))
    try:
        verdict, known = asyncio.run(_run(options, folder, say))
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        print("stopped before the end, nothing is proved", file=sys.stderr)
        raise typer.Exit(STOPPED) from None
    except BaseException:
        print(f"kept: {folder} (logs, journal, Kafka's data)", file=sys.stderr)
        raise
    _conclude(verdict, known, folder)


def _conclude(verdict: Verdict, known: str, folder: Path) -> None:
    """Print what was found and end; the folder of a bad run is kept."""
    for name in ("missing", "invented", "stray", "doubled", "reordered"):
        for finding in getattr(verdict, name)[:SHOWN]:
            print(f"{name}: {finding}")
    if verdict.good:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder} (logs, journal, Kafka's data)", file=sys.stderr)
    print(f"{known} {verdict.figures()}", flush=True)
    raise typer.Exit(0 if verdict.good else 1)


async def _run(options: Options, folder: Path, say: Say) -> tuple[Verdict, str]:
    """Break, wait, judge; return the verdict, and what else is worth knowing."""
    random = Random(options.seed)
    tenant = Tenant(options.seed)
    alerts = [str(tenant.create_alert()["attributes"]["uuid"]) for _ in range(ALERTS)]
    journal = folder / "journal"
    async with ingest_faults.running(folder, options.workers, tenant, say) as site:
        if site.most_workers < options.workers:
            say(f"mind that ingest runs {site.most_workers} process, not {options.workers}: this proves less")
        senders = await _break(options, site, journal, alerts, random)
        say(f"faults are over: answers {senders.statuses}; waiting until ingest has written everything")
        await site.quiet()
        records = await raw_records.read(site.kafka)
        say(f"{len(records)} raw records; the stream reads them")
        enriched = await site.through_the_stream()
    posted = posts.read(journal)
    if options.sabotage:
        raw_oracle.spoil(options.sabotage, posted, records, enriched, random)
    verdict = raw_oracle.judge(posted, site.faults, records, enriched)
    accepted = sum(post.accepted for post in posted)
    refused = sum(not post.accepted and post.status != posts.NO_ANSWER for post in posted)
    return verdict, (
        f"faults={len(site.faults)} workers={site.most_workers} posted={len(posted)} accepted={accepted} "
        f"refused={refused} unanswered={len(posted) - accepted - refused} slowest_s={senders.slowest:.2f} "
        f"stray={len(verdict.stray)}"
    )


async def _break(options: Options, site: Site, journal: Path, alerts: list[str], random: Random) -> Senders:
    stop = asyncio.Event()
    with PostJournal(journal) as written:
        bodies = posts.draw(Random(options.seed), alerts, site.tenant.community_uuid)
        senders = Senders(site.hook_url, written, bodies, Random(options.seed + 1))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(senders.run(options.senders, stop))
            await asyncio.sleep(WARM_UP)
            await site.break_for(options.duration, random)
            await asyncio.sleep(WARM_UP)
            stop.set()
    return senders


def main() -> None:
    """Run the command line."""
    logs.configure()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are killed on purpose are no news
    try:
        typer.run(command)
    except NotReady as error:
        print(f"chaos-ingest: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
