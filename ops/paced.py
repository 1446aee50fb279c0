"""The Alert API as an operator's command may use it: in the slots left to it, and silent whenever the stream is."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from events.errors import NotReady
from events.settings import KafkaSettings
from events.slots import OperatorsBudget
from ops import share
from stream.alert_api import AlertApi, Refused, Unavailable
from stream.breaker import Breaker
from stream.gossip import Gossip
from stream.settings import SekoiaSettings


class Paced:
    """The Alert API inside the operator's share, silent where the vendor wants silence."""

    def __init__(self, api: AlertApi, budget: OperatorsBudget, breaker: Breaker) -> None:
        self._api, self._budget, self._breaker = api, budget, breaker
        api.before_send = self._leave
        self.tell: Callable[[str, float], None] = lambda _reason, _silent_for: None
        """Tells the stream's workers of an error, and for how many seconds nobody may call."""
        self.check: Callable[[], None] = lambda: None
        """Raises NotReady once the workers cannot be heard any more."""

    async def updated(self, since: datetime, offset: int = 0) -> list[dict[str, Any]]:
        """Return a page. Raises Unavailable, Refused, NotReady."""
        self.check()
        self._silent()
        try:
            page = await self._api.updated(since, offset)
        except Refused as error:
            self._breaker.refuse(_now(), str(error))
            self._tell(error)
            raise
        except Unavailable as error:
            if error.counts or error.retry_after is not None:
                self._breaker.error(_now(), str(error), error.retry_after)
                self._tell(error)
            raise
        self._breaker.success(_now())
        return page

    async def _leave(self) -> None:
        await self._budget.leave()
        self._silent()  # a worker may have been refused while we waited for our slot

    def _silent(self) -> None:
        if pause := self._breaker.silent_for(_now()):
            raise Unavailable(f"silent for {pause:.0f} s more: {self._breaker.reason}", counts=False)

    def _tell(self, error: Exception) -> None:
        self.tell(f"an operator's command: {error}", self._breaker.silent_for(_now()))

    def heard(self, reason: str, silent_for: float) -> None:
        """Take a worker's word for an error: the vendor counts those of one address together."""
        self._breaker.heard(_now(), f"a worker of the stream: {reason}", silent_for or None)


@asynccontextmanager
async def alert_api(sekoia: SekoiaSettings, kafka: KafkaSettings) -> AsyncIterator[Paced]:
    """Open it, once all is heard that the stream's workers said of late.

    Raises NotReady.
    """
    async with AlertApi(sekoia) as api:
        # One error is enough: the stream calls from the same address, and its errors count with ours.
        paced = Paced(api, share.budget(sekoia), Breaker(allowed_errors=0))
        gossip = Gossip(kafka, paced.heard)
        paced.tell = gossip.tell
        listening = asyncio.create_task(gossip.run())
        listening.add_done_callback(lambda _: gossip.up_to_date.set())
        paced.check = lambda: _check(kafka, listening)
        try:
            await gossip.up_to_date.wait()
            yield paced
        finally:
            await gossip.said(listening)
            listening.cancel()
            await asyncio.wait([listening])


def _check(kafka: KafkaSettings, listening: asyncio.Task[None]) -> None:
    if listening.done():
        raise NotReady(f"Kafka at {kafka.bootstrap_servers} does not do its part: {listening.exception()!r}.")


def _now() -> float:
    return asyncio.get_running_loop().time()
