"""Text of others, made fit for a page: visible, bounded, and in no one's disguise."""

import json
import unicodedata
from typing import Any

_JOINERS = "\u200c\u200d"  # Persian and emoji sequences need them
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that draw nothing
_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_MAX_LINK = 2000


def clean(value: Any, limit: int, *, lines: bool = False) -> str:
    """Return a value as at most `limit` visible characters, "" for nothing.

    Control, bidirectional and invisible characters go, so that no text can pass for another; line ends stay with
    `lines`.
    """
    if value is None or isinstance(value, dict | list | bool):
        return ""
    rows = str(value)[: 4 * limit].splitlines()
    rows = [
        " ".join((row if row.isascii() and row.isprintable() else "".join(map(_visible, row))).split()) for row in rows
    ]
    text = ("\n" if lines else " ").join(row for row in rows if row)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def link(value: Any) -> str:
    """Return an address a browser may open, "" for any other."""
    if not isinstance(value, str) or not value.startswith(("https://", "http://")) or len(value) > _MAX_LINK:
        return ""
    return value if value.isascii() and value.isprintable() and " " not in value else ""


def pretty(value: Any, limit: int) -> str:
    """Write JSON for reading: what cannot be seen is written as its escape, what is too long is cut."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > limit:
        text = text[:limit] + f"\n… {len(text) - limit:,} more characters"
    return "".join(char if char == "\n" or not _hidden(char) else _escape(char) for char in text)


def _visible(char: str) -> str:
    if char == "\t":
        return " "
    return "" if char not in _JOINERS and _hidden(char) else char


def _hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN or char in _BLANK


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"  # noqa: PLR2004 - the BMP's end
