"""Whether a key may look up what rules need."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr

from events.errors import NotReady
from ops import tenant
from ops.rules_key import refused
from stream.settings import SekoiaSettings

ALERT = {"uuid": "a", "assets": ["as1"]}


class Pace:
    """Lets a call go, and notes what failed."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def leave(self) -> None:
        self.happened.append("leave")

    def failed(self, reason: str, retry_after: float | None = None) -> None:
        self.happened.append(f"{reason}, {retry_after}")


def settings() -> SekoiaSettings:
    return SekoiaSettings(api_key=SecretStr("a-key-that-must-not-be-shown"))


def said(
    kinds: set[str], *, statuses: dict[str, int] | None = None, alert: dict | None = ALERT
) -> tuple[list, list, list]:
    asked, waited = [], []

    def answer(request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/v1/me":
            return httpx.Response(200, json={"name": "k", "community_uuid": "c1"})
        if path == "/v1/sic/alerts":
            return httpx.Response(200, json={"items": [alert] if alert else []})
        asked.append(path)
        return httpx.Response((statuses or {}).get(path, 200), json={})

    async def pause(seconds: float) -> None:
        waited.append(seconds)

    return asyncio.run(refused(settings(), kinds, Pace(), httpx.MockTransport(answer), pause)), asked, waited


def test_what_the_key_may_do_is_not_mentioned():
    assert said({"asset"}) == ([], ["/v2/asset-management/assets/as1"], [])


def test_each_refusal_is_one_sentence_and_is_waited_for():
    statuses = {"/v2/asset-management/assets/as1": 403, "/v1/communities/c1": 404}
    found, asked, waited = said({"name"}, statuses=statuses)
    assert found == [
        "the key may not look up the name of an asset (403): rules see its uuid only",
        "the key may not look up the name of a community (404): rules see its uuid only",
    ]
    assert len(asked) == 2
    assert waited == [tenant.PAUSE] * 2


def test_without_an_example_it_says_so():
    found, asked, _ = said({"asset"}, alert=None)
    assert found == ["whether the key may look up the name of an asset cannot be tried: there is no example yet"]
    assert asked == []


def test_an_error_that_says_nothing_of_the_key_is_none():
    assert said({"asset"}, statuses={"/v2/asset-management/assets/as1": 500})[0] == []


def test_a_key_that_is_not_good_ends_it():
    transport = httpx.MockTransport(lambda _: httpx.Response(401))
    with pytest.raises(NotReady, match="does not accept the key"):
        asyncio.run(refused(settings(), {"asset"}, Pace(), transport))
