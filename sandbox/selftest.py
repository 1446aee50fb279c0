"""`tocsin selftest`: run the whole pipeline in a temporary folder, break it, and let the oracle judge."""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from events.errors import NotReady
from events.settings import KafkaSettings
from sandbox import evidence, journal, oracle, pipeline, sabotage, selftest_report
from sandbox.evidence import Evidence, Posted
from sandbox.journal import Journal
from sandbox.lag import Lag
from sandbox.oracle import Verdict
from sandbox.pipeline import Pipeline
from sandbox.quirks import Quirks
from sandbox.selftest_report import Report
from sandbox.sender import Sender, bodies, produce_broken

ROOMS = ("ingest", "stream", "sink", "archive", "broker")
AHEAD = 150
"""Events the sender may be ahead of the receiver, so that they still flow when something is killed."""
ON_CLUSTER = 600
"""Events for a cluster that is used by others too: about two minutes with all that is killed."""
AT_ONCE = 8
"""Requests under way."""
DRAIN = 600.0
"""Seconds for everything to arrive once the last event is sent; without batches the API gives four alerts a second."""
ACCEPTED = 202


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    events: int
    kill: tuple[str, ...]
    seed: int
    quirks: tuple[str, ...]
    sabotage: str
    cluster: KafkaSettings | None = None
    """Where it runs, on topics of its own; by default on a Kafka of its own."""


def run(*, events: int, kill: str, seed: int | None, quirks: Sequence[str], sabotage: str, as_json: bool) -> int:
    """Run it and return the exit code.

    Raises NotReady for a room, quirk or sabotage that does not exist.
    """
    return _run(_options(events, kill, seed, quirks, sabotage), as_json=as_json)


KILLED = (*(room for room in ROOMS if room != "broker"), "stream", "sink")
"""What is killed on a cluster that is somebody's; brokers are left alone."""


def on_cluster(
    kafka: KafkaSettings,
    *,
    as_json: bool,
    events: int = ON_CLUSTER,
    kill: Sequence[str] = KILLED,
    quirks: Sequence[str] = (),
) -> int:
    """Run it on topics of its own on somebody's cluster, with targets and tenant that are ours; return the exit code.

    Processes of ours are killed, never a broker. Raises NotReady when the cluster does not let us.
    """
    kafka.client_options()  # else a run begins that cannot be
    options = Options(events, tuple(kill), secrets.randbelow(1_000_000), tuple(quirks), "", kafka)
    return _run(options, as_json=as_json)


def _run(options: Options, *, as_json: bool) -> int:
    report = Report(quiet=as_json)
    killing = f", killing {', '.join(options.kill)}" if options.kill else ""
    report.line(f"selftest: {options.events} events, seed {options.seed}{killing}")
    with tempfile.TemporaryDirectory(prefix="tocsin-selftest-", ignore_cleanup_errors=True) as folder:
        try:
            verdict, extra = asyncio.run(_Selftest(options, Path(folder), report).run())
        except KeyboardInterrupt:
            print("selftest: stopped before the end, nothing is proved", file=sys.stderr)
            return 130
    return selftest_report.conclude(verdict, report, extra)


def _options(events: int, kill: str, seed: int | None, quirks: Sequence[str], how: str) -> Options:
    rooms = tuple(room.strip() for room in kill.split(",") if room.strip())
    for room in rooms:
        if room not in ROOMS:
            raise NotReady(f"There is no room {room!r} to kill; known are {', '.join(ROOMS)}.")
    Quirks.parse(quirks)
    sabotage.check(how)
    return Options(events, rooms, secrets.randbelow(1_000_000) if seed is None else seed, tuple(quirks), how)


class _Selftest:
    """One run: feed and kill, wait until all is quiet, judge."""

    def __init__(self, options: Options, folder: Path, report: Report) -> None:
        self._options = options
        self._folder = folder
        self._report = report
        self._random = Random(options.seed)
        self._to_kill = list(options.kill)
        self._random.shuffle(self._to_kill)
        self._sent = 0

    async def run(self) -> tuple[Verdict, dict[str, object]]:
        """Return the verdict, and what else is worth knowing."""
        path = self._folder / "journal"
        say = lambda text: self._report.line(f"  ready: {text}")  # noqa: E731
        async with pipeline.running(
            self._folder,
            seed=self._options.seed,
            quirks=self._options.quirks,
            announce=lambda restart: self._report.line(f"  {restart}"),
            say=say,
            cluster=self._options.cluster,
        ) as running:
            with Journal(path) as written:
                await self._break(running, written)
            await self._drain(running)
            found = await evidence.from_topics(running.kafka)
        self._complete(found, running)
        extra: dict[str, object] = {
            "kills": len(running.kills),
            "blocks": running.firewall.stats.blocks,
            "max_requests_in_any_1s": running.firewall.stats.max_requests_in_any_1s,
            "seed": self._options.seed,
        }
        return oracle.judge(journal.read(path), found), extra

    async def _break(self, running: Pipeline, written: Journal) -> None:
        """Send everything, killing what is to be killed while it flows."""
        async with asyncio.TaskGroup() as tasks:
            watch = tasks.create_task(self._show(running))
            kills = tasks.create_task(self._kill(running))
            await produce_broken(running.kafka, written)
            await self._feed(running, written)
            await kills
            watch.cancel()

    async def _feed(self, running: Pipeline, written: Journal) -> None:
        sender = Sender(running.layout.hook_url, written, self._random)
        slots = asyncio.Semaphore(AT_ONCE)

        async def post(body: bytes) -> None:
            try:
                await sender.send(body)
            finally:
                slots.release()

        async with asyncio.TaskGroup() as tasks:
            for body in bodies(running.tenant, self._random, self._options.events):
                while self._sent - self._delivered(running) > AHEAD:
                    await asyncio.sleep(0.02)
                await slots.acquire()
                self._sent += 1
                tasks.create_task(post(body))
        await sender.close()

    async def _kill(self, running: Pipeline) -> None:
        """Kill one room after the other, spread over the run."""
        for number, room in enumerate(self._to_kill, 1):
            due = self._options.events * number / (len(self._to_kill) + 1) * self._random.uniform(0.8, 1.0)
            while self._delivered(running) < due:
                await asyncio.sleep(0.05)
            await running.kill(room)

    async def _drain(self, running: Pipeline) -> None:
        """Wait until no group has anything left and no event waits for its alert."""
        async with Lag(running.kafka) as lag, asyncio.timeout(DRAIN):
            quiet = 0
            while quiet < 2:  # noqa: PLR2004 - a record may be between two topics once
                left = await running.lag(lag)
                pending = await running.pending()
                quiet = quiet + 1 if not any(left.values()) and not pending else 0
                waiting = ", ".join(f"{name} {count}" for name, count in left.items())
                self._report.progress(f"  draining: {waiting}, pending {pending}")
                await asyncio.sleep(0.5)

    async def _show(self, running: Pipeline) -> None:
        while True:
            self._report.progress(
                f"  sent {self._sent} of {self._options.events}, delivered {self._delivered(running)}, "
                f"kills {len(running.kills)}"
            )
            await asyncio.sleep(0.5)

    def _delivered(self, running: Pipeline) -> int:
        return len(running.teams.accepted())

    def _complete(self, found: Evidence, running: Pipeline) -> None:
        """Add what is not in Kafka: cards, rows, kills; then spoil it where asked to."""
        found.posts = [Posted(post.event_id or "", post.at) for post in running.teams.posts if post.status == ACCEPTED]
        found.rows = evidence.archived_rows(self._folder / "archive", running.kafka.topic_prefix + "enriched.v1")
        found.kills = running.kills
        if self._options.sabotage:
            self._report.line(sabotage.spoil(found, self._options.sabotage, self._random))
