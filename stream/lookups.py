"""Ask for many alerts in few calls: coalesced, micro-batched, inside the budget, silent while the breaker is open."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from stream import metrics, questions
from stream.alert_api import BatchRefused, Refused, Unavailable
from stream.breaker import Breaker
from stream.budget import Budget
from stream.cache import Answer, Cache, read
from stream.fetching import Api, Fetching, NotFound
from stream.names import Name, Names
from stream.questions import Batch, Future, Questions

log = structlog.get_logger()

CACHE = 64 * 1024 * 1024
"""Bytes of answers kept; an alert takes 2 to 20 KB."""
CALLS = 8
"""Calls under way at once; inside the vendor's budget there are rarely two."""
ALERTS_BEFORE_NAME = 3
"""Calls for alerts before one for a name, while both wait."""

Tell = Callable[[str, float], None]
"""Takes a reason, and the seconds for which no call will follow."""


class NotAsked(Unavailable):
    """No call was made, for calls must not be made now."""


class Exhausted(NotAsked):
    """The budget does not suffice to ask in time."""


class Lookups:
    """One worker's questions to the Alert API; `run` must be running for them to be answered."""

    def __init__(self, api: Api, budget: Budget, breaker: Breaker, batch_size: int, batch_delay: float) -> None:
        self._api = api
        self.budget = budget
        self.breaker = breaker
        self.names = Names()
        self._batch_size = batch_size
        self._batch_delay = batch_delay
        self._questions = Questions()
        self._wanted = asyncio.Event()
        self._slots = asyncio.Semaphore(CALLS)
        self._cache = Cache(CACHE)
        self._fetching = Fetching(api, budget)
        self._for_alerts = 0
        self.tell: Tell = lambda _reason, _silent_for: None
        """Tells the other workers of an error."""

    @property
    def batches(self) -> bool | None:
        """Whether the list endpoint answers several ids at once; None while nobody knows."""
        return self._fetching.batches

    @property
    def alerts_per_second(self) -> float:
        """How many alerts this worker can ask for inside its budget."""
        return self.budget.rate * self._size

    def heard(self, reason: str, silent_for: float) -> None:
        """Take another worker's word for an error: the vendor counts them together."""
        if self.breaker.heard(_now(), reason, silent_for or None):
            log.warning("breaker_opened", reason=f"another worker: {reason}")

    def known(self, uuid: str, since: datetime) -> Answer | None:
        """Return the alert as it was at `since` or later, where that needs no call."""
        known = self._cache.get(uuid, since)
        metrics.looked_up(known=known is not None)
        return known

    async def ask(self, uuid: str, since: datetime, wait: float | None, *, created: bool = False) -> Answer:
        """Return the alert as it was at `since` or later.

        `wait` is how many seconds the answer is worth waiting for; None joins the patient ones, who are asked about
        when nobody is in a hurry. Raises Unavailable, Exhausted (at once when the answer cannot come in time), NotFound.
        """
        if known := self._cache.get(uuid, since):
            return known
        if silent := self.breaker.silent_for(_now()):
            raise NotAsked(self.breaker.reason, silent)
        now, later = (questions.CREATED_NOW, questions.CREATED_LATER) if created else (questions.NOW, questions.LATER)
        rank = later if wait is None else now
        if wait is not None and not self._questions.asked(uuid, rank) and self._expected_wait(rank) > wait:
            raise Exhausted("request budget exhausted")
        # A call already under way is not joined: its answer may be older than what we ask about.
        future = self._questions.ask(uuid, rank)
        self._wanted.set()
        answer: Answer = await asyncio.shield(future)
        return answer

    async def ask_names(self, names: list[Name], wait: float) -> None:
        """Wait for names that are not known, where they can be there in `wait` seconds."""
        missing = self.names.missing(names, _now())
        if not missing or self.breaker.silent_for(_now()):
            return
        futures = self.names.ask(missing)
        self._wanted.set()
        rate = self.budget.rate / (ALERTS_BEFORE_NAME + 1)
        if futures and rate and len(self.names) / rate <= wait:
            await asyncio.wait(futures, timeout=wait)

    async def before_send(self) -> None:
        """Hold a call back until its first byte may go.

        Raises Unavailable when calls must stop since it was begun.
        """
        await self.budget.leave()
        if silent := self.breaker.silent_for(_now()):
            raise Unavailable(self.breaker.reason, silent, counts=False)

    async def run(self) -> None:
        """Answer questions until cancelled."""
        async with asyncio.TaskGroup() as calls:
            await self.budget.take()
            if not self._questions:  # else the answer to them tells
                await self._attempt(self._fetching.check())
            while True:
                await self._wanted.wait()
                if silent := self.breaker.silent_for(_now()):
                    self._fail(self._questions.take(), NotAsked(self.breaker.reason, silent))
                    self.names.give_up()
                    self._wanted.clear()
                    continue
                if len(self._questions) < self._size:  # a full call needs no company
                    await asyncio.sleep(self._batch_delay)
                await self._slots.acquire()
                await self.budget.take()
                if self.breaker.silent_for(_now()):
                    self._slots.release()
                    continue
                call = calls.create_task(self._next())
                call.add_done_callback(lambda _: self._slots.release())
                if self.breaker.probing:
                    await call
                else:
                    await asyncio.sleep(0)  # it takes its questions before the next one does

    async def _next(self) -> None:
        """Ask for what is most urgent."""
        alerts = bool(self._questions) and (not len(self.names) or self._for_alerts < ALERTS_BEFORE_NAME)
        batch = self._questions.take(1 if self.breaker.probing else self._size) if alerts else {}
        name = None if batch else self.names.take()
        if not self._questions and not len(self.names):
            self._wanted.clear()
        self._for_alerts = self._for_alerts + 1 if batch else 0
        if batch:
            await self._ask_alerts(batch)
        elif name:
            await self._ask_name(*name)

    def _expected_wait(self, rank: int) -> float:
        """Return the seconds until a question asked now would be sent."""
        if not self.budget.rate:
            return float("inf")
        return self.budget.delay(_now()) + (self._questions.before(rank) // self._size) / self.budget.rate

    @property
    def _size(self) -> int:
        return 1 if self._fetching.batches is False else min(self._batch_size, self._fetching.most)

    async def _ask_alerts(self, batch: Batch) -> None:
        asked_at = datetime.now(UTC)
        metrics.API_BATCH.observe(len(batch))
        found, error = await self._attempt(self._fetching.fetch(list(batch)))
        if isinstance(error, BatchRefused):
            self._questions.again(batch)
            self._wanted.set()
        elif error:
            self._fail(batch, error)
        for uuid, waiting in batch.items() if found is not None else ():
            answer = read(found.get(uuid), asked_at)
            if answer:
                self._cache.put(uuid, answer)
            questions.answer(waiting, answer or NotFound(uuid))

    async def _ask_name(self, name: Name, future: Future) -> None:
        try:
            found, error = await self._attempt(self._api.name(*name), names=True)
            if isinstance(error, Refused) and error.permission:
                self.names.switch_off(name[0], str(error))
            elif error is None:
                self.names.answered(name, found, _now())
                if found is None:
                    self._missed(f"no {name[0]} of this name (404)")
        finally:
            if not future.done():
                future.set_result(None)

    async def _attempt(self, call: Any, *, names: bool = False) -> tuple[Any, Exception | None]:
        """Make a call and tell breaker and metrics how it went; a name may be refused without the key being so."""
        try:
            result = await call
        except BatchRefused as error:
            if error.counts:
                self._failed(Unavailable(str(error)))  # the vendor's firewall counts it as an error
            return None, error
        except NotFound as error:
            self._failed(Unavailable("status 404"))
            return None, error
        except Refused as error:
            metrics.API_CALLS.labels(outcome="refused").inc()
            if names and error.permission:
                self._failed(Unavailable(str(error)))
            else:
                self.breaker.refuse(_now(), str(error))
                self.tell(self.breaker.reason, self.breaker.silent_for(_now()))
                metrics.KEY_REFUSED.set(1)
                log.error("api_key_refused", reason=str(error))
            return None, error if names else Unavailable(str(error))
        except Unavailable as error:
            self._failed(error)
            return None, error
        metrics.API_CALLS.labels(outcome="ok").inc()
        metrics.KEY_REFUSED.set(0)
        if self.breaker.success(_now()):
            log.info("breaker_closed")
        return result, None

    def _missed(self, reason: str) -> None:
        metrics.API_CALLS.labels(outcome="unavailable").inc()
        self.breaker.missed(_now(), reason)
        self.tell(reason, self.breaker.silent_for(_now()))

    def _failed(self, error: Unavailable) -> None:
        metrics.API_CALLS.labels(outcome="unavailable").inc()
        if not error.counts:
            return
        opened = self.breaker.error(_now(), f"Alert API: {error}", error.retry_after)
        self.tell(f"Alert API: {error}", self.breaker.silent_for(_now()))
        if opened:
            log.warning("breaker_opened", reason=str(error), seconds=round(self.breaker.silent_for(_now())))

    def _fail(self, batch: Batch, error: Exception) -> None:
        for waiting in batch.values():
            questions.answer(waiting, error)


def _now() -> float:
    return asyncio.get_running_loop().time()
