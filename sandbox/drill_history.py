"""`make drill-history`: a large past with gaps in it, asked and mended by the operator's commands while new events flow."""

import asyncio
import json
import random
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer

from events.errors import NotReady
from events.topics import Topics
from ops import logs
from sandbox import history_ask, history_site
from sandbox.chaos import RunFolder, finished, since
from sandbox.chaos_site import Say
from sandbox.history_fill import fill
from sandbox.history_forms import Known
from sandbox.history_live import Traffic, p99
from sandbox.history_records import BACKFILL, TARGET, URGENT, History, Size
from sandbox.history_report import Drill, Replayed
from sandbox.history_site import Site
from sinks.archive import manifest
from sinks.archive.storage import Folder

A_MILLION_IN = timedelta(hours=12)
"""How long the history of a million records is; of a larger one more, up to what the raw topic remembers."""
SHORTEST, LONGEST = timedelta(hours=6), timedelta(days=12)
LATE = timedelta(minutes=20)
"""A catch-up leaves alone what is younger than 15 minutes."""
RATE = 25.0
"""New alerts a second while the live path is measured."""
TRIES, PAUSE = 3, 40.0
"""How often a catch-up is run that the API cut off, and the seconds between."""
ROUNDS = 5
"""How long new alerts come at most while a replay goes on, in rounds."""
FILES = 2
"""Files of the archive that are removed."""


@dataclass(frozen=True)
class Course:
    """What a drill is like."""

    records: int = 1_000_000
    seed: int = 7
    round_s: float = 60.0
    """Seconds of each measurement of the live path."""
    replay_rate: float = 100.0


class Drilling:
    """One drill in a folder."""

    def __init__(self, folder: Path, course: Course, say: Say) -> None:
        """Make the tenant's part of the past up."""
        end = datetime.now(UTC) - timedelta(minutes=2)
        span = min(LONGEST, max(SHORTEST, A_MILLION_IN * (course.records / 1_000_000)))
        self._size = Size(course.records, end - span, end, course.seed)
        self._folder, self._course, self._say = folder, course, say
        self._tenant, self._known, self._never = history_site.past(self._size, 5 * self._size.gaps, end - LATE)

    async def run(self) -> Drill:
        """Make the past, then ask and mend."""
        async with history_site.running(self._folder, self._size, self._tenant, self._say) as site:
            history = History(self._size, self._tenant, self._known, site.rules_version)
            await site.start_rooms("archive")  # it writes while the past is made up
            await fill(site.kafka, history.events(), self._size.records, self._say)
            drill = Drill(history.planted)
            names = [each["attributes"] for each in self._never]
            drill.planted.webhooks = [Known(each["uuid"], each["short_id"], 0) for each in names]
            await site.start_rooms()
            topics = Topics(site.kafka.topic_prefix)
            await site.drained("archive", topics.enriched)
            self._remove_files(drill, topics.enriched)
            await history_ask.ask(site, drill, self._since())
            await self._catch_up(site, drill)
            await self._mend_receipts(site, drill)
            await self._replay(site, drill)
            said = await site.run("reconcile", *self._span()[:2], "--json", codes=(0, 1))  # what was mended lies there
            drill.told = site.receiver.told[TARGET]
            drill.left = json.loads(said.out)["unaccounted"]
            return drill

    def _since(self) -> str:
        return (self._size.begin - timedelta(minutes=5)).isoformat()

    def _remove_files(self, drill: Drill, topic: str) -> None:
        root = self._folder / "archive"
        store = Folder(root)
        files = [
            file.path
            for number in range(self._size.partitions)
            for file in manifest.live(list(manifest.Manifest(store, topic, number).entries()))
        ]
        drill.planted.files = random.Random(self._size.seed).sample(sorted(files), k=FILES)
        gone = set()
        for path in drill.planted.files:
            gone.update(pq.read_table(root / path, columns=["alert_uuid"])["alert_uuid"].to_pylist())
            (root / path).unlink()
        # A short id is looked for in the archive and in what is new: of these it can no longer be known.
        drill.planted.whole = [each for each in drill.planted.whole if each.uuid not in gone]
        self._say(f"{FILES} of {len(files)} files of the archive removed")

    async def _catch_up(self, site: Site, drill: Drill) -> None:
        """Catch up, and let the webhooks come after all: nobody is to be told twice."""
        for _ in range(TRIES):
            if (await site.run("catch-up", "--since", self._since(), codes=(0, 1))).code == 0:
                break
            await asyncio.sleep(PAUSE)  # the API did not answer; after an error nobody calls for half a minute
        drill.lost = site.receiver.alerts[TARGET]
        await self._settled(site)
        await Traffic(self._tenant, site.layout.hook_url, RATE).post(self._never)
        await self._settled(site)
        self._say(f"{sum(drill.lost[each.uuid] == 1 for each in drill.planted.webhooks)} lost alerts told of once")

    async def _settled(self, site: Site) -> None:
        topics = Topics(site.kafka.topic_prefix)
        await site.drained("stream", topics.raw)
        await site.drained(TARGET, topics.enriched)
        await site.drained(BACKFILL, topics.enriched)
        for target in (TARGET, BACKFILL):
            await site.drained(f"{target}.redeliveries", topics.redeliveries)

    async def _mend_receipts(self, site: Site, drill: Drill) -> None:
        """Send again what the target has no receipt of; nothing that it was told in the drill may come again."""
        told = site.receiver.told[TARGET]
        before = told.copy()
        await site.run("replay", "--to", TARGET, *self._span(), "--rate", "500", "--yes")
        await self._settled(site)
        drill.receipts = Replayed(set(drill.planted.receipts), told - before)

    def _span(self) -> tuple[str, ...]:
        since, until = self._size.at(self._size.first_replayed), self._size.end + timedelta(seconds=1)
        return ("--since", since.isoformat(), "--until", until.isoformat())

    async def _replay(self, site: Site, drill: Drill) -> None:
        """Replay to the late target, stopped once and gone on with, and measure the live path meanwhile and before."""
        traffic = Traffic(self._tenant, site.layout.hook_url, RATE)
        await traffic.run(10.0)
        quiet = await traffic.run(self._course.round_s)
        job, first = await self._stopped(site, traffic)
        quiet += await traffic.run(self._course.round_s)
        over = asyncio.Event()
        going_on = asyncio.create_task(self._to_the_end(site, job, over))
        # On a crowded machine something new always waits, and what is sent again comes last: it must end some time.
        second = await traffic.run(self._course.round_s, over, most=ROUNDS * self._course.round_s)
        await going_on
        await self._settled(site)
        at, due = site.receiver.at, traffic.due
        drill.quiet, drill.busy = (
            p99(at.get(each, float("inf")) - due[each] for each in sent) for sent in (quiet, first + second)
        )
        drill.replayed = Replayed(drill.planted.expected, site.receiver.told[BACKFILL])

    async def _stopped(self, site: Site, traffic: Traffic) -> tuple[str, list[str]]:
        """Begin a replay and stop it as Ctrl-C does; return its job and the alerts posted meanwhile."""
        where = f'type: alert, urgency: ">= {URGENT}"'
        words = (
            "replay",
            "--to",
            BACKFILL,
            *self._span(),
            "--where",
            where,
            "--rate",
            f"{self._course.replay_rate:g}",
            "--yes",
        )
        process, begun = await site.command(*words), asyncio.Event()
        waiting = asyncio.create_task(self._begun(site, process, begun))
        sent = await traffic.run(self._course.round_s, begun, most=ROUNDS * self._course.round_s)
        await waiting
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        jobs = [path.stem for path in (self._folder / "replay").glob("*.json") if BACKFILL in path.read_text("utf-8")]
        if len(jobs) != 1:
            raise NotReady(f"The replay left {len(jobs)} jobs: {out.decode()[-2000:]}{err.decode()[-2000:]}")
        self._say(f"replay {jobs[0]} stopped, {len(site.receiver.told[BACKFILL]):,} events have come")
        return jobs[0], sent

    async def _begun(self, site: Site, process: asyncio.subprocess.Process, begun: asyncio.Event) -> None:
        """Wait until the first event has come, or there will be none."""
        while not site.receiver.told[BACKFILL] and process.returncode is None:
            await asyncio.sleep(0.2)
        begun.set()

    async def _to_the_end(self, site: Site, job: str, over: asyncio.Event) -> None:
        try:
            await site.run("replay", "--job", job, "--rate", f"{self._course.replay_rate:g}")
            await site.drained(f"{BACKFILL}.redeliveries", Topics(site.kafka.topic_prefix).redeliveries)
        finally:
            over.set()


def command(
    records: Annotated[int, typer.Option(min=2_000, help="Enriched records of the past.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Draws the events and the gaps.")] = 7,
    measured: Annotated[
        float, typer.Option("--round", min=5, help="Seconds of each measurement of the live path.")
    ] = 60,
    rate: Annotated[float, typer.Option(min=1, help="Records a second that the replay sends.")] = 100,
    keep: Annotated[Path | None, typer.Option(help="Use this new folder, and leave it: Kafka's data, logs.")] = None,
) -> None:
    """Fill Kafka and the archive with a past, plant gaps of each kind, and see whether the commands find and mend them.

    Needs nothing: it starts its own Kafka, tenant, receiver and rooms. The last line holds the figures. Exit code 1: a gap
    was not named, or one was named that is none; something was not mended, or came twice.
    """
    say = since(time.monotonic())
    with RunFolder(keep) as folder:
        drill = finished(Drilling(folder.path, Course(records, seed, measured, rate), say).run())
        for name, seconds in drill.why.items():
            say(f"why {name}: {seconds:.2f} s")
        wrong = drill.wrong()
        for line in wrong:
            print(line, file=sys.stderr)
        folder.kept = folder.kept or bool(wrong)
    print(drill.line(), flush=True)
    raise typer.Exit(1 if wrong else 0)


def main() -> None:
    """Run the command line."""
    logs.configure()
    try:
        typer.run(command)
    except NotReady as error:
        print(f"drill-history: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
