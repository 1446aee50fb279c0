"""A digest in words: how many of what, and as many named one by one as fit."""

from collections.abc import Sequence
from typing import Any

from sinks.text import clean

TYPE = "digest"
"""The `type` of the event that stands for many."""

_MOST = 1_000_000_000
_LINE = 200
_WIDTHS = (80, 40, 15, 0)
"""Characters of a title, from roomy to none at all."""


def told(given: dict[str, Any]) -> tuple[str, list[tuple[str, str]], tuple[tuple[str, str], ...], int]:
    """Return title, facts, what is named (label and title), and how many are not; whoever sent it, nothing is trusted."""
    count, urgent = _number(given.get("count")), _number(given.get("urgent"))
    title = f"{count:,} events in one message" + (f", {urgent:,} of them urgent" if urgent else "")
    facts = [
        (name, _counts(given.get(key)))
        for name, key in (("Urgency", "levels"), ("Rules", "rules"), ("Entities", "entities"))
    ]
    facts.append(("Received", _span(given)))
    listed = given.get("events")
    items = tuple(_item(one) for one in listed if isinstance(one, dict)) if isinstance(listed, list) else ()
    return title, facts, items, max(count - len(items), 0)


def lines(items: Sequence[tuple[str, str]], more: int, most: int) -> str:
    """Name them a line each within `most` characters: titles are shortened until all fit, and only then names left out."""
    for width in _WIDTHS:
        shown = [f"{label} {clean(title, width)}".rstrip() if width else label for label, title in items]
        room = most - len(_rest(more + len(items)))
        if sum(map(len, shown)) + len(shown) <= room:
            break
    kept: list[str] = []
    for line in shown:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = more + len(shown) - len(kept)
    return "\n".join([*kept, *([_rest(left)] if left and items else [])])


def _rest(count: int) -> str:
    return f"and {count:,} more"


def _item(one: dict[str, Any]) -> tuple[str, str]:
    urgency = _number(one.get("urgency")) if one.get("urgency") is not None else None
    name = one.get("short_id") or one.get("alert_uuid") or one.get("event_id")
    kind, title = clean(one.get("kind"), _LINE), clean(one.get("title"), _LINE)
    return f"{'?' if urgency is None else urgency} · {clean(name, 40)}", title or kind


def _counts(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    return clean(", ".join(f"{clean(name, 60)}: {_number(count):,}" for name, count in list(value.items())[:10]), _LINE)


def _span(given: dict[str, Any]) -> str:
    first, last = (clean(given.get(f"{which}_received_at"), 40) for which in ("first", "last"))
    return first if first == last else f"{first} to {last}"


def _number(value: Any) -> int:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value if fits else 0
