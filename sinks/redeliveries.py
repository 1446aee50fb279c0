"""What an operator sends to one target again: taken after what is new, or now and then where something always is."""

from collections.abc import Awaitable, Callable

from events.headers import as_text
from sinks.delivery import Delivery, Handled
from sinks.receipts import Record

GROUP = "redeliveries"
"""Behind the target's name, the consumer group that reads them."""

LOOK, PATIENCE = 0.5, 10.0
"""Seconds between two looks whether something new is waiting, and after which one record goes all the same."""


class Redeliveries:
    """Bring a target its own of the redeliveries; those of others are passed over."""

    def __init__(
        self,
        target: str,
        delivery: Delivery,
        busy: Callable[[], bool],
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        """Take what says whether new events are being delivered, and what waits as `Runner.pause` does."""
        self._target = target
        self._delivery = delivery
        self._busy = busy
        self._pause = pause

    async def handle(self, record: Record) -> Handled:
        """Deliver a record that is ours; raises what `pause` raises."""
        headers = as_text(record.headers)
        if headers.get("target") != self._target:
            return "unmatched"
        waited = 0.0
        while self._busy() and waited < PATIENCE:
            await self._pause(LOOK)
            waited += LOOK
        return await self._delivery.redeliver(record, headers.get("job-id", ""))

    def check(self) -> None:
        """Raise NotReady when too many in a row were refused."""
        self._delivery.check()
