"""How alerts are fetched: through the list, or one by one where the list cannot take several ids."""

import asyncio
from typing import Any, Protocol

import structlog

from stream.alert_api import BatchRefused, QueryTooLong

MOST = 100
"""What the list endpoint shows in one answer at most."""

AGAIN, LONGEST_AGAIN = 600.0, 24 * 3600.0
"""Seconds after which a list that could not batch is tried once more; doubled each time."""

log = structlog.get_logger()


class Api(Protocol):
    """What is asked of the vendor."""

    async def listed(self, uuids: list[str]) -> dict[str, dict[str, Any]]: ...  # noqa: D102
    async def single(self, uuid: str) -> dict[str, Any] | None: ...  # noqa: D102
    async def some(self, count: int) -> list[str]: ...  # noqa: D102
    async def name(self, kind: str, uuid: str) -> str | None: ...  # noqa: D102


class NotFound(Exception):
    """The API answered and does not show this alert (yet)."""


class Pace(Protocol):
    """Who says when a call may be prepared."""

    @property
    def rate(self) -> float: ...  # noqa: D102
    async def take(self) -> None: ...  # noqa: D102


class Fetching:
    """Fetch alerts, and learn whether the list endpoint answers several ids at once."""

    def __init__(self, api: Api, budget: Pace) -> None:
        self._api = api
        self._budget = budget
        self.most = MOST
        """Alerts a call may ask for."""
        self.batches: bool | None = None
        """Whether it does; None while nobody knows."""
        self._again_at = 0.0
        self._again = AGAIN

    async def fetch(self, uuids: list[str]) -> dict[str, dict[str, Any]]:
        """Return what the API shows of these alerts.

        Raises Unavailable, Refused, BatchRefused (ask again, one by one), NotFound (of a single alert).
        """
        if self.batches is False and _now() >= self._again_at:
            self.batches = None  # a proxy's one odd answer must not slow us down for ever
        if self.batches is False:
            if alert := await self._api.single(uuids[0]):
                return {uuids[0]: alert}
            raise NotFound(uuids[0])
        found = await self._listed(uuids)
        if self.batches is None and len(uuids) > 1:
            if len(found) > 1:
                self._batch_after_all()
            else:
                await self._budget.take()
                await self.check()
        return found

    async def check(self) -> None:
        """Settle whether a list of several ids is answered in full, so that a miss means something.

        Takes one call of the budget more than the one its caller took. Asks for two alerts that exist; with fewer
        nobody knows yet. Raises Unavailable, Refused, BatchRefused.
        """
        known = (await self._api.some(2))[:2]
        if len(known) > 1:
            await self._budget.take()
            if (await self._listed(known)).keys() != set(known):
                self._one_by_one()
                raise BatchRefused(counts=False)
            self._batch_after_all()

    async def _listed(self, uuids: list[str]) -> dict[str, dict[str, Any]]:
        try:
            found = await self._api.listed(uuids)
        except QueryTooLong:
            self.most = max(len(uuids) // 2, 1)
            log.warning("query_too_long", alerts=len(uuids), from_now_on=self.most)
            raise
        except BatchRefused:
            self._one_by_one()
            raise
        if found.keys() - set(uuids):  # it lists what nobody asked for: the ids were ignored
            self._one_by_one()
            raise BatchRefused(counts=False)
        return found

    def _batch_after_all(self) -> None:
        self.batches, self._again = True, AGAIN

    def _one_by_one(self) -> None:
        self.batches = False
        self._again_at, self._again = _now() + self._again, min(self._again * 2, LONGEST_AGAIN)
        log.warning("list_cannot_batch", alerts_per_second=round(self._budget.rate, 2))


def _now() -> float:
    return asyncio.get_running_loop().time()
