"""Reading the rules file anew while the sinks run: on SIGHUP, and when the file changes."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from events.errors import NotReady
from sinks import metrics, rules_file
from sinks.rules import Rules

EVERY = 2.0
"""Seconds between two looks at the file."""

log = structlog.get_logger()

_Seen = tuple[int, int, int] | None


class Reload:
    """Let rules in force follow their file; a file that cannot be used leaves them as they are."""

    def __init__(self, path: Path, rules: Rules, running: Sequence[str]) -> None:
        self._path = path
        self._rules = rules
        self._running = {name: rules.targets[name] for name in running}
        self._seen = self._look()

    def now(self) -> None:
        """Read the file, and say in one line what came of it."""
        self._seen = self._look()
        try:
            newer = rules_file.read(self._path, rules_file.environment())
        except NotReady as error:
            metrics.RELOADS.labels("refused").inc()
            log.error("rules_refused", reason=str(error), kept=self._rules.version[:12])
            return
        if newer.version != self._rules.version:
            self._rules.adopt(newer)
        metrics.RELOADS.labels("adopted").inc()
        log.info("rules_adopted", version=newer.version[:12], rules=len(newer.rules), restart_for=self.restart_for())

    def restart_for(self) -> list[str]:
        """Say which targets differ from those running: rules are followed at once, targets at the next start."""
        there = self._rules.targets
        gone = [f"{name} (removed; runs on with its old rules)" for name in self._running if name not in there]
        changed = [f"{name} (changed)" for name, was in self._running.items() if there.get(name, was) != was]
        new = [f"{name} (not run by this process)" for name in there if name not in self._running]
        return [*gone, *changed, *new]

    def look(self) -> None:
        """Read the file when it is another than at the last look."""
        if self._look() not in (self._seen, None):
            self.now()

    async def watch(self) -> None:
        """Look every other second, for ever."""
        while True:
            await asyncio.sleep(EVERY)
            self.look()

    def _look(self) -> _Seen:
        try:
            stat = self._path.stat()
        except OSError:
            return None  # being replaced, perhaps: an editor moves the old file away first
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


@asynccontextmanager
async def reloading(path: Path | None, rules: Rules, running: Sequence[str]) -> AsyncIterator[None]:
    """Follow the rules file meanwhile; without one there is nothing to follow, and SIGHUP ends nothing."""
    loop = asyncio.get_running_loop()
    if path is None:
        loop.add_signal_handler(signal.SIGHUP, lambda: log.info("no_rules_file"))
        yield
        return
    reload = Reload(path, rules, running)
    loop.add_signal_handler(signal.SIGHUP, reload.now)
    watching = asyncio.create_task(reload.watch())
    watching.add_done_callback(_say)
    try:
        yield
    finally:
        watching.cancel()


def _say(watching: asyncio.Task[None]) -> None:
    if not watching.cancelled() and (error := watching.exception()):
        log.error("rules_not_watched", error=repr(error))
