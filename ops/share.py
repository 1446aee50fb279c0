"""An operator's calls to the Alert API: in the slots left to them, and not while the stream's workers keep silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.errors import NotReady
from events.settings import KafkaSettings
from events.slots import OperatorsBudget, Slots
from stream.breaker import REST, Breaker
from stream.gossip import Gossip
from stream.settings import SekoiaSettings

LISTEN = 5.0
"""Seconds to hear what the workers said of late; a Kafka that is away must not keep `tocsin doctor` from its work."""


def budget(settings: SekoiaSettings) -> OperatorsBudget:
    """Return the part of the vendor's limit that an operator's command calls in; one for all its calls."""
    return OperatorsBudget(Slots(settings.requests_per_second), settings.api())


class Share:
    """What one command may do; it stands in nobody's way where there is no Kafka, and so no stream."""

    def __init__(self, slots: OperatorsBudget) -> None:
        self.slots = slots
        self._breaker = Breaker(allowed_errors=0)
        self._gossip: Gossip | None = None

    async def leave(self) -> None:
        """Wait until the first byte of the next call may go; a short silence is waited for.

        Raises NotReady while the vendor wants a longer one.
        """
        await self.slots.leave()
        while pause := self._breaker.silent_for(_now()):
            if pause <= REST:
                await asyncio.sleep(pause)
                await self.slots.leave()
                continue
            raise NotReady(
                f"The Alert API wants silence for {pause:.0f} s more ({self._breaker.reason}): a call now would have this "
                "network blocked. Try again then."
            )

    def failed(self, reason: str, retry_after: float | None = None) -> None:
        """Tell the workers of an answer that the vendor's firewall counts: theirs would be the second."""
        if self._gossip:
            self._gossip.tell(f"an operator's command: {reason}", max(REST, retry_after or 0.0))

    def heard(self, reason: str, silent_for: float) -> None:
        """Take a worker's word for an error."""
        self._breaker.heard(_now(), f"a worker of the stream: {reason}", silent_for or None)

    @asynccontextmanager
    async def hearing(self, kafka: KafkaSettings) -> AsyncIterator["Share"]:
        """Hear the workers and be heard by them, where Kafka can be reached."""
        try:
            self._gossip = Gossip(kafka, self.heard)
        except NotReady:  # no cluster is named yet
            yield self
            return
        talking = asyncio.create_task(self._gossip.run())
        talking.add_done_callback(lambda done: done.cancelled() or done.exception())  # Kafka is away: so is the stream
        try:
            await asyncio.wait(
                [talking, up := asyncio.create_task(self._gossip.up_to_date.wait())],
                timeout=LISTEN,
                return_when=asyncio.FIRST_COMPLETED,
            )
            up.cancel()
            yield self
        finally:
            await self._gossip.said(talking)
            talking.cancel()
            await asyncio.wait([talking])


@asynccontextmanager
async def share(settings: SekoiaSettings, kafka: KafkaSettings) -> AsyncIterator[Share]:
    """Open the share of one command."""
    async with Share(budget(settings)).hearing(kafka) as one:
        yield one


def _now() -> float:
    return asyncio.get_running_loop().time()
