"""What an operator sends to one target again: taken after what is new, or now and then where something always is."""

from collections.abc import Callable

from events.headers import as_text
from sinks.delivery import Delivery, Tries
from sinks.digest import Prepared
from sinks.handling import Ended, Grip, Handled
from sinks.receipts import Record
from sinks.rules import Decision
from sinks.window import Window

GROUP = "redeliveries"
"""Behind the target's name, the consumer group that reads them."""

LOOK, PATIENCE = 0.5, 10.0
"""Seconds between two looks whether something new is waiting, and after which one record goes all the same."""


class Redeliveries:
    """Bring a target its own of the redeliveries, one by one; those of others are passed over."""

    idle = True

    def __init__(self, target: str, delivery: Delivery, grip: Grip, version: str, busy: Callable[[], bool]) -> None:
        """Take the rules' version for the receipts, and what says whether new events are being delivered."""
        self._target = target
        self._delivery = delivery
        self._grip = grip
        self._version = version
        self._busy = busy

    async def step(self, window: Window, _backlog: int = 0, *, crowded: bool = False) -> list[Ended]:  # noqa: ARG002
        """Bring the first record to its end; raises what the grip raises."""
        taken = window.take(head=True)
        if taken is None:
            return []
        held, _ = taken
        handled = await self.handle(held.record, again=held.again)
        window.release(held)  # else nothing more of its key would ever be handed out
        return [Ended(held.record, handled)]

    async def handle(self, record: Record, *, again: bool = False) -> Handled:
        """Deliver a record that is ours; no rule is asked."""
        headers = as_text(record.headers)
        if headers.get("target") != self._target:
            return "unmatched"
        waited = 0.0
        while self._busy() and waited < PATIENCE:
            await self._grip.pause(LOOK)
            waited += LOOK
        job = headers.get("job-id", "")
        event = await self._delivery.decode(record, job)
        if event is None:
            return "settled"
        if self._delivery.has_receipt(record, event, job):
            return "spared"
        decision = Decision(notify=True, replay_id=job, version=self._version)
        await self._send(Prepared(record, event, decision, urgent=False, again=again))
        return "settled"

    async def _send(self, prepared: Prepared) -> None:
        outlet = self._delivery.outlet
        tries = Tries(outlet.clock())
        while True:
            while seconds := outlet.wait(urgent=False):
                await self._grip.pause(seconds)
            await self._grip.confirm([prepared.record], mark=outlet.marks_attempts)
            if not outlet.claim(urgent=False):
                continue
            tries.count += 1
            result = await outlet.attempt(prepared.event)
            if result is not None:
                await self._delivery.settle(prepared, result, tries)
                return

    def rest(self) -> None:
        """Nothing waits."""

    async def finish(self) -> list[Ended]:
        """Nothing is posted without its receipt."""
        return []

    async def cancel(self) -> None:
        """Nothing is on its way but within a step."""

    def forget(self) -> None:
        """Nothing is kept between two records."""

    def check(self) -> None:
        """Raise NotReady when too many in a row were refused."""
        self._delivery.check()
