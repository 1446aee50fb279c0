"""`tocsin up`: the whole pipeline on this machine, until Ctrl-C."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from dotenv import dotenv_values

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import topics
from sandbox import folder, watch, welcome
from sandbox.arrangement import RATE, Arrangement, Settings, arrange, released
from sandbox.at_once import at_once
from sandbox.kafka import EmbeddedKafka
from sandbox.logfile import last_line
from sandbox.plan import catch_up, inbox, rooms, simulate
from sandbox.plan_watch import watch as watching
from sandbox.screen import Screen
from sandbox.supervisor import PERSON_CAN_FIX, Process, Ready, Restart, Supervisor

START_WITHIN = 90.0
"""Seconds for each part; ten on a slow machine."""

INTERRUPTED = 130
"""Exit code when told twice to stop."""


def run() -> None:
    """Run until Ctrl-C, SIGTERM or the end of the terminal.

    Raises NotReady when something cannot start; what did start is stopped again.
    """
    # What it repeats about a broker that is away, the supervisor says once.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings = Settings.read()
    environment = {name: value for name, value in dotenv_values(".env").items() if value is not None} | dict(os.environ)
    screen = Screen()
    with folder.taken(settings.data):
        arrangement = arrange(settings, Path.cwd(), environment, released)
        screen.say("Starting tocsin")
        broker = _prepared(arrangement) if arrangement.embedded else None
        sys.exit(asyncio.run(Up(arrangement, broker, screen).run()))


def _prepared(arrangement: Arrangement) -> EmbeddedKafka:
    """Have Kafka's jars and storage ready; outside the event loop, so that Ctrl-C ends a download."""
    broker = EmbeddedKafka(arrangement.layout.data / "kafka", port=arrangement.layout.ports.kafka)
    try:
        broker.prepare()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    return broker


class Up:
    """One run of the pipeline."""

    def __init__(self, arrangement: Arrangement, broker: EmbeddedKafka | None, screen: Screen) -> None:
        kafka = arrangement.settings.kafka
        if broker:
            bootstrap = broker.bootstrap
            arrangement = replace(arrangement, layout=replace(arrangement.layout, bootstrap=bootstrap))
            kafka = KafkaSettings(
                bootstrap_servers=bootstrap, **kafka.model_dump(include={"topic_prefix", "partitions"})
            )
        self._arrangement = arrangement
        self._layout = arrangement.layout
        self._kafka = kafka
        self._broker = broker
        self._screen = screen
        self._supervisor = Supervisor(self._restarted)
        self._ready: dict[str, Ready] = {}
        self._logs: dict[str, Path] = {}
        self._coming_back: dict[str, asyncio.Task[None]] = {}
        self._news: list[str] = []
        self._trouble: dict[str, str] = {}

    async def run(self) -> int:
        """Run until told to stop, stop everything, and return the exit code."""
        told = asyncio.Event()
        self._obey(told)
        work = asyncio.create_task(self._work())
        waiting = asyncio.create_task(told.wait())
        try:
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            work.cancel()
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await work
            began = time.monotonic()
            self._screen.say("Stopping… (Ctrl-C again kills)")
        finally:
            for task in self._coming_back.values():
                task.cancel()
            await self._supervisor.stop()
            if self._broker:
                self._broker.release()
        self._screen.say(f"Stopped in {time.monotonic() - began:.1f} s; the data stays in {self._layout.data}")
        return INTERRUPTED if self._twice else 0

    def _obey(self, told: asyncio.Event) -> None:
        self._twice = False

        def stop() -> None:
            if told.is_set():
                self._twice = True
                self._supervisor.kill_all()
            told.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop)

    async def _work(self) -> None:
        await self._start()
        await welcome.show(self._arrangement, self._layout, self._screen)
        await self._follow()

    async def _start(self) -> None:
        """Start Kafka, then what must listen before the first record flows, then what makes it flow."""
        layout = self._layout
        if self._broker:
            argv, env = self._broker.command()
            log = layout.data / "logs" / "broker.log"
            broker = Process("broker", argv, env, layout.data, log, stops_last=True)
            await self._start_broker(broker, self._broker)
        with self._screen.doing("topics"):
            created = await topics.ensure(self._kafka)
        self._screen.item("topics", f"{len(created)} created" if created else "are there")
        by_name = {room.name: room for room in rooms(layout)}
        await self._start_all([by_name["ingest"], by_name["sink"], by_name["archive"], inbox(layout)])
        if self._arrangement.simulates:
            posting = ["--hook-url", layout.hook_url, "--rate", str(RATE)] if self._arrangement.posts else []
            page = partial(watch.answers, layout.receivers_url)
            await self._start_all([simulate(layout, *posting)], page)
        await self._start_all([by_name["stream"]])
        if job := catch_up(layout):
            await self._start_all([job])
        await self._start_all([watching(layout)])

    async def _start_broker(self, process: Process, broker: EmbeddedKafka) -> None:
        try:
            await self._start_all([process], broker.answers)
        except NotReady as error:
            node = broker.nodes[1]
            raise NotReady(f"Kafka did not start; its log {node.log} ends with: {node.last_lines()}") from error

    async def _start_all(self, processes: Sequence[Process], ready: Ready | None = None) -> None:
        async def start(process: Process) -> None:
            check = self._ready[process.name] = ready or partial(watch.is_ready, process)
            self._logs[process.name] = process.log
            seconds = await self._supervisor.start(process, check, START_WITHIN)
            self._screen.item(process.name, f"ready in {seconds:.1f} s")

        with self._screen.doing(", ".join(process.name for process in processes)):
            await at_once(map(start, processes))

    async def _follow(self) -> None:
        names = Topics(self._layout.prefix)
        groups = {"stream": (self._kafka.group("stream"), names.raw)}
        groups |= {
            target: (self._kafka.group(target), names.enriched) for target in (*self._arrangement.targets, "archive")
        }
        flowing = False
        job = catch_up(self._layout)
        watched = [*rooms(self._layout), inbox(self._layout), watching(self._layout), *([job] if job else [])]
        async with watch.Watch(watched, groups, self._kafka) as eye:
            with self._screen.live():
                while True:
                    flow = await eye.look()
                    if not flowing and flow.totals["delivered"]:
                        flowing = True
                        self._screen.say("alerts are flowing", "bold green")
                    self._tell(eye.trouble)
                    self._screen.flow(flow)
                    await asyncio.sleep(1)

    def _tell(self, trouble: dict[str, str]) -> None:
        """Say what is new; what a room says while it comes back is no news."""
        steady = {name for name in self._logs if name not in self._coming_back or self._coming_back[name].done()}
        for name in steady & (trouble.keys() | self._trouble.keys()):
            if trouble.get(name) != self._trouble.get(name):
                self._news.append(f"{name}: {trouble.get(name, 'well again')}")
        self._trouble = {name: reason for name, reason in trouble.items() if name in steady}
        while self._news:
            self._screen.say(self._news.pop(0), "yellow")

    def _restarted(self, restart: Restart) -> None:
        """Take note; it is told with the next look, so that a broken terminal cannot stop the supervisor."""
        why = f": {last_line(self._logs[restart.name])}" if restart.code == PERSON_CAN_FIX else ""
        self._news.append(f"{restart}{why}")
        if restart.name not in self._coming_back or self._coming_back[restart.name].done():
            self._coming_back[restart.name] = asyncio.create_task(self._until_back(restart.name))

    async def _until_back(self, name: str) -> None:
        began = time.monotonic()
        before = self._supervisor.restarts(name)
        while self._supervisor.restarts(name) == before or not await self._ready[name]():
            await asyncio.sleep(0.2)
        self._news.append(f"{name} is ready again after {time.monotonic() - began:.1f} s")
