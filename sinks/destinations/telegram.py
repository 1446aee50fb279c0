"""Telegram, through a bot."""

import html
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, Field, SecretStr

from events.records import EnrichedEvent
from sinks.destination import Delivered, Destination, TargetSettings, Unavailable, Undeliverable
from sinks.limits import Limit
from sinks.posting import Poster, check_url
from sinks.responses import Answer, check, quote
from sinks.summary import Summary, summarise

MAX_TEXT = 4_096
"""Characters of a message after its entities are parsed (core.telegram.org/bots/api#sendmessage)."""

_SIGNS = {"Urgent": "🔴", "Major": "🟠", "High": "🟡", "Moderate": "🔵", "Low": "🟢"}
_FIELD, _FACTS, _TITLE, _BODY = 120, 10, 200, 1_200
_DIGEST = 2_400
_LONGEST = 3_600.0


def _token(value: SecretStr) -> SecretStr:
    number, colon, secret = value.get_secret_value().partition(":")
    if not (number.isdecimal() and colon and secret.replace("-", "").replace("_", "").isalnum() and secret.isascii()):
        raise ValueError("a bot token looks like 123456:AbC-dEf, as @BotFather gave it")
    return value


class TelegramSettings(TargetSettings):
    """A Telegram chat."""

    token: Annotated[SecretStr, AfterValidator(_token)]
    """The bot's token."""
    chat: str = Field(pattern=r"^(-?\d{1,20}|@\w{3,64})$", description="Number of the chat, or @name of a channel.")
    api: Annotated[SecretStr, AfterValidator(check_url)] = Field(
        SecretStr("https://api.telegram.org"), description="Where the Bot API is; a server of your own may serve it."
    )


class Telegram(Destination[TelegramSettings]):
    """Send each event to a chat as HTML.

    The Bot API knows no idempotency key: the same event twice is two messages.
    """

    Settings = TelegramSettings
    shares = ("token", "chat")
    named = 40

    async def open(self) -> None:
        """Make the HTTP client."""
        base, token = self.settings.api.get_secret_value().rstrip("/"), self.settings.token.get_secret_value()
        self._poster = Poster(SecretStr(f"{base}/bot{token}/sendMessage"))
        await self._poster.open(self.resources)

    def limits(self) -> tuple[Limit, ...]:
        """Keep to one message a second, and in a group, whose number is negative, to twenty a minute."""
        group = (Limit(20, 60.0, reserve=5),) if self.settings.chat.startswith("-") else ()
        return (Limit(1, 1.0), *group)

    async def deliver(self, event: EnrichedEvent) -> Delivered:
        """Send the message; should the API not like its markup, the same as plain text."""
        summary = summarise(event)
        answer = await self._send({"text": text(summary), "parse_mode": "HTML"}, summary)
        if answer.status == 400 and b"parse entities" in answer.body:  # noqa: PLR2004
            answer = await self._send({"text": plain(summary)}, summary)
        _check(answer)
        return Delivered(f"HTTP {answer.status}")

    async def _send(self, content: dict[str, Any], summary: Summary) -> Answer:
        content |= {"chat_id": self.settings.chat, "link_preview_options": {"is_disabled": True}}
        if summary.link:
            content["reply_markup"] = {"inline_keyboard": [[{"text": summary.link_text, "url": summary.link}]]}
        return await self._poster.post(orjson.dumps(content), {"Content-Type": "application/json"})


def text(summary: Summary) -> str:
    """Draw an event in the few tags Telegram knows; everything from outside is escaped."""
    lines = [f"<b>{html.escape(_defang(summary.title[:_TITLE]))}</b>", html.escape(_headline(summary))]
    if summary.warning:
        lines.append(f"⚠ {html.escape(summary.warning[:_TITLE])}")
    # Nothing inside <code> is linked or mentions anybody.
    lines += [
        f"<b>{html.escape(name)}:</b> <code>{html.escape(value[:_FIELD])}</code>" for name, value in _facts(summary)
    ]
    if summary.body:
        lines += ["", f"<pre>{html.escape(summary.text(_BODY, _DIGEST))}</pre>"]
    return "\n".join(lines)


def plain(summary: Summary) -> str:
    """Draw the same without any markup."""
    lines = [_defang(summary.title[:_TITLE]), _headline(summary), summary.warning[:_TITLE]]
    lines += [f"{name}: {_defang(value[:_FIELD])}" for name, value in _facts(summary)]
    return "\n".join(line for line in [*lines, _defang(summary.text(_BODY, _DIGEST))] if line)[:MAX_TEXT]


def _headline(summary: Summary) -> str:
    if not summary.urgency:
        return f"Urgency not known · {summary.kind}"
    level = summary.urgency.level
    return f"{_SIGNS[level]} {level} {summary.urgency.value}/100 · {summary.kind}"


def _facts(summary: Summary) -> tuple[tuple[str, str], ...]:
    return summary.facts[:_FACTS]


def _defang(content: str) -> str:
    """Keep the client from linking addresses and mentioning people."""
    return content.replace("://", "[:]//").replace("@", "@\u200b").replace("www.", "www[.]")


def _check(answer: Answer) -> None:
    """Raise what the answer means; Telegram tells how long to wait in the body, not in a header."""
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        content = {}
    parameters = content.get("parameters") if isinstance(content, dict) else None
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    if answer.status == 429 and isinstance(seconds, int | float) and not isinstance(seconds, bool):  # noqa: PLR2004
        raise Unavailable(f"HTTP 429{quote(answer.body)}", min(max(float(seconds), 0.0), _LONGEST))
    if isinstance(parameters, dict) and "migrate_to_chat_id" in parameters:
        raise Undeliverable("the group has become a supergroup: put its new number into `chat`")
    check(answer)
