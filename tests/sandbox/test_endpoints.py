"""The simulated chat services: they take what we draw, refuse as the real ones do, and we understand their refusals."""

import asyncio
import importlib.util
from pathlib import Path

import orjson
import pytest
from fastapi import FastAPI

from sandbox import endpoints, message_limits
from sandbox.endpoints import KEY, SECRET, TOKEN, Endpoints
from sandbox.message_limits import Refused
from sandbox.serving import serving
from sinks import shelf
from sinks.destination import Delivered, Gone, Unavailable, Undeliverable

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).parents[1] / "sinks" / "hostile.py")
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

TARGETS = {
    "mattermost": {"url": "{base}/mattermost/hooks/x"},
    "slack": {"url": "{base}/slack/services/T/B/x"},
    "telegram": {"token": TOKEN, "chat": "-1001", "api": "{base}/telegram"},
    "webhook": {"url": "{base}/webhook", "secrets": SECRET},
    "ifttt": {"key": KEY, "event": "soc", "api": "{base}/ifttt"},
}


def deliver(kind: str, *events, receiver: Endpoints | None = None, **changes) -> tuple[list[object], Endpoints]:
    receiver = receiver or Endpoints()
    app = FastAPI()
    app.include_router(endpoints.routes(receiver))

    async def scenario() -> list[object]:
        results: list[object] = []
        async with serving(app) as base:
            filled = orjson.loads(orjson.dumps(TARGETS[kind] | changes).replace(b"{base}", base.encode()))
            found = shelf.find(kind)
            async with found(found.Settings.model_validate(filled)) as target:
                for event in events:
                    try:
                        results.append(await target.deliver(event))
                    except (Unavailable, Undeliverable) as error:
                        results.append(error)
        return results

    return asyncio.run(scenario()), receiver


def numbered(count: int) -> list:
    return [hostile.event().model_copy(update={"event_id": f"e{n}"}) for n in range(count)]


@pytest.mark.parametrize("kind", TARGETS)
def test_what_we_draw_is_taken_however_hostile_or_long(kind):
    texts = " ".join(hostile.PIECES)
    results, receiver = deliver(
        kind, hostile.event(*[texts] * 6), hostile.event(*["😀<b>" * 9_000] * 6).model_copy(update={"event_id": "e2"})
    )
    assert [type(one) for one in results] == [Delivered, Delivered], results
    assert [one.kind for one in receiver.shown] == [kind, kind]


@pytest.mark.parametrize(("kind", "limit"), [("mattermost", 100), ("slack", 5), ("telegram", 20)])
def test_too_many_are_told_how_long_to_wait(kind, limit):
    now = 1_000_000.0
    results, receiver = deliver(kind, *numbered(limit + 1), receiver=Endpoints(clock=lambda: now))
    assert all(isinstance(one, Delivered) for one in results[:-1])
    assert isinstance(results[-1], Unavailable)
    assert "429" in results[-1].reason or kind == "mattermost"  # whose own figures are kept to
    assert 1 <= results[-1].retry_after <= 61
    assert len(receiver.shown) == limit
    now += 61
    (again,), _ = deliver(kind, hostile.event(), receiver=receiver)
    assert isinstance(again, Delivered)


@pytest.mark.parametrize(
    ("kind", "changes", "meaning", "words"),
    [
        ("slack", {"url": "{base}/slack/services/T/B/archived"}, Gone, "channel_is_archived"),
        ("slack", {"url": "{base}/slack/services/T/B/forbidden"}, Undeliverable, "action_prohibited"),
        ("slack", {"url": "{base}/slack/services/T/B/gone"}, Undeliverable, "no_service"),
        ("mattermost", {"url": "{base}/mattermost/hooks/gone"}, Undeliverable, "Invalid webhook"),
        ("mattermost", {"url": "{base}/mattermost/hooks/locked"}, Undeliverable, "not permitted"),
        ("telegram", {"chat": "0"}, Undeliverable, "chat not found"),
        ("telegram", {"chat": "-403"}, Undeliverable, "kicked"),
        ("telegram", {"chat": "-400"}, Undeliverable, "supergroup"),
    ],
)
def test_the_words_of_a_refusal_reach_the_operator(kind, changes, meaning, words):
    (refused,), receiver = deliver(kind, hostile.event(), **changes)
    assert type(refused) is meaning
    assert words in refused.reason
    assert not receiver.shown


def test_a_message_over_mattermosts_limit_would_be_several_posts_and_ours_never_is():
    receiver = Endpoints()
    receiver.mattermost(orjson.dumps({"text": "x" * 20_000, "attachments": [{"text": "y"}]}))
    assert [len(str(one.content["text"])) for one in receiver.shown] == [16_383, 20_000 - 16_383]
    assert ["attachments" in one.content for one in receiver.shown] == [False, True]


def test_what_mattermost_says_is_left_is_kept_to_before_it_refuses():
    now = 1_000_000.0
    receiver = Endpoints(clock=lambda: now)
    results, _ = deliver("mattermost", *numbered(102), receiver=receiver)
    assert [type(one) for one in results] == [*[Delivered] * 100, Unavailable, Unavailable]
    assert "429" not in results[-1].reason
    assert 0 < results[-1].retry_after <= 11
    assert receiver.refused == 0


def test_a_signature_is_checked_and_a_repeat_shown_once():
    results, receiver = deliver("webhook", *[hostile.event()] * 3)
    assert [type(one) for one in results] == [Delivered] * 3
    assert (len(receiver.shown), receiver.repeated) == (1, 2)
    other = "whsec_" + "QUJD" * 10
    for secrets in (other, []):
        (refused,), receiver = deliver("webhook", hostile.event(), secrets=secrets)
        assert isinstance(refused, Undeliverable)
        assert "401" in refused.reason
        assert not receiver.shown
    both, _ = deliver("webhook", hostile.event(), secrets=[other, SECRET])
    assert isinstance(both[0], Delivered)


@pytest.mark.parametrize(("kind", "changes"), [("telegram", {"token": "1:wrong"}), ("ifttt", {"key": "wrong"})])
def test_a_wrong_credential_is_refused(kind, changes):
    (refused,), _ = deliver(kind, hostile.event(), **changes)
    assert isinstance(refused, Undeliverable)
    assert "401" in refused.reason


@pytest.mark.parametrize(
    ("read", "body", "words"),
    [
        (message_limits.mattermost, {}, "Unable to parse"),
        (message_limits.mattermost, {"text": "x", "props": {"card": "x" * 800_001}}, "too long"),
        (message_limits.slack, {}, "no_text"),
        (message_limits.slack, {"blocks": [{"type": "header", "text": {"text": "x" * 151}}]}, "invalid_blocks"),
        (message_limits.slack, {"blocks": [{"type": "section", "text": {"text": "x" * 3001}}]}, "invalid_blocks"),
        (message_limits.slack, {"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        (message_limits.slack, {"blocks": [{"type": "section", "text": {"text": "x" * 2900}}] * 5}, "too_long"),
        (message_limits.telegram, {"chat_id": 1, "text": "x" * 4097}, "message is too long"),
        (message_limits.telegram, {"chat_id": 1, "text": "😀" * 2049}, "message is too long"),
        (message_limits.telegram, {"chat_id": 1, "text": "<p>x", "parse_mode": "HTML"}, "Unsupported start tag"),
        (message_limits.telegram, {"chat_id": 1, "text": "<b>x", "parse_mode": "HTML"}, "find end tag"),
        (message_limits.telegram, {"chat_id": 1, "text": " "}, "text is empty"),
        (message_limits.ifttt, [], "JSON object"),
    ],
)
def test_what_the_real_one_refuses_is_refused(read, body, words):
    with pytest.raises(Refused, match=words):
        read(orjson.dumps(body))
