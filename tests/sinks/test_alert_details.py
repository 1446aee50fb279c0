"""Comments and countermeasures for a mail: looked up once, seldom, and never a reason for a mail to fail."""

import asyncio
import importlib.util
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from sandbox.alert_api import create_app
from sandbox.alert_gate import API_KEY
from sandbox.firewall import Firewall
from sandbox.serving import serving
from sandbox.tenant import Tenant
from sinks import alert_details
from sinks.alert_details import EVERY, LONGEST_REST, REST, AlertDetails
from sinks.destinations.email import EmailSettings
from sinks.mail import compose
from sinks.responses import Answer

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

UUID = "3b0f6a52-7d1e-4c7a-9f0b-5a1f2f0c9d11"


class Api:
    """An API that answers as told, and counts."""

    def __init__(self, status: int = 200, body: bytes = b"{}", **headers: str) -> None:
        self.status, self.body, self.headers = status, body, headers
        self.asked: list[str] = []
        self.app = FastAPI()
        self.app.add_api_route("/v1/sic/alerts/{id_}", self.answer)

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.url.query)
        return Response(self.body, self.status, {name.replace("_", "-"): text for name, text in self.headers.items()})


async def at_once() -> None:
    """Let a call go."""


def look_up(app: FastAPI, *times: float, key: str = API_KEY, action: str = "created", leave=at_once, status="complete"):
    """Look the alert up at these moments."""
    event = hostile.event()
    enrichment = event.enrichment.model_copy(update={"status": status})
    event = event.model_copy(
        update={"event": event.event.model_copy(update={"action": action}), "enrichment": enrichment}
    )
    clock = {"now": 0.0}

    async def scenario() -> list:
        found = []
        async with serving(app) as base, AsyncExitStack() as stack:
            details = AlertDetails(base, SecretStr(key), leave, lambda: clock["now"])
            await details.open(stack)
            for moment in times:
                clock["now"] = moment
                found.append(await details.of(event))
        return found

    return asyncio.run(scenario())


def test_a_mail_shows_what_analysts_wrote_and_what_they_may_do():
    tenant = Tenant(1)
    tenant.create_alert(uuid=UUID, short_id="ALq7Zt3Kx9Pd", oddity="")
    tenant.comment(UUID, "First look: a phish, see https://evil.example")
    tenant.comment(UUID, "Host isolated", author="Ada")
    tenant.alerts[UUID]["countermeasures"] = [
        {"name": "Block the domain", "description": "On the proxy", "status": "pending"}
    ]
    (found,) = look_up(create_app(tenant, Firewall(seed=1)), 0.0)
    assert [text for _, text in found.comments] == ["Host isolated", "First look: a phish, see https://evil.example"]
    assert found.comments[0][0].startswith("Ada · 20")
    assert found.countermeasures == (("Block the domain (pending)", "On the proxy"),)
    mail = compose(hostile.event(), sender="a@b.org", to=["c@d.org"], enriched=True, details=found)
    for kind in ("plain", "html"):
        text = mail.get_body((kind,)).get_content()
        assert "Host isolated" in text
        assert "Block the domain (pending)" in text
        assert "https[:]//evil[.]example" in text
        assert "https://evil" not in text


def test_what_is_asked_is_light():
    api = Api()
    look_up(api.app, 0.0)
    assert "stix=false" in api.asked[0]
    assert "history=false" in api.asked[0]
    look_up(api.app, 0.0, action="deleted")
    assert len(api.asked) == 1


def test_it_keeps_to_its_share_of_the_budget():
    api = Api()
    found = look_up(api.app, 0.0, 1.0, EVERY - 0.1, EVERY)
    assert [bool(one.lack) for one in found] == [False, True, True, False]
    assert len(api.asked) == 2


def test_it_calls_in_its_slot_and_a_mail_does_not_wait_long_for_one(monkeypatch):
    monkeypatch.setattr(alert_details, "DEADLINE", 0.1)
    api, waited = Api(), []

    async def never() -> None:
        waited.append(len(api.asked))
        await asyncio.Event().wait()

    (found,) = look_up(api.app, 0.0, leave=never)
    assert "too many mails" in found.lack
    assert waited == [0]
    assert api.asked == []


def test_while_the_stream_goes_without_answers_nobody_is_asked():
    api = Api()
    found = look_up(api.app, 0.0, 1.0, status="pending")
    assert all(one.lack for one in found)
    assert api.asked == []


@pytest.mark.parametrize(("status", "said"), [(404, 0), (429, 0), (429, 300), (500, 0), (503, 9999), (301, 0)])
def test_after_an_error_it_rests(status, said):
    api = Api(status, **({"Retry_After": str(said)} if said else {}))
    rest = max(REST, min(said, LONGEST_REST))
    found = look_up(api.app, 0.0, rest - 1, rest + 1)
    assert all(one.lack for one in found)
    assert str(status) in found[0].lack
    assert len(api.asked) == 2


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_not_shown_again(status):
    api = Api(status)
    found = look_up(api.app, 0.0, 10_000.0)
    assert "refuses the key" in found[1].lack
    assert len(api.asked) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"{" * 5_000])
def test_an_answer_that_is_no_alert_is_an_error_like_others(body):
    (found,) = look_up(Api(body=body).app, 0.0)
    assert found.lack


def test_no_answer_is_waited_for_briefly(monkeypatch):
    monkeypatch.setattr(alert_details, "DEADLINE", 0.1)
    app = FastAPI()

    @app.get("/v1/sic/alerts/{id_}")
    async def never(id_: str) -> None:
        await asyncio.sleep(1)

    (found,) = look_up(app, 0.0)
    assert "no complete answer" in found.lack


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=20), st.lists, max_leaves=8)
ITEMS = st.lists(
    st.dictionaries(st.sampled_from(["content", "author", "date", "name", "status", "description"]), JSON) | JSON,
    max_size=20,
)


@given(ITEMS, ITEMS, hostile.TEXTS)
def test_whatever_the_alert_holds_a_mail_can_be_drawn(comments, measures, text):
    details = AlertDetails("https://api.example", SecretStr("k"), at_once, lambda: 0.0)
    alert = {"comments": [*comments, {"content": text, "author": text, "date": 1}], "countermeasures": measures}
    try:
        body = orjson.dumps(alert)
    except TypeError:
        return  # more than 64 bits: no JSON of the API
    found = details._read(Answer(200, {}, body))
    assert compose(hostile.event(), sender="a@b.org", to=["c@d.org"], enriched=True, details=found).as_bytes()


def test_only_the_enriched_form_has_alerts_looked_up():
    with pytest.raises(ValidationError, match="form: enriched"):
        EmailSettings.model_validate({"server": "m", "sender": "a@b.org", "to": "c@d.org", "api_key": "k"})
