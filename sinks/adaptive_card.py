"""An event drawn as an Adaptive Card 1.4, the newest version Teams shows on desktop, web and telephone."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from sinks.summary import Summary, Urgency

MAX_CARD = 20 * 1024
"""Bytes as UTF-8; Teams counts about a fifth more than we send and refuses above 28 KB, after the flow said 202."""

_COLOURS = {"Urgent": "Attention", "Major": "Attention", "High": "Warning", "Moderate": "Accent", "Low": "Good"}
_MARKDOWN = re.compile(r"[\\`*_\[\]~]|^[-+#>=]|(?<=\d)[.)](?=\s)|&(?=#?\w+;)|(?<=\{)\{", re.MULTILINE)
_TAG = re.compile(r"<(?=[\s/!?]*[^\W\d_])")


@dataclass(frozen=True)
class _Room:
    """How many characters each part may take."""

    title: int
    body: int
    facts: int
    fact: int


_STEPS = (_Room(200, 1200, 12, 200), _Room(200, 300, 12, 100), _Room(150, 0, 6, 60), _Room(100, 0, 0, 0))
_DIGEST_STEPS = tuple(_Room(200, most, 4, 100) for most in (10_000, 7_500, 5_500, 3_000, 1_000))


def draw(summary: Summary, budget: int = MAX_CARD) -> dict[str, Any]:
    """Return the message for a Teams workflow, within the budget: details go first, then facts, then all but the title.

    The `id` of the first element is the event id.
    """
    message: dict[str, Any] = {}
    for room in _DIGEST_STEPS if summary.items else _STEPS:
        message = _message(summary, room)
        if len(orjson.dumps(message)) <= budget:
            break
    return message


def escape(text: str) -> str:
    """Take the meaning of markup from a text: markdown, mentions, tags, and addresses a client would link."""
    text = _TAG.sub("\u2039", text)  # <at>name</at> would be a mention
    text = re.sub(r"(?i)\b(www)\.", r"\1[.]", text.replace("://", "[:]//"))
    return _MARKDOWN.sub(lambda match: "\\" + match[0], text)


def _message(summary: Summary, room: _Room) -> dict[str, Any]:
    # The shape of "When a Teams webhook request is received": learn.microsoft.com/connectors/teams
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": _body(summary, room),
    }
    if summary.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": summary.link_text, "url": summary.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _body(summary: Summary, room: _Room) -> list[dict[str, Any]]:
    title = _text(_cut(summary.title, room.title), size="Large", weight="Bolder")
    body = [{**title, "id": summary.event_id}]
    if summary.urgency:
        body.append(_headline(summary.urgency))
    if summary.kind != summary.title:
        body.append(_text(_cut(summary.kind, room.title), isSubtle=True, spacing="None"))
    if summary.warning:
        body.append(_text(_cut(summary.warning, room.title), color="Warning"))
    facts = [
        {"title": escape(name), "value": escape(_cut(value, room.fact))} for name, value in summary.facts[: room.facts]
    ]
    if facts:
        body.append({"type": "FactSet", "facts": facts})
    if summary.body and room.body:
        shown = summary.text(0, room.body) if summary.items else _cut(summary.body, room.body)
        body.append(_text(shown, separator=True))
    return body


def _headline(urgency: Urgency) -> dict[str, Any]:
    # The level stands there as a word: colour alone is lost on many readers.
    text = f"Urgency {urgency.value}/100: {urgency.level}"
    return {"type": "TextBlock", "text": text, "wrap": True, "weight": "Bolder", "color": _COLOURS[urgency.level]}


def _text(text: str, **style: Any) -> dict[str, Any]:
    # A single line end is swallowed by the client's markdown; two make a paragraph.
    return {"type": "TextBlock", "text": escape(text).replace("\n", "\n\n"), "wrap": True, **style}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"
