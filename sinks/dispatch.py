"""Bring what is read to its end: alone or in a digest, urgent first, within the budget, in order per alert."""

from dataclasses import dataclass

import structlog

from events.errors import NotReady
from sinks import metrics
from sinks.delivery import Delivery, Tries
from sinks.destination import Delivered, Undeliverable
from sinks.digest import Digest, Folded
from sinks.handling import Ended, Grip
from sinks.keeping import Keeping
from sinks.schedule import LATEST, Action, View, choose
from sinks.standby import Standby
from sinks.window import Window

AT_ONCE = 50
"""Records that are folded before anything else gets its turn."""

RECEIPTS_AT_ONCE = 500
"""Receipts of a digest that are written before an urgent one gets its turn."""

log = structlog.get_logger()


@dataclass
class _Posted:
    """A digest that was taken, and what of it still lacks a receipt."""

    left: list[Folded]
    id: str
    result: Delivered
    attempts: int


class Dispatch:
    """Deliver to one target what its window holds, a step at a time."""

    def __init__(self, delivery: Delivery, grip: Grip, standby: Standby | None = None) -> None:
        self._delivery = delivery
        self._standby = standby
        self._outlet = delivery.outlet
        self._grip = grip
        self._tries: dict[tuple[int, int], Tries] = {}
        self._opened_at = self._flushed_at = self._urgent_at = float("-inf")
        self.forget()

    def forget(self) -> None:
        """Let go what is open: it comes again, to whoever owns the partitions next."""
        self._digest: Digest | None = None
        self._kept = Keeping(self._outlet.named)
        self._digest_tries: Tries | None = None
        self._posted: _Posted | None = None
        self._bare = False
        self._tries.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return self._digest is None and self._posted is None and self._kept.digest is None

    def check(self) -> None:
        """Raise NotReady when too many in a row were refused."""
        self._delivery.check()

    def rest(self) -> None:
        """Nothing waits."""
        metrics.OLDEST.labels(self._outlet.target).set(0)

    async def finish(self) -> list[Ended]:
        """Write the receipts that a posted digest still lacks: its partitions are given away."""
        ended: list[Ended] = []
        while self._posted:
            ended += await self._write_receipts()
        return ended

    async def step(self, window: Window, backlog: int = 0, *, crowded: bool = False) -> list[Ended]:
        """Do the next thing and return what came to its end by it.

        `backlog` is what waits in the topic besides, `crowded` that the first open record must come to its end now.
        Raises what the grip raises; NotReady when the target refuses even a digest of mere numbers.
        """
        self._measure(window)
        if self._standby and not self._posted:
            if not self._outlet.away():
                self._standby.back()
            elif (ended := await self._by_fallback(self._standby, window)) is not None:
                return ended
        action = self._choose(window, backlog, crowded=crowded)
        if self._posted and not (action.verb == "alone" and action.urgent):
            return await self._write_receipts()
        if action.verb in ("alone", "head"):
            return await self._alone(window, head=action.verb == "head")
        if action.verb in ("fold", "fold_head"):
            return await self._fold(window, head=action.verb == "fold_head")
        if action.verb == "flush":
            return await self._flush()
        await self._grip.pause(action.seconds)
        return []

    def _measure(self, window: Window) -> None:
        """Say how long the oldest has been waiting."""
        now = self._outlet.clock().timestamp()
        since = [window.oldest / 1000] if window.oldest is not None else []
        since += [one.folded[0].received_at.timestamp() for one in (self._digest, self._kept.digest) if one]
        metrics.OLDEST.labels(self._outlet.target).set(max(now - min(since, default=now), 0.0))

    def _choose(self, window: Window, backlog: int, *, crowded: bool) -> Action:
        if seconds := self._outlet.away():
            return Action("wait", seconds=min(seconds, LATEST))
        self._digest = self._kept.swap(self._digest, self._outlet.clock(), crowded=crowded)
        digest, next_key = self._digest, window.next_key
        view = View(
            waiting=len(window),
            urgent=window.urgent,
            backlog=backlog,
            folded=len(digest) if digest else 0,
            folded_urgent=digest.urgent if digest else 0,
            sealed=bool(digest and digest.sealed),
            blocked=bool(digest and next_key and digest.holds(next_key)),
            opened_at=self._opened_at,
            flushed_at=self._flushed_at,
            urgent_at=self._urgent_at,
            named=self._outlet.named,
            crowded=crowded and bool(digest or len(window)),
        )
        return choose(view, self._outlet.budget, self._outlet.monotonic())

    async def _alone(self, window: Window, *, head: bool) -> list[Ended]:
        taken = window.take(head=head)
        if taken is None:
            return []
        held, lifted = taken
        prepared = await self._delivery.prepare(held.record, urgent=held.urgent)
        if isinstance(prepared, str):
            return [Ended(held.record, prepared)]
        if self._kept.take(prepared, self._digest, self._outlet.clock()):
            self._delivery.will_tell(prepared)
            return []
        place = held.record.partition, held.record.offset
        tries = self._tries.setdefault(place, Tries(self._outlet.clock()))
        await self._grip.confirm({held.record.partition})
        tries.count += 1
        result = await self._outlet.attempt(prepared.event)
        if result is None:
            window.put_back(held)  # something more urgent may come before it is tried again
            return []
        if lifted:
            self._urgent_at = self._outlet.monotonic()
        await self._delivery.settle(prepared, result, tries)
        del self._tries[place]
        return [Ended(held.record, "settled")]

    async def _by_fallback(self, standby: Standby, window: Window) -> list[Ended] | None:
        """Tell the fallback target what is urgent and waited too long; None when nothing does."""
        digest, key = self._digest, window.next_key
        if digest and (digest.urgent or (key and digest.holds(key))):
            return await self._digest_by_fallback(standby, digest)
        if key is None or (taken := window.take()) is None:
            return None
        held = taken[0]
        if standby.due(held.record.timestamp / 1000):
            prepared = await self._delivery.prepare(held.record, urgent=held.urgent)
            if isinstance(prepared, str):
                return [Ended(held.record, prepared)]
            await self._grip.confirm({held.record.partition})
            if result := await standby.tell(prepared.event):
                await self._delivery.settle(prepared, result, Tries(self._outlet.clock(), 1))
                return [Ended(held.record, "settled")]
        window.put_back(held)
        return None

    async def _digest_by_fallback(self, standby: Standby, digest: Digest) -> list[Ended] | None:
        if not standby.due(digest.folded[0].received_at.timestamp()):
            return None
        digest.sealed = True
        await self._grip.confirm({one.partition for one in digest.folded})
        if (result := await standby.tell(digest.event())) is None:
            return None
        self._digest_done(digest, result, 1)
        return []

    async def _fold(self, window: Window, *, head: bool) -> list[Ended]:
        ended: list[Ended] = []
        lifting = window.urgent > 0
        for _ in range(AT_ONCE):
            if not head and (window.urgent > 0) != lifting:
                break
            if (taken := window.take(head=head)) is None:
                break
            held = taken[0]
            prepared = await self._delivery.prepare(held.record, urgent=held.urgent)
            self._tries.pop((held.record.partition, held.record.offset), None)
            if isinstance(prepared, str):
                ended.append(Ended(held.record, prepared))
                continue
            self._delivery.will_tell(prepared)
            if self._kept.take(prepared, self._digest, self._outlet.clock()):
                continue
            if self._digest is None:
                self._digest, self._opened_at = Digest(self._outlet.named), self._outlet.monotonic()
            self._digest.fold(prepared)
            if lifting and self._digest.urgent == self._outlet.named:
                break
        return ended

    async def _flush(self) -> list[Ended]:
        digest = self._digest
        if digest is None:
            return []
        digest.sealed = True
        await self._grip.confirm({one.partition for one in digest.folded})
        tries = self._digest_tries = self._digest_tries or Tries(self._outlet.clock())
        tries.count += 1
        result = await self._outlet.attempt(digest.event(bare=self._bare))
        if isinstance(result, Undeliverable):
            self._refused(digest, result)
        elif result is not None:
            self._flushed_at = self._outlet.monotonic()
            if digest.urgent:
                self._urgent_at = self._flushed_at
            self._digest_done(digest, result, tries.count)
        return []

    def _digest_done(self, digest: Digest, result: Delivered, attempts: int) -> None:
        self._posted = _Posted(digest.folded, digest.id, result, attempts)
        self._digest, self._digest_tries, self._bare = None, None, False
        metrics.DIGESTS.labels(self._outlet.target).inc()

    def _refused(self, digest: Digest, result: Undeliverable) -> None:
        if self._bare:
            raise NotReady(
                f"Target {self._outlet.target} refused a digest of {len(digest)} events: {result.reason}. It stops, and "
                "nothing is lost. Put that right and start it again."
            )
        log.warning("digest_refused", target=self._outlet.target, reason=result.reason, then="numbers only")
        self._bare = True

    async def _write_receipts(self) -> list[Ended]:
        posted = self._posted
        if posted is None:
            return []
        now, posted.left = posted.left[:RECEIPTS_AT_ONCE], posted.left[RECEIPTS_AT_ONCE:]
        await self._delivery.settle_digested(now, posted.id, posted.result, posted.attempts)
        if not posted.left:
            self._posted = None
        return [Ended(one, "settled") for one in now]
