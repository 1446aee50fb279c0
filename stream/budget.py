"""A token bucket: how often the stream may call the API."""

import asyncio


class Budget:
    """Let `rate` calls a second pass, evenly: capacity is one, so there are never two at once.

    Each worker's rate is its share of the egress address's budget, by the partitions it owns.
    """

    def __init__(self, rate: float) -> None:
        self.total = rate
        self._rate = rate
        self._next = 0.0

    @property
    def rate(self) -> float:
        """Calls per second this worker may make."""
        return self._rate

    def share(self, owned: int, partitions: int) -> None:
        """Take the part of the budget that goes with `owned` of `partitions` partitions."""
        self._rate = self.total * owned / partitions

    def delay(self, now: float) -> float:
        """Return the seconds until the next call may start."""
        return max(0.0, self._next - now) if self._rate else float("inf")

    async def take(self) -> None:
        """Wait for the next free call."""
        loop = asyncio.get_running_loop()
        while (wait := self.delay(loop.time())) > 0:
            await asyncio.sleep(min(wait, 1.0))  # the share may have grown meanwhile
        self._next = loop.time() + 1 / self._rate
