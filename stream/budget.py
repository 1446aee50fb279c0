"""The budget of requests: how often this worker may call the API, so that all workers together keep the vendor's limit."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import floor, inf

SETTLING = 2.0
"""Seconds before a new share may be used: its former owner may have used it a moment ago."""
TURN, ASLEEP = 1.0, 8.0
"""Seconds between two looks at the clock, and a gap between them after which the group may have moved on: it is a bit
shorter than the session of a member (stream/app.py)."""
PERIOD = 10.0
"""Seconds over which calls are counted, to tell what is left."""
REJOINING = 15.0
"""Seconds in which a member that slept learns what it still owns."""


@dataclass(slots=True)
class _Gate:
    """The last call that passed a gate: when, and in which slot."""

    at: float = -inf
    slot: int = -1


class Budget:
    """Let `rate` calls a second pass over all workers, each taking the part that goes with its partitions.

    A worker that owns every partition calls evenly, never two at once. Where there are several, time is cut into slots
    of 1/`rate` seconds that belong to the partitions in turn, so that in any second there are no more calls than slots,
    whoever makes them; the hosts' clocks must agree to some tenths of a second, as NTP keeps them.

    A call passes two gates: `take` when it may be prepared, `leave` when its first byte may go. A busy loop needs a while
    from one to the other, and calls that are late would arrive in a heap.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.time) -> None:
        self.total = rate
        self._clock = clock
        self._partitions = 1
        self._from: dict[int, float] = {}  # owned partition: when its share may be used
        self._begun, self._left = _Gate(), _Gate()
        self._turned = inf
        self._regrouping = False
        self._used: deque[float] = deque()

    @property
    def rate(self) -> float:
        """Calls per second this worker may make."""
        return self.total * len(self._from) / self._partitions

    def suspend(self) -> None:
        """Use no share until the next `share`: the group is dividing them anew, and the others may know before we do."""
        self._regrouping = True

    def share(self, owned: AbstractSet[int], partitions: int, now: float) -> None:
        """Take the part of the budget that goes with the owned ones of so many partitions."""
        self._partitions, self._regrouping = partitions, False
        self._from = {number: min(self._from.get(number, inf), now + SETTLING) for number in owned}

    def turned(self, now: float) -> None:
        """Note that this process runs; one that slept may use no share before it knows which are still its own."""
        if now - self._turned > ASLEEP:
            self._from = {number: max(start, now + REJOINING) for number, start in self._from.items()}
        self._turned = now

    async def watch(self) -> None:
        """Note it again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.turned(loop.time())
            await asyncio.sleep(TURN)

    def settling(self, now: float) -> float:
        """Return the seconds until the first share may be used; 0 when one may be."""
        return max(0.0, min(self._from.values(), default=now) - now)

    def delay(self, now: float) -> float:
        """Return the seconds until the next call may start."""
        return self._delay(self._begun, now)

    def _delay(self, gate: _Gate, now: float) -> float:
        if self._regrouping:
            return SETTLING
        usable = {number for number, start in self._from.items() if start <= now}
        if not usable:
            return self.settling(now) if self._from else inf
        if len(usable) == self._partitions:
            return max(0.0, gate.at + 1 / self.total - now)
        wall = self._clock()
        slot = floor(wall * self.total)
        for ahead in range(self._partitions + 1):
            if (slot + ahead) % self._partitions in usable and slot + ahead != gate.slot:
                return max(0.0, (slot + ahead) / self.total - wall)
        return 1 / self.total

    def left(self, now: float) -> float:
        """Return how many calls a second were not made of those allowed, over the last PERIOD."""
        self._forget(now)
        return max(0.0, self.rate - len(self._used) / PERIOD)

    def _forget(self, now: float) -> None:
        while self._used and self._used[0] <= now - PERIOD:
            self._used.popleft()

    async def take(self) -> None:
        """Wait until the next call may be prepared."""
        self.used(await self._pass(self._begun))

    async def leave(self) -> None:
        """Wait until a call that was taken may go; at once, unless it is late."""
        now = await self._pass(self._left)
        self._left.at, self._left.slot = now, floor(self._clock() * self.total)

    async def _pass(self, gate: _Gate) -> float:
        loop = asyncio.get_running_loop()
        while True:
            if self._turned < inf:  # watched: what woke us may have come before the watch's own turn
                self.turned(loop.time())
            if (wait := self._delay(gate, loop.time())) <= 0:
                return loop.time()
            await asyncio.sleep(min(wait, 1.0))  # the share may have changed meanwhile

    def used(self, now: float) -> None:
        """Note a call that starts now."""
        self._begun.at, self._begun.slot = now, floor(self._clock() * self.total)
        self._used.append(now)
        self._forget(now)
