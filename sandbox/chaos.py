"""`make chaos`: break a running stream at random for a while, then let the oracle judge what is in the topics."""

import asyncio
import logging
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Annotated, Any, Self, TypeVar

import typer

from events.errors import NotReady
from events.topics import Topics
from ops import logs
from sandbox import chaos_site, evidence, journal, oracle, sabotage
from sandbox.chaos_faults import Saboteur
from sandbox.chaos_feed import Feed
from sandbox.chaos_group import Group
from sandbox.chaos_report import GOOD, Result
from sandbox.chaos_site import Say, Site
from sandbox.journal import Journal
from sandbox.lag import Lag

T = TypeVar("T")

DRAIN = 900.0
"""Seconds for the stream to finish everything once the faults are over; its breaker may pause for ten minutes."""
POISON = 1_500
"""Undecodable records in a row in one partition: more than the stream reads ahead."""
STOPPED = 130
"""The exit code of a run that was stopped."""


def command(
    duration: Annotated[float, typer.Option(min=1, help="Seconds in which faults are caused.")] = 60,
    seed: Annotated[int | None, typer.Option(help="Draws the faults and the events; without it one is drawn.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=12, help="Stream workers; a zombie needs two.")] = 3,
    rate: Annotated[float, typer.Option(min=10, help="Records sent per second.")] = 100,
    sabotage_: Annotated[
        str, typer.Option("--sabotage", help="Spoil the evidence to see the oracle fail: drop|double|invent|reorder.")
    ] = "",
    keep: Annotated[Path | None, typer.Option(help="Use this new folder, and leave it: Kafka's data, logs.")] = None,
) -> None:
    """Prove the stream's promises under faults: three Kafka nodes, some workers, a sender that keeps a journal.

    Workers are killed, stopped, paused beyond their session and let go on, they leave and join; brokers are killed and
    paused; the Alert API answers wrongly; the brokers refuse to write. Then every topic is read (read_committed) and
    compared with the journal.

    The last line on standard output holds the figures. Exit code 0: all is well. 1: something is missing, invented,
    doubled, reordered, or the Alert API's limits were broken. 3: too few zombies to prove anything (one per 120 s).
    The same seed draws the same faults and events; when they meet is up to the machine.
    """
    sabotage.check(sabotage_)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    say = since(time.monotonic())
    say(f"chaos: {duration:g} s, seed {seed}, {workers} workers, {rate:g} records/s")
    with RunFolder(keep) as folder:
        run = _Chaos(folder.path, duration, seed, workers, rate, say)
        result = finished(run.run(sabotage_))
        for line in result.lines():
            print(line, file=sys.stderr, flush=True)
        folder.kept = folder.kept or result.code != GOOD
    print(result.line(), flush=True)
    raise typer.Exit(result.code)


class _Chaos:
    def __init__(self, folder: Path, duration: float, seed: int, workers: int, rate: float, say: Say) -> None:
        self._folder = folder
        self._duration = duration
        self._seed = seed
        self._workers = workers
        self._rate = rate
        self._say = say

    async def run(self, spoil: str) -> Result:
        """Break, wait, judge."""
        path = self._folder / "journal"
        async with chaos_site.running(self._folder, seed=self._seed, workers=self._workers, say=self._say) as site:
            saboteur = await self._break(site, path)
            left = await drained(site, DRAIN, self._say)
            self._say("reading the topics")
            found = await evidence.from_topics(site.kafka, whole=False)
        if spoil:
            self._say(sabotage.spoil(found, spoil, Random(self._seed)))
        return Result(
            oracle.judge(journal.read(path), found, targets=False),
            self._duration,
            saboteur.tally.faults,
            saboteur.tally.zombies,
            site.firewall.stats.blocks,
            site.firewall.stats.reasons,
            site.firewall.stats.max_requests_in_any_1s,
            site.firewall.stats.busiest,
            left,
            site.workers.exits,
        )

    async def _break(self, site: Site, path: Path) -> Saboteur:
        """Feed and break for as long as asked."""
        stop = asyncio.Event()
        group = Group(site.kafka, site.kafka.group("stream"), Topics(site.kafka.topic_prefix).raw)
        saboteur = Saboteur(site, group, self._seed, self._say)
        with Journal(path) as written:
            feed = Feed(site.kafka, site.tenant, written, Random(self._seed), self._rate)
            async with group, feed, asyncio.TaskGroup() as tasks:
                tasks.create_task(feed.run(stop))
                tasks.create_task(self._poison(feed))
                await saboteur.run(self._duration)
                self._say(f"faults are over; {feed.sent} records sent")
                stop.set()
        return saboteur

    async def _poison(self, feed: Feed) -> None:
        await asyncio.sleep(self._duration / 3)
        await feed.poison(POISON)
        self._say(f"{POISON} undecodable records in one partition")


async def drained(site: Site, within: float, say: Say) -> int:
    """Wait until nothing is left in raw and no event waits for its alert; return the lag (-1: nobody knows)."""
    if site.firewall.stats.blocks:
        say("the firewall blocked us, which is noted; unblocked, so that nobody waits for it")
        site.firewall.unblock()
    end, quiet, left, said = time.monotonic() + within, 0, -1, 0.0
    group, topic = site.kafka.group("stream"), Topics(site.kafka.topic_prefix).raw
    async with Lag(site.kafka) as lag:
        while quiet < 3 and time.monotonic() < end:  # noqa: PLR2004 - between two looks a worker may have just died
            count = await lag.of(group, topic)
            left, pending = -1 if count is None else count, await site.pending()
            quiet = quiet + 1 if not left and not pending else 0
            if time.monotonic() - said > 10:  # noqa: PLR2004
                said = time.monotonic()
                say(f"waiting: lag {left}, pending {pending}")
            await asyncio.sleep(1.0)
    return left


def since(began: float) -> Say:
    """Return a way to say things on standard error, with the seconds since the start."""

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True)

    return say


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; a person or a supervisor who stops it gets everything stopped, and exit code 130."""

    async def stoppable() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(stoppable())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("stopped before the end, nothing is proved", file=sys.stderr)
        raise typer.Exit(STOPPED) from None


class RunFolder:
    """A folder for a run: removed after a good one, kept and named after a bad one."""

    def __init__(self, wanted: Path | None) -> None:
        self.kept = wanted is not None
        if wanted:
            if wanted.exists() and any(wanted.iterdir()):
                raise NotReady(f"{wanted} is not empty: name a new folder for --keep.")
            wanted.mkdir(parents=True, exist_ok=True)
        self.path = (wanted or Path(tempfile.mkdtemp(prefix="tocsin-chaos-"))).absolute()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.kept:
            print(f"kept: {self.path} (logs, journal, Kafka's data)", file=sys.stderr)
        else:
            shutil.rmtree(self.path, ignore_errors=True)


def main() -> None:
    """Run the command line."""
    logs.configure()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are killed on purpose are no news
    try:
        typer.run(command)
    except NotReady as error:
        print(f"chaos: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
