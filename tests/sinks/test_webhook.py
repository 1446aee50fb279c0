"""The webhook as its receiver sees it, verified with the specification's own library."""

import asyncio
import base64
import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError
from standardwebhooks import Webhook as Verifier

from events.codec import decode_enriched, decode_webhook
from sinks.destinations.webhook import Webhook, WebhookSettings, envelope, message_id, posted
from sinks.responses import Answer
from sinks.standard_webhooks import sign

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

OLD, NEW = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


@given(hostile.events(), st.text(max_size=300))
def test_a_receiver_with_the_old_or_the_new_secret_verifies_it(event, event_id):
    event = event.model_copy(update={"event_id": event_id})
    body = envelope(event)
    headers = sign([SecretStr(NEW), SecretStr(OLD)], message_id(event), datetime.now(UTC), body)
    for secret in (OLD, NEW):
        got = Verifier(secret).verify(body.decode(), headers)
        assert decode_enriched(orjson.dumps(got["data"])) == event
    assert headers["webhook-id"].isascii()
    assert "." not in headers["webhook-id"]


def test_the_id_is_that_of_the_event_and_its_revision():
    event = hostile.event()
    assert message_id(event) == message_id(hostile.event()) != message_id(event.model_copy(update={"revision": 1}))


def test_two_ids_that_differ_in_odd_characters_only_stay_two():
    first, second = (hostile.event().model_copy(update={"event_id": one}) for one in ("a.b", "a-b"))
    assert message_id(first) != message_id(second)


def test_an_unknown_type_is_a_word_of_the_specification():
    event = hostile.event()
    event = event.model_copy(update={"event": event.event.model_copy(update={"type": "new thing/2", "action": "ü"})})
    assert orjson.loads(envelope(event))["type"] == "new_thing_2.unknown"


@pytest.mark.parametrize("secret", ["geheim", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_of_another_form_is_refused_unseen(secret):
    with pytest.raises(ValidationError, match="a secret") as raised:
        WebhookSettings.model_validate({"url": "https://h.example/x", "secrets": secret})
    assert secret not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["alert-created-documented", "alert-created-rich", "alert-updated-similar", "case-updated"]
)
def test_the_platforms_own_webhook_goes_on_with_its_fields_in_their_order(name):
    raw = Path(__file__).parents[1].joinpath("events/golden/raw", f"{name}.json").read_bytes()
    assert posted(decode_webhook(raw)[0]) == orjson.dumps(orjson.loads(raw))


@pytest.mark.parametrize("given", [None, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x\r\nevil: 1"])
def test_the_trace_of_the_event_goes_on_in_the_request(given):
    record = orjson.loads((Path(__file__).parents[1] / "events/golden/enriched/complete.json").read_bytes())
    event = decode_enriched(orjson.dumps(record | {"traceparent": given}))
    sent = []

    class Poster:
        async def post(self, body, headers):
            sent.append(headers)
            return Answer(204, {}, b"")

    webhook = Webhook(WebhookSettings(url="https://example.org/hook"))
    webhook._poster = Poster()
    asyncio.run(webhook.deliver(event))
    asyncio.run(webhook.deliver(event))
    steps = [headers.get("traceparent") for headers in sent]
    assert [step and step[:36] for step in steps] == [given[:36] if given and given[0] == "0" else None] * 2
    assert given is None or given[0] == "x" or len({*steps, given}) == 3


@pytest.mark.parametrize("original", [b' {"b":1, "a" : "\\u00e9", "a":2}\n', None])
def test_a_body_that_should_be_verbatim_says_whether_it_is(original):
    class Recorded:
        async def post(self, body, headers):
            self.body, self.headers = body, headers
            return Answer(200, {})

    async def asked(_event):
        return original

    event = hostile.event()
    hook = Webhook(WebhookSettings.model_validate({"url": "https://h.example/x", "body": "verbatim", "secrets": NEW}))
    hook._poster, hook.original = Recorded(), asked
    delivered = asyncio.run(hook.deliver(event))
    assert hook._poster.body == (original or posted(event.event))
    assert hook._poster.headers["tocsin-body"] == ("verbatim" if original else "rebuilt")
    assert delivered.status == ("HTTP 200" if original else "HTTP 200, body rebuilt")
    signed = sign([SecretStr(NEW)], message_id(event), datetime.now(UTC), hook._poster.body)
    assert signed["webhook-id"] == hook._poster.headers["webhook-id"]
