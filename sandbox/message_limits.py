"""What chat services accept in a message: their documented limits, and the words they refuse with."""

from html.parser import HTMLParser
from typing import Any

import orjson

_TAGS = frozenset(
    {"a", "b", "blockquote", "code", "del", "em", "i", "ins", "pre", "s", "span", "strong", "tg-spoiler", "u"}
)


MATTERMOST_TEXT = 16_383
"""Characters of a message; a longer one is not refused but becomes several posts."""


class Refused(ValueError):
    """The service's words for what is wrong with a message."""


def mattermost(raw: bytes) -> dict[str, Any]:
    """Read a post to an incoming webhook (server source: 800,000 characters of props)."""
    content = _object(raw, "Unable to parse incoming data")
    attachments = content.get("attachments") or []
    if not isinstance(attachments, list) or not (content.get("text") or attachments):
        raise Refused("Unable to parse incoming data")
    if len(orjson.dumps(content.get("props", {})).decode()) + len(orjson.dumps(attachments).decode()) > 800_000:  # noqa: PLR2004
        raise Refused("Unable to create post: the props are too long")
    return content


def mattermost_posts(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the posts a message becomes: a long text is split, and the attachments stand under the last part."""
    text = content.get("text") or ""
    parts = [text[at : at + MATTERMOST_TEXT] for at in range(0, len(text), MATTERMOST_TEXT)] or [""]
    bare = {name: value for name, value in content.items() if name not in {"text", "attachments"}}
    return [bare | {"text": part} for part in parts[:-1]] + [content | {"text": parts[-1]}]


def slack(raw: bytes) -> dict[str, Any]:
    """Read a post to an incoming webhook (docs.slack.dev/reference/block-kit/blocks)."""
    content = _object(raw, "invalid_payload")
    blocks = content.get("blocks", [])
    if not content.get("text") and not blocks:
        raise Refused("no_text")
    if not isinstance(blocks, list) or len(blocks) > 50 or not all(map(_block_fits, blocks)):  # noqa: PLR2004
        raise Refused("invalid_blocks")
    if sum(len(text) for block in blocks for text in _texts(block)) > 13_200:  # noqa: PLR2004
        raise Refused("msg_blocks_too_long")
    return content


def telegram(raw: bytes) -> dict[str, Any]:
    """Read a sendMessage (core.telegram.org/bots/api#sendmessage: 4,096 characters after entities are parsed)."""
    content = _object(raw, "can't parse JSON object")
    text = content.get("text")
    if not content.get("chat_id"):
        raise Refused("chat_id is empty")
    if not isinstance(text, str) or not text.strip():
        raise Refused("message text is empty")
    if content.get("parse_mode") == "HTML":
        text = _Entities(text).text
    if len(text.encode("utf-16-le", "surrogatepass")) // 2 > 4_096:  # noqa: PLR2004
        raise Refused("message is too long")
    return content


def ifttt(raw: bytes) -> dict[str, Any]:
    """Read the values of a trigger; others than the three are ignored."""
    content = _object(raw, "The body must be a JSON object") if raw else {}
    return {name: content[name] for name in ("value1", "value2", "value3") if name in content}


def _object(raw: bytes, words: str) -> dict[str, Any]:
    try:
        content = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise Refused(words) from None
    if not isinstance(content, dict):
        raise Refused(words)
    return content


def _block_fits(block: Any) -> bool:
    if not isinstance(block, dict) or block.get("type") not in {"header", "section", "context", "actions", "divider"}:
        return False
    limit = {"header": 150, "section": 3_000}.get(block["type"], 2_000)
    texts = [block["text"]] if "text" in block else []
    if block["type"] == "section" and not texts and not block.get("fields"):
        return False
    fits = all(1 <= len(text.get("text", "")) <= limit for text in texts)
    fields, elements = block.get("fields", []), block.get("elements", [])
    parts = [*fields, *(elements if block["type"] == "context" else [])]
    few = len(fields) <= 10 and len(elements) <= (10 if block["type"] == "context" else 25)  # noqa: PLR2004
    return fits and few and all(1 <= len(part.get("text", "")) <= 2_000 for part in parts)  # noqa: PLR2004


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return [value] if isinstance(value, str) else []


class _Entities(HTMLParser):
    """The text of a message; tags must be known and close in order."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text = ""
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        if self._open:
            raise Refused(f"can't parse entities: Can't find end tag corresponding to start tag {self._open[-1]}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the library's own signature
        """Keep a tag that is known."""
        if tag not in _TAGS:
            raise Refused(f'can\'t parse entities: Unsupported start tag "{tag}"')
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        if not self._open or self._open.pop() != tag:
            raise Refused(f'can\'t parse entities: Unexpected end tag "{tag}"')

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data
