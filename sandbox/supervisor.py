"""The supervisor: it keeps child processes running and leaves none behind, however it ends itself."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from events.errors import NotReady
from sandbox import signals
from sandbox.logfile import last_line, rotate

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0
STEADY = 30.0
"""Seconds after which a process counts as well again, and its next restart is quick."""

LOOK_AT_LOG = 30.0
"""Seconds between two looks at the size of a log."""

PERSON_CAN_FIX = 2
"""Exit code of a room that lacks something; its last line says what."""

CANNOT_RUN = 126
"""Exit code, as the shell has it, of what could not even be started."""

log = structlog.get_logger()

Ready = Callable[[], Awaitable[bool]]
Announce = Callable[["Restart"], None]


@dataclass(frozen=True)
class Process:
    """A child process: what to run, with which environment, and where its output goes."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    admin: str = ""
    """Address of its `/healthz` and `/metrics`, if it has one."""
    stops_last: bool = False
    """The others need it until they have stopped: the broker."""


@dataclass(frozen=True)
class Restart:
    """A process ended by itself and is started again."""

    name: str
    code: int
    pause: float

    def __str__(self) -> str:
        how = f"killed by {signals.name_of(-self.code)}" if self.code < 0 else f"ended with exit code {self.code}"
        return f"{self.name} {how}; starting it again in {self.pause:g} s"


class Backoff:
    """How long to wait before the next start: doubling, forgotten once the process ran well."""

    def __init__(self, longest: float = LONGEST_PAUSE) -> None:
        self._pause, self._longest = FIRST_PAUSE, longest

    def after(self, uptime: float) -> float:
        """Return the pause in seconds after a run of this many seconds."""
        pause = FIRST_PAUSE if uptime >= STEADY else self._pause
        self._pause = min(2 * pause, self._longest)
        return pause


class Supervisor:
    """Start processes in order, restart what ends, stop all of them."""

    def __init__(self, announce: Announce, longest_pause: float = LONGEST_PAUSE) -> None:
        """Take who is told of restarts, and the longest pause before one in seconds."""
        self._announce = announce
        self._longest_pause = longest_pause
        self._children: dict[str, _Child] = {}

    async def start(self, process: Process, ready: Ready | None = None, within: float = 60.0) -> float:
        """Start a process, wait until it is ready, and return the seconds that took.

        Raises NotReady with the last line of its log when it says it cannot start, or is not ready in time.
        """
        began = time.monotonic()
        child = self._children[process.name] = _Child(process, self._announce, Backoff(self._longest_pause))
        child.keeper = asyncio.create_task(child.keep(await child.spawn()), name=f"keep {process.name}")
        while ready and not await ready():
            if child.last_code == PERSON_CAN_FIX:
                raise NotReady(f"{process.name} cannot start: {last_line(process.log)}")
            if time.monotonic() - began > within:
                raise NotReady(f"{process.name} was not ready after {within:g} s; its log is {process.log}")
            await asyncio.sleep(0.1)
        return time.monotonic() - began

    @property
    def names(self) -> list[str]:
        """The processes, in the order they were started."""
        return list(self._children)

    def pid(self, name: str) -> int | None:
        """Return the process id, None while it is down."""
        return self._children[name].pid

    def restarts(self, name: str) -> int:
        """Return how often the process was started again."""
        return self._children[name].restarts

    def kill(self, name: str) -> None:
        """Kill -9 a process, as a crash would; it is restarted. Does nothing while it is down."""
        self._children[name].signal(signal.SIGKILL)

    def pause(self, name: str) -> None:
        """Stop a process in its tracks (SIGSTOP), as a long pause of its machine would."""
        self._children[name].signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused process go on."""
        self._children[name].signal(signal.SIGCONT)

    def terminate(self, name: str) -> None:
        """Ask a process to stop (SIGTERM); it is restarted once it has."""
        self._children[name].signal(signal.SIGTERM)

    async def end(self, name: str, within: float = 40.0) -> None:
        """Stop one process for good; `start` makes it anew. What has not stopped `within` seconds is killed."""
        await _end([self._children[name]], within)

    async def stop(self, within: float = 13.0) -> None:
        """End all, last started first; those that `stops_last` when the others are gone. What stays is killed.

        `within` bounds the whole in seconds.
        """
        children = list(reversed(self._children.values()))
        deadline = time.monotonic() + within
        last = [child for child in children if child.process.stops_last]
        await _end([child for child in children if child not in last], within * (0.7 if last else 1.0))
        await _end(last, deadline - time.monotonic())

    def kill_all(self) -> None:
        """Kill everything at once, for a person who asked twice."""
        for child in self._children.values():
            child.stopping.set()
            child.signal(signal.SIGKILL)


class _Child:
    """One supervised process over its successive lives."""

    def __init__(self, process: Process, announce: Announce, backoff: Backoff) -> None:
        self.process = process
        self.restarts = 0
        self.last_code: int | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()
        self._announce = announce
        self._backoff = backoff
        self._running: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running and self._running.returncode is None else None

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start it on a leash: it dies when this process does, even by kill -9."""
        process = self.process
        process.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(process.log)
        with process.log.open("ab") as output:
            self._running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "sandbox.leash", "--parent", str(os.getpid()), "--", *process.argv),
                env=dict(process.env),
                cwd=process.cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor alone
            )
        return self._running

    async def keep(self, running: asyncio.subprocess.Process | None) -> None:
        """Wait for its end and start it again, until told to stop."""
        while True:
            began = time.monotonic()
            self.last_code = await self._end_of(running)
            if self.stopping.is_set():
                return
            restart = Restart(self.process.name, self.last_code, self._backoff.after(time.monotonic() - began))
            self._announce(restart)
            if await self._told_to_stop(restart.pause):
                return
            try:
                running = await self.spawn()
            except OSError as error:  # no memory, no process left: the next try may find some
                running = None
                log.error("process cannot be started", process=restart.name, error=str(error))
            self.restarts += 1
            if self.stopping.is_set():  # told while it was being started
                self.signal(signal.SIGTERM)

    async def _end_of(self, running: asyncio.subprocess.Process | None) -> int:
        if running is None:
            return CANNOT_RUN
        end = asyncio.ensure_future(running.wait())
        while not (await asyncio.wait({end}, timeout=LOOK_AT_LOG))[0]:
            rotate(self.process.log)
        code = end.result()
        signals.send_to_group(running.pid, signal.SIGKILL)  # workers it left behind hold its port
        return code

    def signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            signals.send_to_group(self.pid, number)

    async def _told_to_stop(self, within: float) -> bool:
        try:
            await asyncio.wait_for(self.stopping.wait(), within)
        except TimeoutError:
            return False
        return True


async def _end(children: list[_Child], within: float) -> None:
    """Ask politely, wait, then kill."""
    keepers = [child.keeper for child in children if child.keeper]
    if not keepers:
        return
    for child in children:
        child.stopping.set()
        child.signal(signal.SIGTERM)
        child.signal(signal.SIGCONT)  # a paused process would not see it
    await asyncio.wait(keepers, timeout=max(0.1, within))
    for child in children:
        if child.pid is not None:
            log.warning("process did not stop, killing it", process=child.process.name)
            child.signal(signal.SIGKILL)
    await asyncio.wait(keepers, timeout=2)
