"""Mattermost, through an incoming webhook."""

import re
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, Field, SecretStr

from events.records import EnrichedEvent
from sinks import responses
from sinks.destination import Delivered, Destination, TargetSettings
from sinks.posting import Poster, check_url
from sinks.summary import Summary, summarise

MAX_TEXT = 16_383
"""Characters of a message; the server splits a longer one into several posts."""

_COLOURS = {"Urgent": "#b3261e", "Major": "#d9480f", "High": "#e8890c", "Moderate": "#1c7ed6", "Low": "#2b8a3e"}
_UNKNOWN = "#868e96"
_MARKDOWN = re.compile(r"[\\`*_~\[\]()#|!<>:]|^\s*(?:[-+]|\d+[.)])(?=\s)", re.MULTILINE)
_MENTION = re.compile(r"@(?=[\w])")
_FIELD, _SHORT, _TITLE, _BODY = 200, 60, 200, 1_200


class MattermostSettings(TargetSettings):
    """A Mattermost channel."""

    url: Annotated[SecretStr, AfterValidator(check_url)]
    """The incoming webhook's address; whoever has it can post."""
    channel: str | None = Field(None, description="Post elsewhere than where the webhook points, if it allows that.")
    priority: Literal["urgent", "important"] | None = Field(
        None, description="Message priority for events of level Urgent; needs a server of an edition that has it."
    )
    card: bool = Field(True, description="Put all facts into the panel beside the message.")


class Mattermost(Destination[MattermostSettings]):
    """Post each event as an attachment coloured by urgency.

    An incoming webhook knows no idempotency key: the same event twice is two messages.
    """

    Settings = MattermostSettings
    named = 100

    async def open(self) -> None:
        """Make the HTTP client."""
        self._poster = Poster(self.settings.url)
        await self._poster.open(self.resources)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Post the message, and tell the runner what the server says is left."""
        body = orjson.dumps(message(summarise(event), self.settings))
        answer = await self._poster.post(body, {"Content-Type": "application/json"})
        responses.check(answer)
        return Delivered(f"HTTP {answer.status}", left=responses.allowance(answer.headers))


def message(summary: Summary, settings: MattermostSettings) -> dict[str, Any]:
    """Draw an event as the body of an incoming webhook (developers.mattermost.com, incoming webhooks)."""
    level = summary.urgency.level if summary.urgency else None
    fields = [
        {"title": escape(name), "value": escape(value[:_FIELD]), "short": len(value) <= _SHORT}
        for name, value in summary.facts
    ]
    if summary.urgency and not summary.items:  # a digest has its counts under that name
        fields.insert(0, {"title": "Urgency", "value": f"{summary.urgency.value}/100, {level}", "short": True})
    attachment = {
        "fallback": escape(f"{level or 'Urgency not known'}: {summary.title[:_TITLE]}"),
        "color": _COLOURS.get(level or "", _UNKNOWN),
        "pretext": escape(summary.kind),
        "title": escape(summary.title[:_TITLE]),
        "text": "\n\n".join(escape(text) for text in (summary.warning, summary.text(_BODY, 8_000)) if text),
        "fields": fields,
        "footer": f"tocsin {summary.event_id[:64]}",
    }
    if summary.link:
        attachment["title_link"] = summary.link
    content: dict[str, Any] = {"attachments": [attachment]}
    if settings.channel:
        content["channel"] = settings.channel
    if settings.card:
        content["props"] = {"card": _card(summary)}
    if settings.priority and level == "Urgent":
        content["priority"] = {"priority": settings.priority}
    return content


def escape(text: str) -> str:
    """Take the meaning of markdown, mentions and addresses from a text."""
    text = _MARKDOWN.sub(lambda match: "\\" + match[0], text)
    # A zero-width space breaks @channel, @here, @all and user names; a backslash would still mention.
    return _MENTION.sub("@\u200b", text.replace(":\\/\\/", "[:]//").replace("://", "[:]//"))


def _card(summary: Summary) -> str:
    lines = [f"### {escape(summary.title)}"]
    lines += [f"**{escape(name)}:** {escape(value)}  " for name, value in summary.facts]
    lines += ["", escape(summary.body)] if summary.body else []
    lines += ["", f"[{summary.link_text}]({summary.link})"] if summary.link else []
    return "\n".join(lines)[:MAX_TEXT]
