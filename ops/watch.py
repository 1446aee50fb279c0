"""`tocsin watch`: look at everything again and again, and tell operators of what changed."""

import asyncio
import contextlib
import shutil
import signal
import time
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any, Self

import httpx
import structlog

from events.errors import NotReady
from events.settings import KafkaSettings
from events.topics import Topics
from ops import canary, canary_page, watch_kafka, watch_pages
from ops import watch_metrics as metrics
from ops.conditions import CONDITIONS, split
from ops.doctor_sekoia import expiry
from ops.heartbeat import Heartbeat
from ops.watch_seen import Look, served
from ops.watch_settings import WatchSettings
from ops.watch_store import Memory
from ops.watch_tell import Teller
from sinks import health
from sinks.main import DEFAULT_RULES, load
from sinks.reload import Reload
from sinks.rules import Rules
from sinks.rules_remarks import few_hear
from sinks.settings import SinksSettings
from stream.settings import SekoiaSettings

log = structlog.get_logger()


def run() -> None:
    """Watch until SIGTERM or SIGINT.

    Raises NotReady.
    """
    settings, kafka, sinks = WatchSettings(), KafkaSettings(), SinksSettings()
    kafka.client_options()  # what is wrong with them is said now
    rules = load(sinks)
    if said := few_hear(rules):
        log.warning("few_are_told", why=said)
    watch = Watch(settings, kafka, rules, Memory.load(settings.folder))
    path = sinks.rules or DEFAULT_RULES
    watch.reload = Reload(path, watch.rules, []) if path.exists() else None
    health.serve(settings.admin_host, settings.admin_port, watch.health)
    asyncio.run(_until_stopped(watch))


async def _until_stopped(watch: "Watch") -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with watch:
        looking = asyncio.create_task(watch.run(stop))
        await asyncio.wait({looking, waiting := asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if stop.is_set():
            looking.cancel()  # what was about to be told is on disk, and told after the next start
            await asyncio.wait({looking})
        else:
            await looking  # it ended by itself, which nobody may take for a stop


class Watch:
    """One life of the watch."""

    def __init__(self, settings: WatchSettings, kafka: KafkaSettings, rules: Rules, memory: Memory) -> None:
        self.rules = rules
        self.memory = memory
        self.reload: Reload | None = None
        self._settings = settings
        self._kafka = kafka
        self._enriched = Topics(kafka.topic_prefix).enriched
        self._rooms = settings.room_addresses()
        self._saved: bytes | None = None
        self._unsaved = False
        self._teller = Teller(kafka, rules, self._save, settings.runbook)
        self._heartbeat = Heartbeat(settings.heartbeat_url, settings.heartbeat_every.total_seconds())
        self._looked: float | None = None
        self._canaries = canary.Canaries(rules, settings.data, settings.canary_url)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._http = await stack.enter_async_context(
                httpx.AsyncClient(timeout=watch_pages.WITHIN, trust_env=False, follow_redirects=False)
            )
            await stack.enter_async_context(self._heartbeat)
            if (settings := self._settings).canary_url:
                page = canary_page.create_page(canary.folder(settings.data), lambda: self.rules.targets)
                await stack.enter_async_context(canary_page.serving(page, settings.canary_host, settings.canary_port))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, stop: asyncio.Event) -> None:
        """Look, and send the canaries that are due, until told to stop.

        Raises NotReady.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._canaries.run(stop))
                tasks.create_task(self._keep_looking(stop))
        except* NotReady as errors:
            raise errors.exceptions[0] from None

    async def _keep_looking(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.once()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._settings.every.total_seconds())

    async def once(self) -> None:
        """Look, remember, tell."""
        if self.reload:
            self.reload.look()
        look = await self._look()
        for change in self.memory.take(look, self._settings):
            say = log.error if change.raised else log.info
            say("condition_raised" if change.raised else "condition_over", condition=change.key, detail=change.detail)
        self._save()
        self._count()
        carries = look.kafka is not None and self._enriched not in look.kafka.missing
        await self._teller.tell(self.memory.untold, carries=carries, served=served(look.pages.values()))
        self._looked = look.at
        metrics.LOOKED.set(look.at)
        metrics.UNTOLD.set(len(self.memory.untold))
        await self._heartbeat.beat(time.monotonic(), well=self._does_its_part())

    async def _look(self) -> Look:
        pages, said = await asyncio.gather(
            watch_pages.fetch(self._http, self._rooms),
            watch_kafka.look(self._kafka, self.rules.targets, self.memory.letters),
        )
        self._settings.data.mkdir(parents=True, exist_ok=True)
        return Look(
            at=time.time(),
            pages=pages,
            kafka=said,
            free_here=shutil.disk_usage(self._settings.data).free,
            key_ends=_key_ends(),
            overdue=self._canaries.missed(),
        )

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Say whether it looks, and what is raised."""
        return self._looked is not None, {
            "raised": self.memory.raised,
            "untold": len(self.memory.untold),
            "last_look": self._looked,
        }

    def _does_its_part(self) -> bool:
        """Say whether people know of all that is raised, as far as anybody can say.

        An outside alarm that lasted as long as what is raised would be silenced, and a host that dies with it.
        """
        in_trouble = {subject for condition, subject in map(split, self.memory.raised) if condition.of_target}
        heard = not self.memory.raised or any(name not in in_trouble for name in self._teller.listeners())
        # What all were told past Kafka waits for its record alone, for as long as Kafka is away.
        return heard and not any(map(self._teller.keeps_waiting, self.memory.untold))

    def _save(self) -> None:
        """Write the state down, when it differs from what is written; what a full disk does not take is told all the same."""
        now = self.memory.encoded()
        if now == self._saved:
            return
        try:
            self.memory.save(self._settings.folder, now)
        except OSError as error:
            if not self._unsaved:
                log.error("state_not_saved", folder=str(self._settings.folder), reason=error.strerror)
            self._unsaved = True
        else:
            self._saved, self._unsaved = now, False

    def _count(self) -> None:
        raised = Counter(key.partition("/")[0] for key in self.memory.raised)
        for name in CONDITIONS:
            metrics.RAISED.labels(name).set(raised[name])


def _key_ends() -> datetime | None:
    """Return when the API key ends; read anew each time, for `.env` may have another one by now."""
    key = SekoiaSettings().api_key.get_secret_value()
    return expiry(key) if key else None
