"""Slack, through an incoming webhook, as Block Kit."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, SecretStr

from events.records import EnrichedEvent
from sinks import responses
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.limits import Limit
from sinks.posting import Poster, check_url
from sinks.summary import Summary, summarise

MAX_SECTION, MAX_HEADER, MAX_BLOCKS = 3_000, 150, 13_200
"""Characters: of a section, of a header (both documented), and of all blocks (`msg_blocks_too_long`, observed)."""

MAX_FACTS = 7_500
"""Of those, what facts may take beside header, warning, body, and all that is small."""

_SIGNS = {"Urgent": "🔴", "Major": "🟠", "High": "🟡", "Moderate": "🔵", "Low": "🟢"}
_MARKS = re.compile(r"[*_~`]")
_FIELD, _BODY, _FIELDS = 200, 1_200, 10


class SlackSettings(TargetSettings):
    """A Slack channel."""

    url: Annotated[SecretStr, AfterValidator(check_url)]
    """The incoming webhook's address; whoever has it can post."""


class Slack(Destination[SlackSettings]):
    """Post each event to a Slack channel.

    An incoming webhook knows no idempotency key: the same event twice is two messages.
    """

    Settings = SlackSettings
    named = 50

    async def open(self) -> None:
        """Make the HTTP client."""
        self._poster = Poster(self.settings.url)
        await self._poster.open(self.resources)

    def limits(self) -> tuple[Limit, ...]:
        """Keep to one message a second (docs.slack.dev/apis/web-api/rate-limits); who goes on regardless is shut off."""
        return (Limit(1, 1.0),)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Post the message."""
        answer = await self._poster.post(
            orjson.dumps(message(summarise(event))), {"Content-Type": "application/json; charset=utf-8"}
        )
        responses.check(answer)
        return Delivered(f"HTTP {answer.status}")


def message(summary: Summary) -> dict[str, Any]:
    """Draw an event as blocks (docs.slack.dev/reference/block-kit), and a text for notifications and screen readers."""
    level = summary.urgency.level if summary.urgency else None
    headline = (
        f"{_SIGNS[level]} {level} {summary.urgency.value}/100" if level and summary.urgency else "Urgency not known"
    )
    header = {"type": "plain_text", "text": summary.title[: MAX_HEADER - 1] or "Event", "emoji": False}
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": header},
        {"type": "context", "elements": [_plain(f"{headline} · {summary.kind}")]},
    ]
    if summary.warning:
        blocks.append({"type": "section", "text": _plain(f"⚠ {summary.warning}")})
    if fields := _fields(summary.facts):
        blocks.append({"type": "section", "fields": fields})
    if body := summary.text(_BODY, MAX_SECTION):
        # Plain text: Slack neither formats it nor links what is in it.
        blocks.append({"type": "section", "text": _plain(body)})
    if summary.link:
        button = {"type": "plain_text", "text": summary.link_text, "emoji": False}
        blocks.append({"type": "actions", "elements": [{"type": "button", "text": button, "url": summary.link}]})
    blocks.append({"type": "context", "elements": [_plain(f"tocsin {summary.event_id[:64]}")]})
    return {
        "text": escape(f"{headline}: {summary.title}"),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _fields(facts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Draw the facts that fit: escaped, a hostile one is five times as long."""
    fields, room = [], MAX_FACTS
    for name, value in facts[:_FIELDS]:
        text = f"*{escape(name)}*\n{escape(value[:_FIELD])}"
        room -= len(text)
        if room < 0:
            break
        fields.append(_markdown(text))
    return fields


def escape(text: str) -> str:
    """Take the meaning of mentions, links and marks from a text that stands in `mrkdwn`."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # Slack has no escape for its marks: a zero-width space after each keeps it from pairing.
    text = _MARKS.sub(lambda match: match[0] + "\u200b", text)
    return text.replace("@", "@\u200b").replace("://", "[:]//")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text.replace("://", "[:]//")[:MAX_SECTION], "emoji": False}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
