"""The Teams card: the same as the golden files, and harmless and small whatever is in the alert."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from events.codec import decode_enriched
from events.records import EnrichedEvent
from sandbox import adaptive_card
from sinks.adaptive_card import MAX_CARD
from sinks.destinations.teams import TeamsSettings, card

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
assert _spec
assert _spec.loader
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)

GOLDEN = Path(__file__).with_name("golden")
EVENTS = sorted(GOLDEN.glob("*.event.json"))


def texts(value: Any) -> list[str]:
    """Return what a client formats: texts and values, not ids and addresses of buttons."""
    if isinstance(value, dict):
        own = [value[name] for name in ("text", "value") if isinstance(value.get(name), str)]
        return own + [text for inner in value.values() for text in texts(inner)]
    return [text for inner in value for text in texts(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.name.removesuffix(".event.json"))
def test_golden(path):
    """When this fails on purpose, run `python -m tests.sinks.test_teams_card`, and look at the cards."""
    drawn = card(decode_enriched(path.read_bytes()))
    assert drawn == json.loads(path.with_name(path.name.replace(".event.", ".card.")).read_text("utf-8"))


def test_there_are_golden_files():
    assert len(EVENTS) >= 5


@settings(max_examples=200)
@given(hostile.events())
def test_hostile_text_is_harmless_and_the_card_small(event: EnrichedEvent):
    drawn = card(event)
    raw = orjson.dumps(drawn)
    assert len(raw) <= MAX_CARD
    (content,) = adaptive_card.cards(raw)  # the check the simulated channel makes
    assert content["version"] == "1.4"
    assert content["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open in Sekoia.io", "url": hostile.LINK},
    ]
    for text in texts(content):
        assert "<at>" not in text
        assert "://" not in text
        assert not re.search(r"(?<!\\)\]\(", text)
        assert not re.search(r"[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", text)


@pytest.mark.parametrize("details", ["é" * 100_000, "😀" * 50_000, "\\`*_[]" * 20_000, '"' * 100_000, "x\n" * 50_000])
def test_100_kb_of_details_fit(details):
    assert len(orjson.dumps(card(hostile.event(details, details, details, details, details)))) <= MAX_CARD


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.webhook.office.com/webhookb2/x",
        "https://outlook.office.com/webhook/x",
        "https://prod-1.westeurope.logic.azure.com:443/workflows/x",
    ],
)
def test_retired_addresses_are_refused_with_a_hint(url):
    with pytest.raises(ValueError, match="Send webhook alerts to a channel") as raised:
        TeamsSettings.model_validate({"url": url})
    assert url not in str(raised.value)


if __name__ == "__main__":
    for event_path in EVENTS:
        drawn_now = card(decode_enriched(event_path.read_bytes()))
        target = event_path.with_name(event_path.name.replace(".event.", ".card."))
        target.write_text(json.dumps(drawn_now, indent=1, ensure_ascii=False) + "\n", "utf-8")
