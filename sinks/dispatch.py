"""Bring what is read to its end: alone or in a digest, urgent first, within the budget, in order per alert."""

from sinks import metrics
from sinks.delivery import Delivery, Tries
from sinks.destination import Undeliverable
from sinks.digest import Prepared
from sinks.flights import Flights
from sinks.folding import AT_ONCE, Folding
from sinks.handling import Ended, Grip, Handled
from sinks.schedule import LATEST, Action, View, choose
from sinks.standby import Standby
from sinks.window import Held, Window

GLANCE = 0.02
"""Seconds a post is waited for before it is looked for something new, while more could be on their way."""

LOOK = 0.5
"""The same while no more can be."""


class Dispatch:
    """Deliver to one target what its window holds, a step at a time."""

    def __init__(self, delivery: Delivery, grip: Grip, standby: Standby | None = None) -> None:
        self._delivery = delivery
        self._standby = standby
        self._outlet = delivery.outlet
        self._grip = grip
        self._tries: dict[tuple[int, int], Tries] = {}
        self._urgent_at = float("-inf")
        self._flights = Flights()
        self._folding = Folding(delivery, grip)

    def forget(self) -> None:
        """Let go what is open: it comes again, to whoever owns the partitions next."""
        self._folding.forget()
        self._tries.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing is open."""
        return self._folding.idle and not self._flights

    def check(self) -> None:
        """Raise NotReady when too many in a row were refused."""
        self._delivery.check()

    def rest(self) -> None:
        """Nothing waits."""
        metrics.OLDEST.labels(self._outlet.target).set(0)

    async def finish(self) -> list[Ended]:
        """Let what is on its way land, and write the receipts that a posted digest still lacks."""
        ended = [Ended(held.record, handled) for held, handled in await self._flights.all() if handled]
        while self._folding.posted:
            ended += await self._folding.write_receipts()
        return ended

    async def cancel(self) -> None:
        """Give up what is on its way: it comes again, and may then have been told twice."""
        await self._flights.cancel()

    async def step(self, window: Window, backlog: int = 0, *, crowded: bool = False) -> list[Ended]:
        """Do the next thing, or launch as many posts as may be on their way, and return what came to its end.

        `backlog` is what waits in the topic besides, `crowded` that the first open record must come to its end now.
        Raises what the grip raises; NotReady when the target refuses even a digest of mere numbers.
        """
        ended = self._landed(window)
        self._measure(window)
        if self._standby and not self._folding.posted:
            if not self._outlet.away():
                self._standby.back()
            elif (by_fallback := await self._by_fallback(self._standby, window)) is not None:
                return ended + by_fallback
        for _ in range(AT_ONCE):
            if len(self._flights) >= self._outlet.room:
                break
            action = self._choose(window, backlog, crowded=crowded)
            if action.verb not in ("alone", "head") or (self._folding.posted and not action.urgent):
                return ended + await self._other(action, window)
            if (now := await self._alone(window, action)) is None:
                break  # what is left waits for one that is on its way
            ended += now
        if self._folding.posted:
            return ended + await self._folding.write_receipts()
        return ended or await self._wait(window, LATEST)

    def _landed(self, window: Window) -> list[Ended]:
        ended = []
        for held, handled in self._flights.collect():
            if handled is None:
                window.put_back(held)  # something more urgent may come before it is tried again
            else:
                window.release(held)
                del self._tries[held.place]
                ended.append(Ended(held.record, handled))
        return ended

    async def _wait(self, window: Window, seconds: float) -> list[Ended]:
        """Wait until something lands; where nothing is on its way, until something new arrives."""
        if not self._flights:
            await self._grip.pause(seconds)
            return []
        full = len(self._flights) >= self._outlet.room
        await self._flights.wait(min(seconds, LOOK if full else GLANCE))
        return self._landed(window)

    def _measure(self, window: Window) -> None:
        """Say how long the oldest has been waiting."""
        now = self._outlet.clock().timestamp()
        since = self._folding.oldest + ([window.oldest / 1000] if window.oldest is not None else [])
        metrics.OLDEST.labels(self._outlet.target).set(max(now - min(since, default=now), 0.0))

    def _choose(self, window: Window, backlog: int, *, crowded: bool) -> Action:
        if seconds := self._outlet.away():
            return Action("wait", seconds=min(seconds, LATEST))
        digest, next_key = self._folding.swap(crowded=crowded), window.next_key
        view = View(
            waiting=len(window),
            # Those that wait for one of their alert that is on its way are no reason to choose: another would be taken.
            urgent=window.urgent if next_key else 0,
            backlog=backlog,
            folded=len(digest) if digest else 0,
            folded_urgent=digest.urgent if digest else 0,
            sealed=bool(digest and digest.sealed),
            blocked=bool(digest and next_key and digest.holds(next_key)),
            opened_at=self._folding.opened_at,
            flushed_at=self._folding.flushed_at,
            urgent_at=self._urgent_at,
            named=self._outlet.named,
            crowded=crowded and bool(digest or len(window)),
        )
        return choose(view, self._outlet.budget, self._outlet.monotonic())

    async def _other(self, action: Action, window: Window) -> list[Ended]:
        """Do what is not a post of one."""
        folding, waiting = self._folding, len(window)
        if folding.posted:
            return await folding.write_receipts()
        if action.verb in ("fold", "fold_head"):
            ended = await folding.fold(window, head=action.verb == "fold_head")
            return ended if len(window) < waiting else await self._wait(window, LATEST)
        if action.verb == "flush":
            urgent = bool(folding.digest and folding.digest.urgent)
            if await folding.flush(urgent=action.urgent) and urgent:
                self._urgent_at = self._outlet.monotonic()
            return []
        return await self._wait(window, action.seconds)

    async def _alone(self, window: Window, action: Action) -> list[Ended] | None:
        """Launch the post of the next record, or say how it ended without one; None where none can be launched now."""
        taken = window.take(head=action.verb == "head")
        if taken is None:
            return None
        held, lifted = taken
        prepared = await self._delivery.prepare(held.record, urgent=held.urgent, again=held.again)
        if isinstance(prepared, str) or self._folding.keep(prepared):
            window.release(held)
            return [Ended(held.record, prepared)] if isinstance(prepared, str) else []
        await self._grip.confirm([held.record], mark=self._outlet.marks_attempts)
        if not self._outlet.claim(urgent=lifted and action.urgent):
            window.put_back(held)
            return None
        self._flights.launch(held, self._tell(prepared, held, lifted=lifted))
        return []

    async def _tell(self, prepared: Prepared, held: Held, *, lifted: bool) -> Handled | None:
        """Post one record and write down what came of it; None where it may be tried again."""
        tries = self._tries.setdefault(held.place, Tries(self._outlet.clock()))
        tries.count += 1
        before, set_out = self._urgent_at, self._outlet.monotonic()
        if lifted:
            self._urgent_at = set_out
        result = await self._outlet.attempt(prepared.event)
        if result is None or (isinstance(result, Undeliverable) and self._delivery.broken):
            self._urgent_at = before if lifted and self._urgent_at == set_out else self._urgent_at
            return None
        if lifted:
            self._urgent_at = self._outlet.monotonic()
        await self._delivery.settle(prepared, result, tries)
        return "settled"

    async def _by_fallback(self, standby: Standby, window: Window) -> list[Ended] | None:
        """Tell the fallback target what is urgent and waited too long; None when nothing does."""
        digest, key = self._folding.digest, window.next_key
        if digest and (digest.urgent or (key and digest.holds(key))):
            return [] if await self._folding.by_fallback(standby) else None
        if key is None or (taken := window.take()) is None:
            return None
        held = taken[0]
        if standby.due(held.record.timestamp / 1000):
            prepared = await self._delivery.prepare(held.record, urgent=held.urgent, again=held.again)
            if isinstance(prepared, str):
                window.release(held)
                return [Ended(held.record, prepared)]
            await self._grip.confirm([held.record], mark=standby.marks_attempts)
            if result := await standby.tell(prepared.event):
                await self._delivery.settle(prepared, result, Tries(self._outlet.clock(), 1))
                window.release(held)
                return [Ended(held.record, "settled")]
        window.put_back(held)
        return None
