"""Ask for many alerts in few calls: coalesced, micro-batched, inside the budget, silent while the breaker is open."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import structlog

from stream import metrics
from stream.alert_api import BatchRefused, Refused, Unavailable
from stream.breaker import Breaker
from stream.budget import Budget

log = structlog.get_logger()

CACHED_ALERTS = 2_000
"""Answers kept; an alert takes 5 to 20 KB, so some 20 MB."""


class Api(Protocol):
    """What this asks of the Alert API."""

    async def listed(self, uuids: list[str]) -> dict[str, dict[str, Any]]: ...  # noqa: D102
    async def single(self, uuid: str) -> dict[str, Any] | None: ...  # noqa: D102
    async def some(self, count: int) -> list[str]: ...  # noqa: D102


class NotFound(Exception):
    """The API answered and does not show this alert (yet)."""


@dataclass(frozen=True)
class Answer:
    """An alert and when it was asked for."""

    alert: dict[str, Any]
    fetched_at: datetime


class Lookups:
    """One worker's questions to the Alert API; `run` must be running for `ask` to be answered."""

    def __init__(self, api: Api, budget: Budget, breaker: Breaker, batch_size: int, batch_delay: float) -> None:
        self._api = api
        self.budget = budget
        self.breaker = breaker
        self._batch_size = batch_size
        self._batch_delay = batch_delay
        self._urgent: dict[str, asyncio.Future[Answer]] = {}
        self._patient: dict[str, asyncio.Future[Answer]] = {}
        self._wanted = asyncio.Event()
        self._cache: OrderedDict[str, Answer] = OrderedDict()
        self._batches: bool | None = None  # whether the list answers several ids; None until seen

    @property
    def batches(self) -> bool | None:
        """Whether the list endpoint answers several ids at once; None while nobody knows."""
        return self._batches

    async def ask(self, uuid: str, since: datetime, wait: float | None = None) -> Answer:
        """Return the alert as it was at `since` or later.

        `wait` is how many seconds the answer is worth waiting for; None joins the patient ones, who are asked about
        when nobody is in a hurry. Raises Unavailable (at once when the answer cannot come in time), NotFound.
        """
        if (known := self._cache.get(uuid)) and known.fetched_at >= since:
            return known
        silent = self.breaker.silent_for(_now())
        if silent:
            raise Unavailable(self.breaker.reason, silent)
        queue = self._patient if wait is None else self._urgent
        if wait is not None and uuid not in queue and self._expected_wait() > wait:
            raise Unavailable("request budget exhausted")
        future = queue.get(uuid)
        if future is None:
            # A call already under way is not joined: its answer may be older than what we ask about.
            future = queue[uuid] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieve)
            self._wanted.set()
        return await asyncio.shield(future)

    async def run(self) -> None:
        """Answer questions until cancelled."""
        while True:
            await self._wanted.wait()
            if silent := self.breaker.silent_for(_now()):
                self._fail(self._take(None), Unavailable(self.breaker.reason, silent))
                continue
            await asyncio.sleep(self._batch_delay)
            await self.budget.take()
            batch = self._take(1 if self._batches is False or self.breaker.probing else self._batch_size)
            if batch:
                await self._call(batch)

    def _expected_wait(self) -> float:
        """Return the seconds until a question asked now would be sent."""
        size = 1 if self._batches is False else self._batch_size
        if not self.budget.rate:
            return float("inf")
        return self.budget.delay(_now()) + (len(self._urgent) // size) / self.budget.rate

    def _take(self, count: int | None) -> dict[str, list[asyncio.Future[Answer]]]:
        """Remove the next questions, urgent ones first; one alert in both queues is asked about once."""
        batch: dict[str, list[asyncio.Future[Answer]]] = {}
        for queue in (self._urgent, self._patient):
            for uuid in list(queue):
                if count is not None and len(batch) >= count and uuid not in batch:
                    continue
                batch.setdefault(uuid, []).append(queue.pop(uuid))
        if not self._urgent and not self._patient:
            self._wanted.clear()
        return batch

    async def _call(self, batch: dict[str, list[asyncio.Future[Answer]]]) -> None:
        uuids = list(batch)
        asked_at = datetime.now(UTC)
        try:
            found = await self._fetch(uuids)
        except Unavailable as error:
            self._failed(error)
            self._fail(batch, error)
            return
        except NotFound as error:
            self._failed(Unavailable("status 404"))  # the vendor's firewall counts it as an error
            self._fail(batch, error)
            return
        except Refused as error:
            self.breaker.refuse(_now(), str(error))
            log.error("api_key_refused", reason=str(error))
            metrics.API_CALLS.labels(outcome="refused").inc()
            self._fail(batch, Unavailable(str(error)))
            return
        except BatchRefused:
            self._settle(batches=False)
            self._again(batch)
            return
        metrics.API_CALLS.labels(outcome="ok").inc()
        if self.breaker.success():
            log.info("breaker_closed")
        for uuid, futures in batch.items():
            self._answer(futures, uuid, found.get(uuid), asked_at)

    async def _fetch(self, uuids: list[str]) -> dict[str, dict[str, Any]]:
        metrics.API_BATCH.observe(len(uuids))
        if self._batches is False:
            if alert := await self._api.single(uuids[0]):
                return {uuids[0]: alert}
            raise NotFound(uuids[0])
        found = await self._api.listed(uuids)
        if found.keys() - set(uuids):
            raise BatchRefused  # it lists what nobody asked for: the ids were ignored
        if self._batches is None and len(uuids) > 1:
            await self._learn(found)
        return found

    async def _learn(self, found: dict[str, dict[str, Any]]) -> None:
        """Settle whether a list of several ids is answered in full, so that a miss means something.

        Asks for two alerts that exist where the answer itself does not tell. Raises BatchRefused when it is not.
        """
        known = list(found)
        if len(known) <= 1:
            await self.budget.take()
            known = (await self._api.some(2))[:2]
            if len(known) <= 1:
                return
            await self.budget.take()
            if (await self._api.listed(known)).keys() != set(known):
                raise BatchRefused
        self._settle(batches=True)

    def _settle(self, *, batches: bool) -> None:
        if self._batches is batches:
            return
        self._batches = batches
        if not batches:
            log.warning("list_cannot_batch", alerts_per_second=round(self.budget.rate, 2))

    def _answer(
        self, futures: list[asyncio.Future[Answer]], uuid: str, alert: dict[str, Any] | None, asked_at: datetime
    ) -> None:
        if alert is None:
            self._fail({uuid: futures}, NotFound(uuid))
            return
        answer = self._cache[uuid] = Answer(alert, asked_at)
        self._cache.move_to_end(uuid)
        if len(self._cache) > CACHED_ALERTS:
            self._cache.popitem(last=False)
        for future in futures:
            if not future.done():
                future.set_result(answer)

    def _failed(self, error: Unavailable) -> None:
        metrics.API_CALLS.labels(outcome="unavailable").inc()
        if error.counts and self.breaker.error(_now(), f"Alert API: {error}", error.retry_after):
            log.warning("breaker_opened", reason=str(error), seconds=round(self.breaker.silent_for(_now())))

    def _fail(self, batch: dict[str, list[asyncio.Future[Answer]]], error: Exception) -> None:
        for futures in batch.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    def _again(self, batch: dict[str, list[asyncio.Future[Answer]]]) -> None:
        """Put questions back that were not asked after all."""
        for uuid, futures in batch.items():
            for future in futures:
                other = self._urgent.setdefault(uuid, future)
                if other is not future:
                    other.add_done_callback(partial(_copy, waiting=future))
        self._wanted.set()


def _copy(done: asyncio.Future[Answer], waiting: asyncio.Future[Answer]) -> None:
    if waiting.done():
        return
    if error := done.exception():
        waiting.set_exception(error)
    else:
        waiting.set_result(done.result())


def _retrieve(future: asyncio.Future[Answer]) -> None:
    """Look at the outcome, so that an answer nobody waits for any more is no "exception never retrieved"."""
    if not future.cancelled():
        future.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
