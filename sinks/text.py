"""Text from outside, made fit to be shown: it may be written by an attacker."""

import re
import unicodedata
from typing import Any

_JOINERS = "\u200c\u200d"  # Persian and emoji sequences need them
_LINE_ENDS = re.compile(r"\r\n?|[\u0085\u2028\u2029]")
_BLANKS, _SPACES, _LINES, _WHITE = map(re.compile, (r" {2,}", r"[^\S\n]+", r" ?\n[\n ]*", r"\s+"))


def clean(value: Any, limit: int, *, lines: bool = False) -> str:
    """Return a value as visible text of at most `limit` characters, "" for nothing.

    Control, bidirectional and invisible format characters are dropped, line ends kept only with `lines`.
    """
    if value is None or isinstance(value, dict | list | bool):
        return ""
    text = str(value)[: 4 * limit]
    if text.isprintable():  # most are: nothing to drop, and no white space but blanks
        text = _BLANKS.sub(" ", text) if "  " in text else text
    else:
        text = _LINE_ENDS.sub("\n", text)
        text = text.translate({ord(char): _visible(char) for char in set(text) if not char.isprintable()})
        text = _SPACES.sub(" ", text)
        text = _LINES.sub("\n", text) if lines else _WHITE.sub(" ", text)
    text = text.strip()
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def _visible(char: str) -> str:
    if char in "\n\t":
        return char if char == "\n" else " "
    category = unicodedata.category(char)
    if category in {"Cc", "Cs", "Cn", "Co"} or (category == "Cf" and char not in _JOINERS):
        return ""
    return char


_SCHEME = re.compile(r"(?i)\b(https?|ftp|wss?|smb|ldaps?|file)://")
_DOTTED = re.compile(r"(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[^\W_][\w-]{0,62}\.)+[^\W\d_]{2,24})(?![\w])")


_FILES = re.compile(
    r"(?i)[^.]+\.(?:bat|bin|bmp|cfg|cmd|dat|dll|do[ct][mx]?|eml|exe|gif|gz|hta|img|iso|jar|jpe?g|json|js|lnk|log|msg|msi"
    r"|pdf|png|pp[ts][mx]?|rar|scr|sys|tmp|txt|vbs|wsf|xls[bmx]?|xml|ya?ml)"
)
"""Endings of files that are no top-level domain: no client links them, and a name is easier to read whole."""


def defang(text: str) -> str:
    """Write addresses so that no client links them: `https://evil.example` becomes `https[:]//evil[.]example`."""
    text = _SCHEME.sub(lambda match: f"{match[1]}[:]//", text)
    return _DOTTED.sub(lambda match: match[0] if _FILES.fullmatch(match[0]) else _broken(match[0]), text)


def _broken(name: str) -> str:
    return "[.]".join(name.rsplit(".", 1))
