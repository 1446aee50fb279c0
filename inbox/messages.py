"""Messages of the live stream, as browsers read server-sent events."""

from typing import Any

import orjson

from inbox.listing import Rows


def changes(found: Rows, html: str, risen: dict[str, Any] | None) -> bytes:
    """Write what changed: the rows and what became urgent, in one message with one number.

    A page that comes back after a break has missed both or neither.
    """
    if found.far:
        return sse("reset", {"clock": found.clock, "urgent": risen}, found.clock)
    return sse(
        "rows",
        {"html": html, "gone": found.gone, "more": found.more, "urgent": risen, "threads": found.touched},
        found.clock,
    )


def sse(event: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """Write one message; a browser comes back with the last number it heard."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + orjson.dumps(data) + b"\n\n"
