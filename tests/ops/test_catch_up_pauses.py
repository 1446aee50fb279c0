"""The catch-up is silent where the vendor wants silence."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from events.slots import OperatorsBudget, Slots
from ops.paced import Paced
from stream.alert_api import AlertApi, Refused, Unavailable
from stream.breaker import Breaker
from stream.settings import SekoiaSettings

SINCE = datetime(2026, 7, 29, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "headers", "error", "least"),
    [
        (503, {}, Unavailable, 29),
        (429, {"Retry-After": "120"}, Unavailable, 119),
        (401, {}, Refused, 599),
        (403, {}, Refused, 599),
    ],
)
def test_after_an_error_no_call_is_made(status: int, headers: dict[str, str], error: type, least: float) -> None:
    calls: list[httpx.Request] = []
    told: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(status, headers=headers, json={})

    async def scenario() -> None:
        breaker = Breaker(allowed_errors=0)
        async with AlertApi(SekoiaSettings(api_key="k"), httpx.MockTransport(answer)) as api:
            pages = Paced(api, OperatorsBudget(Slots(4.5)), breaker)
            pages.tell = lambda _, silent: told.append(silent)
            with pytest.raises(error):
                await pages.updated(SINCE)
            assert breaker.silent_for(asyncio.get_running_loop().time()) > least
            with pytest.raises(Unavailable, match="silent"):
                await pages.updated(SINCE)

    asyncio.run(scenario())
    assert len(calls) == 1
    assert [silent > least for silent in told] == [True]
    assert calls[0].url.params["date[updated_at]"] == "2026-07-29T08:00:00Z,now"


def test_what_a_worker_of_the_stream_was_told_holds_for_the_command_too() -> None:
    async def scenario() -> None:
        async with AlertApi(SekoiaSettings(api_key="k"), httpx.MockTransport(_unasked)) as api:
            pages = Paced(api, OperatorsBudget(Slots(4.5)), Breaker(allowed_errors=0))
            pages.heard("Alert API: status 503", 40.0)
            with pytest.raises(
                Unavailable, match=r"silent for \d+ s more: a worker of the stream: Alert API: status 503"
            ):
                await pages.updated(SINCE)

    asyncio.run(scenario())


def test_what_a_worker_is_told_while_the_command_waits_for_its_slot_holds_the_call_back() -> None:
    class Slow(OperatorsBudget):
        async def leave(self) -> None:
            pages.heard("Alert API: status 429", 40.0)

    async def scenario() -> None:
        nonlocal pages
        async with AlertApi(SekoiaSettings(api_key="k"), httpx.MockTransport(_unasked)) as api:
            pages = Paced(api, Slow(Slots(4.5)), Breaker(allowed_errors=0))
            with pytest.raises(Unavailable, match="silent for"):
                await api.before_send()

    pages: Paced
    asyncio.run(scenario())


def _unasked(request: httpx.Request) -> httpx.Response:
    raise AssertionError(request)
