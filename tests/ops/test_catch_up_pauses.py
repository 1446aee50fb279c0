"""The catch-up is silent where the vendor wants silence."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from ops.catch_up_cli import Paced
from stream.alert_api import AlertApi, Refused, Unavailable
from stream.breaker import Breaker
from stream.budget import Budget
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

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return httpx.Response(status, headers=headers, json={})

    async def scenario() -> None:
        breaker = Breaker(allowed_errors=0)
        async with AlertApi(SekoiaSettings(api_key="k"), httpx.MockTransport(answer)) as api:
            pages = Paced(api, Budget(0.5), breaker)
            with pytest.raises(error):
                await pages.updated(SINCE)
            assert breaker.silent_for(asyncio.get_running_loop().time()) > least
            with pytest.raises(Unavailable, match="silent"):
                await pages.updated(SINCE)

    asyncio.run(scenario())
    assert len(calls) == 1
    assert calls[0].url.params["date[updated_at]"] == "2026-07-29T08:00:00Z,now"
