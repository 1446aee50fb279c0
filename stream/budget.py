"""The budget of requests: how often this worker may call the API, so that all workers together keep the vendor's limit."""

import asyncio
from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

from events.slots import Slots

SETTLING = 2.0
"""Seconds before a new share may be used: its former owner may have used it a moment ago."""
MEMBER = 8.0
"""Seconds for which a heartbeat that the group answered vouches for a share; a bit shorter than a member's session."""
EARLY = 0.05
"""Seconds before its slot in which a call is prepared, so that it can go when the slot begins."""
APART = 1.06
"""Seconds that hold a second's worth of calls of a worker that is alone: the vendor's second is then never too full."""
PERIOD = 10.0
"""Seconds over which calls are counted, to tell what is left."""


@dataclass(slots=True)
class _Gate:
    """The last call that passed a gate: when, and in which slot; a gate may open some seconds before the slot does."""

    early: float = 0.0
    at: float = -inf
    slot: int = -1
    alone: bool = False
    """Whether it was made by a worker that owned everything, in no slot."""


class Budget:
    """Let the stream's calls pass, over all workers, each taking the part that goes with its partitions.

    A worker that owns every partition calls evenly, never two at once. Where there are several, the stream's slots
    belong to the partitions in turn, so that in any second there are no more calls than slots, whoever makes them.
    What is ours is so only while the group says it: `member` seconds after the last heartbeat it answered, a worker
    that nobody told anything asks nothing.

    A call passes two gates: `take` when it may be prepared, `leave` when its first byte may go. A busy loop needs a while
    from one to the other, and calls that are late would arrive in a heap.
    """

    def __init__(self, slots: Slots, member: float = inf) -> None:
        self._slots = slots
        self._member = member
        self._partitions = 1
        self._from: dict[int, float] = {}  # owned partition: when its share may be used
        self._begun, self._left = _Gate(EARLY), _Gate()
        self._vouched = -inf
        self._regrouping = False
        self._used: deque[float] = deque()

    @property
    def rate(self) -> float:
        """Calls per second this worker may make."""
        return self._slots.stream * len(self._from) / self._partitions

    def suspend(self) -> None:
        """Use no share until the next `share`: the group is dividing them anew, and the others may know before we do."""
        self._regrouping = True

    def share(self, owned: AbstractSet[int], partitions: int, now: float) -> None:
        """Take the part of the budget that goes with the owned ones of so many partitions."""
        self._partitions, self._regrouping = partitions, False
        self._from = {number: min(self._from.get(number, inf), now + SETTLING) for number in owned}
        self.vouch(now)

    def vouch(self, now: float) -> None:
        """Note that the group knew us as its member when we asked it at that time."""
        self._vouched = max(self._vouched, now)

    def vouched(self, now: float) -> bool:
        """Tell whether the group knew us as its member of late; only then what it gave us is ours."""
        return now - self._vouched <= self._member

    def settling(self, now: float) -> float:
        """Return the seconds until the first share may be used; 0 when one may be."""
        return max(0.0, min(self._from.values(), default=now) - now)

    def delay(self, now: float) -> float:
        """Return the seconds until the next call may start."""
        return self._delay(self._begun, now)

    def _delay(self, gate: _Gate, now: float) -> float:
        if self._regrouping or not self.vouched(now):
            return SETTLING
        usable = {number for number, start in self._from.items() if start <= now}
        if not usable:
            return self.settling(now) if self._from else inf
        alone, apart = len(usable) == self._partitions, APART / self._slots.stream
        # Of the two ways to call, one begins only when the other's last calls no longer share a second with its first.
        if (again := gate.at + apart * (1 if alone == gate.alone else 2) - now) > 0 and (alone or gate.alone):
            return again
        if alone:
            return 0.0

        def ours(slot: int) -> bool:
            turn = self._slots.turn(slot)
            return turn is not None and turn % self._partitions in usable

        return self._slots.until(ours, gate.slot, 2 * self._partitions + 4, gate.early)

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
        self._note(self._left, await self._pass(self._left))

    async def _pass(self, gate: _Gate) -> float:
        loop = asyncio.get_running_loop()
        while (wait := self._delay(gate, loop.time())) > 0:
            await asyncio.sleep(min(wait, 1.0))  # the share may have changed meanwhile
        return loop.time()

    def used(self, now: float) -> None:
        """Note a call that starts now."""
        self._note(self._begun, now)
        self._used.append(now)
        self._forget(now)

    def _note(self, gate: _Gate, now: float) -> None:
        gate.at, gate.slot = now, self._slots.now(gate.early)
        gate.alone = sum(start <= now for start in self._from.values()) == self._partitions
