"""A thread that ends the process when it lives but does nothing."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream.ending import end_process

STALL = 120.0
"""Seconds without an acknowledgement while records wait; nothing waits longer than its deadline and a transaction."""
BLOCKED = 60.0
"""Seconds in which the event loop did not turn."""
UNASSIGNED = 180.0
"""Seconds without any partition; a fatal group error leaves Faust hanging, healthy to the eye, with one line logged."""
STANDBY = 3600.0
"""The same for one the group knows: there may be more workers than partitions."""
STOPPING = 30.0
"""Seconds for a clean stop."""


@dataclass(frozen=True)
class Pulse:
    """What the watchdog sees of the worker."""

    partitions: Mapping[int, tuple[int, int]]
    """Of each owned one, how many records wait and how many were acknowledged."""
    known: bool
    """Whether the group has just told us that we are its member."""
    stopping: bool


class Watchdog:
    """Judge one pulse after the other; pure, so that it can be tested without a clock."""

    def __init__(self, now: float) -> None:
        self._since = dict.fromkeys(("partitions", "running"), now)
        self._progress: dict[int, tuple[int, float]] = {}

    def verdict(self, pulse: Pulse, turned: float, now: float) -> str | None:
        """Return why the process must end, or None; `turned` is when the event loop last did."""
        for number, (waiting, acknowledged) in pulse.partitions.items():
            before = self._progress.get(number)
            if before is None or before[0] != acknowledged or not waiting:
                self._progress[number] = (acknowledged, now)
        self._progress = {number: self._progress[number] for number in pulse.partitions}
        oldest = min((since for _, since in self._progress.values()), default=now)
        if pulse.partitions:
            self._since["partitions"] = now
        if not pulse.stopping:
            self._since["running"] = now
        limits = {
            "no record was finished": now - oldest - STALL,
            "no partition was assigned": now - self._since["partitions"] - (STANDBY if pulse.known else UNASSIGNED),
            "the clean stop hangs": now - self._since["running"] - STOPPING,
            "the event loop is blocked": now - turned - BLOCKED,
        }
        return next((f"{why} within its time" for why, over in limits.items() if over > 0), None)


def start(pulse: Callable[[], Pulse], loop: asyncio.AbstractEventLoop) -> None:
    """Watch from a thread of its own, for a blocked loop cannot watch itself."""
    turned = [time.monotonic()]

    def turn() -> None:
        turned[0] = time.monotonic()
        loop.call_later(1.0, turn)

    def watch() -> None:
        watchdog = Watchdog(time.monotonic())
        while True:
            time.sleep(1.0)
            if why := watchdog.verdict(pulse(), turned[0], time.monotonic()):
                end_process(why)

    loop.call_soon_threadsafe(turn)
    threading.Thread(target=watch, name="watchdog", daemon=True).start()
