"""What a key is told when it is tried: one sentence for everything that can be wrong with it."""

import asyncio
import ssl

import httpx
import pytest
from pydantic import SecretStr

from events.errors import NotReady
from ops import tenant
from stream.settings import SekoiaSettings

KEY = "a-key-that-must-not-be-shown"
LATER = {"Retry-After": "7"}
ME = {"type": "apikey", "name": "tocsin", "community_uuid": "c"}


class Pace:
    """Lets a call go, and notes what failed."""

    def __init__(self) -> None:
        self.happened: list[str] = []

    async def leave(self) -> None:
        self.happened.append("leave")

    def failed(self, reason: str, retry_after: float | None = None) -> None:
        self.happened.append(f"{reason}, {retry_after}")


def look(answer, **settings) -> tenant.Found:
    transport = httpx.MockTransport(answer)
    return asyncio.run(tenant.look(SekoiaSettings(api_key=SecretStr(KEY), **settings), Pace(), transport))


def at(path: str, status: int, **content):
    """Answer well but on one path."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(path):
            return httpx.Response(status, **content)
        return httpx.Response(200, json=ME if request.url.path.endswith("/me") else {"items": []})

    return answer


def test_each_call_waits_until_it_may_go_and_an_error_is_told():
    pace = Pace()

    def answer(request: httpx.Request) -> httpx.Response:
        pace.happened.append(request.url.path)
        return httpx.Response(200, json=ME) if request.url.path == "/v1/me" else httpx.Response(503, headers=LATER)

    with pytest.raises(NotReady, match="not well"):
        asyncio.run(tenant.look(SekoiaSettings(api_key=SecretStr(KEY)), pace, httpx.MockTransport(answer)))
    assert pace.happened == ["leave", "/v1/me", "leave", "/v1/sic/alerts", "status 503, 7.0"]


def test_a_good_key_shows_its_owner_and_the_newest_alert():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json=ME if request.url.path == "/v1/me" else {"items": [{"short_id": "AL1"}]})

    assert look(answer) == tenant.Found("tocsin", "c", {"short_id": "AL1"})
    assert [request.url.path for request in asked] == ["/v1/me", "/v1/sic/alerts"]
    assert {request.headers["authorization"] for request in asked} == {f"Bearer {KEY}"}
    assert dict(asked[1].url.params) == {"limit": "1", "sort": "created_at", "direction": "desc", "stix": "false"}


def test_a_tenant_without_alerts_is_no_mistake():
    assert look(at("/me", 200, json={})) == tenant.Found("", "", None)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (at("/me", 401, json={"code": "T300"}), r"does not accept the key \(401\).*another region"),
        (at("/alerts", 401), r"does not accept the key \(401\)"),
        (at("/alerts", 403), r'SIC_READ_ALERTS \(shown as "View alerts"\)'),
        (at("/me", 403), r"refuses this key or this network \(403\).*SIC_READ_ALERTS"),
        (at("/me", 404), "answers 404.*check the region"),
        (at("/me", 302, headers={"Location": "https://elsewhere"}), "answers 302.*check the region"),
        (at("/me", 200, html="<html>"), "not as the Alert API does.*check the region"),
        (at("/me", 200, json=[]), "not as the Alert API does"),
        (at("/alerts", 429), r"too many requests.*wait ten minutes"),
        (at("/alerts", 503), r"not well just now \(503\)"),
    ],
)
def test_every_refusal_is_one_sentence(answer, says):
    with pytest.raises(NotReady, match=says) as caught:
        look(answer, region="FRA2")
    assert "\n" not in str(caught.value)
    assert "FRA2" in str(caught.value) or "permission" in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (httpx.ConnectError("Name or service not known"), "cannot be reached.*Name or service.*check the region"),
        (httpx.ReadTimeout("slow"), "no answer within 15 s"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]"), "certificate is not trusted"),
    ],
)
def test_a_network_that_fails_is_one_sentence(error, says):
    def fail(request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(NotReady, match=says):
        look(fail)


def test_a_certificate_is_known_by_its_cause_too():
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("handshake") from ssl.SSLError("handshake")

    with pytest.raises(NotReady, match="certificate is not trusted"):
        look(fail)


def test_an_address_of_ones_own_is_named_as_such():
    with pytest.raises(NotReady, match=r"api\.example \(SEKOIA_API_BASE\)"):
        look(at("/me", 401), api_base="https://api.example/v1/")


@pytest.mark.parametrize("pasted", [f"  {KEY}\n", f"Bearer {KEY}", f"Bearer  {KEY} "])
def test_a_pasted_key_is_cleaned(pasted):
    assert tenant.clean_key(pasted) == KEY


@pytest.mark.parametrize(
    "pasted", ["", "   ", "short", "two words here", "schlüssel-mit-umlaut", "a" * 5000, "key\x00key1"]
)
def test_what_cannot_be_a_key_is_not_sent(pasted):
    with pytest.raises(NotReady, match="not an API key") as caught:
        tenant.clean_key(pasted)
    assert len(str(caught.value)) < 200
