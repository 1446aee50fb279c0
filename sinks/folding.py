"""Fold what is not told one by one into digests, post those, and write the receipts of all that is in them."""

from dataclasses import dataclass

import structlog

from events.errors import NotReady
from sinks import metrics
from sinks.delivery import Delivery, Tries
from sinks.destination import Delivered, Undeliverable
from sinks.digest import Digest, Folded, Prepared
from sinks.handling import Ended, Grip
from sinks.keeping import Keeping
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


class Folding:
    """The digests of one target: the one a short budget opens, the one rules keep, the one that waits for its receipts."""

    def __init__(self, delivery: Delivery, grip: Grip) -> None:
        self._delivery = delivery
        self._outlet = delivery.outlet
        self._grip = grip
        self.opened_at = self.flushed_at = float("-inf")
        self.forget()

    def forget(self) -> None:
        """Let go what is open: it comes again, to whoever owns the partitions next."""
        self.digest: Digest | None = None
        self._kept = Keeping(self._outlet.named)
        self._tries: Tries | None = None
        self._posted: _Posted | None = None
        self._bare = False

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return self.digest is None and self._posted is None and self._kept.digest is None

    @property
    def posted(self) -> bool:
        """Whether a digest was taken and lacks receipts."""
        return self._posted is not None

    @property
    def oldest(self) -> list[float]:
        """When the first of each open digest came in (Unix seconds)."""
        return [one.folded[0].received_at.timestamp() for one in (self.digest, self._kept.digest) if one]

    def swap(self, *, crowded: bool) -> Digest | None:
        """Return the digest to go on with; the kept one where it is due."""
        self.digest = self._kept.swap(self.digest, self._outlet.clock(), crowded=crowded)
        return self.digest

    def keep(self, prepared: Prepared) -> bool:
        """Keep an event for later if its rules ask for it."""
        if kept := self._kept.take(prepared, self.digest, self._outlet.clock()):
            self._delivery.will_tell(prepared)
        return kept

    async def fold(self, window: Window, *, head: bool) -> list[Ended]:
        """Fold some records of the window, lifted ones or others but not both."""
        ended: list[Ended] = []
        lifting = window.next_key is not None
        for _ in range(AT_ONCE):
            if not head and (window.next_key is not None) != lifting:
                break
            if (taken := window.take(head=head)) is None:
                break
            held = taken[0]
            prepared = await self._delivery.prepare(held.record, urgent=held.urgent, again=held.again)
            window.release(held)
            if isinstance(prepared, str):
                ended.append(Ended(held.record, prepared))
            elif not self.keep(prepared):
                digest = self._open()
                self._delivery.will_tell(prepared)
                digest.fold(prepared)
                if lifting and digest.urgent == self._outlet.named:
                    break
        return ended

    def _open(self) -> Digest:
        if self.digest is None:
            self.digest, self.opened_at = Digest(self._outlet.named), self._outlet.monotonic()
        return self.digest

    async def flush(self, *, urgent: bool) -> bool:
        """Post the digest, from which part of the budget `urgent` says; True when it was taken.

        Raises NotReady when the target refuses even one of mere numbers, and what the grip raises.
        """
        digest = self.digest
        if digest is None:
            return False
        digest.sealed = True
        await self._grip.confirm(digest.folded, mark=self._outlet.marks_attempts)
        if not self._outlet.claim(urgent=urgent):
            return False
        tries = self._tries = self._tries or Tries(self._outlet.clock())
        tries.count += 1
        result = await self._outlet.attempt(digest.event(bare=self._bare))
        if isinstance(result, Undeliverable):
            self._refused(digest, result)
        elif result is not None:
            self.flushed_at = self._outlet.monotonic()
            self._taken(digest, result, tries.count)
            return True
        return False

    async def by_fallback(self, standby: Standby) -> bool:
        """Post the digest to the fallback target when it has waited long enough; True when that took it."""
        digest = self.digest
        if digest is None or not standby.due(digest.folded[0].received_at.timestamp()):
            return False
        digest.sealed = True
        await self._grip.confirm(digest.folded, mark=standby.marks_attempts)
        if (result := await standby.tell(digest.event())) is None:
            return False
        self._taken(digest, result, 1)
        return True

    def _taken(self, digest: Digest, result: Delivered, attempts: int) -> None:
        self._posted = _Posted(digest.folded, digest.id, result, attempts)
        self.digest, self._tries, self._bare = None, None, False
        metrics.DIGESTS.labels(self._outlet.target).inc()

    def _refused(self, digest: Digest, result: Undeliverable) -> None:
        if self._bare:
            raise NotReady(
                f"Target {self._outlet.target} refused a digest of {len(digest)} events: {result.reason}. It stops, and "
                "nothing is lost. Put that right and start it again."
            )
        of = {"digest_id": digest.id, "events": len(digest)}
        log.warning("digest_refused", target=self._outlet.target, reason=result.reason, then="numbers only", **of)
        self._bare = True

    async def write_receipts(self) -> list[Ended]:
        """Write some receipts of the digest that was taken, and return what came to its end by it."""
        posted = self._posted
        if posted is None:
            return []
        now, posted.left = posted.left[:RECEIPTS_AT_ONCE], posted.left[RECEIPTS_AT_ONCE:]
        await self._delivery.settle_digested(now, posted.id, posted.result, posted.attempts)
        if not posted.left:
            self._posted = None
        return [Ended(one, "settled") for one in now]
